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
  readonly kind: 'cross_entropy' | 'reinforce' | 'ppo_clip' | 'gspo' | 'gspo_token' | 'cispo';
  readonly clipLow: number;
  readonly clipHigh: number;
  /** 0 = off; otherwise for A < 0 the loss is at most -dualClip * A. */
  readonly dualClip: number;
  readonly kl: 'none' | 'k2' | 'k3' | 'k1+' | 'k3+';
  readonly klCoef: number;
  readonly entropyCoef: number;
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
}

/** Sums and counts over the tokens with weight != 0, so that micro-batches can be added. */
export interface LossResult {
  readonly loss: number;
  readonly policyLoss: number;
  readonly klLoss: number;
  readonly tokens: number;
  readonly ratioSum: number;
  readonly ratioMax: number;
  readonly clipLowCount: number;
  readonly clipHighCount: number;
  readonly dualClipCount: number;
  readonly klSum: number;
  readonly entropySum: number;
  /** [T] log-probs recomputed in this pass, 0 where weight is 0. */
  readonly logprobs: Float32Array;
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
}

export interface UpdateResult {
  readonly gradNorm: number;
  readonly clipped: boolean;
  /** Optimizer steps taken so far, this one included. */
  readonly step: number;
}

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
  /** Updates the weights have seen: grows by one with every update(), and is restored by loadOptimizer(). */
  readonly version: number;
  /** Log-probs and entropies of tokens with wanted[t] != 0 (default: all but each first token). No gradients. */
  score(batch: PackedBatch, temperature: number, wanted?: Uint8Array, adapter?: AdapterUse): Promise<Scores>;
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
  /** HF safetensors in the compute dtype; written to a temporary name, synced, renamed. */
  saveWeights(path: string): Promise<void>;
  /** fp32 masters, moments and step count; together with nothing else they restore training to the bit. */
  saveOptimizer(path: string): Promise<void>;
  loadOptimizer(path: string): Promise<void>;
  dispose(): void;
}
