/** How late the event loop of a large trainer is while programs run at full rate, two at a time. */
import { type LoopResult, measureLoop, RESOLUTION_MS } from '../loop/events.ts';
import type { Load } from '../loop/loads.ts';
import { quantile } from '../measure.ts';
import { count } from '../report.ts';
import { checked, lanes, type Runner, small } from './runners.ts';
import { verdict } from './throughput.ts';

/** The goal of issue 7 for our runners: of the delay, which is the time between two firings without the timer's own. */
export const goalMs = 2;

const idle: Load = {
  name: 'nothing runs',
  unit: null,
  start: () => ({ stop: async () => ({ count: 0, waited: 0 }) }),
};

function load(runner: Runner): Load {
  return {
    name: runner.name,
    unit: 'calls/s',
    start() {
      let stopped = false;
      let calls = 0;
      const ended = Promise.all(
        Array.from({ length: lanes }, async (_, lane) => {
          for (; !stopped; calls++) await checked(runner, small, lane);
        }),
      );
      ended.catch(() => undefined); // stop() tells
      return {
        async stop() {
          stopped = true;
          await ended;
          return { count: calls, waited: 0 };
        },
      };
    },
  };
}

export function measureRunnersLoop(
  runners: readonly Runner[],
  rounds: number,
  seconds: number,
): Promise<LoopResult[]> {
  return measureLoop([idle, ...runners.map(load)], rounds, seconds);
}

export const loopHeader = [
  'programs by',
  'calls/s',
  'p50 between firings',
  'p99, median of the rounds',
  'longest, by round',
  'delay, p99',
  'loop runs',
  'loop wants a core',
  'goal of the delay',
  '',
];

export function runnerLoopRows(results: readonly LoopResult[]): string[][] {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return results.map(({ load, rate, p50, p99, max, busy, starved }) => {
    const between = quantile(p99, 0.5);
    const delay = between - RESOLUTION_MS;
    const wanted = load.startsWith('ours');
    return [
      load,
      rate === null ? '' : count(rate),
      `${quantile(p50, 0.5).toFixed(2)} ms`,
      `${between.toFixed(2)} ms`,
      `${quantile(max, 0).toFixed(1)} – ${quantile(max, 1).toFixed(1)} ms`,
      `${delay.toFixed(2)} ms`,
      percent(busy),
      starved === null ? '' : percent(starved),
      wanted ? `≤ ${goalMs} ms` : '',
      wanted ? verdict(delay <= goalMs) : '',
    ];
  });
}
