/**
 * Questions of the SymBench tasks math_geometry and math_counting_and_probability: problems of MATH (Hendrycks et al. 2021, MIT
 * licence) as SymBench publishes them. The answer is the content of the last box of the published solution.
 */
import { trimBlanks } from '../../../lib/tasks/answer.ts';
import { boxedAnswer } from '../../../lib/tasks/math/equal.ts';
import type { SuiteQuestion } from '../../../lib/tasks/suites/suite.ts';
import { placeContent } from '../../../lib/tasks/task.ts';
import type { SymbenchRecord } from './records.ts';

/** The tasks, with the published file of each. */
export const mathSources = [
  { task: 'math_geometry', file: 'math_geometry' },
  { task: 'math_counting_and_probability', file: 'math_counting_and_probability' },
] as const;

/** The question of a record; throws for a record without a problem or a boxed answer. */
export function mathQuestion(task: string, { id, files }: SymbenchRecord): SuiteQuestion {
  const text = Object.values(files)[0];
  if (text === undefined) throw new Error(`${id}: expected a file with the problem`);
  const { problem, solution } = JSON.parse(text) as { problem: string; solution: string };
  const answer = boxedAnswer(solution);
  if (answer === undefined) throw new Error(`${id}: expected a \\boxed{} in the solution`);
  const question = trimBlanks(problem);
  return {
    id: placeContent(`symbench/${task}`, question).id,
    prompt: `${question}\nGive the final answer as <<<answer>>>.`,
    answer,
    meta: {},
  };
}

/** The different questions of a published file, in its order. */
export function mathQuestions(task: string, records: readonly SymbenchRecord[]): SuiteQuestion[] {
  const found = new Map<string, SuiteQuestion>();
  for (const record of records) {
    const question = mathQuestion(task, record);
    const same = found.get(question.id);
    if (same !== undefined && same.answer !== question.answer) {
      throw new Error(`${record.id}: the same problem as one with the answer ${same.answer}`);
    }
    found.set(question.id, question);
  }
  return [...found.values()];
}
