/**
 * From the syntax tree of one value to its normal form.
 *
 * Numbers, radicals of rationals and polynomials become exact normal forms; nested roots, functions and powers with variables
 * in the exponent become opaque values that only numbers can tell apart (see decide.ts). Degrees are a unit outside
 * functions and an angle inside them. Lists, texts and the like are no values: a Refusal.
 */
import { factorInteger } from './factor.ts';
import {
  type Algebra,
  type Fraction,
  isPositiveGenerator,
  isVariable,
  rationalValue,
  singleTerm,
} from './polynomial.ts';
import * as q from './rational.ts';
import { type Node, Refusal } from './syntax.ts';

const kMostFactorial = 500n;
/** The largest integer exponent, and the largest index of a root. */
const kMostExponent = 16_384n;
const kMostIndex = 32n;

/** The normal form of a value. Throws Refusal for what is no value, or too large. */
export function evaluate(algebra: Algebra, node: Node): Fraction {
  const walk = (child: Node, angle = false): Fraction => {
    const inner = (grandchild: Node) => walk(grandchild, angle);
    switch (child.kind) {
      case 'number':
        return algebra.constant(q.rational(child.numerator, child.denominator));
      case 'symbol':
        if (child.name === 'infinity' || child.name === 'emptyset') {
          throw new Refusal(`arithmetic with ${child.name}`);
        }
        return algebra.generator(child.name);
      case 'sum':
        return child.terms.map(inner).reduce(algebra.add);
      case 'product':
        return child.factors.map(inner).reduce(algebra.multiply);
      case 'quotient':
        return algebra.divide(inner(child.over), inner(child.under));
      case 'negative':
        return algebra.negate(inner(child.of));
      case 'power':
        return raise(algebra, inner(child.base), inner(child.exponent));
      case 'root': {
        const index = rationalValue(inner(child.index));
        if (index === undefined || !q.isInteger(index) || index.numerator < 1n) {
          throw new Refusal('a root whose index is no positive integer');
        }
        return raise(algebra, inner(child.of), algebra.constant(q.rational(1n, index.numerator)));
      }
      case 'call': {
        const argument = walk(child.argument, true);
        const base = child.base === undefined ? undefined : inner(child.base);
        return apply(algebra, child.name, argument, base);
      }
      case 'factorial':
        return algebra.constant(factorial(integer(inner(child.of))));
      case 'binomial':
        return algebra.constant(binomial(integer(inner(child.n)), integer(inner(child.k))));
      case 'percent':
        return algebra.multiply(inner(child.of), algebra.constant(q.rational(1n, 100n)));
      case 'degrees': {
        if (!angle) return inner(child.of);
        const radians = algebra.multiply(algebra.generator('pi'), algebra.constant(q.rational(1n, 180n)));
        return algebra.multiply(inner(child.of), radians);
      }
      case 'group':
        if (child.open === '[' && child.close === ']' && child.items.length === 1)
          return inner(child.items[0]!);
        throw new Refusal('arithmetic with a list');
      default:
        throw new Refusal(`arithmetic with a ${child.kind}`);
    }
  };
  return walk(node);
}

function integer(value: Fraction): bigint {
  const number = rationalValue(value);
  if (number === undefined || !q.isInteger(number)) throw new Refusal('a factorial of what is no integer');
  return number.numerator;
}

function factorial(n: bigint): q.Rational {
  if (n < 0n || n > kMostFactorial) throw new Refusal(`a factorial outside 0 to ${kMostFactorial}`);
  let product = 1n;
  for (let k = 2n; k <= n; k++) product *= k;
  return q.rational(product);
}

function binomial(n: bigint, k: bigint): q.Rational {
  if (n < 0n || k < 0n || n > 2n * kMostFactorial)
    throw new Refusal('a binomial coefficient too large to compare');
  if (k > n) return q.zero;
  let product = 1n;
  for (let i = 1n; i <= k; i++) product = (product * (n - k + i)) / i;
  return q.rational(product);
}

