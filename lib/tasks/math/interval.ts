/**
 * Interval arithmetic on binary fixed-point numbers: [lo, hi] contains the true value, always.
 *
 * An interval at precision P holds integers that stand for lo / 2^P and hi / 2^P. Series are summed with kGuard more bits, whose
 * rounding (at most one unit a step, below 2^12 steps) stays far below the last bit; every result is widened by two units and,
 * where it can be large, by its own relative share. A value that is not a real number is a Refusal.
 */
import { integerRoot, type Rational } from './rational.ts';
import { Refusal } from './syntax.ts';

export interface Interval {
  readonly lo: bigint;
  readonly hi: bigint;
}

const kGuard = 64n;
/** exp and ln are taken of arguments up to this size. */
const kLargestExponent = 4_096n;
const kLargestRoot = 64;

const ceilShift = (value: bigint, bits: bigint): bigint => -(-value >> bits);
const floorDivide = (a: bigint, b: bigint): bigint => {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
};
const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

/** The operations at one precision, in bits after the point. */
export interface Intervals {
  readonly precision: bigint;
  rational(value: Rational): Interval;
  add(a: Interval, b: Interval): Interval;
  multiply(a: Interval, b: Interval): Interval;
  divide(a: Interval, b: Interval): Interval;
  raise(a: Interval, exponent: bigint): Interval;
  /** The real n-th root; for even n of a value >= 0. */
  root(a: Interval, n: number): Interval;
  /** a^b for a > 0. */
  power(a: Interval, b: Interval): Interval;
  call(name: string, a: Interval): Interval;
  pi(): Interval;
  e(): Interval;
}

