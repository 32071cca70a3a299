/**
 * The grammar of one value: sums, products, quotients, powers, roots, functions, mixed numbers.
 *
 * Products may be written without a sign (`2\pi r`, `3(x+1)`), but never before a number: `1 2` and `x 2` are refused, so an
 * answer said twice is none. What readers disagree on is refused too: `1/2x`, `\sin x/2`, `2\frac{5}{3}`, `a/b/c` is (a/b)/c.
 * An integer before a proper fraction of integers is a mixed number.
 */
import { type Cursor, numberNode } from './cursor.ts';
import type { FunctionName, Node } from './syntax.ts';

/** What the grammar of brackets gives to this one: a bracketed value, a matrix, a set. */
export type Bracketed = (cursor: Cursor) => Node;

const kOpening = new Set(['(', '[', '{', '\\{', '\\langle', 'boxed']);

/** A sum of terms. `bracketed` reads whatever starts with a bracket. */
export function readSum(cursor: Cursor, bracketed: Bracketed): Node {
  return cursor.deeper(() => {
    let sum = readSigned(cursor, bracketed);
    for (;;) {
      if (cursor.at('+') || cursor.at('-')) {
        const minus = cursor.next().text === '-';
        const term = readProduct(cursor, bracketed);
        const added = minus ? cursor.made({ kind: 'negative', of: term }) : term;
        const before: readonly Node[] = sum.kind === 'sum' && sum.mixed === undefined ? sum.terms : [sum];
        sum = cursor.made({ kind: 'sum', terms: [...before, added] });
      } else if (cursor.accept('pm')) {
        sum = cursor.made({ kind: 'plus-minus', from: sum, by: readProduct(cursor, bracketed) });
      } else {
        return sum;
      }
    }
  });
}

/** A first term with at most one sign before it. */
function readSigned(cursor: Cursor, bracketed: Bracketed): Node {
  if (cursor.accept('-')) return cursor.made({ kind: 'negative', of: readProduct(cursor, bracketed) });
  if (cursor.accept('pm')) return cursor.made({ kind: 'plus-minus', by: readProduct(cursor, bracketed) });
  cursor.accept('+');
  return readProduct(cursor, bracketed);
}

/** Whether a factor may start here without a multiplication sign before it. */
function startsFactor(cursor: Cursor): boolean {
  const { kind, text } = cursor.peek();
  if (kind === 'name' || kind === 'function') return true;
  if (kind !== 'sign') return false;
  if (text === '|') return cursor.bars === 0;
  return (
    kOpening.has(text) || ['frac', 'sqrt', 'binom', 'binomial'].includes(text) || text.startsWith('begin ')
  );
}

function readProduct(cursor: Cursor, bracketed: Bracketed): Node {
  return cursor.deeper(() => {
    let product = readPower(cursor, bracketed);
    let divided = false;
    for (;;) {
      if (cursor.accept('*')) {
        product = times(cursor, product, readPower(cursor, bracketed));
        divided = false;
      } else if (cursor.accept('/')) {
        product = cursor.made({ kind: 'quotient', over: product, under: readPower(cursor, bracketed) });
        divided = true;
      } else if (startsFactor(cursor)) {
        if (divided) cursor.refuse('brackets: what stands under the slash is ambiguous');
        product = times(cursor, product, readPower(cursor, bracketed));
      } else if (cursor.peek().kind === 'number') {
        return cursor.refuse('an operator');
      } else {
        return product;
      }
    }
  });
}

function times(cursor: Cursor, a: Node, b: Node): Node {
  const before: readonly Node[] = a.kind === 'product' ? a.factors : [a];
  return cursor.made({ kind: 'product', factors: [...before, b] });
}

/** A factor with what stands behind it: !, powers, degrees, percent. */
function readPower(cursor: Cursor, bracketed: Bracketed): Node {
  return cursor.deeper(() => {
    let factor = readPrimary(cursor, bracketed);
    let powers = 0;
    for (;;) {
      if (cursor.accept('!')) {
        if (factor.kind === 'factorial') cursor.refuse('brackets: !! may be a double factorial');
        factor = cursor.made({ kind: 'factorial', of: factor });
      } else if (cursor.accept('%')) factor = suffixed(cursor, 'percent', factor);
      else if (cursor.accept('degree')) factor = suffixed(cursor, 'degrees', factor);
      else if (cursor.accept('^')) {
        if (readDegree(cursor)) {
          factor = suffixed(cursor, 'degrees', factor);
          continue;
        }
        powers += 1;
        if (powers > 1) cursor.refuse('brackets around a power of a power');
        factor = cursor.made({ kind: 'power', base: factor, exponent: readExponent(cursor, bracketed) });
      } else {
        return factor;
      }
    }
  });
}

