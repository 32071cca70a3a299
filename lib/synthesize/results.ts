/** The result files of a synthesis: sft.jsonl, rl.jsonl, dropped.jsonl, and the check that the first two share no question. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { writeAtomically } from '../run/directory.ts';
import { questionOfRow, readJsonl } from '../tasks/jsonl.ts';
import type { Question } from '../tasks/task.ts';
import type { Attempt } from './attempt.ts';
import { contentOf } from './questions.ts';

/** One line of sft.jsonl, as `loadTraces` reads it. */
export function traceRow({ plan, turns, statuses, replaced }: Attempt): object {
  const { id, task, prompt, answer } = plan.question;
  return {
    id,
    task,
    question: prompt,
    answer,
    style: plan.style,
    attempt: plan.id,
    turns,
    statuses,
    ...(plan.style === 'rewrite' ? { replaced_outputs: replaced } : {}),
  };
}

/** One line of rl.jsonl. */
export function questionRow({ id, task, prompt, answer, meta }: Question): object {
  return { id, task, question: prompt, answer, ...(meta === undefined ? {} : { meta }) };
}

/** One line of dropped.jsonl: what a drop looked like. */
export function droppedRow({ plan, turns, statuses, dropped, detail }: Attempt): object {
  const { id, task, answer } = plan.question;
  return { id, task, answer, style: plan.style, attempt: plan.id, reason: dropped, detail, turns, statuses };
}

/** Questions for RL: those kept for it, and with `unsolved` those of which no trace was kept. None is a question of `kept`. */
export function rlQuestions(
  kept: readonly Attempt[],
  asked: readonly Question[],
  reserved: readonly Question[],
  unsolved: boolean,
): Question[] {
  const ids = new Set(kept.map(({ plan }) => plan.question.id));
  const texts = new Set(kept.map(({ plan }) => contentOf(plan.question.prompt)));
  const candidates = unsolved ? [...reserved, ...asked] : reserved;
  return candidates.filter(({ id, prompt }) => !ids.has(id) && !texts.has(contentOf(prompt)));
}

/** Writes rows as JSON lines; the file appears complete or not at all. */
export function writeRows(path: string, rows: readonly object[]): void {
  writeAtomically(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/**
 * Reads both files as they lie there, and throws ERR_OVERLAP with the places when a question is in both, by its id or by its
 * text. Returns how many questions were compared.
 */
export async function checkDisjoint(folder: string): Promise<{ sft: number; rl: number }> {
  const places = new Map<string, string>();
  const [sftPath, rlPath] = [join(folder, 'sft.jsonl'), join(folder, 'rl.jsonl')];
  const sft = await keysOf(sftPath);
  for (const { line, keys } of sft) for (const key of keys) places.set(key, `${sftPath}:${line}`);
  const rl = await keysOf(rlPath);
  const met = rl.flatMap(({ line, keys }) => {
    const place = keys.map((key) => places.get(key)).find((found) => found !== undefined);
    return place === undefined ? [] : [`${rlPath}:${line} is the question of ${place}`];
  });
  if (met.length === 0) return { sft: sft.length, rl: rl.length };
  throw new ToolgradError(
    'ERR_OVERLAP',
    `${met.length} questions are in both files; RL would train on what the cold start has shown:\n` +
      `${met.slice(0, 10).join('\n')}${met.length > 10 ? '\n...' : ''}`,
  );
}

async function keysOf(path: string): Promise<{ line: number; keys: string[] }[]> {
  if (!existsSync(path))
    throw new ToolgradError('ERR_USAGE', `${path} is not there; expected the folder of a synthesis`);
  const rows = statSync(path).size === 0 ? [] : await readJsonl(path);
  return rows.map((row) => {
    const { prompt } = questionOfRow(path, row);
    const { id } = row.fields;
    return {
      line: row.line,
      keys: [`text ${contentOf(prompt)}`, ...(typeof id === 'string' ? [`id ${id}`] : [])],
    };
  });
}
