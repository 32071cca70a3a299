/**
 * SymBench tasks whose answer is one number: mahjong_pattern, statistical_counting, number_multiply, new_operator.
 *
 * The number may stand in one pair of quotes or square brackets (new_operator asks for a list). Integers are compared by
 * `compareInteger`, other numbers by `compareDecimal`.
 */
import { type Comparison, compareInteger, screenAnswer, trimBlanks } from '../../answer.ts';
import { withoutQuotes } from '../lists.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { compareDecimal } from './decimals.ts';

/** A text without one pair of square brackets and then one pair of quotes around it. */
function unwrapped(text: string): string {
  const inside = text.startsWith('[') && text.endsWith(']') ? trimBlanks(text.slice(1, -1)) : text;
  return withoutQuotes(inside);
}

function numberTask(name: string, description: string, compare: Comparison): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify({ answer: expected }, answer) {
      const screened = screenAnswer(answer, kLongestAnswer);
      return typeof screened === 'string' ? compare(expected, unwrapped(screened)) : screened;
    },
  };
}

export const numberTasks: readonly SuiteTask[] = [
  numberTask('mahjong_pattern', 'the last judgement (pass, peng or chi) of a card game', compareInteger),
  numberTask('statistical_counting', 'the score of the runs of letters in a string', compareInteger),
  numberTask('number_multiply', 'the product of several integers', compareInteger),
  numberTask('new_operator', 'an expression with operators defined in the question', compareDecimal),
];
