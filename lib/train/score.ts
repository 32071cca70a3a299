/** From trajectories to rewards: the verifier's verdict first, then the reward function, each part kept for the log. */
import { isCorrect } from '../eval/evaluate.ts';
import { type Ledger, Origin } from '../rollout/ledger.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import { type Reward, type RewardParts, scoreTrajectory } from '../tasks/reward.ts';
import type { Task } from '../tasks/task.ts';

export interface Scored {
  readonly trajectory: Trajectory;
  readonly correct: boolean;
  readonly reward: number;
  readonly parts: RewardParts['parts'];
}

const kTruncated: ReadonlySet<string> = new Set(['turn_length', 'total_length', 'overflow', 'time_limit']);

/** Score a rollout batch. A trajectory lost to infrastructure is not scored: reward 0, no parts, and it leaves its group. */
export function scoreRollouts(
  trajectories: readonly Trajectory[],
  tasks: ReadonlyMap<string, Task>,
  reward: Reward,
): Scored[] {
  return trajectories.map((trajectory) => {
    if (trajectory.end === 'infrastructure') return { trajectory, correct: false, reward: 0, parts: {} };
    const { question, answer, calls, turns, text, ledger } = trajectory;
    const correct = isCorrect(question, answer, tasks);
    const { total, parts } = scoreTrajectory(
      reward,
      {
        question,
        answer,
        correct,
        text,
        turns,
        calls: calls.map(({ status, seconds, code, output }) => ({
          status,
          seconds,
          code,
          output: output ?? '',
        })),
        truncated: kTruncated.has(trajectory.end),
        tokens: policyTokens(ledger),
      },
      `sample ${trajectory.sample}`,
    );
    return { trajectory, correct, reward: total, parts };
  });
}

/** Tokens of a ledger that the policy wrote. */
export function policyTokens(ledger: Ledger): number {
  let count = 0;
  for (let t = 0; t < ledger.length; t++) if (ledger.origins[t] === Origin.policy) count += 1;
  return count;
}
