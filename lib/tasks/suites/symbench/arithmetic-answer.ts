/**
 * Arithmetic expressions as answers: what `game24` and `combinatorial_calculation` drop from an answer before
 * the expression is parsed. Nothing is evaluated here.
 */
import { rejected, screenAnswer, trimBlanks, type Verdict } from '../../answer.ts';

const kSigns: Readonly<Record<string, string>> = { '\u00d7': '*', '\u00f7': '/', '\u2212': '-' };

/**
 * The expression of an answer: the typographic signs for times, divided by and minus become `*`, `/` and `-`,
 * and one `= target` at the end is dropped. Another right-hand side is wrong, whatever stands on the left.
 */
export function readExpression(answer: string, target: number, maxLength: number): string | Verdict {
  if (answer.length > maxLength) {
    return rejected(`the answer has ${answer.length} characters, at most ${maxLength} are read`);
  }
  const text = screenAnswer(
    answer.replace(/[\u00d7\u00f7\u2212]/g, (sign) => kSigns[sign]!),
    maxLength,
  );
  if (typeof text !== 'string') return text;
  const equals = text.indexOf('=');
  if (equals === -1) return text;
  if (trimBlanks(text.slice(equals + 1)) !== String(target)) return rejected(`not an expression = ${target}`);
  return trimBlanks(text.slice(0, equals));
}
