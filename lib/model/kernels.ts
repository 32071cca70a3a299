/**
 * `kernels.*`: the engine's ops on the caller's own buffers, for other trainers, for tests and for the bench.
 *
 * Every op takes one object of tensors and options, checks it, and returns a promise. Ops of a process run one after the
 * other in the order they were called, on the engine thread of the device, between the calls of models; so an op may be
 * called with the output of an op that has not settled. Rules:
 *
 * - Misuse throws at once: TypeError (not a tensor, ERR_DTYPE_MISMATCH), RangeError (ERR_SHAPE_MISMATCH, ERR_OVERLAP),
 *   ToolgradError (ERR_DISPOSED, ERR_DETACHED). What depends on contents (ids, sequence starts) rejects.
 * - An op that rejects has no effect on the ops behind it.
 * - An output must have memory of its own, except where its description names an operand it may share all of.
 * - Gradients of weights are added to; gradients of activations are overwritten unless `accumulate` is set.
 * - While an op is in flight its arrays must not be written or transferred. They are not collected.
 * - Tensors may have 0 rows: nothing happens.
 */

export { type AdvantageOptions, type GroupAdvantages, groupAdvantages } from '../train/advantage.ts';
export * from './kernels/attention.ts';
export type { Floats, Ints, Weight } from './kernels/call.ts';
export * from './kernels/head.ts';
export * from './kernels/linear.ts';
export * from './kernels/optimizer.ts';
export * from './kernels/rows.ts';
