/**
 * What a case should take on a GPU, PREDICTED: the larger of its bytes over the bandwidth and its loops' bound, over an efficiency
 * that well-made kernels of its kind are known to reach, and 2 to 4 µs for each launch.
 *
 * The bands: products 0.75 to 0.95, attention 0.65 to 0.85, its gradient 0.55 to 0.7, paged decoding 0.7 to 0.85, streaming 0.85 to
 * 0.92 of the bandwidth: what public kernels of each kind have been measured at. An uncalibrated model of this kind is off by a
 * factor of 1.3 to 2; it ranks better than it predicts. Latencies are not in it: small ops are predicted too fast.
 */
import { type Gpu, ISSUE_SLOTS, peakFlops } from './gpus.ts';
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
  readonly bound: 'memory' | 'few blocks' | 'loop' | 'issue' | 'launches';
}

const bands: Readonly<Record<PlannedCase['work'], readonly [number, number]>> = {
  gemm: [0.75, 0.95],
  attention: [0.65, 0.85],
  'attention gradient': [0.55, 0.7],
  'decode attention': [0.7, 0.85],
  stream: [0.85, 0.92],
};
const LAUNCH = [2e-6, 4e-6] as const;
/** That a multiprocessor can draw from L2 a clock, at most. */
const L2_BYTES = 64;

/** What one kernel of an op asked for on the simulated device, for each byte that the op needs. */
export interface Streamed {
  /** Its part of the op's sectors; those of all kernels add up to 1. */
  readonly part: number;
  /** Bytes used of those in its sectors. */
  readonly use: number;
  readonly instructionsPerByte: number;
}

type Bound = Prediction['bound'];

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

/** The kernels of a streaming op one after the other: the bandwidth, what their blocks can draw from L2, and their instructions. */
function streamSeconds(
  item: PlannedCase,
  gpu: Gpu,
  streamed: ReadonlyMap<string, Streamed>,
): [Bound, number][] {
  const sums = new Map<Bound, number>();
  const launched = new Set(item.launches.map(({ kernel }) => kernel));
  for (const [kernel, { part, use, instructionsPerByte }] of streamed) {
    // Another kernel of the op in other sizes stands for that of the sizes that were counted.
    const same = item.launches.filter((one) => (launched.has(kernel) ? one.kernel === kernel : true));
    const busy = Math.min(gpu.multiprocessors, Math.max(...same.map(({ blocks }) => blocks)));
    const bytes = (item.moved * part) / use;
    const times: [Bound, number][] = [
      ['memory', bytes / gpu.bandwidth],
      ['few blocks', bytes / (busy * L2_BYTES * gpu.clock)],
      ['issue', (item.bytes * instructionsPerByte) / (ISSUE_SLOTS * busy * gpu.clock)],
    ];
    const [bound, seconds] = times.reduce((most, one) => (one[1] > most[1] ? one : most));
    sums.set(bound, (sums.get(bound) ?? 0) + seconds);
  }
  const [bound] = [...sums].reduce((most, one) => (one[1] > most[1] ? one : most));
  return [[bound, [...sums.values()].reduce((sum, seconds) => sum + seconds, 0)]];
}

/** `streamed`: the kernels of a streaming op as they were counted; null where they were not. */
export function predict(
  item: PlannedCase,
  gpu: Gpu,
  loop: (kernel: string) => LoopModel | null,
  streamed: ReadonlyMap<string, Streamed> | null,
): Prediction {
  const blocks = Math.max(...item.launches.map((one) => one.blocks));
  const busy = Math.min(gpu.multiprocessors, blocks);
  const times: [Bound, number][] =
    item.work === 'stream' && streamed !== null && streamed.size > 0
      ? streamSeconds(item, gpu, streamed)
      : [
          ['memory', item.moved / gpu.bandwidth],
          ['few blocks', item.moved / (busy * L2_BYTES * gpu.clock)],
          ['loop', loopSeconds(item, gpu, loop)],
        ];
  const [bound, seconds] = times.reduce((most, one) => (one[1] > most[1] ? one : most));
  const [low, high] = bands[item.work];
  const fast = seconds / high + item.launches.length * LAUNCH[0];
  const slow = seconds / low + item.launches.length * LAUNCH[1];
  return {
    roofline: Math.max(item.bytes / gpu.bandwidth, item.flops / peakFlops(gpu)),
    ...{ fast, slow, bound: seconds < item.launches.length * LAUNCH[0] ? 'launches' : bound },
  };
}
