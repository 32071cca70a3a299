/**
 * Algebra of Reasoning-Gym: equations, complex numbers, products of polynomials, integrals. Answers are expressions in
 * Python's notation, read by expression.ts and compared exactly where that is possible (polynomial.ts, antiderivative.ts).
 */
import { accepted, rejected, screenAnswer, trimBlanks } from '../../answer.ts';
import { type Fraction, maxNumberLength } from '../../number.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { judgeAntiderivative } from './antiderivative.ts';
import { type Expression, isParseError, parseExpression } from './expression.ts';
import { isText, metaValue } from './meta.ts';
import { type Decimal, equalDecimals, expectedDecimal, integerTask, readDecimal } from './numbers.ts';

export const simpleEquations = integerTask('simple_equations', 'solution of a linear equation');

/** Real and imaginary part of `a + bi`, `a`, `bi`, `i`; j for i, parentheses and blanks as in Python. */
function complexParts(text: string): readonly [Decimal, Decimal] | undefined {
  const dense = (text.startsWith('(') && text.endsWith(')') ? text.slice(1, -1) : text).replace(/[ \t]/g, '');
  const found = /^([+-]?[0-9.]+(?![0-9.]*[ij]))?(?:([+-]?)([0-9.]*)[ij])?$/i.exec(dense);
  if (found === null || dense === '') return undefined;
  const [, real, sign = '', imaginary] = found;
  if (real !== undefined && imaginary !== undefined && sign === '') return undefined;
  const first = readDecimal(real ?? '0');
  const second = imaginary === undefined ? readDecimal('0') : readDecimal(sign + (imaginary || '1'));
  return first === undefined || second === undefined ? undefined : [first, second];
}

export const complexArithmetic: SuiteTask = {
  name: 'complex_arithmetic',
  description: 'sum, difference, product or quotient of complex numbers',
  metaKeys: [],
  verify(question, answer) {
    const expected = complexParts(question.answer);
    if (expected === undefined) {
      throw new TypeError(`question ${question.id}: expected a complex number, found ${question.answer}`);
    }
    const screened = screenAnswer(answer, maxNumberLength);
    if (typeof screened !== 'string') return screened;
    const found = complexParts(screened);
    if (found === undefined) return rejected('not one complex number');
    return equalDecimals(found[0], expected[0]) && equalDecimals(found[1], expected[1])
      ? accepted
      : rejected('a different number');
  },
};

/** All roots, to four decimal places, in any order. */
export const polynomialEquations: SuiteTask = {
  name: 'polynomial_equations',
  description: 'real roots of a polynomial to four decimal places',
  metaKeys: [],
  verify(question, answer) {
    const screened = screenAnswer(answer, maxNumberLength);
    if (typeof screened !== 'string') return screened;
    const missing = question.answer.split(',').map((root) => expectedDecimal(trimBlanks(root)));
    const found = screened.split(',').map((root) => readDecimal(trimBlanks(root)));
    if (found.length !== missing.length) return rejected('not as many numbers as there are roots');
    for (const root of found) {
      if (root === undefined) return rejected('not numbers separated by commas');
      const place = missing.findIndex((candidate) => equalDecimals(candidate, root));
      if (place < 0) return rejected('a different root');
      missing.splice(place, 1);
    }
    return accepted;
  },
};

/** The terms of a sum, each with its sign. */
function termsOf(tree: Expression, sign: 1 | -1 = 1): { sign: 1 | -1; term: Expression }[] {
  const opposite = sign === 1 ? -1 : 1;
  if (tree.kind === 'negative') return termsOf(tree.of, opposite);
  if (tree.kind !== 'sum' && tree.kind !== 'difference') return [{ sign, term: tree }];
  return [...termsOf(tree.left, sign), ...termsOf(tree.right, tree.kind === 'sum' ? sign : opposite)];
}

/** A coefficient times powers of variables; the key names the powers. */
interface Monomial {
  readonly key: string;
  readonly coefficient: Fraction;
}

