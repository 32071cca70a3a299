/** GRPO on trajectories with tool calls: its numbers, its masks, what it counts and what it refuses. */
import test, { type ExecutionContext } from 'ava';
import type { EngineModel } from '../lib/model/engine.ts';
import { Origin } from '../lib/rollout/ledger.ts';
import type { Trajectory } from '../lib/rollout/trajectory.ts';
import type { PolicyStepOptions } from '../lib/train/policy-options.ts';
import { policyStep } from '../lib/train/policy-step.ts';
import { sftStep } from '../lib/train/sft.ts';
import { openTiny } from './support/rollouts.ts';
import {
  adamw,
  grpo,
  ppo,
  sampleGroups,
  scoredBy,
  spread,
  tracesOf,
  trainable,
  weightsOf,
} from './support/training.ts';

const tiny = await openTiny();
const { tokenizer } = tiny;

/** Token log-probs of trajectories under a model, from their recorded ids alone. */
async function rescored(model: EngineModel, trajectories: readonly Trajectory[]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const { ledger } of trajectories) {
    const tokens = Int32Array.from(ledger.ids);
    const { logprobs } = await model.score({ tokens, seqStarts: Int32Array.of(0, tokens.length) }, 1);
    all.push(logprobs);
  }
  return all;
}

/** The GRPO objective in double precision, from its definition. */
function objective(
  trajectories: readonly Trajectory[],
  advantages: readonly number[],
  logprobs: readonly Float32Array[],
  reference: readonly Float32Array[] | null,
  kl: 'k2' | 'k3' | null,
) {
  let [policy, klSum, tokens, clipLow, clipHigh] = [0, 0, 0, 0, 0];
  trajectories.forEach(({ ledger }, i) => {
    for (let t = 0; t < ledger.length; t++) {
      if (ledger.origins[t] !== Origin.policy) continue;
      tokens += 1;
      const a = advantages[i]!;
      const ratio = Math.exp(logprobs[i]![t]! - ledger.logprobs[t]!);
      policy -= Math.min(ratio * a, Math.min(Math.max(ratio, 0.8), 1.2) * a);
      if (a < 0 && ratio < 0.8) clipLow += 1;
      if (a > 0 && ratio > 1.2) clipHigh += 1;
      if (kl === null) continue;
      const delta = reference![i]![t]! - logprobs[i]![t]!;
      klSum += kl === 'k2' ? delta ** 2 / 2 : Math.exp(delta) - delta - 1;
    }
  });
  return {
    policy: policy / tokens,
    kl: klSum / tokens,
    tokens,
    clipLow: clipLow / tokens,
    clipHigh: clipHigh / tokens,
  };
}

function near(t: ExecutionContext, found: number, expected: number, what: string): void {
  const error = Math.abs(found - expected) / Math.max(1e-3, Math.abs(expected));
  t.true(error < 1e-5, `${what}: found ${found}, expected ${expected}`);
}

