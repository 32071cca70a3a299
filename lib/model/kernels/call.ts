/**
 * The way of one op to the engine: operands to plain objects, the native call, the promise.
 *
 * What is wrong with the arguments throws at once (TypeError, RangeError, or ToolgradError for a disposed or detached
 * tensor); what goes wrong while the op runs rejects with a ToolgradError that carries the caller's stack.
 */
import { duringOperation, ToolgradError } from '../../errors.ts';
import { native } from '../../native.ts';
import type { NativeKernels } from '../native-kernels.ts';
import { type DType, Tensor } from '../tensor.ts';
import { defaultThreads } from '../threads.ts';

/** A tensor as the addon takes it. */
interface NativeTensor {
  data: Tensor['data'];
  shape: readonly number[];
  panels: boolean;
}

/** A float32 tensor. */
export type Floats = Tensor<'float32'>;
/** An int32 tensor. */
export type Ints = Tensor<'int32'>;
/** A matrix that may be float32 or bfloat16, in rows or in panels. */
export type Weight = Tensor<'float32' | 'bfloat16'>;

type Operands = Readonly<Record<string, Tensor | undefined>>;
type Ops = Exclude<keyof NativeKernels, 'backend' | 'trace' | 'probe'>;

function lower(op: string, name: string, value: unknown): NativeTensor {
  if (!(value instanceof Tensor)) {
    throw new TypeError(
      `${op}: expected a Tensor for ${name} but received ${value === null ? 'null' : typeof value}; wrap typed arrays with Tensor.from`,
    );
  }
  if (value.disposed) {
    throw new ToolgradError(
      'ERR_DISPOSED',
      `${op}: expected a live tensor for ${name} but it was disposed; use it before dispose()`,
    );
  }
  const tensor: Tensor = value;
  return { data: tensor.data, shape: tensor.shape, panels: tensor.layout === 'panels' };
}

/**
 * Checks the arguments (throwing at once), queues the op, and resolves to `result` of what the native op returned.
 * `tensors` without a value are absent operands.
 */
export function call<T>(
  op: Ops,
  tensors: Operands,
  options: object,
  result: (returned: unknown) => T,
): Promise<T> {
  const request: Record<string, unknown> = { ...options };
  const arrays: [string, Tensor['data'], number][] = [];
  for (const [name, value] of Object.entries(tensors)) {
    if (value === undefined) continue;
    const tensor = lower(op, name, value);
    request[name] = tensor;
    arrays.push([name, tensor.data, tensor.data.length]);
  }
  return settle(op, engine()[op](request), arrays, result);
}

let started = false;

/** The native ops, with TOOLGRAD_THREADS heeded before the first one runs. */
export function engine(): NativeKernels {
  const { kernels } = native();
  if (!started) {
    const threads = defaultThreads();
    started = true;
    // A failure (ERR_ISA) is that of the op behind it too, which reports it.
    kernels.backend(threads, false).catch(() => undefined);
  }
  return kernels;
}

async function settle<T>(
  op: string,
  running: Promise<unknown>,
  arrays: readonly [string, Tensor['data'], number][],
  result: (returned: unknown) => T,
): Promise<T> {
  let returned: unknown;
  try {
    returned = await running;
  } catch (error) {
    throw duringOperation(op, error);
  }
  for (const [name, array, length] of arrays) {
    if (array.length !== length) {
      throw new ToolgradError(
        'ERR_DETACHED',
        `${op}: the ArrayBuffer of ${name} was transferred away while the op ran, so its result is lost; await the op first`,
      );
    }
  }
  return result(returned);
}

/** The shape of an operand, for sizing outputs; what is wrong with the operand is found by `call`. */
export function shapeOf(value: Tensor): readonly number[] {
  return (value as unknown) instanceof Tensor ? value.shape : [];
}

/** An output: the caller's tensor, or a new one. Sizes that a wrong operand leaves undefined are found by the op. */
export function output<D extends DType = 'float32'>(
  given: Tensor<D> | undefined,
  shape: readonly (number | undefined)[],
  dtype: D = 'float32' as D,
): Tensor<D> {
  return (
    given ??
    Tensor.empty(
      shape.map((size) => size ?? 0),
      dtype,
    )
  );
}

/** A gradient to add to: the caller's tensor, or zeros in the layout of the weight. */
export function gradient(given: Floats | undefined, weight: Tensor): Floats {
  if (given !== undefined || !((weight as unknown) instanceof Tensor)) return given as Floats;
  return Tensor.empty(weight.shape, 'float32', weight.layout);
}
