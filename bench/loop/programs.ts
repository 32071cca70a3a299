/**
 * What is left for programs while the engine works: how long an interpreter takes to start and end, and how fast a program
 * computes, under every load in turn.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile, type Summary, summarise } from '../measure.ts';
import { time } from '../report.ts';
import { computes, type Load, type Loads } from './loads.ts';

export interface ProgramResult {
  readonly load: string;
  /** Seconds from spawn to exit of `python3 -I -c pass`. */
  readonly start: Summary & { readonly p99: number };
  /** Seconds of a call of the Python tool with an empty program. */
  readonly call: Summary;
  /** Speed of a computing program against one that runs while nothing else does, in the same round; `programs` at once. */
  readonly speed: readonly { readonly programs: number; readonly share: Summary }[];
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function interpreter(python: string, args: readonly string[]): Promise<void> {
  const child = spawn(python, args, { stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${python} ${args.join(' ')} ended with ${code}`);
}

const WARM_UP_MS = 100;

/** `starts` starts and calls, and one computing program (then as many as there are cores), for each load and round. */
export async function measurePrograms(
  loads: Loads,
  rounds: number,
  starts: number,
): Promise<ProgramResult[]> {
  const { nothing, toolsSleep, decodes, trains, tool, python } = loads;
  const counts = [...new Set([1, availableParallelism()])];
  const all = [nothing, toolsSleep, decodes, trains].map((load: Load) => ({
    load,
    start: [] as number[],
    call: [] as number[],
    compute: counts.map(() => [] as number[]),
  }));
  const request = {
    callId: 'bench',
    code: 'pass',
    seconds: 20,
    memoryBytes: 2 ** 29,
    outputBytes: 4096,
    fileBytes: 2 ** 20,
  };
  for (let round = 0; round < rounds; round++) {
    for (const { load, start, call, compute } of all) {
      const running = load.start();
      await sleep(WARM_UP_MS);
      for (let i = 0; i < starts; i++) {
        start.push(await seconds(() => interpreter(python, ['-I', '-c', 'pass'])));
        // A rollout that waits has the tool's workers.
        if (load !== toolsSleep) call.push(await seconds(() => tool.run(request)));
      }
      for (const [i, programs] of counts.entries()) {
        const one = () => interpreter(python, ['-I', '-c', computes]);
        compute[i]!.push(await seconds(() => Promise.all(Array.from({ length: programs }, one))));
      }
      await running.stop();
    }
  }
  const [alone] = all;
  return all.map(({ load, start, call, compute }) => ({
    load: load.name,
    start: { ...summarise(start), p99: quantile(start, 0.99) },
    call: call.length === 0 ? { runs: 0, median: 0, p10: 0, p90: 0 } : summarise(call),
    speed: counts.map((programs, i) => ({
      programs,
      share: summarise(compute[i]!.map((value, round) => alone!.compute[0]![round]! / value)),
    })),
  }));
}

const range = ({ median, p10, p90 }: Summary, text: (value: number) => string) =>
  `${text(median)} (${text(p10)} – ${text(p90)})`;

export function programTable(results: readonly ProgramResult[]): { header: string[]; rows: string[][] } {
  const speeds = results[0]?.speed.map(({ programs }) => programs) ?? [];
  return {
    header: [
      'the engine',
      'python3 starts and ends',
      'p99',
      'call of the tool',
      ...speeds.map((programs) => (programs === 1 ? 'a program computes' : `${programs} programs, each`)),
    ],
    rows: results.map(({ load, start, call, speed }) => [
      load,
      range(start, time),
      time(start.p99),
      call.runs === 0 ? '' : range(call, time),
      ...speed.map(({ share }) => range(share, (value) => value.toFixed(2))),
    ]),
  };
}
