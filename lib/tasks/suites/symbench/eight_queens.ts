/**
 * SymBench `eight_queens`: complete a board with as many queens as it has rows (8 to 14), none on a blocked cell, none attacking
 * another, the queens already placed kept. Any such board is right.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { readIntegers, satisfied } from './answer-items.ts';

/** The rows of the board: `0` is free, `X` blocked, `1` holds a queen. */
export type EightQueensMeta = { readonly board: readonly string[] };

/** Queens on a board with blocked cells. */
export const eightQueens: SuiteTask<EightQueensMeta> = {
  name: 'eight_queens',
  description: 'queens that do not attack each other, with blocked cells and queens already placed',
  metaKeys: ['board'],
  verify({ meta: { board } }, answer): Verdict {
    const size = board.length;
    const numbers = readIntegers(answer, 2 * size, 2);
    if ('correct' in numbers) return numbers;
    const rows = new Set<number>();
    const columns = new Set<number>();
    const falling = new Set<number>();
    const rising = new Set<number>();
    let kept = 0;
    for (let i = 0; i < size; i++) {
      const row = numbers[2 * i]!;
      const column = numbers[2 * i + 1]!;
      const cell = board[row]?.[column];
      if (cell === undefined) return rejected(`(${row}, ${column}) is not on the board`);
      if (cell === 'X') return rejected(`(${row}, ${column}) is blocked`);
      if (cell === '1') kept += 1;
      rows.add(row);
      columns.add(column);
      falling.add(row - column);
      rising.add(row + column);
    }
    if ([rows, columns, falling, rising].some((line) => line.size < size)) {
      return rejected('two queens attack each other');
    }
    // No two queens share a cell here, so each one that stands on a `1` is another of those placed.
    const placed = board.reduce((sum, row) => sum + row.split('1').length - 1, 0);
    return kept === placed ? satisfied : rejected('a queen that was already placed is missing');
  },
};
