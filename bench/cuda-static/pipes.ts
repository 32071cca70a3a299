/**
 * The pipe model of a loop: how many clocks of a multiprocessor one turn of it keeps each pipe busy when all warps of a block run
 * it. The busiest pipe bounds the loop from below; latencies, and waits for memory and for each other, come on top.
 */
import { type Architecture, ISSUE_SLOTS, SHARED_BYTES, SPECIAL_LANES } from './gpus.ts';
import type { Mix } from './mix.ts';
import { mixOf } from './mix.ts';
import { type Kernel, loopsOf } from './program.ts';

export type Pipe = 'issue' | 'tensor' | 'special' | 'shared' | 'fma' | 'alu';

export interface LoopModel {
  readonly mix: Mix;
  /** Clocks of one turn, all warps of a block. */
  readonly clocks: Readonly<Partial<Record<Pipe, number>>>;
  readonly bound: Pipe;
  /** Clocks of the bound for one mma of one warp. */
  readonly clocksPerMma: number;
  /** The most of the tensor cores' peak on the data sheet that the loop can reach. */
  readonly shareOfPeak: number;
}

const WARP = 32;

export function modelOf(
  mix: Mix,
  warps: number,
  architecture: Architecture,
  language: 'ptx' | 'sass',
): LoopModel {
  const { counts } = mix;
  const clocks: Partial<Record<Pipe, number>> = {
    issue: (warps * mix.issue) / ISSUE_SLOTS,
    tensor: warps * counts.tensor * architecture.mmaClocks,
    special: (warps * counts.special * WARP) / SPECIAL_LANES,
    shared: (warps * mix.sharedBytes) / SHARED_BYTES,
  };
  // PTX does not say which integer operations become multiply-adds, nor which moves remain.
  if (language === 'sass') {
    clocks.fma = (warps * counts.fma * WARP) / architecture.fma;
    clocks.alu = (warps * (counts.alu + counts.convert) * WARP) / architecture.alu;
  }
  const [bound, most] = (Object.entries(clocks) as [Pipe, number][]).reduce((a, b) => (b[1] > a[1] ? b : a));
  const mma = warps * counts.tensor;
  return {
    ...{ mix, clocks, bound, clocksPerMma: mma === 0 ? 0 : most / mma },
    shareOfPeak: mma === 0 ? 0 : (mma * architecture.peakMmaClocks) / most,
  };
}

/** The innermost loop that holds tensor-core steps (where several do, that with most), as a mix; null without one. */
export function mainLoop(kernel: Kernel, language: 'ptx' | 'sass'): Mix | null {
  const mixes = loopsOf(kernel)
    .map(({ body }) => ({
      body,
      mix: mixOf(
        body.map((i) => kernel.instructions[i]!),
        language,
      ),
    }))
    .filter(({ mix }) => mix.counts.tensor > 0);
  const inner = mixes.filter(
    ({ body }) => !mixes.some((other) => other.body.length < body.length && body.includes(other.body[0]!)),
  );
  return inner.reduce<Mix | null>(
    (most, { mix }) => (most === null || mix.counts.tensor > most.counts.tensor ? mix : most),
    null,
  );
}

/** Innermost loops in the order of their first instruction. */
export function innerLoops(kernel: Kernel, language: 'ptx' | 'sass'): Mix[] {
  return loopsOf(kernel)
    .filter(({ innermost }) => innermost)
    .sort((a, b) => a.body[0]! - b.body[0]!)
    .map(({ body }) =>
      mixOf(
        body.map((i) => kernel.instructions[i]!),
        language,
      ),
    );
}
