/** The bench measures what it says: order statistics, the peak that bounds a case, and a run of one case. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import type { Case } from '../bench/case.ts';
import { quantile, repeat, summarise } from '../bench/measure.ts';
import { markdown, type Result, time, toResult } from '../bench/report.ts';
import { packageRoot } from '../lib/package.ts';

test('median and percentiles lie between order statistics', (t) => {
  t.is(quantile([3, 1, 2], 0.5), 2);
  t.is(quantile([4, 1, 2, 3], 0.5), 2.5);
  t.is(quantile([5], 0.9), 5);
  t.deepEqual(summarise([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), { runs: 11, median: 6, p10: 2, p90: 10 });
  t.throws(() => quantile([], 0.5), { message: /at least one value/ });
});

test('the warm-up is not counted, and slow cases get fewer runs', async (t) => {
  const seen: number[] = [];
  const once = async (run: number) => {
    seen.push(run);
    return run;
  };
  const counted = await repeat(once, {
    least: 3,
    fewest: 2,
    most: 3,
    budget: 10,
    deadline: Number.POSITIVE_INFINITY,
  });
  t.deepEqual(seen, [-1, 0, 1, 2]);
  t.deepEqual(counted, { runs: 3, median: 1, p10: 0.2, p90: 1.8 });
  const slow = async () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 20));
  t.is(
    (
      await repeat(slow, {
        least: 10,
        fewest: 2,
        most: 20,
        budget: 0.001,
        deadline: Number.POSITIVE_INFINITY,
      })
    ).runs,
    2,
  );
  t.is((await repeat(slow, { least: 10, fewest: 5, most: 20, budget: 10, deadline: 0 })).runs, 1);
});

test('a case is held against the peak that bounds it', (t) => {
  const peaks = { flops: 100e9, bf16Flops: 200e9, read: 10e9 };
  const summary = { runs: 10, median: 0.1, p10: 0.09, p90: 0.2 };
  const item = (flops: number, bytes: number): Case => ({
    name: 'gemm',
    size: 'M 1',
    flops,
    bytes,
    tokens: 5,
    prepare: () => Promise.reject(new Error('not run')),
  });
  const compute = toResult(item(5e9, 0.1e9), summary, peaks);
  t.like(compute, { bound: 'compute', rate: 5e10, share: 0.5, tokensPerSecond: 50 });
  const bf16 = toResult({ ...item(5e9, 0.1e9), products: 'bfloat16' }, summary, peaks);
  t.like(bf16, { bound: 'compute', rate: 5e10, share: 0.25 });
  const memory = toResult(item(1e9, 0.2e9), summary, peaks);
  t.like(memory, { bound: 'memory', rate: 2e9 });
  t.true(Math.abs(memory.share! - 0.2) < 1e-12);
  t.is(
    markdown([compute as Result])
      .split('\n')
      .at(-1),
    '| gemm | M 1  | 10   | 100 ms | 90.0 ms – 200 ms | 50.0 GFLOP/s | 50 %    | 50.0 tok/s |',
  );
  t.deepEqual([time(2), time(0.00123), time(4.5e-6)], ['2.00 s', '1.23 ms', '4.50 µs']);
});

test('the program runs one case and prints it with the machine and its peaks', (t) => {
  const bench = (...args: string[]) =>
    spawnSync(process.execPath, ['--import=tsx', join(packageRoot, 'bench', 'index.ts'), ...args], {
      encoding: 'utf8',
    });
  const { stdout, stderr, status } = bench('gemm forward', '--quick', '--json', '--threads', '1');
  t.is(status, 0, stderr);
  const { machine, results } = JSON.parse(stdout);
  t.true(machine.peaks.flops > 1e8 && machine.peaks.read > 1e8);
  t.is(machine.threads, 1);
  t.deepEqual(
    results.map(({ name, size }: Result) => `${name}, ${size}`),
    ['gemm forward, M 1, 256 → 768', 'gemm forward, M 64, 256 → 768'],
  );
  for (const { runs, p10, median, p90, share } of results as Result[]) {
    t.true(runs >= 3 && 0 < p10 && p10 <= median && median <= p90 && share! > 0);
  }
  const wrong = bench('no such case');
  t.is(wrong.status, 2);
  t.regex(wrong.stderr, /no case contains no such case/);
});
