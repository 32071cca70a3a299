/**
 * A GGUF file of random weights without a tokenizer, in the shapes of a config: what llama.cpp needs to be timed. The layout is
 * that of version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ModelConfig } from '../../lib/model/config.ts';

export const weightTypes = { F32: 0, F16: 1, BF16: 30 } as const;
export type WeightType = keyof typeof weightTypes;

const [U32, F32, STRING] = [4, 6, 8];
const ALIGNMENT = 32;
/** Standard deviation of the weights; they are uniform. */
const SPREAD = 0.02;
/** Elements made at a time. */
const PIECE = 1 << 20;

interface TensorInfo {
  readonly name: string;
  /** Innermost first, as GGUF has it. */
  readonly dims: readonly number[];
}

function tensorsOf(config: ModelConfig): TensorInfo[] {
  const { hiddenSize: C, heads, kvHeads, headDim, intermediateSize: F, vocabSize, qkvBias } = config;
  const [query, key] = [heads * headDim, kvHeads * headDim];
  const layers = Array.from({ length: config.layers }, (_, i) => {
    const matrices: [string, number[]][] = [
      ['attn_norm', [C]],
      ['attn_q', [C, query]],
      ['attn_k', [C, key]],
      ['attn_v', [C, key]],
      ['attn_output', [query, C]],
      ['ffn_norm', [C]],
      ['ffn_gate', [C, F]],
      ['ffn_up', [C, F]],
      ['ffn_down', [F, C]],
    ];
    const biases: [string, number][] = [
      ['attn_q', query],
      ['attn_k', key],
      ['attn_v', key],
    ];
    return [
      ...matrices.map(([name, dims]) => ({ name: `blk.${i}.${name}.weight`, dims })),
      ...(qkvBias ? biases.map(([name, width]) => ({ name: `blk.${i}.${name}.bias`, dims: [width] })) : []),
    ];
  });
  return [
    { name: 'token_embd.weight', dims: [C, vocabSize] },
    { name: 'output_norm.weight', dims: [C] },
    ...layers.flat(),
  ];
}

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const f32 = (value: number) => Buffer.from(Float32Array.of(value).buffer);
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const entry = (key: string, type: number, value: Buffer) => Buffer.concat([text(key), u32(type), value]);

function metadataOf(config: ModelConfig): Buffer[] {
  const { arch } = config;
  const number = (key: string, value: number) => entry(`${arch}.${key}`, U32, u32(value));
  const real = (key: string, value: number) => entry(`${arch}.${key}`, F32, f32(value));
  return [
    entry('general.architecture', STRING, text(arch)),
    entry('tokenizer.ggml.model', STRING, text('none')),
    number('vocab_size', config.vocabSize),
    number('block_count', config.layers),
    number('context_length', config.maxPositionEmbeddings),
    number('embedding_length', config.hiddenSize),
    number('feed_forward_length', config.intermediateSize),
    number('attention.head_count', config.heads),
    number('attention.head_count_kv', config.kvHeads),
    number('rope.dimension_count', config.headDim),
    real('attention.layer_norm_rms_epsilon', config.rmsNormEps),
    real('rope.freq_base', config.ropeTheta),
  ];
}

/** `values` in the given type; f16 below its normal range becomes zero. */
export function encode(values: Float32Array, type: WeightType): Buffer {
  if (type === 'F32') return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const half = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const each = bits[i]!;
    if (type === 'BF16') half[i] = each >>> 16;
    else {
      const exponent = ((each >>> 23) & 0xff) - 112;
      half[i] = exponent < 1 ? 0 : ((each >>> 16) & 0x8000) | (exponent << 10) | ((each >>> 13) & 0x3ff);
    }
  }
  return Buffer.from(half.buffer);
}

/** Matrices in `type`, norms (ones) and biases in F32. */
export function writeRandomGguf(path: string, config: ModelConfig, type: WeightType): void {
  const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  const count = ({ dims }: TensorInfo) => dims.reduce((product, size) => product * size, 1);
  const typeOf = ({ dims }: TensorInfo): WeightType => (dims.length === 1 ? 'F32' : type);
  const bytesOf = (tensor: TensorInfo) => count(tensor) * (typeOf(tensor) === 'F32' ? 4 : 2);
  const tensors = tensorsOf(config);
  const metadata = metadataOf(config);
  let offset = 0;
  const infos = tensors.map((tensor) => {
    const { name, dims } = tensor;
    const place = offset;
    offset += padded(bytesOf(tensor));
    return Buffer.concat([
      ...[text(name), u32(dims.length), ...dims.map(u64), u32(weightTypes[typeOf(tensor)]), u64(place)],
    ]);
  });
  const head = Buffer.concat([
    ...[Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length), ...metadata, ...infos],
  ]);
  const file = openSync(path, 'w');
  let state = 12345;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state / 2 ** 31) * SPREAD * Math.sqrt(3);
  };
  try {
    writeSync(file, Buffer.concat([head, Buffer.alloc(padded(head.length) - head.length)]));
    for (const tensor of tensors) {
      const norm = tensor.name.includes('norm');
      for (let at = 0; at < count(tensor); at += PIECE) {
        const values = new Float32Array(Math.min(PIECE, count(tensor) - at));
        for (let i = 0; i < values.length; i++) values[i] = norm ? 1 : random();
        writeSync(file, encode(values, typeOf(tensor)));
      }
      const bytes = bytesOf(tensor);
      writeSync(file, Buffer.alloc(padded(bytes) - bytes));
    }
  } finally {
    closeSync(file);
  }
}
