/**
 * THE LOOP: a cold start on traces, then reinforcement learning with a tool.
 *
 *   task -> prompt -> trajectory -> reward -> advantage -> packed batch -> loss, backward -> AdamW -> next step
 *
 * Each arrow is a module of lib/, in this order. The loop prints nothing: it reports events, from which run/ writes files
 * and view/ writes lines. A run is a function of its config: every random number is keyed by seed and step, so a resumed
 * run is the same run.
 */
import { type Evaluation, evaluate } from '../eval/evaluate.ts';
import type { Ledger } from '../rollout/ledger.ts';
import type { RolloutStats } from '../rollout/trajectory.ts';
import { aheadSource } from './ahead-source.ts';
import { type OpenCritic, warmingUp } from './critic-setup.ts';
import type { Rating } from './curriculum.ts';
import type { Reference } from './lora.ts';
import { partialSource } from './partial-source.ts';
import type { PolicyStepOptions } from './policy-options.ts';
import { type PolicyStep, policyStep } from './policy-step.ts';
import { traceBatch } from './questions.ts';
import { ratePool } from './regroup.ts';
import {
  freshSource,
  type RolloutBatch,
  type RolloutParts,
  type RolloutSource,
  type Waiting,
  waitingAfter,
} from './rollout-source.ts';
import { learningRate } from './schedule.ts';
import type { Scored } from './score.ts';
import { adamwOptions, policyOptions, type Setup } from './setup.ts';
import { type SftStep, sftStep } from './sft.ts';

export interface Progress {
  readonly phase: 'sft' | 'rl';
  /** Steps of the phase that are done. */
  readonly phaseStep: number;
  readonly phaseSteps: number;
  /** Steps of all phases that are done, and in all. */
  readonly step: number;
  readonly steps: number;
  /** Training questions asked so far. */
  readonly asked: number;
}

export interface RlStepReport {
  readonly scored: readonly Scored[];
  readonly rollout: RolloutStats;
  readonly batch: RolloutBatch['batch'];
  readonly partial: RolloutBatch['partial'];
  /** Updates that the weights had seen when the step began. */
  readonly version: number;
  /** Stage of the curriculum, from 1; null without one. */
  readonly stage: number | null;
  readonly update: PolicyStep;
  readonly lr: number;
  readonly rolloutSeconds: number;
  /** Of batches sampled ahead: how long the step waited for its own, and stood still while the next one was sampled. */
  readonly aheadWaitSeconds: number;
  readonly seconds: number;
}

export type TrainEvent =
  | { readonly kind: 'sft'; readonly at: Progress; readonly report: SftStep; readonly lr: number }
  | { readonly kind: 'rl'; readonly at: Progress; readonly report: RlStepReport }
  | {
      readonly kind: 'rollout';
      readonly running: number;
      readonly inTool: number;
      readonly done: number;
      readonly total: number;
    }
  | { readonly kind: 'warning'; readonly message: string }
  /** The training questions were rated anew after `step` steps of all phases. */
  | { readonly kind: 'curriculum'; readonly step: number; readonly ratings: readonly Rating[] }
  | {
      readonly kind: 'evaluation';
      readonly name: string;
      readonly step: number;
      readonly evaluation: Evaluation;
    };

export interface LoopHooks {
  /** Where to start: steps of each phase already done. */
  readonly done: { readonly sft: number; readonly rl: number };
  /** Training questions already asked. */
  readonly asked: number;
  /** Evaluations already on record, as `evaluationKey` names them. */
  readonly evaluated: ReadonlySet<string>;
  /** The last ratings on record, with the steps of all phases that were done when they were made. */
  readonly rated?: { readonly step: number; readonly ratings: readonly Rating[] } | null;
  /** What waited for the next RL step when the last one was done (partial rollouts, batches sampled ahead). */
  readonly waiting?: Waiting;
  /** Where batches come from instead of rollouts (a replay). */
  readonly source?: RolloutSource;
  readonly signal?: AbortSignal;
  onEvent(event: TrainEvent): void;
  /**
   * Called after each step; saves when `at` is due, always at the end of a phase. `waiting` gives what waits for the next step,
   * and waits for it where it is in the making.
   */
  onCheckpoint(at: Progress, waiting: () => Promise<Waiting>): Promise<void>;
  /** Told where RL's batches come from; the caller closes it, after its last checkpoint. */
  onSource?(source: RolloutSource): void;
  /** The critic of PPO, asked for when RL starts; null for other algorithms. The caller disposes it, after its last checkpoint. */
  openCritic?(): Promise<OpenCritic | null>;
  /** The frozen model for the KL term, asked for when RL starts with a KL. */
  openReference(): Promise<Reference>;
}

