/**
 * Scoring passes of a policy step: log-probs and entropies of packed rows, and the check that the log-prob recomputed from the
 * recorded ids equals the sampled one to the bit.
 */
import { ToolgradError } from '../errors.ts';
import type { Scores } from '../model/engine.ts';
import type { Ledger } from '../rollout/ledger.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import { cutRows, packIds } from './batch.ts';

/** What scores: a model, or the same model without its adapter. */
export interface Scorer {
  score(
    batch: { readonly tokens: Int32Array; readonly seqStarts: Int32Array },
    temperature: number,
    wanted?: Uint8Array,
  ): Promise<Scores>;
}

export interface ScoreOptions {
  readonly temperature: number;
  readonly microBatchTokens: number;
  readonly signal?: AbortSignal | undefined;
  /** Awaited before each pack. */
  readonly turn?: (() => Promise<void>) | undefined;
}

/**
 * Log-probs and entropies of the masked tokens of rows `indices`, in packs of at most `microBatchTokens`; `take` gets one row at
 * a time. Obeys the signal between packs.
 */
export async function scoreRows(
  scorer: Scorer,
  ledgers: readonly Ledger[],
  masks: readonly Uint8Array[],
  indices: readonly number[],
  options: ScoreOptions,
  take: (row: number, logprobs: Float32Array, entropies: Float32Array) => void,
): Promise<void> {
  const packs = cutRows(
    indices.map((i) => ledgers[i]!.length),
    options.microBatchTokens,
  );
  for (const pack of packs) {
    await options.turn?.();
    options.signal?.throwIfAborted();
    const members = pack.map((p) => indices[p]!);
    const { tokens, seqStarts } = packIds(members.map((i) => ledgers[i]!));
    const wanted = new Uint8Array(tokens.length);
    members.forEach((i, s) => {
      wanted.set(masks[i]!, seqStarts[s]!);
    });
    const { logprobs, entropies } = await scorer.score({ tokens, seqStarts }, options.temperature, wanted);
    members.forEach((i, s) => {
      const [start, end] = [seqStarts[s]!, seqStarts[s + 1]!];
      take(i, logprobs.slice(start, end), entropies.slice(start, end));
    });
  }
}

/** max |recomputed - sampled| over the policy tokens in the loss that `version` wrote; throws when it is not 0. */
export function gapOf(
  trajectory: Trajectory,
  mask: Uint8Array,
  recomputed: Float32Array,
  version: number,
): number {
  const { ledger, question, sample } = trajectory;
  let gap = 0;
  for (let t = 0; t < ledger.length; t++) {
    if (mask[t] !== 1 || ledger.mask[t] !== 1 || ledger.versions[t] !== version) continue;
    const difference = Math.abs(recomputed[t]! - ledger.logprobs[t]!);
    if (!(difference <= gap)) gap = difference;
    if (difference !== 0) {
      throw new ToolgradError(
        'ERR_LOGPROB_GAP',
        `log-prob gap ${difference} at token ${t} of sample ${sample} of question ${question.id}: expected the log-prob ` +
          'recomputed from the recorded ids to equal the sampled one to the bit; weights or records changed in between',
      );
    }
  }
  return gap;
}
