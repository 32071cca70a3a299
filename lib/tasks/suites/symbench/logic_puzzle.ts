/**
 * SymBench `logic_puzzle`: choose cells of a grid, the given one among them, whose numbers all differ, such that the sum of the
 * chosen numbers in each row and column is at most 4, or their product is greater than 0. Any such choice is right, in any
 * order; a row or column in which nothing is chosen keeps both rules.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { readIntegers, satisfied } from './answer-items.ts';

/** The grid, how many cells to choose, the one that must be among them (0-based row and column), and the rule. */
export type LogicPuzzleMeta = {
  readonly grid: readonly (readonly number[])[];
  readonly count: number;
  readonly first: readonly [row: number, column: number];
  readonly rule: 'sum_le_4' | 'product_gt_0';
};

type Cell = readonly [row: number, column: number];

/** What is wrong with a choice of cells, or undefined. Products are compared by their sign. */
export function brokenChoice(meta: LogicPuzzleMeta, cells: readonly Cell[]): string | undefined {
  const { grid, count, first, rule } = meta;
  if (cells.length !== count) return `${cells.length} cells, expected ${count}`;
  const seen = new Set<number>();
  const sums = new Map<string, number>();
  const signs = new Map<string, number>();
  for (const [row, column] of cells) {
    const number = grid[row]?.[column];
    if (number === undefined) return `(${row}, ${column}) is not in the grid`;
    if (seen.has(number)) return `the number ${number} is chosen twice`;
    seen.add(number);
    for (const line of [`row ${row}`, `column ${column}`]) {
      sums.set(line, (sums.get(line) ?? 0) + number);
      signs.set(line, (signs.get(line) ?? 1) * Math.sign(number));
    }
  }
  if (!cells.some(([row, column]) => row === first[0] && column === first[1])) {
    return `the cell (${first.join(', ')}) is missing`;
  }
  const lines =
    rule === 'sum_le_4' ? [...sums].filter(([, sum]) => sum > 4) : [...signs].filter(([, s]) => s <= 0);
  return lines.length === 0 ? undefined : `${lines[0]![0]} breaks the rule ${rule}`;
}

/** Choosing cells of a grid of numbers. */
export const logicPuzzle: SuiteTask<LogicPuzzleMeta> = {
  name: 'logic_puzzle',
  description: 'different numbers of a grid, with small sums or positive products in every row and column',
  metaKeys: ['grid', 'count', 'first', 'rule'],
  verify({ meta }, answer): Verdict {
    const numbers = readIntegers(answer, 2 * meta.count, 2);
    if ('correct' in numbers) return numbers;
    const cells = Array.from({ length: meta.count }, (_, i): Cell => [numbers[2 * i]!, numbers[2 * i + 1]!]);
    const broken = brokenChoice(meta, cells);
    return broken === undefined ? satisfied : rejected(broken);
  },
};
