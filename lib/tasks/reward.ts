/**
 * Rewards: plain functions from a finished trajectory to a number and its named parts.
 *
 * The parts add up to the total, so that logs show what was rewarded. A trajectory that ended in an infrastructure failure is
 * never scored: the caller removes it from its group first. Numbers follow the sources named at each preset.
 */

/** One executed tool call of a trajectory. */
export interface ScoredCall {
  /** The tool's status, e.g. `ok`, `exception`, `timeout`. */
  status: string;
  seconds: number;
  code: string;
  /** What the model was shown; null when the trajectory ended before it was appended. */
  output: string | null;
}

/** What a reward may look at. */
export interface ScoredInput {
  question: { id: string; task: string; prompt: string; answer: string };
  /** The final answer found in the answer format, without its markers; null if there is none. */
  answer: string | null;
  /** Whether the task's verifier accepted the answer. */
  correct: boolean;
  /** What the policy wrote, without prompt and tool output. */
  text: string;
  /** Turns the policy took. */
  turns: number;
  calls: readonly ScoredCall[];
  /** Whether a limit (tokens, turns, time) ended the trajectory. */
  truncated: boolean;
  /** Tokens the policy wrote. */
  tokens: number;
}

/** A reward and what it is made of; the parts add up to the total. */
export interface RewardParts {
  total: number;
  parts: Record<string, number>;
}

/** Scores a finished trajectory. */
export type Reward = (trajectory: ScoredInput) => RewardParts;

/** Adds named parts up; the sum is rounded to 12 decimals so that 1 + 0.1 - 0.1 is exactly 1. */
export function sumOfParts(parts: Record<string, number>): RewardParts {
  const total = Object.values(parts).reduce((sum, part) => sum + part, 0);
  return { total: Math.round(total * 1e12) / 1e12, parts };
}

/** 1 if the answer is right, else 0. */
export const correctReward: Reward = ({ correct }) => sumOfParts({ correct: correct ? 1 : 0 });

/**
 * R1-Code-Interpreter (version with turn penalty): +1 for a right answer, +0.1 if the final answer stands in the answer
 * format and -0.1 otherwise, -0.1 when more than 6 turns were used.
 */
export const r1ciReward: Reward = ({ correct, answer, turns }) =>
  sumOfParts({
    correct: correct ? 1 : 0,
    format: answer === null ? -0.1 : 0.1,
    turns: turns > 6 ? -0.1 : 0,
  });

/** ReTool: +1 for a right answer, -1 otherwise; nothing for format or for code that runs. */
export const retoolReward: Reward = ({ correct }) => sumOfParts({ correct: correct ? 1 : -1 });

/**
 * verl's ReTool recipe: +1 for a right answer; a wrong one gets min(-0.6, -1 + 0.1 calls), so that wrong answers after
 * tool calls are punished less, saturating at 4 calls.
 */
export const hermesReward: Reward = ({ correct, calls }) => {
  if (correct) return sumOfParts({ correct: 1, calls: 0 });
  const total = Math.min(-0.6, sumOfParts({ base: -1, calls: 0.1 * calls.length }).total);
  return { total, parts: { correct: -1, calls: Math.round((total + 1) * 1e12) / 1e12 } };
};

/** 1 if the answer is right, and +0.1 or -0.1 for the answer format. */
export const anchorReward: Reward = ({ correct, answer }) =>
  sumOfParts({ correct: correct ? 1 : 0, format: answer === null ? -0.1 : 0.1 });

/** DAPO's soft overlong punishment (Yu et al. 2025, eq. 13; verl's `overlong_buffer`). */
export interface Overlong {
  /** Length from which the penalty is full, in tokens after the prompt. */
  readonly length: number;
  /** Tokens before `length` over which it grows from 0. */
  readonly buffer: number;
  readonly factor: number;
}

/** min(0, -(tokens - (length - buffer)) / buffer * factor): 0 up to length - buffer, -factor at length, and on from there. */
export function overlongPenalty(tokens: number, { length, buffer, factor }: Overlong): number {
  const over = (tokens - (length - buffer)) / buffer;
  return over <= 0 ? 0 : -over * factor;
}

/** The presets by name. */
export const rewards = {
  correct: correctReward,
  r1ci: r1ciReward,
  retool: retoolReward,
  hermes: hermesReward,
  anchor: anchorReward,
} as const satisfies Record<string, Reward>;

/**
 * Calls a reward and checks its result: every number finite. Throws Error naming the trajectory otherwise, because one NaN
 * would spread over its whole group.
 */
export function scoreTrajectory(reward: Reward, trajectory: ScoredInput, label: string): RewardParts {
  const scored = reward(trajectory);
  if (
    typeof scored !== 'object' ||
    scored === null ||
    typeof scored.parts !== 'object' ||
    scored.parts === null
  ) {
    throw new TypeError(`reward of ${label}: expected { total, parts }, found ${JSON.stringify(scored)}`);
  }
  for (const [part, value] of [['total', scored.total] as const, ...Object.entries(scored.parts)]) {
    if (!Number.isFinite(value)) {
      throw new RangeError(
        `reward of ${label} (question ${trajectory.question.id}): expected a finite number for ${part}, found ${value}`,
      );
    }
  }
  return scored;
}
