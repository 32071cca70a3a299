/**
 * Correction of rollouts that the current weights did not sample (parked trajectories, rollouts from elsewhere), computed natively
 * (binding/engine/correction): a weight on the policy term, without gradient, and rejection of what is too far off.
 */
import type { CorrectionOptions, CorrectionWeights, KlEstimate } from '../model/native-advantages.ts';
import { native } from '../native.ts';

export type { CorrectionOptions, CorrectionWeights, KlEstimate } from '../model/native-advantages.ts';

/**
 * exp(lo - ls) per token or sequence, exponents held to +-20. `oldLogprobs` are under the weights at the start of the rollout
 * batch, `sampledLogprobs` as recorded while sampling. Errors: ERR_CORRECTION_OPTION, ERR_NOT_FINITE (names the token).
 */
export function correctionWeights(
  oldLogprobs: Float32Array,
  sampledLogprobs: Float32Array,
  mask: Uint8Array,
  seqStarts: Int32Array,
  options: CorrectionOptions,
): CorrectionWeights {
  return native().correctionWeights(oldLogprobs, sampledLogprobs, mask, seqStarts, options);
}

/** [T] the estimate at every token with mask 1, 0 elsewhere; in nats. */
export function klEstimates(
  kind: KlEstimate,
  logprobs: Float32Array,
  refLogprobs: Float32Array,
  mask: Uint8Array,
): Float32Array {
  return native().klEstimates({ kind }, logprobs, refLogprobs, mask);
}
