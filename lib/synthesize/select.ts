/**
 * Which of the right traces are kept: no two alike, at most so many of a task, and of too many rather those of several turns.
 * A function of the attempts and the seed; the order in which they came in changes nothing.
 */
import { createHash } from 'node:crypto';
import { createRandom } from '../tasks/random.ts';
import type { Attempt } from './attempt.ts';

const kStream = 0x6b65_6570;

/**
 * The attempts with their last verdicts. Of a task's right traces `perTask` are drawn without replacement, a trace of several
 * turns with `multiTurnWeight` times the weight of one of a single turn (each gets the key u^(1/w), the greatest are kept:
 * Efraimidis and Spirakis, 2006).
 */
export function selectTraces(
  attempts: readonly Attempt[],
  options: { readonly perTask: number; readonly multiTurnWeight: number; readonly seed: number },
): Attempt[] {
  const seen = new Set<string>();
  const judged = attempts.map((attempt): Attempt => {
    if (attempt.dropped !== null) return attempt;
    const { question } = attempt.plan;
    const key = JSON.stringify([question.id, attempt.turns]);
    if (seen.has(key)) {
      return { ...attempt, dropped: 'duplicate', detail: 'the same as another trace of this question' };
    }
    seen.add(key);
    return attempt;
  });
  const over = new Set<Attempt>();
  const right = judged.filter(({ dropped }) => dropped === null);
  for (const task of new Set(right.map(({ plan }) => plan.question.task))) {
    const list = right.filter(({ plan }) => plan.question.task === task);
    if (list.length <= options.perTask) continue;
    const keyed = list.map((attempt) => {
      const word = createHash('sha256').update(attempt.plan.id).digest().readUInt32BE(0);
      const weight = attempt.turns.length > 1 ? options.multiTurnWeight : 1;
      return { attempt, key: createRandom(options.seed, [kStream, word]).unit() ** (1 / weight) };
    });
    keyed.sort((a, b) => b.key - a.key);
    for (const { attempt } of keyed.slice(options.perTask)) over.add(attempt);
  }
  return judged.map((attempt) =>
    over.has(attempt)
      ? { ...attempt, dropped: 'over_cap', detail: `more than ${options.perTask} of this task` }
      : attempt,
  );
}
