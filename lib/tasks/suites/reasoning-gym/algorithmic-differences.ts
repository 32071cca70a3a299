/**
 * Where the algorithmic verifiers judge otherwise than the Python package's scorers, on purpose. `kinds` are the kinds of
 * the scored examples in question; a test fails for a difference that is not listed and for a listed one that does not
 * occur. And the published questions whose canonical answer is not the answer to the question.
 *
 * Beyond the scored examples the package also accepts, and these verifiers do not: a Game of Life board with rows or
 * columns too many or with `true` for 1; a colouring of vertices that the graph has not; a palindrome partition listed
 * twice; words after a jug's move; a letter given twice in a cryptarithm.
 */
import type { SuiteQuestion } from '../suite.ts';

const padded =
  'blanks at both ends do not count: the package drops them when it extracts an answer, before this comparison of every character';

/** Tasks that the package compares character by character. */
const exact = [
  'ab',
  'base_conversion',
  'binary_alternation',
  'binary_matrix',
  'caesar_cipher',
  'count_primes',
  'isomorphic_strings',
  'number_filtering',
  'ransom_note',
  'rotten_oranges',
  'spell_backward',
  'word_sequence_reversal',
];

export const algorithmicDifferences: readonly {
  readonly task: string;
  readonly kinds: readonly string[];
  readonly reason: string;
}[] = [
  ...exact.map((task) => ({ task, kinds: ['oracle_padded'], reason: padded })),
  {
    task: 'game_of_life_halting',
    kinds: ['perturbed', 'oracle_prefixed', 'oracle_twice', 'other', 'junk', 'zero', 'true', 'json'],
    reason:
      'the package accepts every text that is not empty; here the answer must be True or False, and right',
  },
  {
    task: 'letter_jumble',
    kinds: ['oracle_twice'],
    reason: 'the package does not look at words after the last expected one; here there must be none',
  },
  {
    task: 'number_sorting',
    kinds: ['perturbed'],
    reason: 'the package accepts numbers that are off by up to 1; here every number must have its value',
  },
];

/**
 * Published questions to leave out of training: what the package takes for the answer is not the answer, so a right
 * answer would be punished. Their verifiers still accept the canonical answer.
 */
export const algorithmicUnsound: readonly {
  readonly task: string;
  readonly reason: string;
  isUnsound(question: SuiteQuestion): boolean;
}[] = [
  {
    task: 'sentence_reordering',
    reason:
      'a word occurs twice: the package sorts words by their first place, so equal words stand side by side',
    isUnsound: ({ answer }) => {
      const words = answer.split(' ');
      return new Set(words).size < words.length;
    },
  },
  {
    task: 'caesar_cipher',
    reason: 'an accented letter was encrypted as if it were one of A to Z, so it cannot be decrypted',
    isUnsound: ({ answer }) => /[^A-Z ]/.test(answer),
  },
];
