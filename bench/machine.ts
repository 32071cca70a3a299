/**
 * The machine of a bench: what it is, and what it can do at best, measured in the same run. The peaks are the best of several
 * runs of two small native loops (binding/cpu/kernels/probe.cc): multiply-adds in registers, and reading memory that is larger
 * than the caches. Kernels are held against them, not against a data sheet.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { native } from '../lib/native.ts';
import { describeEnvironment } from '../lib/run/environment.ts';

/** Best rates: floating-point operations (a multiply-add is two) and bytes read from memory, per second. */
export interface Peaks {
  readonly flops: number;
  /** Operations of products with bfloat16 weights. */
  readonly bf16Flops: number;
  readonly read: number;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly isa: string;
  readonly memoryBytes: number;
  readonly cacheBytes: number;
  readonly threads: number;
  readonly node: string;
  readonly system: string;
  readonly toolgrad: string;
  readonly commit: string | null;
  readonly date: string;
  /** Processes that wanted to run in the minute before the bench; near 0 on a quiet machine. */
  readonly load: number;
  /** With one thread, and with `threads`. */
  readonly single: Peaks;
  readonly peaks: Peaks;
}

const FALLBACK_CACHE = 32 << 20;

/** Bytes of the largest cache that Linux names; 32 MiB where it names none. */
export function lastLevelCache(): number {
  const folder = '/sys/devices/system/cpu/cpu0/cache';
  let largest = 0;
  try {
    for (const index of readdirSync(folder).filter((name) => name.startsWith('index'))) {
      const size = /^(\d+)([KM])/.exec(readFileSync(join(folder, index, 'size'), 'utf8'));
      if (size) largest = Math.max(largest, Number(size[1]) * (size[2] === 'M' ? 1 << 20 : 1 << 10));
    }
  } catch {
    return FALLBACK_CACHE; // not Linux, or a container that hides it: the size only chooses how much memory is rotated
  }
  return largest === 0 ? FALLBACK_CACHE : largest;
}

/** Whether instructions of the processor multiply bf16; false where the system does not tell. */
export function multipliesBf16(cpuinfo = '/proc/cpuinfo'): boolean {
  try {
    return /\b(avx512_bf16|amx_bf16)\b/.test(readFileSync(cpuinfo, 'utf8'));
  } catch {
    return false; // not Linux: it only chooses whether peers run in bf16, too
  }
}

/**
 * Both peaks on `threads` threads, the best of many short runs: on a machine that others use, too, a short run has the best
 * chance of being left alone.
 */
export async function measurePeaks(threads: number, runs: number): Promise<Peaks> {
  const bytes = Math.min(1 << 30, Math.max(1 << 27, 4 * lastLevelCache()));
  const { probe } = native().kernels;
  const flops = await probe({ kind: 'flops', threads, runs: 5 * runs, seconds: 0.004 });
  const read = await probe({ kind: 'read', threads, runs, bytes });
  const bf16 = await probe({ kind: 'bf16', threads, runs: 5 * runs, seconds: 0.004 });
  return { flops: Math.max(...flops), bf16Flops: Math.max(...bf16), read: Math.max(...read) };
}

/** The larger of two measurements, rate by rate. */
export function bestPeaks(a: Peaks, b: Peaks): Peaks {
  return {
    flops: Math.max(a.flops, b.flops),
    bf16Flops: Math.max(a.bf16Flops, b.bf16Flops),
    read: Math.max(a.read, b.read),
  };
}

export async function describeMachine(threads: number, runs: number): Promise<Machine> {
  const { cpu, cores, memoryBytes, node, system, toolgrad, commit } = describeEnvironment();
  return {
    cpu,
    cores,
    isa: native().isaInfo().chosen,
    memoryBytes,
    cacheBytes: lastLevelCache(),
    threads,
    node,
    system,
    toolgrad,
    commit,
    date: new Date().toISOString(),
    load: loadavg()[0] ?? 0,
    single: await measurePeaks(1, runs),
    peaks: await measurePeaks(threads, runs),
  };
}
