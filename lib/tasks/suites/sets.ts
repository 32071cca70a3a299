/**
 * The three sets of a published task: cold start, training (RL) and evaluation. Each question is in exactly one of them.
 * Evaluation is the split 'heldout' of other tasks, the two others together are 'train'.
 *
 * Published questions are put into sets once, when their package is made: in the order of their hashes, a fifth for evaluation,
 * a fifth for the cold start (each at least 20, or a third where there are fewer than 60 in all), the rest for training.
 * The package's files state the result. A generated question is placed by its own hash, a fifth, a fifth and three fifths,
 * unless it is one of the published ones.
 */
import { createHash } from 'node:crypto';
import { placeContent } from '../task.ts';

export const setNames = ['coldStart', 'training', 'evaluation'] as const;
export type SetName = (typeof setNames)[number];

/** Sets smaller than this say little: published ones are kept from it where possible, generators fill up the others. */
export const kSmallestSet = 20;
const kShare = 5;

const hashOf = (task: string, id: string) => createHash('sha256').update(`sets\n${task}\n${id}`).digest();

/** The set of each published question of the named task (`bbh/navigate`), by its id. */
export function assignSets(task: string, ids: readonly string[]): ReadonlyMap<string, SetName> {
  const ranked = ids
    .map((id) => ({ id, hash: hashOf(task, id).toString('hex') }))
    .sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));
  const each = Math.max(
    Math.round(ids.length / kShare),
    Math.min(kSmallestSet, Math.floor(ids.length / setNames.length)),
  );
  const setAt = (rank: number): SetName =>
    rank < each ? 'evaluation' : rank < 2 * each ? 'coldStart' : 'training';
  return new Map(ranked.map(({ id }, rank) => [id, setAt(rank)]));
}

/** The set of a question that is not one of the published ones. */
export function setOfGenerated(task: string, id: string): SetName {
  if (placeContent(task, id).split === 'heldout') return 'evaluation';
  return hashOf(task, id).readUInt32BE(0) % (kShare - 1) === 0 ? 'coldStart' : 'training';
}
