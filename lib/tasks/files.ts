/**
 * A user's file of questions, JSON lines or CSV by its name: the task over it, and everything that is wrong with it at once,
 * where loading stops at the first defect.
 *
 * Looked for: rows without a question or an answer, questions and ids that occur twice, in one file or in both, and answers that
 * the task's own verifier does not accept.
 */
import { trimBlanks } from './answer.ts';
import { loadCsvTask, readCsv } from './csv.ts';
import {
  DataError,
  type JsonlOptions,
  type JsonlRow,
  loadJsonlTask,
  questionOfRow,
  readJsonl,
} from './jsonl.ts';
import type { FixedTask } from './task.ts';

/** The findings of `checkQuestionFile`. */
export interface FileReport {
  readonly train: number;
  readonly heldout: number;
  /** One sentence each, with file and line. Empty = nothing is wrong. */
  readonly defects: readonly string[];
}

const isCsv = (path: string) => path.toLowerCase().endsWith('.csv');

/** The task over a file of questions: CSV where its name ends in .csv, JSON lines otherwise. */
export function loadTaskFile(path: string, options: JsonlOptions = {}): Promise<FixedTask> {
  return isCsv(path) ? loadCsvTask(path, options) : loadJsonlTask(path, options);
}

/** The message of a defect of the data; anything else is thrown on. */
function defectOf(error: unknown): string {
  if (error instanceof DataError) return error.message;
  throw error;
}

/** Checks a file of questions; with `heldoutPath` the second file must share no question with the first. */
export async function checkQuestionFile(path: string, heldoutPath?: string): Promise<FileReport> {
  const defects: string[] = [];
  const places = new Map<string, string>();
  const once = (file: string, line: number, what: string, key: string) => {
    const place = places.get(key);
    if (place === undefined) places.set(key, `${file}:${line}`);
    else defects.push(`${file}:${line}: the same ${what} as in ${place}`);
  };

  for (const file of heldoutPath === undefined ? [path] : [path, heldoutPath]) {
    if (isCsv(file) !== isCsv(path))
      throw new TypeError(`expected two files of one kind, found ${path} and ${file}`);
    let rows: readonly JsonlRow[] = [];
    try {
      rows = await (isCsv(file) ? readCsv(file) : readJsonl(file));
    } catch (error) {
      defects.push(defectOf(error));
    }
    for (const row of rows) {
      try {
        once(file, row.line, 'question', `question ${trimBlanks(questionOfRow(file, row).prompt)}`);
      } catch (error) {
        defects.push(defectOf(error));
      }
      const { id } = row.fields;
      if (id !== undefined) once(file, row.line, 'id', `id ${id}`);
    }
  }
  if (defects.length > 0) return { train: 0, heldout: 0, defects };

  try {
    const task = await loadTaskFile(path, heldoutPath === undefined ? {} : { heldoutPath });
    for (const split of ['train', 'heldout'] as const) {
      for (const question of task.items(split)) {
        const { correct, reason } = task.verify(question, question.answer);
        if (!correct) defects.push(`${question.id}: its own answer is rejected: ${reason}`);
      }
    }
    return { train: task.items('train').length, heldout: task.items('heldout').length, defects };
  } catch (error) {
    return { train: 0, heldout: 0, defects: [defectOf(error)] };
  }
}
