/** The optimizer step, the norm of gradients, and the backend the ops run on. */
import { defaultThreads } from '../threads.ts';
import { call, engine, type Floats, type Weight } from './call.ts';

/** Operands of `adamw`: tensors of one shape and one layout (rows or panels). */
export interface AdamWOperands {
  /** float32 weights; changed in place. */
  readonly master: Floats;
  /** First moment; changed in place. Zeros before the first step. */
  readonly m: Floats;
  /** Second moment; changed in place. Zeros before the first step. */
  readonly v: Floats;
  readonly grad: Floats;
  /** A compute copy, float32 or bfloat16, that gets the rounded master; absent: none. */
  readonly weight?: Weight;
  readonly lr: number;
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  /** Decoupled: the master is multiplied by 1 - lr · weightDecay. Default 0. */
  readonly weightDecay?: number;
  /** Factor of the gradient: 1 / tokens, or the clipping factor. Default 1. */
  readonly gradScale?: number;
  /** 1 for the first update; for the correction of the moments' bias. */
  readonly step: number;
}

/**
 * One AdamW update (Loshchilov and Hutter 2019, in the order of torch.optim.AdamW). Resolves to `master`. The gradient is
 * left as it is: clear it with `grad.data.fill(0)`.
 *
 * @example await kernels.adamw({ master, m, v, grad, lr: 1e-3, step: 1 });
 */
export function adamw(operands: AdamWOperands): Promise<Floats> {
  const { master, m, v, grad, weight } = operands;
  const { lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0, gradScale = 1, step } = operands;
  const options = { lr, beta1, beta2, eps, weightDecay, gradScale, step };
  return call('adamw', { master, m, v, grad, weight }, options, () => master);
}

/**
 * The Euclidean norm of all tensors together, summed in double in a fixed order. NaN or Infinity when an element is.
 *
 * @example const gradScale = Math.min(1, 1 / (await kernels.globalNorm({ tensors: [dw1, dw2] })));
 */
export function globalNorm(operands: { readonly tensors: readonly Floats[] }): Promise<number> {
  const sums = operands.tensors.map((x) => call('sumOfSquares', { x }, {}, (sum) => sum as number));
  return Promise.all(sums).then((all) => Math.sqrt(all.reduce((total, sum) => total + sum, 0)));
}

/** What the ops run on. */
export interface KernelBackend {
  /** `cpu-avx512bf16`, `cpu-avx512`, `cpu-avx2` or `cpu-portable`. */
  readonly name: string;
  readonly threads: number;
}

/** The backend of `kernels.*` in this process, which all threads of JavaScript share. Rejects with ERR_ISA. */
export function backend(): Promise<KernelBackend> {
  return engine().backend(defaultThreads(), false);
}

/** Runs later ops on this many threads (1 to 1024). No result depends on the number. */
export function setThreads(threads: number): Promise<KernelBackend> {
  return engine().backend(threads, true);
}

/** One op that ran, and how long the engine thread was busy with it. */
export interface TraceEntry {
  readonly op: string;
  readonly seconds: number;
}

/**
 * Times the ops that `work` runs, on the engine thread: without the way from and to JavaScript, with packing of weights. Ops
 * that others run meanwhile are listed too.
 *
 * @example const { entries } = await kernels.trace(() => kernels.linear({ x, weight }));
 */
export async function trace<T>(work: () => Promise<T>): Promise<{ result: T; entries: TraceEntry[] }> {
  await engine().trace(true);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await engine().trace(false);
    throw error;
  }
  return { result, entries: await engine().trace(false) };
}
