/**
 * Which questions the teacher is asked and which are kept for RL: a function of the settings alone, so that a run that goes on
 * asks the same. The two never meet; both are training questions, never held-out ones. A published task gives its cold-start set
 * to the teacher and its training set to RL.
 */
import { basename } from 'node:path';
import { loadTaskFile } from '../tasks/files.ts';
import { DataError, loadJsonlTask } from '../tasks/jsonl.ts';
import { isPublishedTask } from '../tasks/suites/index.ts';
import { isFixedTask, type Question, questions, type Task } from '../tasks/task.ts';
import { namedTasks, tasksByName } from '../train/question-sources.ts';
import type { AttemptPlan } from './attempt.ts';
import type { StyleName, Synthesis } from './config.ts';

export interface SynthesisPlan {
  readonly tasks: ReadonlyMap<string, Task>;
  /** Attempts at one question after another; a list is worked through in order. */
  readonly jobs: readonly (readonly AttemptPlan[])[];
  /** Questions of the teacher, and those kept for RL. */
  readonly asked: readonly Question[];
  readonly rl: readonly Question[];
}

/** Works out all attempts. Errors: those of the tasks and files. */
export function planSynthesis(settings: Synthesis): Promise<SynthesisPlan> {
  return settings.mode === 'rewrite' ? planRewriting(settings) : planTraces(settings);
}

async function planTraces(settings: Synthesis): Promise<SynthesisPlan> {
  const tasks = await tasksOf(settings);
  const { ask, rl: keep } = settings.questions;
  const asked: Question[] = [];
  const rl: Question[] = [];
  const taken = new Set<string>();
  const prompts = new Set<string>();
  for (const task of tasks.values()) {
    const drawn = drawBoth(task, ask, keep, settings.seed, taken);
    for (const [list, into] of [
      [drawn.asked, asked],
      [drawn.rl, rl],
    ] as const) {
      for (const question of list) {
        const text = contentOf(question.prompt);
        if (taken.has(question.id) || prompts.has(text)) continue;
        taken.add(question.id);
        prompts.add(text);
        into.push(question);
      }
    }
  }
  const jobs = asked.flatMap((question) =>
    (Object.keys(settings.styles) as StyleName[]).flatMap((style) =>
      Array.from({ length: settings.styles[style] }, (_, i) => [
        { id: `${question.id}/${style}/${i}`, question, style },
      ]),
    ),
  );
  return { tasks, jobs, asked, rl };
}

async function tasksOf({ tasks: { names, files, answers } }: Synthesis): Promise<Map<string, Task>> {
  const tasks = await namedTasks(names);
  for (const file of files) {
    const name = basename(file).replace(/\.(jsonl|csv)$/i, '');
    tasks.push(await loadTaskFile(file, { split: 'train', name, answers }));
  }
  return tasksByName(tasks);
}

function drawBoth(
  task: Task,
  ask: number,
  keep: number,
  seed: number,
  taken: ReadonlySet<string>,
): { asked: Question[]; rl: Question[] } {
  if (isPublishedTask(task)) {
    return { asked: task.draw('coldStart', ask, seed, taken), rl: task.draw('training', keep, seed, taken) };
  }
  // A file with too few questions for both is shared in proportion.
  const there = isFixedTask(task)
    ? task.items('train').filter(({ id }) => !taken.has(id)).length
    : Number.POSITIVE_INFINITY;
  const both = Math.min(ask + keep, there);
  const first = both === ask + keep ? ask : Math.ceil((both * ask) / (ask + keep));
  const drawn = questions(task, 'train', both, seed, { exclude: taken });
  return { asked: drawn.slice(0, first), rl: drawn.slice(first) };
}

async function planRewriting({ rewrite }: Synthesis): Promise<SynthesisPlan> {
  const file = rewrite.solutions ?? '';
  const name = basename(file).replace(/\.jsonl$/i, '');
  const task = await loadJsonlTask(file, { split: 'train', name, answers: rewrite.answers });
  const asked = [...task.items('train')];
  const jobs = asked.map((question, index) => {
    const { solution } = question.meta ?? {};
    if (typeof solution !== 'string' || solution.trim() === '') {
      throw new DataError(
        file,
        0,
        `question ${index + 1} (${question.id}): expected solution to be a non-empty text`,
      );
    }
    return Array.from({ length: rewrite.attempts }, (_, i) => ({
      id: `${question.id}/rewrite/${i}`,
      question,
      style: 'rewrite' as const,
      solution,
    }));
  });
  return { tasks: new Map([[name, task]]), jobs, asked, rl: [] };
}

/** A question's text as contents are compared: Unicode composed, blanks alike. */
export function contentOf(prompt: string): string {
  return prompt.normalize('NFC').replace(/\s+/g, ' ').trim();
}
