/**
 * Questions of Reasoning-Gym from the frozen ones of the Python package (Apache-2.0): the different prompts of a file, without
 * those that have no right answer or whose stored answer is not the answer to the question.
 */
import { algorithmicUnsound } from '../../lib/tasks/suites/reasoning-gym/algorithmic-differences.ts';
import { numericUnsound } from '../../lib/tasks/suites/reasoning-gym/numeric-differences.ts';
import { puzzleUnsound } from '../../lib/tasks/suites/reasoning-gym/puzzle-soundness.ts';
import type { SuiteQuestion, SuiteTask } from '../../lib/tasks/suites/suite.ts';
import { placeContent } from '../../lib/tasks/task.ts';
import { questionOf } from '../../test/support/reasoning-gym.ts';

/** The tests for questions whose stored answer is wrong, with the reasons. */
export const unsoundTests = [...algorithmicUnsound, ...numericUnsound, ...puzzleUnsound];

export interface ReasoningGymQuestions {
  readonly questions: readonly SuiteQuestion[];
  /** How many were left out, by reason. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** The questions of a task; ids come from the prompts, so that equal questions are equal whatever their index. */
export function reasoningGymQuestions(
  task: SuiteTask,
  records: readonly Record<string, unknown>[],
): ReasoningGymQuestions {
  const found = new Map<string, SuiteQuestion>();
  const leftOut = new Map<string, number>();
  const leave = (reason: string) => leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1);
  for (const record of records) {
    const question = questionOf(record, task.metaKeys)?.question;
    if (question === undefined) {
      leave('nothing can be answered: only tautologies follow, or the cube is already solved');
      continue;
    }
    const unsound = unsoundTests.find((test) => test.task === task.name && test.isUnsound(question));
    if (unsound !== undefined) {
      leave(unsound.reason);
      continue;
    }
    const { id } = placeContent(`reasoning-gym/${task.name}`, question.prompt);
    if (found.has(id)) leave('the same question again');
    else found.set(id, { ...question, id });
  }
  return { questions: [...found.values()], leftOut };
}
