/**
 * The grammar of a whole answer: lists of relations of values with units, and what stands in brackets.
 *
 *     answer   = item { ("," | ";" | "and" | "or") item }
 *     item     = side { ("=" | "<" | "<=" | ">" | ">=" | "in") side }
 *     side     = value [unit] { "cup" value }                        a value is a sum, see terms.ts
 *     brackets = "(" | "[" | "\{" | "\langle"  items  ")" | "]" | ...; { } around one value only groups it
 *
 * `alternatives` says that the text offered a choice ("1 or 2"); whether that is an answer is for the comparison to say.
 */
import { type Cursor, cursorOver } from './cursor.ts';
import { tokenize } from './lexer.ts';
import { kLongestMath, type Node, Refusal, type Relation } from './syntax.ts';
import { readSum } from './terms.ts';
import { canonicalUnit } from './units.ts';

export interface Parsed {
  readonly node: Node;
  readonly alternatives: boolean;
}

const kClosing: Readonly<Record<string, readonly string[]>> = {
  '(': [')', ']'],
  '[': [']', ')'],
  '\\{': ['\\}'],
  '\\langle': ['\\rangle'],
  '{': ['}'],
};
const kMatrices = new Set(['pmatrix', 'bmatrix', 'matrix', 'array', 'vmatrix', 'smallmatrix']);

/** The syntax tree of an answer. Throws Refusal for what is not one. */
export function parseAnswer(text: string): Parsed {
  if (text.length > kLongestMath) {
    throw new Refusal(`${text.length} characters, at most ${kLongestMath} are read`);
  }
  const cursor = cursorOver(tokenize(text));
  let alternatives = false;
  const items = [readItem(cursor)];
  for (;;) {
    if (cursor.at('or')) alternatives = true;
    if (cursor.accept(',')) {
      // `1, 2, and 3`
      if (cursor.at('or')) alternatives = true;
      if (!cursor.accept('and')) cursor.accept('or');
    } else if (!cursor.accept(';') && !cursor.accept('and') && !cursor.accept('or')) {
      break;
    }
    items.push(readItem(cursor));
  }
  if (cursor.peek().kind !== 'end') cursor.refuse('the end');
  return { node: items.length === 1 ? items[0]! : cursor.made({ kind: 'list', items }), alternatives };
}

function readItem(cursor: Cursor): Node {
  return cursor.deeper(() => {
    const parts = [readSide(cursor)];
    const signs: Relation[] = [];
    let turned: boolean | undefined;
    for (;;) {
      const sign = ['=', '<=', '<', '>=', '>', 'in'].find((candidate) => cursor.accept(candidate));
      if (sign === undefined) break;
      const greater = sign.startsWith('>');
      if (sign !== '=' && sign !== 'in') {
        if (turned !== undefined && turned !== greater) cursor.refuse('inequalities of one direction');
        turned = greater;
      }
      signs.push((greater ? sign.replace('>', '<') : sign) as Relation);
      parts.push(readSide(cursor));
    }
    if (signs.length === 0) return parts[0]!;
    if (turned === true) {
      parts.reverse();
      signs.reverse();
    }
    return cursor.made({ kind: 'relation', parts, signs });
  });
}

function readSide(cursor: Cursor): Node {
  const { kind, text } = cursor.peek();
  if (kind === 'text' || kind === 'word') {
    const words = readWords(cursor);
    return cursor.made({ kind: 'text', text: kind === 'text' && words === '' ? text : words });
  }
  const first = withUnit(cursor, readSum(cursor, readBracketed));
  const parts = [first];
  while (cursor.accept('cup') || acceptUnion(cursor, parts.at(-1)!))
    parts.push(readSum(cursor, readBracketed));
  return parts.length === 1 ? first : cursor.made({ kind: 'union', parts });
}

/** A bare U between intervals. */
function acceptUnion(cursor: Cursor, before: Node): boolean {
  const [token, after] = [cursor.peek(), cursor.peek(1)];
  if (before.kind !== 'group' || token.kind !== 'name' || token.text !== 'U') return false;
  if (after.kind !== 'sign' || !['(', '[', '\\{'].includes(after.text)) return false;
  cursor.next();
  return true;
}

/** Words and texts at hand, joined by blanks, with powers written behind them: `square inches`, `cm^2`. */
function readWords(cursor: Cursor): string {
  const words: string[] = [];
  for (;;) {
    const { kind, text } = cursor.peek();
    if (kind === 'text' || kind === 'word') {
      words.push(text);
      cursor.next();
    } else if (words.length > 0 && cursor.at('^')) {
      cursor.next();
      const braced = cursor.accept('{');
      words.push(`${words.pop()}^${cursor.digit()}`);
      if (braced) cursor.expect('}');
    } else {
      return words.join(' ');
    }
  }
}

function withUnit(cursor: Cursor, value: Node): Node {
  const phrase = readWords(cursor);
  if (phrase === '') return value;
  const lower = phrase.toLowerCase();
  if (lower === 'percent') return cursor.made({ kind: 'percent', of: value });
  if (lower === 'degrees' || lower === 'degree') return cursor.made({ kind: 'degrees', of: value });
  return cursor.made({ kind: 'unit', of: value, ...canonicalUnit(phrase) });
}

/** Whatever starts with a bracket or an environment. */
function readBracketed(cursor: Cursor): Node {
  return cursor.deeper(() => {
    const open = cursor.next().text;
    if (open.startsWith('begin ')) return readMatrix(cursor, open.slice('begin '.length));
    if (open === 'boxed') {
      cursor.expect('{');
      const inside = readItem(cursor);
      cursor.expect('}');
      return inside;
    }
    const bars = cursor.bars;
    cursor.bars = 0;
    const items: Node[] = [];
    const ends = kClosing[open]!;
    if (!ends.some((close) => cursor.at(close))) {
      items.push(readItem(cursor));
      while (cursor.accept(',') || cursor.accept(';')) items.push(readItem(cursor));
    }
    const close = ends.find((candidate) => cursor.accept(candidate)) ?? cursor.refuse(`"${ends[0]}"`);
    cursor.bars = bars;
    const half = close !== ends[0];
    if (half && items.length !== 2) cursor.refuse('two ends of a half-open interval');
    if ((open === '(' || open === '{') && items.length === 1) return plainValue(cursor, items[0]!);
    if (open !== '\\{' && items.length === 0) cursor.refuse('something in the brackets');
    if (open === '{') return cursor.made({ kind: 'group', open: '\\{', close: '\\}', items });
    return cursor.made({ kind: 'group', open, close, items });
  });
}

/** What may stand alone in parentheses: a value, a text; not a relation. */
function plainValue(cursor: Cursor, item: Node): Node {
  if (item.kind === 'relation') return cursor.refuse('a value in the parentheses');
  return item;
}

function readMatrix(cursor: Cursor, environment: string): Node {
  if (!kMatrices.has(environment)) return cursor.refuse('a matrix');
  const rows: Node[][] = [];
  while (!cursor.at(`end ${environment}`)) {
    const row = [readItem(cursor)];
    while (cursor.accept('&')) row.push(readItem(cursor));
    rows.push(row);
    if (!cursor.accept('\\\\')) break;
  }
  cursor.expect(`end ${environment}`);
  const width = rows[0]?.length ?? 0;
  if (width === 0 || rows.some((row) => row.length !== width)) cursor.refuse('rows of one length');
  return cursor.made({ kind: 'matrix', rows, determinant: environment === 'vmatrix' });
}
