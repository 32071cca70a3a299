/**
 * The memory of a run, line by line: what is held from start to end, and the largest passes. Everything is a sum of what the
 * engine will ask for. Trajectories are taken to be as long as they may be, so it is the most that a run uses.
 */
import type { ModelConfig } from '../model/config.ts';
import type { MemoryPlan } from '../model/engine.ts';
import { openModelFiles } from '../model/files.ts';
import { cacheResident, type PassKind, type PassOptions, planMemory, planPass } from '../model/memory.ts';
import { configWithoutWeights } from '../model/shape.ts';
import { defaultThreads } from '../model/threads.ts';
import type { Config } from '../run/config.ts';
import { hasTrunkCritic, loraOptions, referenceUse, samplesAhead } from './lora.ts';
import { kvPages, type PassSize, passSize } from './pass-size.ts';
import type { Setup } from './setup.ts';

/** What a plan is made for, besides the config. */
export interface PlannedRun extends PassSize {
  readonly shape: ModelConfig;
  readonly kvPages: number;
  /** Of the CPU's kernels, which have scratch memory each; null on a GPU. */
  readonly threads: number | null;
}

export interface RunPlan {
  /** [what, bytes]; the last line is the total. */
  readonly lines: readonly (readonly [string, number])[];
  readonly totalBytes: number;
  /** Weights, masters, moments and gradients of the policy, and the parameters that they are for. */
  readonly heldBytes: number;
  /** Activations of a token in a micro-batch, and keys and values of a token in the cache. */
  readonly bytesPerToken: number;
  readonly kvBytesPerToken: number;
}

type Line = readonly [string, number];

/** The plan of a run. The reference of an adapter shares its base, so it costs an adapter or nothing. */
export function memoryPlan(config: Config, run: PlannedRun): RunPlan {
  const { shape, microBatchTokens, recompute } = run;
  const { dtype } = config.model;
  const lora = loraOptions(config);
  const valueHead = hasTrunkCritic(config);
  const memory = planMemory(shape, dtype, true, lora, valueHead, recompute);
  const critic = criticShape(config, shape);
  const referred = config.rl.steps > 0 && config.rl.kl !== 'none';
  const ahead = samplesAhead(config);
  const rolled = config.rl.steps > 0 ? config.rl.prompts * config.rl.group : 0;
  const evaluated = config.eval.questions * config.eval.samples;
  // A batch is sampled by the policy or by the copy that samples ahead; evaluations are the policy's.
  const rows = ahead ? evaluated : Math.max(rolled, evaluated);
  const cacheLine = (of: string, cacheRows: number): Line => {
    const all = `${run.kvPages} pages of ${memory.kvPageTokens} tokens`;
    // A GPU gives memory when it is asked for, the host when it is touched.
    if (run.threads === null) return [`${of} (${all})`, run.kvPages * memory.kvBytesPerPage];
    const used = usedPages(config, cacheRows, run.kvPages, memory);
    return [
      `${of} (${used < run.kvPages ? `at most ${used} of ` : ''}${all})`,
      cacheResident(memory, shape.layers, run.kvPages, used),
    ];
  };

  const trained = Math.max(
    config.sft.steps > 0 ? config.sft.batch : 0,
    config.rl.steps > 0 ? Math.ceil(config.rl.prompts / config.rl.mini_batches) * config.rl.group : 0,
  );
  const longest = config.rollout.total_tokens;
  const most = (trajectories: number) =>
    Math.max(longest, Math.min(microBatchTokens, trajectories * longest));
  const passes = (
    of: ModelConfig,
    tokens: Readonly<Partial<Record<PassKind, number>>>,
    options: Pick<PassOptions, 'lora' | 'valueHead'> = {},
  ) =>
    largestOf(
      Object.entries(tokens).map(([kind, count]) =>
        planPass(of, dtype, {
          kind: kind as PassKind,
          tokens: count,
          longest,
          threads: run.threads,
          recompute,
          ...options,
        }),
      ),
    );
  const steps = (sequences: number) => (sequences === 0 ? {} : { step: Math.min(sequences, run.kvPages) });
  const all = most(trained);
  const policy = passes(shape, { training: all, scoring: all, ...steps(rows) }, { lora, valueHead });
  const others = [
    ...(referred && lora === undefined ? [passes(shape, { scoring: all })] : []),
    ...(critic === null ? [] : [passes(critic, { critic: all, values: all }, { valueHead: true })]),
    // Of the log-probs of a batch sampled ahead one group is checked.
    ...(ahead ? [passes(shape, { scoring: most(config.rl.group), ...steps(rolled) })] : []),
  ];
  const scratch = [policy, ...others].reduce((sum, { scratchBytes }) => sum + scratchBytes, 0);

  const held: readonly Line[] =
    memory.adapterBytes === 0
      ? [
          ['weights', memory.weightBytes],
          ['fp32 masters', memory.masterBytes],
          ['moments', memory.momentBytes],
          ['gradients', memory.gradientBytes],
        ]
      : [
          ['base weights, frozen', memory.weightBytes],
          ['adapter weights, fp32: their own masters', memory.adapterBytes],
          ['adapter masters besides', memory.masterBytes],
          ['adapter moments', memory.momentBytes],
          ['adapter gradients', memory.gradientBytes],
        ];
  const lines: readonly Line[] = [
    ...held,
    ...(referred ? [referenceLine(config, memory)] : []),
    ...(critic === null
      ? []
      : [['critic: a model of its own, trained', trainedBytes(criticMemory(config, critic))] as const]),
    ...(ahead
      ? [
          ['sampler: a second model', memory.weightBytes] as const,
          cacheLine("the sampler's KV cache", rolled),
        ]
      : []),
    [`activations (${microBatchTokens} tokens a micro-batch, recompute ${recompute})`, policy.arenaBytes],
    ...(others.length === 0
      ? []
      : [
          [
            'activations of the other models',
            others.reduce((sum, { arenaBytes }) => sum + arenaBytes, 0),
          ] as const,
        ]),
    ...(run.threads === null ? [] : [[`scratch of the kernels (${run.threads} threads)`, scratch] as const]),
    cacheLine('KV cache', rows),
  ];
  const totalBytes = lines.reduce((sum, [, bytes]) => sum + bytes, 0);
  return {
    lines: [...lines, ['total', totalBytes]],
    totalBytes,
    heldBytes: held.reduce((sum, [, bytes]) => sum + bytes, 0),
    bytesPerToken: memory.activationBytesPerToken,
    kvBytesPerToken: memory.kvBytesPerPage / memory.kvPageTokens,
  };
}

