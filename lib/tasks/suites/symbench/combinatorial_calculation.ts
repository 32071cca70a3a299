/**
 * SymBench `combinatorial_calculation`: operators and parentheses between numbers in their given order, to reach a target.
 * The answer is a list of tokens (`[(, 6, +, 2, ), *, 7]`) or the expression itself.
 */
import { rejected, type Verdict } from '../../answer.ts';
import { evaluateExpression } from '../../game24.ts';
import type { SuiteTask } from '../suite.ts';
import { satisfied } from './answer-items.ts';
import { readExpression } from './arithmetic-answer.ts';

/** The numbers, in the order in which they must be used, and what they must give. */
export type CombinatorialCalculationMeta = { readonly numbers: readonly number[]; readonly target: number };

const kMaxLength = 2000;
// Twenty numbers in parentheses one by one, as a program prints them, and as many pairs that change nothing.
const kMaxDepth = 40;

/** A list of tokens as an expression: brackets around everything, commas and quotes dropped. Never joins two tokens. */
function withoutListMarks(text: string): string {
  const inside = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  return inside.replace(/[,"']/g, ' ');
}

/** Arithmetic in a fixed order of numbers. */
export const combinatorialCalculation: SuiteTask<CombinatorialCalculationMeta> = {
  name: 'combinatorial_calculation',
  description: 'operators and parentheses between numbers in a fixed order, to reach a target',
  metaKeys: ['numbers', 'target'],
  verify({ meta: { numbers, target } }, answer): Verdict {
    const text = readExpression(answer, target, kMaxLength);
    if (typeof text !== 'string') return text;
    const expression = withoutListMarks(text);
    const used = expression.match(/[0-9]+/g) ?? [];
    // Before anything is computed, so that what is computed is small.
    if (used.join(' ') !== numbers.join(' ')) {
      return rejected(`the numbers are not ${numbers.join(', ')} in this order`);
    }
    const result = evaluateExpression(expression, kMaxDepth);
    if ('error' in result) return rejected(`not an expression: ${result.error}`);
    return result.numerator === BigInt(target) * result.denominator
      ? satisfied
      : rejected(`the expression is not ${target}`);
  },
};
