/** Linear layers, packed weights and the embedding. Dimensions: T rows, K input width, N output width, V ids, C width. */
import { Tensor } from '../tensor.ts';
import { call, type Floats, gradient, type Ints, output, shapeOf, type Weight } from './call.ts';

/** Operands of `linear`. */
export interface LinearOperands {
  /** [..., K]; all leading dimensions together are the rows. */
  readonly x: Floats;
  /** [N, K], float32 or bfloat16. Rows are packed for every call; `packWeight` does it once. */
  readonly weight: Weight;
  /** [N] */
  readonly bias?: Floats;
  /** [..., N], added last. May be the memory of `y`. */
  readonly residual?: Floats;
  /** [..., N]; made when absent. */
  readonly y?: Floats;
}

/**
 * `y = x Wᵀ + bias + residual`. Each output is one chain of fused multiply-adds over k in order (accumulated in float32), the
 * same for any number of rows and threads, so a row's bits do not depend on the rows beside it. With bfloat16 weights `x` is
 * rounded to bfloat16 first (to nearest even).
 *
 * @example const y = await kernels.linear({ x, weight });
 */
export function linear(operands: LinearOperands): Promise<Floats> {
  const { x, weight, bias, residual } = operands;
  const y = output(operands.y, [...shapeOf(x).slice(0, -1), shapeOf(weight)[0]]);
  return call('linear', { x, weight, bias, residual, y }, {}, () => y);
}

/** Operands of `linearBackward`. */
export interface LinearBackwardOperands {
  /** [..., N] gradient of the loss with respect to the output. */
  readonly dy: Floats;
  /** [..., K] the input of the forward pass. */
  readonly x: Floats;
  /** [N, K] */
  readonly weight: Weight;
  /** [..., K]; overwritten, or added to with `accumulate`. Made when absent. */
  readonly dx?: Floats;
  /** [N, K] float32, in rows or panels; added to. Made (zeros, laid out like `weight`) when absent. */
  readonly dweight?: Floats;
  /** [N]; added to, and left out when absent. */
  readonly dbias?: Floats;
  /** Add to `dx` instead of overwriting it. */
  readonly accumulate?: boolean;
}

/**
 * Gradients of `linear`: `dx = dy W`, `dW += dyᵀ x`, `dbias += Σ dy`, the sums over rows in row order. With bfloat16 weights
 * `x` and `dy` are rounded to bfloat16 first, but for `dbias`.
 *
 * @example const { dx, dweight } = await kernels.linearBackward({ dy, x, weight, dweight });
 */
export function linearBackward(
  operands: LinearBackwardOperands,
): Promise<{ dx: Floats; dweight: Floats; dbias: Floats | undefined }> {
  const { dy, x, weight, dbias, accumulate = false } = operands;
  const dx = output(operands.dx, shapeOf(x));
  const dweight = gradient(operands.dweight, weight);
  const tensors = { dy, x, weight, dx, dweight, dbias };
  return call('linearBackward', tensors, { accumulate }, () => ({ dx, dweight, dbias }));
}

/**
 * Only `dx` of `linearBackward`, for frozen weights.
 *
 * @example const dx = await kernels.linearBackwardInput({ dy, weight });
 */
export function linearBackwardInput(
  operands: Pick<LinearBackwardOperands, 'dy' | 'weight' | 'dx' | 'accumulate'>,
): Promise<Floats> {
  const { dy, weight, accumulate = false } = operands;
  const dx = output(operands.dx, [...shapeOf(dy).slice(0, -1), shapeOf(weight)[1]]);
  return call('linearBackward', { dy, weight, dx }, { accumulate }, () => dx);
}

/**
 * Only `dweight` and `dbias` of `linearBackward`, for a first layer. Made as rows when absent. Of `weight` only the data type
 * counts, which says whether `x` and `dy` are rounded; float32 when absent.
 *
 * @example const dweight = await kernels.linearBackwardWeight({ dy, x });
 */
export function linearBackwardWeight(
  operands: Pick<LinearBackwardOperands, 'dy' | 'x' | 'dweight' | 'dbias'> &
    Partial<Pick<LinearBackwardOperands, 'weight'>>,
): Promise<Floats> {
  const { dy, x, weight, dbias } = operands;
  const dweight = output(operands.dweight, [shapeOf(dy).at(-1), shapeOf(x).at(-1)]);
  return call('linearBackward', { dy, x, weight, dweight, dbias }, {}, () => dweight);
}

type WeightDType = 'float32' | 'bfloat16';

/** Operands of `packWeight`. */
export interface PackWeightOperands<W extends WeightDType, D extends WeightDType> {
  /** [N, K] in rows. */
  readonly weight: Tensor<W>;
  /** Data type of the packed copy; bfloat16 rounds to nearest even. Default: that of `weight`. */
  readonly dtype?: D;
  /** [N, K] in panels, written instead of a new tensor. */
  readonly packed?: Tensor<D>;
}

/**
 * Copies a weight into the engine's layout (panels of 16 rows), so that ops need not do it at every call. The copy does not
 * follow later changes of `weight`; `adamw` can update panels themselves.
 *
 * @example const packed = await kernels.packWeight({ weight, dtype: 'bfloat16' });
 */
export function packWeight<W extends WeightDType, D extends WeightDType = W>(
  operands: PackWeightOperands<W, D>,
): Promise<Tensor<D>> {
  const { weight } = operands;
  const dtype = (operands.dtype ?? operands.packed?.dtype ?? weight?.dtype) as D;
  const packed = operands.packed ?? Tensor.empty(matrix(shapeOf(weight)), dtype, 'panels');
  return call('packWeight', { weight, packed }, {}, () => packed);
}

/**
 * The rows [N, K] of a packed weight, in float32. `weight` is written instead of a new tensor.
 *
 * @example const rows = await kernels.unpackWeight({ packed });
 */
export function unpackWeight(operands: {
  readonly packed: Weight;
  readonly weight?: Floats;
}): Promise<Floats> {
  const { packed } = operands;
  const weight = output(operands.weight, shapeOf(packed));
  return call('unpackWeight', { packed, weight }, {}, () => weight);
}

// A wrong rank is the op's to report.
function matrix(shape: readonly number[]): readonly number[] {
  return [shape[0] ?? 0, shape[1] ?? 0];
}

/** Operands of `embedding`. */
export interface EmbeddingOperands {
  /** [T], each from 0 to V - 1; otherwise the call rejects with ERR_OUT_OF_RANGE. */
  readonly ids: Ints;
  /** [V, C], float32 or bfloat16, in rows or panels. */
  readonly table: Weight;
  /** [T, C]; made when absent. */
  readonly x?: Floats;
}

/**
 * `x[t] = table[ids[t]]`.
 *
 * @example const x = await kernels.embedding({ ids, table });
 */
export function embedding(operands: EmbeddingOperands): Promise<Floats> {
  const { ids, table } = operands;
  const x = output(operands.x, [shapeOf(ids)[0], shapeOf(table)[1]]);
  return call('embedding', { ids, table, x }, {}, () => x);
}

/**
 * `dtable[ids[t]] += dx[t]`, in token order. `dtable` [V, C] is float32, in rows or panels.
 *
 * @example await kernels.embeddingBackward({ ids, dx, dtable });
 */
export function embeddingBackward(operands: {
  readonly ids: Ints;
  readonly dx: Floats;
  readonly dtable: Floats;
}): Promise<Floats> {
  const { ids, dx, dtable } = operands;
  return call('embeddingBackward', { ids, dx, dtable }, {}, () => dtable);
}
