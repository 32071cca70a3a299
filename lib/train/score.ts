/** From trajectories to rewards: the verifier's verdict first, then the reward function, each part kept for the log. */
import { errorMessage, ToolgradError } from '../errors.ts';
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

/**
 * Score a rollout batch. A trajectory lost to infrastructure is not scored: reward 0, no parts, and it leaves its group.
 * A verifier or reward that throws, or gives what is not a finite number, is ERR_REWARD naming the trajectory.
 */
export function scoreRollouts(
  trajectories: readonly Trajectory[],
  tasks: ReadonlyMap<string, Task>,
  reward: Reward,
): Scored[] {
  return trajectories.map((trajectory) => {
    if (trajectory.end === 'infrastructure') return { trajectory, correct: false, reward: 0, parts: {} };
    const { question, sample, answer, calls, turns, text, ledger } = trajectory;
    try {
      const correct = isCorrect(question, answer, tasks);
      const truncated = kTruncated.has(trajectory.end);
      const tokens = policyTokens(ledger);
      const { total, parts } = scoreTrajectory(
        reward,
        { question, answer, correct, text, turns, calls, truncated, tokens },
        `sample ${sample}`,
      );
      return { trajectory, correct, reward: total, parts };
    } catch (cause) {
      throw new ToolgradError(
        'ERR_REWARD',
        `scoring sample ${sample} of question ${question.id}: ${errorMessage(cause)}`,
        { cause },
      );
    }
  });
}

/** Tokens of a ledger that the policy wrote. */
export function policyTokens(ledger: Ledger): number {
  let count = 0;
  for (let t = 0; t < ledger.length; t++) if (ledger.origins[t] === Origin.policy) count += 1;
  return count;
}
