/**
 * How late the event loop is while the engine works: a timer of 1 ms (perf_hooks.monitorEventLoopDelay) is watched under every
 * load in turn. The histogram holds the time between two firings, so that 1 ms is no delay at all.
 */
import { existsSync, readFileSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../measure.ts';
import { count } from '../report.ts';
import type { Load } from './loads.ts';

/** What the loop did under one load, over all rounds; times in milliseconds. */
export interface LoopResult {
  readonly load: string;
  readonly rate: number | null;
  readonly unit: string | null;
  /** Of each round. */
  readonly p50: readonly number[];
  readonly p99: readonly number[];
  readonly max: readonly number[];
  /** Share of the time in which the loop ran JavaScript. */
  readonly busy: number;
  /** Share of the time in which its thread was ready to run but had no processor; null where the system does not tell. */
  readonly starved: number | null;
  /** Share of the time in which a rollout waited for nothing but tools. */
  readonly waited: number;
}

/** Seconds that the main thread has waited for a processor so far. */
function starvedSeconds(): number | null {
  const file = `/proc/self/task/${process.pid}/schedstat`;
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[1]) / 1e9 : null;
}

const WARM_UP_MS = 200;

/** Of the timer that is watched: what of a time between two firings is no delay. */
export const RESOLUTION_MS = 1;

/** Every load for `seconds` in each of `rounds` rounds. */
export async function measureLoop(
  loads: readonly Load[],
  rounds: number,
  seconds: number,
): Promise<LoopResult[]> {
  const all = loads.map((load) => ({
    load,
    p50: [] as number[],
    p99: [] as number[],
    max: [] as number[],
    sums: { seconds: 0, work: 0, worked: 0, busy: 0, starved: 0 as number | null, waited: 0 },
  }));
  for (let round = 0; round < rounds; round++) {
    for (const { load, p50, p99, max, sums } of all) {
      const started = performance.now();
      const running = load.start();
      await sleep(WARM_UP_MS);
      const monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      const [since, loop, starved] = [
        performance.now(),
        performance.eventLoopUtilization(),
        starvedSeconds(),
      ];
      monitor.enable();
      await sleep(seconds * 1000);
      monitor.disable();
      const now = starvedSeconds();
      sums.starved =
        sums.starved === null || now === null || starved === null ? null : sums.starved + now - starved;
      sums.busy += performance.eventLoopUtilization(loop).utilization * (performance.now() - since);
      sums.seconds += (performance.now() - since) / 1000;
      p50.push(monitor.percentile(50) / 1e6);
      p99.push(monitor.percentile(99) / 1e6);
      max.push(monitor.max / 1e6);
      const done = await running.stop();
      sums.work += done.count;
      sums.waited += done.waited;
      sums.worked += (performance.now() - started) / 1000;
    }
  }
  return all.map(({ load, p50, p99, max, sums }) => ({
    load: load.name,
    unit: load.unit,
    rate: load.unit === null ? null : sums.work / sums.worked,
    ...{ p50, p99, max },
    busy: sums.busy / 1000 / sums.seconds,
    starved: sums.starved === null ? null : sums.starved / sums.seconds,
    waited: sums.waited / sums.worked,
  }));
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

export const loopHeader = [
  'the engine',
  'work',
  'p50',
  'p99',
  'longest, by round',
  'loop runs',
  'loop wants a core',
  'waits for tools only',
];

export function loopRows(results: readonly LoopResult[]): string[][] {
  return results.map(({ load, rate, unit, p50, p99, max, busy, starved, waited }) => [
    load,
    rate === null ? '' : `${count(rate)} ${unit}`,
    `${quantile(p50, 0.5).toFixed(2)} ms`,
    `${quantile(p99, 0.5).toFixed(2)} ms`,
    `${quantile(max, 0).toFixed(1)} – ${quantile(max, 1).toFixed(1)} ms`,
    percent(busy),
    starved === null ? '' : percent(starved),
    waited === 0 ? '' : percent(waited),
  ]);
}