test('advantages, loss and KL of a GRPO step are those of the definition in double precision', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  const rewards = [1, 0, 0.25, -1, 2, 2];
  const expected: number[] = [];
  for (const group of [rewards.slice(0, 3), rewards.slice(3)]) {
    const mean = group.reduce((a, b) => a + b) / 3;
    const std = Math.sqrt(group.reduce((a, b) => a + (b - mean) ** 2, 0) / 2);
    expected.push(...group.map((reward) => (reward - mean) / (std + 1e-4)));
  }
  using reference = await trainable();
  await sftStep(reference, tracesOf(tokenizer, 2), {
    adamw,
    reduction: 'token_mean',
    microBatchTokens: 4096,
  });
  const refLogprobs = await rescored(reference, trajectories);
  for (const kl of [null, 'k2', 'k3'] as const) {
    const options = {
      ...grpo,
      adamw,
      ...(kl === null ? {} : { reference, loss: { ...ppo, kl, klCoef: 0.3 } }),
    };
    const scored = trajectories.map((trajectory, i) => ({ trajectory, reward: rewards[i]! }));
    using once = await trainable();
    const first = await policyStep(once, scored, 3, options);
    for (const [i, a] of first.advantages.entries()) near(t, a, expected[i]!, `advantage ${i}`);
    const atStart = objective(
      trajectories,
      expected,
      await rescored(tiny.model, trajectories),
      refLogprobs,
      kl,
    );
    near(t, first.policyLoss, atStart.policy, `policy loss, kl ${kl}`);
    near(t, first.kl, atStart.kl, `${kl}`);
    near(t, first.loss, atStart.policy + 0.3 * atStart.kl, `loss, kl ${kl}`);
    t.is(first.meanRatio, 1);
    t.is(first.maxRatio, 1);
    t.is(first.tokensInLoss, atStart.tokens);
    if (kl !== null) t.true(atStart.kl > 0.01, 'the reference differs');

    // A second epoch sees the weights that the first one left; its ratios are no longer 1.
    using twice = await trainable();
    const both = await policyStep(twice, scored, 3, { ...options, epochs: 2 });
    const second = objective(trajectories, expected, await rescored(once, trajectories), refLogprobs, kl);
    near(t, 2 * both.policyLoss, atStart.policy + second.policy, `second policy loss, kl ${kl}`);
    near(t, 2 * both.kl, atStart.kl + second.kl, `second ${kl}`);
    near(t, 2 * both.clipLow, second.clipLow, 'clipped below');
    near(t, 2 * both.clipHigh, second.clipHigh, 'clipped above');
    t.is(both.updates, 2);
    t.true(second.clipLow + second.clipHigh > 0.05 && both.maxRatio > 1.2, 'the update moves the ratios');
  }
});

/** The same values with one bit of entry `index` flipped. */
function flipped(values: Float32Array, index: number, bit: number): Float32Array {
  const copy = values.slice();
  const words = new Uint32Array(copy.buffer);
  words[index]! ^= 1 << bit;
  return copy;
}

test('the log-prob gap is 0 over a rollout with tools, and one flipped bit of one weight is seen', async (t) => {
  using model = await trainable();
  const trajectories = await sampleGroups({ model, tokenizer }, 3, 4);
  const scored = scoredBy(trajectories, spread);
  const name = 'model.layers.0.mlp.down_proj.weight';
  const original = await model.parameter(name);
  const before = await weightsOf(model);

  for (const rewardOf of [spread, () => 1]) {
    // With all rewards equal nothing is trained on, and the gap is checked all the same.
    await model.setParameter(name, flipped(original, 5, 16));
    const error = await t.throwsAsync(policyStep(model, scoredBy(trajectories, rewardOf), 4, grpo), {
      code: 'ERR_LOGPROB_GAP',
    });
    t.regex(error!.message, /log-prob gap \S+ at token \d+ of sample 0 of question q-0/);
    t.log(error!.message);
  }
  t.is(model.version, 0, 'nothing was updated');
  for (const parameter of model.parameterNames) {
    t.true(
      (await model.gradient(parameter)).every((g) => g === 0),
      `${parameter}: no gradient is left`,
    );
  }

  // A bit of the fp32 master below what bfloat16 holds changes no weight that is computed with.
  await model.setParameter(name, flipped(original, 5, 3));
  t.is((await policyStep(model, scored, 4, { ...grpo, adamw: { ...adamw, lr: 0 } })).logprobGap, 0);
  await model.setParameter(name, original);
  t.deepEqual(await weightsOf(model), before);
  const report = await policyStep(model, scored, 4, grpo);
  const calls = trajectories.flatMap((trajectory) => trajectory.calls).length;
  t.log(`gap ${report.logprobGap} over ${report.tokensInLoss} tokens, ${calls} calls`);
  t.is(report.logprobGap, 0);
  t.true(calls > 5);
});

