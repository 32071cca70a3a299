/**
 * `toolgrad sweep <sweep.yaml> [key=value ...]`: its runs one after the other, each in a process of its own, as `toolgrad train`
 * would run it. Finished runs are skipped, begun ones resumed, so the same command goes on after an interruption.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import {
  type RunProgress,
  readSweep,
  runEvaluations,
  runProgress,
  runSeconds,
  type SweepRun,
} from '../run/sweep.ts';
import { duration, percent, styled, table } from '../view/format.ts';
import { compareRuns } from './compare.ts';
import { invocation, shortPath } from './invocation.ts';

/** What became of a run. */
type Outcome = RunProgress | 'interrupted' | `failed (${string})`;

export function sweepCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('sweep')
    .description('train a list of configs, variants and seeds one after the other; the same again goes on')
    .argument('<sweep>', 'YAML file: folder, configs, variants, seeds (docs/recipes.md)')
    .argument('[overrides...]', 'key=value, for every run')
    .option('--dry-run', 'print what would be run, then stop')
    .addHelpText('after', '\nExample:\n  toolgrad sweep recipes/r1ci/sweep-masking.yaml')
    .action(async (path: string, overrides: string[], { dryRun = false }: { dryRun?: boolean }) => {
      exit(await sweep(path, overrides, dryRun));
    });
}

async function sweep(path: string, overrides: readonly string[], dryRun: boolean): Promise<number> {
  const runs = readSweep(path, overrides);
  const outcomes = new Map<SweepRun, Outcome>(runs.map((run) => [run, runProgress(run.config)]));
  if (dryRun) {
    const rows = runs.map((run) => [run.name, outcomes.get(run)!, run.config.run]);
    process.stdout.write(`${table(['run', 'state', 'directory'], rows)}\n`);
    return 0;
  }
  const stopped = await runAll(runs, outcomes);
  process.stdout.write(`\n${sweepTable(runs, outcomes)}\n`);
  const failed = [...outcomes.values()].some((outcome) => outcome.startsWith('failed'));
  if (stopped) {
    const again = invocation(['sweep', shortPath(path), ...overrides]);
    process.stdout.write(`interrupted; go on with: ${again}\n`);
    return 130;
  }
  const finished = runs.filter((run) => outcomes.get(run) === 'finished').map(({ config }) => config.run);
  if (finished.length > 0) {
    compareRuns(finished, join(dirname(finished[0]!), 'comparison'));
    process.stdout.write(`compare others: ${invocation(['compare', ...finished.map(shortPath)])}\n`);
  }
  return failed ? 1 : 0;
}

/** Runs what is not finished; true when a signal stopped it. A run that fails does not keep the others from being run. */
async function runAll(runs: readonly SweepRun[], outcomes: Map<SweepRun, Outcome>): Promise<boolean> {
  let running: ChildProcess | null = null;
  let stopped = false;
  // Each run is in a process group of its own: Ctrl-C reaches it through here once, not twice.
  const onSignal = (signal: NodeJS.Signals) => {
    stopped = true;
    running?.kill(signal);
  };
  const onExit = () => running?.kill('SIGTERM');
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('exit', onExit);
  try {
    for (const [index, run] of runs.entries()) {
      if (stopped) break;
      const progress = outcomes.get(run);
      const title = `[${index + 1}/${runs.length}] ${run.name}`;
      if (progress === 'finished') {
        process.stdout.write(`${styled('bold', title)}: finished before\n`);
        continue;
      }
      process.stdout.write(`\n${styled('bold', title)}${progress === 'unfinished' ? ': goes on' : ''}\n`);
      const resume = progress === 'unfinished' ? ['--resume'] : [];
      running = startTraining([run.file, ...run.overrides, ...resume]);
      const { code, signal } = await ended(running);
      running = null;
      outcomes.set(run, outcomeOf(run, code, signal, stopped));
      // Stopped by someone else, for example by a signal to the whole session: the rest is not wanted either.
      if (code === 130) stopped = true;
    }
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.off('exit', onExit);
  }
  return stopped;
}

/** `toolgrad train` of this very program. */
function startTraining(args: readonly string[]): ChildProcess {
  const here = fileURLToPath(import.meta.url);
  const main = join(dirname(here), here.endsWith('.ts') ? 'main.ts' : 'main.js');
  return spawn(process.execPath, [...process.execArgv, main, 'train', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
}

function outcomeOf(
  run: SweepRun,
  code: number | null,
  signal: NodeJS.Signals | null,
  stopped: boolean,
): Outcome {
  if (code === 0) return runProgress(run.config);
  if (stopped || code === 130) return 'interrupted';
  return `failed (${signal ?? `code ${code}`})`;
}

/** A line a run: what became of it, and the share of right answers at each of its evaluations. */
function sweepTable(runs: readonly SweepRun[], outcomes: ReadonlyMap<SweepRun, Outcome>): string {
  const found = new Map(
    runs.map((run) => [run, existsSync(run.config.run) ? runEvaluations(run.config.run) : []]),
  );
  const names = [...new Set([...found.values()].flat().map(({ name }) => name))];
  return table(
    ['run', 'state', ...names, 'calls', 'time'],
    runs.map((run) => {
      const evaluations = found.get(run)!;
      const last = evaluations.filter(({ name }) => !name.endsWith('no tool')).at(-1);
      return [
        run.name,
        outcomes.get(run)!,
        ...names.map((name) => {
          const one = evaluations.filter((evaluation) => evaluation.name === name).at(-1);
          return one === undefined ? '-' : percent(one.accuracy);
        }),
        last === undefined ? '-' : percent(last.callShare),
        duration(runSeconds(run.config.run)),
      ];
    }),
  );
}
