/**
 * `npm run bench -- --loop`: whether the engine leaves room for the event loop and for programs, and how fast its threads are
 * there when they are wanted. Two minutes, builds not counted.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultThreads, positiveInteger } from '../../lib/model/threads.ts';
import { call, root } from '../cuda-static/tools.ts';
import { describeMachine } from '../machine.ts';
import { table } from '../peers/tables.ts';
import { machineLines } from '../report.ts';
import { loopHeader, loopRows, measureLoop } from './events.ts';
import { openLoads } from './loads.ts';
import { poolTable, readPoolRows } from './pool.ts';
import { measurePrograms, programTable } from './programs.ts';

export const usage = `npm run bench -- --loop [part …] [options]

  part           pool: the threads of the kernels: how fast a job starts, what they use while they wait (builds pool_bench)
                 events: how late the event loop is while the engine works
                 programs: how fast python3 starts and computes meanwhile
                 (default: all)
  --threads N    threads of the engine (default TOOLGRAD_THREADS, else all processors)
  --quick        fewer and shorter rounds: to see that it works
  --json FILE    also write the numbers
`;

const partNames = ['pool', 'events', 'programs'] as const;

export function readOptions(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      loop: { type: 'boolean' },
      threads: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.find((name) => !partNames.some((part) => part === name));
  if (unknown !== undefined)
    throw new RangeError(`expected parts of ${partNames.join(', ')} but received ${unknown}`);
  const parts = partNames.filter((part) => positionals.length === 0 || positionals.includes(part));
  const threads =
    values.threads === undefined ? defaultThreads() : positiveInteger(Number(values.threads), '--threads');
  return { ...values, parts, threads };
}

/** To standard error: the tables are what is kept. */
const tell = (text: string) => process.stderr.write(`${text}\n`);

function poolBench(threads: number, quick: boolean): string {
  const folder = join(root, 'build-bench');
  tell('building pool_bench …');
  call('cmake', [
    ...['-S', '.', '-B', folder, '-DTOOLGRAD_TESTS=OFF', '-DTOOLGRAD_BENCH=ON', '-DTOOLGRAD_CUDA=OFF'],
  ]);
  call('cmake', ['--build', folder, '-j', '--target', 'pool_bench']);
  tell('pool …');
  return call(join(folder, 'pool_bench'), [String(threads), 'json', quick ? '40' : '400']);
}

const PEAK_RUNS = 10;

export async function main(args: readonly string[]): Promise<number> {
  const { parts, threads, quick, json, help } = readOptions(args);
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const machine = await describeMachine(threads, PEAK_RUNS);
  process.stdout.write(`${machineLines(machine)}\n`);
  const found: Record<string, unknown> = {};
  const print = (part: string, results: unknown, text: string) => {
    found[part] = results;
    process.stdout.write(`\n## ${part}\n\n${text}\n`);
    // After each part: a run that is ended early has what it found.
    if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine, ...found }, null, 2)}\n`);
  };
  if (parts.includes('pool')) {
    const rows = readPoolRows(poolBench(threads, quick));
    print('pool', rows, poolTable(rows));
  }
  if (parts.includes('events') || parts.includes('programs')) {
    await using loads = await openLoads(threads);
    if (parts.includes('events')) {
      tell('events …');
      const results = await measureLoop(loads.all, quick ? 1 : 3, quick ? 0.5 : 1.5);
      print('events', results, table(loopHeader, loopRows(results)));
    }
    if (parts.includes('programs')) {
      tell('programs …');
      const results = await measurePrograms(loads, quick ? 1 : 4, quick ? 2 : 8);
      const { header, rows } = programTable(results);
      print('programs', results, table(header, rows));
    }
  }
  return 0;
}
