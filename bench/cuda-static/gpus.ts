/**
 * The GPUs that the static report is about: what limits blocks on a multiprocessor, and the rates of its pipes.
 *
 * Sources. Limits: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; the tests compare what follows
 * from them with NVIDIA's own cuda_occupancy.h. Rates of FMA, ALU and special functions: the same guide, "Throughput of Native
 * Arithmetic Instructions". Tensor rate: data sheets (A100 312, RTX 3090 71, RTX 4090 165, H100 SXM 989, RTX 5090 209 TFLOP/s
 * of dense bf16 with fp32 sums) over multiprocessors and boost clock; mma.sync reaches 62 % of H100's (Hopper microbenchmarks,
 * arXiv 2501.12084). Shared memory: 128 bytes a clock. Bandwidth: data sheets.
 */

/** Of one compute capability; 86 stands for 8.6. */
export interface Architecture {
  readonly sm: number;
  readonly warps: number;
  readonly blocks: number;
  /** Bytes of shared memory of a multiprocessor, and the most that one block may use. */
  readonly shared: number;
  readonly sharedOfBlock: number;
  /** Clocks of a multiprocessor for one m16n8k16 of all its tensor cores together. */
  readonly mmaClocks: number;
  /** The same at the data sheet's peak (H100's is that of wgmma, which these kernels do not use). */
  readonly peakMmaClocks: number;
  /** Lanes a clock. */
  readonly fma: number;
  readonly alu: number;
}

export interface Gpu {
  readonly name: string;
  readonly sm: number;
  readonly multiprocessors: number;
  /** Hertz, boost. */
  readonly clock: number;
  /** Bytes a second. */
  readonly bandwidth: number;
}

const KIB = 1024;
export const FLOPS_PER_MMA = 2 * 16 * 8 * 16;
/** Lanes a clock of MUFU, bytes a clock of shared memory, instructions a clock: the same on all of them. */
export const SPECIAL_LANES = 16;
export const SHARED_BYTES = 128;
export const ISSUE_SLOTS = 4;

export const architectures: readonly Architecture[] = [
  {
    ...{ sm: 80, warps: 64, blocks: 32, shared: 164 * KIB, sharedOfBlock: 163 * KIB },
    ...{ mmaClocks: 2, peakMmaClocks: 2, fma: 64, alu: 64 },
  },
  {
    ...{ sm: 86, warps: 48, blocks: 16, shared: 100 * KIB, sharedOfBlock: 99 * KIB },
    ...{ mmaClocks: 8, peakMmaClocks: 8, fma: 128, alu: 64 },
  },
  {
    ...{ sm: 89, warps: 48, blocks: 24, shared: 100 * KIB, sharedOfBlock: 99 * KIB },
    ...{ mmaClocks: 8, peakMmaClocks: 8, fma: 128, alu: 64 },
  },
  {
    ...{ sm: 90, warps: 64, blocks: 32, shared: 228 * KIB, sharedOfBlock: 227 * KIB },
    ...{ mmaClocks: 1.6, peakMmaClocks: 1, fma: 128, alu: 64 },
  },
  {
    ...{ sm: 120, warps: 48, blocks: 24, shared: 100 * KIB, sharedOfBlock: 99 * KIB },
    ...{ mmaClocks: 8, peakMmaClocks: 8, fma: 128, alu: 64 },
  },
];

export const gpus: readonly Gpu[] = [
  { name: 'A100', sm: 80, multiprocessors: 108, clock: 1.41e9, bandwidth: 2.039e12 },
  { name: 'RTX 4090', sm: 89, multiprocessors: 128, clock: 2.52e9, bandwidth: 1.008e12 },
  { name: 'H100', sm: 90, multiprocessors: 132, clock: 1.83e9, bandwidth: 3.35e12 },
];

/** Those that `--cuda` may meet beside the three. */
export const furtherGpus: readonly Gpu[] = [
  { name: 'RTX 3090', sm: 86, multiprocessors: 82, clock: 1.695e9, bandwidth: 0.936e12 },
  { name: 'RTX 5090', sm: 120, multiprocessors: 170, clock: 2.407e9, bandwidth: 1.792e12 },
  { name: 'H200', sm: 90, multiprocessors: 132, clock: 1.83e9, bandwidth: 4.8e12 },
];

/** The newest of ours that is not newer than `sm`: what the driver's assembler will roughly make of the PTX. */
export function architectureOf(sm: number): Architecture {
  const found = architectures.findLast((one) => one.sm <= sm);
  if (found === undefined)
    throw new RangeError(`Expected compute capability 8.0 or later but received ${sm}`);
  return found;
}

export function peakFlops(gpu: Gpu): number {
  return (gpu.multiprocessors * gpu.clock * FLOPS_PER_MMA) / architectureOf(gpu.sm).peakMmaClocks;
}
