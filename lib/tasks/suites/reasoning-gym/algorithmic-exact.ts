/**
 * Algorithmic tasks with one right answer and one way to write it: an integer, True or False, a text.
 *
 * The package compares most of them with its answer character by character, after its own extraction has dropped blanks
 * at both ends; so here blanks at both ends do not count and everything else does. `question.answer` is the right answer;
 * nothing is read from `meta`.
 */
import {
  type Comparison,
  compareInteger,
  compareText,
  compareTextIgnoringCase,
  rejected,
  screenAnswer,
  trimBlanks,
} from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';

const kAscii = /^[\x20-\x7e\t\r\n]*$/;

/**
 * A task judged by comparing the answer with the canonical one. Printable ASCII is compared with nothing but printable
 * ASCII; texts of a book may have dashes, quotes and accents outside it.
 */
function exactTask(name: string, description: string, compare: Comparison): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify({ answer: expected }, answer) {
      const screened = kAscii.test(expected) ? screenAnswer(answer, kLongestAnswer) : trimBlanks(answer);
      return typeof screened === 'string' ? compare(expected, screened) : screened;
    },
  };
}

/** Words in order, separated by any blanks; upper and lower case are the same. */
const compareWords: Comparison = (expected, answer) => {
  const words = (text: string) => text.toLowerCase().replace(/[ \t\r\n]+/g, ' ');
  return compareText(words(expected), words(answer));
};

/** Rows of numbers: one line a row, numbers separated by blanks; blanks at the ends of a line do not count. */
const compareRows: Comparison = (expected, answer) => {
  const lines = answer.split('\n');
  if (lines.length !== expected.split('\n').length) return rejected('another number of rows');
  const rows = lines.map((line) => trimBlanks(line).replace(/[ \t\r]+/g, ' '));
  return compareText(expected, rows.join('\n'));
};

export const ab = exactTask('ab', 'rewrite a program of A# #A B# #B tokens to its final state', compareText);

export const baseConversion = exactTask(
  'base_conversion',
  'write a number in another base (2 to 16)',
  compareText,
);

export const binaryAlternation = exactTask(
  'binary_alternation',
  'fewest swaps that make a binary string alternate, or -1',
  compareInteger,
);

export const binaryMatrix = exactTask(
  'binary_matrix',
  'taxicab distance to the nearest 0 for every cell of a matrix',
  compareText,
);

export const caesarCipher = exactTask('caesar_cipher', 'decrypt a Caesar cipher', compareText);

export const countPrimes = exactTask('count_primes', 'count the primes in an interval', compareInteger);

/** The package takes any text for an answer (bool("False") is true in Python); here it must be the right word. */
export const gameOfLifeHalting = exactTask(
  'game_of_life_halting',
  'whether a Game of Life board dies out within some steps',
  compareTextIgnoringCase,
);

export const isomorphicStrings = exactTask(
  'isomorphic_strings',
  'whether two strings are isomorphic',
  compareText,
);

export const letterJumble = exactTask('letter_jumble', 'unscramble the letters of every word', compareWords);

export const manipulateMatrix = exactTask(
  'manipulate_matrix',
  'apply rotations, mirrors, crops and maps to a matrix',
  compareRows,
);

export const numberFiltering = exactTask(
  'number_filtering',
  'keep or remove the numbers above or below a bound',
  compareText,
);

export const ransomNote = exactTask(
  'ransom_note',
  'whether a note can be cut from a magazine letter by letter',
  compareText,
);

export const rottenOranges = exactTask(
  'rotten_oranges',
  'minutes until all oranges of a grid are rotten, or -1',
  compareInteger,
);

export const sentenceReordering = exactTask(
  'sentence_reordering',
  'restore the order of the words of a sentence',
  compareWords,
);

export const spellBackward = exactTask('spell_backward', 'spell a word backward', compareTextIgnoringCase);

export const spiralMatrix = exactTask(
  'spiral_matrix',
  'list the elements of a matrix in spiral order',
  compareText,
);

export const wordSequenceReversal = exactTask(
  'word_sequence_reversal',
  'reverse a list of words',
  compareText,
);
