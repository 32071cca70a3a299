/**
 * Compares single values: what of a unit, a degree sign or a percent sign counts, and the values themselves.
 *
 * One comparer serves one pair of answers: its algebra's budget bounds the work of all comparisons together.
 */
import { equalValues } from './decide.ts';
import { evaluate } from './evaluate.ts';
import type { Algebra, Fraction, Polynomial } from './polynomial.ts';
import { rationalValue } from './polynomial.ts';
import * as q from './rational.ts';
import { kDeepest, type Node, Refusal } from './syntax.ts';

/** Comparisons with one budget. */
export interface Comparer {
  /** Whether two values without lists, relations and texts are the same quantity. */
  quantities(expected: Node, answer: Node): boolean;
  /** `a \pm b` as two nodes, with plus and with minus. */
  bothSigns(node: Node): readonly [Node, Node];
  /** The numerator of left side minus right side of an equation. */
  sides(relation: Node & { kind: 'relation' }): Polynomial;
  /** One level deeper; a Refusal beyond the depth of a syntax tree. */
  deeper<T>(compare: () => T): T;
}

/** A value with what may be left out of it. */
interface Quantity {
  readonly value: Node;
  readonly percent: boolean;
  readonly degrees: boolean;
  readonly unit: string | undefined;
  readonly known: boolean;
}

export function createComparer(algebra: Algebra): Comparer {
  let depth = 0;

  const normalForm = (node: Node): Fraction => evaluate(algebra, node);

  function valuesAlike(expected: Node, answer: Node): boolean {
    const [limit, other] = [infinityOf(expected), infinityOf(answer)];
    if (limit !== undefined || other !== undefined) return limit === other;
    if (expected.kind === 'numeral' || answer.kind === 'numeral') return numeralsAlike(expected, answer);
    return equalValues(algebra, normalForm(expected), normalForm(answer));
  }

  /** The rules of percent signs at `mathEqual`. */
  function percentagesAlike(expected: Quantity, answer: Quantity): boolean {
    const [wanted, found] = [normalForm(expected.value), normalForm(answer.value)];
    const hundred = algebra.constant(q.rational(100n));
    const alike = (a: Fraction, b: Fraction) => equalValues(algebra, a, b);
    if (expected.percent && answer.percent) return alike(wanted, found);
    if (expected.percent) return alike(wanted, found) || alike(wanted, algebra.multiply(found, hundred));
    if (alike(algebra.multiply(wanted, hundred), found)) return true;
    const share = rationalValue(wanted);
    const whole = share === undefined || q.compare(q.multiply(share, share), q.one) >= 0;
    return whole && alike(wanted, found);
  }

  return {
    quantities(expected, answer) {
      const [e, a] = [quantityOf(expected), quantityOf(answer)];
      if (!unitsAgree(e, a)) return false;
      if (e.percent || a.percent) return percentagesAlike(e, a);
      return valuesAlike(e.value, a.value);
    },
    bothSigns: (node) => [withSign(node, 1), withSign(node, -1)],
    sides({ parts }) {
      const [left, right] = parts;
      return algebra.difference(normalForm(left!), normalForm(right!));
    },
    deeper(compare) {
      depth += 1;
      if (depth > 2 * kDeepest) throw new Refusal('an answer nested too deeply');
      const result = compare();
      depth -= 1;
      return result;
    },
  };
}

/** Takes unit, percent and degree signs off the outside of a value; a minus before them stays with the value. */
function quantityOf(node: Node): Quantity {
  const plain = { percent: false, degrees: false, unit: undefined, known: true };
  switch (node.kind) {
    case 'percent':
      return { ...quantityOf(node.of), percent: true };
    case 'degrees':
      return { ...quantityOf(node.of), degrees: true };
    case 'unit':
      return { ...quantityOf(node.of), unit: node.unit, known: node.known };
    case 'negative': {
      const inside = quantityOf(node.of);
      return { ...inside, value: { kind: 'negative', of: inside.value } };
    }
    default:
      return { ...plain, value: node };
  }
}

/** An answer may leave a unit out; it may add one that is in the table; another one than expected is wrong. */
function unitsAgree(expected: Quantity, answer: Quantity): boolean {
  const of = ({ unit, degrees, percent }: Quantity) =>
    unit ?? (degrees ? 'degrees' : percent ? 'percent' : undefined);
  const [wanted, found] = [of(expected), of(answer)];
  if (found === undefined) return true;
  if (wanted === undefined) return answer.known;
  return wanted === found;
}

function infinityOf(node: Node): string | undefined {
  if (node.kind === 'symbol') return node.name === 'infinity' ? node.name : undefined;
  return node.kind === 'negative' && infinityOf(node.of) === 'infinity' ? '-infinity' : undefined;
}

/** Digits with a base; the base may be left out of an answer. */
function numeralsAlike(expected: Node, answer: Node): boolean {
  if (expected.kind !== 'numeral') return false;
  if (answer.kind === 'numeral') return expected.digits === answer.digits && expected.base === answer.base;
  return (
    answer.kind === 'number' && answer.denominator === 1n && String(answer.numerator) === expected.digits
  );
}

/** Whether a value holds a variable: any symbol that is no constant. */
export function hasVariable(node: Node): boolean {
  return some(node, (part) => part.kind === 'symbol' && !['pi', 'e', 'i', 'infinity'].includes(part.name));
}

/** Whether a value holds a \pm, so that it is two values. */
export function containsPlusMinus(node: Node): boolean {
  return some(node, (part) => part.kind === 'plus-minus');
}

function some(node: Node, holds: (part: Node) => boolean): boolean {
  return holds(node) || childrenOf(node).some((child) => some(child, holds));
}

function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'sum':
      return node.terms;
    case 'product':
      return node.factors;
    case 'quotient':
      return [node.over, node.under];
    case 'plus-minus':
      return node.from === undefined ? [node.by] : [node.from, node.by];
    case 'power':
      return [node.base, node.exponent];
    case 'root':
      return [node.index, node.of];
    case 'call':
      return [node.argument];
    case 'binomial':
      return [node.n, node.k];
    case 'negative':
    case 'factorial':
    case 'percent':
    case 'degrees':
    case 'unit':
      return [node.of];
    default:
      return []; // lists and relations are taken apart by meaning.ts
  }
}

/** The value with every \pm as the given sign. */
function withSign(node: Node, sign: 1 | -1): Node {
  const walk = (child: Node): Node => withSign(child, sign);
  switch (node.kind) {
    case 'plus-minus': {
      const by = walk(node.by);
      const signed: Node = sign === 1 ? by : { kind: 'negative', of: by };
      return node.from === undefined ? signed : { kind: 'sum', terms: [walk(node.from), signed] };
    }
    case 'sum':
      return { ...node, terms: node.terms.map(walk) };
    case 'product':
      return { ...node, factors: node.factors.map(walk) };
    case 'quotient':
      return { ...node, over: walk(node.over), under: walk(node.under) };
    case 'negative':
    case 'percent':
    case 'degrees':
    case 'unit':
    case 'factorial':
      return { ...node, of: walk(node.of) };
    case 'power':
      return { ...node, base: walk(node.base), exponent: walk(node.exponent) };
    case 'root':
      return { ...node, of: walk(node.of) };
    case 'call':
      return { ...node, argument: walk(node.argument) };
    default:
      return node;
  }
}
