/**
 * Writes the fixture of the mathematical suite tasks: six questions of each, out of ../shared/data beside the checkout.
 *
 *   npx tsx scripts/questions/math-fixture.ts
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SuiteQuestion } from '../../lib/tasks/suites/suite.ts';
import type { GsmRecord } from '../../lib/tasks/suites/symbench/gsm.ts';
import { sharedData, sharedLines } from '../../test/support/suites.ts';
import { gsmQuestions } from './gsm.ts';
import { mathQuestions, mathSources } from './symbench/math.ts';
import type { SymbenchRecord } from './symbench/records.ts';

/** Questions by task, and the GSM8K records that variations are made of. */
export interface MathFixture {
  readonly source: string;
  readonly records: readonly GsmRecord[];
  readonly questions: Readonly<Record<string, readonly SuiteQuestion[]>>;
}

const kSeed = 1;
const kEach = 6;

/** The published questions of a task of MATH; ../shared/data must be there. */
export function publishedMath(task: string): SuiteQuestion[] {
  const source = mathSources.find((other) => other.task === task)!;
  return mathQuestions(task, sharedLines(`symbench/${source.file}.jsonl`) as unknown as SymbenchRecord[]);
}

/** The training records of GSM8K; ../shared/data must be there. */
export function gsmRecords(): GsmRecord[] {
  return sharedLines('gsm8k/train.jsonl') as unknown as GsmRecord[];
}

/** Short questions with different answers, evenly taken. */
function few(questions: readonly SuiteQuestion[]): SuiteQuestion[] {
  const short = questions.filter(({ prompt }) => prompt.length < 400);
  const found = new Map<string, SuiteQuestion>();
  for (let i = 0; found.size < kEach; i++) {
    const question = short[Math.floor((i * short.length) / (2 * kEach))];
    if (question === undefined) throw new Error('expected more questions with different answers');
    if (!found.has(question.answer)) found.set(question.answer, question);
  }
  return [...found.values()];
}

export function mathFixture(): MathFixture {
  const published = mathSources.map(({ task }) => [task, few(publishedMath(task))] as const);
  const records = gsmRecords()
    .slice(0, 60)
    .filter((record) => gsmQuestions([record], 1, kSeed).length === 1)
    .slice(0, 10);
  return {
    source:
      'MATH, Copyright (c) 2021 Dan Hendrycks, MIT License; GSM8K, Copyright (c) 2021 OpenAI, MIT License, and variations of it',
    records,
    questions: Object.fromEntries([...published, ['gsm', gsmQuestions(records, kEach, kSeed)]]),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (sharedData === null)
    throw new Error('expected ../shared/data beside the checkout: it holds the questions');
  const path = new URL('../../test/fixtures/suites/math.json', import.meta.url);
  writeFileSync(path, `${JSON.stringify(mathFixture(), null, 1)}\n`);
}
