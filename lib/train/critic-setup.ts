/**
 * The critic of a run as the config names it: a model of its own, or the value head on the policy's trunk. Opened when RL
 * starts; a checkpoint holds it in `critic/` (its own model) or with the policy's files (the trunk's head).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AdamWOptions } from '../model/engine.ts';
import { loadModel, type Model } from '../model/model.ts';
import type { Config } from '../run/config.ts';
import { placement } from '../run/placement.ts';
import { type CriticOptions, criticStep, criticValues } from './critic.ts';
import type { Critic } from './policy-options.ts';

export interface OpenCritic {
  readonly critic: Critic;
  /** Into a checkpoint's folder; the trunk's head is saved with the policy. */
  save(folder: string): Promise<void>;
  dispose(): void;
}

/** Folder of a critic's own model inside a checkpoint. */
export const criticFolder = 'critic';

/** `start`: where RL starts; `resumed`: the checkpoint that RL goes on from, or null. */
export async function openCritic(
  config: Config,
  policy: Model,
  options: {
    readonly start: string;
    readonly resumed: string | null;
    readonly microBatchTokens: number;
    readonly adamw: AdamWOptions;
  },
): Promise<OpenCritic | null> {
  if (config.rl.advantage !== 'gae') return null;
  const { clip, coef, lr, epochs, mini_batches: miniBatches } = config.critic;
  const { microBatchTokens } = options;
  const learning: Omit<CriticOptions, 'miniBatches'> = {
    clip,
    reduction: 'token_mean',
    epochs,
    microBatchTokens,
    adamw: { ...options.adamw, lr },
  };
  const dealt = (rows: number) => Math.min(miniBatches, rows);
  if (config.critic.model === 'trunk') {
    return {
      critic: {
        values: (ledgers, signal) => valuesOf(policy, ledgers, microBatchTokens, signal),
        learn: null,
        joint: { clip, coef, lr },
      },
      save: async () => {},
      dispose: () => {},
    };
  }
  const own = options.resumed === null ? null : join(options.resumed, criticFolder);
  const { dtype } = config.model;
  const model = await loadModel(own ?? config.critic.path ?? options.start, {
    dtype,
    trainable: true,
    valueHead: true,
    recompute: policy.recompute,
    ...placement(config.model),
  });
  const optimizer = own === null ? null : join(own, 'optimizer.safetensors');
  if (optimizer !== null && existsSync(optimizer)) await model.loadOptimizer(optimizer);
  return {
    critic: {
      values: (ledgers, signal) => valuesOf(model, ledgers, microBatchTokens, signal),
      learn: (rows, signal) =>
        criticStep(model, rows, {
          ...learning,
          miniBatches: dealt(rows.length),
          ...(signal ? { signal } : {}),
        }),
      joint: null,
    },
    async save(folder) {
      await model.save(join(folder, criticFolder));
      await model.saveOptimizer(join(folder, criticFolder, 'optimizer.safetensors'));
    },
    dispose: () => model.dispose(),
  };
}

/** The trunk's head learns alone while it warms up; a model of its own learns as ever. */
export function warmingUp(critic: Critic, policy: Model, options: CriticOptions): Critic {
  if (critic.joint === null) return critic;
  return {
    ...critic,
    learn: (rows, signal) =>
      criticStep(policy, rows, { ...options, headOnly: true, ...(signal ? { signal } : {}) }),
    joint: null,
  };
}

function valuesOf(
  model: Model,
  ledgers: Parameters<Critic['values']>[0],
  microBatchTokens: number,
  signal?: AbortSignal,
) {
  return criticValues(
    model,
    ledgers.map((ledger) => ({ ledger })),
    microBatchTokens,
    signal,
  );
}
