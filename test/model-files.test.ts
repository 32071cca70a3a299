import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { errorCode, errorMessage } from '../lib/errors.ts';
import {
  type ModelConfig,
  parameterCount,
  parameterShapes,
  parseHfConfig,
  toHfConfig,
} from '../lib/model/config.ts';
import { openModelFiles } from '../lib/model/files.ts';
import { parseGgufConfig } from '../lib/model/gguf-config.ts';
import { native, type WeightFileInfo } from '../lib/native.ts';
import { packageRoot } from '../lib/package.ts';
import { copyOfTinyModel, malformedModels, shardedTinyModel, tinyGguf } from './support/malformed-models.ts';
import { sharedPath } from './support/shared.ts';
import { ggufBytes, safetensorsBytes } from './support/weight-writers.ts';

const tiny = join(packageRoot, 'test', 'fixtures', 'tiny-qwen2');
const root = mkdtempSync(join(tmpdir(), 'toolgrad-model-files-'));
let folders = 0;
const fresh = () => join(root, `${folders++}`);
test.after.always(() => rmSync(root, { recursive: true }));

const qwen2 = JSON.parse(readFileSync(join(tiny, 'config.json'), 'utf8')) as Record<string, unknown>;
const llama = { ...qwen2, model_type: 'llama', architectures: ['LlamaForCausalLM'], head_dim: 8 };
const qwen3 = { ...qwen2, model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], head_dim: 16 };

test('the tiny model in the repository is complete and its files agree', (t) => {
  const source = openModelFiles(tiny);
  t.is(source.kind, 'hf');
  t.deepEqual(source.weightFiles, [join(tiny, 'model.safetensors')]);
  t.deepEqual(
    [...source.index.keys()],
    parameterShapes(source.config).map(({ name }) => name),
  );
  t.deepEqual(source.extraTensors, []);
  t.deepEqual(source.tokenizer, { kind: 'hf', folder: tiny });
  t.is(parameterCount(source.config), 32_032);
  t.deepEqual(source.config.eosTokenIds, [298, 296]);
});

test('shards open as one model and tensors that the model does not use are listed', (t) => {
  const sharded = openModelFiles(shardedTinyModel(fresh()));
  t.is(sharded.weightFiles.length, 2);
  t.is(sharded.index.size, 26);
  t.is(new Set(sharded.index.values()).size, 2);
  const extra = openModelFiles(
    copyOfTinyModel(fresh(), {}, (tensors) =>
      tensors.set('lm_head.weight', { dtype: 'F32', shape: [1], data: new Uint8Array(4) }),
    ),
  );
  t.deepEqual(extra.extraTensors, ['lm_head.weight']);
});

test('a GGUF file is found by its own path and as the only one in its folder', (t) => {
  const folder = copyOfTinyModel(fresh());
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json']) rmSync(join(folder, name));
  const { metadata, tensors } = tinyGguf();
  const file = join(folder, 'tiny.gguf');
  writeFileSync(file, ggufBytes(metadata, tensors));
  for (const path of [file, folder]) {
    const source = openModelFiles(path);
    t.is(source.kind, 'gguf');
    t.deepEqual(source.weightFiles, [file]);
    t.is(source.config.tieWordEmbeddings, true);
    t.is(source.tokenizer?.kind, 'gguf');
  }
  writeFileSync(join(folder, 'other.gguf'), ggufBytes(metadata, tensors));
  t.throws(() => openModelFiles(folder), {
    message: /found 2 \(other\.gguf, tiny\.gguf\): give the path of one/,
  });
});

for (const { name, code, says, make } of malformedModels)
  test(`refused with a message that names the fault: ${name}`, (t) => {
    const path = make(fresh());
    const error = t.throws(() => openModelFiles(path), { any: true });
    t.is(errorCode(error), code);
    for (const pattern of says) t.regex(errorMessage(error), pattern);
    t.log(errorMessage(error).replaceAll(root, ''));
  });

