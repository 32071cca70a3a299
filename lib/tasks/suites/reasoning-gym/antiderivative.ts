/**
 * Whether an expression is an antiderivative of another: a constant C or c may be added, no form is preferred. Polynomials are
 * decided exactly, everything else by derivatives (slopes.ts) at eight points, in balls of 320 bits (ball.ts).
 *
 * Rejection is a proof: at one point the two differ by more than all rounding errors together. Acceptance says that they agree
 * within 2^-160 at eight points. The difference of a wrong answer is analytic, has few zeros on an interval and is that small
 * only within about 2^-160 of one; points have 64 random bits from SHA-256 of both texts, so a point hits such a place with
 * probability about 2^-64 a zero, and no answer can be written around points that change with each of its characters. Nor
 * can a wrong term hide by being tiny: products and function values below 2^-128 are out of reach.
 */
import { createHash } from 'node:crypto';
import { accepted, rejected, type Verdict } from '../../answer.ts';
import { add, fraction, isNonzero, isSharp, OutOfReach, one, subtract, zero } from './ball.ts';
import { type Expression, isParseError, parseExpression } from './expression.ts';
import { differentiate, equalPolynomials, polynomialOf } from './polynomial.ts';
import { type Dual, slopeOf, TooMuchWork, UnknownName } from './slopes.ts';

/**
 * Points at which both must agree. Where one has no real value they are passed over: log(x**2) and 2*log(x) agree where both
 * exist. With fewer points than that among the candidates an answer is rejected.
 */
const kPoints = 8;
const kCandidates = 64;
const kSharpBits = 160n;
/** Points at which the integrand has a value and the answer has none, before the answer is rejected. */
const kMostMisses = 24;
/** Multiplications of 320 bits for one verdict. */
const kMostWork = 16_000;
const kConstants = ['C', 'c'];

/**
 * Where points are drawn, in turn. Both signs, because a root or a logarithm may exist on one side only; near zero for
 * asin(3*x) and for exponentials of squares, far out for sqrt(x - 10).
 */
const kIntervals: readonly (readonly [bigint, bigint])[] = [
  [0n, 30n],
  [-30n, 0n],
  [0n, 150n],
  [-150n, 0n],
  [150n, 500n],
  [-500n, -150n],
  [1000n, 1400n],
  [-1400n, -1000n],
];

/** 256 bits that change with every character of the two texts. */
function digestOf(integrand: string, answer: string, round: number): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([integrand, answer, round]))
    .digest();
}

/** The points at which two texts are compared; kIntervals has their bounds in hundredths. */
function* points(integrand: string, answer: string): Generator<Dual> {
  for (let i = 0; i < kCandidates; i += 4) {
    const digest = digestOf(integrand, answer, i);
    for (let j = 0; j < 4; j++) {
      const [low, high] = kIntervals[(i + j) % kIntervals.length]!;
      const share = digest.readBigUInt64BE(8 * j);
      yield {
        value: fraction((low << 64n) + share * (high - low), 100n << 64n),
        slope: one,
      };
    }
  }
}

/** Values for the constants: numbers that the answer cannot have been written for. */
function constantsFor(integrand: string, answer: string): Map<string, Dual> {
  const digest = digestOf(integrand, answer, -1);
  return new Map(
    kConstants.map((name, i) => {
      const share = fraction(digest.readBigUInt64BE(8 * i) + 1n, 1n << 64n);
      return [name, { value: add(one, share), slope: zero }];
    }),
  );
}

/** An expression and the text it was read from. */
interface Read {
  readonly text: string;
  readonly tree: Expression;
}

/** The verdict by values at points. */
function judgeByValues(integrand: Read, variable: string, answer: Read): Verdict {
  const allowance = { work: kMostWork };
  const names = constantsFor(integrand.text, answer.text);
  let agreeing = 0;
  let misses = 0;
  try {
    for (const point of points(integrand.text, answer.text)) {
      const wanted = reached(() => slopeOf(integrand.tree, new Map([[variable, point]]), allowance));
      if (wanted === undefined) continue;
      const found = reached(() => slopeOf(answer.tree, names.set(variable, point), allowance));
      const difference = found && reached(() => subtract(found.slope, wanted.value));
      if (difference !== undefined && isNonzero(difference))
        return rejected('its derivative is not the integrand');
      if (difference !== undefined && isSharp(difference, kSharpBits)) agreeing += 1;
      else misses += 1;
      if (agreeing === kPoints) return accepted;
      if (misses === kMostMisses) break;
    }
  } catch (error) {
    if (error instanceof UnknownName)
      return rejected(`it contains ${error.message}, which is not known here`);
    if (error instanceof TooMuchWork) return rejected('it is too long to be checked');
    throw error;
  }
  return rejected(`it can be compared with the integrand at ${agreeing} points, ${kPoints} are needed`);
}

/** What `compute` returns, or undefined where it cannot be computed. */
function reached<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch (error) {
    if (error instanceof OutOfReach) return undefined;
    throw error;
  }
}

/** Whether `answer` is an antiderivative of `integrand` by `variable`; `integrand` must be an expression. */
export function judgeAntiderivative(integrand: string, variable: string, answer: string): Verdict {
  const wanted = parseExpression(integrand);
  if (isParseError(wanted)) {
    throw new TypeError(`expected an integrand that is an expression, found ${integrand}: ${wanted.error}`);
  }
  const found = parseExpression(answer);
  if (isParseError(found)) return rejected(`not an expression: ${found.error}`);
  const variables = [variable, ...kConstants];
  const polynomial = polynomialOf(found, variables);
  const wantedPolynomial = polynomialOf(wanted, variables);
  if (polynomial !== undefined && wantedPolynomial !== undefined) {
    return equalPolynomials(differentiate(polynomial, 0), wantedPolynomial)
      ? accepted
      : rejected('its derivative is not the integrand');
  }
  return judgeByValues({ text: integrand, tree: wanted }, variable, { text: answer, tree: found });
}
