/**
 * Exact rational numbers on BigInt.
 *
 * Invariant: lowest terms, denominator > 0, so two rationals are equal exactly when both parts are. Numerator and
 * denominator have at most kLargestBits bits; a result beyond that is a Refusal, not a slow computation.
 */
import { Refusal } from './syntax.ts';

/** A fraction in lowest terms with a positive denominator. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Bits of the largest numerator or denominator: 2^2005 and 500! / 490! are below, 9^(9^9) is not. */
export const kLargestBits = 16_384;

const kLimit = 1n << BigInt(kLargestBits);

export const zero: Rational = { numerator: 0n, denominator: 1n };
export const one: Rational = { numerator: 1n, denominator: 1n };

/** Bits of |value|, within three: enough to bound sizes before computing. */
export function bitLength(value: bigint): number {
  return 4 * (value < 0n ? -value : value).toString(16).length;
}

/** The greatest common divisor of two non-negative integers. */
export function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

/** numerator / denominator in lowest terms; a Refusal for a zero denominator or parts too large. */
export function rational(numerator: bigint, denominator = 1n): Rational {
  if (denominator === 0n) throw new Refusal('a division by zero');
  if (denominator < 0n) [numerator, denominator] = [-numerator, -denominator];
  if (denominator !== 1n) {
    const divisor = gcd(numerator < 0n ? -numerator : numerator, denominator);
    if (divisor !== 1n) [numerator, denominator] = [numerator / divisor, denominator / divisor];
  }
  if (numerator >= kLimit || numerator <= -kLimit || denominator >= kLimit) {
    throw new Refusal('a number too large to compare');
  }
  return { numerator, denominator };
}

export function add(a: Rational, b: Rational): Rational {
  if (a.denominator === 1n && b.denominator === 1n) return rational(a.numerator + b.numerator);
  return rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
}

export function negate(a: Rational): Rational {
  return { numerator: -a.numerator, denominator: a.denominator };
}

export function subtract(a: Rational, b: Rational): Rational {
  return add(a, negate(b));
}

export function multiply(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator);
}

export function divide(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.denominator, a.denominator * b.numerator);
}

export function equal(a: Rational, b: Rational): boolean {
  return a.numerator === b.numerator && a.denominator === b.denominator;
}

/** -1, 0 or 1 as a < b, a = b, a > b. */
export function compare(a: Rational, b: Rational): number {
  const difference = a.numerator * b.denominator - b.numerator * a.denominator;
  return difference === 0n ? 0 : difference < 0n ? -1 : 1;
}

export function isInteger(a: Rational): boolean {
  return a.denominator === 1n;
}

/** a to an integer power; a Refusal when the result would be too large, before it is computed. */
export function power(a: Rational, exponent: bigint): Rational {
  if (exponent === 0n) return one;
  if (exponent < 0n) return power(divide(one, a), -exponent);
  const { numerator, denominator } = a;
  const trivial = (part: bigint) => part >= -1n && part <= 1n;
  if (trivial(numerator) && denominator === 1n) {
    return rational(numerator === -1n && exponent % 2n === 0n ? 1n : numerator);
  }
  const bits = Math.max(bitLength(numerator), bitLength(denominator)) - 4;
  if (exponent > BigInt(kLargestBits) || Math.max(1, bits) * Number(exponent) > kLargestBits) {
    throw new Refusal('a power too large to compare');
  }
  return rational(numerator ** exponent, denominator ** exponent);
}

/** Floor of the n-th root of an integer >= 0, by Newton's method from a first guess that is right to 40 bits. */
export function integerRoot(value: bigint, n: number): bigint {
  if (value < 2n || n === 1) return value;
  const degree = BigInt(n);
  const shift = Math.max(0, 4 * value.toString(16).length - 64);
  const exponent = (Math.log2(Number(value >> BigInt(shift))) + shift) / n;
  // A little above the root: from there the iteration only falls.
  const whole = Math.max(0, Math.floor(exponent) - 44);
  const scaled = BigInt(Math.ceil(2 ** (exponent - whole) * (1 + 2 ** -36)));
  let guess = (scaled << BigInt(whole)) + 1n;
  for (;;) {
    const next = ((degree - 1n) * guess + value / guess ** (degree - 1n)) / degree;
    if (next >= guess) return guess;
    guess = next;
  }
}

/** As text, `-3/4` or `7`. */
export function show(a: Rational): string {
  return a.denominator === 1n ? String(a.numerator) : `${a.numerator}/${a.denominator}`;
}
