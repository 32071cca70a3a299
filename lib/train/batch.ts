/**
 * From ledgers to packed batches. A mini-batch (one optimizer update) is a list of rows in canonical order (prompt, sample);
 * its reduction's denominators are fixed from all rows first, then it is cut into micro-batches at sequence boundaries.
 * Micro-batches bound memory only: gradients are the same to the bit however the cut falls.
 */
import type { LossBatch } from '../model/engine.ts';
import { type Ledger, Origin } from '../rollout/ledger.ts';

/**
 * How per-token losses become one number over a mini-batch of S rows with policy tokens, row s having n_s of them:
 * `token_mean` sum / (sum of n_s); `sequence_mean` mean over rows of each row's token mean (R1-CI's paper form);
 * `sequence_sum` mean over rows of each row's token sum; `constant` sum / (S * constant) (Dr.GRPO).
 * Rows without policy tokens are not counted, unless lossWeights is told to.
 */
export type Reduction = 'token_mean' | 'sequence_mean' | 'sequence_sum' | { readonly constant: number };

/** One sequence of a mini-batch; per-token arrays are aligned with the ledger's tokens. */
export interface Row {
  readonly ledger: Ledger;
  /** [length] advantage of each token; null for SFT. */
  readonly advantages: Float32Array | null;
  /** [length] log-probs under the weights at the start of the rollout batch; null for SFT. */
  readonly oldLogprobs: Float32Array | null;
  /** [length] log-probs under the reference model, or null. */
  readonly refLogprobs: Float32Array | null;
  /** [length] correction weight of the policy term (correction.ts), or null for 1. */
  readonly policyWeights?: Float32Array | null;
}

/** Which tokens of a row are in the loss: its masked-in policy tokens, and with `unmaskTool` the tool's tokens too. */
export function lossMask(ledger: Ledger, unmaskTool: boolean): Uint8Array {
  const mask = Uint8Array.from(ledger.mask);
  if (unmaskTool) {
    for (let t = 1; t < mask.length; t++) if (ledger.origins[t] === Origin.tool) mask[t] = 1;
  }
  return mask;
}

/** Sum of a 0/1 mask. */
export function countTokens(mask: Uint8Array): number {
  let count = 0;
  for (const m of mask) count += m;
  return count;
}

/**
 * The per-token weights (mask times reduction factor) of every row of a mini-batch. `countEmpty`: rows without policy tokens
 * count in the number of rows (as in TRL; verl leaves them out, and so does this by default).
 */
export function lossWeights(
  masks: readonly Uint8Array[],
  reduction: Reduction,
  countEmpty = false,
): Float32Array[] {
  const counts = masks.map(countTokens);
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  const sequences = countEmpty ? counts.length : counts.filter((count) => count > 0).length;
  return masks.map((mask, row) => {
    const count = counts[row]!;
    const weights = new Float32Array(mask.length);
    if (count === 0) return weights;
    const factor =
      reduction === 'token_mean'
        ? 1 / tokens
        : reduction === 'sequence_mean'
          ? 1 / (sequences * count)
          : reduction === 'sequence_sum'
            ? 1 / sequences
            : 1 / (sequences * reduction.constant);
    for (let t = 0; t < mask.length; t++) if (mask[t] === 1) weights[t] = factor;
    return weights;
  });
}

/**
 * Cut rows into packs of at most `tokens` tokens, in order; a longer row is a pack of its own.
 * Returns lists of row indices.
 */
export function cutRows(lengths: readonly number[], tokens: number): number[][] {
  const packs: number[][] = [];
  let room = 0;
  lengths.forEach((length, row) => {
    const last = packs.at(-1);
    if (last === undefined || length > room) {
      packs.push([row]);
      room = tokens - length;
    } else {
      last.push(row);
      room -= length;
    }
  });
  return packs;
}

/** Concatenate per-row columns: packed [T] and starts [S + 1]. */
export function packColumns<A extends Float32Array | Uint8Array>(
  rows: readonly A[],
  kind: new (length: number) => A,
): { packed: A; starts: Int32Array } {
  const starts = new Int32Array(rows.length + 1);
  rows.forEach((row, s) => {
    starts[s + 1] = starts[s]! + row.length;
  });
  const packed = new kind(starts[rows.length]!);
  rows.forEach((row, s) => {
    packed.set(row, starts[s]!);
  });
  return { packed, starts };
}

/** Concatenate ledgers' ids: tokens [T] and seqStarts [S + 1]. */
export function packIds(ledgers: readonly Ledger[]): { tokens: Int32Array; seqStarts: Int32Array } {
  const seqStarts = new Int32Array(ledgers.length + 1);
  ledgers.forEach((ledger, s) => {
    seqStarts[s + 1] = seqStarts[s]! + ledger.length;
  });
  const tokens = new Int32Array(seqStarts[ledgers.length]!);
  ledgers.forEach((ledger, s) => {
    tokens.set(ledger.ids, seqStarts[s]!);
  });
  return { tokens, seqStarts };
}

/** Pack rows into one loss batch; `weights` as made by lossWeights for the whole mini-batch. */
export function packRows(
  rows: readonly Row[],
  weights: readonly Float32Array[],
  temperature: number,
): LossBatch {
  const { tokens, seqStarts } = packIds(rows.map((row) => row.ledger));
  const total = tokens.length;
  const column = (of: (row: Row) => Float32Array | null | undefined): Float32Array | null => {
    if (!rows.some((row) => of(row))) return null;
    const packed = new Float32Array(total);
    rows.forEach((row, s) => {
      const own = of(row);
      if (own) packed.set(own, seqStarts[s]!);
    });
    return packed;
  };
  const weight = new Float32Array(total);
  weights.forEach((own, s) => {
    weight.set(own, seqStarts[s]!);
  });
  const advantages = column((row) => row.advantages);
  const oldLogprobs = column((row) => row.oldLogprobs);
  const refLogprobs = column((row) => row.refLogprobs);
  const policyWeight = column((row) => row.policyWeights);
  return {
    tokens,
    seqStarts,
    temperature,
    weight,
    ...(advantages ? { advantages } : {}),
    ...(oldLogprobs ? { oldLogprobs } : {}),
    ...(refLogprobs ? { refLogprobs } : {}),
    ...(policyWeight ? { policyWeight } : {}),
  };
}
