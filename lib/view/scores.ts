/** The tables of an evaluation: what is right, with intervals, and how the tool was used. */
import type { AgentReport } from '../eval/report.ts';
import type { Estimate } from '../eval/statistics.ts';
import { percent, table } from './format.ts';

/** 64% [58, 70]: an estimate with its interval; a dash where nothing was measured. */
export function interval({ value, low, high, questions }: Estimate): string {
  if (questions === 0) return '-';
  return `${percent(value)} [${Math.round(100 * low)}, ${Math.round(100 * high)}]`;
}

/** Rows: tasks, sources, averages; columns: agents. */
export function scoreTable(reports: readonly AgentReport[]): string {
  const names = <T>(list: (report: AgentReport) => readonly T[], name: (item: T) => string) => [
    ...new Set(reports.flatMap((report) => list(report).map(name))),
  ];
  const tasks = names(
    ({ scores }) => scores.tasks,
    ({ task }) => task,
  );
  const sources = names(
    ({ scores }) => scores.sources,
    ({ source }) => source,
  );
  const ks = [...new Set(reports.flatMap(({ scores }) => Object.keys(scores.macro.pass)))];
  const row = (title: string, estimate: (report: AgentReport) => Estimate | undefined) => [
    title,
    ...reports.map((report) => {
      const found = estimate(report);
      return found === undefined ? '-' : interval(found);
    }),
  ];
  const of = (name: string) => (report: AgentReport) =>
    report.scores.tasks.find(({ task }) => task === name)?.mean;
  return table(
    ['held-out questions', ...reports.map(({ title }) => title)],
    [
      ...tasks.map((task) => row(task, of(task))),
      ...(sources.length < 2
        ? []
        : sources.map((source) =>
            row(`mean of ${source}`, ({ scores }) => scores.sources.find((s) => s.source === source)?.mean),
          )),
      row('mean over tasks', ({ scores }) => scores.macro.mean),
      ...ks.map((k) => row(`  pass@${k}`, ({ scores }) => scores.macro.pass[k])),
      row('all questions', ({ scores }) => scores.all.mean),
      ...ks.map((k) => row(`  pass@${k}`, ({ scores }) => scores.all.pass[k])),
      ['call Python', ...reports.map((report) => percent(report.call_share))],
    ],
  );
}

/** How the tool was used. */
export function behaviourTable(reports: readonly AgentReport[]): string {
  const share = (value: number | null) => (value === null ? '-' : percent(value));
  const row = (title: string, cell: (report: AgentReport['behaviour']) => string) => [
    title,
    ...reports.map(({ behaviour }) => cell(behaviour)),
  ];
  return table(
    ['behaviour', ...reports.map(({ title }) => title)],
    [
      row('response tokens', (b) => b.response_tokens.toFixed(0)),
      row('lines of code', (b) => b.code_lines.toFixed(1)),
      row('programs that passed', (b) => String(b.passing_programs)),
      row('last program passed, right answers', (b) => share(b.last_pass_rate.right)),
      row('last program passed, wrong answers', (b) => share(b.last_pass_rate.wrong)),
      row('first program at', (b) => share(b.first_call_at)),
      row('calls 0, 1, 2, ...', (b) => b.call_histogram.join(' ')),
      row('turns', (b) => b.turns.toFixed(2)),
      row('calls that failed', (b) => share(b.error_rate)),
      row('calls that timed out', (b) => share(b.timeout_rate)),
      row('responses that corrected a program', (b) => share(b.self_correction_rate)),
      row('responses that checked a result', (b) => share(b.self_check_rate)),
      row('seconds in programs', (b) => b.tool_seconds.toFixed(2)),
      row('other seconds', (b) => b.generation_seconds.toFixed(2)),
      ...purposeRows(reports),
    ],
  );
}

function purposeRows(reports: readonly AgentReport[]): string[][] {
  const [first] = reports;
  if (first === undefined) return [];
  const names = Object.keys(first.behaviour.purposes) as (keyof typeof first.behaviour.purposes)[];
  return names
    .filter((name) => reports.some(({ behaviour }) => behaviour.purposes[name] > 0))
    .map((name) => [`for ${name}`, ...reports.map(({ behaviour }) => String(behaviour.purposes[name]))]);
}
