/**
 * A sweep: configs x variants x seeds, a run directory each. This is its plan: what is run with which arguments, and how far each
 * run is. Everything that can be refused (a config, a directory that holds another run) is refused before the first run starts.
 *
 * Names of runs are those of their parts, so a longer sweep finds the runs of a shorter one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { errorMessage, ToolgradError } from '../errors.ts';
import { listCheckpoints, readState } from './checkpoint.ts';
import type { Config } from './config.ts';
import { checkRunDirectory, readLines } from './directory.ts';
import { configError, parseLayer, placeOf } from './layers.ts';
import { explainProblems } from './problems.ts';
import { compareWithRun } from './resume.ts';
import { parseConfig } from './yaml.ts';

const override = z.string().regex(/^[^=]+=/, 'expected key=value');

const sweepSchema = z.strictObject({
  folder: z.string().min(1),
  configs: z.array(z.string().min(1)).min(1),
  overrides: z.array(override).default([]),
  variants: z
    .record(
      z.string().regex(/^[\w.+-]+$/, 'expected letters, digits, and . + - _ in the name'),
      z.array(override),
    )
    .default({}),
  seeds: z.array(z.int().min(0)).min(1).default([0]),
});

/** One run of a sweep. */
export interface SweepRun {
  readonly name: string;
  /** Name without the seed: runs that differ in it alone share it. */
  readonly group: string;
  /** The config's file. */
  readonly file: string;
  /** All overrides, the run directory and the seed among them. */
  readonly overrides: readonly string[];
  readonly config: Config;
}

/**
 * The runs of a sweep in their order: configs, then variants, then seeds. `source` is the sweep's file: its configs are relative to
 * it, its folder to the working directory. `extra` overrides come last, for every run. Throws ERR_CONFIG for a sweep that is none,
 * or a run whose config is refused.
 */
export function planSweep(text: string, source: string, extra: readonly string[] = []): SweepRun[] {
  const layer = parseLayer(text, source);
  const values: unknown = layer.document.toJS();
  const where = (path: readonly PropertyKey[], ofKey: boolean) => placeOf([layer], path, ofKey) ?? source;
  const parsed = sweepSchema.safeParse(values);
  if (!parsed.success) {
    throw configError(explainProblems(sweepSchema, parsed.error, values, where).join('\n'));
  }
  const { folder, configs, overrides, variants, seeds } = parsed.data;
  if (new Set(seeds).size < seeds.length) {
    throw configError(`${where(['seeds'], false)}: seeds: expected each once, found ${seeds.join(', ')}`);
  }
  for (const own of ['run', 'seed']) {
    const given = [...overrides, ...Object.values(variants).flat(), ...extra].find((one) =>
      one.startsWith(`${own}=`),
    );
    if (given === undefined) continue;
    throw configError(`${source}: ${given}: the sweep gives every run its ${own}; use folder and seeds`);
  }
  const names = configNames(
    configs.map((config) => join(dirname(source), config)),
    where(['configs'], false),
  );
  const cases = Object.keys(variants).length === 0 ? [['', []] as const] : Object.entries(variants);
  const runs = configs.flatMap((config, i) =>
    cases.flatMap(([variant, own]) =>
      seeds.map((seed) => {
        const group = [names[i]!, variant].filter((part) => part !== '').join('-');
        const name = `${group}-seed${seed}`;
        const all = [
          ...overrides,
          ...own,
          ...extra,
          `seed=${seed}`,
          `run=${JSON.stringify(join(folder, name))}`,
        ];
        const file = join(dirname(source), config);
        try {
          return { name, group, file, overrides: all, config: readRunConfig(file, all) };
        } catch (error) {
          throw configError(`${source}: run ${name}:\n${errorMessage(error)}`);
        }
      }),
    ),
  );
  refuseTwins(runs, source);
  return runs;
}

