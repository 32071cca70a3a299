/** The cases run once on the simulated device, in small sizes: what they ask of memory and of the tensor cores, exactly. */
import { FLOPS_PER_MMA } from './gpus.ts';
import type { PlannedCase } from './roofline.ts';
import { cudaBench, simulatedDriver } from './tools.ts';

interface Counters {
  readonly warp_instructions: number;
  readonly mma: number;
  readonly global_requests: number;
  readonly global_sectors: number;
  readonly global_bytes: number;
  readonly shared_requests: number;
  readonly shared_wavefronts: number;
}
interface Report {
  readonly kernels?: Readonly<Record<string, Counters>>;
}
interface CountedLine extends Omit<PlannedCase, 'launches'> {
  readonly before: Report;
  readonly after: Report;
}

export interface CountedCase extends Omit<PlannedCase, 'launches'> {
  /** By kernel, in alphabetical order. */
  readonly kernels: Readonly<Record<string, Counters>>;
  readonly total: Counters;
}

/** Head sizes 64 and 128; widths that are and are not multiples of the tiles. */
export const countedModels = ['tiny64:256,704,4,2,64,2000', 'tiny128:640,1408,4,1,128,32000'] as const;
export const SECTOR = 32;
const names = [
  ...['warp_instructions', 'mma', 'global_requests', 'global_sectors', 'global_bytes'],
  ...['shared_requests', 'shared_wavefronts'],
] as readonly (keyof Counters)[];

const combine = (a: Counters | undefined, b: Counters | undefined, sign: 1 | -1) =>
  Object.fromEntries(names.map((name) => [name, (a?.[name] ?? 0) + sign * (b?.[name] ?? 0)])) as Record<
    keyof Counters,
    number
  >;

export function countCases(models: readonly string[] = countedModels): CountedCase[] {
  const lines = cudaBench(['count', ...models], { TOOLGRAD_LIBCUDA: simulatedDriver }) as CountedLine[];
  return lines.map(({ before, after, ...item }) => {
    const kernels = Object.fromEntries(
      Object.entries(after.kernels ?? {})
        .map(([entry, counters]) => [entry, combine(counters, before.kernels?.[entry], -1)] as const)
        .filter(([, counters]) => counters.warp_instructions > 0),
    );
    const total = Object.values(kernels).reduce(
      (sum, one) => combine(sum, one, 1),
      combine(undefined, undefined, 1),
    );
    return { ...item, kernels, total };
  });
}

/** Bytes of the sectors that were asked for, of L2 or of memory, over those that the mathematics needs. */
export function requestedOverMinimum({ total, bytes }: CountedCase): number {
  return (total.global_sectors * SECTOR) / bytes;
}

/** Bytes used of those in the sectors asked for; lanes that read the same bytes may use them more than once. */
export function sectorUse({ total }: CountedCase): number {
  return Math.min(1, total.global_bytes / (total.global_sectors * SECTOR));
}

/** mma executed over those that the mathematics needs; null without any. */
export function mmaOverMinimum({ total, flops }: CountedCase): number | null {
  return total.mma === 0 ? null : (total.mma * FLOPS_PER_MMA) / flops;
}
