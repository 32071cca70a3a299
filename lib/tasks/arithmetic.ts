/**
 * Integer arithmetic: expressions, greatest common divisors, modular powers, digit sums.
 *
 * Answers are computed with BigInt, so they are exact at every size; operands stay below 2^53 and are kept as numbers.
 */
import { compareInteger } from './answer.ts';
import { type Given, type OptionRule, resolveOptions } from './options.ts';
import type { Random } from './random.ts';
import { type ProceduralTask, proceduralTask } from './task.ts';

/** A random integer with exactly `digits` decimal digits. */
export function integerWithDigits(random: Random, digits: number): number {
  return random.integer(digits === 1 ? 1 : 10 ** (digits - 1), 10 ** digits - 1);
}

type Operator = '+' | '-' | '*';

interface Expression extends Record<string, unknown> {
  operands: number[];
  /** `operators[i]` stands between operands i and i + 1. */
  operators: Operator[];
}

const kArithmeticRules = {
  digits: { range: [3, 7], limits: [1, 15] },
  operands: { range: [2, 4], limits: [2, 8] },
  kinds: { kinds: ['sum', 'product', 'mixed'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `arithmetic`: digits of each operand, number of operands, and which operators may appear. */
export type ArithmeticOptions = Given<typeof kArithmeticRules>;

/** The signed products an expression adds up, e.g. `2 + 3 * 4` is +2 and +3*4. */
function terms({ operands, operators }: Expression): { sign: '+' | '-'; factors: number[] }[] {
  const result: { sign: '+' | '-'; factors: number[] }[] = [{ sign: '+', factors: [operands[0]!] }];
  operators.forEach((operator, i) => {
    const operand = operands[i + 1]!;
    if (operator === '*') result.at(-1)!.factors.push(operand);
    else result.push({ sign: operator, factors: [operand] });
  });
  return result;
}

function evaluate(expression: Expression): bigint {
  let total = 0n;
  for (const { sign, factors } of terms(expression)) {
    const product = factors.reduce((value, factor) => value * BigInt(factor), 1n);
    total += sign === '+' ? product : -product;
  }
  return total;
}

function canonicalExpression(expression: Expression): string {
  return terms(expression)
    .map(({ sign, factors }) => sign + [...factors].sort((a, b) => a - b).join('*'))
    .sort()
    .join('');
}

function write({ operands, operators }: Expression, blank: string): string {
  return operands.map((operand, i) => (i === 0 ? '' : blank + operators[i - 1] + blank) + operand).join('');
}

/** Sums, differences and products of several large integers; `*` binds tighter than `+` and `-`. */
export function arithmetic(options: ArithmeticOptions = {}): ProceduralTask {
  const { digits, operands, kinds } = resolveOptions('arithmetic', kArithmeticRules, options);
  const operatorsOf = { sum: ['+', '-'], product: ['*'], mixed: ['+', '-', '*'] } as const;
  return proceduralTask<Expression>({
    generator: 'arithmetic',
    name: options.name,
    description: 'exact value of an expression with large integers',
    draw(random) {
      const kind = random.choice(kinds);
      const count = random.integer(...operands);
      const expression: Expression = {
        operands: Array.from({ length: count }, () => integerWithDigits(random, random.integer(...digits))),
        operators: Array.from({ length: count - 1 }, () => random.choice<Operator>(operatorsOf[kind])),
      };
      const text = write(expression, ' ');
      return {
        content: canonicalExpression(expression),
        instance: expression,
        prompts: [`What is ${text}?`, `Compute ${text}.`, `Calculate ${text} exactly.`],
        answer: evaluate(expression).toString(),
      };
    },
    compare: compareInteger,
    solutions: [
      (expression) => `print(${write(expression, '')})`,
      (expression) => `result = ${write(expression, ' ')}\nprint(result)`,
    ],
  });
}

interface Divisors extends Record<string, unknown> {
  kind: 'gcd' | 'lcm';
  numbers: number[];
}

/** The greatest common divisor of two integers >= 0. */
export function greatestCommonDivisor(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

const kGcdRules = {
  /** The common factor the numbers are built from. */
  factor: { range: [2, 999], limits: [1, 99_999] },
  /** What the factor is multiplied by. */
  cofactor: { range: [2, 999], limits: [1, 99_999] },
  numbers: { range: [2, 3], limits: [2, 4] },
  kinds: { kinds: ['gcd', 'lcm'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `gcd`: the numbers are factor * cofactor, so the answers are spread over the factor's range. */
export type GcdOptions = Given<typeof kGcdRules>;

/** Greatest common divisors and least common multiples of two or more integers. */
export function gcd(options: GcdOptions = {}): ProceduralTask {
  const { factor, cofactor, numbers, kinds } = resolveOptions('gcd', kGcdRules, options);
  return proceduralTask<Divisors>({
    generator: 'gcd',
    name: options.name,
    description: 'greatest common divisor or least common multiple',
    draw(random) {
      const kind = random.choice(kinds);
      const common = random.integer(...factor);
      const values = Array.from(
        { length: random.integer(...numbers) },
        () => common * random.integer(...cofactor),
      );
      if (new Set(values).size < values.length) return undefined;
      const divisor = values.reduce(greatestCommonDivisor);
      const multiple = values.reduce((acc, value) => {
        const shared = greatestCommonDivisor(Number(acc % BigInt(value)), value);
        return (acc / BigInt(shared)) * BigInt(value);
      }, 1n);
      const list = `${values.slice(0, -1).join(', ')} and ${values.at(-1)}`;
      const title = kind === 'gcd' ? 'greatest common divisor' : 'least common multiple';
      return {
        content: `${kind} ${[...values].sort((a, b) => a - b).join(' ')}`,
        instance: { kind, numbers: values },
        prompts: [
          `What is the ${title} of ${list}?`,
          `Find ${kind}(${values.join(', ')}).`,
          `Give the ${title} of ${list}.`,
        ],
        answer: kind === 'gcd' ? String(divisor) : multiple.toString(),
      };
    },
    compare: compareInteger,
    solutions: [
      ({ kind, numbers: n }) => `import math\nprint(math.${kind}(${n.join(', ')}))`,
      ({ kind, numbers: n }) => `from math import ${kind}\nprint(${kind}(${n.join(',')}))`,
    ],
  });
}

interface Power extends Record<string, unknown> {
  base: number;
  exponent: number;
  modulus: number;
}

/** base^exponent mod modulus by repeated squaring. */
export function modularPower(base: number, exponent: number, modulus: number): bigint {
  const m = BigInt(modulus);
  let result = 1n % m;
  let square = BigInt(base) % m;
  for (let e = BigInt(exponent); e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * square) % m;
    square = (square * square) % m;
  }
  return result;
}

const kPowerRules = {
  base: { range: [2, 9999], limits: [2, 999_999_999] },
  exponent: { range: [20, 9999], limits: [2, 999_999_999] },
  modulus: { range: [101, 99_999], limits: [2, 999_999_999] },
} as const satisfies Record<string, OptionRule>;

/** Options of `power`. */
export type PowerOptions = Given<typeof kPowerRules>;

/** Modular exponentiation. */
export function power(options: PowerOptions = {}): ProceduralTask {
  const ranges = resolveOptions('power', kPowerRules, options);
  return proceduralTask<Power>({
    generator: 'power',
    name: options.name,
    description: 'remainder of a large power',
    draw(random) {
      const base = random.integer(...ranges.base);
      const exponent = random.integer(...ranges.exponent);
      const modulus = random.integer(...ranges.modulus);
      return {
        content: `${base} ${exponent} ${modulus}`,
        instance: { base, exponent, modulus },
        prompts: [
          `What is ${base}^${exponent} mod ${modulus}?`,
          `Find the remainder of ${base} to the power ${exponent} when divided by ${modulus}.`,
          `Compute ${base} to the power of ${exponent}, modulo ${modulus}.`,
        ],
        answer: modularPower(base, exponent, modulus).toString(),
      };
    },
    compare: compareInteger,
    solutions: [
      ({ base, exponent, modulus }) => `print(pow(${base},${exponent},${modulus}))`,
      ({ base, exponent, modulus }) => `print(${base} ** ${exponent} % ${modulus})`,
    ],
  });
}

interface Digits extends Record<string, unknown> {
  kind: 'sum' | 'root' | 'squares';
  /** The number as text: it may have more digits than a double holds. */
  number: string;
}

const kDigitsRules = {
  digits: { range: [8, 30], limits: [2, 200] },
  kinds: { kinds: ['sum', 'root', 'squares'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `digits`: number of digits and the kinds of question. */
export type DigitsOptions = Given<typeof kDigitsRules>;

const kDigitFunctions = {
  sum: (digits: readonly number[]) => digits.reduce((total, digit) => total + digit, 0),
  root: (digits: readonly number[]) => 1 + ((digits.reduce((total, digit) => total + digit, 0) - 1) % 9),
  squares: (digits: readonly number[]) => digits.reduce((total, digit) => total + digit * digit, 0),
};

/** Digit sums, digital roots and sums of squared digits of long numbers. */
export function digits(options: DigitsOptions = {}): ProceduralTask {
  const { digits: length, kinds } = resolveOptions('digits', kDigitsRules, options);
  return proceduralTask<Digits>({
    generator: 'digits',
    name: options.name,
    description: 'digit sum, digital root or sum of squared digits',
    draw(random) {
      const kind = random.choice(kinds);
      const count = random.integer(...length);
      const values = Array.from({ length: count }, (_, i) => random.integer(i === 0 ? 1 : 0, 9));
      const number = values.join('');
      const prompts = {
        sum: [
          `What is the sum of the digits of ${number}?`,
          `Sum the digits of ${number}.`,
          `Find the digit sum of ${number}.`,
        ],
        root: [
          `What is the digital root of ${number} (sum the digits until one digit is left)?`,
          `Sum the digits of ${number} again and again until one digit is left. Which?`,
        ],
        squares: [
          `What is the sum of the squares of the digits of ${number}?`,
          `Square each digit of ${number} and add the results.`,
        ],
      };
      return {
        content: `${kind} ${number}`,
        instance: { kind, number },
        prompts: prompts[kind],
        answer: String(kDigitFunctions[kind](values)),
      };
    },
    compare: compareInteger,
    solutions: [
      ({ kind, number }) =>
        ({
          sum: `print(sum(map(int,"${number}")))`,
          root: `print(1+(${number}-1)%9)`,
          squares: `print(sum(int(d)**2 for d in "${number}"))`,
        })[kind],
      ({ kind, number }) =>
        ({
          sum: `print(sum(int(d) for d in str(${number})))`,
          root: `n = ${number}\nwhile n > 9:\n    n = sum(map(int, str(n)))\nprint(n)`,
          squares: `total = 0\nfor d in str(${number}):\n    total += int(d) * int(d)\nprint(total)`,
        })[kind],
    ],
  });
}