/** Tells one evaluation of a run from another: a run made longer has a second `after RL`. */
export function evaluationKey(name: string, step: number): string {
  return `${name} @ ${step}`;
}

/**
 * Run all phases to their end; `traces` are those of the cold start as ledgers (lengths.ts). Rejects with the signal's reason
 * when aborted, weights being those of the last whole step.
 */
export async function runLoop(setup: Setup, traces: readonly Ledger[], hooks: LoopHooks): Promise<void> {
  const { sft, rl } = setup.config;
  const steps = sft.steps + rl.steps;
  if (hooks.done.sft === 0 && hooks.done.rl === 0) await evaluateAt(setup, hooks, 'before', 0);
  if (hooks.done.rl === 0 && sft.steps > 0) {
    for (let s = hooks.done.sft; s < sft.steps; s++) {
      const lr = learningRate(
        { peak: sft.lr, warmupSteps: sft.warmup, decay: sft.decay, finalRatio: sft.final_ratio },
        s,
        sft.steps,
      );
      const report = await coldStartStep(setup, traces, s, lr, hooks.signal);
      const at: Progress = {
        phase: 'sft',
        phaseStep: s + 1,
        phaseSteps: sft.steps,
        step: s + 1,
        steps,
        asked: 0,
      };
      hooks.onEvent({ kind: 'sft', at, report, lr });
      await hooks.onCheckpoint(at, async () => nothingWaits);
    }
    await evaluateAt(setup, hooks, 'after SFT', sft.steps);
  }
  if (rl.steps > 0) await reinforce(setup, hooks, steps);
}

async function coldStartStep(
  setup: Setup,
  traces: readonly Ledger[],
  step: number,
  lr: number,
  signal?: AbortSignal,
): Promise<SftStep> {
  const { config } = setup;
  const ledgers = traceBatch(traces.length, config.sft.batch, step, config.seed).map(
    (index) => traces[index]!,
  );
  return sftStep(setup.model, ledgers, {
    adamw: adamwOptions(config, lr),
    reduction: 'token_mean',
    microBatchTokens: setup.microBatchTokens,
    ...(signal ? { signal } : {}),
  });
}

async function reinforce(setup: Setup, hooks: LoopHooks, steps: number): Promise<void> {
  const { config, model } = setup;
  const { sft, rl } = config;
  // RL starts with fresh moments: those of the cold start point elsewhere.
  if (hooks.done.rl === 0) await model.resetOptimizer();
  const reference = rl.kl === 'none' ? null : await hooks.openReference();
  const critic = (await hooks.openCritic?.()) ?? null;
  const source = hooks.source ?? rolloutSource(setup, hooks);
  hooks.onSource?.(source);
  let asked = hooks.asked;
  if (hooks.rated) setup.plan.regroup(hooks.rated.ratings);
  try {
    for (let s = hooks.done.rl; s < rl.steps; s++) {
      // At the beginning of a step, so that a run interrupted while it evaluates takes it up again.
      const due = s > 0 && config.eval.every > 0 && s % config.eval.every === 0;
      if (due) await evaluateAt(setup, hooks, `RL step ${s}`, sft.steps + s);
      await regroupIfDue(setup, hooks, s);
      const lr = learningRate(
        { peak: rl.lr, warmupSteps: rl.warmup, decay: rl.decay, finalRatio: rl.final_ratio },
        s,
        rl.steps,
      );
      const report = await rlStep(setup, hooks, source, s, asked, lr, reference, critic);
      asked += report.batch.questions;
      const at: Progress = {
        phase: 'rl',
        phaseStep: s + 1,
        phaseSteps: rl.steps,
        step: sft.steps + s + 1,
        steps,
        asked,
      };
      hooks.onEvent({ kind: 'rl', at, report });
      await hooks.onCheckpoint(at, waitingAfter(source));
    }
  } finally {
    reference?.dispose();
  }
  await evaluateAt(setup, hooks, 'after RL', steps);
}

/** Rate the training questions anew when curriculum.regroup_every says so, once for each step even if a run is resumed there. */
async function regroupIfDue(setup: Setup, hooks: LoopHooks, step: number): Promise<void> {
  const { config, plan } = setup;
  const { file, regroup_every: every } = config.curriculum;
  if (every === 0 || step % every !== 0 || (step === 0 && file !== null)) return;
  const done = config.sft.steps + step;
  if (hooks.rated?.step === done) return;
  const { ratings, unrated } = await ratePool(setup, rolloutParts(setup, hooks), step);
  if (unrated > 0) {
    const message = `${unrated} training questions were not rated, because the tool failed; they are not asked until the next rating`;
    hooks.onEvent({ kind: 'warning', message });
  }
  plan.regroup(ratings);
  hooks.onEvent({ kind: 'curriculum', step: done, ratings });
}

