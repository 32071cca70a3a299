/** How many programs per second come through, two at a time: all runners in turn in every round, each ratio within one round. */
import { quantile, type Summary, summarise } from '../measure.ts';
import { ratioText } from '../peers/tables.ts';
import { count } from '../report.ts';
import { checked, lanes, type Program, type Runner } from './runners.ts';

export interface ThroughputResult {
  readonly program: string;
  /** Memory added to the parent, in MiB. */
  readonly residentMib: number;
  readonly runner: string;
  /** Calls per second, by round. */
  readonly rates: readonly number[];
  /** Over the first runner's, round by round; null for that one itself. */
  readonly ratio: Summary | null;
  readonly goal: number | null;
}

/** A lane that is done sooner than another does not count as idle. */
async function rate(runner: Runner, program: Program, seconds: number): Promise<number> {
  const each = Array.from({ length: lanes }, async (_, lane) => {
    const start = performance.now();
    let calls = 0;
    do {
      await checked(runner, program, lane);
      calls += 1;
    } while (performance.now() - start < 1000 * seconds);
    return (1000 * calls) / (performance.now() - start);
  });
  return (await Promise.all(each)).reduce((sum, value) => sum + value, 0);
}

/** In another order in each round, so that none is always after the same. */
export function inTurn<T>(items: readonly T[], round: number): T[] {
  return items.map((_, i) => items[(i + round) % items.length]!);
}

export async function measureThroughput(
  runners: readonly Runner[],
  program: Program,
  residentMib: number,
  rounds: number,
  seconds: number,
): Promise<ThroughputResult[]> {
  const rates = new Map(runners.map((runner) => [runner, [] as number[]]));
  for (const runner of runners) {
    await Promise.all(Array.from({ length: lanes }, (_, lane) => checked(runner, program, lane)));
  }
  for (let round = 0; round < rounds; round++) {
    for (const runner of inTurn(runners, round)) {
      rates.get(runner)!.push(await rate(runner, program, seconds));
    }
  }
  const [first] = runners;
  return runners.map((runner) => ({
    program: program.name,
    residentMib,
    runner: runner.name,
    rates: rates.get(runner)!,
    ratio:
      runner === first
        ? null
        : summarise(rates.get(runner)!.map((value, round) => value / rates.get(first!)![round]!)),
    goal: runner.goals[program.name] ?? null,
  }));
}

/** For a column of goals: whether it was reached. */
export function verdict(reached: boolean): string {
  return reached ? 'reached' : 'NOT REACHED';
}

export const throughputHeader = [
  'program',
  'parent',
  'runner',
  'calls/s',
  'p10 – p90',
  'over spawn, median (p10 – p90)',
  'goal',
  '',
];

export function throughputRows(results: readonly ThroughputResult[]): string[][] {
  return results.map(({ program, residentMib, runner, rates, ratio, goal }) => [
    program,
    residentMib === 0 ? 'small' : `+ ${residentMib} MiB`,
    runner,
    count(quantile(rates, 0.5)),
    `${count(quantile(rates, 0.1))} – ${count(quantile(rates, 0.9))}`,
    ratio === null ? '1' : ratioText(ratio),
    goal === null ? '' : `≥ ${goal}`,
    goal === null || ratio === null ? '' : verdict(ratio.median >= goal),
  ]);
}
