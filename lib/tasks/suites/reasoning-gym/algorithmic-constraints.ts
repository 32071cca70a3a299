/**
 * Algorithmic tasks with many right answers: an answer is checked against the puzzle's rules, never against the example
 * that is stored as the canonical answer.
 */
import { accepted, rejected, screenAnswer, trimBlanks } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { jsonOf } from './algorithmic-json.ts';
import { fourLetterWords } from './four-letter-words.ts';
import { type Guard, isBoolean, isInteger, isListOf, isText, metaValue } from './meta.ts';

export const cryptarithm: SuiteTask = {
  name: 'cryptarithm',
  description: 'digits for the letters of an addition, as A=1,B=2',
  metaKeys: ['words_letters', 'result_letters', 'allow_leading_zero'],
  verify(question, answer) {
    const words = metaValue(question, 'words_letters', isListOf(isText), 'a list of words');
    const result = metaValue(question, 'result_letters', isText, 'a word');
    const leadingZero = metaValue(question, 'allow_leading_zero', isBoolean, 'true or false');
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const letters = new Set([...words, result].join(''));
    const digits = new Map<string, string>();
    for (const pair of screened.split(',', letters.size + 1)) {
      const match = /^([A-Z]) ?= ?([0-9])$/.exec(trimBlanks(pair));
      if (match === null) return rejected('not a list of pairs like A=1');
      const [, letter, digit] = match as unknown as [string, string, string];
      if (!letters.has(letter)) return rejected(`${letter} is not in the puzzle`);
      if (digits.has(letter)) return rejected(`${letter} is given twice`);
      digits.set(letter, digit);
    }
    if (digits.size !== letters.size) return rejected(`${digits.size} of ${letters.size} letters are given`);
    if (new Set(digits.values()).size !== digits.size) return rejected('two letters have the same digit');
    if (!leadingZero && [...words, result].some((word) => digits.get(word[0] ?? '') === '0')) {
      return rejected('a leading letter is zero');
    }
    const number = (word: string) => BigInt([...word].map((letter) => digits.get(letter)).join(''));
    const sum = words.reduce((total, word) => total + number(word), 0n);
    return sum === number(result) ? accepted : rejected('the sum is wrong');
  },
};

const isEdge: Guard<readonly [number, number]> = (value): value is readonly [number, number] =>
  isListOf(isInteger)(value) && value.length === 2;

export const graphColor: SuiteTask = {
  name: 'graph_color',
  description: 'colour a graph so that neighbours differ, as a JSON map',
  metaKeys: ['puzzle'],
  verify(question, answer) {
    const vertices = metaValue(question, 'puzzle.vertices', isListOf(isInteger), 'a list of vertices');
    const edges = metaValue(question, 'puzzle.edges', isListOf(isEdge), 'a list of pairs of vertices');
    const colors = metaValue(question, 'puzzle.color_options', isListOf(isInteger), 'a list of colours');
    const json = jsonOf(answer);
    if ('correct' in json) return json;
    const { value } = json;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return rejected('not a JSON map');
    const coloring = new Map<string, unknown>(Object.entries(value));
    if (coloring.size !== vertices.length) {
      return rejected(`${coloring.size} vertices are coloured, the graph has ${vertices.length}`);
    }
    for (const vertex of vertices) {
      const color = coloring.get(String(vertex));
      if (!isInteger(color) || !colors.includes(color))
        return rejected(`vertex ${vertex} has no colour of the list`);
    }
    const clash = edges.find(([u, v]) => coloring.get(String(u)) === coloring.get(String(v)));
    return clash === undefined
      ? accepted
      : rejected(`neighbours ${clash[0]} and ${clash[1]} have the same colour`);
  },
};

export const jugs: SuiteTask = {
  name: 'jugs',
  description: 'fill, empty and pour jugs until one holds the target, as a JSON list of moves',
  metaKeys: ['puzzle'],
  verify(question, answer) {
    const capacities = metaValue(
      question,
      'puzzle.jug_capacities',
      isListOf(isInteger),
      'a list of integers',
    );
    const target = metaValue(question, 'puzzle.target', isInteger, 'an integer');
    const json = jsonOf(answer);
    if ('correct' in json) return json;
    if (!Array.isArray(json.value)) return rejected('not a list of moves');
    const levels = capacities.map(() => 0);
    const jug = (letter: string | undefined) => {
      const i = letter === undefined ? -1 : letter.charCodeAt(0) - 65;
      return i < capacities.length ? i : -1;
    };
    for (const [at, move] of (json.value as unknown[]).entries()) {
      const match =
        typeof move === 'string' ? /^ *(?:(fill|empty) +([A-Z])|pour +([A-Z])->([A-Z])) *$/.exec(move) : null;
      const illegal = `move ${at + 1} is not a legal move`;
      if (match === null) return rejected(illegal);
      const [, verb, single, source, sink] = match;
      if (verb !== undefined) {
        const i = jug(single);
        if (i < 0) return rejected(illegal);
        levels[i] = verb === 'fill' ? capacities[i]! : 0;
      } else {
        const i = jug(source);
        const j = jug(sink);
        if (i < 0 || j < 0 || i === j) return rejected(illegal);
        const amount = Math.min(levels[i]!, capacities[j]! - levels[j]!);
        levels[i]! -= amount;
        levels[j]! += amount;
      }
    }
    return levels.includes(target) ? accepted : rejected(`the jugs hold ${levels.join(', ')} in the end`);
  },
};

export const palindromeGeneration: SuiteTask = {
  name: 'palindrome_generation',
  description: 'form a palindrome from given letters',
  metaKeys: ['letters'],
  verify(question, answer) {
    const letters = metaValue(question, 'letters', isListOf(isText), 'a list of letters');
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    if (screened.length !== letters.length) {
      return rejected(`${screened.length} letters instead of ${letters.length}`);
    }
    const found = [...screened.toLowerCase()];
    if (found.some((letter, i) => letter !== found[found.length - 1 - i]))
      return rejected('not a palindrome');
    return [...found].sort().join('') === [...letters].sort().join('') ? accepted : rejected('other letters');
  },
};

/**
 * A step must be a word that the package knows: its 2671 words of four letters are in four-letter-words.ts. Without a list
 * any string would do for a step, and every ladder could be bridged by at most three non-words. Published ladders all have
 * words of four letters; for other lengths no list is kept and no answer is accepted.
 */
export const wordLadder: SuiteTask = {
  name: 'word_ladder',
  description: 'change one word into another letter by letter, as WORDS,WITH,COMMAS',
  metaKeys: ['start_word', 'end_word'],
  verify(question, answer) {
    const start = metaValue(question, 'start_word', isText, 'a word');
    const end = metaValue(question, 'end_word', isText, 'a word');
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const words = screened.toUpperCase().split(',').map(trimBlanks);
    if (words.length < 2 || words[0] !== start || words.at(-1) !== end) {
      return rejected(`not a list of words from ${start} to ${end}`);
    }
    for (const [i, word] of words.entries()) {
      if (!fourLetterWords.has(word)) return rejected(`word ${i + 1} is not a known word of four letters`);
      const before = words[i - 1];
      if (before === undefined) continue;
      const changed = [...word].filter((letter, at) => letter !== before[at]).length;
      if (changed !== 1) return rejected(`word ${i + 1} differs from the one before in ${changed} letters`);
    }
    return accepted;
  },
};
