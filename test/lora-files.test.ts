/** Adapters on disk: PEFT's layout in and out, merged export, and folders that lie. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isAdapterFolder, openAdapter } from '../lib/model/adapter-files.ts';
import { adapterShapes, resolveLora } from '../lib/model/lora.ts';
import { loadModel } from '../lib/model/model.ts';
import { openModel } from '../lib/model/open.ts';
import { native } from '../lib/native.ts';
import { adaptedModel, parameterBits, randomiseAdapter, tinyLora } from './support/adapters.ts';
import { alone, bits } from './support/batches.ts';
import { toBfloat16 } from './support/float64.ts';
import { tinyFolder } from './support/rollouts.ts';
import { TensorFile } from './support/safetensors.ts';
import { sharedPath } from './support/shared.ts';
import { sequences, tinyConfigs } from './support/tiny-models.ts';
import { float32Bytes, safetensorsBytes } from './support/weight-writers.ts';

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'toolgrad-lora-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const worst = (got: ArrayLike<number>, expected: ArrayLike<number>) =>
  got.length === expected.length
    ? Array.from(got).reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0)
    : Number.NaN;

test("peft's adapter merges into peft's weights and logits, and is written back byte for byte", async (t) => {
  const root = sharedPath(t, 'golden/lora');
  if (root === undefined) return;
  const path = folder(t);
  const expected = new TensorFile(join(root, 'expected.safetensors'));
  const adapter = join(root, 'adapter');
  const { model } = await openModel(adapter, {
    dtype: 'float32',
    base: join(root, '..', 'models', 'qwen2-tied'),
  });
  t.teardown(() => model.dispose());
  await model.saveMerged(join(path, 'merged'));
  const merged = new TensorFile(join(path, 'merged', 'model.safetensors'));
  let error = 0;
  for (const [name, { data }] of expected.tensors) {
    if (name.startsWith('merged/')) error = Math.max(error, worst(merged.f32(name.slice(7)), data));
  }
  t.log(`merged weights ${error.toExponential(1)}, bound 1e-6`);
  t.true(error <= 1e-6);
  using whole = await loadModel(join(path, 'merged'), { dtype: 'float32' });
  const ids = expected.i32('input_ids');
  const logits = await whole.logits(alone(ids), Int32Array.from(ids.keys()));
  const difference = worst(logits, expected.f32('merged_logits'));
  t.log(`merged logits ${difference.toExponential(1)}, bound 1e-3`);
  t.true(difference <= 1e-3);

  await model.saveAdapter(join(path, 'again'), 'models/qwen2-tied');
  const [before, after] = [adapter, join(path, 'again')].map(
    (from) => new TensorFile(join(from, 'adapter_model.safetensors')).tensors,
  );
  t.deepEqual([...after!.keys()].sort(), [...before!.keys()].sort());
  for (const [name, { data, shape }] of before!) {
    t.deepEqual(after!.get(name)!.shape, shape);
    t.deepEqual(bits(after!.get(name)!.data as Float32Array), bits(data as Float32Array), name);
  }
  const written = JSON.parse(readFileSync(join(path, 'again', 'adapter_config.json'), 'utf8')) as object;
  const original = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  for (const [key, value] of Object.entries(written)) t.deepEqual(value, original[key], key);
});

for (const dtype of ['bfloat16', 'float32'] as const) {
  test(`${dtype}: a saved adapter loads with the same bits; merged weights are the rounded sum`, async (t) => {
    const path = folder(t);
    using model = await adaptedModel('qwen3', dtype);
    await model.saveAdapter(join(path, 'adapter'), null, { 'tokenizer.json': '{}' });
    t.deepEqual(readdirSync(join(path, 'adapter')).sort(), [
      'adapter_config.json',
      'adapter_model.safetensors',
      'tokenizer.json',
    ]);
    using other = await adaptedModel('qwen3', dtype, { lora: { ...tinyLora, seed: 9n }, trainable: false });
    await randomiseAdapter(other, 77);
    const cache = other.openKvCache(2);
    const seq = cache.add();
    await cache.step([{ seq, tokens: Int32Array.of(1, 2), sample: null }]);
    await other.loadAdapter(join(path, 'adapter'));
    const stale = cache.step([{ seq, tokens: Int32Array.of(3), sample: null }]);
    await t.throwsAsync(stale, { code: 'ERR_STALE_KV' }, 'keys of the adapter before');
    t.deepEqual(
      await parameterBits(other, other.adapterNames),
      await parameterBits(model, model.adapterNames),
    );
    const batch = alone(sequences([50])[0]!);
    t.deepEqual(bits((await other.score(batch, 1)).logprobs), bits((await model.score(batch, 1)).logprobs));

    await model.saveMerged(join(path, 'merged'));
    using merged = await loadModel(join(path, 'merged'), { dtype });
    t.deepEqual(merged.parameterNames, model.parameterNames);
    const scaling = tinyLora.alpha / tinyLora.rank;
    for (const name of model.parameterNames) {
      const base = await model.parameter(name);
      const module = `base_model.model.${name.slice(0, -'.weight'.length)}`;
      if (model.adapterNames.includes(`${module}.lora_A.weight`)) {
        const a = await model.parameter(`${module}.lora_A.weight`);
        const b = await model.parameter(`${module}.lora_B.weight`);
        const columns = a.length / tinyLora.rank;
        for (let i = 0; i < base.length; i++) {
          const [row, column] = [Math.floor(i / columns), i % columns];
          let sum = 0;
          for (let j = 0; j < tinyLora.rank; j++)
            sum += b[row * tinyLora.rank + j]! * a[j * columns + column]!;
          const value = Math.fround(base[i]! + scaling * sum);
          base[i] = dtype === 'float32' ? value : toBfloat16(value);
        }
      }
      t.deepEqual(bits(await merged.parameter(name)), bits(base), name);
    }
    const difference = worst((await merged.score(batch, 1)).logprobs, (await model.score(batch, 1)).logprobs);
    t.log(`log-probs of the merged model differ by ${difference.toExponential(1)}`);
    t.true(difference < (dtype === 'float32' ? 1e-4 : 0.5));
  });
}

test('an adapter is resumed to the bit from its optimizer file, whatever the new model began with', async (t) => {
  const file = join(folder(t), 'optimizer.safetensors');
  using model = await adaptedModel('llama', 'bfloat16');
  const batch = { ...alone(sequences([40])[0]!), temperature: 1 };
  const weight = Float32Array.from(batch.tokens, (_, i) => (i === 0 ? 0 : 1 / 39));
  const loss = { kind: 'cross_entropy', clipLow: 0, clipHigh: 0, dualClip: 0, kl: 'none' } as const;
  const step = async (of: typeof model) => {
    await of.accumulate({ ...batch, weight }, { ...loss, klCoef: 0, entropyCoef: 0 });
    return of.update({ lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, maxGradNorm: 1 });
  };
  await step(model);
  await step(model);
  await model.saveOptimizer(file);
  using resumed = await adaptedModel('llama', 'bfloat16', { lora: { ...tinyLora, seed: 8n }, threads: 1 });
  await resumed.loadOptimizer(file);
  t.is(resumed.version, 2);
  for (let i = 0; i < 3; i++) t.deepEqual(await step(resumed), await step(model));
  t.deepEqual(
    await parameterBits(resumed, resumed.adapterNames),
    await parameterBits(model, model.adapterNames),
  );
  using other = await adaptedModel('llama', 'bfloat16', { lora: { ...tinyLora, rank: 5 } });
  await t.throwsAsync(other.loadOptimizer(file), { code: 'ERR_OPTIMIZER_FILE', message: /\[5, 48\]/ });
});

test('a folder with an adapter opens as its base with the adapter, wherever the config says the base is', async (t) => {
  const path = folder(t);
  cpSync(tinyFolder, join(path, 'base'), { recursive: true });
  const { model, tokenizer } = await openModel(join(path, 'base'), { lora: tinyLora });
  t.teardown(() => model.dispose());
  await randomiseAdapter(model);
  const ids = alone(tokenizer.encode('What is 17 times 23?'));
  const expected = bits((await model.score(ids, 1)).logprobs);
  for (const [name, base, given] of [
    ['absolute', join(path, 'base'), null],
    ['beside', 'base', null],
    ['relative', '../base', null],
    ['given', 'someone/on-a-hub', join(path, 'base')],
    ['unnamed', null, join(path, 'base')],
  ] as const) {
    const adapter = join(path, name);
    await model.saveAdapter(adapter, base);
    t.true(isAdapterFolder(adapter));
    const opened = await openModel(adapter, { base: given });
    t.deepEqual(bits((await opened.model.score(ids, 1)).logprobs), expected, name);
    t.deepEqual(opened.model.lora, model.lora);
    t.deepEqual(opened.tokenizer.encode('print(42)'), tokenizer.encode('print(42)'));
    opened.model.dispose();
  }
  await t.throwsAsync(openModel(join(path, 'given')), {
    code: 'ERR_MODEL_FILES',
    message:
      /adapter_config.json: .*"base_model_name_or_path" but found "someone\/on-a-hub", which is not here/,
  });
  await t.throwsAsync(openModel(join(path, 'base'), { base: path }), {
    message: /a base .* belongs to an adapter/,
  });
  const wrong = openModel(join(path, 'given'), { base: join(path, 'base'), lora: { rank: 9, alpha: 6 } });
  await t.throwsAsync(wrong, { code: 'ERR_MODEL_CONFIG', message: /expected rank 9 but found 4/ });
});

const shapes = adapterShapes(tinyConfigs.qwen2, resolveLora(tinyLora));
const config = {
  peft_type: 'LORA',
  task_type: 'CAUSAL_LM',
  base_model_name_or_path: 'base',
  r: 4,
  lora_alpha: 6,
  lora_dropout: 0,
  bias: 'none',
  target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  use_rslora: false,
  use_dora: false,
  modules_to_save: null,
  some_key_of_a_later_version: null,
};

test('an adapter_config.json that asks for what is not computed is refused by key, value and file', (t) => {
  const path = folder(t);
  writeFileSync(join(path, 'adapter_model.safetensors'), '');
  const open = (changed: Readonly<Record<string, unknown>>) => {
    writeFileSync(join(path, 'adapter_config.json'), JSON.stringify({ ...config, ...changed }));
    return openAdapter(path);
  };
  t.deepEqual(open({}).lora, { ...resolveLora(tinyLora), rslora: false });
  t.deepEqual(open({ target_modules: 'all-linear', use_rslora: true }).lora.rslora, true);
  t.deepEqual(open({ target_modules: ['v_proj', 'q_proj'], task_type: null }).lora.targets, [
    'q_proj',
    'v_proj',
  ]);
  t.is(open({ lora_dropout: 0.05 }).dropout, 0.05);
  for (const [changed, message] of [
    [{ peft_type: 'IA3' }, /"peft_type" is "IA3", which is not supported; expected "LORA"/],
    [{ peft_type: null }, /"peft_type" is null/],
    [{ task_type: 'SEQ_CLS' }, /"task_type" is "SEQ_CLS"/],
    [{ bias: 'all' }, /"bias" is "all".*expected "none"/],
    [{ use_dora: true }, /"use_dora" is true.*DoRA/],
    [{ modules_to_save: ['lm_head'] }, /"modules_to_save" is \["lm_head"\].*only the adapter is trained/],
    [{ rank_pattern: { q_proj: 2 } }, /"rank_pattern" is .*one rank/],
    [{ alpha_pattern: { q_proj: 2 } }, /"alpha_pattern" is/],
    [{ layers_to_transform: [0] }, /"layers_to_transform" is \[0\]/],
    [{ fan_in_fan_out: true }, /"fan_in_fan_out" is true/],
    [{ lora_bias: true }, /"lora_bias" is true.*absent, null or false/],
    [{ init_lora_weights: 'pissa' }, /"init_lora_weights" is "pissa"/],
    [{ some_key_of_a_later_version: 3 }, /"some_key_of_a_later_version" is 3/],
    [{ target_modules: '.*_proj' }, /"target_modules" is "\.\*_proj".*all-linear/],
    [{ target_modules: ['q_proj', 'lm_head'] }, /"target_modules" is "lm_head"/],
    [{ target_modules: [] }, /"target_modules" is \[\]/],
    [{ target_modules: null }, /"target_modules" is null/],
    [{ r: 0 }, /an integer from 1 to 65536 for "r" but found 0/],
    [{ r: undefined }, /for "r" but it is missing/],
    [{ lora_alpha: -1 }, /"lora_alpha" but found -1/],
    [{ lora_alpha: '16' }, /"lora_alpha" but found "16"/],
    [{ use_rslora: 1 }, /true or false for "use_rslora" but found 1/],
    [{ base_model_name_or_path: 7 }, /a string for "base_model_name_or_path" but found 7/],
  ] as const) {
    const error = t.throws(() => open(changed), { code: 'ERR_MODEL_CONFIG', message });
    t.true(error!.message.startsWith(join(path, 'adapter_config.json')), error!.message);
  }
  writeFileSync(join(path, 'adapter_config.json'), '{"r": 4,');
  t.throws(() => openAdapter(path), { code: 'ERR_MODEL_CONFIG', message: /valid JSON/ });
  rmSync(join(path, 'adapter_model.safetensors'));
  writeFileSync(join(path, 'adapter_model.bin'), '');
  t.throws(() => open({}), {
    code: 'ERR_MODEL_FILES',
    message: /adapter_model.bin: convert it to safetensors/,
  });
  t.throws(() => openAdapter(join(path, 'nowhere')), { code: 'ERR_FILE_NOT_FOUND' });
});

test('tensors that do not fit the adapter and its base are refused by name, and change nothing', async (t) => {
  const path = folder(t);
  writeFileSync(join(path, 'adapter_config.json'), JSON.stringify(config));
  using model = await adaptedModel('qwen2', 'bfloat16');
  const before = await parameterBits(model, model.adapterNames);
  const tensors = shapes.map(({ name, shape }) => ({ name, shape: [...shape] }));
  const load = (list: readonly { name: string; shape: number[]; fill?: number }[]) => {
    const filled = list.map(({ name, shape, fill = 0.5 }) => {
      const data = float32Bytes(new Float32Array(shape[0]! * shape[1]!).fill(fill));
      return [name, { dtype: 'F32', shape, data }] as const;
    });
    writeFileSync(join(path, 'adapter_model.safetensors'), safetensorsBytes(new Map(filled)));
    return model.loadAdapter(path);
  };
  const first = tensors[0]!;
  for (const [list, code, message] of [
    [
      tensors.slice(1),
      'ERR_MODEL_FILES',
      /q_proj.lora_A.weight" \[4, 48\] by adapter and base but it is missing/,
    ],
    [
      [{ ...first, shape: [48, 4] }, ...tensors.slice(1)],
      'ERR_MODEL_FILES',
      /\[4, 48\].* but found \[48, 4\]/,
    ],
    [
      [...tensors, { name: 'base_model.model.lm_head.lora_A.weight', shape: [4, 48] }],
      'ERR_MODEL_FILES',
      /found tensor "base_model.model.lm_head.lora_A.weight", which .* no place for/,
    ],
    [[{ ...first, fill: Number.NaN }, ...tensors.slice(1)], 'ERR_NOT_FINITE', /q_proj.lora_A.weight/],
  ] as const) {
    await t.throwsAsync(load(list as Parameters<typeof load>[0]), { code, message });
  }
  writeFileSync(join(path, 'adapter_model.safetensors'), 'no safetensors');
  await t.throwsAsync(model.loadAdapter(path), { code: 'ERR_WEIGHT_FILE' });
  t.deepEqual(await parameterBits(model, model.adapterNames), before);
  await load(tensors);
  t.true((await model.parameter(first.name)).every((value) => value === 0.5));

  writeFileSync(join(path, 'adapter_config.json'), JSON.stringify({ ...config, lora_dropout: 0.1 }));
  await t.throwsAsync(model.loadAdapter(path), {
    code: 'ERR_MODEL_CONFIG',
    message: /expected "lora_dropout" 0 but found 0.1: training has no dropout/,
  });
  using frozen = await adaptedModel('qwen2', 'bfloat16', { trainable: false });
  await t.notThrowsAsync(frozen.loadAdapter(path), 'without training there is no dropout');
  writeFileSync(join(path, 'adapter_config.json'), JSON.stringify({ ...config, lora_alpha: 7 }));
  await t.throwsAsync(model.loadAdapter(path), { message: /expected alpha 6 but found 7/ });
});

test('what is written is read again by the reader of weight files', async (t) => {
  const path = folder(t);
  mkdirSync(join(path, 'a'));
  using model = await adaptedModel('llama', 'bfloat16', { lora: { rank: 3, alpha: 1, targets: ['o_proj'] } });
  await model.saveAdapter(join(path, 'a'), 'the/base');
  const { tensors, metadata } = native().inspectWeights(join(path, 'a', 'adapter_model.safetensors'));
  t.deepEqual(metadata, { format: 'pt' });
  t.deepEqual(
    tensors.map(({ name, dtype, shape }) => [name, dtype, shape]),
    [0, 1].flatMap((layer) => {
      const module = `base_model.model.model.layers.${layer}.self_attn.o_proj`;
      return [
        [`${module}.lora_A.weight`, 'F32', [3, 48]],
        [`${module}.lora_B.weight`, 'F32', [48, 3]],
      ];
    }),
  );
  t.deepEqual(openAdapter(join(path, 'a')), {
    path: join(path, 'a'),
    weightFile: join(path, 'a', 'adapter_model.safetensors'),
    base: 'the/base',
    dropout: 0,
    lora: { rank: 3, alpha: 1, targets: ['o_proj'], rslora: false },
  });
});
