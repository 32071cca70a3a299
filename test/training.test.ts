import test, { type ExecutionContext } from 'ava';
import type { AdamWOptions, EngineModel, LossOptions } from '../lib/model/engine.ts';
import type { Model } from '../lib/model/model.ts';
import { Ledger, Origin } from '../lib/rollout/ledger.ts';
import { rollout } from '../lib/rollout/rollout.ts';
import type { Trajectory } from '../lib/rollout/trajectory.ts';
import { demoTasks } from '../lib/tasks/demo.ts';
import type { Reward } from '../lib/tasks/reward.ts';
import type { Task } from '../lib/tasks/task.ts';
import { formats } from '../lib/text/formats/index.ts';
import { cutRows, lossMask, lossWeights } from '../lib/train/batch.ts';
import { type GrpoOptions, grpoStep } from '../lib/train/grpo.ts';
import { scoreRollouts } from '../lib/train/score.ts';
import { sftStep, traceLedger } from '../lib/train/sft.ts';
import { makeTraces, traceFormats } from '../lib/train/traces.ts';
import { bits } from './support/batches.ts';
import {
  findingFormat,
  letterTool,
  openTiny,
  promptsOf,
  rolloutOptions,
  wideLimits,
} from './support/rollouts.ts';

const tiny = await openTiny();
const { tokenizer } = tiny;

