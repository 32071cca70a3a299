/**
 * Runs side by side: what compare reads of run directories and of `toolgrad eval --out` folders. Runs whose configs differ in seed
 * and directory alone are one group: its numbers are means over seeds, with their spread.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { type Behaviour, type BehaviourRecord, measureBehaviour } from '../eval/behaviour.ts';
import { taskOf } from '../eval/evaluate.ts';
import type { AgentReport } from '../eval/report.ts';
import { countAttempts, type EvaluationSummaryTable, summarise } from '../eval/summary.ts';
import type { Question } from '../tasks/task.ts';
import { checkpointName } from './checkpoint.ts';
import { readLines } from './directory.ts';
import { flattenConfig } from './resume.ts';
import { parseConfig } from './yaml.ts';

type Json = Readonly<Record<string, unknown>>;

/** One evaluation of a run, from metrics.jsonl. */
export interface RecordedEvaluation {
  readonly name: string;
  readonly step: number;
  readonly accuracy: number;
}

/** One run, or one agent of an evaluation's folder. */
export interface ComparedRun {
  readonly name: string;
  readonly seed: number | null;
  /** Its config's keys but run and seed; empty for a folder of `toolgrad eval`. */
  readonly settings: ReadonlyMap<string, string>;
  /** The records of RL steps. */
  readonly steps: readonly Json[];
  readonly evaluations: readonly RecordedEvaluation[];
  /** The last evaluation with the tool: scores, and how the tool was used. */
  readonly last: {
    readonly title: string;
    readonly scores: EvaluationSummaryTable;
    readonly behaviour: Behaviour;
  } | null;
}

export interface RunGroup {
  readonly name: string;
  readonly runs: readonly ComparedRun[];
}

/** Reads a run directory or a folder of `toolgrad eval`. ERR_RUN_MISSING when it is neither. */
export function readCompared(path: string): ComparedRun[] {
  if (existsSync(join(path, 'config.yaml'))) return [readRun(path)];
  if (existsSync(join(path, 'summary.json'))) return readEvaluation(path);
  throw new ToolgradError(
    'ERR_RUN_MISSING',
    `${path} is neither a run directory (config.yaml) nor a folder of toolgrad eval (summary.json)`,
  );
}

function readRun(path: string): ComparedRun {
  const file = join(path, 'config.yaml');
  const config = parseConfig(readFileSync(file, 'utf8'), file, [], { ownTasks: true });
  const settings = flattenConfig(config);
  for (const key of ['run', 'seed']) settings.delete(key);
  const metrics = existsSync(join(path, 'metrics.jsonl')) ? readLines(join(path, 'metrics.jsonl')) : [];
  const evaluations = metrics
    .filter(({ kind }) => kind === 'evaluation')
    .map(({ name, step, accuracy }) => ({
      name: String(name),
      step: Number(step),
      accuracy: Number(accuracy),
    }));
  const last = evaluations.filter(({ name }) => !name.endsWith(', no tool')).at(-1);
  return {
    name: basename(path),
    seed: config.seed,
    settings,
    steps: metrics.filter(({ kind }) => kind === 'rl'),
    evaluations,
    last: last === undefined ? null : lastEvaluation(path, last, config.seed),
  };
}

function lastEvaluation(path: string, { name, step }: RecordedEvaluation, seed: number): ComparedRun['last'] {
  const file = join(path, 'eval', `${checkpointName(step)}.jsonl`);
  if (!existsSync(file)) return null;
  const records = readLines(file) as unknown as (BehaviourRecord & { question: Question })[];
  const counts = countAttempts(
    records
      .filter(({ end }) => end !== 'infrastructure')
      .map(({ question, correct }) => ({ task: taskOf(question), question: question.id, right: correct })),
  );
  if (counts.length === 0) return null;
  return { title: name, scores: summarise(counts, { seed }), behaviour: measureBehaviour(records) };
}

function readEvaluation(path: string): ComparedRun[] {
  const file = join(path, 'summary.json');
  let reports: readonly AgentReport[];
  try {
    const summary = JSON.parse(readFileSync(file, 'utf8')) as { agents: readonly AgentReport[] };
    reports = summary.agents.map(withNaN);
  } catch (cause) {
    throw new ToolgradError(
      'ERR_RUN_FILE',
      `${file}: expected a summary of toolgrad eval: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  return reports.map(({ title, scores, behaviour }) => ({
    name: `${basename(path)}, ${title}`,
    seed: null,
    settings: new Map(),
    steps: [],
    evaluations: [],
    last: { title, scores, behaviour },
  }));
}

/** JSON writes NaN (an estimate over no question) as null. */
function withNaN<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) =>
    inner === null && ['value', 'low', 'high'].includes(key) ? Number.NaN : inner,
  ) as T;
}

/** Runs in groups that differ in seed alone, in the order of their first members. ERR_USAGE for a seed that is there twice. */
export function groupRuns(runs: readonly ComparedRun[]): RunGroup[] {
  const groups = new Map<string, ComparedRun[]>();
  for (const run of runs) {
    const key = run.seed === null ? `evaluation ${run.name}` : JSON.stringify([...run.settings]);
    const members = groups.get(key) ?? [];
    const same = members.find(({ seed }) => seed === run.seed);
    if (same !== undefined) {
      throw new ToolgradError(
        'ERR_USAGE',
        `${same.name} and ${run.name} are the same run twice: same config, same seed`,
      );
    }
    groups.set(key, [...members, run]);
  }
  const named = [...groups.values()].map((members) => ({ name: groupName(members), runs: members }));
  // Two folders of one name in different places.
  return named.map((group, i) => {
    const before = named.slice(0, i).filter(({ name }) => name === group.name).length;
    return before === 0 ? group : { ...group, name: `${group.name} #${before + 1}` };
  });
}

/** What the names of a group's runs begin with, or the first one's. */
function groupName(runs: readonly ComparedRun[]): string {
  const [first] = runs;
  if (first === undefined) throw new TypeError('a group has at least one run');
  if (runs.length === 1) return first.name;
  let length = 0;
  while (runs.every(({ name }) => name[length] !== undefined && name[length] === first.name[length]))
    length += 1;
  const shared = first.name.slice(0, length).replace(/[-_. ]*(?:seed)?[-_. ]*$/, '');
  return shared === '' ? first.name : shared;
}

/** Keys in which the groups' configs differ, with the value of each group; undefined where it has no config. */
export function differingKeys(groups: readonly RunGroup[]): Map<string, (string | undefined)[]> {
  const settings = groups.map(({ runs }) => runs[0]!.settings);
  const keys = new Set(settings.flatMap((map) => [...map.keys()]));
  const differing = new Map<string, (string | undefined)[]>();
  for (const key of keys) {
    const values = settings.map((map) => map.get(key));
    const known = settings.flatMap((map, i) => (map.size === 0 ? [] : [values[i]]));
    if (new Set(known).size > 1) differing.set(key, values);
  }
  return differing;
}
