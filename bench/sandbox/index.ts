/**
 * `npm run bench -- --sandbox`: our sandbox beside the ways in which programs are commonly run. Each table has the goal that was set
 * before, and whether it was reached. Eight minutes, of which throughput takes four.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { defaultThreads } from '../../lib/model/threads.ts';
import { describeMachine } from '../machine.ts';
import { table } from '../peers/tables.ts';
import { machineLines } from '../report.ts';
import { Ballast, residentLine } from './ballast.ts';
import { latencyHeader, latencyRows, measureLatency } from './latency.ts';
import { loopHeader, measureRunnersLoop, runnerLoopRows } from './loop.ts';
import { measureMemory, memoryHeader, memoryRows } from './memory.ts';
import { openRunners, programs, small } from './runners.ts';
import { measureThroughput, throughputHeader, throughputRows } from './throughput.ts';

export const usage = `npm run bench -- --sandbox [part …] [options]

  part             throughput: programs per second, two at a time
                   latency: an empty program, one at a time
                   memory: of an idle session
                   loop: how late the event loop is meanwhile
                   (default: all)
  --resident LIST  MiB of memory that are added to this process, in rising order: everything is measured at the first, the small
                   program and latency at each, the loop at the last (default 0,2048)
  --sessions N     idle sessions (default 32)
  --quick          fewer and shorter rounds: to see that it works
  --json FILE      also write the numbers
`;

const partNames = ['throughput', 'latency', 'memory', 'loop'] as const;

export function readOptions(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      sandbox: { type: 'boolean' },
      resident: { type: 'string', default: '0,2048' },
      sessions: { type: 'string', default: '32' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.find((name) => !partNames.some((part) => part === name));
  if (unknown !== undefined)
    throw new RangeError(`expected parts of ${partNames.join(', ')} but received ${unknown}`);
  const parts = partNames.filter((part) => positionals.length === 0 || positionals.includes(part));
  const resident = values.resident.split(',').map(Number);
  if (!resident.every((mib, i) => Number.isInteger(mib) && mib >= 0 && (i === 0 || mib > resident[i - 1]!)))
    throw new RangeError(`--resident: expected MiB in rising order, found ${values.resident}`);
  const sessions = Number(values.sessions);
  if (!Number.isInteger(sessions) || sessions < 1 || sessions > 1000)
    throw new RangeError(`--sessions: expected an integer from 1 to 1000, found ${values.sessions}`);
  return { ...values, parts, resident, sessions };
}

/** To standard error: the tables are what is kept. */
const tell = (text: string) => process.stderr.write(`${text}\n`);

const PEAK_RUNS = 10;

export async function main(args: readonly string[]): Promise<number> {
  const { parts, resident, sessions, quick, json, help } = readOptions(args);
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const machine = await describeMachine(defaultThreads(), quick ? 1 : PEAK_RUNS);
  process.stdout.write(`${machineLines(machine)}\n`);
  const found: Record<string, unknown> = {};
  const print = (part: string, results: unknown, text: string) => {
    found[part] = results;
    process.stdout.write(`\n## ${part}\n\n${text}\n`);
    // After each part: a run that is ended early has what it found.
    if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine, ...found }, null, 2)}\n`);
  };
  await using runners = await openRunners(); // before the memory is taken, as a trainer does it
  const { interpreter, all } = runners;
  process.stdout.write(
    `Python ${interpreter.version} with ${interpreter.modules.join(', ') || 'no package'}\n`,
  );
  const fitting = programs.filter(({ needs }) => needs === null || interpreter.modules.includes(needs));
  const missing = programs.filter((program) => !fitting.includes(program));
  for (const line of [
    ...runners.absent,
    ...missing.map(({ name }) => `${name}: this Python does not have it`),
  ])
    process.stdout.write(`NOT MEASURED: ${line}\n`);

  if (parts.includes('memory')) {
    tell('memory …');
    const results = [await measureMemory(interpreter, [], sessions)];
    if (interpreter.modules.length > 0)
      results.push(await measureMemory(interpreter, interpreter.modules, sessions));
    print('memory', results, `${results[0]!.level}\n\n${table(memoryHeader, memoryRows(results))}`);
  }
  const ballast = new Ballast();
  for (const mib of resident) {
    ballast.grow(mib);
    process.stdout.write(`\nwith ${mib} MiB added this process has ${residentLine()}\n`);
    if (parts.includes('throughput')) {
      for (const program of mib === resident[0] ? fitting : [small]) {
        tell(`throughput, ${program.name}, ${mib} MiB …`);
        const seconds = (quick ? 0.2 : 1.5) * (program === small ? 1 : 2);
        const results = await measureThroughput(all, program, mib, quick ? 1 : 5, seconds);
        print(
          `throughput, ${program.name}, ${mib} MiB`,
          results,
          table(throughputHeader, throughputRows(results)),
        );
      }
    }
    if (parts.includes('latency')) {
      tell(`latency, ${mib} MiB …`);
      const results = await measureLatency(all, mib, quick ? 1 : 5, quick ? 5 : 100);
      print(`latency, ${mib} MiB`, results, table(latencyHeader, latencyRows(results)));
    }
  }
  if (parts.includes('loop')) {
    tell('loop …');
    const results = await measureRunnersLoop(all, quick ? 1 : 5, quick ? 0.5 : 2);
    const text = `This process: ${residentLine()}\n\n${table(loopHeader, runnerLoopRows(results))}`;
    print('loop', results, text);
  }
  return 0;
}
