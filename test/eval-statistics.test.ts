/** Estimators against brute force: every subset of attempts, every resample of questions. */
import test from 'ava';
import { macroMean, mean, passAtK, percentile, sampleDeviation } from '../lib/eval/statistics.ts';
import { countAttempts, sourceOf, summarise } from '../lib/eval/summary.ts';

/** All subsets of size k of 0 .. n - 1. */
function subsets(n: number, k: number, from = 0): number[][] {
  if (k === 0) return [[]];
  const found: number[][] = [];
  for (let first = from; first <= n - k; first++) {
    for (const rest of subsets(n, k - 1, first + 1)) found.push([first, ...rest]);
  }
  return found;
}

test('pass@k is the share of subsets of k attempts that hold a right one, for every count up to 9', (t) => {
  let worst = 0;
  let cases = 0;
  for (let attempts = 1; attempts <= 9; attempts++) {
    for (let right = 0; right <= attempts; right++) {
      for (let k = 1; k <= attempts; k++) {
        const all = subsets(attempts, k);
        const share = all.filter((chosen) => chosen.some((i) => i < right)).length / all.length;
        worst = Math.max(worst, Math.abs(passAtK({ attempts, right }, k) - share));
        cases += 1;
      }
    }
  }
  t.log(`${cases} cases, worst error ${worst}`);
  t.true(worst < 1e-14);
  const large = passAtK({ attempts: 1000, right: 1 }, 500);
  t.true(Math.abs(large - 0.5) < 1e-12, `no binomial overflows: ${large}`);
  t.throws(() => passAtK({ attempts: 4, right: 1 }, 5), {
    message: /k from 1 to the 4 attempts made, found 5/,
  });
  t.throws(() => passAtK({ attempts: 4, right: 1 }, 0), { instanceOf: RangeError });
});

/** Every resample of every group, each as likely as the others: the exact distribution of the statistic, sorted. */
function allResamples(groups: readonly (readonly number[])[]): number[] {
  const meansOf = (group: readonly number[]) => {
    let draws: number[][] = [[]];
    for (let i = 0; i < group.length; i++) draws = draws.flatMap((d) => group.map((value) => [...d, value]));
    return draws.map(mean);
  };
  let totals = [0];
  for (const group of groups) {
    const means = meansOf(group);
    totals = totals.flatMap((total) => means.map((value) => total + value));
  }
  return totals.map((total) => total / groups.length).sort((a, b) => a - b);
}

test('bootstrap bounds are the percentiles of all resamples, up to the noise of drawing them', (t) => {
  const cases = [
    [[0, 0.2, 0.4, 0.9, 1]],
    [
      [0, 1, 1],
      [0.5, 0.25, 1, 0],
    ],
    [[0, 0, 0, 0, 0, 1]],
  ];
  for (const groups of cases) {
    const exact = allResamples(groups);
    for (const level of [0.5, 0.8, 0.95]) {
      const found = macroMean(groups, { seed: 5, resamples: 20_000, level });
      const outside = (1 - level) / 2;
      // 4 standard errors of an empirical share around the wanted one.
      const noise = 4 * Math.sqrt((outside * (1 - outside)) / 20_000);
      const between = (share: number) => [
        percentile(exact, Math.max(0, share - noise)),
        percentile(exact, Math.min(1, share + noise)),
      ];
      const [lowFrom, lowTo] = between(outside);
      const [highFrom, highTo] = between(1 - outside);
      t.log(
        `${JSON.stringify(groups)} level ${level}: [${found.low.toFixed(4)}, ${found.high.toFixed(4)}], exact ` +
          `[${percentile(exact, outside).toFixed(4)}, ${percentile(exact, 1 - outside).toFixed(4)}] of ${exact.length}`,
      );
      t.true(found.low >= lowFrom! - 1e-12 && found.low <= lowTo! + 1e-12);
      t.true(found.high >= highFrom! - 1e-12 && found.high <= highTo! + 1e-12);
    }
  }
});

