/**
 * Estimates from repeated attempts, and how sure they are: mean@k, pass@k, averages over tasks, bootstrap intervals.
 *
 * A question is the unit of everything: attempts at one question are averaged first, and questions are what is resampled,
 * since attempts at one question are not independent. Intervals are percentiles of the bootstrap (Efron 1979) with questions
 * drawn anew within each task; their random numbers are those of lib/tasks/random.ts, so the same counts give the same interval.
 */
import { createHash } from 'node:crypto';
import { createRandom } from '../tasks/random.ts';

/** Attempts at one question: `attempts` made, `right` of them right. */
export interface Counts {
  readonly attempts: number;
  readonly right: number;
}

/** An estimate with the bounds of its bootstrap interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Questions that it rests on. */
  readonly questions: number;
}

export interface BootstrapOptions {
  readonly seed: number;
  /** Resamples; more of them make the bounds smoother, not narrower. Default 2000. */
  readonly resamples?: number;
  /** Share of resamples between the bounds. Default 0.95. */
  readonly level?: number;
  /** Tells the random numbers of one estimate from another's. */
  readonly label?: string;
}

/** Mean of a list; NaN when it is empty. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Standard deviation with n - 1; 0 for a single value. */
export function sampleDeviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** Share of right attempts; over all questions its mean is mean@k with k attempts each. */
export function shareRight({ attempts, right }: Counts): number {
  return right / attempts;
}

/**
 * Unbiased estimate of the chance that at least one of `k` attempts is right: 1 - C(n - c, k) / C(n, k) for c of n right
 * (Chen et al. 2021, eq. 1), as a product, so that no binomial overflows. RangeError when fewer than k attempts were made.
 */
export function passAtK({ attempts, right }: Counts, k: number): number {
  if (!(Number.isInteger(k) && k >= 1 && k <= attempts)) {
    throw new RangeError(`pass@k: expected k from 1 to the ${attempts} attempts made, found ${k}`);
  }
  if (attempts - right < k) return 1;
  let none = 1;
  for (let i = 0; i < k; i++) none *= (attempts - right - i) / (attempts - i);
  return 1 - none;
}

/**
 * Mean over groups (tasks) of the mean over each group's values (one per question), with a percentile bootstrap in which the
 * values of every group are drawn anew with replacement. One group: a plain mean. Empty groups count for nothing.
 */
export function macroMean(groups: readonly (readonly number[])[], options: BootstrapOptions): Estimate {
  const { seed, resamples = 2000, level = 0.95, label = '' } = options;
  const filled = groups.filter((group) => group.length > 0);
  const questions = filled.reduce((sum, group) => sum + group.length, 0);
  if (questions === 0) {
    return { value: Number.NaN, low: Number.NaN, high: Number.NaN, questions: 0 };
  }
  if (!(Number.isInteger(resamples) && resamples >= 1)) {
    throw new RangeError(`bootstrap: expected 1 or more resamples, found ${resamples}`);
  }
  if (!(level > 0 && level < 1))
    throw new RangeError(`bootstrap: expected a level in (0, 1), found ${level}`);
  const random = createRandom(seed, [
    0x626f_6f74,
    createHash('sha256').update(label).digest().readUInt32BE(0),
  ]);
  const drawn = Array.from({ length: resamples }, () => {
    let total = 0;
    for (const group of filled) {
      let sum = 0;
      for (let i = 0; i < group.length; i++) sum += group[random.integer(0, group.length - 1)]!;
      total += sum / group.length;
    }
    return total / filled.length;
  }).sort((a, b) => a - b);
  const outside = (1 - level) / 2;
  return {
    value: mean(filled.map(mean)),
    low: percentile(drawn, outside),
    high: percentile(drawn, 1 - outside),
    questions,
  };
}

/** The value below which `share` of a sorted list lies, linear between neighbours (type 7 of Hyndman and Fan). */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) throw new RangeError('percentile: expected at least one value, found none');
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low === high ? low : low + (at - below) * (high - low);
}
