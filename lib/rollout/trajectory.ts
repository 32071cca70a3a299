/**
 * A trajectory: one attempt at one question, from the prompt to its end, with everything that reward, loss and record need.
 * Its ledger is the only place where tokens live; `calls` and `turns` describe the same tokens at a coarser grain.
 */

import type { Question } from '../tasks/task.ts';
import type { ToolStatus } from '../tools/tool.ts';
import type { Ledger } from './ledger.ts';

/**
 * Why a trajectory ended.
 * - `answer`: the model gave its final answer. `no_answer`: it ended its turn with neither a call nor an answer.
 * - `malformed`: it ended its turn with a call that cannot be run (see docs/formats.md).
 * - `turn_length`: a turn reached its token limit. `total_length`: the trajectory did.
 * - `overflow`: the tool's output did not fit into the total; it was not appended.
 * - `max_calls` / `max_turns`: a call beyond the limit; it was not run.
 * - `time_limit`: the wall-clock limit, a recorded event, since it depends on the machine.
 * - `infrastructure`: the tool itself failed; such a trajectory is left out of its group and never scored.
 */
export type TrajectoryEnd =
  | 'answer'
  | 'no_answer'
  | 'malformed'
  | 'turn_length'
  | 'total_length'
  | 'overflow'
  | 'max_calls'
  | 'max_turns'
  | 'time_limit'
  | 'infrastructure';

/** Ends that a limit brought about, not the policy. */
export const truncatedEnds: ReadonlySet<TrajectoryEnd> = new Set([
  'turn_length',
  'total_length',
  'overflow',
  'time_limit',
]);

export interface CallRecord {
  readonly turn: number;
  readonly code: string;
  readonly status: ToolStatus;
  /** What the model was shown; null when the trajectory ended before it could be appended. */
  readonly output: string | null;
  readonly seconds: number;
  /** Further calls in the same turn, which were dropped. */
  readonly dropped: number;
  /** True when the very same code was run before in this trajectory. */
  readonly repeated: boolean;
  readonly error: string | null;
  /** Attempts before this one that the tool itself failed (partial rollouts make them again). */
  readonly failures: number;
}

export interface Trajectory {
  readonly question: Question;
  /** RL step (from 0) in which it was started. */
  readonly started: number;
  /** Index of the prompt in its step and of this sample in its group; with run seed and `started` they key every random number. */
  readonly prompt: number;
  readonly sample: number;
  readonly ledger: Ledger;
  readonly calls: readonly CallRecord[];
  readonly turns: number;
  readonly end: TrajectoryEnd;
  /** What went wrong, in words, for `malformed` and `infrastructure`. */
  readonly reason: string | null;
  /** The extracted final answer (policy text only); null when there is none. */
  readonly answer: string | null;
  /** Everything the policy wrote, turns joined by newlines. */
  readonly text: string;
  /** Wall-clock seconds from joining the batch to the end. */
  readonly seconds: number;
}

export interface RolloutLimits {
  readonly maxCalls: number;
  readonly maxTurns: number;
  /** New tokens in the first turn and in each later turn. */
  readonly turnTokens: readonly [first: number, later: number];
  /** Prompt, policy and tool tokens together. */
  readonly totalTokens: number;
  /** Wall clock per trajectory; 0 = none. */
  readonly seconds: number;
}

export interface ToolLimits {
  /** Of processor time. */
  readonly seconds: number;
  /** Of the wall clock, default three times `seconds`. */
  readonly wallSeconds?: number;
  /** One interpreter for each trajectory, default a fresh one for each call. */
  readonly sessions?: boolean;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly fileBytes: number;
  /** Characters of output shown to the model. */
  readonly outputCharacters: number;
  /** Tokens of output shown to the model, default 0: no limit of their own. */
  readonly outputTokens?: number;
  /** Which part is kept, default both ends. */
  readonly outputSide?: 'both' | 'head' | 'tail';
}

/** What a rollout batch cost, for metrics and for the step's progress line. */
export interface RolloutStats {
  /** Tokens the policy sampled. */
  readonly sampled: number;
  /** Tokens run through the model: sampled ones, prompts (once a group) and tool text. */
  readonly computed: number;
  readonly decodeSteps: number;
  readonly calls: number;
  readonly toolErrors: number;
  /** Seconds in engine steps, and seconds in which only tools were being waited for. */
  readonly engineSeconds: number;
  readonly toolWaitSeconds: number;
  /** Sum of the seconds of all calls (they overlap). */
  readonly toolSeconds: number;
}
