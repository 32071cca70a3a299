/**
 * Countdown: an expression with + - * / and parentheses that uses every given number once and equals the target.
 *
 * The expression is parsed here and evaluated exactly, with fractions of big integers; it never runs as code. Reading stops
 * at the first number beyond the given count, so values stay small; nesting is bounded. The package hands the answer to a
 * computer algebra system and compares with a tolerance: there `5!` uses the number 5, `3.5` uses 3 and 5, and a value
 * that is off by a hundred-thousandth of the target is the target.
 */
import { accepted, rejected, screenAnswer } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { isInteger, isListOf, metaValue } from './meta.ts';

/** An exact fraction; the denominator is never zero. */
interface Fraction {
  readonly over: bigint;
  readonly under: bigint;
}

const kDeepest = 32;

/** A number of the expression: no leading zeros, at most six digits. */
const kNumber = /^(?:0|[1-9][0-9]{0,5})$/;

/** The value of an expression and its numbers in order, or a sentence on why it has none. */
export function readExpression(
  text: string,
  mostNumbers: number,
): { readonly value: Fraction; readonly numbers: readonly number[] } | string {
  const numbers: number[] = [];
  const pattern = /[0-9]+|[^ \t\r\n]/g;
  let token: string | undefined;
  let failure: string | undefined;

  /** Moves on to the next token; undefined is the end, beyond which nothing moves. */
  function advance(): void {
    token = pattern.exec(text)?.[0];
  }

  const at = (symbol: string) => token === symbol;
  const found = () => token?.slice(0, 20) ?? 'the end';

  function fail(reason: string): undefined {
    failure ??= reason;
    return undefined;
  }

  function operand(depth: number): Fraction | undefined {
    if (depth > kDeepest) return fail(`nested more than ${kDeepest} deep`);
    if (at('-')) {
      advance();
      const inner = operand(depth + 1);
      return inner && { over: -inner.over, under: inner.under };
    }
    if (at('(')) {
      advance();
      const inner = sum(depth + 1);
      if (inner === undefined) return undefined;
      if (!at(')')) return fail(`expected ")", found ${found()}`);
      advance();
      return inner;
    }
    if (token === undefined || !kNumber.test(token)) {
      return fail(`expected a number or "(", found ${found()}`);
    }
    if (numbers.length === mostNumbers) return fail(`more than ${mostNumbers} numbers`);
    const value = { over: BigInt(token), under: 1n };
    numbers.push(Number(token));
    advance();
    return value;
  }

  function product(depth: number): Fraction | undefined {
    let left = operand(depth);
    while (left !== undefined && (at('*') || at('/'))) {
      const divides = at('/');
      advance();
      const right = operand(depth);
      if (right === undefined) return undefined;
      if (divides && right.over === 0n) return fail('a division by zero');
      left = divides
        ? { over: left.over * right.under, under: left.under * right.over }
        : { over: left.over * right.over, under: left.under * right.under };
    }
    return left;
  }

  function sum(depth: number): Fraction | undefined {
    let left = product(depth);
    while (left !== undefined && (at('+') || at('-'))) {
      const sign = at('-') ? -1n : 1n;
      advance();
      const right = product(depth);
      if (right === undefined) return undefined;
      left = {
        over: left.over * right.under + sign * right.over * left.under,
        under: left.under * right.under,
      };
    }
    return left;
  }

  advance();
  const value = sum(0);
  if (value === undefined) return failure ?? 'not an expression';
  if (token !== undefined) return `expected an operator or the end, found ${found()}`;
  return { value, numbers };
}

export const countdown: SuiteTask = {
  name: 'countdown',
  description: 'an expression with given numbers, each used once, that equals a target',
  metaKeys: ['numbers', 'target'],
  verify(question, answer) {
    const given = metaValue(question, 'numbers', isListOf(isInteger), 'a list of integers');
    const target = metaValue(question, 'target', isInteger, 'an integer');
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const result = readExpression(screened, given.length);
    if (typeof result === 'string') return rejected(result);
    const ascending = (list: readonly number[]) => [...list].sort((a, b) => a - b).join(' ');
    if (ascending(result.numbers) !== ascending(given)) {
      return rejected(`uses ${ascending(result.numbers)} instead of ${ascending(given)}`);
    }
    const { over, under } = result.value;
    return over === BigInt(target) * under ? accepted : rejected(`the expression is not ${target}`);
  },
};
