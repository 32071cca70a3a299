/**
 * The engine as TypeScript sees it: what a loaded model, its KV cache and its optimizer can do.
 * Implemented natively (binding/napi) and wrapped by lib/model/model.ts; rollout and training program against this file.
 *
 * Conventions. A batch is packed: `tokens` [T] holds S sequences back to back, sequence s in
 * [seqStarts[s], seqStarts[s+1]). Every per-token array is aligned with the token it speaks of: entry t is about token t
 * given the tokens before it in its sequence; the first token of a sequence has no log-prob (0) and must have weight 0.
 * All calls run in order on the engine's one thread; the typed arrays passed in must not be changed until the promise
 * settles. Log-probs and entropies are in nats, of the distribution at `temperature`.
 */

export type WeightDtype = 'bfloat16' | 'float32';

/** With which adapter a pass of a LoRA model runs: its own, none (the base to the bit), or the frozen second one. */
export type AdapterUse = 'on' | 'off' | 'reference';

export interface PackedBatch {
  readonly tokens: Int32Array;
  /** [S + 1], ascending, seqStarts[0] = 0, seqStarts[S] = T. No empty sequence. */
  readonly seqStarts: Int32Array;
}

export interface Scores {
  /** [T]; 0 where not asked for. */
  readonly logprobs: Float32Array;
  /** [T]; 0 where not asked for. */
  readonly entropies: Float32Array;
}

export interface LossOptions {
  readonly kind:
    | 'cross_entropy'
    | 'reinforce'
    | 'ppo_clip'
    | 'gspo'
    | 'gspo_token'
    | 'sequence_ppo'
    | 'cispo';
  readonly clipLow: number;
  readonly clipHigh: number;
  /** 0 = off; otherwise for A < 0 the loss is at most -dualClip * A. */
  readonly dualClip: number;
  readonly kl: 'none' | 'k2' | 'k3' | 'k1+' | 'k3+';
  readonly klCoef: number;
  readonly entropyCoef: number;
  /** Weight of each token's entropy; 0 or absent = the loss's own weights (verl), 1/N = token mean (TRL). */
  readonly entropyWeight?: number;
  /** Cap of the ratio in the unclipped branch, both signs of A (TRL's delta); 0 or absent = off. */
  readonly ratioCap?: number;
  /** Multiply the KL term by the ratio, gradient through both (TRL's default); default false. */
  readonly klTimesRatio?: boolean;
  /** Bounds on exponents, 0 = off: |lp - lo| and k3's (default 20), the sequence's from above (20), |k3| (0; verl 10). */
  readonly logRatioClamp?: number;
  readonly sequenceLogRatioMax?: number;
  readonly klClamp?: number;
  /** The critic's loss on the same pass; needs `value` in the batch. */
  readonly value?: ValueLossOptions;
}

/** 0.5 * max((v - R)^2, (clip(v, old - clip, old + clip) - R)^2) per token, weighted, times `coef` in the total loss. */
export interface ValueLossOptions {
  /** 0 = no clipping. */
  readonly clip: number;
  readonly coef: number;
  /** The gradient stops at the hidden states: only the value head learns. Default false. */
  readonly detachTrunk?: boolean;
}

export interface LossBatch extends PackedBatch {
  readonly temperature: number;
  /** [T] mask times reduction factor; 0 = token not in the loss. */
  readonly weight: Float32Array;
  /** [T]; ignored by cross_entropy. */
  readonly advantages?: Float32Array;
  /** [T] log-prob under the weights at the start of the rollout batch. */
  readonly oldLogprobs?: Float32Array;
  /** [T] log-prob under the reference model. */
  readonly refLogprobs?: Float32Array;
  /** [T] factor of the policy term, without gradient (off-policy correction); default 1. */
  readonly policyWeight?: Float32Array;
  /** The critic's inputs; the model needs a value head. Tokens may be in either loss, both or none. */
  readonly value?: ValueBatch;
}

