/**
 * A model's hyper-parameters from GGUF metadata (architectures llama, qwen2, qwen3).
 *
 * GGUF has no key for some of them: tied heads and biases follow from the tensors that are there, llama3 RoPE scaling from
 * the tensor `rope_freqs.weight`. fp32 metadata are given back as the shortest decimal with the same fp32 value.
 */
import type { WeightFileInfo } from '../native.ts';
import {
  type Architecture,
  architectures,
  type CheckpointDtype,
  checkDimensions,
  type Llama3RopeScaling,
  limits,
  type ModelConfig,
} from './config.ts';
import {
  choiceField,
  configError,
  type Fields,
  field,
  integerField,
  numberField,
  tokenIdField,
  unsupported,
} from './fields.ts';

/** 9.999999974752427e-07 (an fp32 value) as 1e-6, which a person wrote. */
function shortestFloat32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}

// What every published Llama 3.1, 3.2 and 3.3 model uses; only `factor` differs (8 or 32).
const llama3 = { lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 8192 } as const;

/** Factors by which llama3 scaling divides each of headDim / 2 frequencies (transformers, modeling_rope_utils.py). */
function llama3Factors(scaling: Llama3RopeScaling, theta: number, headDim: number): number[] {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling;
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const waveLength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (waveLength > originalMaxPositionEmbeddings / lowFreqFactor) return factor;
    if (waveLength < originalMaxPositionEmbeddings / highFreqFactor) return 1;
    const smooth =
      (originalMaxPositionEmbeddings / waveLength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

function ropeScaling(
  label: string,
  found: Float32Array,
  theta: number,
  headDim: number,
): Llama3RopeScaling | null {
  const factor = shortestFloat32(found.reduce((a, b) => Math.max(a, b), 1));
  if (found.every((value) => value === 1)) return null;
  const scaling: Llama3RopeScaling = { type: 'llama3', factor, ...llama3 };
  const expected = llama3Factors(scaling, theta, headDim);
  const agrees =
    found.length === expected.length &&
    expected.every((value, i) => Math.abs(value / (found[i] ?? 0) - 1) < 1e-4);
  if (agrees) return scaling;
  throw configError(
    label,
    'tensor "rope_freqs.weight" holds RoPE factors other than those of Llama 3 (low 1, high 4, original context 8192); ' +
      'load the Hugging Face folder of this model instead',
  );
}

function dtypeOf(info: WeightFileInfo): CheckpointDtype {
  const stored = info.tensors.find((tensor) => tensor.name === 'token_embd.weight')?.dtype;
  return stored === 'F32' ? 'float32' : stored === 'F16' ? 'float16' : 'bfloat16';
}

function vocabularySize(metadata: Fields, arch: Architecture, info: WeightFileInfo): number {
  const embedding = info.tensors.find((tensor) => tensor.name === 'token_embd.weight');
  if (embedding === undefined) throw configError(metadata.label, 'tensor "token_embd.weight" is missing');
  const rows = embedding.shape[0] ?? 0;
  if (embedding.shape.length !== 2 || rows > limits.vocabSize)
    throw configError(
      metadata.label,
      `tensor "token_embd.weight" has the shape [${embedding.shape.join(', ')}]`,
    );
  const stated = integerField(metadata, `${arch}.vocab_size`, 1, limits.vocabSize, rows);
  const tokens = field(metadata, 'tokenizer.ggml.tokens');
  const listed = Array.isArray(tokens) ? tokens.length : rows;
  if (stated !== rows || listed !== rows)
    throw configError(
      metadata.label,
      `the vocabulary has ${rows} rows in "token_embd.weight", ${stated} in "${arch}.vocab_size" and ${listed} tokens in ` +
        `"tokenizer.ggml.tokens"; expected the same number`,
    );
  return rows;
}

/**
 * Parse the metadata of a GGUF file. `readRopeFactors` gives the values of `rope_freqs.weight`; it is called only when the
 * file has that tensor. Throws ToolgradError ERR_MODEL_CONFIG naming key, expectation and value.
 */
export function parseGgufConfig(
  info: WeightFileInfo,
  readRopeFactors: () => Float32Array,
  label = 'GGUF metadata',
): ModelConfig {
  const metadata: Fields = { label, values: info.metadata };
  const arch = choiceField(metadata, 'general.architecture', architectures);
  if (arch === undefined)
    throw configError(
      label,
      `expected "general.architecture" (${architectures.join(', ')}) but it is missing`,
    );
  const vocabSize = vocabularySize(metadata, arch, info);
  const hiddenSize = integerField(metadata, `${arch}.embedding_length`, 1, limits.hiddenSize);
  const heads = integerField(metadata, `${arch}.attention.head_count`, 1, limits.heads);
  const headDim = integerField(
    metadata,
    `${arch}.attention.key_length`,
    2,
    limits.headDim,
    hiddenSize / heads,
  );
  if (!Number.isInteger(headDim))
    throw configError(
      label,
      `expected the width ${hiddenSize} to be a multiple of the ${heads} attention heads`,
    );
  for (const key of ['attention.value_length', 'rope.dimension_count']) {
    const value = integerField(metadata, `${arch}.${key}`, 1, limits.headDim, headDim);
    if (value !== headDim) throw unsupported(metadata, `${arch}.${key}`, value, `the head size ${headDim}`);
  }
  for (const key of ['expert_count', 'attention.sliding_window']) {
    const value = integerField(metadata, `${arch}.${key}`, 0, 2 ** 31, 0);
    if (value !== 0) throw unsupported(metadata, `${arch}.${key}`, value, '0');
  }
  choiceField(metadata, `${arch}.rope.scaling.type`, ['none']);
  const bias = info.tensors.find(({ name }) => name.startsWith('blk.') && name.endsWith('.bias'))?.name;
  if (arch !== 'qwen2' && bias !== undefined)
    throw configError(label, `"${bias}": biases are not supported for ${arch}`);

  const ropeTheta = shortestFloat32(numberField(metadata, `${arch}.rope.freq_base`, 1, 1e15, 10_000));
  const hasRopeFactors = info.tensors.some(({ name }) => name === 'rope_freqs.weight');
  const ends = ['eos', 'eot'].map((name) =>
    tokenIdField(metadata, `tokenizer.ggml.${name}_token_id`, vocabSize),
  );
  return checkDimensions(label, {
    arch,
    vocabSize,
    hiddenSize,
    layers: integerField(metadata, `${arch}.block_count`, 1, limits.layers),
    heads,
    kvHeads: integerField(metadata, `${arch}.attention.head_count_kv`, 1, heads, heads),
    headDim,
    intermediateSize: integerField(metadata, `${arch}.feed_forward_length`, 1, limits.intermediateSize),
    rmsNormEps: shortestFloat32(numberField(metadata, `${arch}.attention.layer_norm_rms_epsilon`, 0, 1)),
    ropeTheta,
    ropeScaling: hasRopeFactors ? ropeScaling(label, readRopeFactors(), ropeTheta, headDim) : null,
    maxPositionEmbeddings: integerField(metadata, `${arch}.context_length`, 1, limits.maxPositionEmbeddings),
    tieWordEmbeddings: !info.tensors.some(({ name }) => name === 'output.weight'),
    qkvBias: arch === 'qwen2',
    qkNorm: arch === 'qwen3',
    eosTokenIds: [...new Set(ends.filter((id) => id !== null))],
    bosTokenId: tokenIdField(metadata, 'tokenizer.ggml.bos_token_id', vocabSize),
    padTokenId: tokenIdField(metadata, 'tokenizer.ggml.padding_token_id', vocabSize),
    dtype: dtypeOf(info),
  });
}
