/** What a policy step can be told: KL in the reward, stale tokens and their correction, estimators, masks. In double precision. */
import test from 'ava';
import type { EngineModel } from '../lib/model/engine.ts';
import type { Trajectory } from '../lib/rollout/trajectory.ts';
import type { PolicyStepOptions } from '../lib/train/policy-options.ts';
import { policyStep } from '../lib/train/policy-step.ts';
import { sftStep } from '../lib/train/sft.ts';
import { openTiny } from './support/rollouts.ts';
import { adamw, grpo, ppo, sampleGroups, scoredBy, spread, tracesOf, trainable } from './support/training.ts';

const tiny = await openTiny();

/** A model that has learned something else. */
async function moved() {
  const model = await trainable();
  const options = { adamw, reduction: 'token_mean', microBatchTokens: 4096 } as const;
  await sftStep(model, tracesOf(tiny.tokenizer, 2), options);
  return model;
}

async function scoresOf(model: EngineModel, { ledger }: Trajectory): Promise<Float32Array> {
  const tokens = Int32Array.from(ledger.ids);
  return (await model.score({ tokens, seqStarts: Int32Array.of(0, tokens.length) }, 1)).logprobs;
}

const policyPositions = ({ ledger }: Trajectory) =>
  [...ledger.mask.keys()].filter((at) => ledger.mask[at] === 1);
const error = (found: number, expected: number) =>
  Math.abs(found - expected) / Math.max(1e-3, Math.abs(expected));

test('KL in the reward is taken off before advantages, and costs no term of the loss', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  using reference = await moved();
  const shaped: number[] = [];
  let penalty = 0;
  for (const [i, trajectory] of trajectories.entries()) {
    const lr = await scoresOf(reference, trajectory);
    const kl = policyPositions(trajectory).reduce(
      (sum, at) => sum + (trajectory.ledger.logprobs[at]! - lr[at]!),
      0,
    );
    shaped.push(spread(i) - 0.1 * kl);
    penalty += (0.1 * kl) / trajectories.length;
  }
  using model = await trainable();
  const step = await policyStep(model, scoredBy(trajectories, spread), 3, {
    ...grpo,
    advantage: { kind: 'grpo', std: 'none', eps: 1e-4 },
    reference,
    klReward: { kind: 'k1', coef: 0.1 },
  });
  const worst = Math.max(
    ...shaped.map((reward, i) => {
      const group = shaped.slice(i - (i % 3), i - (i % 3) + 3);
      return error(step.advantages[i]!, reward - group.reduce((a, b) => a + b) / 3);
    }),
  );
  t.log(`mean penalty ${step.klPenalty.toFixed(4)}, worst error of an advantage ${worst.toExponential(1)}`);
  t.true(worst < 1e-5 && error(step.klPenalty, penalty) < 1e-5);
  t.true(Math.abs(penalty) > 1e-3, 'the reference differs');
  t.deepEqual([step.klLoss, step.logprobGap], [0, 0]);
});

test('tokens of older weights are scored again, weighted by exp(lo - ls), and say so', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  using model = await moved();
  const cap = 1.5;
  const options: PolicyStepOptions = {
    ...grpo,
    advantage: { kind: 'grpo', std: 'none', eps: 1e-4 },
    correction: {
      form: 'decoupled',
      weight: { level: 'token', cap, reject: 'none', low: 0, high: 0, normalise: false },
    },
  };
  const lo = await Promise.all(trajectories.map((trajectory) => scoresOf(model, trajectory)));
  const scored = scoredBy(trajectories, spread);
  const means = [0, 1].map((g) => [0, 1, 2].reduce((sum, s) => sum + spread(3 * g + s), 0) / 3);
  let [weighted, plain, bypassed, tokens] = [0, 0, 0, 0];
  trajectories.forEach((trajectory, i) => {
    const a = spread(i) - means[Math.floor(i / 3)]!;
    for (const at of policyPositions(trajectory)) {
      const ratio = Math.exp(lo[i]![at]! - trajectory.ledger.logprobs[at]!);
      weighted -= Math.min(ratio, cap) * a;
      plain -= a;
      bypassed -= Math.min(ratio * a, Math.min(Math.max(ratio, 0.8), 1.2) * a);
      tokens += 1;
    }
  });
  const decoupled = await policyStep(model, scored, 3, { ...options, adamw: { ...adamw, lr: 0 } });
  t.is(decoupled.staleTokens, tokens);
  t.is(decoupled.maxRatio, 1, 'the ratio is to the weights at the start of the batch');
  t.true(
    error(decoupled.policyLoss, weighted / tokens) < 1e-5,
    `${decoupled.policyLoss} ${weighted / tokens}`,
  );
  t.true(Math.abs(weighted - plain) / tokens > 1e-3, 'the weights matter');
  t.true(decoupled.correction!.max > 1 && decoupled.correction!.capped > 0);
  t.is(decoupled.logprobGap, 0);

  using second = await moved();
  const bypass = await policyStep(second, scored, 3, { ...options, correction: { form: 'bypass' } });
  t.true(
    error(bypass.policyLoss, bypassed / tokens) < 1e-5,
    'bypass: the ratio is to the recorded log-probs',
  );
  t.is(bypass.correction, null);

  using third = await moved();
  const { correction: _, ...none } = options;
  const unweighted = await policyStep(third, scored, 3, none);
  t.true(error(unweighted.policyLoss, plain / tokens) < 1e-5, 'without a correction: rescored, weight 1');
});

