/** LoRA on the engine: the reference numbers of peft, gradients, bits, the base that stays, memory, arguments. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { AdamWOptions, AdapterUse, LossBatch, LossOptions } from '../lib/model/engine.ts';
import { type LoraOptions, loraScaling, resolveLora } from '../lib/model/lora.ts';
import { planMemory } from '../lib/model/memory.ts';
import { loadModel, type Model } from '../lib/model/model.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { adaptedModel, adapterGradients, parameterBits, tinyLora } from './support/adapters.ts';
import { alone, bits, crossEntropy, packed, sampling } from './support/batches.ts';
import { TensorFile } from './support/safetensors.ts';
import { sharedPath } from './support/shared.ts';
import { sequences, tinyConfigs, tinyModel } from './support/tiny-models.ts';

const adamw: AdamWOptions = {
  lr: 3e-3,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.01,
  maxGradNorm: 1,
};
// Smooth in the weights, and every term of the loss takes part.
const smoothLoss: LossOptions = {
  ...crossEntropy,
  kind: 'reinforce',
  kl: 'k3',
  klCoef: 0.1,
  entropyCoef: 0.05,
};

function smoothBatch(list: readonly number[][] = sequences([40, 9, 33])): LossBatch {
  const batch = packed(list);
  const weight = new Float32Array(batch.tokens.length).fill(1 / 60);
  for (const start of batch.seqStarts.subarray(0, -1)) weight[start] = 0;
  return {
    ...batch,
    temperature: 0.8,
    weight,
    advantages: Float32Array.from(batch.tokens, (id) => (id % 2 === 0 ? 1 : -0.7)),
    refLogprobs: new Float32Array(batch.tokens.length).fill(-5.5),
  };
}

const largest = (values: ArrayLike<number>) =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const worst = (got: ArrayLike<number>, expected: ArrayLike<number>) =>
  got.length === expected.length
    ? Array.from(got).reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0)
    : Number.NaN;

test("peft's adapter gives peft's logits, log-probs, base logits and gradients", async (t) => {
  const root = sharedPath(t, 'golden/lora');
  if (root === undefined) return;
  const expected = new TensorFile(join(root, 'expected.safetensors'));
  const grads = new TensorFile(join(root, 'grads.safetensors'));
  const { loss, r, alpha } = JSON.parse(readFileSync(join(root, 'expected.json'), 'utf8')) as Record<
    'loss' | 'r' | 'alpha',
    number
  >;
  using model = await loadModel(join(root, '..', 'models', 'qwen2-tied'), {
    dtype: 'float32',
    trainable: true,
    lora: { rank: r, alpha },
  });
  await model.loadAdapter(join(root, 'adapter'));
  const ids = expected.i32('input_ids');
  const rows = Int32Array.from(ids.keys());
  const logits = worst(await model.logits(alone(ids), rows), expected.f32('logits'));
  const off = worst(await model.logits(alone(ids), rows, 'off'), expected.f32('base_logits'));
  const scores = await model.score(alone(ids), 1);
  const logprobs = worst(scores.logprobs.subarray(1), expected.f32('logp_next'));
  t.log(`logits ${logits.toExponential(1)}, adapter off ${off.toExponential(1)}, bound 5e-4`);
  t.log(`log-probs ${logprobs.toExponential(1)}`);
  t.true(logits <= 5e-4 && off <= 5e-4 && logprobs <= 5e-4);

  const mask = expected.i32('loss_mask');
  const tokens = mask.reduce((sum, m) => sum + m, 0);
  const weight = Float32Array.from(ids, (_, i) => (i === 0 ? 0 : mask[i - 1]! / tokens));
  const result = await model.accumulate({ ...alone(ids), temperature: 1, weight }, crossEntropy);
  t.true(Math.abs(result.loss / loss - 1) < 1e-5, `loss ${result.loss}, expected ${loss}`);
  t.is(grads.tensors.size, model.adapterNames.length);
  let error = 0;
  for (const name of model.adapterNames) {
    const gradient = grads.f32(name);
    const found = worst(await model.gradient(name), gradient) / largest(gradient);
    error = Math.max(error, found);
    t.true(found <= 1e-4, `${name}: ${found}`);
  }
  t.log(`gradients: worst ${error.toExponential(1)} of the largest of a matrix, bound 1e-4`);
});

for (const family of ['qwen2', 'qwen3', 'llama'] as const) {
  test(`${family}: the gradient of every A and B agrees with finite differences of the loss`, async (t) => {
    using model = await adaptedModel(family, 'float32');
    const batch = smoothBatch();
    await model.accumulate(batch, smoothLoss);
    const gradients = new Map<string, Float32Array>();
    for (const name of model.adapterNames) gradients.set(name, await model.gradient(name));
    const random = createRandom(3);
    let most = 0;
    for (const [name, gradient] of gradients) {
      t.true(gradient.filter((g) => g === 0).length < gradient.length / 100, name);
      const direction = gradient.map((g) => Math.sign(g) * (0.5 + random.unit()));
      const slope = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      const step = Math.min(0.01, 0.02 / slope);
      const values = await model.parameter(name);
      const lossAt = async (distance: number) => {
        await model.setParameter(
          name,
          values.map((value, i) => value + distance * direction[i]!),
        );
        return (await model.accumulate(batch, smoothLoss)).loss;
      };
      const difference = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      await model.setParameter(name, values);
      const error = Math.abs(difference / slope - 1);
      most = Math.max(most, error);
      t.true(error < 0.01, `${name}: slope ${slope}, finite difference ${difference}`);
    }
    t.log(`${gradients.size} matrices, worst relative error ${most.toExponential(1)}`);
  });
}

/** Prompts continued by sampled tokens through a KV cache: all ids, and the log-prob bits of the sampled ones. */
async function decoded(model: Model, adapter: AdapterUse) {
  const cache = model.openKvCache(64, adapter);
  const prompts = sequences([5, 31, 33, 60]);
  const seqs = prompts.map(() => cache.add());
  const ids = prompts.map((prompt) => [...prompt]);
  const logprobs = prompts.map(() => new Float32Array(36));
  for (let i = 0; i < 36; i++) {
    const rows = seqs.map((seq, s) => ({
      seq,
      tokens: Int32Array.from(i === 0 ? prompts[s]! : ids[s]!.slice(-1)),
      sample: sampling(s),
    }));
    const result = await cache.step(rows);
    result.tokens.forEach((token, s) => {
      ids[s]!.push(token);
      logprobs[s]![i] = result.logprobs[s]!;
    });
  }
  cache.dispose();
  return { ids, sampled: logprobs.map(bits) };
}

