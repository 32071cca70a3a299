/**
 * The part of the native addon behind advantages, returns and correction weights (binding/napi/advantages.cc): synchronous calls on
 * token-aligned arrays. lib/train/advantage.ts and correction.ts say what they compute.
 */

export interface AdvantageOptions {
  /** `sample` divides by n - 1 under the root, `population` by n, `none` does not divide (Dr.GRPO). */
  readonly std: 'sample' | 'population' | 'none';
  /** Over which rewards the deviation is taken: the group's (default) or the whole batch's; the mean is always the group's. */
  readonly scope?: 'group' | 'batch';
  readonly eps: number;
  readonly kind: 'grpo' | 'rloo';
}

export interface GroupAdvantages {
  readonly advantages: Float32Array;
  /** Groups with one valid member or all rewards equal: no gradient comes from them. */
  readonly deadGroups: number;
}

export interface CorrectionOptions {
  /** Weight by token, or one for the sequence: of the sum, or of the mean (geometric), of lo - ls. */
  readonly level: 'token' | 'sequence' | 'geometric';
  /** Weights are cut to at most this (truncated importance sampling); 0 = no cap. */
  readonly cap: number;
  /** Outside [low, high]: `mask` takes tokens out of the loss (verl: denominators shrink), `zero` keeps them in it (IcePop). */
  readonly reject: 'none' | 'mask' | 'zero';
  readonly low: number;
  /** 0 = no upper bound. */
  readonly high: number;
  /** Divide by the batch's mean weight. */
  readonly normalise: boolean;
}

export interface CorrectionWeights {
  /** [T]; 0 where mask is 0. */
  readonly weights: Float32Array;
  /** [T] mask without what was rejected by `mask`. */
  readonly keep: Uint8Array;
  /** Policy tokens; how many of them were capped, rejected; sum and maximum of the weights before cap and rejection. */
  readonly tokens: number;
  readonly capped: number;
  readonly rejected: number;
  readonly weightSum: number;
  readonly weightMax: number;
}

/** Estimates of KL(policy || reference) without gradient: k1 = lp - lr, abs, k2 = k1^2 / 2, k3 (Schulman 2020). */
export type KlEstimate = 'k1' | 'abs' | 'k2' | 'k3';

export interface NativeAdvantageFunctions {
  /** See lib/train/advantage.ts. Throws ERR_NOT_FINITE (naming the trajectory) or ERR_ADVANTAGE_OPTION. */
  groupAdvantages(
    rewards: Float32Array,
    valid: Uint8Array,
    groupSize: number,
    options: AdvantageOptions,
  ): GroupAdvantages;
  /** See lib/train/advantage.ts. */
  tokenReturns(rewards: Float32Array, mask: Uint8Array, seqStarts: Int32Array, gamma: number): Float32Array;
  tokenGae(
    rewards: Float32Array,
    values: Float32Array,
    mask: Uint8Array,
    seqStarts: Int32Array,
    options: { gamma: number; lambda: number },
  ): { advantages: Float32Array; returns: Float32Array };
  whiten(values: Float32Array, mask: Uint8Array, options: { eps?: number; keepMean?: boolean }): number;
  /** See lib/train/correction.ts. */
  correctionWeights(
    oldLogprobs: Float32Array,
    sampledLogprobs: Float32Array,
    mask: Uint8Array,
    seqStarts: Int32Array,
    options: CorrectionOptions,
  ): CorrectionWeights;
  klEstimates(
    options: { kind: KlEstimate },
    logprobs: Float32Array,
    refLogprobs: Float32Array,
    mask: Uint8Array,
  ): Float32Array;
}
