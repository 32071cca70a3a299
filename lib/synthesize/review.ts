/**
 * Filtering by hand: a JSONL file gets a `keep` in each line, a person writes true or false there, and what is to be kept is
 * read back. For text solutions before they are rewritten (ReTool's filter by experts), or for traces.
 */
import { existsSync } from 'node:fs';
import { ToolgradError } from '../errors.ts';
import { DataError, readJsonl } from '../tasks/jsonl.ts';
import { writeRows } from './results.ts';

/** Writes the lines of `path` to `review`, each with `keep: null` and an empty `note` in front. Returns how many there are. */
export async function writeReview(path: string, review: string): Promise<number> {
  if (existsSync(review)) {
    throw new ToolgradError(
      'ERR_USAGE',
      `${review} is there already, perhaps with somebody's work in it; give another name`,
    );
  }
  const rows = await readJsonl(path);
  const taken = rows.find(({ fields }) => Object.hasOwn(fields, 'keep'));
  if (taken !== undefined) throw new DataError(path, taken.line, 'expected a line that has no keep yet');
  writeRows(
    review,
    rows.map(({ fields }) => ({ keep: null, note: '', ...fields })),
  );
  return rows.length;
}

/** Writes the lines of `review` with `keep: true`, without `keep` and `note`, to `out`. A line without a decision is an error. */
export async function applyReview(review: string, out: string): Promise<{ kept: number; dropped: number }> {
  const rows = await readJsonl(review);
  const kept: object[] = [];
  for (const { line, fields } of rows) {
    const { keep, note: _, ...rest } = fields;
    if (typeof keep !== 'boolean') {
      throw new DataError(review, line, `expected keep to be true or false, found ${JSON.stringify(keep)}`);
    }
    if (keep) kept.push(rest);
  }
  writeRows(out, kept);
  return { kept: kept.length, dropped: rows.length - kept.length };
}