for (const [family, dtype] of [
  ['qwen2', 'bfloat16'],
  ['qwen3', 'float32'],
  ['llama', 'bfloat16'],
] as const) {
  const label = `${family} ${dtype}`;

  test(`${label}: alone, packed, decoded and trained, on one thread and on two, the bits are the same, adapter on and off`, async (t) => {
    using base = await tinyModel(family, { dtype });
    const seen: unknown[] = [];
    for (const threads of [1, 2]) {
      using model = await adaptedModel(family, dtype, { threads });
      for (const adapter of ['on', 'off'] as const) {
        const { ids, sampled } = await decoded(model, adapter);
        const batch = packed(ids);
        const part = (values: Float32Array, s: number) =>
          bits(values.slice(batch.seqStarts[s]!, batch.seqStarts[s + 1]!));
        const { logprobs, entropies } = await model.score(batch, 1, undefined, adapter);
        for (const [s, sequence] of ids.entries()) {
          const one = await model.score(alone(sequence), 1, undefined, adapter);
          t.deepEqual(part(logprobs, s), bits(one.logprobs), `${adapter}, sequence ${s} alone`);
          t.deepEqual(part(entropies, s), bits(one.entropies));
          t.deepEqual(part(logprobs, s).slice(-36), sampled[s], `${adapter}, sequence ${s} decoded`);
        }
        const reversed = await model.score(packed([...ids].reverse()), 1, undefined, adapter);
        t.deepEqual(bits(reversed.logprobs.slice(0, ids.at(-1)!.length)), part(logprobs, ids.length - 1));
        if (adapter === 'off') {
          t.deepEqual(bits(logprobs), bits((await base.score(batch, 1)).logprobs), 'the base to the bit');
          t.deepEqual((await decoded(base, 'on')).sampled, sampled, 'and decoded');
        } else {
          t.notDeepEqual(bits(logprobs), bits((await base.score(batch, 1)).logprobs));
          const weight = Float32Array.from(batch.tokens, (_, i) => (batch.seqStarts.includes(i) ? 0 : 0.01));
          const trained = await model.accumulate({ ...batch, temperature: 1, weight }, crossEntropy);
          t.deepEqual(bits(trained.logprobs), bits(logprobs), 'recomputed in training');
          seen.push(await adapterGradients(model), (await model.update(adamw)).gradNorm);
          seen.push(await parameterBits(model, model.adapterNames));
        }
        seen.push(bits(logprobs));
      }
    }
    t.deepEqual(seen.slice(seen.length / 2), seen.slice(0, seen.length / 2), 'two threads as one');
  });

  test(`${label}: micro-batches give the same gradient bits`, async (t) => {
    using model = await adaptedModel(family, dtype);
    const list = sequences([33, 5, 90, 1, 64, 17]);
    await model.accumulate(smoothBatch(list), smoothLoss);
    const whole = await adapterGradients(model);
    await model.zeroGradients();
    for (const ids of list) await model.accumulate(smoothBatch([ids]), smoothLoss);
    t.deepEqual(await adapterGradients(model), whole);
  });

  test(`${label}: training moves the adapter, and leaves every bit of the base as it was`, async (t) => {
    using model = await tinyModel(family, { dtype, trainable: true, lora: tinyLora });
    using base = await tinyModel(family, { dtype });
    const batch = smoothBatch();
    const fresh = bits((await model.score(batch, 1)).logprobs);
    t.deepEqual(fresh, bits((await base.score(batch, 1)).logprobs), 'a new adapter adds nothing');
    const before = await parameterBits(model, model.adapterNames);
    for (let step = 0; step < 5; step++) {
      await model.accumulate(batch, smoothLoss);
      await model.update(adamw);
    }
    t.deepEqual(
      await parameterBits(model, model.parameterNames),
      await parameterBits(base, base.parameterNames),
    );
    t.deepEqual(bits((await model.score(batch, 1, undefined, 'off')).logprobs), fresh);
    const after = await parameterBits(model, model.adapterNames);
    for (const name of model.adapterNames) t.notDeepEqual(after.get(name), before.get(name), name);
    t.notDeepEqual(bits((await model.score(batch, 1)).logprobs), fresh);
    t.is(model.version, 5);
  });
}

