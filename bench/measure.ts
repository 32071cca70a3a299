/**
 * Repeating a piece of work and summing up what was measured. Seconds throughout; warm-up runs are not counted. The number of
 * runs follows from the time one takes: at least `least`, more while the case's budget lasts.
 */

/** How long a case may take and how many runs it gets. */
export interface Effort {
  /** Runs of a case that fits its budget; slow cases get fewer, `fewest` at the least. */
  readonly least: number;
  readonly fewest: number;
  readonly most: number;
  /** Seconds for one case, warm-up not counted; a case goes on to `least` runs within four times this. */
  readonly budget: number;
  /** When the whole bench should be over, on performance.now()'s clock: a case that runs then stops after its run. */
  readonly deadline: number;
}

export interface Summary {
  readonly runs: number;
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

/** Linear interpolation between order statistics. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('quantile: expected at least one value, found none');
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - low);
}

export function summarise(seconds: readonly number[]): Summary {
  return {
    runs: seconds.length,
    median: quantile(seconds, 0.5),
    p10: quantile(seconds, 0.1),
    p90: quantile(seconds, 0.9),
  };
}

/** Runs `once` (which gives the seconds that count) until the effort is spent; run -1 is the warm-up. */
export async function repeat(once: (run: number) => Promise<number>, effort: Effort): Promise<Summary> {
  await once(-1);
  const seconds: number[] = [];
  const start = performance.now();
  while (seconds.length < effort.most) {
    const spent = (performance.now() - start) / 1000;
    if (seconds.length > 0 && performance.now() > effort.deadline) break;
    if (seconds.length >= effort.least && spent > effort.budget) break;
    if (seconds.length >= effort.fewest && spent > 4 * effort.budget) break;
    seconds.push(await once(seconds.length));
  }
  return summarise(seconds);
}

/** Seconds of wall clock that `work` takes. */
export async function wallSeconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
