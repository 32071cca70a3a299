/**
 * Asynchronous rollouts as a source of batches: while the trainer works on one batch, the next is sampled from a frozen copy of
 * the weights (the sampler), made just before the trainer changes them. It wraps fresh or partial rollouts.
 *
 * Invariants: the weights that write a batch are a function of its step alone, never of timing: those that the batch before
 * began to be trained with. The sampler is overwritten only when its batch is complete and the log-probs of a group of it were
 * recomputed to the bit. A failure in the background surfaces at the next `next()`; after `close()` nothing runs.
 */
import { ToolgradError } from '../errors.ts';
import { type ParkedRecord, parkedRecord, trajectoryOf } from '../rollout/parked.ts';
import { lossMask } from './batch.ts';
import { partialSource } from './partial-source.ts';
import {
  type AheadRecord,
  freshSource,
  type RolloutBatch,
  type RolloutParts,
  type RolloutSource,
  type Waiting,
} from './rollout-source.ts';
import { type Scored, scoreRollouts } from './score.ts';
import { gapOf, scoreRows } from './scoring.ts';
import type { Sampler, Setup } from './setup.ts';

/** A batch in the making. */
interface Job {
  readonly step: number;
  /** What partial rollouts had open before it. */
  readonly before: readonly ParkedRecord[];
  /** The batch, the log-prob gap of its first group, and what is open after it. */
  readonly done: Promise<{ batch: RolloutBatch; gap: number; parked: readonly ParkedRecord[] }>;
}

/**
 * The source of a run with rollout.ahead; `parked` and `ahead` are what its checkpoint holds. `parts.signal` ends `next()` at once
 * but not the batch under way, which a checkpoint may still want: `close()` does. ERR_CHECKPOINT when a record does not fit.
 */
export function aheadSource(
  setup: Setup,
  sampler: Sampler,
  parts: RolloutParts,
  { parked, ahead }: Waiting,
): RolloutSource {
  const { config, model } = setup;
  const { signal, ...rest } = parts;
  const stop = new AbortController();
  const engine = makeTurn();
  const own = {
    ...rest,
    model: sampler.model,
    cache: sampler.cache,
    signal: stop.signal,
    onToolWait: (waiting: boolean) => (waiting ? engine.release() : engine.hold()),
  };
  const inner = config.rollout.step_tokens > 0 ? partialSource(setup, own, parked) : freshSource(setup, own);
  let job: Job | null =
    ahead === null
      ? null
      : {
          step: ahead.step,
          before: parked,
          // Its gap was checked before it was written; the weights that wrote it are gone.
          done: Promise.resolve({ batch: rebuildBatch(ahead, setup), gap: 0, parked }),
        };

  const launch = (step: number, asked: number): Job => {
    const before = inner.parked;
    engine.hold();
    const sample = async () => {
      const batch = await inner.next(step, asked);
      const gap = await samplerGap(batch.scored, setup, sampler, stop.signal);
      return { batch, gap, parked: inner.parked };
    };
    const done = sample();
    // Whoever needs the batch sees its failure; until then nobody may be there to see it.
    done.then(engine.release, engine.release);
    return { step, before, done };
  };

  return {
    get parked() {
      return inner.parked;
    },
    async next(step, asked) {
      signal?.throwIfAborted();
      const began = performance.now();
      if (job === null) {
        await sampler.model.copyWeights(model);
        job = launch(step, asked);
      }
      if (job.step !== step) {
        throw new ToolgradError(
          'ERR_CHECKPOINT',
          `ahead.jsonl: expected the batch of RL step ${step} (from 0), found that of step ${job.step}`,
        );
      }
      const { batch, gap } = await orAborted(job.done, signal);
      const waitSeconds = (performance.now() - began) / 1000;
      job = null;
      if (step + 1 < config.rl.steps) {
        await sampler.model.copyWeights(model);
        job = launch(step + 1, asked + batch.batch.questions);
      }
      return { ...batch, ahead: { waitSeconds, gap } };
    },
    waiting() {
      const after = job;
      if (after === null) {
        const { parked: open } = inner;
        return async () => ({ parked: open, ahead: null });
      }
      return () =>
        after.done.then(
          ({ batch, parked: open }) => ({ parked: open, ahead: aheadRecord(after.step, batch) }),
          (lost: unknown) => ({ parked: after.before, ahead: null, lost }),
        );
    },
    async turn() {
      // An abort is for the step to obey, where it still may.
      await orAborted(engine.free(), signal).catch(() => {});
    },
    async close() {
      stop.abort(new Error('the source of batches was closed'));
      await job?.done.catch(() => {});
    },
  };
}

