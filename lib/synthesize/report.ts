/** What came of a synthesis, in numbers (report.json) and as a page (report.md): per task, per style, per reason. */
import { type Attempt, type DropReason, dropReasons } from './attempt.ts';
import type { Synthesis } from './config.ts';

/** Counts of some of the attempts. */
export interface Counts {
  readonly attempts: number;
  /** With a right answer and sound markup; not all of them are kept. */
  readonly right: number;
  readonly kept: number;
  readonly keptMultiTurn: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
}

export interface SynthesisReport {
  readonly mode: Synthesis['mode'];
  readonly format: Synthesis['format'];
  readonly seed: number;
  readonly teacher: string;
  readonly judge: string | null;
  /** Questions that were asked, lines of sft.jsonl and their different questions, lines of rl.jsonl. */
  readonly asked: number;
  readonly traces: number;
  readonly tracedQuestions: number;
  readonly rl: number;
  readonly all: Counts;
  readonly tasks: Readonly<Record<string, Counts>>;
  readonly styles: Readonly<Record<string, Counts>>;
  /** Of kept traces: calls, and those that did not end ok (and were repaired). */
  readonly calls: number;
  readonly failedCalls: number;
  /** Of kept rewritings: claimed outputs that were not the real ones. */
  readonly replacedOutputs: number;
}

export function countAttempts(attempts: readonly Attempt[]): Counts {
  const dropped = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;
  for (const attempt of attempts) if (attempt.dropped !== null) dropped[attempt.dropped] += 1;
  const kept = attempts.filter((attempt) => attempt.dropped === null);
  return {
    attempts: attempts.length,
    right: kept.length + dropped.duplicate + dropped.over_cap,
    kept: kept.length,
    keptMultiTurn: kept.filter(({ turns }) => turns.length > 1).length,
    dropped,
  };
}

/** The counts of the attempts of each value of `key`, in the order of first appearance. */
export function countBy(
  attempts: readonly Attempt[],
  key: (attempt: Attempt) => string,
): Record<string, Counts> {
  const lists = new Map<string, Attempt[]>();
  for (const attempt of attempts) {
    const list = lists.get(key(attempt));
    if (list === undefined) lists.set(key(attempt), [attempt]);
    else list.push(attempt);
  }
  return Object.fromEntries([...lists].map(([name, list]) => [name, countAttempts(list)]));
}

/** The report as Markdown; only reasons that occurred have a column. */
export function reportPage(report: SynthesisReport): string {
  const { all, tasks, styles } = report;
  const reasons = dropReasons.filter((reason) => all.dropped[reason] > 0);
  const head = [
    '',
    'attempts',
    'right',
    'kept',
    'of several turns',
    ...reasons.map((reason) => reason.replaceAll('_', ' ')),
  ];
  const row = (name: string, counts: Counts) => [
    name,
    counts.attempts,
    counts.right,
    counts.kept,
    counts.keptMultiTurn,
    ...reasons.map((reason) => counts.dropped[reason]),
  ];
  const table = (title: string, groups: Readonly<Record<string, Counts>>) => [
    `## By ${title}`,
    '',
    line(head.map((name, i) => (i === 0 ? title : name))),
    line(head.map((_, i) => (i === 0 ? '---' : '--:'))),
    ...Object.entries(groups).map(([name, counts]) => line(row(name, counts))),
    line(row('all', all)),
    '',
  ];
  return [
    '# Cold-start synthesis',
    '',
    `Teacher: ${report.teacher}. ${report.judge === null ? '' : `Judge: ${report.judge}. `}Mode ${report.mode}, format ${report.format}, seed ${report.seed}.`,
    '',
    `${report.asked} questions asked, ${all.attempts} attempts, ${all.right} right, ${report.traces} traces kept of ` +
      `${report.tracedQuestions} questions (sft.jsonl); ${report.rl} questions for RL (rl.jsonl), none of them in sft.jsonl (checked).`,
    '',
    `Kept traces make ${report.calls} calls, ${report.failedCalls} of which failed and were repaired.` +
      (report.mode === 'rewrite'
        ? ` ${report.replacedOutputs} outputs that the teacher claimed were not the real ones, and were replaced.`
        : ''),
    '',
    ...table('task', tasks),
    ...table('style', styles),
  ].join('\n');
}

function line(cells: readonly (string | number)[]): string {
  return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
}
