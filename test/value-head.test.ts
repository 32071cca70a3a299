/** The value head and the value loss in the model: gradients, bits, update, files, arguments. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { AdamWOptions, LossResult } from '../lib/model/engine.ts';
import * as kernels from '../lib/model/kernels.ts';
import { planMemory } from '../lib/model/memory.ts';
import { createModel, loadModel, type Model } from '../lib/model/model.ts';
import { Tensor } from '../lib/model/tensor.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { alone, bits, crossEntropy, packed } from './support/batches.ts';
import {
  adamw,
  allBits,
  bothBatch,
  bothLosses,
  isHead,
  policyBatch,
  policyOnly,
  tinyCritic,
} from './support/critics.ts';
import { sequences, tinyConfigs, tinyModel } from './support/tiny-models.ts';

const numbersOf = ({ logprobs, value, ...numbers }: LossResult) => numbers;

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'toolgrad-critic-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

for (const { family, policy } of [
  { family: 'qwen2', policy: true },
  { family: 'llama', policy: true },
  { family: 'qwen3', policy: false },
] as const) {
  const what = policy ? 'the value loss together with the policy loss' : 'the value loss alone';
  test(`${family}: gradients of ${what} agree with finite differences for every parameter`, async (t) => {
    using model = await tinyCritic(family);
    const batch = bothBatch(undefined, policy);
    await model.accumulate(batch, bothLosses);
    const gradients = new Map<string, Float32Array>();
    for (const name of model.parameterNames) gradients.set(name, await model.gradient(name));
    const random = createRandom(3);
    let worst = 0;
    for (const [name, gradient] of gradients) {
      if (name === 'lm_head.weight' && !policy) continue;
      const direction = gradient.map((g) => Math.sign(g) * (0.5 + random.unit()));
      const slope = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      t.true(slope > 0, `${name} has a gradient`);
      const step = Math.min(0.01, 0.02 / slope);
      const values = await model.parameter(name);
      const lossAt = async (distance: number) => {
        await model.setParameter(
          name,
          values.map((value, i) => value + distance * direction[i]!),
        );
        return (await model.accumulate(batch, bothLosses)).loss;
      };
      const difference = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      await model.setParameter(name, values);
      const error = Math.abs(difference / slope - 1);
      worst = Math.max(worst, error);
      t.true(error < 0.02, `${name}: slope ${slope}, finite difference ${difference}`);
    }
    t.log(`worst relative error ${worst.toExponential(1)} over ${gradients.size} parameters`);
  });
}

for (const { family, dtype } of [
  { family: 'qwen2', dtype: 'bfloat16' },
  { family: 'llama', dtype: 'float32' },
] as const) {
  test(`${family} ${dtype}: values are the same alone, packed, on one and two threads, and in training`, async (t) => {
    const list = sequences([1, 2, 31, 32, 33, 70, 129]);
    const batch = bothBatch(list);
    const seen = [];
    for (const threads of [1, 2]) {
      using model = await tinyCritic(family, { dtype, threads });
      const values = await model.values(batch);
      for (const [s, ids] of list.entries()) {
        const [from, to] = [batch.seqStarts[s]!, batch.seqStarts[s + 1]!];
        t.is(values[from], 0);
        t.deepEqual(bits(await model.values(alone(ids))), bits(values.subarray(from, to)));
      }
      const wanted = Uint8Array.from(batch.value!.weight, (w) => (w === 0 ? 0 : 1));
      const some = await model.values(batch, wanted);
      t.deepEqual(bits(some), bits(values.map((v, i) => (wanted[i] === 1 ? v : 0))));
      t.true(some.some((v) => v !== 0));
      const { value, logprobs, ...numbers } = await model.accumulate(batch, bothLosses);
      t.deepEqual(bits(value!.values), bits(some));
      const gradients = await allBits(model, 'gradient');
      await model.update({ ...adamw, valueLr: 0.02 });
      seen.push({
        ...numbers,
        values: bits(values),
        logprobs: bits(logprobs),
        gradients,
        weights: await allBits(model, 'parameter'),
      });
    }
    t.deepEqual(seen[1], seen[0]);
  });

  test(`${family} ${dtype}: micro-batches cut at sequence boundaries give the same gradient bits`, async (t) => {
    using model = await tinyCritic(family, { dtype });
    const whole = bothBatch(sequences([33, 5, 90, 1, 64]));
    await model.accumulate(whole, bothLosses);
    const expected = await allBits(model, 'gradient');
    await model.zeroGradients();
    for (let s = 0; s + 1 < whole.seqStarts.length; s++) {
      const [from, to] = [whole.seqStarts[s]!, whole.seqStarts[s + 1]!];
      const cut = (array: Float32Array) => array.slice(from, to);
      const { returns, oldValues, weight } = whole.value!;
      await model.accumulate(
        {
          ...alone(whole.tokens.subarray(from, to)),
          temperature: 0.8,
          weight: cut(whole.weight),
          advantages: cut(whole.advantages!),
          refLogprobs: cut(whole.refLogprobs!),
          value: { returns: cut(returns), oldValues: cut(oldValues!), weight: cut(weight) },
        },
        bothLosses,
      );
    }
    t.deepEqual(await allBits(model, 'gradient'), expected);
  });

  test(`${family} ${dtype}: with coef 0 the policy's loss and gradients have the bits they have without a critic`, async (t) => {
    using model = await tinyCritic(family, { dtype });
    const batch = bothBatch();
    const plain = await model.accumulate(policyBatch(batch), policyOnly(bothLosses));
    const expected = await allBits(model, 'gradient');
    t.is(plain.value, undefined);
    await model.zeroGradients();
    const silent = await model.accumulate(batch, { ...bothLosses, value: { clip: 0.5, coef: 0 } });
    t.deepEqual(await allBits(model, 'gradient'), expected);
    t.deepEqual(numbersOf(silent), numbersOf(plain));
    t.deepEqual(bits(silent.logprobs), bits(plain.logprobs));
    t.true(silent.value!.loss > 0 && silent.value!.tokens > 0);
    // With a gradient into the trunk the vocabulary's head still has the same bits.
    await model.zeroGradients();
    const joint = await model.accumulate(batch, bothLosses);
    const gradients = await allBits(model, 'gradient');
    if (family === 'llama') t.deepEqual(gradients.get('lm_head.weight'), expected.get('lm_head.weight'));
    t.notDeepEqual(gradients.get('model.norm.weight'), expected.get('model.norm.weight'));
    t.true(Math.abs(joint.loss - plain.loss - Math.fround(0.7) * joint.value!.loss) < 1e-12);
  });

  test(`${family} ${dtype}: a saved critic opens again, a folder without a head gives a zero one, training resumes to the bit`, async (t) => {
    const path = folder(t);
    using model = await tinyCritic(family, { dtype });
    const step = async (of: Model, seed: number) => {
      await of.accumulate(bothBatch(sequences([33, 20], seed)), bothLosses);
      return of.update({ ...adamw, valueLr: 0.01 });
    };
    const warmUp = { ...bothLosses, value: { clip: 0, coef: 1, detachTrunk: true } };
    await model.accumulate(bothBatch(undefined, false), warmUp);
    t.is((await model.update({ ...adamw, only: 'value_head' })).step, 1);
    t.is((await step(model, 2)).step, 1, 'the trunk counts its own steps');
    await model.save(path);
    await model.saveOptimizer(join(path, 'optimizer.safetensors'));
    t.true(readdirSync(path).includes('value_head.safetensors'));
    using loaded = await loadModel(path, { dtype, trainable: true, threads: 1, valueHead: true });
    const batch = packed(sequences([70]));
    t.deepEqual(bits(await loaded.values(batch)), bits(await model.values(batch)), 'values');
    t.deepEqual(bits((await loaded.score(batch, 1)).logprobs), bits((await model.score(batch, 1)).logprobs));
    await loaded.loadOptimizer(join(path, 'optimizer.safetensors'));
    t.is(loaded.version, 1);
    for (const seed of [3, 4]) t.deepEqual(await step(loaded, seed), await step(model, seed));
    t.deepEqual(await allBits(loaded, 'parameter'), await allBits(model, 'parameter'));

    using plain = await loadModel(path, { dtype });
    t.false(plain.parameterNames.some(isHead));
    await plain.save(join(path, 'plain'));
    t.deepEqual(
      readFileSync(join(path, 'model.safetensors')),
      readFileSync(join(path, 'plain', 'model.safetensors')),
      'the language model is saved as if there were no head',
    );
    rmSync(join(path, 'value_head.safetensors'));
    using fresh = await loadModel(path, { dtype, valueHead: true });
    t.true((await fresh.values(batch)).every((v) => v === 0));
    await model.saveValueHead(join(path, 'head'));
    await fresh.loadValueHead(join(path, 'head'));
    t.deepEqual(await fresh.parameter('value_head.weight'), await model.parameter('value_head.weight'));
  });
}

test('critic-only warm-up moves no bit of the trunk, whatever the gradients and the weight decay', async (t) => {
  for (const dtype of ['bfloat16', 'float32'] as const) {
    using model = await tinyCritic('qwen2', { dtype });
    const before = await allBits(model, 'parameter');
    const cache = model.openKvCache(4);
    const seq = cache.add();
    await cache.step([{ seq, tokens: Int32Array.of(1, 2, 3), sample: null }]);
    for (let i = 0; i < 3; i++) {
      // Gradients of the policy are there and are dropped.
      await model.accumulate(bothBatch(), { ...bothLosses, value: { clip: 0, coef: 1, detachTrunk: true } });
      const squares = [
        ...(await model.gradient('value_head.weight')),
        ...(await model.gradient('value_head.bias')),
      ];
      const { gradNorm } = await model.update({ ...adamw, weightDecay: 0.5, only: 'value_head' });
      t.true(Math.abs(gradNorm / Math.sqrt(squares.reduce((sum, g) => sum + g * g, 0)) - 1) < 1e-6);
    }
    const after = await allBits(model, 'parameter');
    for (const name of model.parameterNames) {
      if (isHead(name)) t.notDeepEqual(after.get(name), before.get(name), name);
      else t.deepEqual(after.get(name), before.get(name), name);
      t.true((await model.gradient(name)).every((g) => g === 0));
    }
    t.is(model.version, 0);
    await cache.step([{ seq, tokens: Int32Array.of(4), sample: null }]); // its keys are still valid
    t.is(cache.length(seq), 4);
    // The trunk's first update is that of a model that never warmed up: moments and bias correction are fresh.
    using other = await tinyCritic('qwen2', { dtype });
    for (const of of [model, other]) {
      await of.accumulate(policyBatch(bothBatch()), policyOnly(bothLosses));
      t.is((await of.update(adamw)).step, 1);
    }
    const [mine, theirs] = [await allBits(model, 'parameter'), await allBits(other, 'parameter')];
    for (const name of model.parameterNames)
      if (!isHead(name)) t.deepEqual(mine.get(name), theirs.get(name), name);
  }
});

test('the value head has its own learning rate', async (t) => {
  const moved = async (options: Partial<AdamWOptions>) => {
    using model = await tinyCritic('qwen3');
    const before = await model.parameter('value_head.bias');
    const norm = await model.parameter('model.norm.weight');
    await model.accumulate(bothBatch(), bothLosses);
    await model.update({ ...adamw, eps: 1e-12, maxGradNorm: 0, ...options });
    const bias = Math.abs((await model.parameter('value_head.bias'))[0]! - before[0]!);
    return { bias, trunk: bits((await model.parameter('model.norm.weight')).map((w, i) => w - norm[i]!)) };
  };
  const [same, faster] = [await moved({}), await moved({ valueLr: 0.06 })];
  t.true(Math.abs(same.bias / adamw.lr - 1) < 1e-4, 'the first step of AdamW is lr');
  t.true(Math.abs(faster.bias / 0.06 - 1) < 1e-4);
  t.deepEqual(faster.trunk, same.trunk);
  t.is((await moved({ valueLr: 0 })).bias, 0);
  // Decay, at that rate, of its matrix and not of its bias.
  using model = await tinyCritic('qwen3');
  const [weight, bias] = [
    await model.parameter('value_head.weight'),
    await model.parameter('value_head.bias'),
  ];
  await model.update({ ...adamw, weightDecay: 0.5, valueLr: 0.1 });
  const after = await model.parameter('value_head.weight');
  t.true(after.every((w, i) => Math.abs(w - 0.95 * weight[i]!) < 1e-7));
  t.deepEqual(await model.parameter('value_head.bias'), bias);
});

test('a critic of its own does not touch the vocabulary', async (t) => {
  using model = await tinyCritic('llama');
  const result = await model.accumulate(bothBatch(undefined, false), {
    ...crossEntropy,
    value: { clip: 0, coef: 1 },
  });
  t.true(result.logprobs.every((value) => value === 0));
  t.is(result.tokens, 0);
  t.true(result.loss > 0);
  t.is(result.loss, result.value!.loss);
  t.true((await model.gradient('lm_head.weight')).every((g) => g === 0));
  t.true((await model.gradient('model.embed_tokens.weight')).some((g) => g !== 0));
});

test('the memory plan counts the value head', (t) => {
  const config = tinyConfigs.qwen2;
  const [without, with_] = [
    planMemory(config, 'bfloat16', true),
    planMemory(config, 'bfloat16', true, undefined, true),
  ];
  const elements = 16 * config.hiddenSize + 32; // one panel of 16 rows, one aligned bias
  t.is(with_.weightBytes - without.weightBytes, elements * 4);
  t.is(with_.masterBytes - without.masterBytes, elements * 4);
  t.is(with_.momentBytes - without.momentBytes, elements * 8);
  t.is(with_.gradientBytes - without.gradientBytes, elements * 4);
  // x, hidden, dhidden and dx of a row, and eleven numbers: eight of HeadArrays, value, d_value, and a place among the rows.
  t.is(with_.activationBytesPerToken - without.activationBytesPerToken, 4 * (4 * config.hiddenSize + 11));
  t.is(
    planMemory(config, 'bfloat16', false, undefined, true).weightBytes -
      planMemory(config, 'bfloat16', false).weightBytes,
    elements * 4,
  );
});

test('what a critic is given is checked, and errors name the token or the key', async (t) => {
  using model = await tinyCritic('qwen3');
  const batch = bothBatch();
  const value = batch.value!;
  const { value: options, ...policy } = bothLosses;
  const fails = (call: () => unknown, instanceOf: typeof TypeError | typeof RangeError, message: string) =>
    t.throws(call, { instanceOf, message });
  fails(
    () => model.accumulate(batch, policy),
    TypeError,
    'Expected an object {clip, coef}, because batch.value is given, for loss.value but received undefined of type undefined',
  );
  fails(
    () => model.accumulate(policyBatch(batch), bothLosses),
    TypeError,
    'Expected an object {returns, oldValues, weight}, because loss.value is given, for batch.value but received undefined of type undefined',
  );
  const { weight: _, ...noWeight } = value;
  t.throws(() => model.accumulate({ ...batch, value: noWeight as typeof value }, bothLosses), {
    instanceOf: TypeError,
    message: /for value\.weight but received undefined/,
  });
  const { oldValues: __, ...noOld } = value;
  t.throws(() => model.accumulate({ ...batch, value: noOld }, bothLosses), {
    instanceOf: TypeError,
    message: /for value\.oldValues but received undefined/,
  });
  t.true(
    (await model.accumulate({ ...batch, value: noOld }, { ...policy, value: { clip: 0, coef: 1 } })).value!
      .loss > 0,
  );
  fails(
    () => model.accumulate({ ...batch, value: { ...value, returns: value.returns.slice(1) } }, bothLosses),
    RangeError,
    'Expected Float32Array of length 82 for value.returns but received an array of 81 elements of type Float32Array',
  );
  const at = (array: Float32Array, t: number, x: number) => array.map((old, i) => (i === t ? x : old));
  fails(
    () => model.accumulate({ ...batch, value: { ...value, weight: at(value.weight, 5, -1) } }, bothLosses),
    RangeError,
    'Expected a finite number of 0 or more for value.weight[5] but received -1 of type number',
  );
  fails(
    () => model.accumulate({ ...batch, value: { ...value, weight: at(value.weight, 40, 1) } }, bothLosses),
    RangeError,
    'Expected 0 (no row predicts the first token of a sequence) for value.weight[40] but received 1 of type number',
  );
  fails(
    () => model.accumulate(batch, { ...policy, value: { ...options!, clip: -0.1 } }),
    RangeError,
    'Expected number of 0 or more for value.clip but received -0.1 of type number',
  );
  t.throws(
    () => model.accumulate(batch, { ...policy, value: { ...options!, cliprange: 1 } as typeof options & {} }),
    {
      instanceOf: RangeError,
      message: /cliprange/,
    },
  );
  const before = await allBits(model, 'gradient');
  await t.throwsAsync(
    model.accumulate(
      { ...batch, value: { ...value, returns: at(value.returns, 13, Number.NaN) } },
      bothLosses,
    ),
    {
      code: 'ERR_NOT_FINITE',
      message: 'accumulate: value_loss: return of token 13 is NaN; expected a finite number',
    },
  );
  t.deepEqual(await allBits(model, 'gradient'), before, 'a failed pass leaves the gradients');
  fails(
    () => model.update({ ...adamw, only: 'head' as 'value_head' }),
    RangeError,
    'Expected "value_head" for only but received "head" of type string',
  );
  fails(
    () => model.update({ ...adamw, valueLr: -1 }),
    RangeError,
    'Expected number of 0 or more for valueLr but received -1 of type number',
  );

  const tensor = Tensor.from(Float32Array.of(0, 1));
  t.throws(() => void kernels.policyLoss({ logprobs: tensor, weight: tensor, loss: bothLosses }), {
    instanceOf: RangeError,
    message: /^Expected nothing \(the value loss belongs to Model\.accumulate\) for loss\.value/,
  });

  using plain = await tinyModel('qwen3', { dtype: 'float32', trainable: true });
  const missing = { code: 'ERR_NO_VALUE_HEAD', message: /valueHead: true but this one has no value head$/ };
  t.throws(() => plain.accumulate(batch, bothLosses), missing);
  t.throws(() => plain.values(batch), missing);
  t.throws(() => plain.update({ ...adamw, only: 'value_head' }), missing);
  t.throws(() => plain.update({ ...adamw, valueLr: 1e-3 }), missing);
  t.throws(() => plain.saveValueHead('/nowhere'), missing);
  t.false(plain.valueHead);
  await t.throwsAsync(createModel(tinyConfigs.qwen3, { valueHead: 1 as unknown as boolean }), {
    instanceOf: TypeError,
    message: 'Expected boolean for valueHead but received 1 of type number',
  });
});
