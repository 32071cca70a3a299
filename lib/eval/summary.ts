/**
 * From attempts to the numbers of a report: mean@k and pass@k per task, per source (suite) as an average over its tasks, and
 * over all tasks. The paper's number is the macro average: every task counts the same, however many questions it has.
 */
import { type Counts, type Estimate, macroMean, passAtK, shareRight } from './statistics.ts';

/** One question's attempts. */
export interface QuestionCounts extends Counts {
  readonly task: string;
  readonly question: string;
}

export interface Scores {
  /** Mean share of right attempts: mean@k, k being the attempts per question. */
  readonly mean: Estimate;
  /** By k; only questions with at least k attempts count. */
  readonly pass: Readonly<Record<string, Estimate>>;
}

export interface EvaluationSummaryTable {
  readonly attempts: number;
  readonly questions: number;
  /** Attempts per question: the k of mean@k; the least where they differ (attempts may be lost). */
  readonly samples: number;
  readonly tasks: readonly (Scores & { readonly task: string; readonly source: string })[];
  readonly sources: readonly (Scores & { readonly source: string; readonly tasks: number })[];
  /** Mean over tasks. */
  readonly macro: Scores;
  /** Mean over questions. */
  readonly all: Scores;
}

export interface SummaryOptions {
  readonly seed: number;
  /** The ks of pass@k; default 2, 4, 8, ... up to the attempts per question (pass@1 is the mean). */
  readonly ks?: readonly number[];
  readonly resamples?: number;
}

/** The suite of a task: what stands before the slash of its name; a task without one is its own. */
export function sourceOf(task: string): string {
  const slash = task.indexOf('/');
  return slash < 0 ? 'other' : task.slice(0, slash);
}

/** Counts attempts by question, in the order in which questions first appear. */
export function countAttempts(
  attempts: Iterable<{ readonly task: string; readonly question: string; readonly right: boolean }>,
): QuestionCounts[] {
  const counts = new Map<string, { task: string; question: string; attempts: number; right: number }>();
  for (const { task, question, right } of attempts) {
    const key = `${task}\n${question}`;
    const entry = counts.get(key) ?? { task, question, attempts: 0, right: 0 };
    entry.attempts += 1;
    if (right) entry.right += 1;
    counts.set(key, entry);
  }
  return [...counts.values()];
}

/** The tables of a report. RangeError when there is nothing to summarise or a k is larger than the attempts made. */
export function summarise(
  counts: readonly QuestionCounts[],
  options: SummaryOptions,
): EvaluationSummaryTable {
  if (counts.length === 0) throw new RangeError('summary: expected at least one scored attempt, found none');
  const samples = Math.min(...counts.map(({ attempts }) => attempts));
  const most = Math.max(...counts.map(({ attempts }) => attempts));
  const ks = options.ks ?? defaultKs(most);
  for (const k of ks) {
    if (!(Number.isInteger(k) && k >= 1 && k <= most)) {
      throw new RangeError(`pass@k: expected k from 1 to the ${most} attempts per question, found ${k}`);
    }
  }
  const byTask = new Map<string, QuestionCounts[]>();
  for (const item of counts) byTask.set(item.task, [...(byTask.get(item.task) ?? []), item]);
  const names = [...byTask.keys()].sort((a, b) => a.localeCompare(b));
  const scores = (label: string, groups: readonly (readonly QuestionCounts[])[]): Scores => {
    const estimate = (what: string, value: (item: QuestionCounts) => number, least: number) =>
      macroMean(
        groups.map((group) => group.filter(({ attempts }) => attempts >= least).map(value)),
        {
          seed: options.seed,
          label: `${label} ${what}`,
          ...(options.resamples === undefined ? {} : { resamples: options.resamples }),
        },
      );
    return {
      mean: estimate('mean', shareRight, 1),
      pass: Object.fromEntries(
        ks.map((k) => [String(k), estimate(`pass@${k}`, (item) => passAtK(item, k), k)]),
      ),
    };
  };
  const sources = [...new Set(names.map(sourceOf))].sort((a, b) => a.localeCompare(b));
  return {
    attempts: counts.reduce((sum, { attempts }) => sum + attempts, 0),
    questions: counts.length,
    samples,
    tasks: names.map((task) => ({
      task,
      source: sourceOf(task),
      ...scores(`task ${task}`, [byTask.get(task)!]),
    })),
    sources: sources.map((source) => {
      const tasks = names.filter((task) => sourceOf(task) === source);
      return {
        source,
        tasks: tasks.length,
        ...scores(
          `source ${source}`,
          tasks.map((task) => byTask.get(task)!),
        ),
      };
    }),
    macro: scores('macro', [...byTask.values()]),
    all: scores('all', [counts]),
  };
}

function defaultKs(most: number): number[] {
  const ks: number[] = [];
  for (let k = 2; k <= most; k *= 2) ks.push(k);
  return ks;
}
