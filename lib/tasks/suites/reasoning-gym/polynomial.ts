/**
 * Polynomials with rational coefficients, exactly: what an expression denotes, derivatives, equality.
 *
 * A polynomial is a map from exponents to integer numerators over one common denominator; no numerator is zero. Work is
 * bounded: exponents in the text up to 64 and of a variable up to 128, numbers of 2048 bits, and an allowance of operations
 * on coefficients. What is beyond that, or is no polynomial (a function, a division by a variable), reads as undefined.
 */
import type { Fraction } from '../../number.ts';
import type { Expression } from './expression.ts';

export interface Polynomial {
  /** Key: the exponents of the variables as digits in base 512, the first variable lowest; so keys of products add up. */
  readonly terms: ReadonlyMap<number, bigint>;
  readonly denominator: bigint;
}

const kLargestExponent = 64;
const kLargestDegree = 128;
const kBase = 512;
const kMostBits = 2048;
const kMostWork = 10_000;
const kTooLarge = 1n << BigInt(kMostBits);

/** Operations that may still be done; below zero where they were too many. */
export interface Allowance {
  work: number;
}

/** Not a polynomial, or too large; thrown and caught inside this module only. */
class NotReadable extends Error {}

function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

function checked(terms: Map<number, bigint>, denominator: bigint): Polynomial {
  if (denominator > kTooLarge) throw new NotReadable('too large');
  for (const [key, numerator] of terms) {
    if (numerator === 0n) terms.delete(key);
    else if (numerator > kTooLarge || -numerator > kTooLarge) throw new NotReadable('too large');
  }
  return { terms, denominator };
}

/** a + sign * b */
function addScaled(a: Polynomial, b: Polynomial, sign: bigint): Polynomial {
  const shared = gcd(a.denominator, b.denominator);
  const [left, right] = [b.denominator / shared, sign * (a.denominator / shared)];
  const terms = new Map([...a.terms].map(([key, numerator]) => [key, numerator * left]));
  for (const [key, numerator] of b.terms) terms.set(key, (terms.get(key) ?? 0n) + numerator * right);
  return checked(terms, a.denominator * left);
}

/** The exponent of the variable with the given index. */
const exponentOf = (key: number, variable: number) => Math.floor(key / kBase ** variable) % kBase;

/** The number that a polynomial without variables is, or undefined. */
function constantOf({ terms, denominator }: Polynomial): Fraction | undefined {
  if (terms.size === 0) return { numerator: 0n, denominator: 1n };
  const [key, numerator] = [...terms][0]!;
  if (terms.size > 1 || key !== 0) return undefined;
  return { numerator, denominator };
}

/** The polynomial in at most five `variables` that an expression denotes; undefined where it is none or too large to expand. */
export function polynomialOf(
  tree: Expression,
  variables: readonly string[],
  allowance: Allowance = { work: kMostWork },
): Polynomial | undefined {
  function spend(operations: number): void {
    allowance.work -= operations;
    if (allowance.work < 0) throw new NotReadable('too much work');
  }

  const constant = ({ numerator, denominator }: Fraction) => checked(new Map([[0, numerator]]), denominator);

  function multiply(a: Polynomial, b: Polynomial): Polynomial {
    spend(a.terms.size * b.terms.size);
    const terms = new Map<number, bigint>();
    for (const [left, numerator] of a.terms) {
      for (const [right, factor] of b.terms) {
        const key = left + right;
        if (variables.some((_, i) => exponentOf(key, i) > kLargestDegree)) throw new NotReadable('too large');
        terms.set(key, (terms.get(key) ?? 0n) + numerator * factor);
      }
    }
    return checked(terms, a.denominator * b.denominator);
  }

  function add(a: Polynomial, b: Polynomial, sign: bigint): Polynomial {
    spend(a.terms.size + b.terms.size);
    return addScaled(a, b, sign);
  }

  /** b as a number other than zero, turned upside down. */
  function inverse(b: Polynomial): Polynomial {
    const value = constantOf(b);
    if (value === undefined || value.numerator === 0n) throw new NotReadable('a division');
    const sign = value.numerator < 0n ? -1n : 1n;
    return constant({ numerator: sign * value.denominator, denominator: sign * value.numerator });
  }

  function power(base: Polynomial, exponent: Polynomial): Polynomial {
    const value = constantOf(exponent);
    if (value === undefined || value.numerator % value.denominator !== 0n) throw new NotReadable('a root');
    const times = value.numerator / value.denominator;
    if (times > kLargestExponent || times < -kLargestExponent) throw new NotReadable('too large');
    const factor = times < 0n ? inverse(base) : base;
    let result = constant({ numerator: 1n, denominator: 1n });
    for (let i = Math.abs(Number(times)); i > 0; i--) result = multiply(result, factor);
    return result;
  }

  function read(node: Expression): Polynomial {
    spend(1);
    switch (node.kind) {
      case 'number':
        return constant(node.value);
      case 'name': {
        const variable = variables.indexOf(node.name);
        if (variable < 0) throw new NotReadable('another name');
        return { terms: new Map([[kBase ** variable, 1n]]), denominator: 1n };
      }
      case 'negative':
        return add({ terms: new Map(), denominator: 1n }, read(node.of), -1n);
      case 'sum':
        return add(read(node.left), read(node.right), 1n);
      case 'difference':
        return add(read(node.left), read(node.right), -1n);
      case 'product':
        return multiply(read(node.left), read(node.right));
      case 'quotient':
        return multiply(read(node.left), inverse(read(node.right)));
      case 'power':
        return power(read(node.left), read(node.right));
      case 'call':
        throw new NotReadable('a function');
    }
  }

  try {
    return read(tree);
  } catch (error) {
    if (error instanceof NotReadable) return undefined;
    throw error;
  }
}

/** The number that an expression without names and functions denotes, if it can be computed exactly. */
export function rationalOf(tree: Expression, allowance?: Allowance): Fraction | undefined {
  const value = polynomialOf(tree, [], allowance);
  return value === undefined ? undefined : constantOf(value);
}

/** The derivative by the variable with the given index. */
export function differentiate({ terms, denominator }: Polynomial, variable: number): Polynomial {
  const derived = new Map<number, bigint>();
  for (const [key, numerator] of terms) {
    const exponent = exponentOf(key, variable);
    if (exponent > 0) derived.set(key - kBase ** variable, numerator * BigInt(exponent));
  }
  return { terms: derived, denominator };
}

/** Whether two polynomials in the same variables are the same. */
export function equalPolynomials(a: Polynomial, b: Polynomial): boolean {
  if (a.terms.size !== b.terms.size) return false;
  return [...a.terms].every(
    ([key, numerator]) => numerator * b.denominator === (b.terms.get(key) ?? 0n) * a.denominator,
  );
}
