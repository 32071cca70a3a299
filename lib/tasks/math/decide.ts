/**
 * Whether two normal forms are the same value.
 *
 * 1. Normal forms that agree are equal. Different ones of rationals, roots of primes, variables and one of pi and e are
 *    different: products of roots of primes are linearly independent over the rationals, and pi and e are transcendental.
 * 2. Else the difference is computed in interval arithmetic. An interval without 0 proves them different.
 * 3. An interval around 0 proves equality if it is smaller than the separation bound of the difference (Burnikel, Funke,
 *    Mehlhorn, Schirra, Schmitt 2001: an expression of +, -, *, / and roots is 0 or at least 1 / (l u^(D-1)) away from it).
 *    Where there is no bound (functions, pi and e together) or it needs more than kMostBits, values count as equal when they
 *    differ by less than 2^-kCloseBits, 150 decimal places; expressions in variables at up to four fixed rational points.
 * Every divisor must be proved not to be 0, else 7z/z with a hidden z = 0 would equal anything.
 */
import { isCertainPrime } from './factor.ts';
import { type Interval, type Intervals, intervalsAt } from './interval.ts';
import {
  type Algebra,
  type Fraction,
  isVariable,
  type Polynomial,
  rationalValue,
  type Term,
} from './polynomial.ts';
import * as q from './rational.ts';
import { Refusal } from './syntax.ts';

/** Bits after the point where no separation bound applies, and how many of them must agree. */
const kBits = 576;
const kCloseBits = 500n;
/** The most bits that a separation bound may ask for. */
const kMostBits = 1_500;

/** Points at which expressions in variables are compared, of which two must have a value; every other one has negative values. */
const kPoints = 4;
/** What one evaluation takes from the algebra's budget: some hundred microseconds. */
const kEvaluationCost = 250;

/** Values below this, other than 0 itself, are not told apart without a bound. */
const kSmallestBits = 64n;

type Sign = 'zero' | 'nonzero' | 'undecided';

/** Whether two values are equal; 'undecided' is not equal. */
export function equalValues(algebra: Algebra, expected: Fraction, answer: Fraction): boolean {
  const difference = algebra.difference(expected, answer);
  if (difference.size > 0 && signOf(algebra, difference, expected) !== 'zero') return false;
  return algebra.divisors.every((divisor) => signOf(algebra, divisor) === 'nonzero');
}

/** Whether a polynomial is 0. `scale` is the value that a difference belongs to. */
function signOf(algebra: Algebra, polynomial: Polynomial, scale?: Fraction): Sign {
  if (polynomial.size === 0) return 'zero';
  const names = new Set([...polynomial.values()].flatMap(({ powers }) => [...powers.keys()]));
  if (independent(names)) return 'nonzero';
  // Real and imaginary part by themselves; a root or function of a complex value cannot be evaluated.
  const parts = [false, true].map((imaginary) =>
    [...polynomial.values()].filter(({ powers }) => powers.has('i') === imaginary),
  );
  const bound = separationBits(algebra, polynomial);
  const exact = bound !== undefined && bound < kMostBits;
  const bits = exact ? Math.ceil(bound) + 96 : kBits;
  const close = exact ? BigInt(Math.ceil(bound)) : kCloseBits;
  const variables = [...allVariables(algebra, names)].sort();
  let evaluated = 0;
  for (let point = 0; point < (variables.length === 0 ? 1 : kPoints); point++) {
    algebra.spend(kEvaluationCost);
    const values = new Map(variables.map((name, i) => [name, samplePoint(point, i)]));
    const numbers = evaluator(algebra, intervalsAt(bits), values);
    try {
      for (const terms of parts) {
        const { lo, hi } = numbers.sum(terms);
        if (lo > 0n || hi < 0n) return 'nonzero';
        const widest = hi > -lo ? hi : -lo;
        if (widest >> (BigInt(bits) - close) !== 0n) return 'undecided';
      }
      if (!exact && scale !== undefined && !largeEnough(numbers, scale)) return 'undecided';
      evaluated += 1;
    } catch (error) {
      if (!(error instanceof Refusal) || variables.length === 0) throw error;
    }
  }
  return evaluated >= (variables.length === 0 ? 1 : 2) ? 'zero' : 'undecided';
}

