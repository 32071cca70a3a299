/**
 * Propositional logic: state something that follows from the premises.
 *
 * A right answer is any formula over the question's variables that is true wherever all premises are (decided by a truth
 * table), that is not true everywhere, and that is more than a variable. Grammar, loosest first, every operator grouping
 * to the left as the package reads it: iff, implies, or, and, not. The table of a formula of up to five variables is one
 * 32-bit integer: bit i is its value under the assignment in which variable j is bit j of i. Formulas are evaluated while
 * they are parsed, so an answer costs no more than reading it; nesting is bounded.
 */
import { accepted, rejected, trimBlanks } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { isListOf, isText, metaValue } from './meta.ts';

/** The tables of up to five variables. */
const kVariableTables = [0xaaaaaaaa, 0xcccccccc, 0xf0f0f0f0, 0xff00ff00, 0xffff0000].map(
  (table) => table | 0,
);
const kTrue = -1;
const kDeepest = 64;

/** From the loosest to the tightest. */
const kBinary: readonly (readonly [string, (a: number, b: number) => number])[] = [
  ['↔', (a, b) => ~(a ^ b)],
  ['→', (a, b) => ~a | b],
  ['∨', (a, b) => a | b],
  ['∧', (a, b) => a & b],
];

/** A formula's truth table, and whether it is only a variable (perhaps in parentheses). */
export interface Formula {
  readonly table: number;
  readonly isVariable: boolean;
}

/** Reads a formula over `variables`, at most five; undefined where the text is none. */
export function readFormula(text: string, variables: readonly string[]): Formula | undefined {
  if (variables.length > kVariableTables.length) {
    throw new RangeError(
      `readFormula: expected at most ${kVariableTables.length} variables, found ${variables.length}`,
    );
  }
  let at = 0;

  /** The next symbol that is no blank, or undefined at the end; every symbol of a formula is one UTF-16 unit. */
  function peek(): string | undefined {
    while (at < text.length && ' \t\r\n'.includes(text[at]!)) at += 1;
    return text[at];
  }

  function operand(depth: number): Formula | undefined {
    if (depth > kDeepest) return undefined;
    const symbol = peek();
    at += 1;
    if (symbol === '¬') {
      const inner = operand(depth + 1);
      return inner && { table: ~inner.table, isVariable: false };
    }
    if (symbol === '(') {
      const inner = chain(0, depth + 1);
      if (peek() !== ')') return undefined;
      at += 1;
      return inner;
    }
    const table = symbol === undefined ? undefined : kVariableTables[variables.indexOf(symbol)];
    return table === undefined ? undefined : { table, isVariable: true };
  }

  function chain(level: number, depth: number): Formula | undefined {
    const operator = kBinary[level];
    if (operator === undefined) return operand(depth);
    const [symbol, apply] = operator;
    let left = chain(level + 1, depth);
    while (left !== undefined && peek() === symbol) {
      at += 1;
      const right = chain(level + 1, depth);
      left = right && { table: apply(left.table, right.table), isVariable: false };
    }
    return left;
  }

  const formula = chain(0, 0);
  return peek() === undefined ? formula : undefined;
}

export const propositionalLogic: SuiteTask = {
  name: 'propositional_logic',
  description: 'a conclusion that follows from premises, written with ∨ ∧ → ↔ ¬',
  metaKeys: ['premises', 'variables'],
  verify(question, answer) {
    const variables = metaValue(question, 'variables', isListOf(isText), 'a list of variables');
    const premises = metaValue(question, 'premises', isListOf(isText), 'a list of formulas');
    let given = kTrue;
    for (const premise of premises) {
      const formula = readFormula(premise, variables);
      if (formula === undefined) {
        throw new TypeError(`question ${question.id}: expected a formula as a premise, found ${premise}`);
      }
      given &= formula.table;
    }
    if (trimBlanks(answer) === '') return rejected('the answer is empty');
    const conclusion = readFormula(answer, variables);
    if (conclusion === undefined) {
      return rejected(`not a formula of ${variables.join(', ')} with ∨ ∧ → ↔ ¬ and parentheses`);
    }
    if (conclusion.isVariable) return rejected('a single variable is not a conclusion');
    if (conclusion.table === kTrue) return rejected('true whatever the premises say');
    return (given & ~conclusion.table) === 0 ? accepted : rejected('does not follow from the premises');
  },
};