test('an adapter alone learns two sequences by heart', async (t) => {
  const batch = packed(sequences([24, 30]));
  const weight = Float32Array.from(batch.tokens, (_, i) => (batch.seqStarts.includes(i) ? 0 : 1 / 52));
  for (const rslora of [false, true]) {
    using model = await tinyModel('qwen3', {
      dtype: 'bfloat16',
      trainable: true,
      lora: { rank: 16, alpha: 32, rslora },
    });
    const losses: number[] = [];
    for (let step = 0; step < 120; step++) {
      losses.push((await model.accumulate({ ...batch, temperature: 1, weight }, crossEntropy)).loss);
      await model.update({ ...adamw, lr: 1e-2, weightDecay: 0 });
    }
    t.log(`rslora ${rslora}: ${losses[0]!.toFixed(3)} → ${losses.at(-1)!.toFixed(3)}`);
    t.true(losses.at(-1)! < 0.3 && losses[0]! > 4);
  }
});

test('adapters sit where targets say, and are scaled by alpha over rank or its root', async (t) => {
  t.is(loraScaling(resolveLora({ rank: 16, alpha: 32 })), 2);
  t.is(loraScaling(resolveLora({ rank: 16, alpha: 32, rslora: true })), 8);
  using model = await tinyModel('llama', { lora: { rank: 2, alpha: 1, targets: ['v_proj', 'q_proj'] } });
  const prefix = 'base_model.model.model.layers.0.self_attn';
  t.deepEqual(model.adapterNames.slice(0, 4), [
    `${prefix}.q_proj.lora_A.weight`,
    `${prefix}.q_proj.lora_B.weight`,
    `${prefix}.v_proj.lora_A.weight`,
    `${prefix}.v_proj.lora_B.weight`,
  ]);
  t.is(model.adapterNames.length, 8);
  t.is(model.adapterParameterCount, 2 * 2 * (48 + 48 + 48 + 12));
  t.deepEqual(model.lora, { rank: 2, alpha: 1, targets: ['q_proj', 'v_proj'], rslora: false });

  // The output moves as the scaling does: both by the same adapter on the same base.
  const effect = async (lora: LoraOptions) => {
    using adapted = await adaptedModel('qwen2', 'float32', { lora: { ...lora, targets: ['down_proj'] } });
    const batch = alone([5, 6, 7]);
    const rows = Int32Array.of(0);
    const [on, off] = [await adapted.hidden(batch, rows), await adapted.hidden(batch, rows, 'off')];
    return worst(on, off);
  };
  const small = await effect({ rank: 4, alpha: 1e-3 });
  const root = await effect({ rank: 4, alpha: 1e-3, rslora: true });
  t.true(Math.abs(root / small - 2) < 0.01, `${root} / ${small}`);
});

