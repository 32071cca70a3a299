/**
 * From hidden states to a loss, without logits in memory, and sampling. Dimensions: R rows (or T tokens), C width, V ids.
 * Log-probs and entropies are in nats, of the distribution at `temperature`.
 */
import type { LossOptions, LossResult } from '../engine.ts';
import { Tensor } from '../tensor.ts';
import { call, type Floats, gradient, type Ints, output, shapeOf, type Weight } from './call.ts';

/** What `lossHead` and `lossHeadBackward` share. */
export interface LossHeadInputs {
  /** [R, C] normalised hidden states. Row r predicts labels[r]; shifting by one token is the caller's. */
  readonly hidden: Floats;
  /** [V, C], float32 or bfloat16, in rows or panels. */
  readonly weight: Weight;
  /** [R], below V. A negative label takes its row out: it costs nothing, its outputs and gradients are 0. */
  readonly labels: Ints;
  /** Above 0. Default 1. */
  readonly temperature?: number;
}

/** Operands of `lossHead`. */
export interface LossHeadOperands extends LossHeadInputs {
  /** [R]; made when absent, as the two below. */
  readonly logprobs?: Floats;
  /** [R] */
  readonly entropies?: Floats;
  /** [R] log of the sum of exponentials of the scaled logits, which the backward pass needs. */
  readonly lse?: Floats;
}

/**
 * Log-prob of each label and entropy of each row's distribution, in tiles of 256 columns of the vocabulary: the [R, V] matrix
 * is never allocated.
 *
 * @example const { logprobs, entropies, lse } = await kernels.lossHead({ hidden, weight, labels });
 */
export function lossHead(
  operands: LossHeadOperands,
): Promise<{ logprobs: Floats; entropies: Floats; lse: Floats }> {
  const { hidden, weight, labels, temperature = 1 } = operands;
  const shape = shapeOf(labels);
  const logprobs = output(operands.logprobs, shape);
  const entropies = output(operands.entropies, shape);
  const lse = output(operands.lse, shape);
  return call('lossHead', { hidden, weight, labels, logprobs, entropies, lse }, { temperature }, () => ({
    logprobs,
    entropies,
    lse,
  }));
}

/** Operands of `lossHeadBackward`. */
export interface LossHeadBackwardOperands extends LossHeadInputs {
  /** [R] of the forward pass. */
  readonly lse: Floats;
  /** [R] of the forward pass. */
  readonly entropies: Floats;
  /** [R] d loss / d logprob, for example from `policyLoss`. */
  readonly dLogprobs: Floats;
  /** [R] d loss / d entropy; absent: 0. */
  readonly dEntropies?: Floats;
  /** [R, C]; overwritten. Made when absent. */
  readonly dhidden?: Floats;
  /** [V, C] float32, in rows or panels; added to. Made (zeros, laid out like `weight`) when absent. */
  readonly dweight?: Floats;
}

/**
 * Gradients of `lossHead`; tiles are recomputed. d entropy / d logit_v = -p_v (log p_v + H) / temperature.
 *
 * @example const { dhidden, dweight } = await kernels.lossHeadBackward({ hidden, weight, labels, lse, entropies, dLogprobs });
 */
export function lossHeadBackward(
  operands: LossHeadBackwardOperands,
): Promise<{ dhidden: Floats; dweight: Floats }> {
  const { hidden, weight, labels, lse, entropies, dLogprobs, dEntropies, temperature = 1 } = operands;
  const dhidden = output(operands.dhidden, shapeOf(hidden));
  const dweight = gradient(operands.dweight, weight);
  const tensors = { hidden, weight, labels, lse, entropies, dLogprobs, dEntropies, dhidden, dweight };
  return call('lossHeadBackward', tensors, { temperature }, () => ({ dhidden, dweight }));
}

/** Operands of `policyLoss`, one entry per token. */
export interface PolicyLossOperands {
  /** [T] log-probs under the weights being trained. */
  readonly logprobs: Floats;
  /** [T] mask times reduction factor, 0 or more: 1/N is the mean over N tokens; 0 takes a token out of the loss. */
  readonly weight: Floats;
  /** [S + 1] from 0 to T; losses of whole sequences (gspo) need it. Default: one sequence. */
  readonly seqStarts?: Ints;
  /** [T]; needed with an entropy bonus, and for its mean. */
  readonly entropies?: Floats;
  /** [T]; not used by cross_entropy. */
  readonly advantages?: Floats;
  /** [T] log-probs under the weights at the start of the rollout batch; for losses with a ratio. */
  readonly oldLogprobs?: Floats;
  /** [T] log-probs under the reference model; for the KL term. */
  readonly refLogprobs?: Floats;
  /** [T] off-policy correction of the policy term, without gradient; absent: 1. */
  readonly policyWeight?: Floats;
  /** Which loss; see `LossOptions`. Default clips 0.2, everything else off. */
  readonly loss: Pick<LossOptions, 'kind'> & Partial<LossOptions>;
  /** [T]; made when absent. */
  readonly dLogprobs?: Floats;
  /** [T]; made when absent. */
  readonly dEntropies?: Floats;
}

