/** Reading safetensors files of expected values in tests, independently of the engine's reader: F32 and I32 tensors only. */
import { readFileSync } from 'node:fs';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** All tensors of a small file, by name. */
export class TensorFile {
  readonly tensors = new Map<string, Tensor>();

  constructor(path: string) {
    const bytes = readFileSync(path);
    const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, headerEnd)) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
      if (name === '__metadata__') continue;
      const [from, to] = data_offsets;
      const buffer = new Uint8Array(bytes.subarray(headerEnd + from, headerEnd + to)).buffer;
      if (dtype !== 'F32' && dtype !== 'I32') throw new Error(`${path}: ${name} is ${dtype}`);
      this.tensors.set(name, {
        shape,
        data: dtype === 'F32' ? new Float32Array(buffer) : new Int32Array(buffer),
      });
    }
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  f32(name: string): Float32Array {
    const data = this.tensors.get(name)?.data;
    if (!(data instanceof Float32Array)) throw new Error(`no F32 tensor ${name}`);
    return data;
  }

  i32(name: string): Int32Array {
    const data = this.tensors.get(name)?.data;
    if (!(data instanceof Int32Array)) throw new Error(`no I32 tensor ${name}`);
    return data;
  }
}
