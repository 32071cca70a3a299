/**
 * The value and the derivative of an expression at a point, in balls: forward-mode differentiation with the rules of
 * calculus. Real numbers only: roots and logarithms of what is not positive are out of reach (ball.ts), and so is everything
 * that depends on them.
 */
import * as ball from './ball.ts';
import { type Ball, OutOfReach } from './ball.ts';
import type { Expression } from './expression.ts';
import { type Allowance, rationalOf } from './polynomial.ts';

/** A value and its derivative by the variable. */
export interface Dual {
  readonly value: Ball;
  readonly slope: Ball;
}

/** More work than was allowed. */
export class TooMuchWork extends Error {}

/** A name or a function that is not known here. */
export class UnknownName extends Error {}

const kLargestExponent = 64n;
/** What a function costs, in multiplications. */
const kFunctionWork = 40;

const { add, divide, multiply, negate, one, subtract } = ball;
const square = (v: Ball) => multiply(v, v);
const reciprocal = (v: Ball) => divide(one, v);

/** sqrt(1 - v^2), of which the inverse sine and cosine are made. */
const cathetus = (v: Ball) => ball.sqrt(subtract(one, square(v)));
const inverseSine = (v: Ball, root: Ball) => ball.atan(divide(v, root));
const quarterTurn = divide(ball.pi, add(one, one));

/** Functions of one argument, as SymPy names them: f(v) and f'(v). */
const kFunctions: ReadonlyMap<string, (v: Ball) => Dual> = new Map([
  ['exp', (v) => sameTwice(ball.exp(v))],
  ['log', (v) => ({ value: ball.log(v), slope: reciprocal(v) })],
  ['ln', (v) => ({ value: ball.log(v), slope: reciprocal(v) })],
  ['sqrt', (v) => withRoot(ball.sqrt(v))],
  ['sin', (v) => ofSines(v, (s, c) => ({ value: s, slope: c }))],
  ['cos', (v) => ofSines(v, (s, c) => ({ value: c, slope: negate(s) }))],
  ['tan', (v) => ofSines(v, (s, c) => ({ value: divide(s, c), slope: reciprocal(square(c)) }))],
  ['cot', (v) => ofSines(v, (s, c) => ({ value: divide(c, s), slope: negate(reciprocal(square(s))) }))],
  ['sec', (v) => ofSines(v, (s, c) => ({ value: reciprocal(c), slope: divide(s, square(c)) }))],
  ['csc', (v) => ofSines(v, (s, c) => ({ value: reciprocal(s), slope: negate(divide(c, square(s))) }))],
  ['asin', (v) => withCathetus(v, (root) => ({ value: inverseSine(v, root), slope: reciprocal(root) }))],
  [
    'acos',
    (v) =>
      withCathetus(v, (root) => ({
        value: subtract(quarterTurn, inverseSine(v, root)),
        slope: negate(reciprocal(root)),
      })),
  ],
  ['sinh', (v) => ofHyperbolics(v, (s, c) => ({ value: s, slope: c }))],
  ['cosh', (v) => ofHyperbolics(v, (s, c) => ({ value: c, slope: s }))],
  ['tanh', (v) => ofHyperbolics(v, (s, c) => ({ value: divide(s, c), slope: reciprocal(square(c)) }))],
  ['atan', (v) => ({ value: ball.atan(v), slope: reciprocal(add(one, square(v))) })],
]);

function sameTwice(value: Ball): Dual {
  return { value, slope: value };
}

function withRoot(root: Ball): Dual {
  return { value: root, slope: reciprocal(add(root, root)) };
}

function ofSines(v: Ball, make: (sine: Ball, cosine: Ball) => Dual): Dual {
  const { sine, cosine } = ball.sines(v);
  return make(sine, cosine);
}

