/**
 * Questions of BIG-Bench Hard (Suzgun et al. 2022, MIT licence) from its published files, `{examples: [{input, target}]}`.
 *
 * The prompt is the input and one line that asks for the answer in the task's form. A few published questions have no right
 * answer; `bbhDefect` says which and why, and they are left out.
 */
import { trimBlanks } from '../../lib/tasks/answer.ts';
import { optionsOf } from '../../lib/tasks/suites/bbh/choices.ts';
import type { BbhForm, BbhTask } from '../../lib/tasks/suites/bbh/index.ts';
import type { SuiteQuestion } from '../../lib/tasks/suites/suite.ts';
import { placeContent } from '../../lib/tasks/task.ts';

/** One example of a published file. */
export interface BbhRecord {
  readonly input: string;
  readonly target: string;
}

/** The line that asks for the answer. */
function requestLine(form: BbhForm): string {
  if (form === 'option')
    return 'Give the final answer as <<<(X)>>>, where X is the letter of the right option.';
  if (form === 'integer') return 'Give the final answer as <<<number>>>.';
  if (form === 'words') return 'Give the final answer as <<<words>>>, the sorted words separated by blanks.';
  if (form === 'brackets') {
    // Without the blanks an answer that ends in > could not be told from its marker.
    return (
      'Give the final answer as <<< brackets >>>: only the missing closing brackets, separated by blanks, ' +
      'with a blank after <<< and before >>>.'
    );
  }
  return `Give the final answer as <<<${form[0]}>>> or <<<${form[1]}>>>.`;
}

/** Why a published question has no right answer; undefined where it has one. */
export function bbhDefect({ form }: BbhTask, { input, target }: BbhRecord): string | undefined {
  if (form !== 'option') return undefined;
  const options = optionsOf(input);
  const right = options.get(target.replace(/^\(([A-Z])\)$/, '$1'));
  if (right === undefined) return `the target ${JSON.stringify(target)} is not one of the options`;
  if ([...options.values()].filter((text) => text === right).length > 1) {
    return `two options are the same as the right one, ${JSON.stringify(right)}`;
  }
  return undefined;
}

/** The question of a record; null where it has no right answer. */
export function bbhQuestion(task: BbhTask, record: BbhRecord): SuiteQuestion | null {
  if (bbhDefect(task, record) !== undefined) return null;
  const input = trimBlanks(record.input);
  return {
    id: placeContent(`bbh/${task.name}`, input).id,
    prompt: `${input}\n${requestLine(task.form)}`,
    answer: record.target,
    meta: {},
  };
}

/** The questions of a file, and what is left out with the reason. */
export interface BbhQuestions {
  readonly questions: readonly SuiteQuestion[];
  readonly leftOut: readonly { readonly index: number; readonly reason: string }[];
}

/** The different questions of a published file: repeated ones once, those that are repeated with another answer not at all. */
export function bbhQuestions(task: BbhTask, records: readonly BbhRecord[]): BbhQuestions {
  const leftOut: { index: number; reason: string }[] = [];
  const places = new Map<string, { index: number; question: SuiteQuestion }[]>();
  for (const [index, record] of records.entries()) {
    const question = bbhQuestion(task, record);
    if (question === null) {
      leftOut.push({ index, reason: bbhDefect(task, record)! });
      continue;
    }
    const same = places.get(question.id) ?? [];
    same.push({ index, question });
    places.set(question.id, same);
  }
  const questions: SuiteQuestion[] = [];
  for (const same of places.values()) {
    const contradictory = new Set(same.map(({ question }) => question.answer)).size > 1;
    const kept = contradictory ? [] : same.slice(0, 1);
    questions.push(...kept.map(({ question }) => question));
    for (const { index } of same.slice(kept.length)) {
      const others = same.filter((other) => other.index !== index).map((other) => other.index);
      leftOut.push({
        index,
        reason: `example ${others.join(', ')} is the same${contradictory ? ' with another answer' : ''}`,
      });
    }
  }
  return { questions, leftOut: leftOut.sort((a, b) => a.index - b.index) };
}