const nothingWaits: Waiting = { parked: [], ahead: null };

/** Where a run's batches come from, as its config says. */
function rolloutSource(setup: Setup, hooks: LoopHooks): RolloutSource {
  const parts = rolloutParts(setup, hooks);
  const waiting = hooks.waiting ?? nothingWaits;
  if (setup.sampler !== null) return aheadSource(setup, setup.sampler, parts, waiting);
  return setup.config.rollout.step_tokens > 0
    ? partialSource(setup, parts, waiting.parked)
    : freshSource(setup, parts);
}

async function rlStep(
  setup: Setup,
  hooks: LoopHooks,
  source: RolloutSource,
  step: number,
  asked: number,
  lr: number,
  reference: Reference | null,
  critic: OpenCritic | null,
): Promise<RlStepReport> {
  const { config, model, plan } = setup;
  const { rl } = config;
  const started = performance.now();
  const { version } = model;
  const { scored, stats, batch, partial, ahead, seconds: rolloutSeconds } = await source.next(step, asked);
  // The trainer stands still while the next batch is sampled and needs the engine.
  let stoodSeconds = 0;
  const turn = async () => {
    const stopped = performance.now();
    await source.turn?.();
    stoodSeconds += (performance.now() - stopped) / 1000;
  };
  const options = policyOptions(config, setup.microBatchTokens, lr);
  const trained = await policyStep(model, scored, rl.group, {
    ...options,
    miniBatches: Math.min(options.miniBatches, scored.length / rl.group),
    ...(reference === null ? {} : { reference }),
    ...criticPart(critic, setup, step, options),
    ...(source.turn === undefined ? {} : { turn }),
    ...(hooks.signal ? { signal: hooks.signal } : {}),
  });
  const seconds = (performance.now() - started) / 1000;
  return {
    scored,
    rollout: stats,
    batch,
    partial,
    version,
    stage: plan.stage(step),
    // Tokens of the current weights were checked in the step, those of a batch sampled ahead before.
    update: {
      ...trained,
      logprobGap: Math.max(trained.logprobGap, ahead?.gap ?? 0),
      seconds: trained.seconds - stoodSeconds,
    },
    lr,
    rolloutSeconds,
    aheadWaitSeconds: (ahead?.waitSeconds ?? 0) + stoodSeconds,
    seconds,
  };
}

/** The critic of step `step`; at the beginning it may learn alone. */
function criticPart(
  critic: OpenCritic | null,
  { config, model }: Setup,
  step: number,
  options: PolicyStepOptions,
) {
  if (critic === null) return {};
  if (step >= config.critic.warmup) return { critic: critic.critic };
  const alone = warmingUp(critic.critic, model, {
    clip: config.critic.clip,
    reduction: 'token_mean',
    epochs: 1,
    miniBatches: 1,
    microBatchTokens: options.microBatchTokens,
    adamw: { ...options.adamw, lr: config.critic.lr, valueLr: config.critic.lr },
  });
  return { critic: alone, criticOnly: true };
}

/** Evaluate on the held-out questions under `name`, and without the tool when the config asks for it. */
async function evaluateAt(setup: Setup, hooks: LoopHooks, name: string, step: number): Promise<void> {
  const { config, plan } = setup;
  if (plan.heldout.length === 0) return;
  const withoutTool = config.eval.without_tool && name === 'after RL';
  for (const compared of withoutTool ? [false, true] : [false]) {
    const textOnly = compared || config.text_only;
    const fullName = compared ? `${name}, no tool` : name;
    if (hooks.evaluated.has(evaluationKey(fullName, step))) continue;
    const evaluation = await evaluate(
      plan.heldout.map((question, index) => setup.prompt(question, index, 1, textOnly)),
      plan.tasks,
      {
        ...rolloutParts(setup, hooks),
        ...(textOnly ? { tool: null } : {}),
        sampling: {
          temperature: config.eval.temperature,
          topK: config.eval.top_k,
          topP: config.eval.top_p,
          minP: 0,
        },
        samples: config.eval.samples,
      },
    );
    hooks.onEvent({ kind: 'evaluation', name: fullName, step, evaluation });
  }
}

function rolloutParts(setup: Setup, hooks: LoopHooks): RolloutParts {
  const { model, cache, tokenizer, format, tool, limits, toolLimits, config } = setup;
  return {
    model,
    cache,
    tokenizer,
    format,
    tool: config.text_only ? null : tool,
    limits,
    toolLimits,
    runSeed: BigInt(config.seed),
    ...(hooks.signal ? { signal: hooks.signal } : {}),
    onProgress: (progress: { running: number; inTool: number; done: number; total: number }) =>
      hooks.onEvent({ kind: 'rollout', ...progress }),
  };
}
