/**
 * Knights and knaves: who always tells the truth and who always lies. Every published puzzle has exactly one solution.
 *
 * The whole answer must be one clause a person, `Owen is a sage`, in any order, with commas, full stops, line ends or `and`
 * between them; upper and lower case are the same. The package looks for names and roles anywhere in a text instead.
 */
import { accepted, rejected, screenAnswer, trimBlanks } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';

/** Between separators: a person, or nothing as in `, and`. Puzzles have a handful of people. */
const kMostParts = 100;

/** Role by name in lower case, or undefined where the text is not made of such clauses or speaks of somebody twice. */
function rolesOf(text: string): ReadonlyMap<string, string> | undefined {
  const roles = new Map<string, string>();
  const parts = text.toLowerCase().split(/[.,\n]|\band\b/, kMostParts + 1);
  if (parts.length > kMostParts) return undefined;
  for (const part of parts) {
    const clause = trimBlanks(part);
    if (clause === '') continue;
    const words = clause.split(/[ \t\r]+/, 5);
    const [name, is, article, role] = words;
    if (words.length !== 4 || is !== 'is' || (article !== 'a' && article !== 'an')) return undefined;
    if (roles.has(name!)) return undefined;
    roles.set(name!, role!);
  }
  return roles;
}

export const knightsKnaves: SuiteTask = {
  name: 'knights_knaves',
  description: 'who tells the truth and who lies, as "Owen is a sage, and Sofia is a fool."',
  metaKeys: [],
  verify(question, answer) {
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const expected = rolesOf(question.answer);
    if (expected === undefined) {
      throw new TypeError(
        `question ${question.id}: expected an answer like "Owen is a sage, and Sofia is a fool.", ` +
          `found ${JSON.stringify(question.answer)}`,
      );
    }
    const found = rolesOf(screened);
    if (found === undefined) return rejected('not one clause a person like "Owen is a sage"');
    if (found.size !== expected.size) return rejected(`${found.size} of ${expected.size} people`);
    for (const [name, role] of expected) {
      if (found.get(name) !== role) return rejected(`another role for ${name}, or none`);
    }
    return accepted;
  },
};