/** Of passes that come one after the other in the same memory. */
function largestOf(passes: readonly ReturnType<typeof planPass>[]) {
  return {
    arenaBytes: Math.max(...passes.map(({ arenaBytes }) => arenaBytes)),
    scratchBytes: Math.max(...passes.map(({ scratchBytes }) => scratchBytes)),
  };
}

/** The most pages of a cache in use at once: those of a longest trajectory are reserved for each row, and one more. */
function usedPages(config: Config, rows: number, pages: number, { kvPageTokens }: MemoryPlan): number {
  return rows === 0 ? 0 : Math.min(pages, rows * Math.ceil(config.rollout.total_tokens / kvPageTokens) + 1);
}

/** What a trained model holds from start to end. */
function trainedBytes(memory: MemoryPlan): number {
  return memory.weightBytes + memory.masterBytes + memory.momentBytes + memory.gradientBytes;
}

function referenceLine(config: Config, memory: MemoryPlan): Line {
  if (memory.adapterBytes === 0) return ['reference: a second model', memory.weightBytes];
  return referenceUse(config) === 'off'
    ? ['reference: the base with the adapter off, shared', 0]
    : ['reference: a second adapter, base shared', memory.adapterBytes];
}

/**
 * The shape of the critic's own model, where the config asks for one; null when there is none, or one on the policy's trunk,
 * which shares everything but its head.
 */
function criticShape(config: Config, policy: ModelConfig): ModelConfig | null {
  if (config.rl.steps === 0 || config.rl.advantage !== 'gae' || config.critic.model !== 'own') return null;
  const { path } = config.critic;
  return path === null ? policy : (configWithoutWeights(path) ?? openModelFiles(path).config);
}

function criticMemory(
  config: Config,
  shape: ModelConfig,
  recompute: PassSize['recompute'] = 'none',
): MemoryPlan {
  return planMemory(shape, config.model.dtype, true, undefined, true, recompute);
}

/**
 * The size of training passes where `left` bytes are free for what is opened later (a critic, a reference) and for
 * activations; see passSize.
 */
export function runPassSize(config: Config, shape: ModelConfig, left: number): PassSize {
  const { dtype } = config.model;
  const critic = criticShape(config, shape);
  const policyAt = (recompute: PassSize['recompute']) =>
    planMemory(shape, dtype, true, loraOptions(config), hasTrunkCritic(config), recompute);
  const referred = config.rl.steps > 0 && config.rl.kl !== 'none';
  const later =
    (critic === null ? 0 : trainedBytes(criticMemory(config, critic))) +
    (referred ? referenceLine(config, policyAt('none'))[1] : 0);
  return passSize(
    config,
    (recompute) => [
      policyAt(recompute),
      ...(critic === null ? [] : [criticMemory(config, critic, recompute)]),
    ],
    left - later,
  );
}

/** The plan of a run that is open. */
export function setupPlan({ config, model, cache, microBatchTokens }: Setup): RunPlan {
  return memoryPlan(config, {
    shape: model.config,
    kvPages: cache.pagesTotal,
    threads: model.isa === 'cuda' ? null : model.threads,
    microBatchTokens,
    recompute: model.recompute,
  });
}

/**
 * Bytes that this process has resident besides what the plan of a setup counts, right after it was opened: Node.js, code,
 * tokenizer, questions. Null on a GPU, where the plan is about other memory.
 */
export function residentBesides({ model, sampler }: Setup): number | null {
  if (model.isa === 'cuda') return null;
  const { weightBytes, masterBytes, adapterBytes } = model.memory;
  const loaded = weightBytes + masterBytes + adapterBytes + (sampler?.model.memory.weightBytes ?? 0);
  return process.memoryUsage.rss() - loaded;
}

/**
 * The plan of a run whose model is known by its config alone, as if memory had no end; `threads` as in PlannedRun, default what
 * the CPU would use.
 */
export function planFromShape(
  config: Config,
  shape: ModelConfig,
  threads: number | null = config.model.threads === 0 ? defaultThreads() : config.model.threads,
): RunPlan {
  const size = runPassSize(config, shape, Number.POSITIVE_INFINITY);
  const pages = kvPages(config, planMemory(shape, config.model.dtype, true, loraOptions(config)));
  return memoryPlan(config, { shape, kvPages: pages, threads, ...size });
}
