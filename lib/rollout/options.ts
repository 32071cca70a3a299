/** What a rollout is given: prompts, and everything that samples and runs them. */
import type { EngineModel, KvCache, SamplingParams } from '../model/engine.ts';
import type { Question } from '../tasks/task.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { Tool } from '../tools/tool.ts';
import type { RolloutLimits, ToolLimits } from './trajectory.ts';

export interface RolloutPrompt {
  readonly question: Question;
  readonly ids: Int32Array;
  /** Index of the prompt in its step: keys the random numbers. */
  readonly prompt: number;
  readonly samples: number;
}

export interface RolloutOptions {
  readonly model: EngineModel;
  readonly cache: KvCache;
  readonly tokenizer: Tokenizer;
  readonly format: ToolFormat;
  /** null: calls are not run; a call ends the trajectory as `max_calls`. */
  readonly tool: Tool | null;
  readonly limits: RolloutLimits;
  readonly toolLimits: ToolLimits;
  readonly sampling: SamplingParams;
  readonly runSeed: bigint;
  readonly step: number;
  /** Most trajectories decoded at once; default: as many as the cache holds. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
  /** Called when nothing but tools is waited for, and when that is over. */
  readonly onToolWait?: (waiting: boolean) => void;
  /** Called after each engine step with what is running, waiting for a tool, and done. */
  readonly onProgress?: (progress: { running: number; inTool: number; done: number; total: number }) => void;
}
