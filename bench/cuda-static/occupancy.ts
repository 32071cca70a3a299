/**
 * How many blocks of a kernel fit on a multiprocessor at one time, and what stops more. Registers are given to whole warps in
 * units of 256, from the quarter that runs the warp; shared memory in units of 128 bytes, 1 KiB of each block being the system's.
 */
import type { Architecture } from './gpus.ts';

export interface Launchable {
  readonly threads: number;
  readonly registers: number;
  /** Bytes, static and dynamic. */
  readonly shared: number;
}

export interface Occupancy {
  readonly blocks: number;
  /** Warps that run, of those that a multiprocessor can hold. */
  readonly share: number;
  readonly limit: 'registers' | 'shared memory' | 'warps' | 'blocks';
}

const WARP = 32;
const QUARTERS = 4;
const REGISTERS = 65536;
const REGISTER_UNIT = 256;
const SHARED_UNIT = 128;
const SHARED_RESERVED = 1024;

const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;

export function occupancy(kernel: Launchable, architecture: Architecture): Occupancy {
  const warps = Math.ceil(kernel.threads / WARP);
  const registersOfWarp = roundUp(kernel.registers * WARP, REGISTER_UNIT);
  const warpsByRegisters = Math.floor(REGISTERS / QUARTERS / registersOfWarp) * QUARTERS;
  const shared = roundUp(kernel.shared + SHARED_RESERVED, SHARED_UNIT);
  const limits: [Occupancy['limit'], number][] = [
    ['registers', Math.floor(warpsByRegisters / warps)],
    [
      'shared memory',
      kernel.shared > architecture.sharedOfBlock ? 0 : Math.floor(architecture.shared / shared),
    ],
    ['warps', Math.floor(architecture.warps / warps)],
    ['blocks', architecture.blocks],
  ];
  const [limit, blocks] = limits.reduce((least, one) => (one[1] < least[1] ? one : least));
  return { blocks, share: (blocks * warps) / architecture.warps, limit };
}
