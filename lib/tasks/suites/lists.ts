/**
 * Lists and tables as a model may write them in an answer: `3,1,2`, `3 1 2`, `[3, 1, 2]`, `["3", "1", "2"]`, one item a
 * line, and tables as rows in brackets of their own: `[[1, 2], [3, 4]]`, `(1 2), (3 4)`.
 *
 * Items are separated by blanks, one comma, or both; a comma is never part of an item, so `1,234` is two. Brackets are
 * `[]` or `()`, at most two deep, and every item stands equally deep. What is not such a list as a whole is no list: nothing
 * is searched for, left out or put right. One pass, linear in the length.
 */
import { screenAnswer, type Verdict } from '../answer.ts';
import { kLongestAnswer } from './suite.ts';

/** A list as it was written. */
export interface WrittenList {
  readonly items: readonly string[];
  /** The lengths of the rows in brackets of their own; undefined for a flat list. */
  readonly rows: readonly number[] | undefined;
}

const kClosing: Readonly<Record<string, string>> = { '[': ']', '(': ')' };
const kBareItem = /[^ \t\r\n,[\]()]+/y;

/** The text without one pair of equal quotes around all of it, where no such quote stands inside. */
export function withoutQuotes(text: string): string {
  const quote = text[0];
  if ((quote !== '"' && quote !== "'") || text.length < 2) return text;
  return text.indexOf(quote, 1) === text.length - 1 ? text.slice(1, -1) : text;
}

/** The list that a text is, with at most `most` items; undefined where the text is not one list. */
export function readList(text: string, most: number): WrittenList | undefined {
  const source = withoutQuotes(text);
  const items: string[] = [];
  /** Expected closing brackets, the innermost last. */
  const open: string[] = [];
  /** Lengths of the brackets that hold items themselves. */
  const rows: number[] = [];
  let depthOfItems = -1;
  let outerBrackets = 0;
  let inRow = 0;
  // What stands before the current place, within the innermost bracket.
  let before: 'nothing' | 'element' | 'comma' = 'nothing';
  let separated = true;

  for (let at = 0; at < source.length; ) {
    const c = source[at]!;
    if (c === ' ' || c === '\t' || c === '\r' || c === '\n') {
      separated = true;
      at += 1;
    } else if (c === ',') {
      if (before !== 'element') return undefined;
      before = 'comma';
      separated = true;
      at += 1;
    } else if (c === ']' || c === ')') {
      if (open.pop() !== c || before !== 'element') return undefined;
      if (open.length + 1 === depthOfItems) {
        rows.push(inRow);
        inRow = 0;
      }
      before = 'element';
      separated = false;
      at += 1;
    } else if (!separated) {
      return undefined;
    } else if (c === '[' || c === '(') {
      if (open.length === 2) return undefined;
      if (open.length === 0) outerBrackets += 1;
      open.push(kClosing[c]!);
      before = 'nothing';
      at += 1;
    } else {
      let item: string;
      if (c === '"' || c === "'") {
        const end = source.indexOf(c, at + 1);
        if (end < 0) return undefined;
        item = source.slice(at + 1, end);
        at = end + 1;
      } else {
        kBareItem.lastIndex = at;
        item = kBareItem.exec(source)![0];
        at = kBareItem.lastIndex;
      }
      if (item === '' || items.length === most) return undefined;
      if (depthOfItems < 0) depthOfItems = open.length;
      if (open.length !== depthOfItems) return undefined;
      items.push(item);
      inRow += 1;
      before = 'element';
      separated = false;
    }
  }

  if (open.length > 0 || before !== 'element' || items.length === 0) return undefined;
  if (depthOfItems === 2 && outerBrackets > 1) return undefined;
  const flat = depthOfItems === 0 || (depthOfItems === 1 && outerBrackets === 1);
  return { items, rows: flat ? undefined : rows };
}

/** The list that an answer is, after the general rules for answers; or the verdict that rejects it. */
export function listOf(answer: string, most: number): WrittenList | Verdict {
  const screened = screenAnswer(answer, kLongestAnswer);
  if (typeof screened !== 'string') return screened;
  return readList(screened, most) ?? { correct: false, reason: `not one list of at most ${most} items` };
}
