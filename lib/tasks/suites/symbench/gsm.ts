/**
 * Variations of grade-school word problems: one number of a GSM8K question is replaced by a hard one (four to seven digits, as
 * in GSM-Hard, Gao et al. 2022), and the worked solution's own calculator annotations `<<48/2=24>>` are computed again.
 *
 * What makes a variation right is that the solution's flow of numbers is known: the replaced number stands once in the question
 * and is an operand once; every other operand is a number of the question, a constant that its words name, or the result of
 * one earlier annotation. Where an operand could be two of these, or none, the question has no variation. A variation
 * keeps what the original had: whole numbers stay whole, positive ones positive, shares below one below one.
 */
import * as q from '../../math/rational.ts';
import type { Random } from '../../random.ts';
import type { Draw } from '../../task.ts';
import { constantsNamedIn, wordOfNumber } from './gsm-words.ts';

/** A question and its worked solution, as GSM8K publishes them. */
export interface GsmRecord {
  readonly question: string;
  readonly answer: string;
}

/** A number token of a text; `value` is exact. */
interface Token {
  readonly start: number;
  readonly text: string;
  readonly value: q.Rational;
}

/** One annotation: `operands` and operators of the left side, the stated result. */
interface Annotation {
  readonly tokens: readonly (string | q.Rational)[];
  readonly result: q.Rational;
}

/** A number of a question that can be replaced. */
export interface Replaceable {
  readonly record: GsmRecord;
  readonly start: number;
  readonly text: string;
  readonly value: number;
  readonly annotations: readonly Annotation[];
}