/** Two names for one run would cost twice and look like two seeds that agree. */
function refuseTwins(runs: readonly SweepRun[], source: string): void {
  const seen = new Map<string, string>();
  for (const { name, config } of runs) {
    const key = JSON.stringify({ ...config, run: '' });
    const twin = seen.get(key);
    if (twin !== undefined)
      throw configError(`${source}: ${twin} and ${name} are the same run: same config, same seed`);
    seen.set(key, name);
  }
}

function readRunConfig(file: string, overrides: readonly string[]): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw configError(`cannot read config ${file}: ${errorMessage(cause)}`);
  }
  return parseConfig(text, file, overrides);
}

/** File names without .yaml; with the folder's name before them where two files have the same. */
function configNames(configs: readonly string[], place: string): string[] {
  const stem = (path: string) => basename(path).replace(/\.ya?ml$/, '');
  const names = configs.map((path) => {
    const shared = configs.filter((other) => stem(other) === stem(path)).length > 1;
    return shared ? `${basename(dirname(resolve(path)))}-${stem(path)}` : stem(path);
  });
  if (new Set(names).size < names.length) {
    throw configError(`${place}: configs: expected different file names, found ${names.join(', ')}`);
  }
  return names;
}

/** How far a run is: not begun, begun, or at its end with every evaluation. */
export type RunProgress = 'new' | 'unfinished' | 'finished';

/**
 * How far the run in `config.run` is. Throws ERR_CONFIG when the directory holds a run with another config, ERR_RUN_EXISTS when
 * it holds something else, ERR_RUN_LOCKED when someone is at it.
 */
export function runProgress(config: Config): RunProgress {
  const begun = existsSync(join(config.run, 'config.yaml'));
  checkRunDirectory(config.run, begun ? 'resume' : 'new');
  if (!begun) return 'new';
  compareWithRun(config.run, config);
  const last = listCheckpoints(config.run).at(-1);
  if (last === undefined || readState(last).step < config.sft.steps + config.rl.steps) return 'unfinished';
  const done = new Set(runEvaluations(config.run).map(({ name, step }) => `${name} @ ${step}`));
  return lastEvaluations(config).every((name) => done.has(name)) ? 'finished' : 'unfinished';
}

/** The evaluations with which a run ends. */
function lastEvaluations({ sft, rl, eval: evaluation }: Config): string[] {
  if (evaluation.questions === 0) return [];
  const name = rl.steps > 0 ? 'after RL' : 'after SFT';
  const names = rl.steps > 0 && evaluation.without_tool ? [name, `${name}, no tool`] : [name];
  return names.map((one) => `${one} @ ${sft.steps + rl.steps}`);
}

/** An evaluation as a run recorded it. */
export interface RecordedEvaluation {
  readonly name: string;
  readonly step: number;
  readonly accuracy: number;
  readonly callShare: number;
}

/** The evaluations in a run's metrics.jsonl, in their order. */
export function runEvaluations(run: string): RecordedEvaluation[] {
  return records(run)
    .filter(({ kind }) => kind === 'evaluation')
    .map(({ name, step, accuracy, call_share: callShare }) => ({
      name: String(name),
      step: Number(step),
      accuracy: Number(accuracy),
      callShare: Number(callShare),
    }));
}

/** Seconds that a run's steps and evaluations took. */
export function runSeconds(run: string): number {
  return records(run).reduce((sum, { seconds }) => sum + (typeof seconds === 'number' ? seconds : 0), 0);
}

function records(run: string): Record<string, unknown>[] {
  const file = join(run, 'metrics.jsonl');
  return existsSync(file) ? readLines(file) : [];
}

/** Reads a sweep's file. Throws ERR_USAGE when it cannot be read. */
export function readSweep(path: string, extra: readonly string[] = []): SweepRun[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ToolgradError('ERR_USAGE', `cannot read sweep ${path}: ${errorMessage(cause)}`, { cause });
  }
  return planSweep(text, path, extra);
}
