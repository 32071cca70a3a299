/**
 * The game of 24: reach a target from four numbers with + - * / and parentheses.
 *
 * The verifier parses the expression itself (recursive descent, bounded length and depth), evaluates it with exact
 * rationals and compares the multiset of its numbers with the given one. The model's text is never evaluated.
 */
import { accepted, rejected, type Verdict } from './answer.ts';
import { type Given, type OptionRule, resolveOptions } from './options.ts';
import { type ProceduralTask, proceduralTask } from './task.ts';

/** An exact fraction; the denominator is never zero. */
interface Rational {
  numerator: bigint;
  denominator: bigint;
}

function apply(operator: string, a: Rational, b: Rational): Rational | undefined {
  switch (operator) {
    case '+':
      return {
        numerator: a.numerator * b.denominator + b.numerator * a.denominator,
        denominator: a.denominator * b.denominator,
      };
    case '-':
      return {
        numerator: a.numerator * b.denominator - b.numerator * a.denominator,
        denominator: a.denominator * b.denominator,
      };
    case '*':
      return { numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator };
    default:
      if (b.numerator === 0n) return undefined;
      return { numerator: a.numerator * b.denominator, denominator: a.denominator * b.numerator };
  }
}

const kMaxDepth = 16;

/** Why an expression cannot be evaluated; thrown and caught inside this module only. */
class ExpressionError extends Error {}

/**
 * The value of an expression and the numbers it uses, in order of appearance; an explanation when it is malformed or its
 * parentheses are nested deeper than `maxDepth`.
 */
export function evaluateExpression(
  text: string,
  maxDepth = kMaxDepth,
): { numerator: bigint; denominator: bigint; numbers: number[] } | { error: string } {
  const tokens = text.match(/[0-9]+|[-+*/()]|[^ \t\r\n]/g) ?? [];
  const numbers: number[] = [];
  let position = 0;

  function fail(expected: string): never {
    const found = tokens[position] === undefined ? 'the end' : JSON.stringify(tokens[position]);
    throw new ExpressionError(`expected ${expected}, found ${found}`);
  }

  function operand(depth: number): Rational {
    const token = tokens[position];
    if (token === '(') {
      if (depth === maxDepth) throw new ExpressionError(`parentheses are nested more than ${maxDepth} deep`);
      position += 1;
      const value = sum(depth + 1);
      if (tokens[position] !== ')') fail('")"');
      position += 1;
      return value;
    }
    if (token === undefined || !/^(?:0|[1-9][0-9]{0,5})$/.test(token)) return fail('a number or "("');
    position += 1;
    numbers.push(Number(token));
    return { numerator: BigInt(token), denominator: 1n };
  }

  function chain(operators: string, next: () => Rational): Rational {
    let value = next();
    for (;;) {
      const operator = tokens[position];
      if (operator === undefined || operator.length !== 1 || !operators.includes(operator)) return value;
      position += 1;
      const combined = apply(operator, value, next());
      if (combined === undefined) throw new ExpressionError('a division by zero');
      value = combined;
    }
  }

  function sum(depth: number): Rational {
    return chain('+-', () => chain('*/', () => operand(depth)));
  }

  try {
    const value = sum(0);
    if (position < tokens.length) fail('an operator or the end');
    return { ...value, numbers };
  } catch (error) {
    if (error instanceof ExpressionError) return { error: error.message };
    throw error;
  }
}

/** Accepts an expression that equals `target` exactly and uses each of `numbers` exactly once and nothing else. */
export function verifyExpression(numbers: readonly number[], target: number, answer: string): Verdict {
  const result = evaluateExpression(answer);
  if ('error' in result)
    return rejected(`not an expression of numbers, + - * / and parentheses: ${result.error}`);
  const ascending = (list: readonly number[]) => [...list].sort((a, b) => a - b).join(' ');
  if (ascending(result.numbers) !== ascending(numbers)) {
    return rejected(`the expression uses ${ascending(result.numbers)}, not ${ascending(numbers)}`);
  }
  if (result.numerator !== BigInt(target) * result.denominator) {
    return rejected(`the expression is not ${target}`);
  }
  return accepted;
}

/** How four operands a b c d and three operators x y z are bracketed, in the order in which they are tried. */
const kShapes: readonly ((
  a: number,
  b: number,
  c: number,
  d: number,
  x: string,
  y: string,
  z: string,
) => string)[] = [
  (a, b, c, d, x, y, z) => `((${a}${x}${b})${y}${c})${z}${d}`,
  (a, b, c, d, x, y, z) => `(${a}${x}(${b}${y}${c}))${z}${d}`,
  (a, b, c, d, x, y, z) => `(${a}${x}${b})${y}(${c}${z}${d})`,
  (a, b, c, d, x, y, z) => `${a}${x}((${b}${y}${c})${z}${d})`,
  (a, b, c, d, x, y, z) => `${a}${x}(${b}${y}(${c}${z}${d}))`,
];