test('dead groups are counted and train nothing; lost trajectories leave their group', async (t) => {
  using model = await trainable();
  const trajectories = await sampleGroups({ model, tokenizer }, 3, 4);
  const equal = await policyStep(
    model,
    scoredBy(trajectories, () => 0.5),
    4,
    grpo,
  );
  t.is(equal.deadGroups, 3);
  t.is(equal.updates, 0);
  t.is(model.version, 0);
  t.deepEqual([...equal.advantages], new Array(12).fill(0));
  for (const [key, value] of Object.entries(equal)) {
    if (typeof value === 'number') t.true(Number.isFinite(value), `${key} is ${value}`);
  }
  t.true(equal.entropy > 1, 'the entropy is that of all policy tokens, trained on or not');

  const lost = trajectories.map((trajectory, i) =>
    i === 1 || i >= 9 ? { ...trajectory, end: 'infrastructure' as const } : trajectory,
  );
  // The middle group is equal; the first loses one member, the last all but one.
  const rewards = [1, 99, 0, 0, 2, 2, 2, 2, 3, 99, 99, 99];
  const report = await policyStep(
    model,
    scoredBy(lost, (i) => rewards[i]!),
    4,
    {
      ...grpo,
      advantage: { kind: 'grpo', std: 'none', eps: 1e-4 },
    },
  );
  t.is(report.lost, 4);
  t.is(report.deadGroups, 2);
  const thirds = [2 / 3, 0, -1 / 3, -1 / 3, 0, 0, 0, 0, 0, 0, 0, 0];
  for (const [i, a] of report.advantages.entries())
    t.true(Math.abs(a - thirds[i]!) < 1e-6, `advantage ${i}: ${a}`);
  t.is(report.updates, 1);
  const tokens = trajectories.map(({ ledger }) => ledger.mask.reduce((a, b) => a + b, 0));
  t.is(report.tokensInLoss, tokens[0]! + tokens[2]! + tokens[3]!);
  const counted = tokens.filter((_, i) => i !== 1 && i < 9).reduce((a, b) => a + b);
  const sum = tokens.reduce((total, count, i) => total + count * thirds[i]!, 0);
  near(
    t,
    report.policyLoss,
    -sum / counted,
    'the loss, over the tokens of dead groups but not of lost trajectories',
  );
});

test('denominators count what is not trained on: dead groups shrink nothing', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  const tokens = trajectories.map(({ ledger }) => ledger.mask.reduce((a, b) => a + b, 0));
  const all = tokens.reduce((a, b) => a + b);
  using model = await trainable();
  const rewards = [1, 0, 0, 5, 5, 5];
  const { policyLoss, tokensInLoss } = await policyStep(
    model,
    scoredBy(trajectories, (i) => rewards[i]!),
    3,
    grpo,
  );
  const std = Math.sqrt(1 / 3);
  const advantages = [2 / 3, -1 / 3, -1 / 3].map((a) => a / (std + 1e-4));
  near(t, policyLoss, -advantages.reduce((sum, a, i) => sum + a * tokens[i]!, 0) / all, 'loss');
  t.is(tokensInLoss, tokens[0]! + tokens[1]! + tokens[2]!);
});

test('unmasked tool tokens are trained on, with log-probs of their own scoring pass', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 4);
  const scored = scoredBy(trajectories, spread);
  using masked = await trainable();
  using unmasked = await trainable();
  const without = await policyStep(masked, scored, 4, grpo);
  const withTool = await policyStep(unmasked, scored, 4, { ...grpo, unmaskTool: true });
  const toolTokens = trajectories.reduce(
    (sum, { ledger }) => sum + ledger.origins.filter((origin) => origin === Origin.tool).length,
    0,
  );
  t.log(`${without.tokensInLoss} tokens in the loss, ${toolTokens} of the tool added`);
  t.true(toolTokens > 50);
  t.is(withTool.tokensInLoss, without.tokensInLoss + toolTokens);
  t.is(withTool.logprobGap, 0);
  t.is(withTool.meanRatio, 1, 'old log-probs of tool tokens are those of the same weights');
  t.is(withTool.maxRatio, 1);
  t.is(withTool.entropy, without.entropy, 'the entropy speaks of policy tokens');
  t.notDeepEqual(await weightsOf(unmasked), await weightsOf(masked));
});

