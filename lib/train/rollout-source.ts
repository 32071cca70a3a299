/**
 * Where the loop's rollout batches come from: sampled here and now from whole new groups (this file), going on across steps
 * (partial-source.ts), while the trainer works (ahead-source.ts), or from a record (lib/run/replay.ts).
 */
import type { SamplingParams } from '../model/engine.ts';
import type { RolloutOptions } from '../rollout/options.ts';
import type { ParkedRecord } from '../rollout/parked.ts';
import { rollout } from '../rollout/rollout.ts';
import type { RolloutStats } from '../rollout/trajectory.ts';
import { fillBatch } from './dynamic-sampling.ts';
import { type Scored, scoreRollouts } from './score.ts';
import type { Setup } from './setup.ts';

export interface RolloutBatch {
  /** Whole groups, in order of prompt, then sample. */
  readonly scored: readonly Scored[];
  readonly stats: RolloutStats;
  /** Generation rounds, questions asked, groups dropped as all right or all wrong, groups left over (dynamic sampling). */
  readonly batch: {
    readonly rounds: number;
    readonly questions: number;
    readonly dropped: number;
    readonly surplus: number;
  };
  readonly partial: PartialCounts;
  /** Wall clock of sampling, without scoring. */
  readonly seconds: number;
  /**
   * Of a batch that was sampled while the trainer worked: how long the step waited for it, and the log-prob gap found when the
   * weights that wrote it were still there.
   */
  readonly ahead?: { readonly waitSeconds: number; readonly gap: number };
}

/** What partial rollouts left open; all 0 without them. */
export interface PartialCounts {
  /** Trajectories that go on in the next step, and groups that wait for their last member. */
  readonly parked: number;
  readonly groupsWaiting: number;
  /** Tokens of trajectories under way that were prefilled again. */
  readonly refilled: number;
  /** Trajectories dropped because their oldest token was too old, and started again. */
  readonly dropped: number;
}

/** A complete batch that no step has trained on yet, as a checkpoint keeps it. */
export interface AheadRecord extends Pick<RolloutBatch, 'stats' | 'batch' | 'partial' | 'seconds'> {
  /** The RL step (from 0) that is to train on it. */
  readonly step: number;
  readonly trajectories: readonly ParkedRecord[];
}

/** What waits for the next step: with the weights, all that a resumed run needs. */
export interface Waiting {
  /** Members of groups that are not finished (partial rollouts). */
  readonly parked: readonly ParkedRecord[];
  /** The next step's batch, when it was sampled ahead. */
  readonly ahead: AheadRecord | null;
  /** Why there is no such batch where there should be one. */
  readonly lost?: unknown;
}

export interface RolloutSource {
  /** The batch of RL step `step` (from 0); `asked` training questions were asked before it. */
  next(step: number, asked: number): Promise<RolloutBatch>;
  /** Members of unfinished groups, as of the end of the last batch. */
  readonly parked: readonly ParkedRecord[];
  /** Called at the end of a step: what waits for the next, which may still be in the making. Absent: `parked` is all. */
  waiting?(): () => Promise<Waiting>;
  /** Resolves when what runs in the background leaves the engine to the trainer. */
  turn?(): Promise<void>;
  /** Stops what runs in the background and waits for its end. */
  close?(): Promise<void>;
}

/** What waits at the end of a step, to be asked for when a checkpoint wants it. */
export function waitingAfter(source: RolloutSource): () => Promise<Waiting> {
  if (source.waiting !== undefined) return source.waiting();
  const { parked } = source;
  return async () => ({ parked, ahead: null });
}

/** A rollout's options but for what differs from step to step. */
export type RolloutParts = Omit<RolloutOptions, 'sampling' | 'step'>;

/** Training samples with a temperature only. */
export function trainingSampling(setup: Setup): SamplingParams {
  return { temperature: setup.config.rl.temperature, topK: 0, topP: 1, minP: 0 };
}

/** Whole groups of new questions each step, more of them with dynamic sampling; nothing is left over. */
export function freshSource(setup: Setup, parts: RolloutParts): RolloutSource {
  const { config, plan } = setup;
  const { rl } = config;
  return {
    parked: [],
    async next(step, asked) {
      let seconds = 0;
      // Questions of later rounds have numbers of their own, which key their random numbers.
      const ask = async (round: number) => {
        const began = performance.now();
        const first = round * rl.prompts;
        const prompts = plan
          .training(asked + first, rl.prompts, step)
          .map((question, index) => setup.prompt(question, first + index, rl.group));
        const { trajectories, stats } = await rollout(prompts, {
          ...parts,
          sampling: trainingSampling(setup),
          step,
        });
        seconds += (performance.now() - began) / 1000;
        return { scored: scoreRollouts(trajectories, plan.tasks, setup.reward, setup.overlong), stats };
      };
      const { scored, stats, ...batch } =
        rl.dynamic_sampling > 0
          ? await fillBatch(rl.prompts, rl.group, rl.dynamic_sampling, ask)
          : { ...(await ask(0)), rounds: 1, questions: rl.prompts, dropped: 0, surplus: 0 };
      const partial = { parked: 0, groupsWaiting: 0, refilled: 0, dropped: 0 };
      return { scored, stats, batch, partial, seconds };
    },
  };
}
