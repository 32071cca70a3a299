/**
 * Questions of SymBench (CodeSteer's public data, Apache-2.0): one JSON object a line, the files of a folder by name. Where
 * there is a question.txt it is the prompt, unchanged.
 *
 * Everything is read from the question's own text, so that what a question says and what its stored answer says are
 * independent: `published` is the stored answer, `recomputed` what follows from the rules in the question.
 */
import { trimBlanks } from '../../../lib/tasks/answer.ts';
import type { SuiteQuestion } from '../../../lib/tasks/suites/suite.ts';
import { placeContent } from '../../../lib/tasks/task.ts';

/** One line of a published file. */
export interface SymbenchRecord {
  readonly id: string;
  readonly files: Readonly<Record<string, string>>;
}

/** A published question: its text and solution.json. */
export interface Published<S> {
  readonly text: string;
  readonly solution: S;
}

/** What makes a question of a record. */
export interface Reading {
  /** What makes two questions the same: operands, never wording. */
  readonly content: string;
  readonly prompt: string;
  /** The stored answer in canonical form. */
  readonly published: string;
  /** The answer that follows from the question's own rules. */
  readonly recomputed: string;
  readonly meta: Readonly<Record<string, unknown>>;
}

/** How the questions of one task are made. */
export interface SymbenchSource {
  /** The task's name, without the suite's. */
  readonly task: string;
  /** The published files without `.jsonl`. */
  readonly files: readonly string[];
  /** What a record says; null where it is no question. Throws for a record that is not like the published ones. */
  read(record: SymbenchRecord): Reading | null;
}

/** Reads question.txt and solution.json; null for a record without question.txt. */
export function publishedIn<S>({ files }: SymbenchRecord): Published<S> | null {
  const text = files['question.txt'];
  const solution = files['solution.json'];
  return text === undefined || solution === undefined
    ? null
    : { text: trimBlanks(text), solution: JSON.parse(solution) as S };
}

/** The groups of the first match; throws where there is none. */
export function groupsIn(text: string, pattern: RegExp): string[] {
  const found = pattern.exec(text);
  if (found === null) throw new Error(`expected ${pattern} in the question, found ${JSON.stringify(text)}`);
  return found.slice(1).map((group) => group ?? '');
}

/** The question of a record; null where it is none. Where the rules contradict the stored answer, the rules hold. */
export function symbenchQuestion(source: SymbenchSource, record: SymbenchRecord): SuiteQuestion | null {
  const reading = source.read(record);
  if (reading === null) return null;
  const { content, prompt, recomputed, meta } = reading;
  return { id: placeContent(`symbench/${source.task}`, content).id, prompt, answer: recomputed, meta };
}

/** The different questions of a task's published records, in their order. */
export function symbenchQuestions(
  source: SymbenchSource,
  records: readonly SymbenchRecord[],
): SuiteQuestion[] {
  const found = new Map<string, SuiteQuestion>();
  for (const record of records) {
    const question = symbenchQuestion(source, record);
    if (question === null) continue;
    const same = found.get(question.id);
    if (same === undefined) found.set(question.id, question);
    else if (same.answer !== question.answer) {
      throw new Error(
        `${record.id}: the same question as one with the answer ${same.answer}, found ${question.answer}`,
      );
    }
  }
  return [...found.values()];
}
