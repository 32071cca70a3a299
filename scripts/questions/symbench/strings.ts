/**
 * Questions of the SymBench tasks string_insertion and string_deletion_and_modification: see records.ts.
 */
import { rewritten } from '../../../lib/tasks/suites/symbench/string-rules.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

const stringInsertion: SymbenchSource = {
  task: 'string_insertion',
  files: ['string_insertion'],
  read(record) {
    const found = publishedIn<{ modified_string: string }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [original = ''] = groupsIn(text, /Given the string ([A-E]+), what/);
    const rules = [...text.matchAll(/a substring ([A-E]+) in the string, insert the character ([A-E])/g)];
    // Every occurrence in the original string counts, overlapping ones too.
    const inserted = [...original].map((letter, i) => {
      const upToHere = original.slice(0, i + 1);
      const after = rules
        .filter(([, pattern = '']) => upToHere.endsWith(pattern))
        .map(([, , added]) => added);
      return [letter, ...after].join('');
    });
    return {
      content: original,
      prompt: text,
      published: solution.modified_string,
      recomputed: inserted.join(''),
      meta: {},
    };
  },
};

const kMostOperations = 10_000;

const stringDeletionAndModification: SymbenchSource = {
  task: 'string_deletion_and_modification',
  files: ['string_deletion_and_modification'],
  read(record) {
    const found = publishedIn<{ final_string: string }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [original = ''] = groupsIn(text, /^For the string "([a-z]+)"/m);
    const operations = [...text.matchAll(/^[0-9]+\. (.*)$/gm)].map(([, operation = '']) => operation);
    const result = rewritten(original, operations, kMostOperations)?.at(-1);
    if (result === undefined) throw new Error(`${record.id}: no end after ${kMostOperations} operations`);
    return {
      content: `${original}\n${operations.join('\n')}`,
      prompt: text,
      published: solution.final_string,
      recomputed: result,
      meta: {},
    };
  },
};

export const stringSources: readonly SymbenchSource[] = [stringInsertion, stringDeletionAndModification];
