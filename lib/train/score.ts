/** From trajectories to rewards: the verifier's verdict first, then the reward function, each part kept for the log. */
import { errorMessage, ToolgradError } from '../errors.ts';
import { isCorrect } from '../eval/evaluate.ts';
import { type Ledger, Origin } from '../rollout/ledger.ts';
import { type Trajectory, truncatedEnds } from '../rollout/trajectory.ts';
import {
  type Overlong,
  overlongPenalty,
  type Reward,
  type RewardParts,
  scoreTrajectory,
  sumOfParts,
} from '../tasks/reward.ts';
import type { Task } from '../tasks/task.ts';

export interface Scored {
  readonly trajectory: Trajectory;
  readonly correct: boolean;
  readonly reward: number;
  readonly parts: RewardParts['parts'];
}

/** Overlong shaping of a run: which tokens count is a choice (verl counts the tool's). */
export interface OverlongShaping extends Overlong {
  readonly countsTool: boolean;
}

/**
 * Score a rollout batch. A trajectory lost to infrastructure is not scored: reward 0, no parts, and it leaves its group.
 * A verifier or reward that throws, or gives what is not a finite number, is ERR_REWARD naming the trajectory.
 */
export function scoreRollouts(
  trajectories: readonly Trajectory[],
  tasks: ReadonlyMap<string, Task>,
  reward: Reward,
  overlong?: OverlongShaping,
): Scored[] {
  return trajectories.map((trajectory) => {
    if (trajectory.end === 'infrastructure') return { trajectory, correct: false, reward: 0, parts: {} };
    const { question, sample, answer, calls, turns, text, ledger } = trajectory;
    try {
      const correct = isCorrect(question, answer, tasks);
      const truncated = truncatedEnds.has(trajectory.end);
      const tokens = policyTokens(ledger);
      const scored = scoreTrajectory(
        reward,
        { question, answer, correct, text, turns, calls, truncated, tokens },
        `sample ${sample}`,
      );
      if (overlong === undefined) return { trajectory, correct, reward: scored.total, parts: scored.parts };
      const length = overlong.countsTool ? lengthAfterPrompt(ledger) : tokens;
      const penalty = { overlong: overlongPenalty(length, overlong) };
      const parts = { ...scored.parts, ...penalty };
      return { trajectory, correct, reward: sumOfParts({ total: scored.total, ...penalty }).total, parts };
    } catch (cause) {
      throw new ToolgradError(
        'ERR_REWARD',
        `scoring sample ${sample} of question ${question.id}: ${errorMessage(cause)}`,
        { cause },
      );
    }
  });
}

/** Tokens of a ledger that are not the prompt's. */
function lengthAfterPrompt(ledger: Ledger): number {
  let prompt = 0;
  while (prompt < ledger.length && ledger.origins[prompt] === Origin.prompt) prompt += 1;
  return ledger.length - prompt;
}

/** Tokens of a ledger that the policy wrote. */
export function policyTokens(ledger: Ledger): number {
  let count = 0;
  for (let t = 0; t < ledger.length; t++) if (ledger.origins[t] === Origin.policy) count += 1;
  return count;
}
