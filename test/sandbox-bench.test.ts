/** The bench of the sandbox: every part runs, answers are compared, and a goal that is missed is called so. */
import test from 'ava';
import { Ballast, residentLine, rollup } from '../bench/sandbox/ballast.ts';
import { readOptions } from '../bench/sandbox/index.ts';
import { latencyHeader, latencyRows, measureLatency } from '../bench/sandbox/latency.ts';
import { loopHeader, measureRunnersLoop, runnerLoopRows } from '../bench/sandbox/loop.ts';
import { measureMemory, memoryHeader, memoryRows } from '../bench/sandbox/memory.ts';
import {
  checked,
  openRunners,
  programs,
  type Runner,
  type Runners,
  small,
} from '../bench/sandbox/runners.ts';
import {
  inTurn,
  measureThroughput,
  type ThroughputResult,
  throughputHeader,
  throughputRows,
} from '../bench/sandbox/throughput.ts';

let runners: Runners;
test.before(async () => {
  runners = await openRunners();
});
test.after.always(async () => runners?.[Symbol.asyncDispose]());

test('parts and sizes are read, and what is not one is refused', (t) => {
  t.deepEqual(readOptions(['--sandbox', 'loop', 'memory']).parts, ['memory', 'loop']);
  t.is(readOptions(['--sandbox']).parts.length, 4);
  t.deepEqual(readOptions(['--sandbox', '--resident', '0,64']).resident, [0, 64]);
  for (const bad of [['speed'], ['--resident', '64,0'], ['--resident', 'x'], ['--sessions', '0']])
    t.throws(() => readOptions(['--sandbox', ...bad]), { instanceOf: RangeError });
});

test('a goal that is missed is called so, and the order changes with the round', (t) => {
  const one = (ratio: number, goal: number | null): ThroughputResult => ({
    ...{ program: 'small', residentMib: 64, runner: 'r', rates: [10], goal },
    ratio: { runs: 1, median: ratio, p10: ratio, p90: ratio },
  });
  const last = throughputRows([one(2.9, 3), one(3, 3), one(3, null)]).map((row) => row.at(-1));
  t.deepEqual(last, ['NOT REACHED', 'reached', '']);
  t.deepEqual(
    [inTurn([1, 2, 3], 0), inTurn([1, 2, 3], 1)],
    [
      [1, 2, 3],
      [2, 3, 1],
    ],
  );
});

test('a wrong answer is an error', async (t) => {
  const wrong: Runner = { name: 'wrong', goals: {}, run: async () => '1\n' };
  await t.throwsAsync(checked(wrong, small, 0), {
    message: /^wrong: expected "332833500\\n", found "1\\n"$/,
  });
});

test.serial('every runner gives the right answers, at a rate and in a time', async (t) => {
  t.timeout(120_000);
  for (const line of runners.absent) t.log(`not measured: ${line}`);
  t.is(runners.all[0]!.name, 'spawn python3 -I');
  t.true(runners.all.some(({ name }) => name.startsWith('ours')));
  const { modules } = runners.interpreter;
  for (const program of programs.filter(({ needs }) => needs === null || modules.includes(needs))) {
    const results = await measureThroughput(runners.all, program, 0, 1, 0.01);
    for (const { rates, ratio, runner } of results) {
      t.true(rates.length === 1 && rates[0]! > 0, runner);
      t.is(ratio === null, runner === runners.all[0]!.name);
    }
    for (const row of throughputRows(results)) t.is(row.length, throughputHeader.length);
  }
  const latency = await measureLatency(runners.all, 0, 1, 2);
  for (const { seconds } of latency) t.true(seconds.length === 2 && Math.min(...seconds) > 0.0001);
  for (const row of latencyRows(latency)) t.is(row.length, latencyHeader.length);
});

test.serial(
  'the event loop is watched under every runner, in a process that can be made larger',
  async (t) => {
    const before = process.memoryUsage().arrayBuffers;
    const ballast = new Ballast(); // kept: what nothing refers to may be taken back at once
    ballast.grow(64);
    t.true(process.memoryUsage().arrayBuffers - before >= 64 * 2 ** 20, residentLine());
    t.true(rollup('self', 'Rss') >= 64 * 2 ** 20, residentLine());
    const results = await measureRunnersLoop(runners.all, 1, 0.2);
    t.is(results.length, 1 + runners.all.length);
    for (const { load, rate, max } of results) {
      t.true(load === 'nothing runs' ? rate === null : rate! > 0, load);
      t.true(max[0]! >= 0.5, load);
    }
    for (const row of runnerLoopRows(results)) t.is(row.length, loopHeader.length);
    ballast.grow(64); // holds it until here
  },
);

test.serial('memory is that of the processes of sessions', async (t) => {
  const result = await measureMemory(runners.interpreter, [], 3);
  t.true(result.processes >= 3 && result.processes % 3 === 0, `${result.processes}`);
  for (const bytes of [result.privateDirty, result.pss, result.pageTables])
    t.true(bytes > 10_000 && bytes < 50 * 2 ** 20, `${bytes}`);
  t.true(result.privateDirty < result.templateResident);
  for (const row of memoryRows([result])) t.is(row.length, memoryHeader.length);
});
