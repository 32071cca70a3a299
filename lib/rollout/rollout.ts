/**
 * The rollout: continuous batching of trajectories over one KV cache. Sequences join when pages are free, leave the batch
 * while their tool runs, and come back with only the tool's tokens to prefill; a group shares its prompt's pages.
 *
 * Invariants: nothing is re-tokenised; a trajectory's random numbers depend on (seed, step, prompt, sample, position) alone,
 * so neither scheduling nor the batch's composition changes a token. Pages for a trajectory's longest course are reserved
 * before it joins, so a running trajectory never runs out of them.
 */
import { batchCapacity, ContinuousBatch } from './continuous-batch.ts';
import type { Course } from './course.ts';
import type { RolloutOptions, RolloutPrompt } from './options.ts';
import type { RolloutLimits, RolloutStats, ToolLimits, Trajectory } from './trajectory.ts';

export interface RolloutResult {
  /** In order of prompt, then sample. */
  readonly trajectories: readonly Trajectory[];
  readonly stats: RolloutStats;
}

/** Sample every prompt's trajectories to their ends. Rejects with the signal's reason when aborted; the cache is left empty. */
export async function rollout(
  prompts: readonly RolloutPrompt[],
  options: RolloutOptions,
): Promise<RolloutResult> {
  const { cache, limits, signal } = options;
  checkOutputLimits(options.toolLimits);
  for (const prompt of prompts) checkPrompt(prompt, limits);
  const total = prompts.reduce((sum, { samples }) => sum + samples, 0);
  const pageTokens = options.model.memory.kvPageTokens;
  const pagesPerCourse = Math.ceil(limits.totalTokens / pageTokens);
  const capacity = batchCapacity(cache, pagesPerCourse);
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

  const batch = new ContinuousBatch(cache, pageTokens, asked);
  const { active } = batch;
  for (const prompt of prompts) batch.enqueue(prompt, options);
  const courses: Course[] = [];
  const computedBefore = cache.tokensComputed;
  let toolWaitSeconds = 0;
  // An abort need not wait for the tools: their calls are cancelled at once, and the loop sees the signal.
  const cancelAll = () => {
    for (const course of active.keys()) course.cancel();
  };
  signal?.addEventListener('abort', cancelAll);
  try {
    while (batch.waiting > 0 || active.size > 0) {
      signal?.throwIfAborted();
      courses.push(...(await batch.admit()));
      const running = await batch.step();
      if (running === 0) {
        const started = performance.now();
        options.onToolWait?.(true);
        await batch.toolDone();
        options.onToolWait?.(false);
        toolWaitSeconds += (performance.now() - started) / 1000;
      }
      for (const { failure } of batch.settle()) if (failure !== null) throw failure;
      if (running === 0) continue;
      options.onProgress?.({
        running,
        inTool: [...active.keys()].filter((course) => course.pending === null).length,
        done: total - batch.waiting - active.size,
        total,
      });
    }
  } finally {
    // On an abort or an error tools may still be running: they are cancelled and awaited, so nothing outlives the call.
    signal?.removeEventListener('abort', cancelAll);
    cancelAll();
    await Promise.all([...active.keys()].map((course) => course.toolDone));
    batch.clear();
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
      decodeSteps: batch.decodeSteps,
      calls: calls.length,
      toolErrors: calls.filter((call) => call.status !== 'ok').length,
      engineSeconds: batch.engineSeconds,
      toolWaitSeconds,
      toolSeconds: calls.reduce((sum, call) => sum + call.seconds, 0),
    },
  };
}

function checkOutputLimits({ outputTokens = 0, outputSide = 'both' }: ToolLimits): void {
  if (!Number.isInteger(outputTokens) || outputTokens < 0)
    throw new RangeError(
      `rollout: expected toolLimits.outputTokens to be 0 (no limit) or more but received ${outputTokens}`,
    );
  if (!['both', 'head', 'tail'].includes(outputSide))
    throw new RangeError(
      `rollout: expected toolLimits.outputSide to be both, head or tail but received ${outputSide}`,
    );
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
