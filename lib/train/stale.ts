/** What a policy step works out about tokens before it trains: which are stale, their correction, and what KL took off rewards. */
import type { Ledger } from '../rollout/ledger.ts';
import { packColumns } from './batch.ts';
import { type CorrectionOptions, correctionWeights } from './correction.ts';

/** Correction weights of the whole batch, and the masks without what was rejected. */
export function correct(
  ledgers: readonly Ledger[],
  masks: readonly Uint8Array[],
  old: readonly Float32Array[],
  options: CorrectionOptions,
) {
  const { packed: mask, starts } = packColumns(masks, Uint8Array);
  const sampled = packColumns(
    ledgers.map((ledger) => ledger.logprobs),
    Float32Array,
  ).packed;
  const result = correctionWeights(packColumns(old, Float32Array).packed, sampled, mask, starts, options);
  const cut = <A extends Float32Array | Uint8Array>(packed: A) =>
    ledgers.map((_, i) => packed.slice(starts[i], starts[i + 1]) as A);
  const share = 1 / Math.max(1, result.tokens);
  return {
    weights: cut(result.weights),
    masks: cut(result.keep),
    report: {
      mean: result.weightSum * share,
      max: result.weightMax,
      capped: result.capped * share,
      rejected: result.rejected * share,
    },
  };
}

/** Policy tokens in the loss that other weights than the current ones sampled. */
export function countStale(ledger: Ledger, mask: Uint8Array, version: number): number {
  let count = 0;
  for (let t = 0; t < ledger.length; t++) {
    if (mask[t] === 1 && ledger.mask[t] === 1 && ledger.versions[t] !== version) count += 1;
  }
  return count;
}

export function meanPenalty(
  penalties: readonly Float32Array[] | null,
  masks: readonly Uint8Array[],
  kept: readonly number[],
): number {
  if (penalties === null || kept.length === 0) return 0;
  let sum = 0;
  for (const i of kept) {
    masks[i]!.forEach((m, t) => {
      if (m === 1) sum += penalties[i]![t]!;
    });
  }
  return sum / kept.length;
}