test('the memory of a LoRA model is that of its plan, and less than that of training all weights', async (t) => {
  const config = tinyConfigs.qwen2;
  const full = planMemory(config, 'bfloat16', true);
  const plan = planMemory(config, 'bfloat16', true, tinyLora);
  const frozen = planMemory(config, 'bfloat16', false);
  t.is(plan.weightBytes, frozen.weightBytes);
  t.is(plan.masterBytes, 0, 'the adapter is its own master');
  t.is(full.adapterBytes, 0);
  t.is(plan.momentBytes, 2 * plan.adapterBytes);
  t.is(plan.gradientBytes, plan.adapterBytes);
  const total = ({ weightBytes, masterBytes, momentBytes, gradientBytes, adapterBytes }: typeof plan) =>
    weightBytes + masterBytes + momentBytes + gradientBytes + adapterBytes;
  t.true(total(plan) < total(full) / 2);
  t.true(planMemory(config, 'bfloat16', false, tinyLora).momentBytes === 0);

  // The engine's own account to V8, without activations: they have not been planned yet.
  using model = await tinyModel('qwen2', { trainable: true, lora: tinyLora });
  t.deepEqual(model.memory, plan);
  t.is(model.adapterParameterCount * 4 <= plan.adapterBytes, true, 'padding of panels included');

  const smol = {
    ...config,
    arch: 'llama',
    vocabSize: 49_152,
    hiddenSize: 576,
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    intermediateSize: 1536,
    qkvBias: false,
    maxPositionEmbeddings: 8192,
  } as const;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const [all, adapter] = [
    planMemory(smol, 'bfloat16', true),
    planMemory(smol, 'bfloat16', true, { rank: 16, alpha: 32 }),
  ];
  t.log(
    `SmolLM2-135M: all weights ${megabytes(total(all))}; rank 16 ${megabytes(total(adapter))}: base ` +
      `${megabytes(adapter.weightBytes)}, adapter ${megabytes(adapter.adapterBytes)}, moments ${megabytes(adapter.momentBytes)}, ` +
      `gradients ${megabytes(adapter.gradientBytes)}`,
  );
  t.true(total(adapter) < total(all) / 5);
});

test('a frozen base has no gradients to ask for, and options that cannot be are refused by name', async (t) => {
  using model = await adaptedModel('qwen2', 'bfloat16');
  t.throws(() => model.gradient('model.norm.weight'), {
    code: 'ERR_NOT_TRAINABLE',
    message: /"model.norm.weight" belongs to the frozen base/,
  });
  t.throws(() => model.parameter('base_model.model.lm_head.lora_A.weight'), { code: 'ERR_NO_PARAMETER' });
  await t.throwsAsync(model.score(alone([1, 2]), 1, undefined, 'reference'), { code: 'ERR_NO_ADAPTER' });
  t.throws(() => model.score(alone([1, 2]), 1, undefined, 'of' as 'off'), {
    instanceOf: RangeError,
    message: /"on", "off" or "reference" for adapter but received "of"/,
  });
  using plain = await tinyModel('qwen2', { trainable: true });
  t.is(plain.lora, null);
  t.deepEqual(plain.adapterNames, []);
  await t.throwsAsync(plain.loadAdapter('.'), { code: 'ERR_NO_ADAPTER' });
  await t.throwsAsync(plain.saveAdapter('nowhere'), { code: 'ERR_NO_ADAPTER' });
  await t.throwsAsync(plain.saveMerged('nowhere'), { code: 'ERR_NO_ADAPTER' });
  await t.throwsAsync(model.save('nowhere'), { code: 'ERR_HAS_ADAPTER', message: /saveMerged/ });
  for (const [wrong, message] of [
    [{ rank: 0, alpha: 1 }, /integer from 1 to 65536 for lora.rank but received 0/],
    [{ rank: 1.5, alpha: 1 }, /lora.rank but received 1.5/],
    [{ rank: Number.NaN, alpha: 1 }, /lora.rank but received NaN/],
    [{ rank: 4, alpha: 0 }, /above 0 for lora.alpha but received 0/],
    [{ rank: 4, alpha: Number.POSITIVE_INFINITY }, /lora.alpha but received Infinity/],
    [{ rank: 4, alpha: 1, targets: [] }, /"all-linear" or different names/],
    [{ rank: 4, alpha: 1, targets: 'q_proj' }, /lora.targets but received q_proj/],
    [{ rank: 4, alpha: 1, targets: ['lm_head'] }, /lora.targets but received lm_head/],
    [{ rank: 4, alpha: 1, targets: ['q_proj', 'q_proj'] }, /different names/],
    [{ rank: 4, alpha: 1, rslora: 1 }, /boolean for lora.rslora/],
    [{ rank: 4, alpha: 1, seed: 5 }, /lora.seed/],
  ] as const) {
    const error = await t.throwsAsync(tinyModel('qwen2', { lora: wrong as unknown as LoraOptions }), {
      message,
    });
    t.true(error instanceof RangeError || error instanceof TypeError);
  }
});
