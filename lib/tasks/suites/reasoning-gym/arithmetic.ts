/**
 * Arithmetic of Reasoning-Gym. Numbers are read and compared exactly (numbers.ts); where a question asks for digits, every
 * digit that is written must be right. The canonical answer is the right one; nothing is read from `meta`.
 */
import { accepted, rejected, screenAnswer, trimBlanks } from '../../answer.ts';
import { maxNumberLength } from '../../number.ts';
import type { SuiteTask } from '../suite.ts';
import {
  aligned,
  type Decimal,
  decimalTask,
  equalDecimals,
  integerTask,
  magnitude,
  within,
} from './numbers.ts';

export const basicArithmetic = integerTask('basic_arithmetic', 'value of an expression of integers');

export const countBits = integerTask('count_bits', 'number of 1 bits of an integer');

export const gcd = integerTask('gcd', 'greatest common divisor of integers');

export const lcm = integerTask('lcm', 'least common multiple of integers');

export const legCounting = integerTask('leg_counting', 'number of legs of a list of animals');

export const chainSum = decimalTask('chain_sum', 'sum and difference of several integers');

export const products = decimalTask('products', 'product of integers');

export const decimalChainSum = decimalTask('decimal_chain_sum', 'sum and difference of several decimals');

/** The value of `-0x1f` or `-31`, or undefined. */
function hexOrInteger(text: string): bigint | undefined {
  const found = /^(-?)(0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)$/.exec(text);
  if (found === null) return undefined;
  const value = BigInt(found[2]!.toLowerCase());
  return found[1] === '-' ? -value : value;
}

/** Hexadecimal digits of either case with 0x before them, or the same integer in decimal digits. */
export const bitwiseArithmetic: SuiteTask = {
  name: 'bitwise_arithmetic',
  description: 'value of an expression of hexadecimal integers with shifts',
  metaKeys: [],
  verify(question, answer) {
    const screened = screenAnswer(answer, maxNumberLength);
    if (typeof screened !== 'string') return screened;
    const found = hexOrInteger(screened);
    if (found === undefined) return rejected('not a hexadecimal or decimal integer');
    return found === hexOrInteger(question.answer) ? accepted : rejected('a different integer');
  },
};

/**
 * The value itself, or the value rounded to what the answer writes: at least three decimal places and three digits. The
 * canonical value has twelve digits, of which the last two suffer from rounding in between (the question does not say that
 * intermediate values are rounded), hence a slack of 10^-10 of the value.
 */
function isRoundingOf(found: Decimal, expected: Decimal): boolean {
  if (equalDecimals(found, expected)) return true;
  if (found.places < 3 || magnitude(found.units) < 100n) return false;
  const { a, b, places } = aligned(found, expected);
  const lastPlace = 10n ** BigInt(places - found.places);
  const inverseSlack = 10n ** 10n;
  return 2n * inverseSlack * magnitude(a - b) <= inverseSlack * lastPlace + 2n * magnitude(b);
}

export const decimalArithmetic = decimalTask(
  'decimal_arithmetic',
  'value of an expression of decimals to twelve digits',
  isRoundingOf,
);

/** Candidates are thousandths, shown as floats with up to 17 digits or rounded to six places. */
export const numberFormat = decimalTask(
  'number_format',
  'largest or smallest of numbers in different notations',
  (found, expected) => within(found, expected, 49n, 5),
);

/** A number rounded to `figures` significant figures, ties to the even digit. */
function roundedTo(figures: number, { units, places }: Decimal): Decimal {
  const digits = magnitude(units).toString().length;
  if (digits <= figures) return { units, places };
  const unit = 10n ** BigInt(digits - figures);
  const size = magnitude(units);
  const floor = size / unit;
  const rest = 2n * (size % unit);
  const up = rest > unit || (rest === unit && floor % 2n === 1n) ? 1n : 0n;
  return { units: units < 0n ? -(floor + up) : floor + up, places: places - (digits - figures) };
}

export const powerFunction = decimalTask(
  'power_function',
  'power of a decimal to three significant figures',
  (found, expected) => equalDecimals(roundedTo(3, found), roundedTo(3, expected)),
);

/** Numerator and denominator as written: `3/4`, `\frac{3}{4}` (dfrac, tfrac), in one pair of `$` or none. */
function writtenFraction(text: string): readonly [string, string] | undefined {
  const inside =
    text.length > 2 && text.startsWith('$') && text.endsWith('$') ? trimBlanks(text.slice(1, -1)) : text;
  const found =
    /^(0|[1-9][0-9]*) ?\/ ?([1-9][0-9]*)$/.exec(inside) ??
    /^\\[dt]?frac ?\{ ?(0|[1-9][0-9]*) ?\} ?\{ ?([1-9][0-9]*) ?\}$/i.exec(inside);
  return found === null ? undefined : [found[1]!, found[2]!];
}

/** A task whose answer is a fraction in lowest terms: the canonical one. */
function fractionTask(name: string, description: string): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify(question, answer) {
      const expected = writtenFraction(question.answer);
      if (expected === undefined) {
        throw new TypeError(`question ${question.id}: expected a fraction, found ${question.answer}`);
      }
      const screened = screenAnswer(answer, maxNumberLength);
      if (typeof screened !== 'string') return screened;
      const found = writtenFraction(screened);
      if (found === undefined) return rejected('not one fraction');
      return found[0] === expected[0] && found[1] === expected[1]
        ? accepted
        : rejected('a different fraction, or not in lowest terms');
    },
  };
}

export const dice = fractionTask('dice', 'probability that dice reach a total');

export const fractionSimplification = fractionTask('fraction_simplification', 'a fraction in lowest terms');

/** The factors in ascending order, or undefined. */
function factors(text: string): readonly number[] | undefined {
  const parts = text.split('×').map(trimBlanks);
  if (!parts.every((part) => /^[1-9][0-9]{0,14}$/.test(part))) return undefined;
  return parts.map(Number).sort((a, b) => a - b);
}

/** The prime factors in any order, separated by the multiplication sign of the question. */
export const primeFactorization: SuiteTask = {
  name: 'prime_factorization',
  description: 'prime factors of an integer',
  metaKeys: [],
  verify(question, answer) {
    if (answer.length > 1000) return rejected('the answer is longer than 1000 characters');
    const found = factors(answer);
    if (found === undefined) return rejected('not integers separated by ×');
    return found.join() === factors(question.answer)?.join() ? accepted : rejected('different factors');
  },
};
