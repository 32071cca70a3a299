/**
 * Exact comparison of mathematical answers: `mathEqual(expected, answer)`.
 *
 * Both texts are parsed (never evaluated as code) and compared by what they mean, value by value with exact arithmetic; what
 * counts as the same answer is written at `mathEqual`. A total function: any two strings give a verdict, without an exception,
 * in bounded time. What cannot be read, offers a choice, or is too large to compare is rejected, never guessed.
 */
import { accepted, rejected, trimBlanks, type Verdict } from '../answer.ts';
import { compareAnswers } from './meaning.ts';
import { isWorkedOut } from './operations.ts';
import { type Parsed, parseAnswer } from './parser.ts';
import { equalsVerlBox, lastBox } from './strict-box.ts';
import { kLongestMath, Refusal } from './syntax.ts';

/** The longest text that is looked at, in UTF-16 units. */
const kLongestText = 65_536;

/** Options of `mathEqual`. */
export interface MathOptions {
  /**
   * Where the answer must stand. `false` (default): the text is the answer, a \boxed{...} around all of it does not count.
   * `true`: the text is a response, the answer the content of its last \boxed{...}, compared by the same rules.
   * `'verl'`: as verl's strict box mode: the box within the last 100 characters, its content character for character.
   * `'verl-content'`: the same comparison where an answer format has already taken the content out of the box.
   */
  readonly strictBox?: boolean | 'verl' | 'verl-content';
  /**
   * Whether the answer must be worked out (default false): a number must be written as one number, `1000` and not `10^3` or the
   * sum that the question asks for; other values may have two operations more than the expected one.
   */
  readonly workedOut?: boolean;
}

const kWrappers = [
  ['$$', '$$'],
  ['$', '$'],
  ['\\(', '\\)'],
  ['\\[', '\\]'],
] as const;

/** Takes off blanks, one full stop, math mode around the whole text and a box around the whole text. */
export function unwrapAnswer(text: string): string {
  let result = trimBlanks(text);
  for (let round = 0; round < 4; round++) {
    const before = result;
    if (result.endsWith('.') && !result.endsWith('..')) result = trimBlanks(result.slice(0, -1));
    for (const [open, close] of kWrappers) {
      if (result.length < open.length + close.length) continue;
      if (!result.startsWith(open) || !result.endsWith(close)) continue;
      const inside = result.slice(open.length, -close.length);
      if (inside.includes(close) || inside.endsWith('\\')) continue;
      result = trimBlanks(inside);
      break;
    }
    if (result.startsWith('\\boxed{') && result.endsWith('}')) {
      const inside = lastBox(result);
      if (inside !== undefined && inside.length === result.length - '\\boxed{}'.length)
        result = trimBlanks(inside);
    }
    if (result === before) break;
  }
  return result;
}

/** A text without blanks, sizes and variants of the same command: what cannot be parsed is compared by this. */
function plainText(text: string): string {
  return text
    .replace(/\\(?:left|right|displaystyle|,|;|:|!| )/g, '')
    .replace(/\\[dt]frac/g, '\\frac')
    .replace(/\\(?:text|mbox|textbf|mathrm)\{([^{}]*)\}/g, '$1')
    .replace(/[ \t\r\n$]+/g, ' ')
    .replace(/ ?([^A-Za-z0-9 ]) ?/g, '$1')
    .replace(/\.$/, '')
    .trim();
}

