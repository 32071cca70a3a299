/** The model: gradients against finite differences, training, files, arguments, lifetime, the event loop. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { AdamWOptions, LossBatch, LossOptions, StepRow } from '../lib/model/engine.ts';
import { openModelFiles } from '../lib/model/files.ts';
import { planMemory } from '../lib/model/memory.ts';
import { createModel, loadModel, type Model } from '../lib/model/model.ts';
import { native } from '../lib/native.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { alone, crossEntropy, packed, sampling } from './support/batches.ts';
import { sequences, tinyConfigs, tinyModel } from './support/tiny-models.ts';

const adamw: AdamWOptions = { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

// Smooth in the weights, and every term of the loss takes part.
const smoothLoss: LossOptions = {
  ...crossEntropy,
  kind: 'reinforce',
  kl: 'k3',
  klCoef: 0.1,
  entropyCoef: 0.05,
};

function smoothBatch(): LossBatch {
  const list = sequences([40, 9, 33]);
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

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'toolgrad-model-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const row = (seq: number, tokens: readonly number[], sample: StepRow['sample'] = null): StepRow => ({
  seq,
  tokens: Int32Array.from(tokens),
  sample,
});

for (const family of ['qwen2', 'qwen3', 'llama'] as const) {
  test(`${family}: the gradient of every parameter agrees with finite differences of the loss`, async (t) => {
    using model = await tinyModel(family, { dtype: 'float32', trainable: true });
    const batch = smoothBatch();
    await model.accumulate(batch, smoothLoss);
    const gradients = new Map<string, Float32Array>();
    for (const name of model.parameterNames) gradients.set(name, await model.gradient(name));
    const random = createRandom(3);
    let worst = 0;
    for (const [name, gradient] of gradients) {
      const used = name === 'model.embed_tokens.weight' && !tinyConfigs[family].tieWordEmbeddings;
      const zeros = gradient.reduce((count, g) => count + (g === 0 ? 1 : 0), 0);
      if (!used) t.true(zeros < gradient.length / 100, `${name} has ${zeros} zero gradients`);
      // Along a direction that every component contributes to: u has the signs of g and random sizes.
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
      worst = Math.max(worst, error);
      t.true(error < 0.01, `${name}: slope ${slope}, finite difference ${difference}`);
    }
    t.log(`worst relative error ${worst.toExponential(1)}`);
  });
}

test('training on two sequences learns them by heart, in bf16 and in fp32', async (t) => {
  const batch = packed(sequences([24, 30]));
  const weight = Float32Array.from(batch.tokens, (_, i) => (batch.seqStarts.includes(i) ? 0 : 1 / 52));
  for (const dtype of ['bfloat16', 'float32'] as const) {
    using model = await createModel(tinyConfigs.qwen3, { dtype, trainable: true, threads: 2 });
    const losses: number[] = [];
    for (let step = 0; step < 60; step++) {
      losses.push((await model.accumulate({ ...batch, temperature: 1, weight }, crossEntropy)).loss);
      await model.update({ ...adamw, lr: 1e-2 });
    }
    t.log(`${dtype}: ${losses[0]!.toFixed(3)} → ${losses.at(-1)!.toFixed(3)}`);
    t.true(Math.abs(losses[0]! - Math.log(300)) < 0.1, 'a fresh model is close to uniform');
    t.true(losses.at(-1)! < 0.2);
    t.is(model.version, 60);
  }
});

test('weight decay shrinks matrices and leaves norms and biases alone', async (t) => {
  using model = await tinyModel('qwen2', { dtype: 'float32', trainable: true });
  const matrix = 'model.layers.1.mlp.up_proj.weight';
  const vectors = ['model.norm.weight', 'model.layers.0.self_attn.q_proj.bias'];
  const before = new Map<string, Float32Array>();
  for (const name of [matrix, ...vectors]) before.set(name, await model.parameter(name));
  const result = await model.update({ ...adamw, lr: 0.1, weightDecay: 0.5 });
  t.deepEqual(result, { gradNorm: 0, clipped: false, step: 1 });
  for (const name of vectors) t.deepEqual(await model.parameter(name), before.get(name));
  const after = await model.parameter(matrix);
  t.true(after.every((value, i) => Math.abs(value - 0.95 * before.get(matrix)![i]!) < 1e-7));
});

test('an update clips the global norm, reports it unclipped and clears the gradients', async (t) => {
  using model = await tinyModel('llama', { dtype: 'float32', trainable: true });
  await model.accumulate(smoothBatch(), smoothLoss);
  let squares = 0;
  for (const name of model.parameterNames) for (const g of await model.gradient(name)) squares += g * g;
  const result = await model.update({ ...adamw, maxGradNorm: 1e-3 });
  t.true(Math.abs(result.gradNorm / Math.sqrt(squares) - 1) < 1e-6);
  t.true(result.clipped);
  t.true((await model.gradient('lm_head.weight')).every((g) => g === 0));
});

test('weights that diverged are an error; a non-finite gradient norm changes nothing', async (t) => {
  using model = await tinyModel('qwen3', { dtype: 'float32', trainable: true });
  const name = 'model.layers.0.mlp.down_proj.weight';
  const values = await model.parameter(name);
  const nan = model.setParameter(
    name,
    values.map((value, i) => (i === 7 ? Number.NaN : value)),
  );
  await t.throwsAsync(nan, { code: 'ERR_NOT_FINITE', message: new RegExp(`parameter ${name}`) });
  t.deepEqual(await model.parameter(name), values);
  await model.setParameter(
    name,
    values.map(() => 1e30),
  );
  const diverged = { code: 'ERR_NOT_FINITE', message: /hidden states/ };
  await t.throwsAsync(model.accumulate(smoothBatch(), smoothLoss), diverged);
  const cache = model.openKvCache(2);
  const seq = cache.add();
  await t.throwsAsync(cache.step([row(seq, [1, 2], sampling())]), diverged);
  t.is(cache.length(seq), 0);
  // Finite log-probs, gradients beyond fp32's range.
  await model.setParameter(name, values);
  const batch = smoothBatch();
  const weight = batch.weight.map((w) => (w === 0 ? 0 : 3e38));
  await model.accumulate({ ...batch, weight }, crossEntropy);
  const before = await model.parameter(name);
  const error = await t.throwsAsync(model.update(adamw), { code: 'ERR_NOT_FINITE' });
  t.regex(error.message, /^update: Expected a finite gradient norm but found (inf|nan|-nan); weights/);
  t.deepEqual(await model.parameter(name), before);
  t.is(model.version, 0);
  await model.zeroGradients();
  await model.accumulate(smoothBatch(), smoothLoss);
  t.is((await model.update(adamw)).step, 1);
});

test('tokens of weight 0 are not in the loss: they change neither numbers nor gradients', async (t) => {
  using model = await tinyModel('qwen2', { dtype: 'float32', trainable: true });
  const [ids] = sequences([50]);
  const weight = new Float32Array(50).fill(0.1, 1, 20);
  const cut = weight.subarray(0, 20);
  const long = await model.accumulate({ ...alone(ids!), temperature: 1, weight }, crossEntropy);
  const gradient = await model.gradient('model.layers.0.self_attn.v_proj.weight');
  await model.zeroGradients();
  const short = await model.accumulate(
    { ...alone(ids!.slice(0, 20)), temperature: 1, weight: cut },
    crossEntropy,
  );
  t.is(long.tokens, 19);
  t.is(long.loss, short.loss);
  t.true(long.logprobs.subarray(20).every((value) => value === 0));
  const other = await model.gradient('model.layers.0.self_attn.v_proj.weight');
  t.true(gradient.every((g, i) => Math.abs(g - other[i]!) < 1e-6));
  const nothing = await model.accumulate(
    { ...alone(ids!), temperature: 1, weight: new Float32Array(50) },
    crossEntropy,
  );
  t.is(nothing.tokens, 0);
  t.is(nothing.loss, 0);
});

test('a saved folder opens again and holds the tokenizer files it was given', async (t) => {
  const path = folder(t);
  using model = await tinyModel('llama', { dtype: 'bfloat16' });
  await model.save(path, { 'tokenizer.json': '{}' });
  t.deepEqual(readdirSync(path).sort(), [
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
  ]);
  const source = openModelFiles(path);
  t.deepEqual(source.config, model.config);
  using again = await loadModel(source, { dtype: 'float32' });
  for (const name of model.parameterNames)
    t.deepEqual(await again.parameter(name), await model.parameter(name), name);
  await t.throwsAsync(model.save(path, { '../x': '' }), {
    instanceOf: RangeError,
    message: 'Expected a plain file name for files but received "../x" of type string',
  });
});

test('files of another model are refused by name and nothing is changed', async (t) => {
  const path = folder(t);
  using llama = await tinyModel('llama', { trainable: true });
  using qwen3 = await tinyModel('qwen3', { trainable: true });
  const file = join(path, 'optimizer.safetensors');
  await llama.saveOptimizer(file);
  const before = await qwen3.parameter('model.norm.weight');
  await t.throwsAsync(qwen3.loadOptimizer(file), { message: /loadOptimizer: .*optimizer\.safetensors: / });
  t.deepEqual(await qwen3.parameter('model.norm.weight'), before);
  using fp32 = await tinyModel('llama', { trainable: true, dtype: 'float32' });
  await t.throwsAsync(fp32.loadOptimizer(file), {
    code: 'ERR_OPTIMIZER_FILE',
    message: /expected the state of a float32 model but found that of a bfloat16 model$/,
  });
  await llama.saveWeights(file);
  await t.throwsAsync(llama.loadOptimizer(file), { code: 'ERR_OPTIMIZER_FILE', message: /metadata lack/ });
  await t.throwsAsync(llama.loadOptimizer(join(path, 'none')), { code: 'ERR_FILE_NOT_FOUND' });
  mkdirSync(join(path, 'folder'));
  await t.throwsAsync(llama.saveWeights(join(path, 'no', 'such', 'file')), { code: 'ERR_FILE_IO' });
  await t.throwsAsync(llama.save(join(file, 'below')), { code: 'ERR_FILE_IO' });
});

test('tensors that are missing or misshapen are named when the engine loads a file', async (t) => {
  const path = folder(t);
  using llama = await tinyModel('llama');
  await llama.save(path);
  const source = openModelFiles(path);
  await t.throwsAsync(loadModel({ ...source, config: { ...source.config, layers: 3 } }), {
    code: 'ERR_TENSOR_NOT_FOUND',
    message:
      /expected 30 tensors by the config but 9 are missing: model\.layers\.2\.self_attn\.q_proj\.weight \[48, 48\]/,
  });
  await t.throwsAsync(loadModel({ ...source, config: { ...source.config, intermediateSize: 96 } }), {
    code: 'ERR_SHAPE_MISMATCH',
    message: /expected shape \[96, 48\] from the config, found \[80, 48\]/,
  });
});

test('arguments are checked before anything runs and messages name what was found', async (t) => {
  using model = await tinyModel('llama', { trainable: true });
  const cache = model.openKvCache(4);
  const good = alone([1, 2, 3]);
  const fails = (call: () => unknown, instanceOf: typeof TypeError | typeof RangeError, message: string) =>
    t.throws(call, { instanceOf, message });
  fails(
    () => model.score(alone([1, 300]), 1),
    RangeError,
    'Expected token id from 0 to 299 for tokens[1] but received 300 of type number',
  );
  fails(
    () => model.score({ tokens: good.tokens, seqStarts: Int32Array.of(0, 2, 2, 3) }, 1),
    RangeError,
    'Expected a start above the one before, 2, for seqStarts[2] but received 2 of type number',
  );
  fails(
    () => model.score({ tokens: good.tokens, seqStarts: Int32Array.of(0, 2) }, 1),
    RangeError,
    'Expected the number of tokens, 3, for seqStarts[1] but received 2 of type number',
  );
  fails(
    () => model.score(good, 0),
    RangeError,
    'Expected number above 0 for temperature but received 0 of type number',
  );
  const long = alone(new Array(513).fill(0));
  fails(
    () => model.score(long, 1),
    RangeError,
    'Expected a sequence of at most 512 tokens (max_position_embeddings) ending there, not one of 513, for seqStarts[1] but received 513 of type number',
  );
  fails(
    () => model.accumulate({ ...good, temperature: 1, weight: Float32Array.of(1, 1, 1) }, crossEntropy),
    RangeError,
    'Expected 0 (the first token of a sequence has no log-prob) for weight[0] but received 1 of type number',
  );
  fails(
    () => model.accumulate({ ...good, temperature: 1, weight: Float32Array.of(0, 1) }, crossEntropy),
    RangeError,
    'Expected Float32Array of length 3 for weight but received an array of 2 elements of type Float32Array',
  );
  fails(
    () => cache.step([row(0, [])]),
    RangeError,
    'Expected at least one token for rows[0].tokens but received an array of 0 elements of type Int32Array',
  );
  fails(
    () => cache.step([row(0, [1], { ...sampling(), topP: 0 })]),
    RangeError,
    'Expected number above 0, at most 1 for rows[0].sample.topP but received 0 of type number',
  );
  fails(
    () => model.logits(good, Int32Array.of(3)),
    RangeError,
    'Expected index of a token, 0 to 2, for positions but received 3 of type number',
  );
  fails(
    () => model.update({ ...adamw, beta1: 1 }),
    RangeError,
    'Expected number of 0 or more and below 1 for beta1 but received 1 of type number',
  );
  t.throws(() => model.gradient('model.norm'), {
    code: 'ERR_NO_PARAMETER',
    message: /found "model\.norm"$/,
  });
  t.throws(() => cache.step([row(77, [1])]), {
    code: 'ERR_NO_SEQUENCE',
    message: /found 77, which was never added$/,
  });
  const seq = cache.add();
  t.throws(() => cache.step([row(seq, [1]), row(seq, [2])]), { code: 'ERR_DUPLICATE_SEQUENCE' });
  await t.throwsAsync(loadModel('/nowhere', { threads: 0 }), { code: 'ERR_FILE_NOT_FOUND' });
  await t.throwsAsync(createModel(tinyConfigs.llama, { threads: 1.5 }), {
    instanceOf: RangeError,
    message: 'Expected positive integer for threads but received 1.5 of type number',
  });
  using plain = await tinyModel('llama');
  t.throws(() => plain.update(adamw), { code: 'ERR_NOT_TRAINABLE' });
});

test.serial('the memory plan agrees with what V8 is told', async (t) => {
  const config = { ...tinyConfigs.qwen2, vocabSize: 5000, hiddenSize: 128 };
  const plan = planMemory(config, 'bfloat16', true);
  const { weightBytes, masterBytes, momentBytes, gradientBytes } = plan;
  t.is(momentBytes, 2 * masterBytes);
  const planned = weightBytes + masterBytes + momentBytes + gradientBytes;
  const before = native().externalMemory();
  const model = await createModel(config, { trainable: true, threads: 1 });
  const held = native().externalMemory() - before;
  t.log(`planned ${planned}, reported ${held}`);
  t.true(Math.abs(held - planned) < 2 ** 17);
  model.dispose();
  t.true(native().externalMemory() - before < 2 ** 17);
});

test('a disposed model throws, disposes its caches, and lets calls in flight end first', async (t) => {
  const model = await tinyModel('llama', { trainable: true });
  const cache = model.openKvCache(8);
  const expected = await model.score(packed(sequences([100, 100])), 1);
  const running = model.score(packed(sequences([100, 100])), 1);
  const stepping = cache.step([row(cache.add(), [1, 2, 3], sampling())]);
  model.dispose();
  model.dispose();
  t.deepEqual(await running, expected);
  t.is((await stepping).tokens.length, 1);
  const gone = { code: 'ERR_DISPOSED', message: /Expected a live model but this one was disposed$/ };
  t.throws(() => model.score(alone([1, 2]), 1), gone);
  t.throws(() => model.version, gone);
  t.throws(() => model.openKvCache(1), gone);
  t.throws(() => cache.add(), { code: 'ERR_DISPOSED', message: /KV cache/ });
});

test('the event loop keeps turning while a training step runs', async (t) => {
  using model = await createModel(
    { ...tinyConfigs.qwen2, hiddenSize: 256, layers: 4, intermediateSize: 768, vocabSize: 8000 },
    { trainable: true },
  );
  const batch = packed(sequences([400, 400, 400]));
  const weight = new Float32Array(1200).fill(1 / 1200);
  for (const start of batch.seqStarts.subarray(0, -1)) weight[start] = 0;
  const gaps: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }, 10);
  const start = performance.now();
  for (let step = 0; step < 3; step++) {
    await model.accumulate({ ...batch, temperature: 1, weight }, crossEntropy);
    await model.update(adamw);
  }
  const elapsed = performance.now() - start;
  clearInterval(timer);
  gaps.sort((a, b) => a - b);
  const p95 = gaps[Math.floor(gaps.length * 0.95)]!;
  t.log(
    `${gaps.length} ticks in ${elapsed.toFixed(0)} ms, 95 % within ${p95.toFixed(1)} ms, worst ${gaps.at(-1)!.toFixed(1)} ms`,
  );
  t.true(gaps.length >= 5, 'the training steps took long enough to be watched');
  t.true(p95 < 30);
});

test('weights change only through what changes them: a model scored twice gives one answer', async (t) => {
  const path = folder(t);
  using model: Model = await tinyModel('qwen2');
  const batch = packed(sequences([30, 30]));
  const first = await model.score(batch, 1);
  await model.saveWeights(join(path, 'w.safetensors'));
  t.true(readFileSync(join(path, 'w.safetensors')).length > 0);
  writeFileSync(join(path, 'w.safetensors'), 'gone');
  t.deepEqual(await model.score(batch, 1), first);
});
