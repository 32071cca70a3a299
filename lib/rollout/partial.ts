/**
 * One step of partial rollouts: open trajectories share a budget of sampled tokens, and what has not ended when it is spent is
 * parked, to go on in the next step. A trajectory whose call is in flight waits for the call first.
 *
 * The budget is shared out by one rule that knows nothing of time, cache or order: every open trajectory may sample up to n tokens,
 * n being the greatest number with which all together stay within the budget; what those that end sooner leave over raises n
 * for the others. So where a trajectory is parked is a function of the tokens alone, and scheduling changes nothing.
 */
import type { Course } from './course.ts';
import { drive } from './drive.ts';
import type { RolloutOptions } from './options.ts';
import type { RolloutStats } from './trajectory.ts';

export interface PartialOptions
  extends Pick<RolloutOptions, 'model' | 'cache' | 'concurrency' | 'signal' | 'onProgress' | 'onToolWait'> {
  /** Tokens to sample over all trajectories; at least one for each. */
  readonly stepTokens: number;
  /** Whether the step may end now that the budget is spent; if not, it is spent once more. */
  enough(): boolean;
}

export interface PartialStats {
  readonly stats: RolloutStats;
  /** How often the budget was given. */
  readonly rounds: number;
  /** Tokens of trajectories under way that were prefilled again. */
  readonly refilled: number;
}

/** Attempts at a call before its trajectory is given up as `infrastructure`: one a step. */
export const kCallAttempts = 3;

/** Run `courses` (in no cache, in order of prompt and sample) until they have ended or their budget is spent. */
export async function runPartially(
  courses: readonly Course[],
  options: PartialOptions,
): Promise<PartialStats> {
  const { stepTokens, enough } = options;
  if (stepTokens < courses.length) {
    throw new RangeError(
      `rollout: expected a budget of at least one token for each of ${courses.length} trajectories, found ${stepTokens}`,
    );
  }
  const start = new Map(courses.map((course) => [course, marksOf(course)]));
  const failures = new Map(courses.map((course) => [course, course.failures]));
  let rounds = 1;
  let limit = 0;
  /** Its call was tried in this round, and the tool failed it. */
  const rests = (course: Course) => course.failures > failures.get(course)!;
  const used = (course: Course) => course.sampled - start.get(course)!.sampled;
  const share = () => {
    const open = courses.filter((course) => !course.ended && !rests(course));
    const over = new Set(open);
    const spent = courses.reduce((sum, course) => sum + (over.has(course) ? 0 : used(course)), 0);
    limit = open.length === 0 ? limit : Math.floor((rounds * stepTokens - spent) / open.length);
  };
  share();
  const driven = await drive(courses, {
    cache: options.cache,
    pageTokens: options.model.memory.kvPageTokens,
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.onToolWait ? { onToolWait: options.onToolWait } : {}),
    may: (course) => !course.ended && !rests(course) && used(course) < limit,
    changed: share,
    idle() {
      if (enough() || courses.every(({ ended }) => ended)) return false;
      rounds += 1;
      for (const course of courses) failures.set(course, course.failures);
      share();
      return true;
    },
  });
  const calls = courses.flatMap((course) => course.calls.slice(start.get(course)!.calls));
  return {
    rounds,
    refilled: driven.refilled,
    stats: {
      sampled: courses.reduce((sum, course) => sum + used(course), 0),
      computed: driven.computed,
      decodeSteps: driven.decodeSteps,
      calls: calls.length,
      toolErrors: calls.filter(({ status }) => status !== 'ok').length,
      engineSeconds: driven.engineSeconds,
      toolWaitSeconds: driven.toolWaitSeconds,
      toolSeconds: calls.reduce((sum, { seconds }) => sum + seconds, 0),
    },
  };
}

function marksOf({ sampled, calls }: Course): { sampled: number; calls: number } {
  return { sampled, calls: calls.length };
}
