/** What the tests of learning share: options, tiny models that can be trained, and trajectories to train them on. */
import type { AdamWOptions, LossOptions } from '../../lib/model/engine.ts';
import type { Model } from '../../lib/model/model.ts';
import type { ModelAndTokenizer } from '../../lib/model/open.ts';
import type { Ledger } from '../../lib/rollout/ledger.ts';
import { rollout } from '../../lib/rollout/rollout.ts';
import type { Trajectory } from '../../lib/rollout/trajectory.ts';
import { demoTasks } from '../../lib/tasks/demo.ts';
import { formats } from '../../lib/text/formats/index.ts';
import type { Tokenizer } from '../../lib/text/tokenizer.ts';
import type { PolicyStepOptions, ScoredTrajectory } from '../../lib/train/policy-options.ts';
import { traceLedger } from '../../lib/train/sft.ts';
import { makeTraces } from '../../lib/train/traces.ts';
import { bits } from './batches.ts';
import { letterTool, openTiny, promptsOf, rolloutOptions } from './rollouts.ts';

export const adamw: AdamWOptions = {
  lr: 1e-2,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
};
/** Updates in proportion to the gradient, so that every bit of it shows in the weights. */
export const proportional: AdamWOptions = { ...adamw, eps: 1, maxGradNorm: 0 };
export const ppo: LossOptions = {
  kind: 'ppo_clip',
  clipLow: 0.2,
  clipHigh: 0.2,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
};
export const grpo: PolicyStepOptions = {
  advantage: { kind: 'grpo', std: 'sample', eps: 1e-4 },
  loss: ppo,
  reduction: 'token_mean',
  epochs: 1,
  miniBatches: 1,
  microBatchTokens: 100_000,
  temperature: 1,
  unmaskTool: false,
  adamw: proportional,
};

export async function trainable(): Promise<Model> {
  return (await openTiny({ trainable: true })).model;
}

/** Bit patterns of every parameter. */
export async function weightsOf(model: Model): Promise<Uint32Array[]> {
  return Promise.all(model.parameterNames.map(async (name) => bits(await model.parameter(name))));
}

/** Trajectories of the tiny model with tool calls: `prompts` groups of `samples`. Every fresh tiny model gives the same. */
export async function sampleGroups(
  { model, tokenizer }: ModelAndTokenizer,
  prompts = 3,
  samples = 4,
): Promise<Trajectory[]> {
  const { trajectories } = await rollout(
    promptsOf(tokenizer, prompts, samples),
    rolloutOptions({ model, tokenizer }, { tool: letterTool() }),
  );
  return [...trajectories];
}

/** Each trajectory with the reward of its index. */
export function scoredBy(
  trajectories: readonly Trajectory[],
  reward: (index: number) => number,
): ScoredTrajectory[] {
  return trajectories.map((trajectory, i) => ({ trajectory, reward: reward(i) }));
}
/** Rewards that differ within every group. */
export const spread = (i: number): number => ((i * 5) % 7) / 3 - 1;

/** Traces of two demo tasks, half of them with a call. */
export function tracesOf(tokenizer: Tokenizer, count: number): Ledger[] {
  const traces = makeTraces([demoTasks.sum, demoTasks.gcd], { count, seed: 1, codeShare: 0.5 });
  return traces.map((trace) =>
    traceLedger(tokenizer.encodeTemplate(`${trace.question.prompt}\n`), trace, tokenizer, formats.r1ci),
  );
}