/** Whether a non-zero polynomial in these generators is certainly not 0. */
function independent(names: ReadonlySet<string>): boolean {
  let transcendental = 0;
  for (const name of names) {
    if (name === 'pi' || name === 'e') transcendental += 1;
    else if (name.startsWith('#')) return false;
    else if (/^[0-9]/.test(name) && !isCertainPrime(BigInt(name))) return false;
  }
  return transcendental <= 1;
}

function largeEnough(numbers: Evaluator, scale: Fraction): boolean {
  if (rationalValue(scale) !== undefined) return true;
  return [false, true].some((imaginary) => {
    const terms = [...scale.over.values()].filter(({ powers }) => powers.has('i') === imaginary);
    const { lo, hi } = numbers.sum(terms);
    const least = lo > 0n ? lo : hi < 0n ? -hi : 0n;
    return least >> (BigInt(kBits) - kSmallestBits) !== 0n;
  });
}

/** The variables of generators, also of those inside opaque values. */
function allVariables(algebra: Algebra, names: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const opaque = algebra.opaque.get(name);
    if (opaque === undefined) {
      if (isVariable(name)) found.add(name);
      return;
    }
    for (const fraction of partsOf(opaque)) {
      for (const polynomial of [fraction.over, fraction.under]) {
        for (const { powers } of polynomial.values()) for (const inner of powers.keys()) visit(inner);
      }
    }
  };
  for (const name of names) visit(name);
  return found;
}

function partsOf(opaque: NonNullable<ReturnType<Algebra['opaque']['get']>>): readonly Fraction[] {
  if (opaque.kind === 'root') return [opaque.of];
  return opaque.kind === 'power' ? [opaque.base, opaque.exponent] : [opaque.argument];
}

/** Fixed points with no pattern: a positive rational for each variable, other ones for each round. */
function samplePoint(point: number, variable: number): q.Rational {
  const scrambled = ((point + 1) * 7_919 + (variable + 1) * 104_729) % 99_991;
  const negative = point === 1 || (point === 3 && variable % 2 === 0);
  const numerator = BigInt(30_011 + scrambled);
  return q.rational(negative ? -numerator : numerator, BigInt(40_009 + 1_009 * variable));
}

interface Evaluator {
  sum(terms: readonly Term[]): Interval;
}

/** Values of generators and terms at one point; each opaque value is computed once. */
function evaluator(
  algebra: Algebra,
  intervals: Intervals,
  variables: ReadonlyMap<string, q.Rational>,
): Evaluator {
  const known = new Map<string, Interval>();
  const valueIn = (name: string): Interval => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const opaque = algebra.opaque.get(name);
    let value: Interval;
    if (opaque?.kind === 'root') value = intervals.root(fraction(opaque.of), opaque.index);
    else if (opaque?.kind === 'power')
      value = intervals.power(fraction(opaque.base), fraction(opaque.exponent));
    else if (opaque?.kind === 'call') value = intervals.call(opaque.name, fraction(opaque.argument));
    else if (name === 'pi') value = intervals.pi();
    else if (name === 'e') value = intervals.e();
    else if (/^[0-9]/.test(name)) value = intervals.rational(q.rational(BigInt(name)));
    else {
      const given = variables.get(name);
      if (given === undefined) throw new Refusal('a root or function of a complex value');
      value = intervals.rational(given);
    }
    known.set(name, value);
    return value;
  };
  const powerOf = (name: string, exponent: q.Rational): Interval => {
    const { numerator, denominator } = exponent;
    const value = denominator === 1n ? valueIn(name) : intervals.root(valueIn(name), Number(denominator));
    return intervals.raise(value, numerator);
  };
  const sum = (terms: readonly Term[]): Interval =>
    terms
      .map(({ coefficient, powers }) => {
        let product = intervals.rational(coefficient);
        for (const [name, exponent] of powers) {
          if (name !== 'i') product = intervals.multiply(product, powerOf(name, exponent));
        }
        return product;
      })
      .reduce(intervals.add, { lo: 0n, hi: 0n });
  const fraction = ({ over, under }: Fraction): Interval => {
    for (const polynomial of [over, under]) {
      if ([...polynomial.values()].some(({ powers }) => powers.has('i'))) {
        throw new Refusal('a root or function of a complex value');
      }
    }
    const above = sum([...over.values()]);
    return under.size === 1 ? above : intervals.divide(above, sum([...under.values()]));
  };
  return { sum };
}

