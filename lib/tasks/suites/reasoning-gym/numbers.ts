/**
 * Answers that are one number: decimals read exactly (BigInt, no rounding), and tasks that compare them.
 *
 * A decimal is written with digits, an optional sign, thousands separated by `,` in complete groups of three, a fraction
 * part and an exponent of at most three digits: `-1,234.50`, `+7`, `.5`, `1.23e+4`. At most 200 characters of printable
 * ASCII are read, blanks at both ends do not count, and nothing may stand around the number.
 */
import {
  accepted,
  type Comparison,
  compareInteger,
  rejected,
  screenAnswer,
  type Verdict,
} from '../../answer.ts';
import { maxNumberLength } from '../../number.ts';
import type { SuiteTask } from '../suite.ts';

/** The number units / 10^places; `places` is negative for `1e5`. */
export interface Decimal {
  readonly units: bigint;
  readonly places: number;
}

const kDecimal = /^([+-]?)((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3}))?$/;

/** The number that a text denotes by the rules at the top of this module, or undefined; no blanks around it. */
export function readDecimal(text: string): Decimal | undefined {
  if (text.length > maxNumberLength) return undefined;
  const found = kDecimal.exec(text);
  if (found === null) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0'] = found;
  const digits = whole.replaceAll(',', '') + fraction;
  if (digits === '') return undefined;
  return {
    units: sign === '-' ? -BigInt(digits) : BigInt(digits),
    places: fraction.length - Number(exponent),
  };
}

/** The canonical number of a question; TypeError where it is none, which is an error of the question. */
export function expectedDecimal(text: string): Decimal {
  const value = readDecimal(text);
  if (value === undefined) {
    throw new TypeError(`expected a canonical answer that is a number, found ${JSON.stringify(text)}`);
  }
  return value;
}

/** Both numbers in units of the smaller decimal place of the two. */
export function aligned(a: Decimal, b: Decimal): { a: bigint; b: bigint; places: number } {
  const places = Math.max(a.places, b.places);
  const scaled = ({ units, places: own }: Decimal) => units * 10n ** BigInt(places - own);
  return { a: scaled(a), b: scaled(b), places };
}

/** Whether two decimals are the same number. */
export function equalDecimals(a: Decimal, b: Decimal): boolean {
  const same = aligned(a, b);
  return same.a === same.b;
}

export function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value;
}

/** Whether |a - b| <= `steps` / 10^`places`. */
export function within(a: Decimal, b: Decimal, steps: bigint, places: number): boolean {
  const gap = aligned(a, b);
  const bound = aligned({ units: magnitude(gap.a - gap.b), places: gap.places }, { units: steps, places });
  return bound.a <= bound.b;
}

/** A task whose answer is one number, judged by `isRight`; the canonical answer is a number too. */
export function decimalTask(
  name: string,
  description: string,
  isRight: (found: Decimal, expected: Decimal) => boolean = equalDecimals,
): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify(question, answer) {
      return judgeDecimal(expectedDecimal(question.answer), answer, isRight);
    },
  };
}

/** The verdict on an answer that must be one number. */
export function judgeDecimal(
  expected: Decimal,
  answer: string,
  isRight: (found: Decimal, expected: Decimal) => boolean = equalDecimals,
): Verdict {
  const screened = screenAnswer(answer, maxNumberLength);
  if (typeof screened !== 'string') return screened;
  const found = readDecimal(screened);
  if (found === undefined) return rejected('not one number');
  return isRight(found, expected) ? accepted : rejected('a different number');
}

/** A task judged by comparing an answer of at most `longest` characters with the canonical one. */
export function comparedTask(
  name: string,
  description: string,
  compare: Comparison,
  longest: number,
): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify(question, answer) {
      const screened = screenAnswer(answer, longest);
      return typeof screened === 'string' ? compare(question.answer, screened) : screened;
    },
  };
}

/** A task whose answer is one integer without sign, fraction part or leading zeros (`1,234` is read). */
export function integerTask(name: string, description: string): SuiteTask {
  return comparedTask(name, description, compareInteger, maxNumberLength);
}
