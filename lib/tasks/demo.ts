/**
 * Tasks for a small model trained from scratch (the demo): questions of at most 60 characters and one short program for
 * each (at most 50 characters) into which the operands are copied in the order of the question.
 *
 * These are the general generators with narrow ranges and terse wordings, so ids and splits are shared with them. Guessing
 * does not help: in each task the most frequent answer is rarer than one in ten.
 */
import { makeTask, type TaskName } from './index.ts';
import type { ProceduralTask, Question } from './task.ts';

/** Operators of a sum or product as written in the program, e.g. `482+7719-30`. */
function expressionOf(question: Question): string {
  const { operands, operators } = question.meta as { operands: number[]; operators: string[] };
  return operands.map((operand, i) => (i === 0 ? '' : ` ${operators[i - 1]} `) + operand).join('');
}

interface DemoSpec {
  base: TaskName;
  options: Readonly<Record<string, unknown>>;
  wordings: (question: Question) => readonly string[];
}

const kSpecs = {
  sum: {
    base: 'arithmetic',
    options: { kinds: ['sum'], digits: [3, 4], operands: [3, 3] },
    wordings: (question) => [`What is ${expressionOf(question)}?`, `Compute ${expressionOf(question)}.`],
  },
  product: {
    base: 'arithmetic',
    options: { kinds: ['product'], digits: [3, 4], operands: [2, 2] },
    wordings: (question) => [`What is ${expressionOf(question)}?`, `Compute ${expressionOf(question)}.`],
  },
  gcd: {
    base: 'gcd',
    options: { kinds: ['gcd'], numbers: [2, 2], factor: [12, 97], cofactor: [5, 97] },
    wordings: ({ meta }) => {
      const [a, b] = (meta as { numbers: number[] }).numbers;
      return [`What is the gcd of ${a} and ${b}?`, `Find the gcd of ${a} and ${b}.`];
    },
  },
  power: {
    base: 'power',
    options: { base: [11, 99], exponent: [11, 99], modulus: [101, 997] },
    wordings: ({ meta }) => {
      const { base, exponent, modulus } = meta as { base: number; exponent: number; modulus: number };
      return [
        `What is ${base} to the ${exponent} mod ${modulus}?`,
        `Compute ${base} to the ${exponent} mod ${modulus}.`,
      ];
    },
  },
  base: {
    base: 'bases',
    options: { kinds: ['to-decimal'], value: [4096, 65_535], base: [8, 16] },
    wordings: ({ meta }) => {
      const { from, digits } = meta as { from: number; digits: string };
      return [`What is ${digits} in base ${from} as decimal?`, `Write ${digits} in base ${from} as decimal.`];
    },
  },
  digits: {
    base: 'digits',
    options: { kinds: ['sum'], digits: [8, 12] },
    wordings: ({ meta }) => {
      const { number } = meta as { number: string };
      return [`What is the digit sum of ${number}?`, `Sum the digits of ${number}.`];
    },
  },
} as const satisfies Record<string, DemoSpec>;

/** The name of a demo task. */
export type DemoTaskName = keyof typeof kSpecs;

/** The names of the demo tasks. */
export const demoTaskNames = Object.keys(kSpecs) as DemoTaskName[];

/**
 * A demo task, optionally with other ranges than the demo's: the options are those of its generator (`sum` and `product`:
 * arithmetic; `base`: bases; the others: of the same name). Errors as `makeTask`.
 */
export function demoTask(
  name: DemoTaskName,
  options: Readonly<Record<string, unknown>> = {},
): ProceduralTask {
  if (!Object.hasOwn(kSpecs, name)) {
    throw new RangeError(
      `demoTask: unknown task ${JSON.stringify(name)}; there are ${demoTaskNames.join(', ')}`,
    );
  }
  const spec: DemoSpec = kSpecs[name];
  const task = makeTask(spec.base, { ...spec.options, ...options, name });
  return {
    ...task,
    variants: 1,
    question(random, split) {
      const question = task.question(random, split);
      return { ...question, prompt: random.choice(spec.wordings(question)) };
    },
    solution: (question) => task.solution(question, 0),
  };
}

/** The demo's tasks by name. */
export const demoTasks: Readonly<Record<DemoTaskName, ProceduralTask>> = {
  sum: demoTask('sum'),
  product: demoTask('product'),
  gcd: demoTask('gcd'),
  power: demoTask('power'),
  base: demoTask('base'),
  digits: demoTask('digits'),
};
