/**
 * The model of a run, with or without an adapter: where its weights come from, what a checkpoint holds, and what the KL term
 * refers to. With `lora.rank` above 0 the base is `model.path` (or the base of the adapter there) and is never written;
 * checkpoints are adapter folders as PEFT writes them.
 */
import { resolve } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { isAdapterFolder, openAdapter } from '../model/adapter-files.ts';
import type { EngineModel, Scores } from '../model/engine.ts';
import type { LoraOptions, LoraTarget } from '../model/lora.ts';
import { loadModel, type Model } from '../model/model.ts';
import { adapterBase, type ModelAndTokenizer, openModel } from '../model/open.ts';
import type { Config } from '../run/config.ts';
import { placement } from '../run/placement.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

/** What the KL term needs of a reference. */
export interface Reference extends Pick<EngineModel, 'score'> {
  dispose(): void;
}

/** The options of the run's adapter; undefined when all weights are trained. */
export function loraOptions({ lora, seed }: Config): LoraOptions | undefined {
  if (lora.rank === 0) return undefined;
  return {
    rank: lora.rank,
    alpha: lora.alpha,
    targets: lora.targets.includes('all-linear') ? 'all-linear' : (lora.targets as LoraTarget[]),
    rslora: lora.rslora,
    seed: BigInt(seed),
  };
}

/** Whether the policy carries a value head. */
export function hasTrunkCritic({ rl, critic }: Config): boolean {
  return rl.steps > 0 && rl.advantage === 'gae' && critic.model === 'trunk';
}

/** The model below the adapters of a run. */
function basePath({ model }: Config): string {
  return isAdapterFolder(model.path) ? adapterBase(openAdapter(model.path), model.base) : model.path;
}

/**
 * The model of a run with its tokenizer; with `checkpoint` the weights are those of one. A model that is not `trainable` is
 * what `model.path` names, an adapter over its base included.
 */
export function openPolicy(
  config: Config,
  checkpoint: string | undefined,
  trainable: boolean,
): Promise<ModelAndTokenizer> {
  const { path, base, dtype } = config.model;
  const options = { dtype, trainable, ...placement(config.model) };
  const lora = loraOptions(config);
  const valueHead = hasTrunkCritic(config);
  if (!trainable) return openModel(checkpoint ?? path, { ...options, base });
  if (lora !== undefined) {
    return checkpoint === undefined
      ? openModel(path, { ...options, lora, base })
      : openModel(checkpoint, { ...options, lora, base: basePath(config) });
  }
  if (isAdapterFolder(path)) {
    const { rank, alpha } = openAdapter(path).lora;
    throw new ToolgradError(
      'ERR_CONFIG',
      `model.path ${path} is an adapter, and lora.rank 0 trains all weights of a model: set lora.rank=${rank} lora.alpha=${alpha} ` +
        'to train the adapter on, or make one model of it first (toolgrad merge)',
    );
  }
  return openModel(checkpoint ?? path, { ...options, base, valueHead });
}

/** Whether a second model samples batches while the first is trained. */
export function samplesAhead({ rl, rollout }: Config): boolean {
  return rl.steps > 0 && rollout.ahead;
}

/** A frozen model of the same weights as openPolicy's, for a run that trains all of them; without a value head. */
export function openSampler({ model }: Config, checkpoint: string | undefined): Promise<Model> {
  const { path, dtype } = model;
  return loadModel(checkpoint ?? path, { dtype, ...placement(model) });
}

/** What writes a checkpoint: the whole model, or the adapter with the tokenizer's files. */
export function checkpointable(config: Config, model: Model, tokenizer: Tokenizer) {
  return {
    save: (folder: string) =>
      model.lora === null
        ? model.save(folder, tokenizer.files)
        : model.saveAdapter(folder, resolve(basePath(config)), tokenizer.files),
    saveOptimizer: (path: string) => model.saveOptimizer(path),
  };
}

/** What a run with an adapter refers to: the bare base, or the adapter that RL starts with. */
export function referenceUse({ sft, model }: Config): 'off' | 'reference' {
  return sft.steps > 0 || isAdapterFolder(model.path) ? 'reference' : 'off';
}

/**
 * The weights RL started from, frozen: `coldStart` is the checkpoint at the end of the cold start, null without one. With an
 * adapter no second model is loaded: it is the same base, bare or under a second adapter.
 */
export async function openReference(
  config: Config,
  model: Model,
  coldStart: string | null,
): Promise<Reference> {
  const { path, dtype } = config.model;
  if (model.lora === null) return loadModel(coldStart ?? path, { dtype, ...placement(config.model) });
  const use = referenceUse(config);
  if (use === 'reference') await model.loadAdapter(coldStart ?? path, 'reference');
  return {
    score: (batch, temperature, wanted): Promise<Scores> => model.score(batch, temperature, wanted, use),
    dispose: () => {},
  };
}