/**
 * max |recomputed - sampled| log-prob over tokens of the sampler's version in the first group that has some; throws
 * ERR_LOGPROB_GAP when it is not 0. The policy step sees such tokens as older ones and cannot check them.
 */
async function samplerGap(
  scored: readonly Scored[],
  { config, microBatchTokens }: Setup,
  { model }: Sampler,
  signal: AbortSignal,
): Promise<number> {
  const { version } = model;
  const { group, temperature } = config.rl;
  const trajectories = scored.map(({ trajectory }) => trajectory);
  const ledgers = trajectories.map(({ ledger }) => ledger);
  const masks = ledgers.map((ledger) => lossMask(ledger, false));
  const checkable = trajectories.flatMap(({ end, ledger }, i) =>
    end !== 'infrastructure' && ledger.versions.includes(version) ? [i] : [],
  );
  const place = (i: number) => Math.floor(i / group);
  const rows = checkable.filter((i) => place(i) === place(checkable[0]!));
  let gap = 0;
  await scoreRows(model, ledgers, masks, rows, { temperature, microBatchTokens, signal }, (i, logprobs) => {
    gap = Math.max(gap, gapOf(trajectories[i]!, masks[i]!, logprobs, version));
  });
  return gap;
}

/**
 * Who has the engine, which does one thing at a time: sampling goes first, so that calls of the tool begin early, and the trainer
 * has it while they run. Decides when a pass runs, and no bit of what it gives.
 */
function makeTurn() {
  let release = () => {};
  let free = Promise.resolve();
  return {
    free: () => free,
    hold() {
      release();
      free = new Promise<void>((resolve) => {
        release = resolve;
      });
    },
    release: () => release(),
  };
}

/** The promise, or the signal's reason as soon as it is aborted. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  let aborted = () => {};
  const abort = new Promise<never>((_, reject) => {
    aborted = () => reject(signal.reason);
    signal.addEventListener('abort', aborted);
  });
  try {
    return await Promise.race([promise, abort]);
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}

function aheadRecord(step: number, { scored, stats, batch, partial, seconds }: RolloutBatch): AheadRecord {
  const trajectories = scored.map(({ trajectory }) => parkedRecord({ course: null, trajectory }));
  return { step, stats, batch, partial, seconds, trajectories };
}

/** The batch that `aheadRecord` made the record of; its answers are verified and its rewards computed anew. */
function rebuildBatch(record: AheadRecord, { config, plan, reward, overlong }: Setup): RolloutBatch {
  const { stats, batch, partial, seconds } = record;
  const { group } = config.rl;
  const trajectories = record.trajectories.map((line) => trajectoryOf(line, 'ahead.jsonl'));
  const stray = trajectories.find(({ sample }, i) => sample !== i % group);
  if (trajectories.length === 0 || trajectories.length % group !== 0 || stray !== undefined) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `ahead.jsonl: expected whole groups of samples 0 to ${group - 1} in order, found samples ` +
        `${trajectories.map(({ sample }) => sample).join(', ') || 'of no trajectory'}`,
    );
  }
  return {
    scored: scoreRollouts(trajectories, plan.tasks, reward, overlong),
    stats,
    batch,
    partial,
    seconds,
  };
}
