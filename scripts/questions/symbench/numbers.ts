/** Questions of the SymBench tasks mahjong_pattern, statistical_counting, number_multiply and new_operator: see records.ts. */
import { trimBlanks } from '../../../lib/tasks/answer.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

const kPass = 0;
const kPeng = 1;
const kChi = 2;

/** The judgement on a card added to a hand. */
function judgement(hand: readonly string[], added: string, chiCounts: boolean): number {
  if (hand.filter((card) => card === added).length >= 2) return kPeng;
  const code = added.charCodeAt(0);
  const holds = (...steps: number[]) =>
    steps.every((step) => hand.includes(String.fromCharCode(code + step)));
  return chiCounts && (holds(-2, -1) || holds(-1, 1) || holds(1, 2)) ? kChi : kPass;
}

const mahjongPattern: SymbenchSource = {
  task: 'mahjong_pattern',
  files: ['mahjong_pattern_dataset'],
  read(record) {
    const found = publishedIn<{ solution: number }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [initial = ''] = groupsIn(text, /^Given the initial cards:(.*)$/m);
    const rounds = [...text.matchAll(/^Round [0-9]+: Add a (.) card(?: and remove a (.) card\.)?$/gm)];
    const chiCounts = text.includes('represented by the number 2');
    const hand = [...initial];
    let result = kPass;
    for (const [, added = '', removed] of rounds) {
      result = judgement(hand, added, chiCounts);
      hand.push(added);
      if (removed !== undefined) hand.splice(hand.indexOf(removed), 1);
    }
    const played = rounds.map(([, added, removed = '']) => `${added}${removed}`);
    return {
      content: `${chiCounts} ${[...initial].sort().join('')} ${played.join(' ')}`,
      prompt: text,
      published: String(solution.solution),
      recomputed: String(result),
      meta: {},
    };
  },
};

const statisticalCounting: SymbenchSource = {
  task: 'statistical_counting',
  files: ['statistical_counting_dataset'],
  read(record) {
    const found = publishedIn<{ solution: number }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [string = ''] = groupsIn(text, /total score of the string ([A-Z]+)\?/);
    const scores = new Map(
      [...text.matchAll(/two or more consecutive ([A-Z])'s, add ([0-9]+) to/g)].map(([, letter = '', n]) => [
        letter,
        Number(n),
      ]),
    );
    const runs = string.match(/([A-Z])\1+/g) ?? [];
    return {
      content: `${JSON.stringify([...scores])} ${string}`,
      prompt: text,
      published: String(solution.solution),
      recomputed: String(runs.reduce((total, run) => total + (scores.get(run[0]!) ?? 0), 0)),
      meta: {},
    };
  },
};

const numberMultiply: SymbenchSource = {
  task: 'number_multiply',
  files: ['number_multiply', 'number_multiply_varied_complexity'],
  read({ files }) {
    const question = trimBlanks(files['input_prompt_1.txt'] ?? '');
    const [product = ''] = groupsIn(question, /^What is the result of (-?[0-9]+(?:\*-?[0-9]+)+)\?$/);
    const factors = product.split('*').map(BigInt);
    return {
      content: [...factors].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).join('*'),
      prompt: `${question}\nGive the final answer as <<<number>>>.`,
      published: trimBlanks(files['target_answer.txt'] ?? ''),
      recomputed: String(factors.reduce((total, factor) => total * factor, 1n)),
      meta: {},
    };
  },
};

/** An exact fraction; the denominator is positive. */
type Fraction = readonly [numerator: number, denominator: number];

/** The three kinds of definitions: `3*a+2*b`, `4*a*b`, `(a + b)/b`. */
function apply(definition: string, [a, p]: Fraction, [b, q]: Fraction): Fraction {
  const sum = /^([0-9]+)\*a\+([0-9]+)\*b$/.exec(definition);
  if (sum !== null) return [Number(sum[1]) * a * q + Number(sum[2]) * b * p, p * q];
  const product = /^([0-9]+)\*a\*b$/.exec(definition);
  if (product !== null) return [Number(product[1]) * a * b, p * q];
  if (definition === '(a + b)/b') return [a * q + b * p, p * b];
  throw new Error(`expected the definition of an operator, found ${JSON.stringify(definition)}`);
}

const newOperator: SymbenchSource = {
  task: 'new_operator',
  files: ['new_operator_dataset'],
  read(record) {
    const found = publishedIn<{ solution: number }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const definitions = new Map(
      [...text.matchAll(/Define a(.)b to be (.*)\.$/gm)].map(([, name = '', definition = '']) => [
        name,
        definition,
      ]),
    );
    // Always `(3~4)&5@6` or `(3~4)&5`. The questions give no operator precedence over another, so they are applied from left to right.
    const [expression = ''] = groupsIn(text, /^Calculate (\([0-9]+.[0-9]+\).[0-9]+(?:.[0-9]+)?)\.$/m);
    const [first = '', ...rest] = expression.replace(/[()]/g, '').split(/([^0-9])/);
    let value: Fraction = [Number(first), 1];
    for (let i = 0; i < rest.length; i += 2) {
      value = apply(definitions.get(rest[i]!)!, value, [Number(rest[i + 1]), 1]);
    }
    return {
      content: JSON.stringify([[...definitions].sort(), expression]),
      prompt: text,
      published: String(solution.solution),
      recomputed: String(value[0] / value[1]),
      meta: {},
    };
  },
};

export const numberSources: readonly SymbenchSource[] = [
  mahjongPattern,
  statisticalCounting,
  numberMultiply,
  newOperator,
];
