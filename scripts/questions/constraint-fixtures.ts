/**
 * Writes the fixture of the SymBench verifiers that check rules: two questions a task, out of ../shared/data beside the
 * checkout; of path_plan, which has no published questions, two generated ones.
 *
 *   npx tsx scripts/questions/constraint-fixtures.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createRandom } from '../../lib/tasks/random.ts';
import type { SuiteQuestion, SuiteTask } from '../../lib/tasks/suites/suite.ts';
import { constraintTasks } from '../../lib/tasks/suites/symbench/constraint-tasks.ts';
import { placeContent } from '../../lib/tasks/task.ts';
import { sharedData } from '../../test/support/suites.ts';
import { constraintRecords, constraintSources } from './symbench/constraint-sources.ts';
import { symbenchQuestions } from './symbench/records.ts';

/** The published questions of a task, without repetitions; none for path_plan. ../shared/data must be there. */
export function publishedQuestions(task: SuiteTask): SuiteQuestion[] {
  const source = constraintSources.find((other) => other.task === task.name);
  if (source === undefined) return [];
  const text = (name: string) => readFileSync(new URL(`symbench/${name}`, sharedData!), 'utf8');
  return symbenchQuestions(source, constraintRecords(source, text));
}

/** `count` questions of a task's generator, not necessarily different ones. */
export function generatedQuestions(task: SuiteTask, count: number, seed: number): SuiteQuestion[] {
  if (task.generate === undefined) throw new Error(`${task.name} has no generator`);
  const questions: SuiteQuestion[] = [];
  for (let attempt = 0; questions.length < count; attempt++) {
    const random = createRandom(seed, [attempt]);
    const draw = task.generate(random);
    if (draw === undefined) continue;
    const { content, instance, prompts, answer } = draw;
    const { id } = placeContent(`symbench/${task.name}`, content);
    questions.push({ id, prompt: random.choice(prompts), answer, meta: instance });
  }
  return questions;
}

/** Questions by task, with where they come from. */
export interface ConstraintFixture {
  readonly source: string;
  readonly questions: Readonly<Record<string, readonly SuiteQuestion[]>>;
}

/** The first question of each task and the last one with another answer. */
export function constraintFixture(): ConstraintFixture {
  const questions = constraintTasks.map((task) => {
    const all = task.name === 'path_plan' ? generatedQuestions(task, 2, 0) : publishedQuestions(task);
    const [first] = all;
    const last = all.findLast(({ answer }) => answer !== first?.answer);
    if (first === undefined || last === undefined)
      throw new Error(`${task.name}: expected different answers`);
    return [task.name, [first, last]] as const;
  });
  return {
    source:
      'SymBench, from https://github.com/yongchao98/CodeSteer-v1.0, Apache License 2.0; path_plan: generated',
    questions: Object.fromEntries(questions),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (sharedData === null)
    throw new Error('expected ../shared/data beside the checkout: it holds the questions');
  const path = new URL('../../test/fixtures/suites/symbench-constraints.json', import.meta.url);
  writeFileSync(path, `${JSON.stringify(constraintFixture(), null, 1)}\n`);
}