const refusals: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ['sliding window', { ...qwen2, use_sliding_window: true }, /"use_sliding_window" is true/],
  [
    'a sliding layer',
    { ...qwen2, layer_types: ['full_attention', 'sliding_attention'] },
    /"layer_types" is "sliding_attention"/,
  ],
  [
    'too few layer types',
    { ...qwen2, layer_types: ['full_attention'] },
    /expected 2 entries in "layer_types"/,
  ],
  ['attention bias in Llama', { ...llama, attention_bias: true }, /"attention_bias" is true/],
  ['attention bias in Qwen3', { ...qwen3, attention_bias: true }, /"attention_bias" is true/],
  ['MLP bias', { ...llama, mlp_bias: true }, /"mlp_bias" is true/],
  ['another activation', { ...qwen2, hidden_act: 'gelu' }, /"hidden_act" is "gelu"/],
  ['experts', { ...qwen2, num_experts: 60 }, /"num_experts" is 60/],
  [
    'a classifier',
    { ...qwen2, architectures: ['Qwen2ForSequenceClassification'] },
    /"architectures" is \["Qwen2ForSeq/,
  ],
  ['linear RoPE scaling', { ...llama, rope_scaling: { type: 'linear', factor: 2 } }, /"type" is "linear"/],
  [
    'yarn in the new spelling',
    { ...llama, rope_parameters: { rope_type: 'yarn' } },
    /rope_parameters: "rope_type" is "yarn"/,
  ],
  [
    'RoPE scaling without a type',
    { ...llama, rope_scaling: { factor: 2 } },
    /expected "default" or "llama3"/,
  ],
  [
    'llama3 scaling without a factor',
    { ...llama, rope_scaling: { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 } },
    /"factor" but it is missing/,
  ],
  ['partial rotary embedding', { ...llama, partial_rotary_factor: 0.5 }, /"partial_rotary_factor" is 0\.5/],
  [
    'heads that do not divide',
    { ...qwen2, num_key_value_heads: 3 },
    /4 attention heads to be a multiple of the 3/,
  ],
  [
    'a width that does not divide',
    { ...qwen2, num_attention_heads: 5 },
    /"hidden_size" 32 to be a multiple of "num_attention_heads" 5/,
  ],
  ['an odd head size', { ...llama, head_dim: 7 }, /expected an even head size/],
  ['a missing width', { ...qwen2, hidden_size: null }, /"hidden_size" but it is missing/],
  ['a negative count', { ...qwen2, num_hidden_layers: -1 }, /"num_hidden_layers" but found -1/],
  ['a fractional count', { ...qwen2, vocab_size: 320.5 }, /"vocab_size" but found 320\.5/],
  ['a huge count', { ...qwen2, num_hidden_layers: 1e9 }, /"num_hidden_layers" but found 1000000000/],
  [
    'a token outside the vocabulary',
    { ...qwen2, eos_token_id: [1, 320] },
    /token ids from 0 to 319 for "eos_token_id"/,
  ],
  [
    'a number as text',
    { ...qwen2, tie_word_embeddings: 'true' },
    /expected true or false for "tie_word_embeddings"/,
  ],
  ['an unknown type', { ...qwen2, torch_dtype: 'int8' }, /"torch_dtype" is "int8"/],
  [
    'a prototype instead of keys',
    JSON.parse('{"__proto__": {"model_type": "qwen2"}}'),
    /"model_type" .* but it is missing/,
  ],
];

test('each unsupported or impossible config key is refused by name and value', (t) => {
  for (const [name, values, message] of refusals)
    t.throws(() => parseHfConfig(values), { code: 'ERR_MODEL_CONFIG', message }, name);
  t.is(parseHfConfig(qwen3).qkNorm, true);
  t.is(
    parseHfConfig({ ...qwen2, sliding_window: 4096 }).qkvBias,
    true,
    'a window that is not in use is no obstacle',
  );
});

