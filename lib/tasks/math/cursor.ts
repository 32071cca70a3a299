/**
 * Where a parser stands in its tokens, and the counters that bound what it builds.
 *
 * Every node goes through `made`, every recursion through `deeper`: a text cannot make a tree larger or deeper than
 * syntax.ts allows.
 */
import type { Token } from './lexer.ts';
import { kDeepest, kMostNodes, type Node, Refusal } from './syntax.ts';

export interface Cursor {
  /** The token at hand, or the one `ahead` tokens later; `end` for ever at the end. */
  peek(ahead?: number): Token;
  next(): Token;
  /** Whether the token at hand is this sign. */
  at(sign: string): boolean;
  /** Takes the sign if it is at hand. */
  accept(sign: string): boolean;
  /** Takes the sign or refuses. */
  expect(sign: string): void;
  /** Takes one digit of the number at hand, as TeX does behind \frac, \sqrt and _. */
  digit(): string;
  /** Counts a node. */
  made<N extends Node>(node: N): N;
  /** Runs a part of the grammar one level deeper. */
  deeper<T>(parse: () => T): T;
  refuse(expected: string): never;
  /** Open bars of |x|: while it is not 0, a bar closes. */
  bars: number;
}

export function cursorOver(given: readonly Token[]): Cursor {
  const tokens = [...given];
  const last = tokens.at(-1)!;
  let position = 0;
  let nodes = 0;
  let depth = 0;
  const cursor: Cursor = {
    bars: 0,
    peek: (ahead = 0) => tokens[position + ahead] ?? last,
    next() {
      const token = tokens[position] ?? last;
      position += 1;
      return token;
    },
    at(sign) {
      const token = cursor.peek();
      return token.kind === 'sign' && token.text === sign;
    },
    accept(sign) {
      if (!cursor.at(sign)) return false;
      position += 1;
      return true;
    },
    expect(sign) {
      if (!cursor.accept(sign)) cursor.refuse(JSON.stringify(sign));
    },
    digit() {
      const token = cursor.peek();
      if (token.kind !== 'number' || token.value !== undefined || !/^[0-9]/.test(token.text)) {
        cursor.refuse('a digit');
      }
      const rest = token.text.slice(1);
      if (rest === '') position += 1;
      else if (rest.startsWith('.')) cursor.refuse('an integer');
      else tokens[position] = { kind: 'number', text: rest, spaced: false };
      return token.text[0]!;
    },
    made(node) {
      nodes += 1;
      if (nodes > kMostNodes) throw new Refusal('an answer of too many parts');
      return node;
    },
    deeper(parse) {
      depth += 1;
      if (depth > kDeepest) throw new Refusal('an answer nested too deeply');
      const result = parse();
      depth -= 1;
      return result;
    },
    refuse(expected) {
      const token = cursor.peek();
      const found = token.kind === 'end' ? 'the end' : JSON.stringify(token.text.slice(0, 20));
      throw new Refusal(`expected ${expected}, found ${found}`);
    },
  };
  return cursor;
}

/** The node of a number token. */
export function numberNode(token: Token): Node {
  if (token.value !== undefined) return { kind: 'number', ...token.value };
  const [whole = '', places = ''] = token.text.split('.');
  return {
    kind: 'number',
    numerator: BigInt(`0${whole}${places}`),
    denominator: 10n ** BigInt(places.length),
  };
}
