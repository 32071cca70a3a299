/**
 * Numeric answers in mathematical notation (GSM8K, AIME): two answers are equal when they denote the same rational number.
 *
 * Values are exact BigInt fractions: no tolerance, no rounding, no evaluation. The whole answer must be one number in the
 * notation below; text around it, several numbers, variables and arithmetic are rejected. Read in this order:
 *
 *  1. at most 200 characters of printable ASCII; blanks at both ends are dropped;
 *  2. one `\boxed{...}` around everything, and one pair of `$...$`, `$$...$$`, `\(...\)` or `\[...\]` around everything;
 *  3. a full stop at the end; a percent sign at the end (`%` or `\%`; a unit, it does not divide by 100);
 *  4. one minus sign; one dollar sign (`$` or `\$`) before the digits: `$1,234.00`, `-$5`;
 *  5. digits with an optional fraction part (`12`, `12.50`, `.5`), thousands separated by `,` or `{,}` in complete groups of
 *     three; or a fraction of two such integers: `3/4`, `\frac{3}{4}` (also dfrac, tfrac), sign outside or in the numerator.
 *
 * Leading zeros do not count (AIME writes 033). Rejected: plus signs, exponents, mixed numbers, repeating decimals,
 * `1,23`, Unicode digits and minus signs, `x = 3`, units in words.
 */
import { accepted, rejected, screenAnswer, trimBlanks, type Verdict } from './answer.ts';

/** The longest numeric answer that is read, in characters. */
export const maxNumberLength = 200;

/** An exact fraction with a positive denominator, not reduced. */
export interface Fraction {
  numerator: bigint;
  denominator: bigint;
}

const kDigits = '(?:[0-9]{1,3}(?:(?:,|\\{,\\})[0-9]{3})+|[0-9]+)';
const kDecimal = new RegExp(`^(${kDigits})?(?:\\.([0-9]+))?$`);
const kSlash = new RegExp(`^(${kDigits}) ?/ ?(${kDigits})$`);
const kFrac = new RegExp(`^\\\\[dt]?frac ?\\{ ?(-?${kDigits}) ?\\} ?\\{ ?(${kDigits}) ?\\}$`);

function toInteger(digits: string): bigint {
  const sign = digits.startsWith('-') ? -1n : 1n;
  return sign * BigInt(digits.replace(/[^0-9]/g, ''));
}

/** Removes one opening and closing mark around the whole text, if both are there and the marks inside balance. */
function unwrap(text: string, open: string, close: string): string {
  if (text.length < open.length + close.length || !text.startsWith(open) || !text.endsWith(close))
    return text;
  const inside = text.slice(open.length, -close.length);
  if (close === '}') {
    let depth = 0;
    for (const c of inside) {
      if (c === '{') depth += 1;
      else if (c === '}') depth -= 1;
      if (depth < 0) return text;
    }
    if (depth !== 0) return text;
  } else if (inside.includes(close)) {
    return text;
  }
  return trimBlanks(inside);
}

function unwrapMath(text: string): string {
  for (const [open, close] of [
    ['$$', '$$'],
    ['$', '$'],
    ['\\(', '\\)'],
    ['\\[', '\\]'],
  ] as const) {
    const inside = unwrap(text, open, close);
    if (inside !== text) return inside;
  }
  return text;
}

/** The number an answer denotes by the rules at the top of this module, or undefined. */
export function parseNumber(answer: string): Fraction | undefined {
  const screened = screenAnswer(answer, maxNumberLength);
  if (typeof screened !== 'string') return undefined;
  const stop = screened.endsWith('.');
  let text = unwrapMath(stop ? screened.slice(0, -1) : screened);
  text = unwrapMath(unwrap(text, '\\boxed{', '}'));
  if (!stop && text.endsWith('.')) text = text.slice(0, -1);
  text = text.replace(/ ?\\?%$/, '');
  let sign = 1n;
  if (text.startsWith('-')) {
    sign = -1n;
    text = text.slice(1);
  }
  text = text.replace(/^\\?\$ ?/, '');

  const fraction = kSlash.exec(text) ?? kFrac.exec(text);
  if (fraction !== null) {
    const numerator = toInteger(fraction[1]!);
    const denominator = toInteger(fraction[2]!);
    if (denominator === 0n || (sign < 0n && fraction[1]!.startsWith('-'))) return undefined;
    return { numerator: sign * numerator, denominator };
  }
  const decimal = kDecimal.exec(text);
  if (decimal === null || text === '') return undefined;
  const places = decimal[2] ?? '';
  const whole = (decimal[1] ?? '0').replace(/[^0-9]/g, '');
  return { numerator: sign * BigInt(whole + places), denominator: 10n ** BigInt(places.length) };
}

/** Accepts an answer that denotes the same rational number as `expected`; `expected` must be a number itself. */
export function verifyNumber(expected: string, answer: string | null): Verdict {
  const wanted = parseNumber(expected);
  if (wanted === undefined) {
    throw new TypeError(`verifyNumber: the expected answer ${JSON.stringify(expected)} is not a number`);
  }
  const screened = screenAnswer(answer, maxNumberLength);
  if (typeof screened !== 'string') return screened;
  const found = parseNumber(screened);
  if (found === undefined) return rejected('not one number');
  return found.numerator * wanted.denominator === wanted.numerator * found.denominator
    ? accepted
    : rejected('a different number');
}