test('the spread of the bootstrap is that of the formula, and the same seed gives the same bounds', (t) => {
  const values = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? 1 : 0));
  const deviation = Math.sqrt(((1 / 3) * (2 / 3)) / 60);
  const found = macroMean([values], { seed: 1 });
  const width = (found.high - found.low) / 2 / 1.96;
  t.log(`half width / 1.96: ${width.toFixed(4)}, formula ${deviation.toFixed(4)}`);
  t.true(Math.abs(width - deviation) < 0.1 * deviation);
  const uneven = Array.from({ length: 60 }, (_, i) => Math.sqrt(i));
  const first = macroMean([uneven], { seed: 1 });
  t.deepEqual(macroMean([uneven], { seed: 1 }), first);
  t.notDeepEqual(macroMean([uneven], { seed: 2 }), first);
  t.notDeepEqual(macroMean([uneven], { seed: 1, label: 'other' }), first);
  t.deepEqual(macroMean([[1, 1, 1]], { seed: 1 }), { value: 1, low: 1, high: 1, questions: 3 });
  t.true(Number.isNaN(macroMean([], { seed: 1 }).value));
  t.throws(() => macroMean([[1]], { seed: 1, level: 1 }), { message: /level in \(0, 1\)/ });
  t.throws(() => macroMean([[1]], { seed: 1, resamples: 0 }), { message: /1 or more resamples/ });
});

test('percentiles and deviations by hand', (t) => {
  t.is(percentile([1, 2, 3, 4], 0), 1);
  t.is(percentile([1, 2, 3, 4], 1), 4);
  t.is(percentile([1, 2, 3, 4], 0.5), 2.5);
  t.is(percentile([1, 2, 3, 4], 0.25), 1.75);
  t.is(percentile([7], 0.9), 7);
  t.throws(() => percentile([], 0.5), { instanceOf: RangeError });
  t.is(sampleDeviation([1, 2, 3, 4]), Math.sqrt(5 / 3));
  t.is(sampleDeviation([3]), 0);
});

test('a summary averages over questions, tasks and sources as counted by hand', (t) => {
  const attempt = (task: string, question: string, rights: string) =>
    [...rights].map((mark) => ({ task, question, right: mark === '+' }));
  const counts = countAttempts([
    ...attempt('bbh/navigate', 'a', '++--'),
    ...attempt('bbh/navigate', 'b', '----'),
    ...attempt('bbh/snarks', 'a', '++++'),
    ...attempt('symbench/game24', 'c', '+---'),
    ...attempt('gcd', 'd', '+++'), // one attempt was lost
  ]);
  const summary = summarise(counts, { seed: 3, resamples: 200 });
  t.is(summary.attempts, 19);
  t.is(summary.questions, 5);
  t.is(summary.samples, 3);
  const task = (name: string) => summary.tasks.find((entry) => entry.task === name)!;
  t.is(task('bbh/navigate').mean.value, 0.25);
  t.is(task('bbh/snarks').mean.value, 1);
  t.is(summary.macro.mean.value, (0.25 + 1 + 0.25 + 1) / 4);
  t.is(summary.all.mean.value, (0.5 + 0 + 1 + 0.25 + 1) / 5);
  t.deepEqual(
    summary.sources.map(({ source, tasks, mean: { value } }) => [source, tasks, value]),
    [
      ['bbh', 2, 0.625],
      ['other', 1, 1],
      ['symbench', 1, 0.25],
    ],
  );
  // Of the six pairs of ++-- one holds no right attempt; of +--- three do.
  t.deepEqual(Object.keys(summary.macro.pass), ['2', '4']);
  t.is(task('bbh/navigate').pass['2']!.value, 5 / 6 / 2);
  t.is(task('symbench/game24').pass['2']!.value, 0.5);
  t.is(task('gcd').pass['4']!.questions, 0, 'three attempts say nothing about pass@4');
  t.true(
    summary.macro.mean.low <= summary.macro.mean.value && summary.macro.mean.high >= summary.macro.mean.value,
  );
  t.throws(() => summarise(counts, { seed: 0, ks: [8] }), { message: /k from 1 to the 4 attempts/ });
  t.throws(() => summarise([], { seed: 0 }), { message: /found none/ });
  t.is(sourceOf('reasoning-gym/gcd'), 'reasoning-gym');
});
