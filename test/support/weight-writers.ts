/**
 * Writers of small safetensors and GGUF files for tests, in as few lines as the formats allow. They check nothing: damaged
 * files are made by giving them wrong values.
 */

export interface SafetensorsTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  /** Written instead of the true offsets. */
  readonly offsets?: readonly [number, number];
}

/** A safetensors file; tensors lie in the order given. */
export function safetensorsBytes(
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { dtype, shape, data, offsets }] of tensors) {
    header[name] = { dtype, shape, data_offsets: offsets ?? [offset, offset + data.length] };
    parts.push(data);
    offset += data.length;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...parts]);
}

/** fp32 values as little-endian bytes. */
export function float32Bytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** fp32 values rounded to bf16 (to nearest, ties to even), as little-endian bytes. */
export function bfloat16Bytes(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  return new Uint8Array(rounded.buffer);
}

/** A metadata value of GGUF: a string, an unsigned integer, an fp32 number or an array of strings. */
export type GgufValue = string | { u32: number } | { f32: number } | readonly string[];

export interface GgufTensor {
  readonly name: string;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** The format's number of the type: 0 F32, 1 F16, 8 Q8_0. */
  readonly type: number;
  readonly data: Uint8Array;
}

const kAlignment = 32;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function ggufString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function ggufValue(value: GgufValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), ggufString(value)]);
  if ('u32' in value) return Buffer.concat([u32(4), u32(value.u32)]);
  if ('f32' in value) {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value.f32);
    return Buffer.concat([u32(6), bytes]);
  }
  return Buffer.concat([u32(9), u32(8), u64(value.length), ...value.map(ggufString)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((kAlignment - (bytes.length % kAlignment)) % kAlignment)]);
}

/** A GGUF version 3 file. `counts` replaces the true numbers of tensors and metadata pairs. */
export function ggufBytes(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
  counts: { readonly tensors?: bigint; readonly pairs?: bigint } = {},
): Buffer {
  const pairs = Object.entries(metadata).map(([key, value]) =>
    Buffer.concat([ggufString(key), ggufValue(value)]),
  );
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const dimensions = [...tensor.shape].reverse().map(u64);
    infos.push(
      Buffer.concat([
        ggufString(tensor.name),
        u32(dimensions.length),
        ...dimensions,
        u32(tensor.type),
        u64(offset),
      ]),
    );
    const block = padded(tensor.data);
    data.push(block);
    offset += block.length;
  }
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(counts.tensors ?? tensors.length),
    u64(counts.pairs ?? pairs.length),
    ...pairs,
    ...infos,
  ]);
  return Buffer.concat([padded(header), ...data]);
}
