/** What the agents of an evaluation share: what they are given, what they give back, and work done so many at a time. */
import { setMaxListeners } from 'node:events';
import type { SamplingParams } from '../model/engine.ts';
import type { RolloutOptions } from '../rollout/options.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import type { Question } from '../tasks/task.ts';
import type { ChatMessage } from '../text/chat.ts';

/** What every attempt of an evaluation shares. */
export interface AgentContext {
  readonly rollout: Omit<RolloutOptions, 'sampling' | 'step' | 'signal' | 'onProgress'>;
  /** The ids of a conversation, with the header of the model's next turn. */
  render(messages: readonly ChatMessage[]): Int32Array;
  /** The prompt of the agents `agent` and (with `textOnly`) `text`: that of training. */
  prompt(
    question: Question,
    index: number,
    samples: number,
    textOnly?: boolean,
  ): { readonly ids: Int32Array };
  /** Replaces every agent's instruction; for models that read none. */
  readonly instruction: string | null;
  /** Of `steer`. */
  readonly guide: Guide | null;
}

export interface AttemptOptions {
  readonly sampling: SamplingParams;
  /** Attempts at each question. */
  readonly samples: number;
  /** Keys the random numbers, with the question's index and the sample's. */
  readonly step: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: RolloutOptions['onProgress'];
}

/** One turn of a steered attempt. */
export interface SteerTurn {
  readonly mode: 'text' | 'code';
  /** The guide's advice, as the solver saw it. */
  readonly advice: string;
  /** Whether the guide's reply held a marker; without one the first turn is text, and later ones accept. */
  readonly decided: boolean;
  /** What the solver wrote, and its tokens. */
  readonly text: string;
  readonly tokens: number;
  readonly answer: string | null;
}

/** Someone who can be asked for the next move of a steered attempt: a local model or an endpoint. */
export interface Guide {
  readonly describe: string;
  /** One reply for each conversation. `keys` tell their random numbers apart, with `step`. */
  reply(
    conversations: readonly (readonly ChatMessage[])[],
    keys: readonly number[],
    options: AttemptOptions,
  ): Promise<string[]>;
}

/** An attempt: its trajectory (of `steer`: that of the last turn, with everything run and written in all of them). */
export interface Attempt {
  readonly trajectory: Trajectory;
  readonly steering?: readonly SteerTurn[];
}

/** A question and its index, which keys random numbers: an evaluation in pieces is the same evaluation. */
export interface IndexedQuestion {
  readonly question: Question;
  readonly index: number;
}

/** The options of one rollout of an agent. */
export function rolloutOptions(context: AgentContext, options: AttemptOptions): RolloutOptions {
  const { sampling, step, signal, onProgress } = options;
  return {
    ...context.rollout,
    sampling,
    step,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  };
}

/** The signal for many calls at once: one that Node does not warn about for its many listeners. */
export function signalForMany(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  const own = AbortSignal.any([signal]);
  setMaxListeners(0, own);
  return own;
}

/** Programs running or queued at once: a call may wait in the tool's queue only so long. */
const kPrograms = 64;

/** `Promise.all` of `work` over the items, so many at a time. The first failure is thrown when the others have settled. */
export async function mapLimited<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  limit = kPrograms,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await work(items[index]!);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const lanes = Array.from({ length: Math.min(limit, items.length) }, lane);
  const settled = await Promise.allSettled(lanes);
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
  return results;
}