/** (e^v - e^-v) / 2 and (e^v + e^-v) / 2. */
function ofHyperbolics(v: Ball, make: (sine: Ball, cosine: Ball) => Dual): Dual {
  const grown = ball.exp(v);
  const shrunk = reciprocal(grown);
  const half = ball.fraction(1n, 2n);
  return make(multiply(half, subtract(grown, shrunk)), multiply(half, add(grown, shrunk)));
}

function withCathetus(v: Ball, make: (root: Ball) => Dual): Dual {
  return make(cathetus(v));
}

/**
 * Value and slope of an expression; `names` gives those of its variables and constants (E and pi are known). `allowance` is
 * how many multiplications may still be done.
 *
 * Throws OutOfReach where they cannot be computed at this point, UnknownName and TooMuchWork.
 */
export function slopeOf(tree: Expression, names: ReadonlyMap<string, Dual>, allowance: Allowance): Dual {
  function spend(multiplications: number): void {
    allowance.work -= multiplications;
    if (allowance.work < 0) throw new TooMuchWork('more work than one verdict may take');
  }

  function product(a: Dual, b: Dual): Dual {
    spend(3);
    return {
      value: multiply(a.value, b.value),
      slope: add(multiply(a.slope, b.value), multiply(a.value, b.slope)),
    };
  }

  function quotient(a: Dual, b: Dual): Dual {
    spend(8);
    const value = divide(a.value, b.value);
    return { value, slope: divide(subtract(a.slope, multiply(value, b.slope)), b.value) };
  }

  function call(name: string, argument: Dual): Dual {
    const f = kFunctions.get(name);
    if (f === undefined) throw new UnknownName(`${name}()`);
    spend(kFunctionWork);
    const { value, slope } = f(argument.value);
    return { value, slope: multiply(slope, argument.slope) };
  }

  /** base^n for an integer n of at least 1. */
  function integerPower(base: Dual, n: number): Dual {
    spend(16);
    const below = ball.power(base.value, n - 1);
    const factor = multiply(ball.fraction(BigInt(n), 1n), below);
    return { value: multiply(below, base.value), slope: multiply(factor, base.slope) };
  }

  function power(base: Dual, exponentTree: Expression): Dual {
    const exponent = rationalOf(exponentTree, allowance);
    spend(0);
    if (exponent !== undefined && exponent.numerator % exponent.denominator === 0n) {
      const n = exponent.numerator / exponent.denominator;
      if (n > kLargestExponent || n < -kLargestExponent) throw new OutOfReach('a large exponent');
      if (n === 0n) return { value: one, slope: ball.zero };
      return n > 0n
        ? integerPower(base, Number(n))
        : quotient({ value: one, slope: ball.zero }, integerPower(base, Number(-n)));
    }
    // u^w = e^(w log u), for u > 0
    return call('exp', product(evaluate(exponentTree), call('log', base)));
  }

  function evaluate(node: Expression): Dual {
    spend(1);
    switch (node.kind) {
      case 'number': {
        const { numerator, denominator } = node.value;
        return { value: ball.fraction(numerator, denominator), slope: ball.zero };
      }
      case 'name': {
        const known = names.get(node.name);
        if (known !== undefined) return known;
        if (node.name === 'pi') return { value: ball.pi, slope: ball.zero };
        if (node.name === 'E') return { value: ball.exp(one), slope: ball.zero };
        throw new UnknownName(node.name);
      }
      case 'negative': {
        const { value, slope } = evaluate(node.of);
        return { value: negate(value), slope: negate(slope) };
      }
      case 'sum':
      case 'difference': {
        const [a, b] = [evaluate(node.left), evaluate(node.right)];
        const combine = node.kind === 'sum' ? add : subtract;
        return { value: combine(a.value, b.value), slope: combine(a.slope, b.slope) };
      }
      case 'product':
        return product(evaluate(node.left), evaluate(node.right));
      case 'quotient':
        return quotient(evaluate(node.left), evaluate(node.right));
      case 'power':
        return power(evaluate(node.left), node.right);
      case 'call':
        return call(node.name, evaluate(node.argument));
    }
  }

  return evaluate(tree);
}