test('epochs and mini-batches make one update each, over whole groups in order', async (t) => {
  const trajectories = await sampleGroups(tiny, 4, 3);
  const scored = scoredBy(trajectories, spread);
  using model = await trainable();
  const report = await policyStep(model, scored, 3, { ...grpo, adamw, epochs: 2, miniBatches: 2 });
  t.is(report.updates, 4);
  t.is(model.version, 4);
  t.is(report.logprobGap, 0, 'later mini-batches are compared before the first update, too');
  t.true(report.maxRatio > 1);

  // Two mini-batches are the two halves one after the other, old log-probs being the sampled ones.
  using split = await trainable();
  await policyStep(split, scored, 3, { ...grpo, miniBatches: 2 });
  using halves = await trainable();
  await policyStep(halves, scored.slice(0, 6), 3, grpo);
  // Written by version 0, so not compared with version 1.
  // Sampled before the first half's update: as in one batch, the recorded log-probs are the old ones.
  const rest = await policyStep(halves, scored.slice(6), 3, { ...grpo, correction: { form: 'bypass' } });
  t.true(rest.maxRatio !== 1);
  t.deepEqual(await weightsOf(split), await weightsOf(halves));
});

test('a step is done whole or not at all when it is aborted', async (t) => {
  const scored = scoredBy(await sampleGroups(tiny, 4, 3), spread);
  const options = { ...grpo, epochs: 2, miniBatches: 2, microBatchTokens: 1 };
  using whole = await trainable();
  await policyStep(whole, scored, 3, options);
  for (const calls of [2, 9]) {
    using model = await trainable();
    const controller = new AbortController();
    let accumulated = 0;
    const aborting = new Proxy(model, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) => {
          if (key === 'accumulate' && ++accumulated === calls) controller.abort(new Error('stop'));
          return Reflect.apply(value, target, given) as unknown;
        };
      },
    });
    const step = policyStep(aborting, scored, 3, { ...options, signal: controller.signal });
    if (calls === 2) {
      await t.throwsAsync(step, { message: 'stop' });
      t.is(model.version, 0);
      for (const name of model.parameterNames) t.true((await model.gradient(name)).every((g) => g === 0));
    } else {
      t.is((await step).updates, 4, 'after the first update the step goes on to its end');
      t.deepEqual(await weightsOf(model), await weightsOf(whole));
    }
  }
});

test('batches that cannot be are refused with what was found', async (t) => {
  const trajectories = await sampleGroups(tiny, 2, 3);
  const scored = scoredBy(trajectories, spread);
  const refused = (batch: typeof scored, size: number, options: PolicyStepOptions, message: RegExp) =>
    t.throwsAsync(policyStep(tiny.model, batch, size, options), { instanceOf: RangeError, message });
  await refused([], 3, grpo, /expected whole groups of 3 trajectories, found 0/);
  await refused(scored.slice(1), 3, grpo, /expected whole groups of 3 trajectories, found 5/);
  await refused(scored, 2, grpo, /groups of 2 trajectories of one prompt, found prompts 0 and 1/);
  await refused(scored, 3, { ...grpo, miniBatches: 3 }, /expected 1 to 2 mini-batches .*, found 3/);
  await refused(scored, 3, { ...grpo, loss: { ...ppo, kl: 'k3', klCoef: 1 } }, /needs a reference model/);
  await t.throwsAsync(sftStep(tiny.model, [], { adamw, reduction: 'token_mean', microBatchTokens: 1 }), {
    instanceOf: RangeError,
    message: /expected at least one trace/,
  });
  await t.throwsAsync(
    policyStep(
      tiny.model,
      scoredBy(trajectories, () => Number.NaN),
      3,
      grpo,
    ),
    {
      code: 'ERR_NOT_FINITE',
    },
  );
});

test.after.always(() => tiny.model.dispose());
