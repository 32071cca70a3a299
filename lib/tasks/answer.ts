/**
 * Strict comparison of a model's answer with the known one. Nothing here searches inside the answer, rounds,
 * or evaluates it: the whole answer must be the one expected text, in one canonical form per kind.
 *
 * Rules for every procedural task, applied first: no answer is wrong; longer than the stated limit is wrong
 * (checked before anything else looks at the text); any character outside printable ASCII and blanks is wrong (so no
 * Unicode digits, no zero-width characters); ASCII blanks at both ends are dropped; an empty rest is wrong.
 */

/** Whether an answer is accepted, and why (a short sentence for logs). */
export interface Verdict {
  correct: boolean;
  reason: string;
}

/** The verdict for an accepted answer. */
export const accepted: Verdict = Object.freeze({ correct: true, reason: 'equal to the expected answer' });

/** A verdict for a rejected answer. */
export function rejected(reason: string): Verdict {
  return { correct: false, reason };
}

const kPrintable = /^[\x20-\x7e\t\r\n]*$/;
const kPlainInteger = /^(?:0|-?[1-9][0-9]*)$/;
const kGroupedInteger = /^-?[1-9][0-9]{0,2}(?:,[0-9]{3})+$/;

/** Drops spaces, tabs and line ends (ASCII only) at both ends; linear in the length, whatever the text. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && ' \t\r\n'.includes(text[start]!)) start += 1;
  while (end > start && ' \t\r\n'.includes(text[end - 1]!)) end -= 1;
  return text.slice(start, end);
}

/** The answer without surrounding blanks, or the verdict that rejects it (missing, too long, not ASCII, empty). */
export function screenAnswer(answer: string | null, maxLength: number): string | Verdict {
  if (typeof answer !== 'string') return rejected('no answer');
  if (answer.length > maxLength) {
    return rejected(`the answer has ${answer.length} characters, at most ${maxLength} are read`);
  }
  if (!kPrintable.test(answer)) return rejected('the answer has characters outside printable ASCII');
  const trimmed = trimBlanks(answer);
  return trimmed === '' ? rejected('the answer is empty') : trimmed;
}

/** How the answers of a task are compared: `expected` is canonical, `answer` has passed `screenAnswer`. */
export type Comparison = (expected: string, answer: string) => Verdict;

/**
 * Integers: decimal digits with an optional minus sign. `1,234,567` (groups of three from the right, all of them)
 * is the same as `1234567`. Rejected: leading zeros (`0042`), `-0`, a plus sign, a decimal point, an exponent,
 * underscores, any other text.
 */
export const compareInteger: Comparison = (expected, answer) => {
  if (!kPlainInteger.test(answer) && !kGroupedInteger.test(answer)) return rejected('not a plain integer');
  const digits = answer.replaceAll(',', '');
  return digits === expected ? accepted : rejected('a different integer');
};

/** Exact text: every character counts, upper and lower case differ. */
export const compareText: Comparison = (expected, answer) =>
  answer === expected ? accepted : rejected('a different text');

/** Exact text in which A to Z and a to z are the same letters. */
export const compareTextIgnoringCase: Comparison = (expected, answer) =>
  answer.toLowerCase() === expected.toLowerCase() ? accepted : rejected('a different text');

/**
 * Lists and nested lists of integers (`[[1, -2], [3, 4]]`, `3, 5, 8`): blanks beside brackets and commas do not count,
 * blanks between digits do (so `1 2` never becomes `12`). A flat list may stand in one pair of brackets or in none.
 * The numbers must be plain integers, without thousands separators.
 */
export const compareList: Comparison = (expected, answer) => {
  const squeeze = (text: string) => text.replace(/[ \t\r\n]*([[\],])[ \t\r\n]*/g, '$1');
  const wanted = squeeze(expected);
  let found = squeeze(answer);
  if (!wanted.startsWith('[') && found.startsWith('[') && found.endsWith(']')) found = found.slice(1, -1);
  return found === wanted ? accepted : rejected('a different list');
};

/** How answers of a file's questions are compared: `JsonlOptions.answers`. */
export const answerModes = ['auto', 'number', 'math', 'text', 'strict_box'] as const;
export type AnswerMode = (typeof answerModes)[number];