/** A term as a monomial: at most one number, one denominator and one power a variable; otherwise undefined. */
function monomialOf(term: Expression): Monomial | undefined {
  let [sign, numerator, denominator]: [bigint, bigint | undefined, bigint | undefined] = [
    1n,
    undefined,
    undefined,
  ];
  const powers = new Map<string, bigint>();

  function power(name: string, exponent: bigint): boolean {
    if (exponent < 1n || powers.has(name)) return false;
    powers.set(name, exponent);
    return true;
  }

  /** Takes the factors in; false where they make no monomial. */
  function take(node: Expression): boolean {
    switch (node.kind) {
      case 'number':
        if (numerator !== undefined || node.value.denominator !== 1n) return false;
        numerator = node.value.numerator;
        return true;
      case 'negative':
        sign = -sign;
        return take(node.of);
      case 'product':
        return take(node.left) && take(node.right);
      case 'quotient': {
        const { right } = node;
        if (denominator !== undefined || right.kind !== 'number') return false;
        if (right.value.denominator !== 1n || right.value.numerator === 0n) return false;
        denominator = right.value.numerator;
        return take(node.left);
      }
      case 'name':
        return power(node.name, 1n);
      case 'power': {
        const { left, right } = node;
        if (left.kind !== 'name' || right.kind !== 'number' || right.value.denominator !== 1n) return false;
        return power(left.name, right.value.numerator);
      }
      default:
        return false;
    }
  }

  if (!take(term)) return undefined;
  return {
    key: [...powers]
      .map(([name, exponent]) => `${name}**${exponent}`)
      .sort()
      .join('*'),
    coefficient: { numerator: sign * (numerator ?? 1n), denominator: denominator ?? 1n },
  };
}

/** The coefficients of an expanded polynomial with like terms collected; undefined for anything else. */
function expandedTerms(tree: Expression): ReadonlyMap<string, Fraction> | undefined {
  const terms = new Map<string, Fraction>();
  for (const { sign, term } of termsOf(tree)) {
    const monomial = monomialOf(term);
    if (monomial === undefined || terms.has(monomial.key)) return undefined;
    const { numerator, denominator } = monomial.coefficient;
    terms.set(monomial.key, { numerator: BigInt(sign) * numerator, denominator });
  }
  return terms;
}

/** The product multiplied out: a sum of monomials, each power once, in any order. The question itself is no answer. */
export const polynomialMultiplication: SuiteTask = {
  name: 'polynomial_multiplication',
  description: 'product of polynomials, multiplied out',
  metaKeys: [],
  verify(question, answer) {
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const tree = parseExpression(screened);
    if (isParseError(tree)) return rejected(`not an expression: ${tree.error}`);
    const found = expandedTerms(tree);
    if (found === undefined) return rejected('not a sum of different powers with a coefficient each');
    const expectedTree = parseExpression(question.answer);
    const expected = isParseError(expectedTree) ? undefined : expandedTerms(expectedTree);
    if (expected === undefined) {
      throw new TypeError(`question ${question.id}: expected a polynomial, found ${question.answer}`);
    }
    if (found.size !== expected.size) return rejected('other powers');
    for (const [key, { numerator, denominator }] of expected) {
      const other = found.get(key);
      if (other === undefined) return rejected('other powers');
      if (other.numerator * denominator !== numerator * other.denominator)
        return rejected('another coefficient');
    }
    return accepted;
  },
};

/** An integral by a variable, in any form; `+ C` may be left out. */
function integralTask(name: string, description: string): SuiteTask {
  return {
    name,
    description,
    metaKeys: ['integrand', 'variable'],
    verify(question, answer) {
      const integrand = metaValue(question, 'integrand', isText, 'an expression');
      const variable = metaValue(question, 'variable', isText, 'a name');
      const screened = screenAnswer(answer, kLongestAnswer);
      return typeof screened === 'string' ? judgeAntiderivative(integrand, variable, screened) : screened;
    },
  };
}

export const simpleIntegration = integralTask('simple_integration', 'indefinite integral of a polynomial');

export const intermediateIntegration = integralTask(
  'intermediate_integration',
  'indefinite integral by substitution or by parts',
);
