/**
 * The syntax tree of a mathematical answer, and the bounds that keep every later step short.
 *
 * A tree has at most kMostNodes nodes and is at most kDeepest levels deep. Nothing in this folder evaluates text: a tree is
 * data, and whatever cannot be read, is ambiguous, or is too large ends in a Refusal, which `mathEqual` turns into a verdict.
 */

/** Why an answer cannot be read or compared; thrown and caught inside this folder only. */
export class Refusal extends Error {
  constructor(message: string) {
    // Most wrong answers end here, and nobody looks at the stack: collecting it would take longer than parsing.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The longest answer that is read, in UTF-16 units after trimming: MATH's longest has 159. */
export const kLongestMath = 2_000;
export const kMostNodes = 500;
export const kDeepest = 40;
/** Digits of the longest number. */
export const kMostDigits = 1_000;

/** Functions of one argument that are evaluated. */
export const functionNames = [
  'sin',
  'cos',
  'tan',
  'sec',
  'csc',
  'cot',
  'arcsin',
  'arccos',
  'arctan',
  'ln',
  'log',
  'exp',
  'abs',
] as const;
export type FunctionName = (typeof functionNames)[number];

export type Relation = '=' | '<' | '<=' | 'in';

/** What a text means. Numbers keep their digits: a decimal is an exact fraction. */
export type Node =
  | { readonly kind: 'number'; readonly numerator: bigint; readonly denominator: bigint }
  /** A variable or a named constant: `pi`, `e`, `i`, `infinity`, `x`, `x_1`, `\theta`. */
  | { readonly kind: 'symbol'; readonly name: string }
  /** `mixed` where it was written as a mixed number. */
  | { readonly kind: 'sum'; readonly terms: readonly Node[]; readonly mixed?: true }
  | { readonly kind: 'product'; readonly factors: readonly Node[] }
  | { readonly kind: 'quotient'; readonly over: Node; readonly under: Node }
  | { readonly kind: 'negative'; readonly of: Node }
  /** `a \pm b`; `from` is absent in `\pm b`. */
  | { readonly kind: 'plus-minus'; readonly from?: Node; readonly by: Node }
  | { readonly kind: 'power'; readonly base: Node; readonly exponent: Node }
  | { readonly kind: 'root'; readonly index: Node; readonly of: Node }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly argument: Node; readonly base?: Node }
  | { readonly kind: 'factorial'; readonly of: Node }
  | { readonly kind: 'binomial'; readonly n: Node; readonly k: Node }
  | { readonly kind: 'percent'; readonly of: Node }
  | { readonly kind: 'degrees'; readonly of: Node }
  /** Digits in a base, `1011_2`: equal to the same digits in the same base only. */
  | { readonly kind: 'numeral'; readonly digits: string; readonly base: string }
  /** A quantity with its unit in canonical words, `cm^2`; `known` where all of them are units. */
  | { readonly kind: 'unit'; readonly of: Node; readonly unit: string; readonly known: boolean }
  /** Brackets with their items: a point, an interval, a set, a list. One item in parentheses is no group but the item. */
  | { readonly kind: 'group'; readonly open: string; readonly close: string; readonly items: readonly Node[] }
  /** Items beside each other without brackets: `1, 2` or `1 and 2`. */
  | { readonly kind: 'list'; readonly items: readonly Node[] }
  | { readonly kind: 'union'; readonly parts: readonly Node[] }
  | { readonly kind: 'matrix'; readonly rows: readonly (readonly Node[])[]; readonly determinant: boolean }
  /** `a < x <= b`: `parts` has one more element than `signs`; `>` is turned round by the parser. */
  | { readonly kind: 'relation'; readonly parts: readonly Node[]; readonly signs: readonly Relation[] }
  | { readonly kind: 'text'; readonly text: string };

/** Whether a value occurs in a list of names. */
export function isFunctionName(name: string): name is FunctionName {
  return (functionNames as readonly string[]).includes(name);
}
