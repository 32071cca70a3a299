/**
 * Cuts an answer into tokens: plain notation, Python's and the LaTeX of mathematical answers, mixed as models mix them.
 *
 * Linear in the text. What is not in the tables below is a Refusal: an unknown command may mean anything. Spacing and sizing
 * commands and dollar signs of math mode vanish, but still separate: `1\,2` is two numbers beside each other.
 */
import { isFunctionName, kMostDigits, Refusal } from './syntax.ts';
import { isUnitWord } from './units.ts';

/** A token; `spaced` says whether a blank stood before it. */
export interface Token {
  readonly kind:
    | 'number' // `text` holds digits with at most one point
    | 'name' // a variable or constant
    | 'function'
    | 'word' // bare letters that are no product of variables
    | 'text' // inside \text{...}
    | 'sign' // operators, brackets, commands with a grammar of their own
    | 'end';
  readonly text: string;
  readonly spaced: boolean;
  /** For a number: its value where `text` alone does not say it (repeating decimals, exponents). */
  readonly value?: { readonly numerator: bigint; readonly denominator: bigint };
}

const kMostTokens = 800;

/** Commands that are signs of the grammar, under the sign's name. */
const kSigns: Readonly<Record<string, string>> = {
  cdot: '*',
  times: '*',
  ast: '*',
  div: '/',
  pm: 'pm',
  le: '<=',
  leq: '<=',
  leqslant: '<=',
  lt: '<',
  ge: '>=',
  geq: '>=',
  geqslant: '>=',
  gt: '>',
  in: 'in',
  cup: 'cup',
  degree: 'degree',
  circ: 'degree',
  frac: 'frac',
  dfrac: 'frac',
  tfrac: 'frac',
  cfrac: 'frac',
  sqrt: 'sqrt',
  binom: 'binom',
  dbinom: 'binom',
  tbinom: 'binom',
  boxed: 'boxed',
  fbox: 'boxed',
  langle: '\\langle',
  rangle: '\\rangle',
  lbrace: '\\{',
  rbrace: '\\}',
  lbrack: '[',
  rbrack: ']',
  vert: '|',
  lvert: '|',
  rvert: '|',
};

const kVanishing = new Set(
  (
    'left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle quad qquad ' +
    'limits nolimits mathbf boldsymbol mathit mathsf mathbb mathcal bf it'
  ).split(' '),
);
const kTexts = new Set('text textbf textit textrm textnormal mbox hbox mathrm rm operatorname'.split(' '));
const kNames = new Set(
  (
    'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon phi ' +
    'varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega ell angle triangle overline vec'
  ).split(' '),
);
const kConstants: Readonly<Record<string, string>> = {
  pi: 'pi',
  Pi: 'pi',
  infty: 'infinity',
  emptyset: 'emptyset',
  varnothing: 'emptyset',
};
/** Bare words with a meaning. */
const kWords: Readonly<Record<string, readonly [Token['kind'], string]>> = {
  pi: ['name', 'pi'],
  Pi: ['name', 'pi'],
  oo: ['name', 'infinity'],
  inf: ['name', 'infinity'],
  infinity: ['name', 'infinity'],
  sqrt: ['sign', 'sqrt'],
  asin: ['function', 'arcsin'],
  acos: ['function', 'arccos'],
  atan: ['function', 'arctan'],
  binomial: ['sign', 'binomial'],
};
const kUnicode: Readonly<Record<string, string>> = {
  '\u2212': '-',
  '\u00d7': '*',
  '\u00b7': '*',
  '\u22c5': '*',
  '\u00f7': '/',
  '\u2264': '<=',
  '\u2265': '>=',
  '\u00b1': 'pm',
  '\u222a': 'cup',
  '\u2208': 'in',
  '\u00b0': 'degree',
  '\u221a': 'sqrt',
};