/** Bits that settle whether a polynomial of roots is 0, or undefined where the separation bound does not apply. */
function separationBits(algebra: Algebra, polynomial: Polynomial): number | undefined {
  // Degrees of the distinct roots, and log2 of the bounds u and l of the paper.
  const degrees = new Map<string, number>();
  interface Bound {
    readonly u: number;
    readonly l: number;
  }
  const logSum = (x: number, y: number): number => Math.max(x, y) + 1;
  const known = new Map<string, Bound | undefined>();
  const ofGenerator = (name: string): Bound | undefined => {
    if (/^[0-9]/.test(name)) return { u: q.bitLength(BigInt(name)), l: 0 };
    if (!known.has(name)) known.set(name, ofOpaque(name));
    return known.get(name);
  };
  const ofOpaque = (name: string): Bound | undefined => {
    const opaque = algebra.opaque.get(name);
    if (opaque?.kind !== 'root') return undefined;
    const inside = ofFraction(opaque.of);
    if (inside === undefined) return undefined;
    const n = opaque.index;
    degrees.set(name, n);
    return inside.u >= inside.l
      ? { u: (inside.u + (n - 1) * inside.l) / n, l: inside.l }
      : { u: inside.u, l: ((n - 1) * inside.u + inside.l) / n };
  };
  const ofTerm = ({ coefficient, powers }: Term): Bound | undefined => {
    let u = q.bitLength(coefficient.numerator);
    let l = q.bitLength(coefficient.denominator);
    for (const [name, { numerator, denominator }] of powers) {
      if (name === 'i') continue;
      const base = ofGenerator(name);
      if (base === undefined) return undefined;
      if (denominator !== 1n) degrees.set(name, leastCommon(degrees.get(name) ?? 1, Number(denominator)));
      const times = Math.abs(Number(numerator)) / Number(denominator);
      u += times * (numerator > 0n ? base.u : base.l);
      l += times * (numerator > 0n ? base.l : base.u);
    }
    return { u, l };
  };
  const ofPolynomial = (terms: Polynomial): Bound | undefined => {
    let total: Bound | undefined;
    for (const term of terms.values()) {
      const bound = ofTerm(term);
      if (bound === undefined) return undefined;
      total =
        total === undefined
          ? bound
          : { u: logSum(total.u + bound.l, bound.u + total.l), l: total.l + bound.l };
    }
    return total;
  };
  const ofFraction = ({ over, under }: Fraction): Bound | undefined => {
    const [above, below] = [ofPolynomial(over), ofPolynomial(under)];
    if (above === undefined || below === undefined) return undefined;
    return { u: above.u + below.l, l: above.l + below.u };
  };
  const bound = ofPolynomial(polynomial);
  if (bound === undefined) return undefined;
  let degree = 1;
  for (const n of degrees.values()) degree *= n;
  return (degree - 1) * bound.u + bound.l + 1;
}

function leastCommon(a: number, b: number): number {
  return Number((BigInt(a) / q.gcd(BigInt(a), BigInt(b))) * BigInt(b));
}
