/**
 * Real numbers with a proven error: a ball holds every value within `radius` of `middle`, both in units of 2^-320.
 *
 * Every operation returns a ball that holds the exact result for all values of its operands, so a ball without zero proves
 * that a number is not zero. Outside its domain (the logarithm of a ball with zero in it), and for results that are larger
 * than 2^128, an operation throws OutOfReach. So does any product, quotient or function value below 2^-128 that is not
 * exactly zero: what is computed is never lost to underflow. Sums and differences may be as small as they like.
 */
const kBits = 320n;
/** Series and roots are computed with this many bits more. */
const kGuard = 64n;
const kWork = kBits + kGuard;
const kOne = 1n << kBits;
const kLargest = kOne << 128n;
const kSmallest = kOne >> 128n;

export interface Ball {
  readonly middle: bigint;
  readonly radius: bigint;
}

/** A value that cannot be computed: outside a function's domain, too large, or too small. */
export class OutOfReach extends Error {}

export const zero: Ball = { middle: 0n, radius: 0n };
export const one: Ball = { middle: kOne, radius: 0n };

const size = (value: bigint) => (value < 0n ? -value : value);

/** Whether a ball proves that its number is not zero. */
export function isNonzero({ middle, radius }: Ball): boolean {
  return size(middle) > radius;
}

/** Whether the error is below 2^-`bits`. */
export function isSharp({ radius }: Ball, bits: bigint): boolean {
  return radius < kOne >> bits;
}

function bounded(middle: bigint, radius: bigint): Ball {
  if (size(middle) > kLargest) throw new OutOfReach('too large');
  return { middle, radius };
}

/** A result that is not zero. */
function nonzero(middle: bigint, radius: bigint): Ball {
  if (size(middle) < kSmallest) throw new OutOfReach('too small');
  return bounded(middle, radius);
}

export function fraction(numerator: bigint, denominator: bigint): Ball {
  if (numerator === 0n) return zero;
  return nonzero((numerator << kBits) / denominator, numerator % denominator === 0n ? 0n : 1n);
}

export function negate({ middle, radius }: Ball): Ball {
  return { middle: -middle, radius };
}

export function add(a: Ball, b: Ball): Ball {
  return bounded(a.middle + b.middle, a.radius + b.radius);
}

export function subtract(a: Ball, b: Ball): Ball {
  return bounded(a.middle - b.middle, a.radius + b.radius);
}

function isZero({ middle, radius }: Ball): boolean {
  return middle === 0n && radius === 0n;
}

export function multiply(a: Ball, b: Ball): Ball {
  if (isZero(a) || isZero(b)) return zero;
  const middle = (a.middle * b.middle) >> kBits;
  const spread = size(a.middle) * b.radius + size(b.middle) * a.radius + a.radius * b.radius;
  const radius = (spread >> kBits) + 2n;
  return isNonzero(a) && isNonzero(b) ? nonzero(middle, radius) : bounded(middle, radius);
}

export function divide(a: Ball, b: Ball): Ball {
  if (!isNonzero(b)) throw new OutOfReach('a division by zero');
  if (isZero(a)) return zero;
  const middle = (a.middle << kBits) / b.middle;
  // |a'/b' - a/b| <= (ra + |a/b| rb) / (|b| - rb); the quotient itself is cut off by less than one unit
  const spread = (a.radius << kBits) + (size(middle) + 1n) * b.radius;
  const radius = spread / (size(b.middle) - b.radius) + 2n;
  return isNonzero(a) ? nonzero(middle, radius) : bounded(middle, radius);
}

/** base^exponent for an integer of at least 0, by squaring. */
export function power(base: Ball, exponent: number): Ball {
  let result = one;
  for (let bit = 31 - Math.clz32(exponent); bit >= 0; bit--) {
    result = multiply(result, result);
    if ((exponent >> bit) & 1) result = multiply(result, base);
  }
  return result;
}

/** A bound of at most 3 bits too many on the number of binary digits. */
const bitsOf = (value: bigint) => 4 * size(value).toString(16).length;

/** A float near value / 2^bits. */
function toFloat(value: bigint, bits: bigint): number {
  const surplus = BigInt(Math.max(0, bitsOf(value) - 64));
  return Number(value >> surplus) * 2 ** Number(surplus - bits);
}

/** The integer square root: the largest r with r * r <= value. */
function integerRoot(value: bigint): bigint {
  if (value < 2n) return value;
  // Newton's iteration falls to the root from anywhere above it
  const surplus = BigInt(Math.max(0, (bitsOf(value) - 96) >> 1));
  let root = (BigInt(Math.ceil(Math.sqrt(Number(value >> (2n * surplus))) * (1 + 2 ** -50))) + 1n) << surplus;
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

export function sqrt({ middle, radius }: Ball): Ball {
  if (middle <= radius) throw new OutOfReach('the root of a number that is not positive');
  const root = integerRoot(middle << kBits);
  // |sqrt(x') - sqrt(x)| <= r / sqrt(x)
  return nonzero(root, (radius << kBits) / root + 2n);
}

/** atan(1 / n) for an integer n, in units of 2^-bits. */
function inverseTangent(n: bigint, bits: bigint): bigint {
  let term = (1n << bits) / n;
  let sum = term;
  for (let k = 3n; term !== 0n; k += 2n) {
    term = -term / (n * n);
    sum += term / k;
  }
  return sum;
}

/** log 2 = 2 atanh(1/3), in units of 2^-bits. */
function logarithmOfTwo(bits: bigint): bigint {
  let term = (1n << bits) / 3n;
  let sum = term;
  for (let k = 3n; term !== 0n; k += 2n) {
    term /= 9n;
    sum += term / k;
  }
  return 2n * sum;
}

/** pi by Machin's formula and log 2, with 32 bits more than the work needs: multiples of them are subtracted. */
const kMore = 32n;
const kPi = 16n * inverseTangent(5n, kWork + kMore) - 4n * inverseTangent(239n, kWork + kMore);
const kLog2 = logarithmOfTwo(kWork + kMore);

export const pi: Ball = { middle: kPi >> (kGuard + kMore), radius: 1n };

/** exp of |x| < 4, both in units of 2^-kWork; the error is below 2^-kWork * 2^20 of the result. */
function smallExp(x: bigint): bigint {
  const halvings = 12n;
  const reduced = x >> halvings;
  let term = 1n << kWork;
  let sum = term;
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = ((term * reduced) >> kWork) / k;
    sum += term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) >> kWork;
  return sum;
}

