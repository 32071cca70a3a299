/**
 * The rollout: continuous batching of trajectories over one KV cache. Sequences join when pages are free, leave the batch
 * while their tool runs, and come back with only the tool's tokens to prefill; a group shares its prompt's pages.
 *
 * Invariants: nothing is re-tokenised; a trajectory's random numbers depend on (seed, step, prompt, sample, position) alone,
 * so neither scheduling nor the batch's composition changes a token. Pages for a trajectory's longest course are reserved
 * before it joins, so a running trajectory never runs out of them.
 */
import type { StepRow } from '../model/engine.ts';
import { type Course, createCourse } from './course.ts';
import type { RolloutOptions, RolloutPrompt } from './options.ts';
import type { RolloutLimits, RolloutStats, Trajectory } from './trajectory.ts';

export interface RolloutResult {
  /** In order of prompt, then sample. */
  readonly trajectories: readonly Trajectory[];
  readonly stats: RolloutStats;
}

interface Group {
  readonly prompt: RolloutPrompt;
  /** Sequence holding the prompt but its last token, once prefilled; freed when the last member has forked. */
  root: number | null;
  left: number;
}

/** Sample every prompt's trajectories to their ends. Rejects with the signal's reason when aborted; the cache is left empty. */
export async function rollout(
  prompts: readonly RolloutPrompt[],
  options: RolloutOptions,
): Promise<RolloutResult> {
  const { cache, limits, signal } = options;
  for (const prompt of prompts) checkPrompt(prompt, limits);
  const waiting: { group: Group; sample: number }[] = [];
  for (const prompt of prompts) {
    const group: Group = { prompt, root: null, left: prompt.samples };
    for (let sample = 0; sample < prompt.samples; sample++) waiting.push({ group, sample });
  }
  const total = waiting.length;
  const pageTokens = options.model.memory.kvPageTokens;
  const pagesPerCourse = Math.ceil(limits.totalTokens / pageTokens);
  // One page more: the last prompt page of the one group that may have joined in part, which its members have copied.
  const capacity = Math.floor((cache.pagesTotal - 1) / pagesPerCourse);
  if (total > 0 && capacity < 1) {
    throw new RangeError(
      `rollout: one trajectory of ${limits.totalTokens} tokens needs ${pagesPerCourse + 1} KV pages of ${pageTokens} tokens, ` +
        `the cache has ${cache.pagesTotal}; lower rollout.total_tokens or raise rollout.kv_memory_mb`,
    );
  }
  const asked = options.concurrency ?? capacity;
  if (total > 0 && !(Number.isInteger(asked) && asked >= 1)) {
    throw new RangeError(`rollout: expected a concurrency of 1 or more but received ${asked}`);
  }
  const concurrency = Math.min(capacity, asked);

  const courses: Course[] = [];
  const active = new Set<Course>();
  const computedBefore = cache.tokensComputed;
  let engineSeconds = 0;
  let toolWaitSeconds = 0;
  let decodeSteps = 0;
  // An abort need not wait for the tools: their calls are cancelled at once, and the loop sees the signal.
  const cancelAll = () => {
    for (const course of active) course.cancel();
  };
  signal?.addEventListener('abort', cancelAll);
  try {
    while (waiting.length > 0 || active.size > 0) {
      signal?.throwIfAborted();
      await admit();
      const running = [...active].filter((course) => course.pending !== null);
      if (running.length === 0) {
        const started = performance.now();
        await Promise.race([...active].map((course) => course.toolDone));
        toolWaitSeconds += (performance.now() - started) / 1000;
        settle();
        continue;
      }
      const rows: StepRow[] = running.map((course) => ({
        seq: course.seq,
        tokens: course.pending!,
        sample: { ...options.sampling, ...course.seed },
      }));
      const started = performance.now();
      const { tokens, logprobs } = await cache.step(rows);
      engineSeconds += (performance.now() - started) / 1000;
      decodeSteps += 1;
      for (const [row, course] of running.entries()) course.accept(tokens[row]!, logprobs[row]!);
      settle();
      options.onProgress?.({
        running: running.length,
        inTool: [...active].filter((course) => course.pending === null).length,
        done: total - waiting.length - active.size,
        total,
      });
    }
  } finally {
    // On an abort or an error tools may still be running: they are cancelled and awaited, so nothing outlives the call.
    signal?.removeEventListener('abort', cancelAll);
    cancelAll();
    await Promise.all([...active].map((course) => course.toolDone));
    cache.clear();
  }
  // The last calls may have ended *because* of an abort: such trajectories are not what the model would have done.
  signal?.throwIfAborted();
  const trajectories = courses
    .map((course) => course.finish())
    .sort((a, b) => a.prompt - b.prompt || a.sample - b.sample);
  const calls = trajectories.flatMap((trajectory) => trajectory.calls);
  return {
    trajectories,
    stats: {
      sampled: courses.reduce((sum, course) => sum + course.sampled, 0),
      computed: cache.tokensComputed - computedBefore,
      decodeSteps,
      calls: calls.length,
      toolErrors: calls.filter((call) => call.status !== 'ok').length,
      engineSeconds,
      toolWaitSeconds,
      toolSeconds: calls.reduce((sum, call) => sum + call.seconds, 0),
    },
  };

  /** Let waiting trajectories join, prefilling the prompts of groups that are new. */
  async function admit(): Promise<void> {
    const joining: { group: Group; sample: number }[] = [];
    while (waiting.length > 0 && active.size + joining.length < concurrency) joining.push(waiting.shift()!);
    const prefill: StepRow[] = [];
    for (const { group } of joining) {
      if (group.root !== null) continue;
      group.root = cache.add();
      const shared = group.prompt.ids.subarray(0, group.prompt.ids.length - 1);
      if (shared.length > 0) prefill.push({ seq: group.root, tokens: shared, sample: null });
    }
    if (prefill.length > 0) {
      const started = performance.now();
      await cache.step(prefill);
      engineSeconds += (performance.now() - started) / 1000;
    }
    for (const { group, sample } of joining) {
      const seq = cache.fork(group.root!);
      group.left -= 1;
      if (group.left === 0) cache.free(group.root!);
      const course = createCourse(options, group.prompt, sample, seq);
      courses.push(course);
      active.add(course);
    }
  }

  /** Take out what has ended; its pages are free for others. */
  function settle(): void {
    for (const course of active) {
      if (!course.ended) continue;
      if (course.failure !== null) throw course.failure;
      cache.free(course.seq);
      active.delete(course);
    }
  }
}

function checkPrompt(prompt: RolloutPrompt, limits: RolloutLimits): void {
  const name = `question ${prompt.question.id}`;
  if (prompt.ids.length === 0)
    throw new RangeError(`rollout: ${name} has an empty prompt; expected at least one token`);
  if (prompt.samples < 1)
    throw new RangeError(`rollout: ${name} asks for ${prompt.samples} samples; expected 1 or more`);
  if (prompt.ids.length >= limits.totalTokens) {
    throw new RangeError(
      `rollout: the prompt of ${name} has ${prompt.ids.length} tokens, which leaves no room under total_tokens ${limits.totalTokens}`,
    );
  }
}