/** Token-aligned like everything in the batch: V for token t is read at the row that predicts t. */
export interface ValueBatch {
  /** [T] the targets. */
  readonly returns: Float32Array;
  /** [T] values at the start of the rollout batch; may be absent when clip is 0. */
  readonly oldValues?: Float32Array;
  /** [T] mask times reduction factor; 0 = token not in the value loss, its other entries are not read. */
  readonly weight: Float32Array;
}

/** Sums and counts over the tokens with weight != 0, so that micro-batches can be added. */
export interface LossResult {
  /** The total, coef * value.loss included. */
  readonly loss: number;
  readonly policyLoss: number;
  readonly klLoss: number;
  readonly tokens: number;
  readonly ratioSum: number;
  readonly ratioMax: number;
  readonly clipLowCount: number;
  readonly clipHighCount: number;
  readonly dualClipCount: number;
  /** Tokens at a bound on an exponent. */
  readonly clampCount: number;
  readonly klSum: number;
  /** Sum of lo - lp: estimates KL(old || policy). */
  readonly oldKlSum: number;
  readonly entropySum: number;
  /** [T] log-probs recomputed in this pass, 0 where weight is 0. */
  readonly logprobs: Float32Array;
  /** Present when the batch has `value`. */
  readonly value?: ValueLossResult;
}

/** Sums and counts over the tokens in the value loss; explained variance = 1 - Var(R - V) / Var(R). */
export interface ValueLossResult {
  /** Without coef. */
  readonly loss: number;
  readonly tokens: number;
  /** Tokens whose clipped square is the larger one: they have no gradient. */
  readonly clipCount: number;
  readonly valueSum: number;
  readonly returnSum: number;
  readonly returnSquares: number;
  /** Of R - V. */
  readonly residualSum: number;
  readonly residualSquares: number;
  /** [T] values of this pass, 0 where the value weight is 0. */
  readonly values: Float32Array;
}

export interface AdamWOptions {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Applied to matrices only; norms and biases are exempt. */
  readonly weightDecay: number;
  /** Clip the global gradient norm to this; 0 = no clipping. */
  readonly maxGradNorm: number;
  /** Learning rate of the value head; default lr. */
  readonly valueLr?: number;
  /**
   * `value_head`: update nothing else, by the norm of its own gradient (a critic's warm-up on the policy's trunk). Everything
   * else stays to the bit, its moments and step count and the model's version included; all gradients are cleared.
   */
  readonly only?: 'value_head';
}

export interface UpdateResult {
  readonly gradNorm: number;
  readonly clipped: boolean;
  /** Optimizer steps taken so far, this one included; with `only` those of the value head. */
  readonly step: number;
}

/**
 * What a training pass computes again on its way back instead of keeping it for every layer: `none`, the MLPs' gate and up
 * (`selective`), or whole layers but their input (`full`). Less memory, more time, the same bits. Known as activation
 * recomputation (Megatron's two levels) or gradient checkpointing (`full`).
 */
export const recomputeLevels = ['none', 'selective', 'full'] as const;
export type Recompute = (typeof recomputeLevels)[number];

export interface MemoryPlan {
  readonly weightBytes: number;
  readonly masterBytes: number;
  readonly momentBytes: number;
  readonly gradientBytes: number;
  /** Weights of one LoRA adapter, 0 without; masters (none), moments and gradients are then the adapter's alone. */
  readonly adapterBytes: number;
  readonly activationBytesPerToken: number;
  readonly activationBytesFixed: number;
  readonly kvBytesPerPage: number;
  readonly kvPageTokens: number;
}

export interface SamplingParams {
  /** 0 = greedy. */
  readonly temperature: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
  /** 0 = off. */
  readonly minP: number;
}

/** What keys the random number of one sampled token, besides its position in the trajectory. */
export interface SampleSeed {
  readonly runSeed: bigint;
  readonly step: number;
  readonly prompt: number;
  readonly sample: number;
}

/** One row of a step: append `tokens` (prompt, tool text or the token sampled last) to sequence `seq`, then maybe sample. */
export interface StepRow {
  readonly seq: number;
  readonly tokens: Int32Array;
  /** null: prefill only. */
  readonly sample: (SamplingParams & SampleSeed) | null;
}