/** base ^ exponent, with roots as broken exponents. */
function raise(algebra: Algebra, base: Fraction, exponent: Fraction): Fraction {
  const by = rationalValue(exponent);
  if (by === undefined) return algebra.hide({ kind: 'power', base, exponent });
  const { numerator, denominator } = by;
  if (numerator > kMostExponent || numerator < -kMostExponent || denominator > kMostIndex) {
    throw new Refusal('an exponent too large to compare');
  }
  if (base.over.size === 0) {
    if (numerator <= 0n) throw new Refusal('a power of zero without a value');
    return base;
  }
  if (denominator === 1n) return integerPower(algebra, base, Number(numerator));
  const value = rationalValue(base);
  if (value !== undefined) return rootOfRational(algebra, value, by);
  const only = singleTerm(base);
  if (only !== undefined && only.coefficient.numerator > 0n) {
    const distributes = [...only.powers].every(
      ([name, power]) => isPositiveGenerator(name) || (isVariable(name) && q.equal(power, q.one)),
    );
    // sqrt(x y) is not sqrt(x) sqrt(y) where both are negative
    if (distributes && [...only.powers.keys()].filter(isVariable).length <= 1) {
      let result = rootOfRational(algebra, only.coefficient, by);
      for (const [name, power] of only.powers) {
        result = algebra.multiply(result, algebra.generator(name, q.multiply(power, by)));
      }
      return result;
    }
  }
  const content = contentOf(base);
  const rest = algebra.multiply(base, algebra.constant(q.divide(q.one, content)));
  const root = algebra.hide({ kind: 'root', index: Number(denominator), of: rest });
  return algebra.multiply(
    rootOfRational(algebra, content, by),
    integerPower(algebra, root, Number(numerator)),
  );
}

/** A power with an integer exponent; powers of a root go back to what is under it. */
function integerPower(algebra: Algebra, base: Fraction, exponent: number): Fraction {
  const only = singleTerm(base);
  const [name, power] = [...(only?.powers ?? [])][0] ?? [];
  const opaque = name === undefined ? undefined : algebra.opaque.get(name);
  if (only?.powers.size === 1 && opaque?.kind === 'root' && power !== undefined && q.equal(power, q.one)) {
    const rest = ((exponent % opaque.index) + opaque.index) % opaque.index;
    const whole = (exponent - rest) / opaque.index;
    const factor = algebra.constant(q.power(only.coefficient, BigInt(exponent)));
    const root = algebra.generator(name!, q.rational(BigInt(rest)));
    return algebra.multiply(factor, algebra.multiply(algebra.raise(opaque.of, whole), root));
  }
  return algebra.raise(base, exponent);
}

/** A rational to a broken power: the real root where there is one, else the principal square root. */
function rootOfRational(algebra: Algebra, value: q.Rational, by: q.Rational): Fraction {
  if (value.numerator < 0n) {
    const positive = rootOfRational(algebra, q.negate(value), by);
    if (by.denominator % 2n === 1n) return by.numerator % 2n === 0n ? positive : algebra.negate(positive);
    if (by.denominator !== 2n) throw new Refusal('an even root of a negative number');
    return algebra.multiply(positive, algebra.generator('i', q.rational(by.numerator)));
  }
  let result = algebra.constant(q.one);
  for (const [part, sign] of [
    [value.numerator, 1n],
    [value.denominator, -1n],
  ] as const) {
    // Factoring costs more the more digits there are.
    algebra.spend(4 + q.bitLength(part));
    for (const [prime, times] of factorInteger(part)) {
      const exponent = q.multiply(by, q.rational(sign * BigInt(times)));
      result = algebra.multiply(result, algebra.generator(String(prime), exponent));
    }
  }
  return result;
}

/** The positive rational number that all coefficients of the numerator are integer multiples of. */
function contentOf(base: Fraction): q.Rational {
  let divisor = 0n;
  let multiple = 1n;
  for (const { coefficient } of base.over.values()) {
    const { numerator, denominator } = coefficient;
    divisor = q.gcd(divisor, numerator < 0n ? -numerator : numerator);
    multiple = (multiple / q.gcd(multiple, denominator)) * denominator;
  }
  return q.rational(divisor, multiple);
}

function apply(
  algebra: Algebra,
  name: (Node & { kind: 'call' })['name'],
  argument: Fraction,
  base: Fraction | undefined,
): Fraction {
  const value = rationalValue(argument);
  if (name === 'exp') return raise(algebra, algebra.generator('e'), argument);
  if (name === 'abs' && value !== undefined) {
    return value.numerator < 0n ? algebra.negate(argument) : argument;
  }
  if (name === 'ln' || name === 'log') {
    if (value !== undefined && value.numerator <= 0n) throw new Refusal('a logarithm of a number <= 0');
    const logarithm = (of: Fraction): Fraction => {
      const number = rationalValue(of);
      if (number !== undefined && q.equal(number, q.one)) return algebra.constant(q.zero);
      const only = singleTerm(of);
      if (only?.powers.size === 1 && only.powers.has('e') && q.equal(only.coefficient, q.one)) {
        return algebra.constant(only.powers.get('e')!);
      }
      return algebra.hide({ kind: 'call', name: 'ln', argument: of });
    };
    if (name === 'ln') return logarithm(argument);
    const ten = base ?? algebra.constant(q.rational(10n));
    return algebra.divide(logarithm(argument), logarithm(ten));
  }
  return algebra.hide({ kind: 'call', name, argument });
}
