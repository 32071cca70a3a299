/**
 * SymBench tasks whose answer is a matrix: pooling, light_puzzles, matrix_transformation, 2048.
 *
 * The canonical answer lists the cells row by row. An answer may be flat, or hold each row in brackets; rows in brackets
 * must have the right length. Line ends count as blanks.
 */
import { accepted, rejected, type Verdict } from '../../answer.ts';
import { listOf, readList } from '../lists.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { compareDecimal } from './decimals.ts';

/** What is known of a matrix besides its cells. */
export type MatrixMeta = Readonly<{ columns: number }>;

interface MatrixRules {
  name: string;
  description: string;
  equal: (expected: string, found: string) => boolean;
  /** Cells may stand side by side, as whole rows or as the whole matrix: `01` and `10` for 0, 1, 1, 0. */
  joined?: boolean;
}

/** The cells of a list of whole rows, or of the whole matrix in one item; undefined where it is neither. */
function splitJoined(items: readonly string[], columns: number, cells: number): string[] | undefined {
  const text = items.join('');
  const length = text.length / items.length;
  if (text.length !== cells || (length !== columns && length !== cells)) return undefined;
  return items.every((item) => item.length === length) ? [...text] : undefined;
}

function matrixTask({ name, description, equal, joined = false }: MatrixRules): SuiteTask<MatrixMeta> {
  return {
    name,
    description,
    metaKeys: ['columns'],
    verify({ answer: expected, meta: { columns } }, answer): Verdict {
      const cells = readList(expected, kLongestAnswer)!.items;
      const found = listOf(answer, cells.length);
      if ('correct' in found) return found;
      if (found.rows?.some((row) => row !== columns)) {
        return rejected(`a row in brackets does not have ${columns} cells`);
      }
      const items =
        joined && found.rows === undefined && found.items.length < cells.length
          ? splitJoined(found.items, columns, cells.length)
          : found.items;
      if (items?.length !== cells.length) return rejected(`not ${cells.length} cells`);
      const wrong = cells.findIndex((cell, i) => !equal(cell, items[i]!));
      return wrong < 0 ? accepted : rejected(`cell ${wrong + 1} is wrong`);
    },
  };
}

const sameText = (expected: string, found: string): boolean => expected === found;

export const matrixTasks: readonly SuiteTask<MatrixMeta>[] = [
  matrixTask({
    name: 'pooling',
    description: 'maximum or average of every window of a matrix',
    equal: (expected, found) => compareDecimal(expected, found).correct,
  }),
  matrixTask({
    name: 'light_puzzles',
    description: 'a grid of lights after several buttons were pressed',
    equal: sameText,
    joined: true,
  }),
  matrixTask({
    name: 'matrix_transformation',
    description: 'a matrix of characters, turned by 90 degrees',
    equal: sameText,
  }),
  matrixTask({
    name: '2048',
    description: 'a grid of powers of two after one tile was moved',
    equal: sameText,
  }),
];
