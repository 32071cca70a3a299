/**
 * Questions of the SymBench tasks string_synthesis, string_splitting and synthesis_decomposition: see records.ts.
 *
 * All three apply exchanges in turn until none is possible. The last two say that a method is used once a cycle; the first
 * says only "cycle through", and its stored answers use a method as often as it goes before the next one.
 */
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

/** What an exchange takes and gives, by the place in the list of counts. */
type Exchange = readonly [takes: Readonly<Record<number, number>>, gives: Readonly<Record<number, number>>];

const kNumbers: Readonly<Record<string, number>> = { one: 1, single: 1, two: 2 };

/** How many of each kind a text names, by the kind's place in `kinds`; `pattern` finds a number and a kind. */
function namedIn(text: string, pattern: RegExp, kinds: readonly string[]): Record<number, number> {
  return Object.fromEntries(
    [...text.matchAll(pattern)].map(([, number = '', kind = '']) => {
      const place = kinds.indexOf(kind);
      const count = kNumbers[number.toLowerCase()] ?? Number(number);
      if (place < 0 || Number.isNaN(count))
        throw new Error(`expected a number of things, found ${number} ${kind}`);
      return [place, count];
    }),
  );
}

/** The exchanges of a question, one a match of `line` (what is taken, what is given). */
function exchangesIn(text: string, line: RegExp, pattern: RegExp, kinds: readonly string[]): Exchange[] {
  const found = [...text.matchAll(line)].map(
    ([, takes = '', gives = '']): Exchange => [
      namedIn(takes, pattern, kinds),
      namedIn(gives, pattern, kinds),
    ],
  );
  if (found.some((sides) => sides.some((side) => Object.keys(side).length === 0)) || found.length === 0) {
    throw new Error(`expected exchanges like ${line}, found ${JSON.stringify(text)}`);
  }
  return found;
}

/** The counts after the exchanges were used in turn until none is possible. */
function exchanged(start: readonly number[], exchanges: readonly Exchange[], once: boolean): number[] {
  const counts = [...start];
  for (let used = true; used; ) {
    used = false;
    for (const [takes, gives] of exchanges) {
      while (Object.entries(takes).every(([i, n]) => counts[Number(i)]! >= n)) {
        for (const [i, n] of Object.entries(takes)) counts[Number(i)]! -= n;
        for (const [i, n] of Object.entries(gives)) counts[Number(i)]! += n;
        used = true;
        if (once) break;
      }
    }
  }
  return counts;
}

const kBlocks = ['[A]', '[B]', '[C]', '{A}', '{B}', '{C}', '(A)', '(B)', '(C)'];

const stringSynthesis: SymbenchSource = {
  task: 'string_synthesis',
  files: ['string_synthesis'],
  read(record) {
    const found = publishedIn<{ final_counts: number[] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const start = groupsIn(text, /we now have ([0-9]+) \[A\], ([0-9]+) \[B\], and ([0-9]+) \[C\]/).map(
      Number,
    );
    const recipes = exchangesIn(
      text,
      /^[0-9]\. (.*) can be combined to form (.*)\.$/gm,
      /(one|two) ([[({][ABC][\])}])/gi,
      kBlocks,
    );
    return {
      content: start.join(' '),
      prompt: text,
      published: solution.final_counts.join(' '),
      recomputed: exchanged([...start, 0, 0, 0, 0, 0, 0], recipes, false).join(' '),
      meta: {},
    };
  },
};

const written = (counts: readonly (number | string)[]): string => `[${counts.join(', ')}]`;

const kParts = ['A', 'B', 'C', 'X', 'Y', 'Z'];

const stringSplitting: SymbenchSource = {
  task: 'string_splitting',
  files: ['string_splitting'],
  read(record) {
    const found = publishedIn<{ expected_answer: string[] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const start = groupsIn(
      text,
      /there are ([0-9]+) units of Machine A, ([0-9]+) units of Machine B, and ([0-9]+) units of Machine C/,
    ).map(Number);
    // Each method is worded in one of three ways, with one of these verbs between what it takes and what it gives.
    const methods = exchangesIn(
      text,
      /^Method [0-9]: (.*?) (?:yields|produces|results in|creates|merge to form|breaks? down into|can be \w+ into) (.*)\.$/gm,
      /(one|two|single) (?:units? of )?(?:machine|part)s? ([A-Z])/gi,
      kParts,
    );
    return {
      content: start.join(' '),
      prompt: text,
      published: written(solution.expected_answer),
      recomputed: written(exchanged([...start, 0, 0, 0], methods, true)),
      meta: {},
    };
  },
};

const kGoods = ['A', 'B', 'C', 'X', 'Y'];

const kNamedGoods = /([0-9]+) units? of (?:crop|product) ([A-Z])/g;

const synthesisDecomposition: SymbenchSource = {
  task: 'synthesis_decomposition',
  files: ['synthesis_decomposition_dataset'],
  read(record) {
    const found = publishedIn<{ solution: { answer: string[] } }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [initially = ''] = groupsIn(text, /^Initially there are (.*)$/m);
    const methods = exchangesIn(
      text,
      /^Method [0-9]: (.*) can be exchanged for (.*), and this/gm,
      kNamedGoods,
      kGoods,
    );
    // `showing [remaining_A, remaining_B, obtained_X]` says which of the goods are asked for.
    const [asked = ''] = groupsIn(text, /as a list showing \[(.*?)\]/);
    const places = asked.split(', ').map((name) => kGoods.indexOf(name.at(-1)!));
    const crops = namedIn(initially, kNamedGoods, kGoods);
    const start = kGoods.map((_, i) => crops[i] ?? 0);
    const end = exchanged(start, methods, true);
    return {
      content: JSON.stringify([start, methods]),
      prompt: text,
      published: written(places.map((i) => solution.solution.answer[i]!)),
      recomputed: written(places.map((i) => end[i]!)),
      meta: {},
    };
  },
};

export const countSources: readonly SymbenchSource[] = [
  stringSynthesis,
  stringSplitting,
  synthesisDecomposition,
];