const kBlanks = /[ \t\r\n~$]+/y;
const kGrouped = /[0-9]{1,3}(?:(?:,\\!|\{,\}|\\,|\\!,)[0-9]{3})+(?![0-9])(?:\.[0-9]+)?/y;
const kCommaGrouped = /[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?/y;
const kRepeating = /([0-9]*)\.([0-9]*)\\overline\{([0-9]+)\}/y;
const kScientific = /([0-9]+)(?:\.([0-9]+))?[eE]([-+]?[0-9]{1,3})(?![0-9A-Za-z.])/y;
const kDecimal = /[0-9]+(?:\.[0-9]+)?|\.[0-9]+/y;
const kLetters = /[A-Za-z]+/y;
const kCommand = /\\(?:[A-Za-z]+|[^A-Za-z])/y;
const kEnvironment = /\\(begin|end)[ ]*\{([a-z]*)(\*?)\}(?:\{[lcr| ]*\})?/y;
const kOperators = /\*\*|<=|>=|[-+*/^_!%=<>,;|()[\]{}&:]/y;

/** The tokens of an answer, an `end` last. Throws Refusal for anything that is not in the notation. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let spaced = false;
  /** Brackets that hold items: inside them a comma separates and never groups digits. */
  let depth = 0;

  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  const push = (kind: Token['kind'], content: string, value?: Token['value']): void => {
    if (tokens.length === kMostTokens) throw new Refusal('an answer of too many parts');
    if (kind === 'sign' && (content === '(' || content === '[' || content === '\\{')) depth += 1;
    if (kind === 'sign' && (content === ')' || content === ']' || content === '\\}')) depth -= 1;
    tokens.push(
      value === undefined ? { kind, text: content, spaced } : { kind, text: content, spaced, value },
    );
    spaced = false;
  };
  const take = (length: number): void => {
    at += length;
  };

  const number = (): boolean => {
    const repeating = match(kRepeating);
    if (repeating !== null) {
      take(repeating[0].length);
      const [, whole = '', fixed = '', cycle = ''] = repeating;
      limitDigits(whole + fixed + cycle);
      const nines = 10n ** BigInt(cycle.length) - 1n;
      const scale = 10n ** BigInt(fixed.length);
      const numerator = BigInt(`0${whole}${fixed}`) * nines + BigInt(cycle);
      push('number', repeating[0], { numerator, denominator: scale * nines });
      return true;
    }
    const scientific = match(kScientific);
    if (scientific !== null) {
      take(scientific[0].length);
      const [, whole = '', places = '', exponent = '0'] = scientific;
      limitDigits(whole + places);
      const shift = Number(exponent) - places.length;
      const digits = BigInt(whole + places);
      const value =
        shift >= 0
          ? { numerator: digits * 10n ** BigInt(shift), denominator: 1n }
          : { numerator: digits, denominator: 10n ** BigInt(-shift) };
      push('number', scientific[0], value);
      return true;
    }
    const grouped = match(kGrouped) ?? (depth <= 0 ? match(kCommaGrouped) : null);
    const plain = grouped ?? match(kDecimal);
    if (plain === null) return false;
    take(plain[0].length);
    const digits = plain[0].replace(/[^0-9.]/g, '');
    limitDigits(digits);
    push('number', digits);
    return true;
  };

  const letters = (): void => {
    const run = match(kLetters)![0];
    take(run.length);
    const known = Object.hasOwn(kWords, run) ? kWords[run] : undefined;
    const lower = run.toLowerCase();
    if (known !== undefined) push(known[0], known[1]);
    else if (lower === 'and' || lower === 'or') push('sign', lower);
    else if (isFunctionName(run)) push('function', run);
    else if (isUnitWord(run) || lower === 'percent' || lower === 'degrees') push('word', lower);
    else if (run.length > 3) push('word', run);
    else for (const letter of run) push('name', letter);
  };

  const command = (): void => {
    const environment = match(kEnvironment);
    if (environment !== null) {
      take(environment[0].length);
      push('sign', `${environment[1]} ${environment[2]}`);
      return;
    }
    const found = match(kCommand);
    if (found === null) throw new Refusal('a backslash at the end');
    take(found[0].length);
    const name = found[0].slice(1);
    if (name === '\\') push('sign', '\\\\');
    else if (',;:! '.includes(name)) spaced = true;
    else if (name === '{' || name === '}') push('sign', `\\${name}`);
    else if (name === '%') push('sign', '%');
    else if (name === '$') push('sign', 'currency');
    else if (name === '|') push('sign', '|');
    else if (Object.hasOwn(kSigns, name)) push('sign', kSigns[name]!);
    else if (kVanishing.has(name)) spaced = true;
    else if (kTexts.has(name)) texts();
    else if (Object.hasOwn(kConstants, name)) push('name', kConstants[name]!);
    else if (isFunctionName(name)) push('function', name);
    else if (kNames.has(name)) push('name', `\\${name}`);
    else throw new Refusal(`the command \\${name.slice(0, 20)}`);
  };

  /** The braces after \text: plain words, one token. */
  const texts = (): void => {
    const blanks = match(/[ ]*\{/y);
    if (blanks === null) throw new Refusal('a text command without braces');
    const close = text.indexOf('}', at);
    if (close < 0) throw new Refusal('a text that is not closed');
    const inside = text.slice(at + blanks[0].length, close);
    at = close + 1;
    if (/[{}\\]/.test(inside)) throw new Refusal('markup inside a text');
    const words = inside.replaceAll('$', '').trim();
    const lower = words.toLowerCase();
    if (words === '') spaced = true;
    else if (lower === 'and' || lower === ', and') push('sign', 'and');
    else if (lower === 'or') push('sign', 'or');
    else if (isFunctionName(words)) push('function', words);
    else push('text', words);
  };

  while (at < text.length) {
    const blanks = match(kBlanks);
    if (blanks !== null) {
      take(blanks[0].length);
      spaced = true;
      continue;
    }
    const c = text[at]!;
    if (c === '\\') command();
    else if (/[A-Za-z]/.test(c)) letters();
    else if (/[0-9.]/.test(c) && number()) continue;
    else if (Object.hasOwn(kUnicode, c)) {
      take(1);
      push('sign', kUnicode[c]!);
    } else if (c === '\u03c0' || c === '\u221e') {
      take(1);
      push('name', c === '\u03c0' ? 'pi' : 'infinity');
    } else if (c === '\u00b2' || c === '\u00b3') {
      take(1);
      push('sign', '^');
      push('number', c === '\u00b2' ? '2' : '3');
    } else {
      const operator = match(kOperators);
      if (operator === null) throw new Refusal(`the character ${JSON.stringify(c)}`);
      take(operator[0].length);
      push('sign', operator[0] === '**' ? '^' : operator[0]);
    }
  }
  push('end', '');
  return tokens;
}

function limitDigits(digits: string): void {
  if (digits.length > kMostDigits) throw new Refusal(`a number of more than ${kMostDigits} digits`);
}
