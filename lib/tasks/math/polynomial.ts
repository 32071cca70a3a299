/**
 * Normal forms: fractions of polynomials with rational coefficients over generators with rational exponents.
 *
 * Generators are positive integers under roots (`2` with exponent 1/2), pi, e, the imaginary unit, variables, and values that
 * are not looked into (`#3`: a nested root, a sine). Like terms are merged, integer parts of exponents of integers go into the
 * coefficient, i^2 becomes -1; so equal expressions of rationals, simple radicals and variables have equal normal forms.
 * Every operation spends from a budget; beyond it the answer is refused, so no text costs more than some milliseconds.
 */
import * as q from './rational.ts';
import { type FunctionName, Refusal } from './syntax.ts';

/** One term: coefficient times generators to their exponents, none of which is 0. */
export interface Term {
  readonly coefficient: q.Rational;
  readonly powers: ReadonlyMap<string, q.Rational>;
}

/** Terms by the text of their powers; no coefficient is 0. */
export type Polynomial = ReadonlyMap<string, Term>;

/** `under` has at least one term; with one term it is 1. */
export interface Fraction {
  readonly over: Polynomial;
  readonly under: Polynomial;
}

/** A value that normal forms do not look into. */
export type Opaque =
  | { readonly kind: 'root'; readonly index: number; readonly of: Fraction }
  | { readonly kind: 'power'; readonly base: Fraction; readonly exponent: Fraction }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly argument: Fraction };

const kMostTerms = 300;
const kBudget = 8_000;

/** Generators that are real numbers > 0 for every value of the variables. */
const kPositive = new Set(['pi', 'e']);

/** Arithmetic of normal forms with one budget and one table of opaque values. */
export interface Algebra {
  readonly opaque: ReadonlyMap<string, Opaque>;
  /** What was divided by and is not a non-zero rational number: none of these may be 0. */
  readonly divisors: readonly Polynomial[];
  /** Takes from the budget; a term costs 1. Throws Refusal when nothing is left. */
  spend(amount: number): void;
  constant(value: q.Rational): Fraction;
  generator(name: string, exponent?: q.Rational): Fraction;
  /** The generator that stands for a value which is not looked into. */
  hide(value: Opaque): Fraction;
  add(a: Fraction, b: Fraction): Fraction;
  negate(a: Fraction): Fraction;
  multiply(a: Fraction, b: Fraction): Fraction;
  /** a / b; a Refusal when b is structurally 0. A b that may be 0 otherwise is added to the divisors. */
  divide(a: Fraction, b: Fraction): Fraction;
  /** a to an integer power. */
  raise(a: Fraction, exponent: number): Fraction;
  /** Numerator of a - b over the product of their denominators. */
  difference(a: Fraction, b: Fraction): Polynomial;
}

/** The value of a fraction that is a rational number, else undefined. */
export function rationalValue(a: Fraction): q.Rational | undefined {
  if (a.over.size === 0) return q.zero;
  if (a.under.size !== 1 || a.over.size !== 1) return undefined;
  return a.over.get('')?.coefficient;
}

/** The only term of a fraction without a denominator, else undefined. */
export function singleTerm(a: Fraction): Term | undefined {
  if (a.over.size !== 1 || a.under.size !== 1) return undefined;
  return a.over.values().next().value;
}

export function isPositiveGenerator(name: string): boolean {
  return kPositive.has(name) || /^[0-9]/.test(name);
}