const kNumber = /[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+/g;
const kAnnotation = /<<([^<>=]+)=([^<>=]+)>>/g;
const kDepth = 16;
/** Digits of the numbers put in. */
const kDigits = [4, 7] as const;
const kLargestAnswer = 10n ** 15n;
const kTries = 30;

const key = (value: q.Rational): string => q.show(value);

function decimal(text: string): q.Rational {
  const [whole = '', places = ''] = text.replaceAll(',', '').split('.');
  return q.rational(BigInt(`0${whole}${places}`), 10n ** BigInt(places.length));
}

function numbersIn(text: string): Token[] {
  return [...text.matchAll(kNumber)].map((found) => {
    const trimmed = found[0].replace(/,+$/, '');
    return { start: found.index, text: trimmed, value: decimal(trimmed) };
  });
}

/** The annotations of a worked solution, or undefined where one is malformed. */
function annotationsIn(solution: string): Annotation[] | undefined {
  const found: Annotation[] = [];
  for (const [, left = '', right = ''] of solution.matchAll(kAnnotation)) {
    if (!/^-?[0-9,]*\.?[0-9]+\.?$/.test(right.trim())) return undefined;
    const tokens = left.match(/[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+|[-+*/()]|[^ ]/g) ?? [];
    if (tokens.some((token) => !/^(?:[0-9.][0-9.,]*|[-+*/()])$/.test(token))) return undefined;
    const result = decimal(right.trim().replace(/^-|\.$/g, ''));
    found.push({
      tokens: tokens.map((token) => (/^[-+*/()]$/.test(token) ? token : decimal(token))),
      result: right.trim().startsWith('-') ? q.negate(result) : result,
    });
  }
  return found;
}

/** The value of an annotation's left side, and whether each of its quotients is whole and below one; undefined if malformed. */
function evaluateTokens(
  tokens: readonly (string | q.Rational)[],
): { value: q.Rational; quotients: readonly q.Rational[]; values: readonly q.Rational[] } | undefined {
  let at = 0;
  let depth = 0;
  const quotients: q.Rational[] = [];
  const values: q.Rational[] = [];
  const atom = (): q.Rational | undefined => {
    const token = tokens[at];
    at += 1;
    if (token === '-') {
      const value = atom();
      return value === undefined ? undefined : q.negate(value);
    }
    if (token !== '(') return typeof token === 'object' ? token : undefined;
    depth += 1;
    const inside = depth > kDepth ? undefined : sum();
    depth -= 1;
    at += 1;
    return tokens[at - 1] === ')' ? inside : undefined;
  };
  const chain = (operators: string, next: () => q.Rational | undefined) => (): q.Rational | undefined => {
    let value = next();
    while (value !== undefined) {
      const operator = tokens[at];
      if (typeof operator !== 'string' || !operators.includes(operator)) return value;
      at += 1;
      const other = next();
      if (other === undefined) return undefined;
      if (operator === '+') value = q.add(value, other);
      else if (operator === '-') value = q.subtract(value, other);
      else if (operator === '*') value = q.multiply(value, other);
      else {
        if (other.numerator === 0n) return undefined;
        value = q.divide(value, other);
        quotients.push(value);
      }
      values.push(value);
    }
    return undefined;
  };
  const sum = chain('+-', chain('*/', atom));
  const value = sum();
  return value === undefined || at !== tokens.length ? undefined : { value, quotients, values };
}

/** Whether the number at this place of the question is a plain count or amount. */
function isPlainAmount(question: string, { start, text }: Token): boolean {
  const before = question.slice(0, start);
  const after = question.slice(start + text.length);
  if (/[0-9A-Za-z./:#-]$/.test(before) || /^[.:/-]?[0-9]|^ ?[%/]|^-|^ ?percent/i.test(after)) return false;
  if (/^(?:st|nd|rd|th)\b|^ ?(?:[ap]\.?m\b|o'clock)/i.test(after)) return false;
  // `5 days a week` has a largest value
  return !/^ (?:days?|hours?|minutes?|weeks?|months?|seconds?|times?) (?:a|per|each|every|in a|of the|out of)\b/i.test(
    after,
  );
}

/** The numbers of a question that can be replaced so that the solution can be computed again. */
export function replaceableNumbers(record: GsmRecord): Replaceable[] {
  const { question, answer } = record;
  const [solution = '', final = ''] = answer.split('####');
  const annotations = annotationsIn(solution);
  const last = annotations?.at(-1);
  if (annotations === undefined || last === undefined) return [];
  for (const { tokens, result } of annotations) {
    const computed = evaluateTokens(tokens);
    if (computed === undefined || !q.equal(computed.value, result) || tokens.length < 3) return [];
  }
  if (!/^ *-?[0-9,]+ *$/.test(final) || !q.equal(decimal(final.trim().replace('-', '')), last.result))
    return [];
  const given = numbersIn(question);
  const prose = numbersIn(solution.replace(kAnnotation, ''));
  const constants = constantsNamedIn(question);
  const operands = annotations.flatMap(({ tokens }) => tokens.filter((token) => typeof token === 'object'));
  const results = annotations.map(({ result }) => key(result));
  const once = (list: readonly q.Rational[], value: q.Rational) =>
    list.filter((other) => q.equal(other, value)).length;
  const found: Replaceable[] = [];
  for (const token of given) {
    const { value, text, start } = token;
    if (!q.isInteger(value) || value.numerator < 3n || !isPlainAmount(question, token)) continue;
    const number = Number(value.numerator);
    if (number >= 1_900 && number <= 2_100 && !text.includes(',')) continue; // a year
    if (constants.has(key(value)) || wordOfNumber(number, question)) continue;
    if (
      once(
        given.map((other) => other.value),
        value,
      ) !== 1 ||
      once(operands, value) !== 1
    )
      continue;
    if (
      once(
        prose.map((other) => other.value),
        value,
      ) > 1 ||
      results.includes(key(value))
    )
      continue;
    // A hundredth of it may stand for it elsewhere (percentages, cents).
    if (once(operands, q.divide(value, q.rational(100n))) > 0) continue;
    const candidate = { record, start, text, value: number, annotations };
    // Any other value shows whether the flow of numbers is known.
    if (flowIsKnown(candidate, given, constants)) found.push(candidate);
  }
  return found;
}

/** Whether every operand is the replaced number, one of the question's, a named constant, or one earlier result. */
function flowIsKnown(
  candidate: Replaceable,
  given: readonly Token[],
  constants: ReadonlySet<string>,
): boolean {
  const replaced = key(q.rational(BigInt(candidate.value)));
  const stated = new Set(given.map(({ value }) => key(value)));
  for (const { value } of given) stated.add(key(q.divide(value, q.rational(100n))));
  const changed = new Set<string>();
  const fixed = new Set<string>();
  for (const { tokens, result } of candidate.annotations) {
    let depends = false;
    for (const token of tokens) {
      if (typeof token === 'string') continue;
      const name = key(token);
      if (name === replaced) depends = true;
      else if (changed.has(name)) {
        if (stated.has(name) || constants.has(name) || fixed.has(name)) return false;
        depends = true;
      } else if (!stated.has(name) && !constants.has(name) && !fixed.has(name)) {
        return false;
      }
    }
    const name = key(result);
    if (depends ? fixed.has(name) || changed.has(name) : changed.has(name)) return false;
    (depends ? changed : fixed).add(name);
  }
  return changed.has(key(candidate.annotations.at(-1)!.result));
}

/** The final answer with another number in the place, or undefined where the rules above are broken. */
export function answerWith({ value, annotations }: Replaceable, number: number): bigint | undefined {
  const now = new Map<string, q.Rational>([[key(q.rational(BigInt(value))), q.rational(BigInt(number))]]);
  let answer: q.Rational | undefined;
  for (const { tokens, result } of annotations) {
    const before = evaluateTokens(tokens)!;
    const after = evaluateTokens(
      tokens.map((token) => (typeof token === 'string' ? token : (now.get(key(token)) ?? token))),
    );
    if (after === undefined || !keepsKind(before.values, after.values)) return undefined;
    const share = (quotient: q.Rational) => q.compare(quotient, q.one) < 0;
    if (before.quotients.some((quotient, i) => share(quotient) !== share(after.quotients[i]!)))
      return undefined;
    answer = after.value;
    if (!q.equal(answer, result)) now.set(key(result), answer);
  }
  const last = annotations.at(-1)!.result;
  if (answer === undefined || !q.isInteger(answer) || q.equal(answer, last)) return undefined;
  return answer.numerator > kLargestAnswer || answer.numerator < -kLargestAnswer
    ? undefined
    : answer.numerator;
}

/** Whole stays whole, positive positive, non-zero non-zero. */
function keepsKind(before: readonly q.Rational[], after: readonly q.Rational[]): boolean {
  return before.every((value, i) => {
    const other = after[i];
    if (other === undefined) return false;
    if (q.isInteger(value) && !q.isInteger(other)) return false;
    return value.numerator > 0n === other.numerator > 0n && value.numerator < 0n === other.numerator < 0n;
  });
}

/** The question with another number in the place. */
export function questionWith({ record, start, text }: Replaceable, number: number): string {
  const digits = text.includes(',') ? String(number).replace(/\B(?=(?:[0-9]{3})+$)/g, ',') : String(number);
  return `${record.question.slice(0, start)}${digits}${record.question.slice(start + text.length)}`;
}

/** Draws variations of the records' questions with hard numbers; undefined = unsuitable, draw again. */
export function gsmVariations(
  records: readonly GsmRecord[],
): (random: Random) => Draw<Record<string, unknown>> | undefined {
  const places = records.flatMap(replaceableNumbers);
  return (random) => {
    if (places.length === 0) return undefined;
    const place = random.choice(places);
    for (let attempt = 0; attempt < kTries; attempt++) {
      const digits = random.integer(...kDigits);
      let number = random.integer(10 ** (digits - 1), 10 ** digits - 1);
      // Multiples of the number keep most divisions whole.
      if (attempt % 2 === 1) number = Math.max(1, Math.round(number / place.value)) * place.value;
      const answer = answerWith(place, number);
      if (answer === undefined) continue;
      const question = questionWith(place, number).trim();
      return {
        content: question,
        instance: {},
        prompts: [gsmPrompt(question)],
        answer: String(answer),
      };
    }
    return undefined;
  };
}

/** The question with the line that asks for the answer. */
export function gsmPrompt(question: string): string {
  return `${question}\nGive the final answer as <<<number>>>.`;
}
