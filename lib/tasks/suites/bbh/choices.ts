/**
 * Questions with lettered options, as BIG-Bench Hard writes them:
 *
 *     Options:
 *     (A) The raven is the leftmost
 *     (B) The owl is the leftmost
 *
 * The answer is a letter, in brackets or not, capital or small; the letter and its option's text, `(B) The owl is ...`; or
 * the text alone, where no other option has the same. A letter with another option's text is wrong, and so is any text besides.
 */
import { accepted, rejected, trimBlanks, type Verdict } from '../../answer.ts';
import { withoutQuotes } from '../lists.ts';
import { kLongestAnswer } from '../suite.ts';

const kHeading = '\nOptions:\n';
const kOption = /^\(([A-Z])\) (.*)$/;
/** `(B)`, `[B]`, `B`; with a mark after it also `B)`, `B.`, `B:`; the option's text may follow brackets or a mark. */
const kLetter = /^(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Za-z])(?=$|[).:]))[).:]?(?: (.*))?$/;

const kBlankRun = /[ \t\r\n\u00a0]+/g;

/** A text with its blanks made single ones, and none at its ends. */
function tidy(text: string): string {
  return trimBlanks(text.replace(kBlankRun, ' '));
}

/** The texts of a question's options by letter; empty where it has none. */
export function optionsOf(prompt: string): ReadonlyMap<string, string> {
  const start = prompt.lastIndexOf(kHeading);
  const options = new Map<string, string>();
  if (start < 0) return options;
  for (const line of prompt.slice(start + kHeading.length).split('\n')) {
    const found = kOption.exec(line);
    if (found === null) break;
    options.set(found[1]!, tidy(found[2]!));
  }
  return options;
}

/** Whether an answer names the option `expected`, `(B)`, of the question. */
export function verifyChoice(prompt: string, expected: string, answer: string): Verdict {
  if (answer.length > kLongestAnswer) return rejected('the answer is too long');
  const options = optionsOf(prompt);
  const right = expected.replace(/[()]/g, '');
  const text = tidy(withoutQuotes(tidy(answer)));
  const written = kLetter.exec(text);
  if (written !== null) {
    const letter = (written[1] ?? written[2] ?? written[3]!).toUpperCase();
    const said = written[4];
    if (options.has(letter) && (said === undefined || said === options.get(letter))) {
      return letter === right ? accepted : rejected('another option');
    }
  }
  const named = [...options].filter(([, option]) => option === text);
  if (named.length !== 1) return rejected('not one of the options');
  return named[0]![0] === right ? accepted : rejected('another option');
}