const adamw: AdamWOptions = { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
/** Updates in proportion to the gradient, so that every bit of it shows in the weights. */
const proportional: AdamWOptions = { ...adamw, eps: 1, maxGradNorm: 0 };
const ppo: LossOptions = {
  kind: 'ppo_clip',
  clipLow: 0.2,
  clipHigh: 0.2,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
};
const grpo: GrpoOptions = {
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

async function trainable(): Promise<Model> {
  return (await openTiny({ trainable: true })).model;
}

/** Bit patterns of every parameter. */
async function weightsOf(model: Model): Promise<Uint32Array[]> {
  return Promise.all(model.parameterNames.map(async (name) => bits(await model.parameter(name))));
}

/** Trajectories of the tiny model with tool calls: `prompts` groups of `samples`. Every fresh tiny model gives the same. */
async function sampleGroups(prompts = 3, samples = 4, model: Model = tiny.model): Promise<Trajectory[]> {
  const { trajectories } = await rollout(
    promptsOf(tokenizer, prompts, samples),
    rolloutOptions({ model, tokenizer }, { tool: letterTool() }),
  );
  return [...trajectories];
}

/** Rewards 0, 1, 2, ... by `reward(i)`. */
function scoredBy(trajectories: readonly Trajectory[], reward: (index: number) => number) {
  return trajectories.map((trajectory, i) => ({ trajectory, reward: reward(i) }));
}
const spread = (i: number) => ((i * 5) % 7) / 3 - 1;

function traceLedgers(count: number): Ledger[] {
  const traces = makeTraces([demoTasks.sum, demoTasks.gcd], { count, seed: 1, codeShare: 0.5 });
  return traces.map((trace) =>
    traceLedger(tokenizer.encodeTemplate(`${trace.question.prompt}\n`), trace, tokenizer, formats.r1ci),
  );
}

test('SFT learns a few multi-turn traces by heart', async (t) => {
  using model = await trainable();
  const ledgers = traceLedgers(4);
  const policy = ledgers.reduce(
    (sum, { origins }) => sum + origins.filter((origin) => origin === Origin.policy).length,
    0,
  );
  const losses: number[] = [];
  for (let step = 0; step < 150; step++) {
    const report = await sftStep(model, ledgers, {
      adamw,
      reduction: 'token_mean',
      microBatchTokens: 4096,
    });
    losses.push(report.loss);
    if (step === 0) t.is(report.tokensInLoss, policy, 'tool output and prompt are not in the loss');
  }
  t.log(`loss ${losses[0]!.toFixed(2)} -> ${losses.at(-1)!.toFixed(4)} on ${policy} tokens`);
  t.true(losses[0]! > 4);
  t.true(losses.at(-1)! < 0.1);
});

test('a trace is encoded as the model would have sampled it', (t) => {
  const question = { id: 'q', task: 'sum', prompt: '', answer: '42' };
  const turns = [
    { text: traceFormats.hermes.call('print(42)'), toolOutput: '42\n' },
    { text: '\\boxed{42}' },
  ];
  const ledger = traceLedger(
    Int32Array.of(1, 2),
    { question, turns, style: 'code' },
    tokenizer,
    formats.hermes,
  );
  const texts = ledger.policyTurns(tokenizer);
  t.deepEqual(texts, [`${turns[0]!.text}<|im_end|>`, '\\boxed{42}<|im_end|>']);
  const [call] = [tokenizer.addedTokens.get('<tool_call>')!.id];
  t.is(ledger.ids[2], call, 'the marker is the token that the model writes');
  t.true(ledger.origins.includes(Origin.tool) && ledger.origins.includes(Origin.template));

  const fenced = traceLedger(
    Int32Array.of(1, 2),
    {
      question,
      turns: [{ text: '```python\n1\n```', toolOutput: '1\n' }, { text: '<<<1>>>' }],
      style: 'code',
    },
    tokenizer,
    formats.r1ci,
  );
  t.deepEqual(
    fenced.policyTurns(tokenizer),
    ['```python\n1\n```', '<<<1>>><|im_end|>'],
    'the fence itself ends a calling turn',
  );
});

test('micro-batches do not change a bit of weights or gradients, in SFT and in GRPO', async (t) => {
  const ledgers = traceLedgers(6);
  const scored = scoredBy(await sampleGroups(), spread);
  const results: Uint32Array[][] = [];
  for (const microBatchTokens of [100_000, 150, 1]) {
    using model = await trainable();
    for (let i = 0; i < 2; i++) {
      await sftStep(model, ledgers, { adamw: proportional, reduction: 'sequence_mean', microBatchTokens });
    }
    using policy = await trainable();
    const options = { ...grpo, epochs: 2, miniBatches: 3, microBatchTokens };
    const report = await grpoStep(policy, scored, 4, options);
    t.is(report.updates, 6);
    results.push([...(await weightsOf(model)), ...(await weightsOf(policy))]);
  }
  t.deepEqual(results[1], results[0]);
  t.deepEqual(results[2], results[0]);
  using untouched = await trainable();
  t.notDeepEqual(results[0]!.slice(0, untouched.parameterNames.length), await weightsOf(untouched));
});

test('tool tokens take no part in the loss unless they are unmasked', async (t) => {
  /** Prompt, six policy tokens, then tool output that nothing follows. */
  const withOutput = (output: string): Ledger => {
    const ledger = new Ledger();
    ledger.appendPrompt(tokenizer.encode('What is 2 + 2?'));
    for (const id of tokenizer.encode('print')) ledger.appendPolicy(id, 0, 0, 0);
    ledger.appendTool(tokenizer.encode(output), 0, 0);
    return ledger;
  };
  const gradients = async (ledger: Ledger, unmask: boolean) => {
    using model = await trainable();
    const mask = lossMask(ledger, unmask);
    const [weight] = lossWeights([mask], { constant: 8 });
    const tokens = Int32Array.from(ledger.ids);
    const seqStarts = Int32Array.of(0, tokens.length);
    await model.accumulate(
      { tokens, seqStarts, temperature: 1, weight: weight! },
      {
        ...ppo,
        kind: 'cross_entropy',
      },
    );
    return Promise.all(model.parameterNames.map(async (name) => bits(await model.gradient(name))));
  };
  const one = withOutput('4\n');
  const other = withOutput('7\n');
  t.deepEqual(await gradients(one, false), await gradients(other, false));
  t.notDeepEqual(await gradients(one, true), await gradients(other, true));
});

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
  const trajectories = await sampleGroups(2, 3);
  const rewards = [1, 0, 0.25, -1, 2, 2];
  const expected: number[] = [];
  for (const group of [rewards.slice(0, 3), rewards.slice(3)]) {
    const mean = group.reduce((a, b) => a + b) / 3;
    const std = Math.sqrt(group.reduce((a, b) => a + (b - mean) ** 2, 0) / 2);
    expected.push(...group.map((reward) => (reward - mean) / (std + 1e-4)));
  }
  using reference = await trainable();
  await sftStep(reference, traceLedgers(2), { adamw, reduction: 'token_mean', microBatchTokens: 4096 });
  const refLogprobs = await rescored(reference, trajectories);
  for (const kl of [null, 'k2', 'k3'] as const) {
    const options = {
      ...grpo,
      adamw,
      ...(kl === null ? {} : { reference, loss: { ...ppo, kl, klCoef: 0.3 } }),
    };
    const scored = trajectories.map((trajectory, i) => ({ trajectory, reward: rewards[i]! }));
    using once = await trainable();
    const first = await grpoStep(once, scored, 3, options);
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
    const both = await grpoStep(twice, scored, 3, { ...options, epochs: 2 });
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
  const trajectories = await sampleGroups(3, 4, model);
  const scored = scoredBy(trajectories, spread);
  const name = 'model.layers.0.mlp.down_proj.weight';
  const original = await model.parameter(name);
  const before = await weightsOf(model);

  for (const rewardOf of [spread, () => 1]) {
    // With all rewards equal nothing is trained on, and the gap is checked all the same.
    await model.setParameter(name, flipped(original, 5, 16));
    const error = await t.throwsAsync(grpoStep(model, scoredBy(trajectories, rewardOf), 4, grpo), {
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
  t.is((await grpoStep(model, scored, 4, { ...grpo, adamw: { ...adamw, lr: 0 } })).logprobGap, 0);
  await model.setParameter(name, original);
  t.deepEqual(await weightsOf(model), before);
  const report = await grpoStep(model, scored, 4, grpo);
  const calls = trajectories.flatMap((trajectory) => trajectory.calls).length;
  t.log(`gap ${report.logprobGap} over ${report.tokensInLoss} tokens, ${calls} calls`);
  t.is(report.logprobGap, 0);
  t.true(calls > 5);
});

test('dead groups are counted and train nothing; lost trajectories leave their group', async (t) => {
  using model = await trainable();
  const trajectories = await sampleGroups(3, 4, model);
  const equal = await grpoStep(
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
  const report = await grpoStep(
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
  const inLoss = [0, 2, 3].reduce(
    (sum, i) => sum + trajectories[i]!.ledger.mask.reduce((a, b) => a + b, 0),
    0,
  );
  t.is(report.tokensInLoss, inLoss);
});

test('denominators count what is not trained on: dead groups shrink nothing', async (t) => {
  const trajectories = await sampleGroups(2, 3);
  const tokens = trajectories.map(({ ledger }) => ledger.mask.reduce((a, b) => a + b, 0));
  const all = tokens.reduce((a, b) => a + b);
  using model = await trainable();
  const rewards = [1, 0, 0, 5, 5, 5];
  const { policyLoss, tokensInLoss } = await grpoStep(
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
  const trajectories = await sampleGroups(2, 4);
  const scored = scoredBy(trajectories, spread);
  using masked = await trainable();
  using unmasked = await trainable();
  const without = await grpoStep(masked, scored, 4, grpo);
  const withTool = await grpoStep(unmasked, scored, 4, { ...grpo, unmaskTool: true });
  const toolTokens = trajectories.reduce(
    (sum, { ledger }) => sum + ledger.origins.filter((origin) => origin === Origin.tool).length,
    0,
  );
  t.log(`${without.tokensInLoss} tokens in the loss, ${toolTokens} of the tool added`);
  t.true(toolTokens > 50);
  t.is(withTool.tokensInLoss, without.tokensInLoss + toolTokens);
  t.is(withTool.logprobGap, 0);
  t.is(withTool.maxRatio, 1, 'old log-probs of tool tokens are those of the same weights');
  t.is(withTool.entropy, without.entropy, 'the entropy speaks of policy tokens');
  t.notDeepEqual(await weightsOf(unmasked), await weightsOf(masked));
});

test('epochs and mini-batches make one update each, over whole groups in order', async (t) => {
  const trajectories = await sampleGroups(4, 3);
  const scored = scoredBy(trajectories, spread);
  using model = await trainable();
  const report = await grpoStep(model, scored, 3, { ...grpo, adamw, epochs: 2, miniBatches: 2 });
  t.is(report.updates, 4);
  t.is(model.version, 4);
  t.is(report.logprobGap, 0, 'later mini-batches are compared before the first update, too');
  t.true(report.maxRatio > 1);

  // Two mini-batches are the two halves one after the other, old log-probs being the sampled ones.
  using split = await trainable();
  await grpoStep(split, scored, 3, { ...grpo, miniBatches: 2 });
  using halves = await trainable();
  await grpoStep(halves, scored.slice(0, 6), 3, grpo);
  // Written by version 0, so not compared with version 1.
  const rest = await grpoStep(halves, scored.slice(6), 3, grpo);
  t.true(rest.maxRatio !== 1);
  t.deepEqual(await weightsOf(split), await weightsOf(halves));
});

test('a step is done whole or not at all when it is aborted', async (t) => {
  const scored = scoredBy(await sampleGroups(4, 3), spread);
  const options = { ...grpo, epochs: 2, miniBatches: 2, microBatchTokens: 1 };
  using whole = await trainable();
  await grpoStep(whole, scored, 3, options);
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
    const step = grpoStep(aborting, scored, 3, { ...options, signal: controller.signal });
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
  const trajectories = await sampleGroups(2, 3);
  const scored = scoredBy(trajectories, spread);
  const refused = (batch: typeof scored, size: number, options: GrpoOptions, message: RegExp) =>
    t.throwsAsync(grpoStep(tiny.model, batch, size, options), { instanceOf: RangeError, message });
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
    grpoStep(
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

test('a reward or verifier that throws, or gives no finite number, names the trajectory', async (t) => {
  const trajectories = await sampleGroups(1, 2);
  const task: Task = {
    name: 'test',
    description: '',
    question: () => t.fail() as never,
    verify: () => ({ correct: true, reason: '' }),
  };
  const tasks = new Map([['test', task]]);
  const score = (reward: Reward, verify: Task['verify'] = task.verify) =>
    scoreRollouts(trajectories, new Map([['test', { ...task, verify }]]), reward);
  const boom: Reward = () => {
    throw new Error('boom');
  };
  const fails = (work: () => unknown, message: RegExp) => t.throws(work, { code: 'ERR_REWARD', message });
  fails(() => score(boom), /sample 0 of question q-0: boom/);
  fails(
    () => score(() => ({ total: Number.NaN, parts: {} })),
    /sample 0 of question q-0: .*total, found NaN/,
  );
  fails(() => score(() => ({ total: 1, parts: { a: Infinity } })), /finite number for a, found Infinity/);
  fails(() => score(() => 1 as never), /expected \{ total, parts \}, found 1/);
  fails(
    () =>
      score(
        () => ({ total: 0, parts: {} }),
        () => {
          throw new Error('bad verifier');
        },
      ),
    /sample 0 of question q-0: bad verifier/,
  );
  fails(() => scoreRollouts(trajectories, new Map(), boom), /belongs to task test, which was not given/);

  const seen: unknown[] = [];
  const scored = scoreRollouts(
    [trajectories[0]!, { ...trajectories[1]!, end: 'infrastructure' }],
    tasks,
    (given) => {
      seen.push(given);
      return { total: given.calls.length, parts: { calls: given.calls.length } };
    },
  );
  t.is(seen.length, 1, 'a lost trajectory is not scored');
  t.like(seen[0], { correct: true, turns: trajectories[0]!.turns, calls: trajectories[0]!.calls });
  t.is(scored[0]!.reward, trajectories[0]!.calls.length);
  t.like(scored[1]!, { reward: 0, correct: false, parts: {} });
});

test('GRPO teaches a tiny model to write a letter in seconds', async (t) => {
  using model = await trainable();
  using cache = model.openKvCache(200);
  const prompts = promptsOf(tokenizer, 2, 16);
  const letters = ({ text }: Trajectory) => (text.split('e').length - 1) / 8;
  const curve: number[] = [];
  const started = performance.now();
  for (let step = 0; step < 28; step++) {
    const { trajectories } = await rollout(
      prompts,
      rolloutOptions(
        { model, tokenizer },
        {
          tool: null,
          cache,
          step,
          format: findingFormat(() => null),
          limits: { ...wideLimits, turnTokens: [8, 8] },
        },
      ),
    );
    const rewards = trajectories.map(letters);
    curve.push(rewards.reduce((a, b) => a + b) / rewards.length);
    const report = await grpoStep(
      model,
      scoredBy(trajectories, (i) => rewards[i]!),
      16,
      { ...grpo, adamw },
    );
    t.is(report.logprobGap, 0);
  }
  const seconds = (performance.now() - started) / 1000;
  const [first, last] = [curve[0]!, curve.at(-1)!];
  t.log(`letters e per token: ${first.toFixed(2)} -> ${last.toFixed(2)} in ${seconds.toFixed(1)} s`);
  t.true(first < 0.2 && last > 0.7);
});

test('every reduction is a choice of weights fixed over the mini-batch', (t) => {
  const masks = [
    [0, 1, 1, 1],
    [0, 0, 1],
    [0, 0],
  ].map((mask) => Uint8Array.from(mask));
  const sums = (reduction: Parameters<typeof lossWeights>[1]) =>
    lossWeights(masks, reduction).map((weights) => Number(weights.reduce((a, b) => a + b, 0).toFixed(6)));
  t.deepEqual(sums('token_mean'), [0.75, 0.25, 0]);
  t.deepEqual(sums('sequence_mean'), [0.5, 0.5, 0]);
  t.deepEqual(sums('sequence_sum'), [1.5, 0.5, 0]);
  t.deepEqual(sums({ constant: 10 }), [0.15, 0.05, 0]);
  t.deepEqual(lossWeights([new Uint8Array(3)], 'token_mean'), [new Float32Array(3)], 'nothing in the loss');
});

test('rows are cut into packs in order, a long row being a pack of its own', (t) => {
  t.deepEqual(cutRows([3, 3, 3, 9, 1, 1], 6), [[0, 1], [2], [3], [4, 5]]);
  t.deepEqual(cutRows([5, 5], 1), [[0], [1]]);
  t.deepEqual(cutRows([], 10), []);
});

test.after.always(() => tiny.model.dispose());