/** The value, statistics (sums over tokens in the loss) and gradients of `policyLoss`. */
export type PolicyLossResult = Omit<LossResult, 'logprobs'> & { dLogprobs: Floats; dEntropies: Floats };

/**
 * The loss Σ weight (policy term + klCoef · KL) - entropyCoef · entropy and its derivatives by log-prob and entropy, which
 * `lossHeadBackward` takes. Terms: PPO clip (Schulman 2017, eq. 7), GSPO (Zheng 2025, eq. 5), CISPO (MiniMax-M1 2025, eq. 4),
 * REINFORCE, cross-entropy. Rejects with ERR_NOT_FINITE naming the token and the quantity, ERR_LOSS_INPUT (an array the loss
 * needs is missing), ERR_LOSS_OPTION.
 *
 * @example const { loss, dLogprobs } = await kernels.policyLoss({ logprobs, weight, advantages, oldLogprobs, loss: options });
 */
export function policyLoss(operands: PolicyLossOperands): Promise<PolicyLossResult> {
  const { logprobs, weight, entropies, advantages, oldLogprobs, refLogprobs, policyWeight, loss } = operands;
  const dLogprobs = output(operands.dLogprobs, shapeOf(logprobs));
  const dEntropies = output(operands.dEntropies, shapeOf(logprobs));
  const tokens = shapeOf(logprobs).reduce((product, size) => product * size, 1);
  const seqStarts =
    operands.seqStarts ?? Tensor.from(tokens > 0 ? Int32Array.of(0, tokens) : Int32Array.of(0));
  const tensors = {
    logprobs,
    weight,
    seqStarts,
    entropies,
    advantages,
    oldLogprobs,
    refLogprobs,
    policyWeight,
    dLogprobs,
    dEntropies,
  };
  return call('policyLoss', tensors, { loss }, (stats) => ({
    ...(stats as Omit<LossResult, 'logprobs'>),
    dLogprobs,
    dEntropies,
  }));
}

/** What keys the random number of one row: the same key gives the same token on every machine and in any batch. */
export interface SampleKey {
  readonly runSeed: bigint;
  readonly step: number;
  readonly prompt: number;
  readonly sample: number;
  readonly position: number;
}

/** Operands of `sample`. Filters are applied in the order top-k (ties stay), top-p, min-p. */
export interface SampleOperands {
  /** [R, V] logits, not divided by the temperature. */
  readonly logits: Floats;
  /** One per row. */
  readonly keys: readonly SampleKey[];
  /** 0 = greedy. One number, or one per row. Default 1. */
  readonly temperature?: number | readonly number[];
  /** 0 = off. Default 0. */
  readonly topK?: number | readonly number[];
  /** 1 = off. Default 1. */
  readonly topP?: number | readonly number[];
  /** 0 = off. Default 0. */
  readonly minP?: number | readonly number[];
  /** [R]; made when absent. */
  readonly tokens?: Ints;
  /** [R] log-prob of the token at the temperature, before the filters (greedy: at 1). Made when absent. */
  readonly logprobs?: Floats;
}

/**
 * One token per row, drawn with Philox4x32-10 (Salmon et al. 2011) keyed by `keys`. The log-prob is that of `lossHead` to the
 * bit for the same logits. Rejects with ERR_NOT_FINITE when a row has no usable distribution.
 *
 * @example const { tokens } = await kernels.sample({ logits, keys: [{ runSeed: 1n, step: 0, prompt: 0, sample: 0, position: 5 }] });
 */
export function sample(operands: SampleOperands): Promise<{ tokens: Ints; logprobs: Floats }> {
  const { logits, keys } = operands;
  const rows = shapeOf(logits)[0] ?? 0;
  const tokens = output(operands.tokens, [rows], 'int32');
  const logprobs = output(operands.logprobs, [rows]);
  const places = new Uint32Array(4 * keys.length);
  for (const [r, key] of keys.entries()) {
    places.set(
      [place(key, 'step', r), place(key, 'prompt', r), place(key, 'sample', r), place(key, 'position', r)],
      4 * r,
    );
  }
  const options = {
    temperature: Float32Array.from(perRow(operands.temperature ?? 1, rows)),
    topK: Int32Array.from(perRow(operands.topK ?? 0, rows)),
    topP: Float32Array.from(perRow(operands.topP ?? 1, rows)),
    minP: Float32Array.from(perRow(operands.minP ?? 0, rows)),
    seeds: BigUint64Array.from(keys, (key) => key.runSeed),
    places,
  };
  return call('sample', { logits, tokens, logprobs }, options, () => ({ tokens, logprobs }));
}

function perRow(value: number | readonly number[], rows: number): readonly number[] {
  return typeof value === 'number' ? new Array<number>(rows).fill(value) : value;
}

function place(key: SampleKey, field: Exclude<keyof SampleKey, 'runSeed'>, row: number): number {
  const value = key[field];
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value;
  throw new RangeError(
    `sample: expected an integer from 0 to 2^32 - 1 for keys[${row}].${field} but received ${value}`,
  );
}
