/**
 * Expressions as SymPy prints them: + - * / **, parentheses, unary signs, decimals, names, functions of one argument. The
 * precedence is Python's: `-x**2` is -(x**2), `2**3**2` is 2**(3**2). No implicit multiplication, no `^`.
 *
 * A text of at most 4096 characters becomes a tree of at most 600 nodes with parentheses, signs and exponents nested at most
 * 64 deep, or an explanation. Nothing is evaluated here.
 */
import type { Fraction } from '../../number.ts';

export type Expression =
  | { readonly kind: 'number'; readonly value: Fraction }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'negative'; readonly of: Expression }
  | {
      readonly kind: 'sum' | 'difference' | 'product' | 'quotient' | 'power';
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'call'; readonly name: string; readonly argument: Expression };

const kLongestText = 4096;
const kMostNodes = 600;
const kDeepest = 64;
/** Digits of a number before or after its point. */
const kMostDigits = 40;

const kTokens = /[ \t]+|[0-9]+(?:\.[0-9]+)?|\.[0-9]+|[A-Za-z_][A-Za-z_0-9]*|\*\*|[-+*/()]|./gs;

/** Why a text is no expression; thrown and caught inside this module only. */
class ExpressionError extends Error {}

function numberOf(token: string): Fraction {
  const [whole = '', fraction = ''] = token.split('.');
  if (/^0[0-9]/.test(token)) throw new ExpressionError('a number starts with a zero');
  if (whole.length > kMostDigits || fraction.length > kMostDigits) {
    throw new ExpressionError(`a number has more than ${kMostDigits} digits`);
  }
  return { numerator: BigInt(whole + fraction), denominator: 10n ** BigInt(fraction.length) };
}

/** The tree of a text, or what is wrong with the text. */
export function parseExpression(text: string): Expression | { readonly error: string } {
  if (text.length > kLongestText) return { error: `it is longer than ${kLongestText} characters` };
  const tokens = (text.match(kTokens) ?? []).filter((token) => !/^[ \t]/.test(token));
  let position = 0;
  let nodes = 0;
  let depth = 0;

  function made(node: Expression): Expression {
    nodes += 1;
    if (nodes > kMostNodes) throw new ExpressionError(`it has more than ${kMostNodes} parts`);
    return node;
  }

  function nested(next: () => Expression): Expression {
    depth += 1;
    if (depth > kDeepest) throw new ExpressionError(`it is nested more than ${kDeepest} deep`);
    const node = next();
    depth -= 1;
    return node;
  }

  function take(expected: string): string {
    const token = tokens[position];
    if (token === undefined) throw new ExpressionError(`expected ${expected}, found the end`);
    position += 1;
    return token;
  }

  function parenthesized(): Expression {
    const node = nested(sum);
    const closing = take('")"');
    if (closing !== ')') throw new ExpressionError(`expected ")", found ${JSON.stringify(closing)}`);
    return node;
  }

  function atom(): Expression {
    const token = take('a number, a name or "("');
    if (token === '(') return parenthesized();
    if (/^[0-9.]/.test(token) && token !== '.') return made({ kind: 'number', value: numberOf(token) });
    if (!/^[A-Za-z_]/.test(token)) {
      throw new ExpressionError(`expected a number, a name or "(", found ${JSON.stringify(token)}`);
    }
    if (tokens[position] !== '(') return made({ kind: 'name', name: token });
    position += 1;
    return made({ kind: 'call', name: token, argument: parenthesized() });
  }

  function power(): Expression {
    const base = atom();
    if (tokens[position] !== '**') return base;
    position += 1;
    return made({ kind: 'power', left: base, right: nested(signed) });
  }

  function signed(): Expression {
    const sign = tokens[position];
    if (sign !== '-' && sign !== '+') return power();
    position += 1;
    const of = nested(signed);
    return sign === '-' ? made({ kind: 'negative', of }) : of;
  }

  function product(): Expression {
    let left = signed();
    for (;;) {
      const operator = tokens[position];
      if (operator !== '*' && operator !== '/') return left;
      position += 1;
      left = made({ kind: operator === '*' ? 'product' : 'quotient', left, right: signed() });
    }
  }

  function sum(): Expression {
    let left = product();
    for (;;) {
      const operator = tokens[position];
      if (operator !== '+' && operator !== '-') return left;
      position += 1;
      left = made({ kind: operator === '+' ? 'sum' : 'difference', left, right: product() });
    }
  }

  try {
    const tree = sum();
    const rest = tokens[position];
    if (rest !== undefined) {
      throw new ExpressionError(`expected an operator or the end, found ${JSON.stringify(rest)}`);
    }
    return tree;
  } catch (error) {
    if (error instanceof ExpressionError) return { error: error.message };
    throw error;
  }
}

/** Whether parseExpression returned what is wrong with the text. */
export function isParseError(
  tree: Expression | { readonly error: string },
): tree is { readonly error: string } {
  return 'error' in tree;
}