test('end-of-turn tokens come from generation_config.json when it has them', (t) => {
  t.deepEqual(parseHfConfig(qwen2).eosTokenIds, [298, 296]);
  t.deepEqual(parseHfConfig(qwen2, { eos_token_id: 7 }).eosTokenIds, [7]);
  t.deepEqual(parseHfConfig({ ...qwen2, eos_token_id: 5 }, { max_length: 9 }).eosTokenIds, [5]);
  t.deepEqual(parseHfConfig({ ...qwen2, eos_token_id: null }).eosTokenIds, []);
});

function ropeInfo(factors: number): WeightFileInfo {
  const { metadata, tensors } = tinyGguf();
  const plain = Object.entries(metadata).map(([key, value]) => {
    if (typeof value !== 'object') return [key, value];
    return [key, 'u32' in value ? value.u32 : 'f32' in value ? value.f32 : value];
  });
  return {
    format: 'gguf',
    metadata: {
      ...Object.fromEntries(plain),
      'llama.attention.key_length': 64,
      'llama.rope.freq_base': 500_000,
    },
    tensors: [
      ...tensors.map(({ name, shape }) => ({
        name,
        shape: [...shape],
        dtype: 'F32',
        bytes: 0,
        hfName: null,
        readable: true,
      })),
      { name: 'rope_freqs.weight', shape: [factors], dtype: 'F32', bytes: 0, hfName: null, readable: true },
    ],
  };
}

test('llama3 RoPE scaling is recovered from the factors in a GGUF file, other factors are refused', (t) => {
  // Llama 3.2: factor 32, base 500000, head size 64; the passage between the bands covers frequencies 15 to 17.
  const factors = new Float32Array(32).fill(1, 0, 15).fill(32, 18);
  for (let i = 15; i < 18; i++) {
    const share = (8192 / (2 * Math.PI * 500_000 ** (i / 32)) - 1) / 3;
    factors[i] = 1 / ((1 - share) / 32 + share);
  }
  const { ropeScaling } = parseGgufConfig(ropeInfo(32), () => factors);
  t.deepEqual(ropeScaling, {
    type: 'llama3',
    factor: 32,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  });
  t.is(parseGgufConfig(ropeInfo(32), () => new Float32Array(32).fill(1)).ropeScaling, null);
  const other = factors.map((factor, i) => (i === 16 ? factor * 1.5 : factor));
  t.throws(() => parseGgufConfig(ropeInfo(32), () => other), {
    code: 'ERR_MODEL_CONFIG',
    message: /rope_freqs\.weight/,
  });
  t.throws(() => parseGgufConfig(ropeInfo(16), () => factors.slice(0, 16)), {
    message: /rope_freqs\.weight/,
  });
});

test('a metadata key called __proto__ is plain data', (t) => {
  const file = join(root, 'proto.safetensors');
  writeFileSync(
    file,
    safetensorsBytes(new Map(), JSON.parse('{"__proto__": "text"}') as Record<string, string>),
  );
  const { metadata } = native().inspectWeights(file);
  t.deepEqual(Object.getOwnPropertyDescriptor(metadata, '__proto__')?.value, 'text');
  t.is(Object.getPrototypeOf(metadata), Object.prototype);
});

const expected: Readonly<Record<string, Partial<ModelConfig>>> = {
  'qwen2-tied': {
    arch: 'qwen2',
    layers: 2,
    headDim: 16,
    tieWordEmbeddings: true,
    qkvBias: true,
    ropeTheta: 1e6,
    dtype: 'float32',
  },
  'qwen2-untied-bf16-sharded': { arch: 'qwen2', tieWordEmbeddings: false, ropeTheta: 1e4, dtype: 'bfloat16' },
  'qwen2-hd64': { arch: 'qwen2', headDim: 64, ropeTheta: 1e6, dtype: 'float32', ropeScaling: null },
  'qwen2-hd128': { arch: 'qwen2', headDim: 128, intermediateSize: 48, vocabSize: 288 },
  qwen3: {
    arch: 'qwen3',
    headDim: 32,
    hiddenSize: 64,
    heads: 4,
    qkNorm: true,
    qkvBias: false,
    eosTokenIds: [389, 387],
  },
  'llama-smol': {
    arch: 'llama',
    heads: 9,
    kvHeads: 3,
    headDim: 8,
    ropeTheta: 1e5,
    rmsNormEps: 1e-5,
    padTokenId: null,
  },
  'llama3-rope': {
    arch: 'llama',
    tieWordEmbeddings: false,
    ropeScaling: {
      type: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 64,
    },
  },
};