export function exp({ middle, radius }: Ball): Ball {
  if (size(middle) > 88n << kBits) throw new OutOfReach('an exponential that is too large or too small');
  if (radius >= kOne) throw new OutOfReach('an exponent that is not known well enough');
  const shifts = BigInt(Math.round(toFloat(middle, kBits) / Math.LN2));
  const small = smallExp((middle << kGuard) - ((shifts * kLog2) >> kMore));
  const value = shifts < 0n ? small >> -shifts : small << shifts;
  const result = value >> kGuard;
  // e^(x + r) - e^x <= 2 r e^x for r <= 1; the series is good to 2^-350 of the result
  return nonzero(result, ((result * radius) >> (kBits - 1n)) + (result >> 350n) + 3n);
}

/** Sine and cosine of |x| < 1, all in units of 2^-kWork; the error is below 2^-kWork * 2^20. */
function smallSines(x: bigint): { sine: bigint; cosine: bigint } {
  const halvings = 8n;
  const reduced = x >> halvings;
  const square = (reduced * reduced) >> kWork;
  let sine = reduced;
  let cosine = 1n << kWork;
  let [odd, even] = [sine, cosine];
  for (let k = 2n; even !== 0n; k += 2n) {
    even = -((even * square) >> kWork) / (k * (k - 1n));
    odd = -((odd * square) >> kWork) / (k * (k + 1n));
    cosine += even;
    sine += odd;
  }
  for (let i = 0n; i < halvings; i++) {
    const doubled = (sine * cosine) >> (kWork - 1n);
    cosine = (1n << kWork) - ((sine * sine) >> (kWork - 1n));
    sine = doubled;
  }
  return { sine, cosine };
}

/** Sine and cosine, of angles below 2^20. */
export function sines({ middle, radius }: Ball): { sine: Ball; cosine: Ball } {
  if (size(middle) > kOne << 20n) throw new OutOfReach('an angle that is too large');
  const half = kPi >> 1n;
  const turns = BigInt(Math.round(toFloat(middle, kBits) / (Math.PI / 2)));
  const { sine, cosine } = smallSines((middle << kGuard) - ((turns * half) >> kMore));
  const near = (value: bigint): Ball => ({ middle: value >> kGuard, radius: radius + 2n });
  switch (((turns % 4n) + 4n) % 4n) {
    case 0n:
      return { sine: near(sine), cosine: near(cosine) };
    case 1n:
      return { sine: near(cosine), cosine: near(-sine) };
    case 2n:
      return { sine: near(-sine), cosine: near(-cosine) };
    default:
      return { sine: near(-cosine), cosine: near(sine) };
  }
}

export function log({ middle, radius }: Ball): Ball {
  if (middle <= radius) throw new OutOfReach('the logarithm of a number that is not positive');
  // middle = scaled * 2^shifts with scaled in [1/16, 1)
  const shifts = BigInt(bitsOf(middle)) - kBits;
  const scaled = shifts > 0n ? (middle << kGuard) >> shifts : (middle << kGuard) << -shifts;
  let value = BigInt(Math.round(Math.log(toFloat(scaled, kWork)) * 2 ** 52)) << (kWork - 52n);
  // log(m / e^y) = 2 atanh(u), u = (m - e^y) / (m + e^y): 2 u + 2 u^3 / 3 is good to u^5
  for (let i = 0; i < 2; i++) {
    const power = smallExp(value);
    const u = ((scaled - power) << kWork) / (scaled + power);
    value += 2n * u + (2n * ((((u * u) >> kWork) * u) >> kWork)) / 3n;
  }
  const result = (value + ((shifts * kLog2) >> kMore)) >> kGuard;
  return bounded(result, (radius << kBits) / (middle - radius) + 4n);
}

export function atan({ middle, radius }: Ball): Ball {
  const inverted = size(middle) > kOne;
  const target = inverted ? (1n << (kBits + kWork)) / middle : middle << kGuard;
  let value = BigInt(Math.round(Math.atan(toFloat(target, kWork)) * 2 ** 52)) << (kWork - 52n);
  // tan(atan(x) - y) = (x cos y - sin y) / (cos y + x sin y) = t, and t - t^3 / 3 is good to t^5
  for (let i = 0; i < 2; i++) {
    const { sine, cosine } = smallSines(value);
    const t = (target * cosine - (sine << kWork)) / (cosine + ((target * sine) >> kWork));
    value += t - (((t * t) >> kWork) * t) / (3n << kWork);
  }
  const quarter = kPi >> (kMore + 1n);
  const result = inverted ? (middle > 0n ? quarter : -quarter) - value : value;
  return bounded(result >> kGuard, radius + 4n);
}
