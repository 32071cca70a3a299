/**
 * SymBench tasks whose answer is one string: string_insertion, string_deletion_and_modification.
 *
 * Every character counts, capitals included; one pair of quotes around the whole string does not.
 */
import { compareText, screenAnswer } from '../../answer.ts';
import { withoutQuotes } from '../lists.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { drawRewriting } from './string-rules.ts';

function stringTask(name: string, description: string): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify({ answer: expected }, answer) {
      const screened = screenAnswer(answer, kLongestAnswer);
      return typeof screened === 'string' ? compareText(expected, withoutQuotes(screened)) : screened;
    },
  };
}

export const stringTasks: readonly SuiteTask[] = [
  stringTask('string_insertion', 'letters inserted after patterns in a string'),
  {
    ...stringTask('string_deletion_and_modification', 'a string rewritten by six rules until none applies'),
    generate: drawRewriting,
  },
];