/** Floating-point value of each shape, for the search; candidates are confirmed with exact rationals. */
const kShapeValues: readonly ((n: readonly number[], o: readonly string[]) => number)[] = [
  (n, o) => float(o[2]!, float(o[1]!, float(o[0]!, n[0]!, n[1]!), n[2]!), n[3]!),
  (n, o) => float(o[2]!, float(o[0]!, n[0]!, float(o[1]!, n[1]!, n[2]!)), n[3]!),
  (n, o) => float(o[1]!, float(o[0]!, n[0]!, n[1]!), float(o[2]!, n[2]!, n[3]!)),
  (n, o) => float(o[0]!, n[0]!, float(o[2]!, float(o[1]!, n[1]!, n[2]!), n[3]!)),
  (n, o) => float(o[0]!, n[0]!, float(o[1]!, n[1]!, float(o[2]!, n[2]!, n[3]!))),
];

function float(operator: string, a: number, b: number): number {
  return operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b;
}

/** All orders of four items by index, in lexicographic order (that of Python's `itertools.permutations`). */
const kOrders: readonly (readonly [number, number, number, number])[] = [0, 1, 2, 3].flatMap((a) =>
  [0, 1, 2, 3].flatMap((b) =>
    [0, 1, 2, 3]
      .map((c) => [a, b, c, 6 - a - b - c] as const)
      .filter((order) => new Set(order).size === 4 && order[3] >= 0 && order[3] <= 3),
  ),
);

/** The first expression that reaches the target, in the order of the Python solution, or undefined if there is none. */
export function solveFourNumbers(numbers: readonly number[], target: number): string | undefined {
  const operators = ['+', '-', '*', '/'];
  for (const [i, j, k, l] of kOrders) {
    const n = [numbers[i]!, numbers[j]!, numbers[k]!, numbers[l]!];
    for (const x of operators) {
      for (const y of operators) {
        for (const z of operators) {
          for (let shape = 0; shape < kShapes.length; shape++) {
            const value = kShapeValues[shape]!(n, [x, y, z]);
            if (!(Math.abs(value - target) < 1e-6)) continue;
            const text = kShapes[shape]!(n[0]!, n[1]!, n[2]!, n[3]!, x, y, z);
            if (verifyExpression(n, target, text).correct) return text;
          }
        }
      }
    }
  }
  return undefined;
}

interface Hand extends Record<string, unknown> {
  numbers: number[];
  target: number;
}

const kGame24Rules = {
  number: { range: [1, 13], limits: [1, 99] },
  target: { range: [24, 24], limits: [1, 999] },
} as const satisfies Record<string, OptionRule>;

/** Options of `game24`: range of the four numbers and of the target. */
export type Game24Options = Given<typeof kGame24Rules>;

/** The game of 24; every hand drawn has a solution. */
export function game24(options: Game24Options = {}): ProceduralTask {
  const { number, target } = resolveOptions('game24', kGame24Rules, options);
  return proceduralTask<Hand>({
    generator: 'game24',
    name: options.name,
    description: 'an expression with four given numbers that reaches a target',
    draw(random) {
      const goal = random.integer(...target);
      const numbers = Array.from({ length: 4 }, () => random.integer(...number));
      const solution = solveFourNumbers(numbers, goal);
      if (solution === undefined) return undefined;
      const list = numbers.join(', ');
      const rule = 'with + - * / and parentheses, each number exactly once';
      return {
        content: `${goal} ${[...numbers].sort((a, b) => a - b).join(' ')}`,
        instance: { numbers, target: goal },
        prompts: [
          `Make ${goal} from ${list} ${rule}. Answer with the expression only.`,
          `Use ${list} ${rule}, to reach ${goal}. Answer with the expression only.`,
        ],
        answer: solution,
      };
    },
    maxAnswerLength: 120,
    compare: (_expected, answer, { numbers, target: goal }) => verifyExpression(numbers, goal, answer),
    solutions: [
      ({ numbers, target: goal }) =>
        [
          'from itertools import permutations, product',
          'def solve(numbers):',
          '    for a, b, c, d in permutations(numbers):',
          '        for x, y, z in product("+-*/", repeat=3):',
          '            for e in (f"(({a}{x}{b}){y}{c}){z}{d}", f"({a}{x}({b}{y}{c})){z}{d}",',
          '                      f"({a}{x}{b}){y}({c}{z}{d})", f"{a}{x}(({b}{y}{c}){z}{d})",',
          '                      f"{a}{x}({b}{y}({c}{z}{d}))"):',
          '                try:',
          `                    if abs(eval(e) - ${goal}) < 1e-6:`,
          '                        return e',
          '                except ZeroDivisionError:',
          '                    pass',
          `print(solve([${numbers.join(', ')}]))`,
        ].join('\n'),
    ],
  });
}