test('rejected tokens leave the loss by mask, or stay in its denominator by zero weight', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  const scored = scoredBy(trajectories, spread);
  const total = trajectories.reduce((sum, trajectory) => sum + policyPositions(trajectory).length, 0);
  const tokensOf = async (reject: 'mask' | 'zero') => {
    using model = await moved();
    const weight = { level: 'token', cap: 2, reject, low: 0.9, high: 1.1, normalise: false } as const;
    const step = await policyStep(model, scored, 3, { ...grpo, correction: { form: 'decoupled', weight } });
    return { tokens: step.tokensInLoss, rejected: Math.round(step.correction!.rejected * total) };
  };
  const [masked, zeroed] = [await tokensOf('mask'), await tokensOf('zero')];
  t.true(masked.rejected > 0 && masked.rejected < total);
  t.is(masked.rejected, zeroed.rejected);
  t.is(masked.tokens, total - masked.rejected);
  t.is(zeroed.tokens, total);
});

test('trajectories that a limit cut can be left out; whether empty rows count in a row mean is a choice', async (t) => {
  const trajectories = (await sampleGroups(tiny, 2, 3)).map((trajectory, i) =>
    i === 1 ? { ...trajectory, end: 'total_length' as const } : { ...trajectory, end: 'answer' as const },
  );
  const scored = scoredBy(trajectories, spread);
  const run = async (options: Partial<PolicyStepOptions>) => {
    using model = await trainable();
    return await policyStep(model, scored, 3, { ...grpo, reduction: 'sequence_mean', ...options });
  };
  const [whole, without, counted] = [
    await run({}),
    await run({ maskTruncated: true }),
    await run({ maskTruncated: true, countEmptyRows: true }),
  ];
  t.is(whole.tokensInLoss - without.tokensInLoss, policyPositions(trajectories[1]!).length);
  t.true(error(without.policyLoss * 5, counted.policyLoss * 6) < 1e-5, 'five rows or six');
  t.is(without.advantages[1], 0, 'it still counted in its group, but no token of it has an advantage');
});

test('REINFORCE++ trains through the step: its advantages are whitened, the entropy bonus may be a token mean', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  const scored = scoredBy(trajectories, spread);
  for (const advantage of [{ kind: 'reinforce++', gamma: 0.99 }, { kind: 'reinforce++-baseline' }] as const) {
    using model = await trainable();
    const step = await policyStep(model, scored, 3, { ...grpo, advantage });
    const all = trajectories.flatMap((trajectory, i) =>
      policyPositions(trajectory).map((at) => step.tokenAdvantages[i]![at]!),
    );
    const mean = all.reduce((sum, a) => sum + a, 0) / all.length;
    const variance = all.reduce((sum, a) => sum + (a - mean) ** 2, 0) / (all.length - 1);
    t.log(`${advantage.kind}: mean ${mean.toExponential(1)}, variance ${variance.toFixed(6)}`);
    t.true(Math.abs(mean) < 1e-6 && Math.abs(variance - 1) < 1e-5);
    t.is(step.logprobGap, 0);
    t.true(step.gradNorm > 0);
  }
  const bonus = { ...ppo, entropyCoef: 0.5 };
  const losses: number[] = [];
  for (const entropyTokenMean of [false, true]) {
    using model = await trainable();
    const options = { ...grpo, loss: bonus, reduction: 'sequence_mean', entropyTokenMean } as const;
    const step = await policyStep(model, scored, 3, options);
    losses.push(step.loss - step.policyLoss);
    if (entropyTokenMean) t.true(error(losses[1]!, -0.5 * step.entropy) < 1e-5, 'the mean over tokens');
  }
  t.not(losses[0], losses[1]);
});

test('what cannot work is refused before anything is computed', async (t) => {
  using model = await trainable();
  const scored = scoredBy(await sampleGroups(tiny, 1, 3), spread);
  const refused = (options: Partial<PolicyStepOptions>, message: RegExp) =>
    t.throwsAsync(policyStep(model, scored, 3, { ...grpo, ...options }), { instanceOf: RangeError, message });
  await refused({ klReward: { kind: 'k1', coef: 1 } }, /KL in the reward needs a reference/);
  await refused({ advantage: { kind: 'gae', gamma: 1, lambda: 1 } }, /gae needs a critic/);
  await refused({ criticOnly: true }, /a critic is for advantage gae; it is grpo/);
});
