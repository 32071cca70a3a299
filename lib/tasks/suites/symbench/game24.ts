/**
 * SymBench `game24`: an expression with four given numbers that is 24.
 */
import type { Verdict } from '../../answer.ts';
import { verifyExpression } from '../../game24.ts';
import type { SuiteTask } from '../suite.ts';
import { readExpression } from './arithmetic-answer.ts';

/** The four numbers. */
export type Game24Meta = { readonly numbers: readonly number[] };

const kTarget = 24;
const kMaxLength = 200;

/** The question, for numbers in the order given. */
export function game24Prompt({ numbers }: Game24Meta): string {
  return [
    `Use the numbers ${numbers.join(', ')} to make ${kTarget}. Use each of the four numbers exactly once, in any order, with`,
    'addition, subtraction, multiplication, division and parentheses (+ - * /). Numbers may not be joined to longer ones.',
    '',
    'Give the expression as your final answer between <<< and >>>, for example <<<(1 + 2 + 3) * 4>>> for the numbers 1, 2, 3, 4.',
  ].join('\n');
}

/** The game of 24 over the published puzzles. */
export const game24: SuiteTask<Game24Meta> = {
  name: 'game24',
  description: 'an expression with four given numbers that is 24',
  metaKeys: ['numbers'],
  verify({ meta }, answer): Verdict {
    const expression = readExpression(answer, kTarget, kMaxLength);
    return typeof expression === 'string' ? verifyExpression(meta.numbers, kTarget, expression) : expression;
  },
};