/** A percent or degree sign, of which there is one. */
function suffixed(cursor: Cursor, kind: 'percent' | 'degrees', of: Node): Node {
  if (of.kind === 'percent' || of.kind === 'degrees') return cursor.refuse('one percent or degree sign');
  return cursor.made({ kind, of });
}

/** The rest of `^\circ` or `^{\circ}`. */
function readDegree(cursor: Cursor): boolean {
  if (cursor.accept('degree')) return true;
  const inside = cursor.peek(1);
  if (!cursor.at('{') || inside.kind !== 'sign' || inside.text !== 'degree') return false;
  cursor.next();
  cursor.next();
  cursor.expect('}');
  return true;
}

function readExponent(cursor: Cursor, bracketed: Bracketed): Node {
  if (cursor.at('{')) return readGroup(cursor, bracketed);
  if (cursor.accept('-')) return cursor.made({ kind: 'negative', of: readPrimary(cursor, bracketed) });
  return readPrimary(cursor, bracketed);
}

/** `{...}` around one value. */
function readGroup(cursor: Cursor, bracketed: Bracketed): Node {
  cursor.expect('{');
  const inside = readSum(cursor, bracketed);
  cursor.expect('}');
  return inside;
}

/** An argument in TeX's way: a group, one digit, or one symbol. */
function readArgument(cursor: Cursor, bracketed: Bracketed): Node {
  if (cursor.at('{')) return readGroup(cursor, bracketed);
  const { kind } = cursor.peek();
  if (kind === 'number') {
    return cursor.made({ kind: 'number', numerator: BigInt(cursor.digit()), denominator: 1n });
  }
  if (kind === 'name') return readName(cursor);
  if (cursor.at('sqrt') || cursor.at('frac')) return readPrimary(cursor, bracketed);
  return cursor.refuse('an argument');
}

function readPrimary(cursor: Cursor, bracketed: Bracketed): Node {
  const { kind, text } = cursor.peek();
  if (kind === 'number') return readNumber(cursor, bracketed);
  if (kind === 'name') return readName(cursor);
  if (kind === 'function') return readCall(cursor, bracketed);
  if (kind !== 'sign') return cursor.refuse('a value');
  switch (text) {
    case 'frac': {
      cursor.next();
      const over = readArgument(cursor, bracketed);
      return cursor.made({ kind: 'quotient', over, under: readArgument(cursor, bracketed) });
    }
    case 'sqrt':
      return readRoot(cursor, bracketed);
    case 'binom': {
      cursor.next();
      const n = readArgument(cursor, bracketed);
      return cursor.made({ kind: 'binomial', n, k: readArgument(cursor, bracketed) });
    }
    case 'binomial': {
      cursor.next();
      cursor.expect('(');
      const n = readSum(cursor, bracketed);
      cursor.expect(',');
      const k = readSum(cursor, bracketed);
      cursor.expect(')');
      return cursor.made({ kind: 'binomial', n, k });
    }
    case 'currency': {
      cursor.next();
      return cursor.made({ kind: 'unit', of: readPrimary(cursor, bracketed), unit: 'dollar', known: true });
    }
    case '|': {
      if (cursor.bars > 0) return cursor.refuse('a value');
      cursor.next();
      cursor.bars += 1;
      const argument = readSum(cursor, bracketed);
      cursor.bars -= 1;
      cursor.expect('|');
      return cursor.made({ kind: 'call', name: 'abs', argument });
    }
    default:
      if (kOpening.has(text) || text.startsWith('begin ')) return bracketed(cursor);
      return cursor.refuse('a value');
  }
}

function readRoot(cursor: Cursor, bracketed: Bracketed): Node {
  cursor.next();
  let index: Node = { kind: 'number', numerator: 2n, denominator: 1n };
  if (cursor.accept('[')) {
    index = readSum(cursor, bracketed);
    cursor.expect(']');
  }
  const of = cursor.at('(') ? bracketed(cursor) : readArgument(cursor, bracketed);
  return cursor.made({ kind: 'root', index, of });
}

/** Digits alone between the braces of a \frac that starts `ahead` tokens on: its parts, if it is proper. */
function properFraction(cursor: Cursor, ahead: number): readonly [bigint, bigint] | 'improper' | undefined {
  const part = (at: number): [string, number] | undefined => {
    const first = cursor.peek(at);
    if (first.kind === 'sign' && first.text === '{') {
      const inside = cursor.peek(at + 1);
      const close = cursor.peek(at + 2);
      if (inside.kind !== 'number' || close.kind !== 'sign' || close.text !== '}') return undefined;
      return [inside.text, at + 3];
    }
    return undefined;
  };
  const over = part(ahead + 1);
  const under = over === undefined ? undefined : part(over[1]);
  if (over === undefined || under === undefined || !/^[0-9]+$/.test(over[0]) || !/^[0-9]+$/.test(under[0])) {
    return undefined;
  }
  const parts = [BigInt(over[0]), BigInt(under[0])] as const;
  return parts[0] < parts[1] && parts[0] > 0n ? parts : 'improper';
}

