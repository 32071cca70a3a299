/**
 * Where the verifiers of numeric-tasks.ts judge otherwise than the Python package's scorers, on purpose. `kinds` are the kinds
 * of the scored examples in question; a test fails for a difference that is not listed and for a listed one that does not
 * occur. And the published questions whose canonical answer is not the answer to the question.
 */
import type { SuiteQuestion } from '../suite.ts';
import { isParseError, parseExpression } from './expression.ts';
import { rationalOf } from './polynomial.ts';

const padded =
  'blanks at both ends do not count: the package drops them when it extracts an answer, before this comparison of every character';

/** Tasks that the package compares character by character. */
const exact = [
  'acre',
  'arc_1d',
  'basic_arithmetic',
  'bf',
  'count_bits',
  'gcd',
  'lcm',
  'leg_counting',
  'list_functions',
  'simple_equations',
  'simple_geometry',
];

export const numericDifferences: readonly {
  readonly task: string;
  readonly kinds: readonly string[];
  readonly reason: string;
}[] = [
  ...exact.map((task) => ({ task, kinds: ['oracle_padded'], reason: padded })),
  {
    task: 'advanced_geometry',
    kinds: ['oracle_padded'],
    reason: 'the package compares radii as texts, but angles and points as numbers; here blanks never count',
  },
  {
    task: 'complex_arithmetic',
    kinds: ['oracle_padded'],
    reason: 'the package drops spaces but not line ends, where the number has an imaginary part',
  },
  {
    task: 'decimal_arithmetic',
    kinds: ['perturbed'],
    reason:
      'the question asks for twelve digits and the package accepts what is within 0.001 (-0.337 for -0.336); here every digit that is written must be right',
  },
  {
    task: 'dice',
    kinds: ['oracle_padded'],
    reason: 'the package drops line ends but not spaces',
  },
  {
    task: 'fraction_simplification',
    kinds: ['oracle_twice'],
    reason: 'the package does not look at what follows a LaTeX fraction; here there must be one fraction',
  },
  {
    task: 'intermediate_integration',
    kinds: ['oracle', 'oracle_padded'],
    reason:
      'some canonical answers are unevaluated: Integral(x*cos(3*x), x) repeats the question, and the package accepts that for every question; here it is no answer',
  },
  {
    task: 'number_format',
    kinds: ['perturbed'],
    reason:
      'the package accepts what is within 0.01; the candidates are thousandths, so a number that differs by 0.001 is none of them',
  },
  {
    task: 'polynomial_equations',
    kinds: ['oracle_twice'],
    reason: 'the package skips parts that are no numbers ("2.0736 -0.1324"); here every part must be a root',
  },
  {
    task: 'time_intervals',
    kinds: ['oracle_twice'],
    reason: 'the package reads the first word of "79 days 79 days"; here there must be one duration',
  },
];

const kMonths = 'January February March April May June July August September October November December'.split(
  ' ',
);

/** The first two dates of a text ("October 3") as numbers that grow within a year. */
function firstDates(text: string): readonly number[] {
  const dates = text.matchAll(new RegExp(`(${kMonths.join('|')}) ([0-9]{1,2})`, 'g'));
  return [...dates].slice(0, 2).map(([, month, day]) => 100 * kMonths.indexOf(month!) + Number(day));
}

/**
 * Published questions to leave out of training: what the package takes for the answer is not the answer, so a right
 * answer would be punished.
 */
export const numericUnsound: readonly {
  readonly task: string;
  readonly reason: string;
  isUnsound(question: SuiteQuestion): boolean;
}[] = [
  {
    task: 'basic_arithmetic',
    reason: 'a division leaves a rest: the package rounds it down, which the question does not say',
    isUnsound: ({ prompt, answer }) => {
      const expression = /([-+*/() 0-9]+)[.?]?$/.exec(prompt)?.[1]?.trim() ?? '';
      const tree = parseExpression(expression);
      const value = isParseError(tree) ? undefined : rationalOf(tree);
      return value === undefined || value.numerator !== BigInt(answer) * value.denominator;
    },
  },
  {
    task: 'calendar_arithmetic',
    reason: 'the second date lies in the next year, but is written with the first one',
    isUnsound: ({ prompt }) => {
      const [start, end] = firstDates(prompt);
      return start !== undefined && end !== undefined && end < start;
    },
  },
  {
    task: 'intermediate_integration',
    reason: 'the canonical answer is an integral that was not evaluated; the verifier rejects it',
    isUnsound: ({ answer }) => answer.includes('Integral('),
  },
  {
    task: 'time_intervals',
    reason: 'the package drops times and offsets behind a weekday in parentheses',
    isUnsound: ({ prompt }) => /\([A-Z][a-z]+day\) [0-9]{2}:/.test(prompt),
  },
];
