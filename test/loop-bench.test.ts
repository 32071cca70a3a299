/** The bench of event loop and programs: it sees a loop that is held up, and its loads do what they are named after. */
import test from 'ava';
import { loopHeader, loopRows, measureLoop } from '../bench/loop/events.ts';
import { readOptions } from '../bench/loop/index.ts';
import { type Load, openLoads } from '../bench/loop/loads.ts';
import { poolTable, readPoolRows } from '../bench/loop/pool.ts';
import { measurePrograms, programTable } from '../bench/loop/programs.ts';

test('parts are chosen by name, all without one, and an unknown one is refused', (t) => {
  t.deepEqual(readOptions(['--loop', 'programs', 'pool', '--threads', '3']).parts, ['pool', 'programs']);
  t.deepEqual(readOptions(['--loop']).parts, ['pool', 'events', 'programs']);
  t.is(readOptions(['--loop', '--threads', '3']).threads, 3);
  t.throws(() => readOptions(['--loop', 'event']), { instanceOf: RangeError, message: /received event/ });
  t.throws(() => readOptions(['--loop', '--threads', '0']));
});

test('rows of pool_bench become one table, and none is an error', (t) => {
  const row = { part: 'start', what: 'returns', unit: 'us', p10: 1, median: 2, p90: 300, p99: 4000 };
  const lines = [row, { ...row, what: 'all run' }, { ...row, part: 'idle' }].map((one) =>
    JSON.stringify(one),
  );
  const rows = readPoolRows(`${lines.join('\n')}\n`);
  t.is(rows.length, 3);
  t.deepEqual(poolTable(rows).split('\n').slice(2), [
    '| start | returns | us | 2.00 | 1.00 – 300 | 4000 |',
    '|  | all run | us | 2.00 | 1.00 – 300 | 4000 |',
    '| idle | returns | us | 2.00 | 1.00 – 300 | 4000 |',
  ]);
  t.throws(() => readPoolRows('\n'), { message: /printed none/ });
});

/** Holds the loop up for 80 ms, ten times a second. */
const holding: Load = {
  name: 'holds the loop up',
  unit: 'times/s',
  start() {
    let count = 0;
    const timer = setInterval(() => {
      for (const until = performance.now() + 80; performance.now() < until; );
      count += 1;
    }, 100);
    return {
      async stop() {
        clearInterval(timer);
        return { count, waited: 0 };
      },
    };
  },
};

test.serial('a loop that is held up is seen', async (t) => {
  const [held] = await measureLoop([holding], 2, 0.5);
  t.is(held!.max.length, 2);
  t.true(Math.min(...held!.max) >= 79 && held!.busy > 0.4 && held!.rate! > 1);
  t.is(loopRows([held!])[0]!.length, loopHeader.length);
});

test.serial(
  'every load works while it runs, and a rollout whose programs sleep waits for them',
  async (t) => {
    t.timeout(120_000);
    await using loads = await openLoads(2);
    const results = await measureLoop(loads.all, 1, 1.5);
    for (const { load, unit, rate, p50, max } of results) {
      t.true(unit === null ? rate === null : rate! > 0, load);
      t.true(p50[0]! > 0.5 && max[0]! >= p50[0]!, load);
    }
    const waits = results.filter(({ load }) => load === 'rollout, tools sleep');
    t.true(waits.length === 1 && waits[0]!.waited > 0.05 && waits[0]!.waited <= 1, `${waits[0]!.waited}`);

    const programs = await measurePrograms(loads, 1, 1);
    t.deepEqual(
      programs.map(({ load }) => load),
      ['nothing runs', 'rollout, tools sleep', 'decodes, batch 8', 'trains, 4 × 128 tokens'],
    );
    t.is(programs[0]!.speed[0]!.share.median, 1);
    for (const { start, speed } of programs) t.true(start.median > 0.001 && speed[0]!.share.median > 0);
    const { header, rows } = programTable(programs);
    for (const row of rows) t.is(row.length, header.length);
  },
);