/** A number: a numeral of another base, a mixed number, or what its digits say. */
function readNumber(cursor: Cursor, bracketed: Bracketed): Node {
  const token = cursor.next();
  const integer = token.value === undefined && /^[0-9]+$/.test(token.text);
  if (integer && cursor.accept('_')) {
    const base = cursor.accept('{') ? baseInBraces(cursor) : cursor.digit();
    return cursor.made({ kind: 'numeral', digits: token.text.replace(/^0+(?=.)/, ''), base });
  }
  const number = cursor.made(numberNode(token));
  if (!integer) return number;
  if (cursor.at('frac')) {
    const proper = properFraction(cursor, 0);
    if (proper === 'improper') return cursor.refuse('a proper fraction behind an integer');
    // `2\frac12`, without braces, is read the same way
    if (proper !== undefined || bareFraction(cursor)) {
      return cursor.made({ kind: 'sum', terms: [number, readPrimary(cursor, bracketed)], mixed: true });
    }
    return number;
  }
  const [over, slash, under] = [cursor.peek(), cursor.peek(1), cursor.peek(2)];
  if (over.kind === 'number' && over.spaced && slash.text === '/' && under.kind === 'number') {
    if (/^[0-9]+$/.test(over.text) && /^[0-9]+$/.test(under.text) && BigInt(over.text) < BigInt(under.text)) {
      for (let i = 0; i < 3; i++) cursor.next();
      const part = cursor.made({ kind: 'quotient', over: numberNode(over), under: numberNode(under) });
      return cursor.made({ kind: 'sum', terms: [number, part], mixed: true });
    }
  }
  return number;
}

/** Whether a \frac of two single digits, the first the smaller, is at hand. */
function bareFraction(cursor: Cursor): boolean {
  const first = cursor.peek(1);
  const digits = first.text.length === 1 ? first.text + cursor.peek(2).text : first.text;
  return first.kind === 'number' && /^[1-9][1-9]$/.test(digits) && digits[0]! < digits[1]!;
}

function baseInBraces(cursor: Cursor): string {
  const token = cursor.next();
  if (token.kind !== 'number' || !/^[0-9]{1,2}$/.test(token.text)) cursor.refuse('a base');
  cursor.expect('}');
  return token.text;
}

/** A variable or constant with its subscript. */
function readName(cursor: Cursor): Node {
  let { text: name } = cursor.next();
  if (cursor.accept('_')) {
    if (cursor.accept('{')) {
      const parts: string[] = [];
      while (!cursor.at('}')) {
        const part = cursor.next();
        if (part.kind === 'end' || parts.length === 8) cursor.refuse('a short subscript');
        parts.push(part.text);
      }
      cursor.expect('}');
      name += `_${parts.join('')}`;
    } else {
      name += `_${cursor.peek().kind === 'number' ? cursor.digit() : cursor.next().text}`;
    }
  }
  return cursor.made({ kind: 'symbol', name });
}

function isMinusOne(node: Node): boolean {
  return node.kind === 'negative' && node.of.kind === 'number' && node.of.numerator === node.of.denominator;
}

/** A function; `\sin^{-1}` is the inverse function and not the reciprocal. */
function readCall(cursor: Cursor, bracketed: Bracketed): Node {
  let name = cursor.next().text as FunctionName;
  let base: Node | undefined;
  let power: Node | undefined;
  if (name === 'log' && cursor.accept('_')) base = readArgument(cursor, bracketed);
  if (cursor.accept('^')) {
    power = readExponent(cursor, bracketed);
    if (['sin', 'cos', 'tan'].includes(name) && isMinusOne(power)) {
      name = `arc${name}` as FunctionName;
      power = undefined;
    } else if (power.kind !== 'number' || power.denominator !== 1n) {
      cursor.refuse('a positive integer as the power');
    }
  }
  let argument: Node;
  if (cursor.at('(') || cursor.at('{')) {
    argument = cursor.at('{') ? readGroup(cursor, bracketed) : bracketed(cursor);
  } else {
    argument = readPower(cursor, bracketed);
    while (startsFactor(cursor) && cursor.peek().kind !== 'function' && !cursor.at('(') && !cursor.at('[')) {
      argument = times(cursor, argument, readPower(cursor, bracketed));
    }
    if (cursor.at('/')) cursor.refuse('brackets around the argument of a function');
  }
  const call = cursor.made({
    kind: 'call' as const,
    name,
    argument,
    ...(base === undefined ? {} : { base }),
  });
  return power === undefined ? call : cursor.made({ kind: 'power', base: call, exponent: power });
}
