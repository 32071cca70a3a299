/**
 * Questions of the SymBench tasks string_insertion and string_deletion_and_modification: see records.ts.
 *
 * The second says "cycle through the operations one at a time": its stored answers start again with the first operation
 * after each one that was applied, and that is the reading here.
 */
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

/** Steps of an operation, on a text in which the operation's pattern stands from `start` to `end`. */
const kSteps: readonly (readonly [
  RegExp,
  (text: string, start: number, end: number, given: string) => string,
])[] = [
  [
    /^replace (?:it|the first two characters|the first occurrence) with (?:its reverse \()?'([a-z]+)'\)?$/,
    (text, start, end, given) => text.slice(0, start) + given + text.slice(end),
  ],
  [
    /^(?:delete the first occurrence entirely|remove the first occurrence found after the first character)$/,
    (text, start, end) => text.slice(0, start) + text.slice(end),
  ],
  [/^(?:remove|delete) the first character$/, (text) => text.slice(1)],
  [/^(?:remove|delete) the first two characters$/, (text) => text.slice(2)],
  [/^(?:remove|delete) the last character$/, (text) => text.slice(0, -1)],
  [/^(?:remove|delete) the last two characters$/, (text) => text.slice(0, -2)],
  [/^remove the second character$/, (text) => text.slice(0, 1) + text.slice(2)],
  [
    /^remove the middle character$/,
    (text) => text.slice(0, text.length >> 1) + text.slice((text.length >> 1) + 1),
  ],
  [/^append '([a-z]+)' (?:to|at) the end$/, (text, _start, _end, given) => text + given],
  [/^prepend '([a-z]+)' to the start$/, (text, _start, _end, given) => given + text],
];

/** Where an operation's condition holds, as the place of its pattern; undefined where it does not hold. */
function placeOf(condition: string, text: string): readonly [number, number] | undefined {
  const pattern = /^(.*) '([a-z]+)'(.*)$/.exec(condition);
  const [, relation = '', given = '', rest = ''] = pattern ?? [];
  if (relation === 'length is greater than 15' || condition === 'length is greater than 15') {
    return text.length > 15 ? [0, 0] : undefined;
  }
  if (condition === "contains an even number of 'b's (and at least one 'b')") {
    const count = text.split('b').length - 1;
    return count > 0 && count % 2 === 0 ? [0, 0] : undefined;
  }
  const start =
    relation === 'prefix is' || relation === 'starts with'
      ? text.startsWith(given)
        ? 0
        : -1
      : relation === 'suffix is' || relation === 'ends with'
        ? text.endsWith(given)
          ? text.length - given.length
          : -1
        : relation === 'contains' && rest === ''
          ? text.indexOf(given)
          : relation === 'contains' && rest === ' (not at the start)'
            ? text.indexOf(given, 1)
            : undefined;
  if (start === undefined) throw new Error(`expected the condition of an operation, found ${condition}`);
  return start < 0 ? undefined : [start, start + given.length];
}

/** The text after one operation; undefined where its condition does not hold. */
function operated(operation: string, text: string): string | undefined {
  const [condition = '', action = ''] = groupsIn(operation, /^If the string (.*?), (.*)\.$/);
  const place = placeOf(condition, text);
  if (place === undefined) return undefined;
  let result = text;
  for (const step of action.split(' and ')) {
    const rule = kSteps.find(([pattern]) => pattern.test(step));
    if (rule === undefined) throw new Error(`expected a step of an operation, found ${step}`);
    result = rule[1](result, ...place, rule[0].exec(step)![1] ?? '');
  }
  return result;
}

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
    let result = original;
    for (let i = 0; ; i++) {
      if (i === kMostOperations) throw new Error(`${record.id}: no end after ${i} operations`);
      const next = operations
        .map((operation) => operated(operation, result))
        .find((done) => done !== undefined);
      if (next === undefined) break;
      result = next;
    }
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