export function intervalsAt(bits: number): Intervals {
  const precision = BigInt(bits);
  const one = 1n << precision;
  const wide = precision + kGuard;
  const unit = 1n << wide;
  let piWide: bigint | undefined;
  let logTwoWide: bigint | undefined;

  /** An interval around a value with kGuard more bits. */
  const around = (value: bigint, slack = 0n): Interval => ({
    lo: (value >> kGuard) - 2n - slack,
    hi: (value >> kGuard) + 2n + slack,
  });
  const widen = (value: bigint): bigint => value << kGuard;

  /** atan(1 / n), for Machin's formula. */
  function inverseTangent(n: bigint): bigint {
    let term = unit / n;
    let sum = term;
    for (let k = 3n, sign = -1n; term !== 0n; k += 2n, sign = -sign) {
      term /= n * n;
      sum += (sign * term) / k;
    }
    return sum;
  }
  function piValue(): bigint {
    piWide ??= 4n * (4n * inverseTangent(5n) - inverseTangent(239n));
    return piWide;
  }

  /** 2 atanh(z) for |z| < 1/4: ln((1 + z) / (1 - z)). */
  function twiceAtanh(z: bigint): bigint {
    const square = (z * z) >> wide;
    let term = z;
    let sum = z;
    for (let k = 3n; term !== 0n && term !== -1n; k += 2n) {
      term = (term * square) >> wide;
      sum += term / k;
    }
    return 2n * sum;
  }
  function logTwo(): bigint {
    // ln 2 = 2 ln(4/3) - ln(8/9)
    logTwoWide ??= 2n * twiceAtanh(unit / 7n) - twiceAtanh(-unit / 17n);
    return logTwoWide;
  }
  function logValue(value: bigint): bigint {
    const bitsOfValue = BigInt(value.toString(2).length);
    let shift = bitsOfValue - wide - 1n;
    let mantissa = shift >= 0n ? value >> shift : value << -shift;
    if (2n * mantissa > 3n * unit) {
      mantissa >>= 1n;
      shift += 1n;
    }
    return shift * logTwo() + twiceAtanh(((mantissa - unit) << wide) / (mantissa + unit));
  }
  function expValue(value: bigint): bigint {
    const steps = floorDivide(2n * value + logTwo(), 2n * logTwo());
    const rest = (value - steps * logTwo()) >> 8n;
    let term = unit;
    let sum = unit;
    for (let k = 1n; term !== 0n && term !== -1n; k++) {
      term = ((term * rest) >> wide) / k;
      sum += term;
    }
    for (let i = 0; i < 8; i++) sum = (sum * sum) >> wide;
    return steps >= 0n ? sum << steps : sum >> -steps;
  }
  /** Sine (first = value) or cosine (first = 1) of a value in [-pi, pi]. */
  function circular(value: bigint, cosine: boolean): bigint {
    const square = (value * value) >> wide;
    let term = cosine ? unit : value;
    let sum = term;
    for (let k = cosine ? 1n : 2n; term !== 0n && term !== -1n; k += 2n) {
      term = -(((term * square) >> wide) / (k * (k + 1n)));
      sum += term;
    }
    return sum;
  }
  function arcTangent(value: bigint): bigint {
    let reduced = value;
    for (let i = 0; i < 4; i++) {
      const hypotenuse = integerRoot(unit * unit + reduced * reduced, 2);
      reduced = (reduced << wide) / (unit + hypotenuse);
    }
    const square = (reduced * reduced) >> wide;
    let term = reduced;
    let sum = reduced;
    for (let k = 3n; term !== 0n && term !== -1n; k += 2n) {
      term = -((term * square) >> wide);
      sum += term / k;
    }
    return 16n * sum;
  }

  const positive = (a: Interval): void => {
    if (a.lo <= 0n) throw new Refusal('a logarithm of a value that is not positive');
  };
  function sinOrCos(a: Interval, cosine: boolean): Interval {
    const middle = widen(a.lo + a.hi) / 2n;
    if (magnitude(a.hi) > one * kLargestExponent || magnitude(a.lo) > one * kLargestExponent) {
      throw new Refusal('an angle too large to compare');
    }
    const turn = 2n * piValue();
    const turns = floorDivide(middle + piValue(), turn);
    return around(circular(middle - turns * turn, cosine), a.hi - a.lo);
  }
  const negative = (a: Interval): Interval => ({ lo: -a.hi, hi: -a.lo });

  const own: Intervals = {
    precision,
    rational({ numerator, denominator }) {
      const lo = floorDivide(numerator << precision, denominator);
      return { lo, hi: lo * denominator === numerator << precision ? lo : lo + 1n };
    },
    add: (a, b) => ({ lo: a.lo + b.lo, hi: a.hi + b.hi }),
    multiply(a, b) {
      const products = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi];
      const least = products.reduce((x, y) => (y < x ? y : x));
      const most = products.reduce((x, y) => (y > x ? y : x));
      return { lo: least >> precision, hi: ceilShift(most, precision) };
    },
    divide(a, b) {
      if (b.lo <= 0n && b.hi >= 0n) throw new Refusal('a division by zero');
      const quotients = [a.lo, a.hi].flatMap((x) => [b.lo, b.hi].map((y) => floorDivide(x << precision, y)));
      const least = quotients.reduce((x, y) => (y < x ? y : x));
      const most = quotients.reduce((x, y) => (y > x ? y : x));
      return { lo: least, hi: most + 1n };
    },
    raise(a, exponent) {
      if (exponent < 0n) return own.divide({ lo: one, hi: one }, own.raise(a, -exponent));
      let result: Interval = { lo: one, hi: one };
      let square = a;
      for (let rest = exponent; rest > 0n; rest >>= 1n) {
        if (rest & 1n) result = own.multiply(result, square);
        if (rest > 1n) square = own.multiply(square, square);
      }
      return result;
    },
    root(a, n) {
      if (n > kLargestRoot) throw new Refusal('a root of too high an index');
      if (a.hi < 0n && n % 2 === 1) return negative(own.root(negative(a), n));
      if (a.hi < 0n) throw new Refusal('an even root of a negative value');
      const shift = precision * BigInt(n - 1);
      const lo = a.lo < 0n ? 0n : a.lo;
      const low = integerRoot(lo << shift, n);
      const high = integerRoot(a.hi << shift, n) + 1n;
      return { lo: a.lo < 0n && n % 2 === 1 ? -integerRoot(-a.lo << shift, n) - 1n : low, hi: high };
    },
    power: (a, b) => own.call('exp', own.multiply(b, own.call('ln', a))),
    call(name, a) {
      switch (name) {
        case 'exp': {
          const limit = one * kLargestExponent;
          if (a.hi > limit || a.lo < -limit) throw new Refusal('a power too large to compare');
          const [low, high] = [expValue(widen(a.lo)), expValue(widen(a.hi))];
          return { lo: (low >> kGuard) - 2n - (low >> wide), hi: (high >> kGuard) + 2n + (high >> wide) };
        }
        case 'ln':
          positive(a);
          return { lo: around(logValue(widen(a.lo))).lo, hi: around(logValue(widen(a.hi))).hi };
        case 'log':
          return own.divide(own.call('ln', a), own.call('ln', { lo: 10n * one, hi: 10n * one }));
        case 'abs': {
          const [low, high] = [magnitude(a.lo), magnitude(a.hi)];
          const most = low > high ? low : high;
          return a.lo <= 0n && a.hi >= 0n ? { lo: 0n, hi: most } : { lo: low < high ? low : high, hi: most };
        }
        case 'sin':
          return sinOrCos(a, false);
        case 'cos':
          return sinOrCos(a, true);
        case 'tan':
          return own.divide(sinOrCos(a, false), sinOrCos(a, true));
        case 'cot':
          return own.divide(sinOrCos(a, true), sinOrCos(a, false));
        case 'sec':
          return own.divide({ lo: one, hi: one }, sinOrCos(a, true));
        case 'csc':
          return own.divide({ lo: one, hi: one }, sinOrCos(a, false));
        case 'arctan':
          return { lo: around(arcTangent(widen(a.lo))).lo, hi: around(arcTangent(widen(a.hi))).hi };
        case 'arcsin': {
          if (a.lo === a.hi && magnitude(a.lo) === one) {
            const quarter = around(piValue() / 2n);
            return a.lo > 0n ? quarter : negative(quarter);
          }
          const cosine = own.root(own.add({ lo: one, hi: one }, negative(own.multiply(a, a))), 2);
          return own.call('arctan', own.divide(a, cosine));
        }
        case 'arccos':
          return own.add(around(piValue() / 2n), negative(own.call('arcsin', a)));
        default:
          throw new Refusal(`the function ${name}`);
      }
    },
    pi: () => around(piValue()),
    e: () => around(expValue(unit)),
  };
  return own;
}
