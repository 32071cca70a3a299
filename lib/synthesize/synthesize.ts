/**
 * Cold-start synthesis from start to end: plan, attempts, selection, files, check, report. Prints nothing; can be killed at any
 * time and started again, and then asks nothing that was answered before.
 */
import { setMaxListeners } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { writeAtomically } from '../run/directory.ts';
import { takeLock } from '../run/lock.ts';
import { formats } from '../text/formats/index.ts';
import { openPythonTool } from '../tools/python.ts';
import type { Tool } from '../tools/tool.ts';
import { type Attempt, type AttemptPlan, makeAttempt } from './attempt.ts';
import { identity, type Synthesis } from './config.ts';
import { openProgress } from './progress.ts';
import { planSynthesis, type SynthesisPlan } from './questions.ts';
import { countAttempts, countBy, reportPage, type SynthesisReport } from './report.ts';
import { checkDisjoint, droppedRow, questionRow, rlQuestions, traceRow, writeRows } from './results.ts';
import { selectTraces } from './select.ts';
import { openTeacher, type Teacher } from './teacher.ts';

export interface SynthesisOptions {
  readonly signal?: AbortSignal;
  /** Told once at the start, and after each attempt. */
  readonly onProgress?: (progress: {
    done: number;
    total: number;
    right: number;
    remembered: number;
  }) => void;
  /** Instead of Python; the caller closes it. */
  readonly tool?: Tool;
}

/** Makes the files of `settings.out`. Rejects with the signal's reason when aborted; what was answered is kept. */
export async function synthesize(
  settings: Synthesis,
  options: SynthesisOptions = {},
): Promise<SynthesisReport> {
  const { out, format: formatName } = settings;
  const format = formats[formatName];
  const plan = await planSynthesis(settings);
  mkdirSync(out, { recursive: true });
  const unlock = takeLock(out);
  const opened: (() => Promise<void>)[] = [];
  try {
    const progress = openProgress(join(out, 'progress.jsonl'), identity(settings));
    // The tool's launcher is forked before a local model makes the process grow.
    const tool = options.tool ?? (await openTool(settings));
    if (options.tool === undefined) opened.push(() => tool.close());
    const teacher = await openTeacher(settings.teacher, format, plan.tasks);
    opened.push(() => teacher.close());
    const judge = settings.judge === null ? null : await openTeacher(settings.judge, format, plan.tasks);
    if (judge !== null) opened.push(() => judge.close());

    const context = {
      settings,
      format,
      teacher,
      judge,
      tool,
      progress,
      verify: verifier(plan),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
    const attempts = await attemptAll(
      plan,
      settings.teacher.concurrency,
      options,
      progress.found,
      (each, signal) => makeAttempt(each, { ...context, signal }),
    );
    const judged = selectTraces(attempts, {
      perTask: settings.keep.per_task,
      multiTurnWeight: settings.keep.multi_turn_weight,
      seed: settings.seed,
    });
    return await writeResults(settings, plan, judged, teacher, judge);
  } finally {
    for (const close of opened.reverse()) await close();
    unlock();
  }
}

function openTool({ tool: { python, workers, unsafe } }: Synthesis): Promise<Tool> {
  return openPythonTool({
    ...(python === null ? {} : { python }),
    ...(workers === 0 ? {} : { workers }),
    unsafe,
  });
}

function verifier({ tasks }: SynthesisPlan) {
  return (question: AttemptPlan['question'], answer: string | null) => {
    const task = tasks.get(question.task);
    if (task === undefined) throw new TypeError(`there is no task ${question.task} to verify an answer with`);
    return task.verify(question, answer);
  };
}

/** So many attempts lost in a row say that the teacher or the tool is gone (or twice as many as are made at once). */
const kLostInARow = 10;

/** All attempts in the plan's order, `concurrency` jobs at once. The first failure that ends the run cancels the others. */
async function attemptAll(
  { jobs }: SynthesisPlan,
  concurrency: number,
  { signal, onProgress }: SynthesisOptions,
  remembered: number,
  make: (plan: AttemptPlan, signal: AbortSignal) => Promise<Attempt>,
): Promise<Attempt[]> {
  const results: Attempt[][] = jobs.map(() => []);
  const total = jobs.reduce((sum, job) => sum + job.length, 0);
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  setMaxListeners(0, either); // as many as attempts are made at once, which is no leak
  let next = 0;
  let done = 0;
  let right = 0;
  let lost = 0;
  const most = Math.max(kLostInARow, 2 * concurrency);
  const tell = () => onProgress?.({ done, total, right, remembered });
  tell();
  const work = async (): Promise<void> => {
    while (next < jobs.length && !either.aborted) {
      const index = next++;
      for (const plan of jobs[index]!) {
        const attempt = await make(plan, either);
        results[index]!.push(attempt);
        done += 1;
        if (attempt.dropped === null) right += 1;
        lost = attempt.dropped === 'infrastructure' ? lost + 1 : 0;
        if (lost >= most) {
          throw new ToolgradError(
            'ERR_ENDPOINT',
            `${lost} attempts in a row could not be made; what was answered is kept. The last failure: ${attempt.detail}`,
          );
        }
        tell();
      }
    }
  };
  const workers = Array.from({ length: Math.min(concurrency, jobs.length) }, () =>
    work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  // Every worker is awaited, so that nothing runs on after a failure; the first failure is what is thrown.
  await Promise.allSettled(workers);
  signal?.throwIfAborted();
  failed.signal.throwIfAborted();
  return results.flat();
}

async function writeResults(
  settings: Synthesis,
  plan: SynthesisPlan,
  judged: readonly Attempt[],
  teacher: Teacher,
  judge: Teacher | null,
): Promise<SynthesisReport> {
  const { out, mode, format, seed, questions } = settings;
  const kept = judged.filter(({ dropped }) => dropped === null);
  const rl = rlQuestions(kept, plan.asked, plan.rl, questions.unsolved_to_rl);
  writeRows(join(out, 'sft.jsonl'), kept.map(traceRow));
  writeRows(join(out, 'rl.jsonl'), rl.map(questionRow));
  writeRows(join(out, 'dropped.jsonl'), judged.filter(({ dropped }) => dropped !== null).map(droppedRow));
  await checkDisjoint(out);
  const statuses = kept.flatMap((attempt) => attempt.statuses);
  const report: SynthesisReport = {
    mode,
    format,
    seed,
    teacher: teacher.describe,
    judge: judge?.describe ?? null,
    asked: plan.asked.length,
    traces: kept.length,
    tracedQuestions: new Set(kept.map((attempt) => attempt.plan.question.id)).size,
    rl: rl.length,
    all: countAttempts(judged),
    tasks: countBy(judged, (attempt) => attempt.plan.question.task),
    styles: countBy(judged, (attempt) => attempt.plan.style),
    calls: statuses.length,
    failedCalls: statuses.filter((status) => status !== 'ok').length,
    replacedOutputs: kept.reduce((sum, { replaced }) => sum + replaced, 0),
  };
  writeAtomically(join(out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeAtomically(join(out, 'report.md'), reportPage(report));
  return report;
}
