/**
 * SymBench `cryptanalysis`: a lock with two different digits and two different letters, deduced from guesses and what was said
 * about each. A question has one answer, so an answer is right when its four characters are those of the canonical one.
 *
 * Digits and letters are judged apart: how many stand in the right place, how many in the wrong one, and of the others whether
 * they lie below or above both of the lock's (`within` otherwise).
 */
import { accepted, rejected, type Verdict } from '../../answer.ts';
import type { Random } from '../../random.ts';
import type { Draw } from '../../task.ts';
import type { SuiteTask } from '../suite.ts';
import { readSymbols } from './answer-items.ts';

/** The guesses, each `38TA`, and what was said about them. */
export type CryptanalysisMeta = { readonly guesses: readonly (readonly [guess: string, feedback: string])[] };

type Side = 'below' | 'above' | 'within';

interface Judgement {
  inPlace: number;
  misplaced: number;
  absent: Side[];
}

const kDigits = '0123456789';
const kLetters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** What is true of two guessed symbols, given the two of the lock (compared by code, as digits and letters are). */
export function judge(lock: string, guess: string): Judgement {
  const [low, high] = [...lock].sort();
  const judgement: Judgement = { inPlace: 0, misplaced: 0, absent: [] };
  for (let i = 0; i < 2; i++) {
    const symbol = guess[i]!;
    if (symbol === lock[i]) judgement.inPlace += 1;
    else if (lock.includes(symbol)) judgement.misplaced += 1;
    else judgement.absent.push(symbol < low! ? 'below' : symbol > high! ? 'above' : 'within');
  }
  return judgement;
}

/** How digits and letters are spoken of. */
export interface Wording {
  readonly one: string;
  readonly both: string;
  readonly below: string;
  readonly above: string;
}

export const digitWording: Wording = {
  one: 'one number is',
  both: 'both numbers are',
  below: 'too small',
  above: 'too large',
};
export const letterWording: Wording = {
  one: 'one letter is',
  both: 'both letters are',
  below: 'too early in the alphabet',
  above: 'too late in the alphabet',
};

/** A judgement in words. Of two absent symbols a direction is given only when it is the same. */
export function judgementText({ inPlace, misplaced, absent }: Judgement, words: Wording): string {
  const parts: string[] = [];
  const say = (count: number, one: string, both: string) => {
    if (count > 0) parts.push(count === 1 ? `${words.one} ${one}` : `${words.both} ${both}`);
  };
  say(inPlace, 'correct and in the correct position', 'correct and in the correct positions');
  say(misplaced, 'correct but in the wrong position', 'correct but in the wrong positions');
  const [side] = absent;
  const told = side !== undefined && side !== 'within' && absent.every((other) => other === side);
  const wrong = told ? `incorrect and ${words[side]}` : 'incorrect';
  say(absent.length, wrong, wrong);
  return parts.join('; ');
}

/** Whether what was said of the lock is true of another two symbols: where no direction was given, any is possible. */
function agrees(candidate: string, guess: string, said: Judgement): boolean {
  const { inPlace, misplaced, absent } = judge(candidate, guess);
  if (inPlace !== said.inPlace || misplaced !== said.misplaced) return false;
  const [side] = said.absent;
  const told = side !== 'within' && said.absent.every((other) => other === side);
  return !told || absent.every((other) => other === side);
}

/** All ordered pairs of different symbols. */
function pairsOf(alphabet: string): string[] {
  return [...alphabet].flatMap((a) => [...alphabet].filter((b) => b !== a).map((b) => a + b));
}

function cryptanalysisPrompt(guesses: CryptanalysisMeta['guesses']): string {
  return [
    'A combination lock opens with a password of two numbers followed by two letters. The numbers are two different digits from 0',
    'to 9, the letters two different capital letters from A to Z. These guesses were made, and this was said about each:',
    ...guesses.map(([guess, feedback], i) => `${i + 1}. Guess: ${guess}, Feedback: ${feedback}.`),
    '',
    '"Too small" and "too early in the alphabet" mean: before both numbers (letters) of the password; "too large" and "too late in',
    'the alphabet": after both. Where an incorrect number or letter has no such remark, nothing is said about its side.',
    '',
    'Which password is it? Give it as your final answer between <<< and >>>: the numbers, then the letters, for example',
    '<<<["4", "7", "K", "B"]>>>',
  ].join('\n');
}

const kGuesses = { least: 3, most: 16 };

function twoOf(random: Random, alphabet: string): string {
  return random.sample([...alphabet], 2).join('');
}

/** A lock; three to sixteen random guesses, as many as it takes until one password is left. */
export const cryptanalysis: SuiteTask = {
  name: 'cryptanalysis',
  description: 'a password of two digits and two letters, from guesses and what was said about them',
  metaKeys: [],
  verify(question, answer): Verdict {
    const characters = readSymbols(answer, kDigits + kLetters, 4);
    if (typeof characters !== 'string') return characters;
    return characters === question.answer.replace(/[^0-9A-Z]/g, '') ? accepted : rejected('another password');
  },
  generate(random): Draw<CryptanalysisMeta> | undefined {
    const digits = twoOf(random, kDigits);
    const letters = twoOf(random, kLetters);
    const guesses: [guess: string, feedback: string][] = [];
    let digitPairs = pairsOf(kDigits);
    let letterPairs = pairsOf(kLetters);
    while (digitPairs.length * letterPairs.length > 1) {
      const digitGuess = twoOf(random, kDigits);
      const letterGuess = twoOf(random, kLetters);
      const guess = digitGuess + letterGuess;
      if (guess === digits + letters || guesses.some(([earlier]) => earlier === guess)) continue;
      if (guesses.length === kGuesses.most) return undefined;
      const ofDigits = judge(digits, digitGuess);
      const ofLetters = judge(letters, letterGuess);
      guesses.push([
        guess,
        `${judgementText(ofDigits, digitWording)}; ${judgementText(ofLetters, letterWording)}`,
      ]);
      digitPairs = digitPairs.filter((pair) => agrees(pair, digitGuess, ofDigits));
      letterPairs = letterPairs.filter((pair) => agrees(pair, letterGuess, ofLetters));
    }
    if (guesses.length < kGuesses.least) return undefined;
    return {
      content: guesses.map(([guess, feedback]) => `${guess}: ${feedback}`).join('\n'),
      instance: { guesses },
      prompts: [cryptanalysisPrompt(guesses)],
      answer: `["${digits[0]}", "${digits[1]}", "${letters[0]}", "${letters[1]}"]`,
    };
  },
};
