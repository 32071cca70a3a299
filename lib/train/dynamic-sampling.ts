/**
 * Dynamic sampling (DAPO, Yu et al. 2025, section 3.2): groups that are all right or all wrong teach nothing and are dropped; more
 * questions are asked, in order, until the batch is full or the cap on rounds is reached. What is too much is dropped in prompt
 * order, so the batch is a function of the questions alone.
 *
 * The test is on accuracy, not on the shaped reward: format and length terms would make every group look alive.
 */
import type { RolloutStats } from '../rollout/trajectory.ts';
import type { Scored } from './score.ts';

export interface Round {
  readonly scored: readonly Scored[];
  readonly stats: RolloutStats;
}

export interface FilledBatch extends Round {
  /** Rounds of generation, questions asked, groups dropped because they were all right or all wrong, and groups left over. */
  readonly rounds: number;
  readonly questions: number;
  readonly dropped: number;
  readonly surplus: number;
}

/**
 * Ask `prompts` questions a round, at most `maxRounds` times; `ask(round)` samples and scores them as whole groups. The batch holds
 * at most `prompts` groups. When no group is alive after the last round, the first round's groups are the batch: nothing is
 * learned from them, but the step is seen.
 */
export async function fillBatch(
  prompts: number,
  groupSize: number,
  maxRounds: number,
  ask: (round: number) => Promise<Round>,
): Promise<FilledBatch> {
  const alive: Scored[][] = [];
  let first: readonly Scored[] = [];
  let stats: RolloutStats | null = null;
  let rounds = 0;
  let dropped = 0;
  while (rounds < maxRounds && alive.length < prompts) {
    const round = await ask(rounds);
    if (rounds === 0) first = round.scored;
    stats = stats === null ? round.stats : addStats(stats, round.stats);
    rounds += 1;
    for (let at = 0; at < round.scored.length; at += groupSize) {
      const group = round.scored.slice(at, at + groupSize);
      if (isMixed(group)) alive.push(group);
      else dropped += 1;
    }
  }
  if (stats === null) throw new RangeError(`fillBatch: expected at least one round, found ${maxRounds}`);
  const scored = alive.length === 0 ? first : alive.slice(0, prompts).flat();
  const surplus = Math.max(0, alive.length - prompts);
  return { scored, stats, rounds, questions: rounds * prompts, dropped, surplus };
}

/** Some right and some wrong; trajectories lost to infrastructure say nothing. */
function isMixed(group: readonly Scored[]): boolean {
  const judged = group.filter(({ trajectory }) => trajectory.end !== 'infrastructure');
  return judged.some(({ correct }) => correct) && judged.some(({ correct }) => !correct);
}

function addStats(a: RolloutStats, b: RolloutStats): RolloutStats {
  const keys = Object.keys(a) as (keyof RolloutStats)[];
  return Object.fromEntries(keys.map((key) => [key, a[key] + b[key]])) as unknown as RolloutStats;
}
