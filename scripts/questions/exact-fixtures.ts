/**
 * Writes the fixtures of the BBH and SymBench verifiers that compare with one right answer: two questions a task, out of
 * ../shared/data beside the checkout.
 *
 *   npx tsx scripts/questions/exact-fixtures.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type BbhTask, bbhTasks } from '../../lib/tasks/suites/bbh/index.ts';
import type { SuiteQuestion } from '../../lib/tasks/suites/suite.ts';
import { sharedData, sharedLines } from '../../test/support/suites.ts';
import { type BbhRecord, bbhQuestions } from './bbh.ts';
import { exactSources } from './symbench/exact-sources.ts';
import { type SymbenchRecord, type SymbenchSource, symbenchQuestions } from './symbench/records.ts';

/** Questions by task, with where they come from. */
export interface SuiteFixture {
  readonly source: string;
  readonly questions: Readonly<Record<string, readonly SuiteQuestion[]>>;
}

/** The published examples of a BBH task; ../shared/data must be there. */
export function bbhRecords({ name }: BbhTask): readonly BbhRecord[] {
  const text = readFileSync(new URL(`bbh/${name}.json`, sharedData!), 'utf8');
  return (JSON.parse(text) as { examples: BbhRecord[] }).examples;
}

/** The published records of a SymBench task; ../shared/data must be there. */
export function symbenchRecords({ files }: SymbenchSource): readonly SymbenchRecord[] {
  return files.flatMap((file) => sharedLines(`symbench/${file}.jsonl`) as unknown as SymbenchRecord[]);
}

/** The first question and the last one with another answer. */
function two(questions: readonly SuiteQuestion[]): SuiteQuestion[] {
  const [first] = questions;
  const last = questions.findLast(({ answer }) => answer !== first?.answer);
  if (first === undefined || last === undefined) throw new Error('expected questions with different answers');
  return [first, last];
}

/** The fixtures by file name. */
export function exactFixtures(): Readonly<Record<string, SuiteFixture>> {
  return {
    'bbh.json': {
      source: 'BIG-Bench Hard, Copyright (c) 2022 suzgunmirac, MIT License',
      questions: Object.fromEntries(
        bbhTasks.map((task) => [task.name, two(bbhQuestions(task, bbhRecords(task)).questions)]),
      ),
    },
    'symbench-exact.json': {
      source: 'SymBench, from https://github.com/yongchao98/CodeSteer-v1.0, Apache License 2.0',
      questions: Object.fromEntries(
        exactSources.map((source) => [source.task, two(symbenchQuestions(source, symbenchRecords(source)))]),
      ),
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (sharedData === null)
    throw new Error('expected ../shared/data beside the checkout: it holds the questions');
  for (const [name, fixture] of Object.entries(exactFixtures())) {
    const path = new URL(`../../test/fixtures/suites/${name}`, import.meta.url);
    writeFileSync(path, `${JSON.stringify(fixture, null, 1)}\n`);
  }
}
