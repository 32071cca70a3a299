/**
 * A `Tensor`: a handle on a row-major array with a device, a data type and a shape, for `kernels.*`.
 *
 * On the CPU a tensor wraps a typed array without a copy: the array is the memory, and writing to it is writing to the
 * tensor. A handle owns nothing else, so `dispose()` only ends the handle; the array lives as long as somebody refers to it,
 * a running op included. Do not write to an array, transfer its buffer or read an output before the op that uses it has
 * settled. SharedArrayBuffers are accepted (they cannot be transferred away); resizable ArrayBuffers are not.
 */
import { ToolgradError } from '../errors.ts';

/** What the elements are. bfloat16 is held as the upper 16 bits of a float32, in a Uint16Array. */
export type DType = 'float32' | 'bfloat16' | 'int32' | 'uint8';

/** The typed array behind a tensor of each data type. */
export interface TensorArrays {
  float32: Float32Array;
  bfloat16: Uint16Array;
  int32: Int32Array;
  uint8: Uint8Array;
}

/**
 * How a matrix lies in memory: `rows` is row-major; `panels` is the engine's layout for weights, panels of 16 rows
 * (`[N/16][K][16]`, the last panel padded with zero rows), made by `kernels.packWeight`.
 */
export type TensorLayout = 'rows' | 'panels';

/** Rows of one panel. */
const PANEL_ROWS = 16;

const makers: { [D in DType]: (length: number) => TensorArrays[D] } = {
  float32: (length) => new Float32Array(length),
  bfloat16: (length) => new Uint16Array(length),
  int32: (length) => new Int32Array(length),
  uint8: (length) => new Uint8Array(length),
};

/** A handle on memory of one device. Made by `Tensor.from` and `Tensor.empty`. */
export class Tensor<D extends DType = DType> {
  readonly device = 'cpu';
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly layout: TensorLayout;
  #data: TensorArrays[D] | undefined;
  readonly #length: number;

  private constructor(data: TensorArrays[D], dtype: D, shape: readonly number[], layout: TensorLayout) {
    this.#data = data;
    this.#length = data.length;
    this.dtype = dtype;
    this.shape = shape;
    this.layout = layout;
  }

  /**
   * Wraps `data` without a copy. `shape` defaults to one dimension; its product must be the array's length. The data type
   * follows from the array: Float32Array float32, Uint16Array bfloat16, Int32Array int32, Uint8Array uint8.
   * Throws TypeError for other arrays and resizable buffers, RangeError ERR_SHAPE_MISMATCH for a shape that does not fit.
   *
   * @example const x = Tensor.from(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]);
   */
  static from(data: Float32Array, shape?: readonly number[]): Tensor<'float32'>;
  static from(data: Uint16Array, shape?: readonly number[]): Tensor<'bfloat16'>;
  static from(data: Int32Array, shape?: readonly number[]): Tensor<'int32'>;
  static from(data: Uint8Array, shape?: readonly number[]): Tensor<'uint8'>;
  static from(data: TensorArrays[DType], shape: readonly number[] = [data?.length]): Tensor {
    const dtype = dtypeOf(data);
    if ((data.buffer as { resizable?: boolean }).resizable === true) {
      throw new TypeError(
        'Tensor.from: expected an array of fixed memory but its ArrayBuffer is resizable, and an op that runs while it ' +
          'shrinks would read freed memory; copy the array with slice()',
      );
    }
    const expected = product(shape);
    if (expected !== data.length) {
      throw shapeMismatch(
        `Tensor.from: shape [${shape.join(',')}] needs ${expected} elements but the array has ${data.length}`,
      );
    }
    return new Tensor(data, dtype, [...shape], 'rows');
  }

  /**
   * A tensor of zeros. With layout `panels` the shape must be a matrix [N, K] of float32 or bfloat16.
   *
   * @example const y = Tensor.empty([2, 4]);
   */
  static empty<D extends DType = 'float32'>(
    shape: readonly number[],
    dtype: D = 'float32' as D,
    layout: TensorLayout = 'rows',
  ): Tensor<D> {
    const make = makers[dtype];
    if (make === undefined) {
      throw new TypeError(
        `Tensor.empty: expected one of ${Object.keys(makers).join(', ')} for dtype but received ${String(dtype)}`,
      );
    }
    product(shape);
    let stored = shape;
    if (layout === 'panels') {
      const [rows, columns] = shape;
      const isWeight = dtype === 'float32' || dtype === 'bfloat16';
      if (rows === undefined || columns === undefined || shape.length !== 2 || !isWeight) {
        throw shapeMismatch(
          `Tensor.empty: panels hold a matrix [N,K] of float32 or bfloat16, not ${dtype} [${shape.join(',')}]`,
        );
      }
      stored = [Math.ceil(rows / PANEL_ROWS) * PANEL_ROWS, columns];
    }
    return new Tensor(make(product(stored)), dtype, [...shape], layout);
  }

  /** The typed array: the tensor's memory itself. Throws ERR_DISPOSED, or ERR_DETACHED when its buffer was transferred. */
  get data(): TensorArrays[D] {
    const data = this.#data;
    if (data === undefined) {
      throw new ToolgradError(
        'ERR_DISPOSED',
        `Expected a live tensor but this one, ${describeTensor(this)}, was disposed`,
      );
    }
    if (data.length !== this.#length) {
      throw new ToolgradError(
        'ERR_DETACHED',
        `Expected the memory of the tensor ${describeTensor(this)} but its ArrayBuffer was transferred away`,
      );
    }
    return data;
  }

  /** Number of elements the shape speaks of. */
  get size(): number {
    return product(this.shape);
  }

  get disposed(): boolean {
    return this.#data === undefined;
  }

  /** Ends the handle. Ops that were started with it run on; calling it twice is fine. */
  dispose(): void {
    this.#data = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** `float32 [2,3]`, with `in panels` where it applies. */
export function describeTensor(tensor: Tensor): string {
  const text = `${tensor.dtype} [${tensor.shape.join(',')}]`;
  return tensor.layout === 'panels' ? `${text} in panels` : text;
}

// By name, not instanceof: arrays made in another realm (node:vm, some test runners) are as good.
const dtypes: ReadonlyMap<string, DType> = new Map([
  ['Float32Array', 'float32'],
  ['Uint16Array', 'bfloat16'],
  ['Int32Array', 'int32'],
  ['Uint8Array', 'uint8'],
]);

function dtypeOf(data: unknown): DType {
  const name = ArrayBuffer.isView(data)
    ? String((data as { [Symbol.toStringTag]?: string })[Symbol.toStringTag])
    : typeof data;
  const dtype = dtypes.get(name);
  if (dtype !== undefined && ArrayBuffer.isView(data)) return dtype;
  throw new TypeError(
    `Tensor.from: expected a Float32Array, Uint16Array (bfloat16), Int32Array or Uint8Array but received ${name}`,
  );
}

function product(shape: readonly number[]): number {
  let elements = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw shapeMismatch(`Expected dimensions of 0 or more but found [${shape.join(',')}]`);
    }
    elements *= size;
  }
  if (elements > 2 ** 40)
    throw shapeMismatch(`Expected at most 2^40 elements but found [${shape.join(',')}]`);
  return elements;
}

function shapeMismatch(message: string): RangeError {
  return Object.assign(new RangeError(message), { code: 'ERR_SHAPE_MISMATCH' });
}
