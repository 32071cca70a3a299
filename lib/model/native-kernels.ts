/** The part of the native addon behind `kernels.*` (binding/napi/kernels_*.cc). */

/**
 * The ops behind the functions of kernels/: each takes one object of operands ({data, shape, panels}) and options, checks them at
 * once, and returns a promise.
 */
export type NativeKernels = Readonly<
  Record<
    | 'adamw'
    | 'attention'
    | 'attentionBackward'
    | 'embedding'
    | 'embeddingBackward'
    | 'kvWrite'
    | 'linear'
    | 'linearBackward'
    | 'lossHead'
    | 'lossHeadBackward'
    | 'packWeight'
    | 'pagedAttention'
    | 'policyLoss'
    | 'rmsNorm'
    | 'rmsNormBackward'
    | 'rope'
    | 'sample'
    | 'sumOfSquares'
    | 'swiglu'
    | 'swigluBackward'
    | 'unpackWeight',
    (request: object) => Promise<unknown>
  >
> & {
  /** The backend. `threads` is for one that has not run yet or, with `replace`, for any. */
  backend(threads: number, replace: boolean): Promise<{ name: string; threads: number }>;
  /** The ops run since the trace was turned on; then turns it on or off. */
  trace(on: boolean): Promise<{ op: string; seconds: number }[]>;
  /** The machine's peaks, for the bench: operations or bytes read per second, one entry per run. */
  probe(options: {
    kind: 'flops' | 'bf16' | 'read';
    threads: number;
    runs: number;
    seconds?: number;
    bytes?: number;
  }): Promise<Float64Array>;
};