export interface StepResult {
  /** One entry per row with `sample`, in row order. */
  readonly tokens: Int32Array;
  readonly logprobs: Float32Array;
}

/** Paged KV cache of one model: sequences are small integers. Pages are shared copy-on-write between forks. */
export interface KvCache {
  /** Pages free now / in all. */
  readonly pagesFree: number;
  readonly pagesTotal: number;
  /** Tokens run through the model so far by step(), prefilled and decoded (for tests and metrics). */
  readonly tokensComputed: number;
  /** A new empty sequence. */
  add(): number;
  /** A new sequence that shares all tokens of `seq` so far. */
  fork(seq: number): number;
  /** Tokens held by `seq`. */
  length(seq: number): number;
  /** Drop `seq`; its unshared pages are free again. */
  free(seq: number): void;
  /** Pages that step() would need to append `tokens` more tokens to `seq` (copy-on-write page included). */
  pagesFor(seq: number, tokens: number): number;
  /** Drop every sequence (required after each weight update; step() refuses stale sequences). */
  clear(): void;
  /** One forward pass over all rows. Rejects with ERR_KV_FULL, changing nothing, when pages are short. */
  step(rows: readonly StepRow[]): Promise<StepResult>;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A model with its weights. `trainable` models also hold gradients, masters and moments. */
export interface EngineModel {
  readonly parameterCount: number;
  readonly dtype: WeightDtype;
  readonly isa: string;
  readonly memory: MemoryPlan;
  /** Whether the model has a value head: parameters value_head.weight [1, hiddenSize] and value_head.bias [1], fp32. */
  readonly valueHead: boolean;
  /** Updates the weights have seen: grows by one with every update() of all parameters; restored by loadOptimizer(). */
  readonly version: number;
  /** Log-probs and entropies of tokens with wanted[t] != 0 (default: all but each first token). No gradients. */
  score(batch: PackedBatch, temperature: number, wanted?: Uint8Array, adapter?: AdapterUse): Promise<Scores>;
  /**
   * Values [T] of tokens with wanted[t] != 0 (default: all but each first token), 0 elsewhere; V for token t is read where t
   * is predicted. No gradients, no vocabulary. Without a value head: ERR_NO_VALUE_HEAD.
   */
  values(batch: PackedBatch, wanted?: Uint8Array): Promise<Float32Array>;
  /** Logits [rows, vocab] at the given packed positions (for tests and tools; small row counts). */
  logits(batch: PackedBatch, positions: Int32Array): Promise<Float32Array>;
  /** Forward, loss, backward; gradients accumulate until update() or zeroGradients(). */
  accumulate(batch: LossBatch, loss: LossOptions): Promise<LossResult>;
  zeroGradients(): Promise<void>;
  /** Gradient of one parameter by its HF name, row-major fp32 (for tests and embedding). */
  gradient(name: string): Promise<Float32Array>;
  /** Parameter values by HF name: the fp32 master if trainable, else the widened compute weight. */
  parameter(name: string): Promise<Float32Array>;
  /** Overwrite one parameter (fp32 row-major); rounds into the compute weight. */
  setParameter(name: string, values: Float32Array): Promise<void>;
  /** Clip, AdamW, clear gradients, version + 1. A non-finite gradient norm rejects (ERR_NOT_FINITE), weights untouched. */
  update(options: AdamWOptions): Promise<UpdateResult>;
  /** Moments and their step count back to zero, as at the start of a new phase; weights, gradients and version stay. */
  resetOptimizer(): Promise<void>;
  openKvCache(pages: number): KvCache;
  /** HF safetensors in the compute dtype, without a value head; written to a temporary name, synced, renamed. */
  saveWeights(path: string): Promise<void>;
  /** fp32 masters, moments and step count; together with nothing else they restore training to the bit. */
  saveOptimizer(path: string): Promise<void>;
  loadOptimizer(path: string): Promise<void>;
  dispose(): void;
}
