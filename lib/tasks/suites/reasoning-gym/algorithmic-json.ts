/**
 * Algorithmic tasks whose answer is a list: a board, groups of words, sorted numbers, palindrome partitions.
 *
 * Lists are JSON read strictly (strict-json.ts). The order counts where the task is about order, and nowhere else.
 */
import { accepted, rejected, screenAnswer, type Verdict } from '../../answer.ts';
import { kLongestAnswer, type SuiteQuestion, type SuiteTask } from '../suite.ts';
import { isText, metaValue } from './meta.ts';
import { parseStrictJson } from './strict-json.ts';

/** The JSON value of an answer in printable ASCII, or the verdict that rejects it. */
export function jsonOf(answer: string): { readonly value: unknown } | Verdict {
  const screened = screenAnswer(answer, kLongestAnswer);
  if (typeof screened !== 'string') return screened;
  const value = parseStrictJson(screened);
  return value === undefined ? rejected('not JSON (or nested too deep, or with a repeated key)') : { value };
}

/** The list that a question's canonical answer is; `read` is how the task reads answers. Throws where it is none. */
function expectedList(
  question: SuiteQuestion,
  read: (text: string) => unknown = (text) => parseStrictJson(text),
): readonly unknown[] {
  const value = read(question.answer);
  if (Array.isArray(value)) return value;
  throw new TypeError(
    `question ${question.id}: expected its canonical answer to be a list, found ${question.answer.slice(0, 80)}`,
  );
}

/** A list of lists of texts, or undefined. */
function textLists(value: unknown): readonly (readonly string[])[] | undefined {
  const isTexts = (member: unknown): member is readonly string[] =>
    Array.isArray(member) && member.every((text) => typeof text === 'string');
  return Array.isArray(value) && value.every(isTexts) ? value : undefined;
}

export const gameOfLife: SuiteTask = {
  name: 'game_of_life',
  description: 'the Game of Life board after some steps, as JSON rows',
  metaKeys: [],
  verify(question, answer) {
    const json = jsonOf(answer);
    if ('correct' in json) return json;
    const board = expectedList(question) as readonly (readonly number[])[];
    const { value } = json;
    if (!Array.isArray(value) || value.length !== board.length)
      return rejected('not as many rows as the board');
    for (const [i, row] of board.entries()) {
      const found: unknown = value[i];
      if (!Array.isArray(found) || found.length !== row.length)
        return rejected(`row ${i + 1} has another length`);
      if (row.some((cell, j) => found[j] !== cell)) return rejected(`row ${i + 1} differs`);
    }
    return accepted;
  },
};

export const groupAnagrams: SuiteTask = {
  name: 'group_anagrams',
  description: 'group words that are anagrams of each other, as JSON lists',
  metaKeys: [],
  verify(question, answer) {
    const json = jsonOf(answer);
    if ('correct' in json) return json;
    const groups = textLists(json.value);
    if (groups === undefined) return rejected('not a list of lists of words');
    const canonical = (lists: readonly (readonly string[])[]) =>
      JSON.stringify(lists.map((words) => JSON.stringify([...words].sort())).sort());
    const expected = expectedList(question) as readonly (readonly string[])[];
    return canonical(groups) === canonical(expected) ? accepted : rejected('different groups');
  },
};

/** A decimal number without an exponent in its shortest form (`-03.50` is `-3.5`, `-0.0` is `0`), or undefined. */
function shortestDecimal(item: unknown): string | undefined {
  if (typeof item !== 'string' && typeof item !== 'number') return undefined;
  const match = /^(-?)([0-9]+)(?:\.([0-9]+))?$/.exec(String(item));
  if (match === null) return undefined;
  const whole = match[2]!.replace(/^0+(?=[0-9])/, '');
  let places = match[3] ?? '';
  let end = places.length;
  while (end > 0 && places[end - 1] === '0') end -= 1;
  places = places.slice(0, end);
  const size = places === '' ? whole : `${whole}.${places}`;
  return size === '0' ? size : `${match[1]}${size}`;
}

/** The package accepts numbers that are off by up to 1; here every number must have its value. */
export const numberSorting: SuiteTask = {
  name: 'number_sorting',
  description: 'sort numbers, as a list of strings',
  metaKeys: [],
  verify(question, answer) {
    // Python's quotes, which the question shows, and JSON's are the same; numbers hold neither.
    const numbers = (text: string) => {
      const value = parseStrictJson(text.replaceAll("'", '"'));
      return Array.isArray(value) ? value.map(shortestDecimal) : undefined;
    };
    const expected = expectedList(question, numbers);
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const found = numbers(screened);
    if (found === undefined) return rejected('not a list');
    if (found.length !== expected.length)
      return rejected(`${found.length} numbers instead of ${expected.length}`);
    const wrong = expected.findIndex((number, i) => found[i] === undefined || found[i] !== number);
    return wrong < 0 ? accepted : rejected(`number ${wrong + 1} differs`);
  },
};

function isPalindrome(text: string): boolean {
  for (let i = 0, j = text.length - 1; i < j; i++, j--) if (text[i] !== text[j]) return false;
  return true;
}

/** In how many ways a string can be cut into palindromes; exact to 2^53, far beyond what an answer can list. */
export function countPalindromePartitions(text: string): number {
  const ways = [1];
  for (let end = 1; end <= text.length; end++) {
    let total = 0;
    for (let start = 0; start < end; start++) {
      if (isPalindrome(text.slice(start, end))) total += ways[start]!;
    }
    ways.push(total);
  }
  return ways.at(-1)!;
}

/** Right are all partitions, each once, in any order; they are checked and counted instead of compared with a list. */
export const palindromePartitioning: SuiteTask = {
  name: 'palindrome_partitioning',
  description: 'all partitions of a string into palindromes, as JSON lists',
  metaKeys: ['string'],
  verify(question, answer) {
    const text = metaValue(question, 'string', isText, 'a string');
    const json = jsonOf(answer);
    if ('correct' in json) return json;
    const partitions = textLists(json.value);
    if (partitions === undefined) return rejected('not a list of lists of strings');
    const seen = new Set<string>();
    for (const parts of partitions) {
      if (parts.some((part) => part === '' || !isPalindrome(part)))
        return rejected('a part is not a palindrome');
      if (parts.join('') !== text) return rejected('a partition does not make up the string');
      const key = parts.join(' ');
      if (seen.has(key)) return rejected('a partition is listed twice');
      seen.add(key);
    }
    const all = countPalindromePartitions(text);
    return seen.size === all ? accepted : rejected(`${seen.size} of ${all} partitions`);
  },
};
