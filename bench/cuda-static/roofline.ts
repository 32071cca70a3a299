/**
 * What a case should take on a GPU, PREDICTED: the larger of its bytes over the bandwidth and its loops' bound, over an efficiency
 * that well-made kernels of its kind are known to reach, and 2 to 4 µs for each launch.
 *
 * The bands: products 0.75 to 0.95, attention 0.65 to 0.85, its gradient 0.55 to 0.7, paged decoding 0.7 to 0.85, streaming 0.85 to
 * 0.92 of the bandwidth: what public kernels of each kind have been measured at. An uncalibrated model of this kind is off by a
 * factor of 1.3 to 2; it ranks better than it predicts.
 */
import { architectureOf, FLOPS_PER_MMA, type Gpu, ISSUE_SLOTS, peakFlops } from './gpus.ts';
import type { LoopModel } from './pipes.ts';

export interface PlannedCase {
  readonly op: string;
  readonly model: string;
  readonly phase: string;
  readonly size: string;
  readonly work: 'gemm' | 'attention' | 'attention gradient' | 'decode attention' | 'stream';
  readonly flops: number;
  /** What the mathematics needs, and what the design moves. */
  readonly bytes: number;
  readonly moved: number;
  readonly launches: readonly { readonly kernel: string; readonly blocks: number; readonly mma: number }[];
}

export interface Prediction {
  /** Seconds: the roofline with unlimited loops, then the predicted interval. */
  readonly roofline: number;
  readonly fast: number;
  readonly slow: number;
  readonly bound: 'memory' | 'loop' | 'issue' | 'launches';
}

const bands: Readonly<Record<PlannedCase['work'], readonly [number, number]>> = {
  gemm: [0.75, 0.95],
  attention: [0.65, 0.85],
  'attention gradient': [0.55, 0.7],
  'decode attention': [0.7, 0.85],
  stream: [0.85, 0.92],
};
const LAUNCH = [2e-6, 4e-6] as const;

/** Seconds of the loops of all launches, one after the other, on the multiprocessor that gets most blocks. */
function loopSeconds(item: PlannedCase, gpu: Gpu, loop: (kernel: string) => LoopModel | null): number {
  return item.launches.reduce((sum, { kernel, blocks, mma }) => {
    if (mma === 0) return sum;
    const model = loop(kernel);
    if (model === null) throw new Error(`${kernel}: expected a loop with tensor-core steps but found none`);
    const most = Math.ceil(blocks / gpu.multiprocessors) / blocks;
    return sum + (most * mma * model.clocksPerMma) / gpu.clock;
  }, 0);
}

/** `instructionsPerByte`: warp instructions that a streaming op issued for each byte it needs, on the simulated device. */
export function predict(
  item: PlannedCase,
  gpu: Gpu,
  loop: (kernel: string) => LoopModel | null,
  instructionsPerByte: number | null,
): Prediction {
  const times: [Prediction['bound'], number][] = [
    ['memory', item.moved / gpu.bandwidth],
    ['loop', loopSeconds(item, gpu, loop)],
  ];
  if (item.work === 'stream' && instructionsPerByte !== null) {
    const rate = ISSUE_SLOTS * gpu.multiprocessors * gpu.clock;
    times.push(['issue', (item.bytes * instructionsPerByte) / rate]);
  }
  const [bound, seconds] = times.reduce((most, one) => (one[1] > most[1] ? one : most));
  const [low, high] = bands[item.work];
  const fast = seconds / high + item.launches.length * LAUNCH[0];
  const slow = seconds / low + item.launches.length * LAUNCH[1];
  return {
    roofline: Math.max(item.bytes / gpu.bandwidth, item.flops / peakFlops(gpu)),
    ...{ fast, slow, bound: seconds < item.launches.length * LAUNCH[0] ? 'launches' : bound },
  };
}

/** The part of the tensor cores' time that padding wastes: mma executed over mma that the mathematics needs. */
export function padding(item: PlannedCase): number | null {
  const mma = item.launches.reduce((sum, one) => sum + one.mma, 0);
  return mma === 0 ? null : (mma * FLOPS_PER_MMA) / item.flops;
}

export function architectureName(gpu: Gpu): string {
  return `sm_${architectureOf(gpu.sm).sm}`;
}
