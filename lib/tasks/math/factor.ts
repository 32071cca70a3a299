/**
 * Integers as products, for roots: 72 = 2^3 3^2.
 *
 * Trial division by the primes below kTrialLimit; what remains is prime when it is below the square of that, and is otherwise
 * taken apart only if it is a perfect power. A base that may not be prime is harmless: roots of it then count as undecided
 * where exactness would need its factors.
 */
import { bitLength, integerRoot } from './rational.ts';
import { Refusal } from './syntax.ts';

const kTrialLimit = 8_192;
/** Bits of the largest integer that is factored. */
const kMostBits = 1_024;

let primes: readonly bigint[] | undefined;

function smallPrimes(): readonly bigint[] {
  if (primes === undefined) {
    const composite = new Uint8Array(kTrialLimit);
    const found: bigint[] = [];
    for (let n = 2; n < kTrialLimit; n++) {
      if (composite[n] === 1) continue;
      found.push(BigInt(n));
      for (let multiple = n * n; multiple < kTrialLimit; multiple += n) composite[multiple] = 1;
    }
    primes = found;
  }
  return primes;
}

/** Whether a base that `factorInteger` gave is known to be prime. */
export function isCertainPrime(base: bigint): boolean {
  return base < BigInt(kTrialLimit) ** 2n;
}

/** Bases with exponents whose product is the integer (>= 1). Throws Refusal beyond kMostBits. */
export function factorInteger(value: bigint): Map<bigint, number> {
  if (bitLength(value) > kMostBits) throw new Refusal('a root of a number too large to factor');
  const found = new Map<bigint, number>();
  let rest = value;
  for (const prime of smallPrimes()) {
    if (prime * prime > rest) break;
    while (rest % prime === 0n) {
      found.set(prime, (found.get(prime) ?? 0) + 1);
      rest /= prime;
    }
  }
  if (rest === 1n) return found;
  // Each prime factor of the rest has at least 13 bits, so higher roots than this cannot be integers.
  for (let n = Math.floor(bitLength(rest) / 13); n >= 2; n--) {
    const root = integerRoot(rest, n);
    if (root ** BigInt(n) === rest) {
      found.set(root, (found.get(root) ?? 0) + n);
      return found;
    }
  }
  found.set(rest, (found.get(rest) ?? 0) + 1);
  return found;
}
