/**
 * `npm run bench -- [filter …] [options]`: how fast the CPU kernels and the whole are on this machine, and how far from its own
 * peaks. Run it on a quiet machine: the spread tells when it was not. Without options it takes at most five minutes.
 */
import { parseArgs } from 'node:util';
import { errorMessage } from '../lib/errors.ts';
import * as kernels from '../lib/model/kernels.ts';
import { defaultThreads } from '../lib/model/threads.ts';
import { type Case, NotHere, sizes } from './case.ts';
import { kernelCases } from './kernel-cases.ts';
import { bestPeaks, describeMachine, measurePeaks } from './machine.ts';
import { type Effort, repeat, type Summary } from './measure.ts';
import { demoSteps, modelCases } from './model-cases.ts';
import { machineLines, markdown, type Result, time, toResult } from './report.ts';

const usage = `npm run bench -- [filter …] [options]

  filter            run what contains one of these words in name or size: gemm, "dX", decode, demo …
  --sizes LIST      model shapes, of ${Object.keys(sizes).join(',')} (default: all; with --quick: demo)
  --threads N       threads of the kernels (default TOOLGRAD_THREADS, else all processors)
  --quick           fewer cases and runs, under a minute: to see that it works
  --json            print one JSON object instead of the table
  --list            name the cases and end
`;

// Of the five minutes: cases start until the first, demo steps end at the second (milliseconds since the start).
const CASES_UNTIL = 210_000;
const DEMO_UNTIL = 280_000;

/** Ends the process with what is wrong with the command line. */
function misuse(message: string): never {
  process.stderr.write(`bench: ${message}\n\n${usage}`);
  process.exit(2);
}

function readCommandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        sizes: { type: 'string' },
        threads: { type: 'string' },
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return misuse(errorMessage(error));
  }
}

const { values: options, positionals } = readCommandLine();

/** Whether a filter names the case. */
function chosen(text: string): boolean {
  return (
    positionals.length === 0 ||
    positionals.some((filter) => text.toLowerCase().includes(filter.toLowerCase()))
  );
}

function chosenSizes() {
  const names = options.sizes?.split(',') ?? (options.quick ? ['demo'] : Object.keys(sizes));
  return names.map((name) => {
    const config = sizes[name];
    if (config !== undefined) return { name, config };
    return misuse(`--sizes: expected names of ${Object.keys(sizes).join(', ')} but found "${name}"`);
  });
}

function chosenThreads(): number {
  if (options.threads === undefined) return defaultThreads();
  const threads = Number(options.threads);
  if (Number.isInteger(threads) && threads >= 1) return threads;
  return misuse(`--threads: expected a positive integer but found "${options.threads}"`);
}

const kernelEffort: Effort = options.quick
  ? { least: 5, fewest: 3, most: 20, budget: 0.05, deadline: CASES_UNTIL }
  : { least: 10, fewest: 3, most: 300, budget: 0.2, deadline: CASES_UNTIL };
const modelEffort: Effort = options.quick
  ? { least: 5, fewest: 3, most: 10, budget: 0.3, deadline: CASES_UNTIL }
  : { least: 10, fewest: 3, most: 30, budget: 2, deadline: CASES_UNTIL };
const PEAK_RUNS = options.quick ? 10 : 30;
const DEMO_STEPS = options.quick ? { sft: 6, rl: 3 } : { sft: 30, rl: 10 };

async function measure(item: Case, effort: Effort): Promise<Summary> {
  const { run, release } = await item.prepare();
  try {
    return await repeat(run, effort);
  } finally {
    await release?.();
  }
}

/** To the terminal only: the table is what is kept. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

async function main(): Promise<void> {
  if (options.help) return void process.stdout.write(usage);
  const threads = chosenThreads();
  const cases = chosenSizes().flatMap(({ name, config }) => [
    ...kernelCases(config, options.quick).map((item) => ({ item, effort: kernelEffort })),
    ...modelCases(name, config, threads, options.quick).map((item) => ({ item, effort: modelEffort })),
  ]);
  const picked = cases.filter(({ item }) => chosen(`${item.name} ${item.size}`));
  const withDemo = chosen('demo RL step, demo SFT step');
  if (options.list) {
    for (const { item } of picked) process.stdout.write(`${item.name}: ${item.size}\n`);
    if (withDemo) process.stdout.write('demo SFT step, demo RL step\n');
    return;
  }
  if (picked.length === 0 && !withDemo) {
    misuse(`no case contains ${positionals.join(' or ')}; --list names them`);
  }

  progress('peaks …');
  const machine = await describeMachine(threads, PEAK_RUNS);
  await kernels.setThreads(threads);
  const measured: { item: Case; summary: Summary }[] = [];
  const skipped: string[] = [];
  for (const [i, { item, effort }] of picked.entries()) {
    progress(`${i + 1}/${picked.length} ${item.name}: ${item.size} …`);
    if (performance.now() > CASES_UNTIL) {
      skipped.push(`${item.name}, ${item.size}: not run, the bench's time was over; choose fewer cases`);
      continue;
    }
    try {
      measured.push({ item, summary: await measure(item, effort) });
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      skipped.push(`${item.name}, ${item.size}: not run, it ${error.message}`);
    }
  }
  // A machine shared with others may have been slow when the first peaks were taken: the better of two counts.
  progress('peaks again …');
  const peaks = bestPeaks(machine.peaks, await measurePeaks(threads, PEAK_RUNS));
  const results: Result[] = measured.map(({ item, summary }) => toResult(item, summary, peaks));
  if (withDemo) {
    progress('demo steps …');
    try {
      const signal = AbortSignal.timeout(Math.max(1, Math.round(DEMO_UNTIL - performance.now())));
      const parts = await demoSteps(DEMO_STEPS.sft, DEMO_STEPS.rl, signal);
      if (!parts.some(({ name }) => name === 'demo RL step')) {
        skipped.push("demo RL step: not run, the bench's time was over; run: npm run bench -- demo");
      }
      for (const { name, size, summary, tokens } of parts) {
        results.push({
          ...{ name, size, ...summary, bound: null, rate: null, share: null },
          tokensPerSecond: tokens / summary.median,
        });
      }
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      skipped.push(`demo steps: not run, ${error.message}`);
    }
  }
  progress('');
  const seconds = performance.now() / 1000;
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ machine: { ...machine, peaks }, results, skipped, seconds }, null, 2)}\n`,
    );
    return;
  }
  process.stdout.write(`${machineLines({ ...machine, peaks })}\n\n${markdown(results)}\n`);
  for (const line of skipped) process.stdout.write(`\n${line}\n`);
  process.stdout.write(
    '\nKernels are timed on the engine thread, the rest by the wall clock; "of peak" is the time at the peak that bounds the case over\n' +
      `the median. Operations and bytes are those the mathematics needs. Bench time ${time(seconds)}.\n`,
  );
}

await main();
