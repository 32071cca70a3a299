/**
 * What every verifier of a published suite is put through: canonical answers accepted, differently written right answers
 * accepted, degenerate ones rejected, a constant answer right no more often than its class, and hostile text (up to the longest
 * that is read) answered with a verdict within 50 ms, never with an exception.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { kLongestAnswer, type SuiteQuestion, type SuiteTask } from '../../lib/tasks/suites/suite.ts';

/** `../shared/data` beside the checkout: the published questions in full. Null where it is not there. */
export const sharedData: URL | null = (() => {
  const url = new URL('../../../shared/data/', import.meta.url);
  return existsSync(url) ? url : null;
})();

/** Lines of a JSONL file under ../shared/data. */
export function sharedLines(name: string): Record<string, unknown>[] {
  if (sharedData === null) throw new Error('../shared/data is not there: check sharedData first');
  return readFileSync(new URL(name, sharedData), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export interface VerifierCase {
  readonly task: SuiteTask;
  /** At least two questions. */
  readonly questions: readonly SuiteQuestion[];
  /** Right answers written differently from the canonical one; at least one in all. */
  readonly accepted: (question: SuiteQuestion) => readonly string[];
  /** Wrong answers of the task's own kind: an illegal move, a number of the wrong multiplicity, a wrong shape. */
  readonly rejected: (question: SuiteQuestion) => readonly string[];
  /** Degenerate answers that are right here after all, each with the reason. */
  readonly exceptions?: ReadonlyMap<string, string>;
  /** Where any of several answers is right, canonical answers of other questions may be right too: the reason. */
  readonly manyRightAnswers?: string;
}

export interface VerifierReport {
  readonly task: string;
  readonly questions: number;
  readonly degenerate: number;
  readonly p99Milliseconds: number;
}

/** Answers that no verifier should accept, whatever the question. */
export function degenerateAnswers(question: SuiteQuestion): readonly string[] {
  const { prompt, answer } = question;
  return [
    '',
    ' \t\n',
    'I do not know',
    'null',
    'undefined',
    'NaN',
    '[]',
    '{}',
    '()',
    '\u0000',
    prompt,
    `${answer} ${answer}`,
    `${answer} or not ${answer}`,
    `${prompt}\n${answer}`,
    `not ${answer}`,
    `${answer}\n`.repeat(3),
    '(A) (B) (C) (D) (E) (F) (G)',
    'True False',
    'Yes No',
    '0 1 2 3 4 5 6 7 8 9',
    '__import__("os").system("true")',
  ];
}

/** Text made to cost time or to break a parser. */
export const kHostile: readonly string[] = [
  '('.repeat(kLongestAnswer),
  '['.repeat(kLongestAnswer),
  '{"a":'.repeat(kLongestAnswer / 8),
  '9'.repeat(kLongestAnswer),
  '-'.repeat(kLongestAnswer),
  '1+'.repeat(kLongestAnswer / 2),
  '2**'.repeat(kLongestAnswer / 4),
  '9**9**9**9',
  '1e999999999',
  '1/0',
  `${'1,'.repeat(kLongestAnswer / 2 - 1)}1`,
  ' '.repeat(kLongestAnswer),
  '\n'.repeat(kLongestAnswer),
  `${' '.repeat(kLongestAnswer - 1)}x`,
  'a '.repeat(kLongestAnswer / 2),
  '\\frac{'.repeat(kLongestAnswer / 8),
  '\\sqrt{'.repeat(kLongestAnswer / 8),
  '\ud800\udfff\ufeff\u202e\u0000',
  '__proto__',
  '{"__proto__": {"x": 1}}',
  'constructor',
  '[[[[[[[[1]]]]]]]]',
  `["${'a'.repeat(kLongestAnswer - 8)}"]`,
  Array.from({ length: 4000 }, (_, i) => `move ${i} to ${i + 1}`).join('\n'),
  Array.from({ length: 8000 }, (_, i) => `${i},${i}`).join(' '),
];

/** Puts a verifier through everything above; logs and returns a line of figures. */
export function checkVerifier(t: ExecutionContext, given: VerifierCase): VerifierReport {
  const { task, questions, exceptions = new Map<string, string>() } = given;
  const times: number[] = [];
  const verify = (question: SuiteQuestion, answer: string): boolean => {
    const started = performance.now();
    const verdict = task.verify({ meta: {}, ...question }, answer);
    times.push(performance.now() - started);
    t.is(typeof verdict.correct, 'boolean');
    t.true(typeof verdict.reason === 'string' && verdict.reason !== '', `${task.name}: a reason is given`);
    return verdict.correct;
  };
  const shown = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
  t.true(questions.length >= 2, `${task.name}: at least two questions`);
  let degenerate = 0;
  let otherwise = 0;
  for (const question of questions) {
    t.true(
      verify(question, question.answer),
      `${task.name} ${question.id}: canonical ${shown(question.answer)}`,
    );
    for (const answer of given.accepted(question)) {
      if (answer !== question.answer) otherwise += 1;
      t.true(verify(question, answer), `${task.name} ${question.id}: should accept ${shown(answer)}`);
    }
    for (const answer of [...degenerateAnswers(question), ...given.rejected(question)]) {
      if (exceptions.has(answer)) continue;
      degenerate += 1;
      t.false(verify(question, answer), `${task.name} ${question.id}: should reject ${shown(answer)}`);
    }
  }
  t.true(otherwise > 0, `${task.name}: at least one differently written right answer`);
  t.true(degenerate >= 10 * questions.length, `${task.name}: at least ten degenerate answers a question`);
  for (const question of questions.slice(0, 2)) for (const answer of kHostile) verify(question, answer);

  if (given.manyRightAnswers === undefined) {
    const classes = new Map<string, number>();
    for (const { answer } of questions) classes.set(answer, (classes.get(answer) ?? 0) + 1);
    const common = [...classes].sort((a, b) => b[1] - a[1]).slice(0, 5);
    for (const [answer, size] of common) {
      const right = questions.filter((question) => verify(question, answer)).length;
      t.is(
        right,
        size,
        `${task.name}: the constant answer ${shown(answer)} is right ${right} times, its class has ${size}`,
      );
    }
  }
  times.sort((a, b) => a - b);
  const worst = times.at(-1) ?? 0;
  const p99 = times[Math.floor(0.99 * (times.length - 1))] ?? 0;
  // The limit is 50 ms of the verifier's own time; a busy machine may take the processor away for longer.
  t.true(worst < 500, `${task.name}: slowest verdict ${worst.toFixed(1)} ms`);
  t.true(p99 < 50, `${task.name}: p99 ${p99.toFixed(2)} ms`);
  t.log(
    `${task.name}: ${questions.length} questions, ${degenerate} degenerate answers rejected, p99 ${p99.toFixed(2)} ms, slowest ${worst.toFixed(1)} ms`,
  );
  return { task: task.name, questions: questions.length, degenerate, p99Milliseconds: p99 };
}
