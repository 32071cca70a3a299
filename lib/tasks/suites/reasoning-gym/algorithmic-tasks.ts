/**
 * The 26 algorithmic tasks of Reasoning-Gym, in the order of their names. Their verifiers agree with the Python package's
 * scorers at "score = 1" on every scored example, but for what algorithmic-differences.ts lists.
 */
import type { SuiteTask } from '../suite.ts';
import {
  cryptarithm,
  graphColor,
  jugs,
  palindromeGeneration,
  wordLadder,
} from './algorithmic-constraints.ts';
import {
  ab,
  baseConversion,
  binaryAlternation,
  binaryMatrix,
  caesarCipher,
  countPrimes,
  gameOfLifeHalting,
  isomorphicStrings,
  letterJumble,
  manipulateMatrix,
  numberFiltering,
  ransomNote,
  rottenOranges,
  sentenceReordering,
  spellBackward,
  spiralMatrix,
  wordSequenceReversal,
} from './algorithmic-exact.ts';
import { gameOfLife, groupAnagrams, numberSorting, palindromePartitioning } from './algorithmic-json.ts';

export const algorithmicTasks: readonly SuiteTask[] = [
  ab,
  baseConversion,
  binaryAlternation,
  binaryMatrix,
  caesarCipher,
  countPrimes,
  cryptarithm,
  gameOfLife,
  gameOfLifeHalting,
  graphColor,
  groupAnagrams,
  isomorphicStrings,
  jugs,
  letterJumble,
  manipulateMatrix,
  numberFiltering,
  numberSorting,
  palindromeGeneration,
  palindromePartitioning,
  ransomNote,
  rottenOranges,
  sentenceReordering,
  spellBackward,
  spiralMatrix,
  wordLadder,
  wordSequenceReversal,
];
