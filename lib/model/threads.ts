/** How many threads the kernels use. The number never changes a bit of a result. */
import { availableParallelism } from 'node:os';

/** Throws TypeError or RangeError unless `value` is an integer of 1 or more. */
export function positiveInteger(value: unknown, name: string): number {
  const received = `but received ${String(value)} of type ${typeof value}`;
  if (typeof value !== 'number') throw new TypeError(`Expected positive integer for ${name} ${received}`);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`Expected positive integer for ${name} ${received}`);
  return value;
}

/** The number of kernel threads when none is asked for: TOOLGRAD_THREADS, else the processors available. */
export function defaultThreads(): number {
  const text = process.env.TOOLGRAD_THREADS;
  if (text === undefined || text === '') return availableParallelism();
  return positiveInteger(/^\d+$/.test(text) ? Number(text) : Number.NaN, 'the variable TOOLGRAD_THREADS');
}
