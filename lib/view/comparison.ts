/** A comparison as Markdown tables and as the plots that go with it. */
import type { Behaviour } from '../eval/behaviour.ts';
import { mean, sampleDeviation } from '../eval/statistics.ts';
import { type ComparedRun, differingKeys, type RunGroup } from '../run/comparison.ts';
import { percent } from './format.ts';
import { linePlot, type PlotPoint } from './plot.ts';
import { interval } from './scores.ts';

/** A plot's file name without .svg, and its text. */
export interface NamedPlot {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** The page; `plots` are linked where they exist as files beside it. */
export function comparisonPage(groups: readonly RunGroup[], plots: readonly NamedPlot[]): string {
  const seeds = groups.some(({ runs }) => runs.length > 1);
  const parts = ['# Comparison', '', lastEvaluations(groups), ''];
  parts.push(
    seeds
      ? 'Mean ± standard deviation over runs that differ in their seed alone; [low, high]: 95 % bootstrap interval over questions, where there is one run.'
      : '[low, high]: 95 % bootstrap interval over questions.',
  );
  const evaluations = evaluationTable(groups);
  if (evaluations !== null) parts.push('', '## During training', '', evaluations);
  const behaviour = behaviourRows(groups);
  if (behaviour !== null) parts.push('', '## Use of the tool in the last evaluation', '', behaviour);
  const settings = settingsTable(groups);
  if (settings !== null) parts.push('', '## Settings that differ', '', settings);
  if (plots.length > 0) {
    parts.push('', '## Plots', '', ...plots.map(({ name, title }) => `![${title}](${name}.svg)`));
  }
  return `${parts.join('\n')}\n`;
}

function headings(groups: readonly RunGroup[]): string[] {
  return groups.map(({ name, runs }) => (runs.length > 1 ? `${name} (${runs.length} seeds)` : name));
}

type Scores = NonNullable<ComparedRun['last']>['scores'];

function lastEvaluations(groups: readonly RunGroup[]): string {
  const tasks = new Set<string>();
  const sources = new Set<string>();
  const ks = new Set<string>();
  for (const { runs } of groups) {
    for (const { last } of runs) {
      for (const { task } of last?.scores.tasks ?? []) tasks.add(task);
      for (const { source } of last?.scores.sources ?? []) sources.add(source);
      for (const k of Object.keys(last?.scores.macro.pass ?? {})) ks.add(k);
    }
  }
  const row = (title: string, of: (scores: Scores) => Parameters<typeof interval>[0] | undefined) => [
    title,
    ...groups.map(({ runs }) => {
      const found = runs.flatMap(({ last }) => (last === null ? [] : (of(last.scores) ?? [])));
      const measured = found.filter(({ questions }) => questions > 0);
      if (measured.length === 0) return '-';
      if (measured.length === 1) return interval(measured[0]!);
      return overSeeds(measured.map(({ value }) => value));
    }),
  ];
  const named = (task: string) => (scores: Scores) => scores.tasks.find((entry) => entry.task === task)?.mean;
  return markdownTable(
    ['last evaluation', ...headings(groups)],
    [
      ...[...tasks].sort().map((task) => row(task, named(task))),
      ...(sources.size < 2
        ? []
        : [...sources]
            .sort()
            .map((source) =>
              row(`mean of ${source}`, (scores) => scores.sources.find((s) => s.source === source)?.mean),
            )),
      row('**mean over tasks**', ({ macro }) => macro.mean),
      ...[...ks].map((k) => row(`pass@${k}, mean over tasks`, ({ macro }) => macro.pass[k])),
      row('all questions', ({ all }) => all.mean),
      [
        'evaluation',
        ...groups.map(({ runs }) => [...new Set(runs.map(({ last }) => last?.title ?? '-'))].join(', ')),
      ],
    ],
  );
}

/** 84% ± 3 */
function overSeeds(values: readonly number[]): string {
  return `${percent(mean(values))} ± ${(100 * sampleDeviation(values)).toFixed(1)}`;
}

function evaluationTable(groups: readonly RunGroup[]): string | null {
  const names = new Set(
    groups.flatMap(({ runs }) => runs.flatMap((run) => run.evaluations.map(({ name }) => name))),
  );
  if (names.size === 0) return null;
  const trained = groups.filter(({ runs }) => runs.some(({ evaluations }) => evaluations.length > 0));
  const cell = ({ runs }: RunGroup, name: string) => {
    const found = runs.flatMap(({ evaluations }) => evaluations.filter((one) => one.name === name).slice(-1));
    if (found.length === 0) return '-';
    const values = found.map(({ accuracy }) => accuracy);
    return values.length === 1 ? percent(values[0]!) : overSeeds(values);
  };
  return markdownTable(
    ['right, all questions', ...headings(trained)],
    [...names].map((name) => [name, ...trained.map((group) => cell(group, name))]),
  );
}

function behaviourRows(groups: readonly RunGroup[]): string | null {
  const measured = groups.filter(({ runs }) => runs.some(({ last }) => last !== null));
  if (measured.length === 0) return null;
  const row = (
    title: string,
    of: (behaviour: Behaviour) => number | null,
    show: (value: number) => string,
  ) => [
    title,
    ...measured.map(({ runs }) => {
      const values = runs.flatMap(({ last }) => (last === null ? [] : (of(last.behaviour) ?? [])));
      return values.length === 0 ? '-' : show(mean(values));
    }),
  ];
  const digits = (n: number) => (value: number) => value.toFixed(n);
  return markdownTable(
    ['', ...headings(measured)],
    [
      row('response tokens', (b) => b.response_tokens, digits(0)),
      row('responses with code', (b) => b.code_ratio, percent),
      row('lines of code', (b) => b.code_lines, digits(1)),
      row('last program passed, right answers', (b) => b.last_pass_rate.right, percent),
      row('last program passed, wrong answers', (b) => b.last_pass_rate.wrong, percent),
      row('first program at', (b) => b.first_call_at, percent),
      row('turns', (b) => b.turns, digits(2)),
      row('calls that failed', (b) => b.error_rate, percent),
      row('calls that timed out', (b) => b.timeout_rate, percent),
      row('responses that corrected a program', (b) => b.self_correction_rate, percent),
      row('responses that checked a result', (b) => b.self_check_rate, percent),
    ],
  );
}

function settingsTable(groups: readonly RunGroup[]): string | null {
  const differing = differingKeys(groups);
  if (differing.size === 0) return null;
  return markdownTable(
    ['key', ...headings(groups)],
    [...differing].map(([key, values]) => [
      `\`${key}\``,
      ...values.map((value) => (value === undefined ? '-' : `\`${value}\``)),
    ]),
  );
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${header.map((_, i) => (i === 0 ? '---' : '--:')).join('|')}|`;
  return [line(header), rule, ...rows.map(line)].join('\n');
}

/** What is plotted over RL steps. */
const kStepPlots = [
  { name: 'reward', title: 'Reward', field: 'reward' },
  { name: 'solved', title: 'Right answers in training', field: 'solved', percent: true },
  { name: 'calls', title: 'Calls per trajectory', field: 'calls_per_trajectory' },
  { name: 'response-tokens', title: 'Response length (tokens of the policy)', field: 'policy_tokens' },
  { name: 'entropy', title: 'Entropy (nats per token)', field: 'entropy' },
] as const;

/** The plots for which there are numbers. */
export function comparisonPlots(groups: readonly RunGroup[]): NamedPlot[] {
  const seeds = groups.some(({ runs }) => runs.length > 1);
  const note = seeds ? { note: 'Line: mean over seeds. Band: least to largest.' } : {};
  const plots: NamedPlot[] = [];
  const add = (
    name: string,
    title: string,
    values: (run: ComparedRun) => { x: number; y: number }[],
    share: boolean,
    xLabel: string,
  ) => {
    const series = groups
      .map((group) => ({ name: group.name, points: band(group.runs.map(values)) }))
      .filter(({ points }) => points.length > 0);
    if (series.length === 0) return;
    plots.push({ name, title, svg: linePlot(series, { title, xLabel, percent: share, ...note }) });
  };
  for (const { name, title, field, ...rest } of kStepPlots) {
    const values = ({ steps }: ComparedRun) =>
      steps.map((step) => ({ x: Number(step.phase_step), y: Number(step[field]) }));
    add(name, title, values, 'percent' in rest, 'RL step');
  }
  const evaluated = ({ evaluations }: ComparedRun) =>
    evaluations
      .filter(({ name }) => !name.endsWith(', no tool'))
      .map(({ step, accuracy }) => ({ x: step, y: accuracy }));
  add('evaluation', 'Right answers, held-out questions', evaluated, true, 'step (all phases)');
  return plots;
}

/** Mean, least and largest at every x that any run has. */
function band(runs: readonly (readonly { x: number; y: number }[])[]): PlotPoint[] {
  const at = new Map<number, number[]>();
  for (const points of runs) {
    for (const { x, y } of points) at.set(x, [...(at.get(x) ?? []), y]);
  }
  return [...at]
    .sort(([a], [b]) => a - b)
    .map(([x, values]) => ({ x, y: mean(values), low: Math.min(...values), high: Math.max(...values) }));
}
