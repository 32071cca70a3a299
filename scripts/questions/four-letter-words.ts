/**
 * Writes lib/tasks/suites/reasoning-gym/four-letter-words.ts from the word list of the Python package reasoning-gym
 * (Apache-2.0), reasoning_gym/data/words.csv: a wheel is a zip, so with one at hand
 *
 *   unzip -p reasoning_gym-0.1.25-py3-none-any.whl reasoning_gym/data/words.csv > words.csv
 *   npx tsx scripts/questions/four-letter-words.ts words.csv
 */
import { readFileSync, writeFileSync } from 'node:fs';

const path = process.argv[2];
if (path === undefined) throw new Error('expected the path of words.csv');
const [header = '', ...rows] = readFileSync(path, 'utf8').split(/\r?\n/);
const column = header.split(',').indexOf('4_letter');
if (column < 0) throw new Error(`expected a column 4_letter in ${path}, found ${header}`);
const words = [...new Set(rows.map((row) => (row.split(',')[column] ?? '').toUpperCase()))]
  .filter((word) => word !== '')
  .sort();
const odd = words.find((word) => !/^[A-Z]{4}$/.test(word));
if (odd !== undefined) throw new Error(`expected words of four letters, found ${JSON.stringify(odd)}`);
const lines = Array.from({ length: Math.ceil(words.length / 25) }, (_, i) =>
  words.slice(25 * i, 25 * (i + 1)).join(''),
);
writeFileSync(
  new URL('../../lib/tasks/suites/reasoning-gym/four-letter-words.ts', import.meta.url),
  `/**
 * The ${words.length} words of four letters that Reasoning-Gym's word_ladder knows, in alphabetical order without separators.
 * Made by scripts/questions/four-letter-words.ts from data/words.csv of reasoning-gym 0.1.25 (Apache-2.0, the Open-Thought
 * community); do not edit.
 */
const words = \`
${lines.join('\n')}
\`;

export const fourLetterWords: ReadonlySet<string> = new Set(words.match(/[A-Z]{4}/g));
`,
);
