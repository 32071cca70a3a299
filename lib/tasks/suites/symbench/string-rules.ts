/**
 * The rewriting rules of SymBench `string_deletion_and_modification`, read from their English, and questions made of them.
 *
 * The published questions say "cycle through the following operations one at a time": their answers start again with the first
 * operation after each one that was applied, and that is the reading here.
 */
import type { Random } from '../../random.ts';
import type { Draw } from '../../task.ts';

/** The operations that occur in the published questions. */
const kOperations: readonly string[] = [
  "contains 'abc', replace the first occurrence with 'cab'",
  "contains 'acb', replace the first occurrence with its reverse ('bca')",
  "contains 'bca', delete the first occurrence entirely",
  "contains 'ca' (not at the start), remove the first occurrence found after the first character",
  "contains an even number of 'b's (and at least one 'b'), append 'ab' at the end",
  "ends with 'aa', replace it with 'cc'",
  "ends with 'ba', replace it with 'ab'",
  "ends with 'ca', remove the last character",
  'length is greater than 15, remove the middle character',
  "prefix is 'aa', remove the first character",
  "prefix is 'ab', replace it with 'ca'",
  "prefix is 'bc', delete the first two characters and append 'aa' to the end",
  "prefix is 'ca', replace it with 'bb' and append 'c' to the end",
  "prefix is 'cb', replace it with 'aa' and delete the last character",
  "starts with 'ac', replace the first two characters with 'zz'",
  "starts with 'bb', remove the second character",
  "starts with 'cc', remove the first two characters",
  "suffix is 'ac', replace it with 'cb'",
  "suffix is 'bb', delete the last two characters",
  "suffix is 'cc', replace it with 'b' and prepend 'a' to the start",
].map((operation) => `If the string ${operation}.`);

const kOperationsOfOne = 6;
const kLength = { least: 10, most: 20 };
/** Operations that are applied until none can be; the published questions take 4 to 14. */
const kApplied = { least: 4, most: 14 };

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
  const [, condition = '', action = ''] = /^If the string (.*?), (.*)\.$/.exec(operation) ?? [];
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

/** The texts from the original to the one to which no operation applies; undefined when `most` operations are not enough. */
export function rewritten(
  original: string,
  operations: readonly string[],
  most: number,
): readonly string[] | undefined {
  const texts = [original];
  for (;;) {
    const text = texts.at(-1)!;
    const next = operations.map((operation) => operated(operation, text)).find((done) => done !== undefined);
    if (next === undefined) return texts;
    if (texts.length > most) return undefined;
    texts.push(next);
  }
}

/** Six operations on a random text of a, b and c; undefined where they end too soon, too late or not at all. */
export function drawRewriting(random: Random): Draw<Record<string, unknown>> | undefined {
  const operations = random.sample(kOperations, kOperationsOfOne);
  const length = random.integer(kLength.least, kLength.most);
  const original = Array.from({ length }, () => random.choice(['a', 'b', 'c'])).join('');
  const texts = rewritten(original, operations, kApplied.most);
  const answer = texts?.at(-1) ?? '';
  if (texts === undefined || texts.length <= kApplied.least || answer === '') return undefined;
  return {
    content: `${original}\n${operations.join('\n')}`,
    instance: {},
    prompts: [
      [
        'Cycle through the following operations one at a time until no further operations can be performed; after each operation that',
        'was applied, start again with the first:',
        '',
        ...operations.map((operation, i) => `${i + 1}. ${operation}`),
        '',
        `For the string "${original}", what is the final string after performing all operations?`,
        '',
        'Give it as your final answer between <<< and >>>, for example <<<"abc">>>.',
      ].join('\n'),
    ],
    answer,
  };
}
