/**
 * Compares two parsed answers by meaning: lists, sets, intervals, equations, texts; single values go to quantity.ts.
 *
 * The expected side decides how the answer is read. Every rule is symmetric in nothing: what may be left out of an answer (a
 * name, a unit, braces) may not be added with another content.
 */
import { accepted, rejected, type Verdict } from '../answer.ts';
import type { Parsed } from './parser.ts';
import { createAlgebra, type Polynomial } from './polynomial.ts';
import { type Comparer, containsPlusMinus, createComparer, hasVariable } from './quantity.ts';
import * as q from './rational.ts';
import { type Node, Refusal } from './syntax.ts';

type Relation = Node & { kind: 'relation' };
type Group = Node & { kind: 'group' };

/** The most items that are paired with each other. */
const kMostItems = 64;

/** Whether the answer means what is expected. Throws Refusal for what is no value or too large. */
export function compareAnswers(expected: Parsed, answer: Parsed): Verdict {
  const wanted = asUnion(expected) ?? expected.node;
  const union = asUnion(answer);
  if (answer.alternatives && !expected.alternatives && union === undefined) {
    return rejected('a choice of answers');
  }
  const found = union ?? answer.node;
  return alike(createComparer(createAlgebra()), wanted, found) ? accepted : rejected('a different answer');
}

/** `x < 1 or x > 2`: the union of its intervals. */
function asUnion({ node, alternatives }: Parsed): Node | undefined {
  if (!alternatives || node.kind !== 'list') return undefined;
  const parts = node.items.map((item) => (item.kind === 'relation' ? intervalOf(item) : undefined));
  return parts.every((part) => part !== undefined) ? { kind: 'union', parts } : undefined;
}

function alike(comparer: Comparer, expected: Node, answer: Node): boolean {
  return comparer.deeper(() => {
    const [e, a] = [simplified(expected), simplified(answer)];
    if (e.kind === 'relation' || a.kind === 'relation') return relationsAlike(comparer, e, a);
    if (e.kind === 'union' || a.kind === 'union') {
      const parts = (node: Node) => (node.kind === 'union' ? node.parts : [node]);
      return sameItems(comparer, parts(e), parts(a));
    }
    if (isSet(e) || isSet(a)) return setsAlike(comparer, e, a);
    if (e.kind === 'group' || a.kind === 'group') return groupsAlike(comparer, e, a);
    if (e.kind === 'matrix' || a.kind === 'matrix') {
      return e.kind === 'matrix' && a.kind === 'matrix' && matricesAlike(comparer, e, a);
    }
    const words = wordsOf(e);
    if (words !== undefined && words === wordsOf(a)) return true;
    if (e.kind === 'text' || a.kind === 'text') return false;
    return comparer.quantities(e, a);
  });
}

/** `\pm` becomes the list of both values, a set of one its element, nested brackets a matrix, x in S becomes S. */
function simplified(node: Node): Node {
  if (
    node.kind === 'relation' &&
    node.signs.length === 1 &&
    node.signs[0] === 'in' &&
    isName(node.parts[0]!)
  ) {
    return simplified(node.parts[1]!);
  }
  if (node.kind === 'relation' && node.signs.every((sign) => sign === '<' || sign === '<=')) {
    return intervalOf(node) ?? node;
  }
  if (node.kind === 'group' && node.items.length === 1 && (node.open === '\\{' || node.open === '[')) {
    return node.open === '\\{' || node.items[0]!.kind !== 'group' ? simplified(node.items[0]!) : nested(node);
  }
  if (node.kind === 'group') return node.open === '[' ? nested(node) : node;
  if (containsPlusMinus(node)) return { kind: 'list', items: [node] };
  return node;
}

/** `[[1, 2], [3, 4]]` as a matrix. */
function nested(node: Group): Node {
  const rows = node.items.map((row) =>
    row.kind === 'group' && row.open === '[' && row.close === ']' ? row.items : undefined,
  );
  const width = rows[0]?.length;
  if (rows.length === 0 || rows.some((row) => row === undefined || row.length !== width)) return node;
  return { kind: 'matrix', rows: rows.map((row) => row ?? []), determinant: false };
}

/** Whether a node is read as a set: braces, or items beside each other. */
function isSet(node: Node): boolean {
  return (
    node.kind === 'list' ||
    (node.kind === 'group' && node.open === '\\{') ||
    (node.kind === 'symbol' && node.name === 'emptyset')
  );
}

function setsAlike(comparer: Comparer, e: Node, a: Node): boolean {
  const wanted = setItems(e);
  let found = setItems(a);
  if (wanted === undefined) {
    // `[1, 2, 3]` is ordered; `1, 2, 3` may stand for it, in this order. Two ends may be an interval.
    if (e.kind !== 'group' || e.open !== '[' || e.items.length < 3 || a.kind !== 'list') return false;
    return pairwise(comparer, e.items, a.items);
  }
  if (found === undefined && a.kind === 'group' && a.open === '[' && a.close === ']') found = a.items;
  if (found === undefined) return false;
  const names = new Set(wanted.map(nameText).filter((name) => name !== undefined));
  if (names.size > 1 && found.some((item) => nameText(item) === undefined)) return false;
  return sameItems(comparer, wanted, found);
}

function setItems(node: Node): readonly Node[] | undefined {
  if (node.kind === 'list') return node.items;
  if (node.kind === 'group' && node.open === '\\{') return node.items;
  if (node.kind === 'symbol' && node.name === 'emptyset') return [];
  return undefined;
}

function nameText(item: Node): string | undefined {
  return item.kind === 'relation' && isName(item.parts[0]!) ? wordsOf(item.parts[0]!) : undefined;
}