/** Whether a generator is a variable: every other name is a number, a constant or opaque. */
export function isVariable(name: string): boolean {
  return !kPositive.has(name) && name !== 'i' && !/^[0-9#]/.test(name);
}

function keyOf(powers: ReadonlyMap<string, q.Rational>): string {
  return [...powers]
    .map(([name, exponent]) => `${name}^${q.show(exponent)}`)
    .sort()
    .join('*');
}

/** The text of a fraction; equal texts are equal values. */
export function textOf(a: Fraction): string {
  const side = (polynomial: Polynomial) =>
    [...polynomial]
      .sort(([x], [y]) => (x < y ? -1 : 1))
      .map(([key, { coefficient }]) => `${q.show(coefficient)}*${key}`)
      .join('+');
  return `(${side(a.over)})/(${side(a.under)})`;
}

export function createAlgebra(): Algebra {
  const opaque = new Map<string, Opaque>();
  const divisors: Polynomial[] = [];
  const nameOf = new Map<string, string>();
  let budget = kBudget;

  function spend(amount: number): void {
    budget -= amount;
    if (budget < 0) throw new Refusal('an expression too large to compare');
  }

  /** A term with the exponents of integers and of i reduced. */
  function term(coefficient: q.Rational, powers: Map<string, q.Rational>): Term {
    let factor = coefficient;
    for (const [name, exponent] of [...powers]) {
      if (exponent.numerator === 0n) {
        powers.delete(name);
      } else if (name === 'i') {
        if (!q.isInteger(exponent)) throw new Refusal('a root of the imaginary unit');
        const rest = ((exponent.numerator % 4n) + 4n) % 4n;
        if (rest >= 2n) factor = q.negate(factor);
        if (rest % 2n === 0n) powers.delete(name);
        else powers.set(name, q.one);
      } else if (/^[0-9]/.test(name)) {
        const { numerator, denominator } = exponent;
        const rest = ((numerator % denominator) + denominator) % denominator;
        const whole = (numerator - rest) / denominator;
        factor = q.multiply(factor, q.power(q.rational(BigInt(name)), whole));
        if (rest === 0n) powers.delete(name);
        else powers.set(name, q.rational(rest, denominator));
      }
    }
    return { coefficient: factor, powers };
  }

  function collect(terms: Iterable<Term>): Polynomial {
    const result = new Map<string, Term>();
    for (const item of terms) {
      spend(1 + item.powers.size + Math.floor(q.bitLength(item.coefficient.numerator) / 256));
      const key = keyOf(item.powers);
      const before = result.get(key);
      const coefficient =
        before === undefined ? item.coefficient : q.add(before.coefficient, item.coefficient);
      if (coefficient.numerator === 0n) result.delete(key);
      else result.set(key, { coefficient, powers: item.powers });
      if (result.size > kMostTerms) throw new Refusal('an expression of too many terms');
    }
    return result;
  }

  function timesTerm(a: Term, b: Term): Term {
    const powers = new Map(a.powers);
    for (const [name, exponent] of b.powers) {
      powers.set(name, q.add(powers.get(name) ?? q.zero, exponent));
    }
    return term(q.multiply(a.coefficient, b.coefficient), powers);
  }

  function timesPolynomial(a: Polynomial, b: Polynomial): Polynomial {
    function* products(): Iterable<Term> {
      for (const x of a.values()) for (const y of b.values()) yield timesTerm(x, y);
    }
    return collect(products());
  }

  function plus(a: Polynomial, b: Polynomial): Polynomial {
    return collect([...a.values(), ...b.values()]);
  }

  function scale(a: Polynomial, factor: q.Rational): Polynomial {
    return collect(
      [...a.values()].map((item) => ({ ...item, coefficient: q.multiply(item.coefficient, factor) })),
    );
  }

  const unit: Polynomial = new Map([['', { coefficient: q.one, powers: new Map() }]]);

  function invertTerm({ coefficient, powers }: Term): Polynomial {
    const inverse = new Map([...powers].map(([name, exponent]) => [name, q.negate(exponent)]));
    return collect([term(q.divide(q.one, coefficient), inverse)]);
  }

  /** A denominator of one term goes into the numerator; else its first coefficient becomes 1. */
  function fraction(over: Polynomial, under: Polynomial): Fraction {
    if (under.size === 0) throw new Refusal('a division by zero');
    if (over.size === 0) return { over, under: unit };
    if (under.size === 1) {
      const only: Term = under.values().next().value!;
      if (only.powers.size === 0 && q.equal(only.coefficient, q.one)) return { over, under };
      return { over: timesPolynomial(over, invertTerm(only)), under: unit };
    }
    const first = [...under.keys()].sort()[0]!;
    const leading = under.get(first)!.coefficient;
    if (q.equal(leading, q.one)) return { over, under };
    const factor = q.divide(q.one, leading);
    return { over: scale(over, factor), under: scale(under, factor) };
  }

  const same = (a: Polynomial, b: Polynomial): boolean =>
    a === b ||
    (a.size === b.size &&
      [...a].every(([key, item]) => {
        const other = b.get(key);
        return other !== undefined && q.equal(item.coefficient, other.coefficient);
      }));

  const algebra: Algebra = {
    opaque,
    divisors,
    spend,
    constant: (value) => ({
      over: value.numerator === 0n ? new Map() : new Map([['', { coefficient: value, powers: new Map() }]]),
      under: unit,
    }),
    generator: (name, exponent = q.one) => ({
      over: collect([term(q.one, new Map([[name, exponent]]))]),
      under: unit,
    }),
    hide(value) {
      const parts =
        value.kind === 'root'
          ? [String(value.index), textOf(value.of)]
          : value.kind === 'power'
            ? [textOf(value.base), textOf(value.exponent)]
            : [value.name, textOf(value.argument)];
      const key = `${value.kind} ${parts.join(' ')}`;
      let name = nameOf.get(key);
      if (name === undefined) {
        if (opaque.size === 24) throw new Refusal('an expression of too many roots and functions');
        name = `#${opaque.size}`;
        nameOf.set(key, name);
        opaque.set(name, value);
      }
      return algebra.generator(name);
    },
    add(a, b) {
      if (same(a.under, b.under)) return fraction(plus(a.over, b.over), a.under);
      return fraction(
        plus(timesPolynomial(a.over, b.under), timesPolynomial(b.over, a.under)),
        timesPolynomial(a.under, b.under),
      );
    },
    negate: (a) => ({ over: scale(a.over, q.rational(-1n)), under: a.under }),
    multiply: (a, b) => fraction(timesPolynomial(a.over, b.over), timesPolynomial(a.under, b.under)),
    divide(a, b) {
      if (b.over.size === 0) throw new Refusal('a division by zero');
      if (rationalValue(b) === undefined) divisors.push(b.over);
      return fraction(timesPolynomial(a.over, b.under), timesPolynomial(a.under, b.over));
    },
    raise(a, exponent) {
      const value = rationalValue(a);
      if (value !== undefined) return algebra.constant(q.power(value, BigInt(exponent)));
      if (exponent < 0) return algebra.divide(algebra.constant(q.one), algebra.raise(a, -exponent));
      const only = singleTerm(a);
      if (only !== undefined) {
        const times = q.rational(BigInt(exponent));
        const powers = new Map([...only.powers].map(([name, e]) => [name, q.multiply(e, times)]));
        return { over: collect([term(q.power(only.coefficient, BigInt(exponent)), powers)]), under: unit };
      }
      let result = algebra.constant(q.one);
      let square = a;
      for (let rest = exponent; rest > 0; rest >>= 1) {
        if (rest & 1) result = algebra.multiply(result, square);
        if (rest > 1) square = algebra.multiply(square, square);
      }
      return result;
    },
    difference: (a, b) =>
      plus(timesPolynomial(a.over, b.under), scale(timesPolynomial(b.over, a.under), q.rational(-1n))),
  };
  return algebra;
}
