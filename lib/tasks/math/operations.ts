/**
 * How far an answer is worked out: the operations that are left in it.
 *
 * `9^3 + 3(9^2) + 3(9) + 1` is 1000, and it is the question and no answer. So where answers must be worked out, a number must
 * be written as one (`1000`, `\frac{3}{7}`, `1 1/2`, `2.5 \times 10^3`), and another value with few more operations than
 * the expected one: `12(1 + \sqrt 3)` may stand for `12 + 12\sqrt 3`.
 */
import { isName } from './meaning.ts';
import { hasVariable } from './quantity.ts';
import type { Node } from './syntax.ts';

/** Operations that an answer may have beyond those of an expected value that has some. */
const kSlack = 2;

/** Whether an answer is worked out as far as the expected one. */
export function isWorkedOut(expected: Node, answer: Node): boolean {
  const wanted = operations(expected);
  return operations(answer) <= (wanted === 0 ? 0 : wanted + kSlack);
}

function isInteger(node: Node): boolean {
  if (node.kind === 'negative') return isInteger(node.of);
  return node.kind === 'number' && node.numerator % node.denominator === 0n;
}

/** `a \times 10^n`. */
function isScientific(node: Node): boolean {
  if (node.kind !== 'product' || node.factors.length !== 2) return false;
  const [digits, power] = node.factors;
  if (digits?.kind !== 'number' || power?.kind !== 'power' || power.base.kind !== 'number') return false;
  return power.base.numerator === 10n && power.base.denominator === 1n && isInteger(power.exponent);
}

/** The operations of a value; notation of one number is none. */
export function operations(node: Node): number {
  const total = (nodes: readonly Node[]): number => nodes.reduce((sum, child) => sum + operations(child), 0);
  switch (node.kind) {
    case 'number':
    case 'symbol':
    case 'numeral':
    case 'text':
      return 0;
    case 'sum':
      return node.mixed === true ? 0 : node.terms.length - 1 + total(node.terms);
    case 'product': {
      // Letters beside each other may be a word.
      const letters = node.factors.every((factor) => factor.kind === 'symbol');
      return letters || isScientific(node) ? 0 : node.factors.length - 1 + total(node.factors);
    }
    case 'quotient':
      return isInteger(node.over) && isInteger(node.under) ? 0 : 1 + total([node.over, node.under]);
    case 'negative':
    case 'percent':
    case 'degrees':
    case 'unit':
      return operations(node.of);
    case 'plus-minus':
      return 1 + total(node.from === undefined ? [node.by] : [node.from, node.by]);
    case 'power':
      return 1 + total([node.base, node.exponent]);
    case 'root':
      return 1 + total([node.of]);
    case 'call':
      return 1 + total([node.argument]);
    case 'factorial':
      return 1 + total([node.of]);
    case 'binomial':
      return 1 + total([node.n, node.k]);
    case 'group':
    case 'list':
      return total(node.items);
    case 'union':
      return total(node.parts);
    case 'matrix':
      return total(node.rows.flat());
    case 'relation': {
      // `x = 10/2 = 5` is worked out in its last value; an equation between expressions is what it is.
      const [first] = node.parts;
      const value = node.parts.at(-1)!;
      const named = isName(first!) || !node.parts.some(hasVariable);
      return named && node.signs.every((sign) => sign === '=') ? operations(value) : total(node.parts);
    }
  }
}
