/** Normalisation, rotation and activation: ops that treat every row alone. Dimensions: T rows, C or F width, D head size. */
import { call, type Floats, type Ints, output, shapeOf } from './call.ts';

/** Operands of `rmsNorm`. */
export interface RmsNormOperands {
  /** [..., C]; all leading dimensions together are the rows (per-head norms: [T, heads, D]). */
  readonly x: Floats;
  /** [C] */
  readonly weight: Floats;
  /** Added to the mean square. Default 1e-6. */
  readonly eps?: number;
  /** [..., C]; may be `x` when `x` is not needed again. Made when absent. */
  readonly y?: Floats;
  /** [rows] 1 / root mean square, which the backward pass needs. Made when absent. */
  readonly rstd?: Floats;
}

/**
 * `y = x / sqrt(mean(x²) + eps) * weight` per row (Zhang and Sennrich 2019).
 *
 * @example const { y, rstd } = await kernels.rmsNorm({ x, weight });
 */
export function rmsNorm(operands: RmsNormOperands): Promise<{ y: Floats; rstd: Floats }> {
  const { x, weight, eps = 1e-6 } = operands;
  const y = output(operands.y, shapeOf(x));
  const rstd = output(operands.rstd, shapeOf(x).slice(0, -1));
  return call('rmsNorm', { x, weight, y, rstd }, { eps }, () => ({ y, rstd }));
}

/** Operands of `rmsNormBackward`. */
export interface RmsNormBackwardOperands {
  /** [..., C] */
  readonly dy: Floats;
  /** [..., C] the input of the forward pass. */
  readonly x: Floats;
  /** [C] */
  readonly weight: Floats;
  /** [rows] from the forward pass. */
  readonly rstd: Floats;
  /** [..., C]; overwritten, or added to with `accumulate` (a residual stream). Made when absent. */
  readonly dx?: Floats;
  /** [C]; added to, in row order. Made when absent. */
  readonly dweight?: Floats;
  readonly accumulate?: boolean;
}

/**
 * Gradients of `rmsNorm`.
 *
 * @example const { dx, dweight } = await kernels.rmsNormBackward({ dy, x, weight, rstd });
 */
export function rmsNormBackward(operands: RmsNormBackwardOperands): Promise<{ dx: Floats; dweight: Floats }> {
  const { dy, x, weight, rstd, accumulate = false } = operands;
  const dx = output(operands.dx, shapeOf(x));
  const dweight = output(operands.dweight, shapeOf(weight));
  return call('rmsNormBackward', { dy, x, weight, rstd, dx, dweight }, { accumulate }, () => ({
    dx,
    dweight,
  }));
}

/** Llama 3.1's smooth change of the RoPE frequencies, as `rope_scaling` of its config.json. */
export interface Llama3Scaling {
  readonly type: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositionEmbeddings: number;
}

/** Operands of `rope` and `ropeBackward`. */
export interface RopeOperands {
  /** [T, heads, D], D even; changed in place. */
  readonly x: Floats;
  /** [T], from 0 to 2^24 - 1; otherwise the call rejects with ERR_OUT_OF_RANGE. */
  readonly positions: Ints;
  /** Base of the frequencies theta^(-2i/D). Default 10000. */
  readonly theta?: number;
  readonly scaling?: Llama3Scaling;
}

/**
 * Rotary position embedding (Su et al. 2021) in place, pairs (d, d + D/2) as in Hugging Face models. Resolves to `x`.
 *
 * @example await kernels.rope({ x: q, positions, theta: 100000 });
 */
export function rope(operands: RopeOperands): Promise<Floats> {
  return rotate(operands, false);
}

/** The gradient of `rope`: `x` holds the gradient of the rotated heads and is rotated back in place. */
export function ropeBackward(operands: RopeOperands): Promise<Floats> {
  return rotate(operands, true);
}

function rotate(operands: RopeOperands, backward: boolean): Promise<Floats> {
  const { x, positions, theta = 10000, scaling } = operands;
  return call('rope', { x, positions }, { theta, scaling, backward }, () => x);
}

/**
 * `act = silu(gate) * up` (Shazeer 2020), all [..., F]. `act` is made when absent.
 *
 * @example const act = await kernels.swiglu({ gate, up });
 */
export function swiglu(operands: {
  readonly gate: Floats;
  readonly up: Floats;
  readonly act?: Floats;
}): Promise<Floats> {
  const { gate, up } = operands;
  const act = output(operands.act, shapeOf(gate));
  return call('swiglu', { gate, up, act }, {}, () => act);
}

/**
 * Gradients of `swiglu`, all [..., F]. `dgate` may be the memory of `gate`, `dup` that of `up`.
 *
 * @example const { dgate, dup } = await kernels.swigluBackward({ dact, gate, up });
 */
export function swigluBackward(operands: {
  readonly dact: Floats;
  readonly gate: Floats;
  readonly up: Floats;
  readonly dgate?: Floats;
  readonly dup?: Floats;
}): Promise<{ dgate: Floats; dup: Floats }> {
  const { dact, gate, up } = operands;
  const dgate = output(operands.dgate, shapeOf(gate));
  const dup = output(operands.dup, shapeOf(up));
  return call('swigluBackward', { dact, gate, up, dgate, dup }, {}, () => ({ dgate, dup }));
}
