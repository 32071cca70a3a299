/** Filtering by hand, on a fixture: the file that a person edits, and what is read back. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readLines } from '../lib/run/directory.ts';
import { applyReview, writeReview } from '../lib/synthesize/review.ts';
import { temporaryFolder } from './support/runs.ts';

const temporary = temporaryFolder();
test.after.always(() => temporary.remove());
const at = (name: string) => join(temporary.path, name);

test('a review is written with open decisions, edited, and read back without the lines that were refused', async (t) => {
  const rows = ['one', 'two', 'three'].map((question, i) => ({
    question,
    answer: String(i),
    solution: `It is ${i}.`,
  }));
  const solutions = at('solutions.jsonl');
  writeFileSync(solutions, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const review = at('review.jsonl');
  t.is(await writeReview(solutions, review), 3);
  t.true(readFileSync(review, 'utf8').startsWith('{"keep":null,"note":"","question":"one"'));
  await t.throwsAsync(writeReview(solutions, review), { code: 'ERR_USAGE', message: /is there already/ });
  await t.throwsAsync(applyReview(review, at('out.jsonl')), {
    message: /review\.jsonl:1: expected keep to be true or false, found null/,
  });

  const decided = readFileSync(review, 'utf8')
    .replace('null', 'true')
    .replace('"keep":null,"note":""', '"keep":false,"note":"the problem has no answer"')
    .replace('null', 'true');
  writeFileSync(review, decided);
  t.deepEqual(await applyReview(review, at('out.jsonl')), { kept: 2, dropped: 1 });
  t.deepEqual(readLines(at('out.jsonl')), [rows[0], rows[2]]);
  await t.throwsAsync(writeReview(review, at('twice.jsonl')), {
    message: /expected a line that has no keep yet/,
  });
});
