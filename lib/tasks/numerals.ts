/**
 * Ways to write integers: positional bases 2 to 36 and Roman numerals; and primes.
 *
 * Values stay below 2^40, so double arithmetic is exact.
 */
import { compareInteger, compareList, compareText, compareTextIgnoringCase } from './answer.ts';
import { type Given, type OptionRule, resolveOptions } from './options.ts';
import { type ProceduralTask, proceduralTask } from './task.ts';

interface Conversion extends Record<string, unknown> {
  from: number;
  to: number;
  /** The value written in base `from`, lower case. */
  digits: string;
}

const kBasesRules = {
  value: { range: [100, 9_999_999], limits: [1, 999_999_999_999] },
  base: { range: [2, 36], limits: [2, 36] },
  kinds: { kinds: ['to-decimal', 'from-decimal', 'between'], default: ['to-decimal', 'from-decimal'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `bases`: the value, the base other than ten, and the directions. */
export type BasesOptions = Given<typeof kBasesRules>;

const kToBase = [
  'def convert(n, base):',
  '    digits = ""',
  '    while n:',
  '        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[n % base] + digits',
  '        n //= base',
  '    return digits',
].join('\n');

const kFormatCodes: Readonly<Record<number, string>> = { 2: 'b', 8: 'o', 10: 'd', 16: 'x' };

/** Conversion between number bases. */
export function bases(options: BasesOptions = {}): ProceduralTask {
  const { value, base, kinds } = resolveOptions('bases', kBasesRules, options);
  return proceduralTask<Conversion>({
    generator: 'bases',
    name: options.name,
    description: 'conversion between number bases',
    draw(random) {
      const kind = random.choice(kinds);
      const number = random.integer(...value);
      const from = kind === 'from-decimal' ? 10 : random.integer(...base);
      const to = kind === 'to-decimal' ? 10 : random.integer(...base);
      if (from === to) return undefined;
      const digits = number.toString(from);
      const letters = to > 10 ? ', with lower-case letters for digits above 9' : '';
      const source = from === 10 ? digits : `${digits} (base ${from})`;
      const prompts =
        to === 10
          ? [
              `What is ${digits} in base ${from} as a decimal number?`,
              `Write base ${from} number ${digits} in decimal.`,
              `Convert ${digits} from base ${from} to decimal.`,
            ]
          : [`Write ${source} in base ${to}${letters}.`, `Convert ${source} to base ${to}${letters}.`];
      return {
        content: `${from} ${to} ${digits}`,
        instance: { from, to, digits },
        prompts,
        answer: number.toString(to),
      };
    },
    compare: (expected, answer, { to }) =>
      to === 10 ? compareInteger(expected, answer) : compareTextIgnoringCase(expected, answer),
    solutions: [
      ({ from, to, digits }) => {
        const number = from === 10 ? digits : `int("${digits}",${from})`;
        if (to === 10) return `print(${number})`;
        const code = kFormatCodes[to];
        return code === undefined
          ? `${kToBase}\nprint(convert(${number}, ${to}))`
          : `print(f"{${number.replaceAll('"', "'")}:${code}}")`;
      },
      ({ from, to, digits }) => {
        const number = from === 10 ? digits : `int('${digits}', ${from})`;
        return to === 10 ? `n = ${number}\nprint(n)` : `${kToBase}\nn = ${number}\nprint(convert(n, ${to}))`;
      },
    ],
  });
}

interface Roman extends Record<string, unknown> {
  kind: 'to-roman' | 'from-roman';
  value: number;
}

const kRomanParts: readonly (readonly [number, string])[] = [
  [1000, 'M'],
  [900, 'CM'],
  [500, 'D'],
  [400, 'CD'],
  [100, 'C'],
  [90, 'XC'],
  [50, 'L'],
  [40, 'XL'],
  [10, 'X'],
  [9, 'IX'],
  [5, 'V'],
  [4, 'IV'],
  [1, 'I'],
];

/** The Roman numeral of an integer from 1 to 3999. */
export function romanNumeral(value: number): string {
  let rest = value;
  let text = '';
  for (const [size, letters] of kRomanParts) {
    while (rest >= size) {
      text += letters;
      rest -= size;
    }
  }
  return text;
}

const kRomanRules = {
  value: { range: [1, 3999], limits: [1, 3999] },
  kinds: { kinds: ['to-roman', 'from-roman'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `roman`. */
export type RomanOptions = Given<typeof kRomanRules>;

const kRomanTable = `parts = [${kRomanParts.map(([size, letters]) => `(${size}, "${letters}")`).join(', ')}]`;

/** Roman numerals, read and written. */
export function roman(options: RomanOptions = {}): ProceduralTask {
  const { value, kinds } = resolveOptions('roman', kRomanRules, options);
  return proceduralTask<Roman>({
    generator: 'roman',
    name: options.name,
    description: 'Roman numerals, read and written',
    draw(random) {
      const kind = random.choice(kinds);
      const number = random.integer(...value);
      const numeral = romanNumeral(number);
      return {
        content: `${kind} ${number}`,
        instance: { kind, value: number },
        prompts:
          kind === 'to-roman'
            ? [`Write ${number} as a Roman numeral.`, `What is ${number} in Roman numerals?`]
            : [
                `Which number is the Roman numeral ${numeral}?`,
                `Write the Roman numeral ${numeral} in digits.`,
              ],
        answer: kind === 'to-roman' ? numeral : String(number),
      };
    },
    compare: (expected, answer, { kind }) =>
      kind === 'to-roman' ? compareText(expected, answer) : compareInteger(expected, answer),
    solutions: [
      ({ kind, value: number }) =>
        kind === 'to-roman'
          ? `${kRomanTable}\nn, text = ${number}, ""\nfor size, letters in parts:\n    text += letters * (n // size)\n    n %= size\nprint(text)`
          : `v = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)\nd = [v[c] for c in "${romanNumeral(number)}"]\nprint(sum(-a if a < b else a for a, b in zip(d, d[1:] + [0])))`,
    ],
  });
}

interface Primes extends Record<string, unknown> {
  kind: 'next' | 'nth' | 'count' | 'factors';
  low: number;
  /** Upper end of the interval for 'count'; equal to `low` otherwise. */
  high: number;
}

/** The prime factors of an integer >= 2 in ascending order, with repetition. */
export function primeFactors(value: number): number[] {
  const factors: number[] = [];
  let rest = value;
  for (let divisor = 2; divisor * divisor <= rest; divisor++) {
    while (rest % divisor === 0) {
      factors.push(divisor);
      rest /= divisor;
    }
  }
  if (rest > 1) factors.push(rest);
  return factors;
}

function isPrime(value: number): boolean {
  return value >= 2 && primeFactors(value).length === 1;
}

function nextPrime(value: number): number {
  let candidate = value + 1;
  while (!isPrime(candidate)) candidate += 1;
  return candidate;
}

function nthPrime(n: number): number {
  let prime = 2;
  for (let i = 1; i < n; i++) prime = nextPrime(prime);
  return prime;
}

function countPrimes(low: number, high: number): number {
  let count = 0;
  for (let value = low; value <= high; value++) if (isPrime(value)) count += 1;
  return count;
}

const kPrimesRules = {
  /** The number to factor or to start from. */
  value: { range: [1000, 999_999], limits: [2, 99_999_999] },
  /** n of 'nth'. */
  rank: { range: [20, 400], limits: [1, 5000] },
  /** Width of the interval of 'count'. */
  width: { range: [50, 500], limits: [1, 5000] },
  kinds: { kinds: ['next', 'nth', 'count', 'factors'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `primes`. */
export type PrimesOptions = Given<typeof kPrimesRules>;

const kIsPrime = 'def prime(n):\n    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))';

/** The next prime, the n-th prime, primes in an interval, prime factors. */
export function primes(options: PrimesOptions = {}): ProceduralTask {
  const ranges = resolveOptions('primes', kPrimesRules, options);
  return proceduralTask<Primes>({
    generator: 'primes',
    name: options.name,
    description: 'next prime, n-th prime, number of primes, prime factors',
    draw(random) {
      const kind = random.choice(ranges.kinds);
      const low = kind === 'nth' ? random.integer(...ranges.rank) : random.integer(...ranges.value);
      const high = kind === 'count' ? low + random.integer(...ranges.width) : low;
      const drawn = {
        next: () => ({
          prompts: [
            `What is the smallest prime number greater than ${low}?`,
            `Find the first prime after ${low}.`,
          ],
          answer: String(nextPrime(low)),
        }),
        nth: () => ({
          prompts: [
            `Counting 2 as prime number 1, what is prime number ${low}?`,
            `List the primes from 2 on. Which one is at position ${low}?`,
          ],
          answer: String(nthPrime(low)),
        }),
        count: () => ({
          prompts: [
            `How many primes p are there with ${low} <= p <= ${high}?`,
            `Count the prime numbers from ${low} to ${high}, both included.`,
          ],
          answer: String(countPrimes(low, high)),
        }),
        factors: () => ({
          prompts: [
            `List the prime factors of ${low} in ascending order, repeated ones repeated, separated by commas.`,
            `Factor ${low} into primes. Give them in ascending order with repetition, separated by commas.`,
          ],
          answer: primeFactors(low).join(', '),
        }),
      }[kind]();
      return { content: `${kind} ${low} ${high}`, instance: { kind, low, high }, ...drawn };
    },
    compare: (expected, answer, { kind }) =>
      kind === 'factors' ? compareList(expected, answer) : compareInteger(expected, answer),
    solutions: [
      ({ kind, low, high }) =>
        ({
          next: `${kIsPrime}\nn = ${low} + 1\nwhile not prime(n):\n    n += 1\nprint(n)`,
          nth: `${kIsPrime}\nn, count = 1, 0\nwhile count < ${low}:\n    n += 1\n    count += prime(n)\nprint(n)`,
          count: `${kIsPrime}\nprint(sum(prime(n) for n in range(${low}, ${high} + 1)))`,
          factors: `n, d, found = ${low}, 2, []\nwhile n > 1:\n    while n % d == 0:\n        found.append(d)\n        n //= d\n    d += 1\nprint(", ".join(map(str, found)))`,
        })[kind],
    ],
  });
}
