/**
 * Drives given courses over one KV cache for as long as each of them may go on: what partial rollouts and a replay share. The
 * caller says who may; those who may not keep their place while nobody else needs it.
 *
 * Invariants: courses join in the order given; when it returns or throws, no call is in flight, the cache is empty, and every
 * course has ended or is parked at a token. When a course may go on depends on the caller alone, never on who joined when.
 */
import type { KvCache } from '../model/engine.ts';
import { batchCapacity, ContinuousBatch } from './continuous-batch.ts';
import type { Course } from './course.ts';

export interface DriveOptions {
  readonly cache: KvCache;
  readonly pageTokens: number;
  /** Most courses decoded at once; default: as many as the cache holds. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
  /** Whether a course may sample now, or make the call that is due. */
  may(course: Course): boolean;
  /** Called when courses have ended, or the tool itself failed their calls: others may be given more. */
  changed?(): void;
  /** Called when nothing can go on any more: true when some may now. */
  idle(): boolean;
  /** Called when nothing but tools is waited for, and when that is over. */
  onToolWait?(waiting: boolean): void;
  onProgress?(progress: { running: number; inTool: number; done: number; total: number }): void;
}

export interface DriveStats {
  /** Tokens run through the model. */
  readonly computed: number;
  /** Of these, tokens of courses that had begun before they joined: the length of each, once for each time it joined. */
  readonly refilled: number;
  readonly decodeSteps: number;
  readonly engineSeconds: number;
  readonly toolWaitSeconds: number;
}

/** Drive `courses`, none of which is in a cache. Rejects with the signal's reason when aborted. */
export async function drive(courses: readonly Course[], options: DriveOptions): Promise<DriveStats> {
  const { cache, pageTokens, signal, may } = options;
  const pages = Math.ceil(Math.max(0, ...courses.map((c) => c.options.limits.totalTokens)) / pageTokens);
  if (courses.length > 0 && batchCapacity(cache, pages) < 1) {
    throw new RangeError(
      `rollout: one trajectory needs ${pages + 1} KV pages of ${pageTokens} tokens, the cache has ${cache.pagesTotal}; ` +
        'lower rollout.total_tokens or raise rollout.kv_memory_mb',
    );
  }
  const batch = new ContinuousBatch(cache, pageTokens, options.concurrency);
  const { active } = batch;
  const waiting = new Set(courses);
  const before = cache.tokensComputed;
  let refilled = 0;
  let toolWaitSeconds = 0;
  const leave = (course: Course) => {
    batch.remove(course);
    course.park();
    waiting.add(course);
  };
  const join = async () => {
    const lengths = new Map([...waiting].filter(may).map((course) => [course, course.ledger.length]));
    for (const course of await batch.rejoin([...lengths.keys()])) {
      waiting.delete(course);
      if (lengths.get(course)! > course.prompt.ids.length) refilled += lengths.get(course)!;
    }
    return [...waiting].some(may);
  };
  const cancelAll = () => {
    for (const course of active.keys()) course.cancel();
  };
  signal?.addEventListener('abort', cancelAll);
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (await join()) {
        // No room for all: those who may not go on give up their pages, and are prefilled again if they may later.
        for (const course of active.keys()) if (course.pending !== null && !may(course)) leave(course);
        await join();
      }
      const running = await batch.step(may);
      if (running === 0) {
        if ([...active.keys()].some(({ calling }) => calling)) {
          const started = performance.now();
          options.onToolWait?.(true);
          await batch.toolDone();
          options.onToolWait?.(false);
          toolWaitSeconds += (performance.now() - started) / 1000;
        } else if (![...active.keys(), ...waiting].some(may) && !options.idle()) break;
      }
      const settled = batch.settle();
      for (const { failure } of settled) if (failure !== null) throw failure;
      // A call that the tool itself failed is due: it is made again when the course joins.
      const failed = [...active.keys()].filter(({ calling, pending }) => !calling && pending === null);
      for (const course of failed) leave(course);
      if (settled.length + failed.length > 0) options.changed?.();
      if (running === 0) continue;
      options.onProgress?.({
        running,
        inTool: [...active.keys()].filter(({ calling }) => calling).length,
        done: courses.filter(({ ended }) => ended).length,
        total: courses.length,
      });
    }
  } finally {
    signal?.removeEventListener('abort', cancelAll);
    if (signal?.aborted === true || [...active.keys()].some(({ calling }) => calling)) cancelAll();
    await Promise.all([...active.keys()].map(({ toolDone }) => toolDone));
    for (const course of active.keys()) if (!course.ended) course.park();
    batch.clear();
  }
  // The last calls may have ended *because* of an abort: such trajectories are not what the model would have done.
  signal?.throwIfAborted();
  return {
    computed: cache.tokensComputed - before,
    refilled,
    decodeSteps: batch.decodeSteps,
    engineSeconds: batch.engineSeconds,
    toolWaitSeconds,
  };
}