test('the seven golden models open, in both spellings, and their configs survive saving', (t) => {
  const golden = sharedPath(t, 'golden/models');
  if (golden === undefined) return;
  for (const [name, wanted] of Object.entries(expected)) {
    const { config, index, extraTensors } = openModelFiles(join(golden, name));
    for (const [key, value] of Object.entries(wanted))
      t.deepEqual(config[key as keyof ModelConfig], value, `${name}: ${key}`);
    t.deepEqual(extraTensors, [], name);
    t.is(index.size, parameterShapes(config).length, name);
    const saved = toHfConfig(config);
    t.deepEqual(parseHfConfig(saved.config, saved.generationConfig), config, `${name}: saved and read again`);
    t.deepEqual(
      parseHfConfig(JSON.parse(JSON.stringify(saved.config))),
      config,
      `${name}: without generation_config`,
    );
  }
});

test('a GGUF file gives the config of the model it was made from', (t) => {
  const golden = sharedPath(t, 'golden');
  if (golden === undefined) return;
  for (const file of [
    'qwen2-tied.F32',
    'qwen2-tied.BF16',
    'qwen2-tied.Q4_0',
    'qwen2-tied.Q4_1',
    'llama-smol.F16',
    'llama-smol.Q8_0',
  ]) {
    const { config, index } = openModelFiles(join(golden, 'gguf', `${file}.gguf`));
    const hf = openModelFiles(join(golden, 'models', file.split('.')[0]!));
    const same: Partial<ModelConfig> = {
      dtype: hf.config.dtype,
      padTokenId: hf.config.padTokenId,
      eosTokenIds: hf.config.eosTokenIds,
    };
    t.deepEqual({ ...config, ...same }, hf.config, file);
    t.deepEqual([...index.keys()], [...hf.index.keys()], file);
    t.true(hf.config.eosTokenIds.includes(config.eosTokenIds[0] ?? -1), file);
  }
});

test('metadata keep 64-bit integers, text and arrays', (t) => {
  const golden = sharedPath(t, 'golden/gguf/blocks.gguf');
  if (golden === undefined) return;
  const { metadata } = native().inspectWeights(golden);
  t.is(metadata['toolgrad.u64'], 9007199254740994n);
  t.is(metadata['toolgrad.i64'], -9007199254740994n);
  t.is(metadata['toolgrad.unicode'], 'héllo 世界 😀');
  t.deepEqual(metadata['toolgrad.arr_str'], ['a', '', 'ü']);
  t.is(metadata['toolgrad.f32'], Math.fround(0.1));
  t.throws(() => native().readTensor(golden, 'Q2_K'), {
    code: 'ERR_WEIGHT_TYPE',
    message: /tensor "Q2_K" is stored as Q2_K/,
  });
});

test('SmolLM2-135M-Instruct opens with all 272 tensors', (t) => {
  const folder = sharedPath(t, 'models/smollm2-135m-instruct');
  if (folder === undefined) return;
  const { config, index, extraTensors, tokenizer } = openModelFiles(folder);
  t.is(index.size, 272);
  t.deepEqual(extraTensors, []);
  t.is(parameterCount(config), 134_515_008);
  t.like(config, {
    arch: 'llama',
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    ropeTheta: 100_000,
    rmsNormEps: 1e-5,
  });
  t.deepEqual([config.bosTokenId, config.eosTokenIds, config.padTokenId], [1, [2], 2]);
  t.is(
    tokenizer?.kind === 'gguf' && (tokenizer.metadata['tokenizer.ggml.tokens'] as string[]).length,
    49_152,
  );
});
