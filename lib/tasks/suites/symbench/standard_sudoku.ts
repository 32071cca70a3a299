/**
 * SymBench `standard_sudoku`: complete a 9 x 9 grid. Any completion that keeps the rules and the given cells is right.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { readSymbols, satisfied } from './answer-items.ts';

/** The rows of the grid: digits, `.` for an empty cell. */
export type StandardSudokuMeta = { readonly grid: readonly string[] };

/** The cells of the 27 rows, columns and boxes, by index. */
const kUnits: readonly (readonly number[])[] = Array.from({ length: 9 }, (_, unit) => {
  const nine = Array.from({ length: 9 }, (_, i) => i);
  const corner = 27 * Math.floor(unit / 3) + 3 * (unit % 3);
  return [
    nine.map((i) => 9 * unit + i),
    nine.map((i) => 9 * i + unit),
    nine.map((i) => corner + 9 * Math.floor(i / 3) + (i % 3)),
  ];
}).flat();

/** Sudoku. */
export const standardSudoku: SuiteTask<StandardSudokuMeta> = {
  name: 'standard_sudoku',
  description: 'a 9 x 9 sudoku',
  metaKeys: ['grid'],
  verify({ meta }, answer): Verdict {
    const cells = readSymbols(answer, '123456789', 81, 9);
    if (typeof cells !== 'string') return cells;
    const given = meta.grid.join('');
    for (let i = 0; i < 81; i++) {
      if (given[i] !== '.' && given[i] !== cells[i]) return rejected('a given cell was changed');
    }
    for (const unit of kUnits) {
      if (new Set(unit.map((i) => cells[i])).size < 9) {
        return rejected('a digit stands twice in a row, a column or a box');
      }
    }
    return satisfied;
  },
};
