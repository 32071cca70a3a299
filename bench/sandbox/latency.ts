/** How long one empty program takes from the call to its result, one at a time. */
import { quantile } from '../measure.ts';
import { time } from '../report.ts';
import { checked, nothing, type Runner } from './runners.ts';
import { inTurn } from './throughput.ts';

export interface LatencyResult {
  readonly residentMib: number;
  readonly runner: string;
  readonly seconds: readonly number[];
}

/** `calls` of each runner in every round, in turn. */
export async function measureLatency(
  runners: readonly Runner[],
  residentMib: number,
  rounds: number,
  calls: number,
): Promise<LatencyResult[]> {
  const seconds = new Map(runners.map((runner) => [runner, [] as number[]]));
  for (const runner of runners) await checked(runner, nothing, 0);
  for (let round = 0; round < rounds; round++) {
    for (const runner of inTurn(runners, round)) {
      for (let i = 0; i < calls; i++) {
        const start = performance.now();
        await checked(runner, nothing, 0);
        seconds.get(runner)!.push((performance.now() - start) / 1000);
      }
    }
  }
  return runners.map((runner) => ({ residentMib, runner: runner.name, seconds: seconds.get(runner)! }));
}

export const latencyHeader = ['parent', 'runner', 'calls', 'p10', 'p50', 'p99', 'longest'];

export function latencyRows(results: readonly LatencyResult[]): string[][] {
  return results.map(({ residentMib, runner, seconds }) => [
    residentMib === 0 ? 'small' : `+ ${residentMib} MiB`,
    runner,
    String(seconds.length),
    ...[0.1, 0.5, 0.99, 1].map((q) => time(quantile(seconds, q))),
  ]);
}