function tryParse(text: string): Parsed | Refusal {
  try {
    return parseAnswer(text);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/**
 * Whether `answer` is the same mathematical answer as `expected`.
 *
 * - **Numbers** are exact: `1/2`, `\frac12`, `0.5`, `.50`, `2^{-1}`, `\sqrt{1/4}` are one number, `0.333` is not `1/3`. Thousands
 *   may be grouped (`1,234`, `1{,}234`, `1,\!234`), an integer before a proper fraction is a mixed number (`1 1/2`).
 * - **Constants and expressions**: roots, powers, pi, e, i, functions; polynomials and rational functions in variables are
 *   compared as identities. decide.ts says what is exact and where a bound of 150 decimal places takes its place.
 * - **Units** (`\text{ cm}`, `inches`, `^\circ`, `\$`) do not count, unless both have one and they differ. Words that are no
 *   units reject the answer, unless the expected one has the same.
 * - **Percentages**: `50%` is 50 with a unit, and it is 0.5. Two percentages are compared as they stand. Where only the
 *   expected answer has the sign, `50` and `0.5` both equal `50%`. Where only the answer has it, `50%` equals 0.5, and it
 *   equals 50; but no share below 1: `0.5%` is not 0.5.
 * - **Equations**: `x = 3` is 3, `y = 2x + 1` is `2x + 1` and `2x - y + 1 = 0`; of two names both must agree. In a chain
 *   `10/2 = 5` every value must be right.
 * - **Lists**: `1, 2` and `{2, 1}` are the same in any order; repetitions count. `[1, 2, 3]` and points `(1, 2)` are ordered,
 *   intervals have their brackets. `\pm 2` is the list of both. Inequalities are intervals, `x<1 or x>2` is a union.
 * - **Matrices** entry by entry, whatever their brackets; `[[1, 2], [3, 4]]` is one too.
 * - **Texts** (`\text{even}`) letter by letter, upper and lower case alike from two letters on.
 * - A **choice** (`1 or 2`) is rejected unless the expected answer has one, so is an answer said twice.
 */
export function mathEqual(expected: string, answer: string | null, options: MathOptions = {}): Verdict {
  if (typeof answer !== 'string') return rejected('no answer');
  if (answer.length > kLongestText)
    return rejected(`${answer.length} characters, at most ${kLongestText} are read`);
  const { strictBox = false, workedOut = false } = options;
  if (strictBox === 'verl' || strictBox === 'verl-content') {
    const right = strictBox === 'verl' ? equalsVerlBox(expected, answer) : answer === expected;
    return right
      ? accepted
      : rejected(strictBox === 'verl' ? 'not the text of the last box' : 'a different text');
  }
  let given = answer;
  if (strictBox) {
    const inside = lastBox(answer);
    if (inside === undefined) return rejected('no \\boxed{...} that is closed');
    given = inside;
  }
  const found = unwrapAnswer(given);
  if (found === '') return rejected('the answer is empty');
  if (found.length > kLongestMath && found.length > 2 * expected.length) {
    return rejected(`the answer has ${found.length} characters, at most ${kLongestMath} are read`);
  }
  const wanted = unwrapAnswer(expected);
  if (found === wanted) return accepted;
  const [left, right] = [tryParse(wanted), tryParse(found)];
  try {
    if (left instanceof Refusal || right instanceof Refusal) return compareTexts(wanted, found, left, right);
    if (workedOut && !isWorkedOut(left.node, right.node)) return rejected('not worked out');
    return compareAnswers(left, right);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (plainText(found) === plainText(wanted)) return accepted;
    return rejected(`cannot be compared: ${error.message}`);
  }
}

/** One of the two cannot be parsed: they are equal as texts or not at all. */
function compareTexts(
  wanted: string,
  found: string,
  left: Parsed | Refusal,
  right: Parsed | Refusal,
): Verdict {
  if (plainText(found) === plainText(wanted)) return accepted;
  const isText = left instanceof Refusal || left.node.kind === 'text';
  if (isText && wordsAlike(wanted, found)) return accepted;
  return rejected(right instanceof Refusal ? `cannot be read: ${right.message}` : 'a different text');
}

function wordsAlike(wanted: string, found: string): boolean {
  const [a, b] = [wanted, found].map((text) =>
    plainText(text)
      .replace(/^\((.*)\)$/, '$1')
      .toLowerCase(),
  );
  return a === b && a !== undefined && /^[a-z][a-z '-]+$/.test(a);
}

/**
 * The answer of a worked solution in the manner of MATH: the content of its last \boxed{...} (or `\boxed 5`, `\fbox{5}`);
 * undefined where there is none.
 */
export function boxedAnswer(solution: string): string | undefined {
  const text = solution.replaceAll('\\fbox{', '\\boxed{');
  const start = text.lastIndexOf('\\boxed');
  if (start < 0) return undefined;
  if (!text.startsWith('\\boxed{', start)) return /^\\boxed ([^$ ]+)/.exec(text.slice(start))?.[1];
  return lastBox(text.slice(start))?.trim();
}

/** Whether a text can be parsed as a mathematical answer: what cannot is compared as a text. */
export function isMathAnswer(text: string): boolean {
  return !(tryParse(unwrapAnswer(text)) instanceof Refusal);
}

/** What `verifyMath` looks at of a question. */
export interface MathQuestion {
  readonly prompt: string;
  readonly answer: string;
}

const squeeze = (text: string): string => text.replace(/[ \t\r\n$]+/g, '');

/**
 * Whether `answer` answers the question: it equals the expected answer, is worked out, and is no expression copied from the
 * prompt (`Simplify \sqrt{50}`), unless the expected answer is that very text.
 */
export function verifyMath(
  question: MathQuestion,
  answer: string | null,
  options: MathOptions = {},
): Verdict {
  const verdict = mathEqual(question.answer, answer, { workedOut: true, ...options });
  if (!verdict.correct || answer === null) return verdict;
  const copied = squeeze(unwrapAnswer(options.strictBox === true ? (lastBox(answer) ?? '') : answer));
  const isExpression = /[-+*/^\\]/.test(copied) && !/^-?\\?[dt]?(?:frac)?[-0-9{}/.]+$/.test(copied);
  if (
    isExpression &&
    copied !== squeeze(unwrapAnswer(question.answer)) &&
    squeeze(question.prompt).includes(copied)
  ) {
    return rejected('an expression of the question');
  }
  return verdict;
}