/** Whether the items can be paired off, in any order. */
function sameItems(comparer: Comparer, expected: readonly Node[], answer: readonly Node[]): boolean {
  const expand = (items: readonly Node[]): readonly Node[] =>
    items.flatMap((item) => (containsPlusMinus(item) ? comparer.bothSigns(item) : [item]));
  const wanted = expand(expected);
  const rest = [...expand(answer)];
  if (wanted.length > kMostItems) throw new Refusal('a list too long to compare');
  if (wanted.length !== rest.length) return false;
  return wanted.every((item) => {
    const at = rest.findIndex((candidate) => alike(comparer, item, candidate));
    if (at >= 0) rest.splice(at, 1);
    return at >= 0;
  });
}

function pairwise(comparer: Comparer, expected: readonly Node[], answer: readonly Node[]): boolean {
  return expected.length === answer.length && expected.every((item, i) => alike(comparer, item, answer[i]!));
}

function groupsAlike(comparer: Comparer, e: Node, a: Node): boolean {
  if (e.kind !== 'group' || a.kind !== 'group') return false;
  const round = (bracket: string) => (bracket === '\\langle' ? '(' : bracket === '\\rangle' ? ')' : bracket);
  if (round(e.open) !== round(a.open) || round(e.close) !== round(a.close)) return false;
  return pairwise(comparer, e.items, a.items);
}

function matricesAlike(
  comparer: Comparer,
  e: Node & { kind: 'matrix' },
  a: Node & { kind: 'matrix' },
): boolean {
  return (
    e.determinant === a.determinant &&
    e.rows.length === a.rows.length &&
    e.rows.every((row, i) => pairwise(comparer, row, a.rows[i]!))
  );
}

/** A name that an answer is given under: `x`, `AB`, `f(x)`, `\angle ABC`, `(x, y)`, words. */
export function isName(node: Node): boolean {
  if (node.kind === 'text') return true;
  if (node.kind === 'symbol') return !['pi', 'e', 'i', 'infinity', 'emptyset'].includes(node.name);
  if (node.kind === 'product') return node.factors.every(isName);
  return node.kind === 'group' && node.open === '(' && node.items.every(isName);
}

/** A text, or symbols beside each other as one word, in comparable form. */
function wordsOf(node: Node): string | undefined {
  if (node.kind === 'text') {
    const words = node.text
      .replace(/[ \t]+/g, ' ')
      .replace(/^\((.*)\)$/, '$1')
      .replace(/\.$/, '');
    return words.length > 1 ? words.toLowerCase() : words;
  }
  if (node.kind === 'symbol') return node.name;
  if (node.kind !== 'product' || !node.factors.every((factor) => factor.kind === 'symbol')) return undefined;
  return node.factors
    .map((factor) => (factor.kind === 'symbol' ? factor.name : ''))
    .join('')
    .toLowerCase();
}

/** Inequalities around one name as an interval: `1 < x <= 2`, `x > 3`. */
function intervalOf({ parts, signs }: Relation): Group | undefined {
  const infinity: Node = { kind: 'symbol', name: 'infinity' };
  const [first, second, third] = parts;
  if (signs.some((sign) => sign !== '<' && sign !== '<=')) return undefined;
  const [open, close] = [signs[0] === '<=' ? '[' : '(', signs.at(-1) === '<=' ? ']' : ')'];
  if (parts.length === 3 && isName(second!)) {
    return { kind: 'group', open, close, items: [first!, third!] };
  }
  if (parts.length !== 2) return undefined;
  if (isName(first!)) {
    const lowest: Node = { kind: 'negative', of: infinity };
    return { kind: 'group', open: '(', close, items: [lowest, second!] };
  }
  return isName(second!) ? { kind: 'group', open, close: ')', items: [first!, infinity] } : undefined;
}

/** An equation's name, if it has one, and its values; undefined where it is an equation between expressions. */
function readEquation(node: Node): { name: Node | undefined; values: readonly Node[] } | undefined {
  if (node.kind !== 'relation') return { name: undefined, values: [node] };
  if (node.signs.some((sign) => sign !== '=')) return undefined;
  const [first, ...rest] = node.parts;
  if (isName(first!)) return { name: first!, values: rest };
  return node.parts.some(hasVariable) ? undefined : { name: undefined, values: node.parts };
}

function relationsAlike(comparer: Comparer, e: Node, a: Node): boolean {
  const [wanted, found] = [readEquation(e), readEquation(a)];
  if (wanted !== undefined && found !== undefined) {
    const named = [wanted.name, found.name].map((name) =>
      name === undefined || name.kind === 'text' ? undefined : (wordsOf(name) ?? '(names)'),
    );
    const sameName = named[0] === undefined || named[1] === undefined || named[0] === named[1];
    if (
      sameName &&
      found.values.every((value) => wanted.values.some((right) => alike(comparer, right, value)))
    ) {
      return true;
    }
  }
  return isEquation(e) && isEquation(a) && proportional(comparer.sides(e), comparer.sides(a));
}

function isEquation(node: Node): node is Relation {
  return (
    node.kind === 'relation' &&
    node.signs.length === 1 &&
    node.signs[0] === '=' &&
    node.parts.some(hasVariable)
  );
}

/** Whether two polynomials, neither 0, are the same up to a rational factor: then they have the same zeros. */
function proportional(a: Polynomial, b: Polynomial): boolean {
  if (a.size !== b.size || a.size === 0) return false;
  let factor: q.Rational | undefined;
  for (const [key, { coefficient }] of a) {
    const other = b.get(key)?.coefficient;
    if (other === undefined) return false;
    const ratio = q.divide(coefficient, other);
    if (factor !== undefined && !q.equal(ratio, factor)) return false;
    factor = ratio;
  }
  return true;
}
