/**
 * Letters, words and lists: counting letters, transforming strings, sorting numbers.
 *
 * Words are random lower-case ASCII letters, so nothing can be recalled from a dictionary.
 */
import { compareInteger, compareList, compareText } from './answer.ts';
import { type Given, type OptionRule, resolveOptions } from './options.ts';
import type { Random } from './random.ts';
import { type ProceduralTask, proceduralTask } from './task.ts';

const kAlphabet = 'abcdefghijklmnopqrstuvwxyz';

function word(random: Random, length: number, alphabet: readonly string[]): string {
  return Array.from({ length }, () => random.choice(alphabet)).join('');
}

interface Letters extends Record<string, unknown> {
  kind: 'letter' | 'vowels' | 'different';
  text: string;
  letter: string;
}

const kLettersRules = {
  length: { range: [12, 40], limits: [1, 200] },
  /** How many different letters the text may use. */
  alphabet: { range: [6, 12], limits: [2, 26] },
  kinds: { kinds: ['letter', 'vowels', 'different'], default: ['letter', 'vowels'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `letters`. */
export type LettersOptions = Given<typeof kLettersRules>;

/** Counting letters in a random text. */
export function letters(options: LettersOptions = {}): ProceduralTask {
  const { length, alphabet, kinds } = resolveOptions('letters', kLettersRules, options);
  return proceduralTask<Letters>({
    generator: 'letters',
    name: options.name,
    description: 'how often a letter occurs in a text',
    draw(random) {
      const kind = random.choice(kinds);
      const pool = random.sample([...kAlphabet], random.integer(...alphabet));
      const text = word(random, random.integer(...length), pool);
      const letter = kind === 'letter' ? random.choice(pool) : '';
      const drawn = {
        letter: {
          prompts: [
            `How many times does the letter ${letter} occur in ${text}?`,
            `Count the letter ${letter} in the string ${text}.`,
            `How many ${letter} are there in "${text}"?`,
          ],
          count: [...text].filter((c) => c === letter).length,
        },
        vowels: {
          prompts: [
            `How many vowels (a, e, i, o, u) are there in ${text}?`,
            `Count the vowels a, e, i, o, u in the string ${text}.`,
          ],
          count: [...text].filter((c) => 'aeiou'.includes(c)).length,
        },
        different: {
          prompts: [
            `How many different letters does ${text} have?`,
            `Count the distinct letters of ${text}.`,
          ],
          count: new Set(text).size,
        },
      }[kind];
      return {
        content: `${kind} ${letter} ${text}`,
        instance: { kind, text, letter },
        prompts: drawn.prompts,
        answer: String(drawn.count),
      };
    },
    compare: compareInteger,
    solutions: [
      ({ kind, text, letter }) =>
        ({
          letter: `print("${text}".count("${letter}"))`,
          vowels: `print(sum("${text}".count(v) for v in "aeiou"))`,
          different: `print(len(set("${text}")))`,
        })[kind],
      ({ kind, text, letter }) =>
        ({
          letter: `text = "${text}"\nprint(sum(c == "${letter}" for c in text))`,
          vowels: `text = "${text}"\nprint(sum(c in "aeiou" for c in text))`,
          different: `text = "${text}"\nprint(len(set(text)))`,
        })[kind],
    ],
  });
}

interface Transform extends Record<string, unknown> {
  kind: 'reverse' | 'caesar' | 'no-vowels' | 'rotate' | 'first-only' | 'sorted';
  text: string;
  /** Places to shift ('caesar') or to rotate ('rotate'); 0 otherwise. */
  shift: number;
}

/** Shifts each lower-case letter by `shift` places, wrapping from z to a. */
export function caesar(text: string, shift: number): string {
  return [...text].map((c) => kAlphabet[(kAlphabet.indexOf(c) + shift) % 26]!).join('');
}

const kTransforms: Readonly<Record<Transform['kind'], (text: string, shift: number) => string>> = {
  reverse: (text) => [...text].reverse().join(''),
  caesar,
  'no-vowels': (text) => [...text].filter((c) => !'aeiou'.includes(c)).join(''),
  rotate: (text, shift) => text.slice(shift) + text.slice(0, shift),
  'first-only': (text) => [...new Set(text)].join(''),
  sorted: (text) => [...text].sort().join(''),
};

const kStringsRules = {
  length: { range: [8, 24], limits: [3, 100] },
  alphabet: { range: [10, 26], limits: [4, 26] },
  kinds: { kinds: ['reverse', 'caesar', 'no-vowels', 'rotate', 'first-only', 'sorted'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `strings`. */
export type StringsOptions = Given<typeof kStringsRules>;

/** Transformations of a random text. */
export function strings(options: StringsOptions = {}): ProceduralTask {
  const { length, alphabet, kinds } = resolveOptions('strings', kStringsRules, options);
  return proceduralTask<Transform>({
    generator: 'strings',
    name: options.name,
    description: 'a string reversed, shifted, rotated, sorted or thinned out',
    draw(random) {
      const kind = random.choice(kinds);
      const pool = random.sample([...kAlphabet], random.integer(...alphabet));
      const text = word(random, random.integer(...length), pool);
      const shift =
        kind === 'caesar'
          ? random.integer(1, 25)
          : kind === 'rotate'
            ? random.integer(1, text.length - 1)
            : 0;
      const answer = kTransforms[kind](text, shift);
      if (answer === '' || answer === text) return undefined;
      const prompts = {
        reverse: [`Write ${text} backwards.`, `Reverse the string ${text}.`],
        caesar: [
          `Shift each letter of ${text} forward by ${shift} in the alphabet, wrapping from z to a.`,
          `Apply a Caesar cipher with shift ${shift} to ${text}.`,
        ],
        'no-vowels': [
          `Remove the vowels a, e, i, o, u from ${text}.`,
          `Write ${text} without the letters a, e, i, o, u.`,
        ],
        rotate: [
          `Move the first ${shift} letters of ${text} to its end.`,
          `Rotate the string ${text} to the left by ${shift}.`,
        ],
        'first-only': [
          `Keep only the first occurrence of each letter of ${text}.`,
          `Remove every letter of ${text} that occurred before in it.`,
        ],
        sorted: [`Sort the letters of ${text} alphabetically.`, `Write the letters of ${text} from a to z.`],
      }[kind];
      return { content: `${kind} ${shift} ${text}`, instance: { kind, text, shift }, prompts, answer };
    },
    compare: compareText,
    solutions: [
      ({ kind, text, shift }) =>
        ({
          reverse: `print("${text}"[::-1])`,
          caesar: `print("".join(chr((ord(c)-97+${shift})%26+97) for c in "${text}"))`,
          'no-vowels': `print("".join(c for c in "${text}" if c not in "aeiou"))`,
          rotate: `s = "${text}"\nprint(s[${shift}:] + s[:${shift}])`,
          'first-only': `print("".join(dict.fromkeys("${text}")))`,
          sorted: `print("".join(sorted("${text}")))`,
        })[kind],
    ],
  });
}

interface Order extends Record<string, unknown> {
  kind: 'smallest' | 'largest' | 'ascending' | 'descending';
  numbers: number[];
  /** The rank asked for, from 1; 0 for whole lists. */
  rank: number;
}

function ordinal(n: number): string {
  const tens = n % 100;
  const suffix = tens >= 11 && tens <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th');
  return `${n}${suffix}`;
}

const kOrderRules = {
  value: { range: [100, 9999], limits: [0, 999_999_999] },
  length: { range: [6, 11], limits: [2, 50] },
  kinds: { kinds: ['smallest', 'largest', 'ascending', 'descending'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `order`. */
export type OrderOptions = Given<typeof kOrderRules>;

/** The k-th smallest or largest of different numbers, or the whole list in order. */
export function order(options: OrderOptions = {}): ProceduralTask {
  const { value, length, kinds } = resolveOptions('order', kOrderRules, options);
  if (value[1] - value[0] + 1 < length[1]) {
    throw new RangeError(
      `task order: ${length[1]} different numbers do not fit in value [${value[0]}, ${value[1]}]; widen value`,
    );
  }
  return proceduralTask<Order>({
    generator: 'order',
    name: options.name,
    description: 'k-th smallest or largest number, or the sorted list',
    draw(random) {
      const kind = random.choice(kinds);
      const count = random.integer(...length);
      const numbers = Array.from({ length: count }, () => random.integer(...value));
      const rank = kind === 'smallest' || kind === 'largest' ? random.integer(1, count) : 0;
      const sorted = [...numbers].sort((a, b) => a - b);
      if (new Set(numbers).size < count) return undefined;
      const list = numbers.join(', ');
      const place = `${ordinal(rank)} ${kind}`;
      const drawn = {
        smallest: {
          prompts: [`Which number is the ${place} of ${list}?`, `What is the ${place} of ${list}?`],
          answer: String(sorted[rank - 1]),
        },
        largest: {
          prompts: [`Which number is the ${place} of ${list}?`, `What is the ${place} of ${list}?`],
          answer: String(sorted.at(-rank)),
        },
        ascending: {
          prompts: [
            `Sort in ascending order: ${list}.`,
            `List these numbers from smallest to largest, separated by commas: ${list}.`,
          ],
          answer: sorted.join(', '),
        },
        descending: {
          prompts: [
            `Sort in descending order: ${list}.`,
            `List these numbers from largest to smallest, separated by commas: ${list}.`,
          ],
          answer: [...sorted].reverse().join(', '),
        },
      }[kind];
      return {
        content: `${kind} ${rank} ${sorted.join(' ')}`,
        instance: { kind, numbers, rank },
        ...drawn,
      };
    },
    compare: (expected, answer, { kind }) =>
      kind === 'smallest' || kind === 'largest'
        ? compareInteger(expected, answer)
        : compareList(expected, answer),
    solutions: [
      ({ kind, numbers, rank }) =>
        ({
          smallest: `print(sorted([${numbers.join(',')}])[${rank - 1}])`,
          largest: `print(sorted([${numbers.join(',')}])[-${rank}])`,
          ascending: `print(*sorted([${numbers.join(',')}]), sep=", ")`,
          descending: `print(*sorted([${numbers.join(',')}], reverse=True), sep=", ")`,
        })[kind],
      ({ kind, numbers, rank }) =>
        ({
          smallest: `n = [${numbers.join(', ')}]\nn.sort()\nprint(n[${rank - 1}])`,
          largest: `n = [${numbers.join(', ')}]\nn.sort(reverse=True)\nprint(n[${rank - 1}])`,
          ascending: `n = sorted([${numbers.join(', ')}])\nprint(", ".join(map(str, n)))`,
          descending: `n = sorted([${numbers.join(', ')}])\nprint(", ".join(map(str, n[::-1])))`,
        })[kind],
    ],
  });
}
