/**
 * Questions of the SymBench task logic_puzzle: see records.ts.
 *
 * Some stored choices break the question's own rule. Where another choice keeps it, that is the answer; where none does, the
 * record is no question.
 */
import { brokenChoice, type LogicPuzzleMeta } from '../../../lib/tasks/suites/symbench/logic_puzzle.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

type Cell = [row: number, column: number];

/** The first choice that keeps the rules, by trying all; for small grids. */
function choose(meta: LogicPuzzleMeta): Cell[] | undefined {
  const { grid, count, first } = meta;
  const others = grid.flatMap((line, row) =>
    line.flatMap((_, column): Cell[] => (row === first[0] && column === first[1] ? [] : [[row, column]])),
  );
  const extend = (chosen: Cell[], from: number): Cell[] | undefined => {
    if (chosen.length === count) return brokenChoice(meta, chosen) === undefined ? chosen : undefined;
    for (let i = from; i < others.length; i++) {
      const found = extend([...chosen, others[i]!], i + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return extend([[...first]], 0);
}

/** The rule in the question's words. */
const kRules = {
  sum_le_4: 'sum of the selected numbers in each row and each column should be less than or equal to 4',
  product_gt_0: 'product of each row and column of the selected number must be greater than 0',
} as const;

export const logicPuzzleSource: SymbenchSource = {
  task: 'logic_puzzle',
  files: ['logic_puzzle_dataset'],
  read(record) {
    const found = publishedIn<{ solution: Cell[] }>(record);
    if (found === null) return null;
    const {
      text,
      solution: { solution },
    } = found;
    const [count, value, row, column] = groupsIn(
      text,
      /must select ([0-9]+) different numbers.*Using the number (-?[0-9]+) in the top-rightmost square \(([0-9]+),([0-9]+)\)/s,
    ).map(Number) as [number, number, number, number];
    const grid = text
      .split('\n')
      .filter((line) => /^-?[0-9]+(?:, -?[0-9]+)+$/.test(line))
      .map((line) => line.split(', ').map(Number));
    const rule = text.includes(kRules.sum_le_4) ? 'sum_le_4' : 'product_gt_0';
    if (!text.includes(kRules[rule])) throw new Error(`${record.id}: expected one of two rules`);
    if (grid.some((line) => line.length !== grid.length) || grid[row]?.[column] !== value) {
      throw new Error(`${record.id}: expected a square grid with ${value} at (${row},${column})`);
    }
    const meta: LogicPuzzleMeta = { grid, count, first: [row, column], rule };
    const first = solution.filter(([r, c]) => r === row && c === column);
    const rest = solution
      .filter(([r, c]) => r !== row || c !== column)
      .sort(([a, b], [c, d]) => a - c || b - d);
    const stored = [...first, ...rest];
    if (brokenChoice(meta, stored) !== undefined && grid.length > 4) {
      throw new Error(`${record.id}: the stored choice is wrong, and the grid too large to try all`);
    }
    const cells = brokenChoice(meta, stored) === undefined ? stored : choose(meta);
    if (cells === undefined) return null;
    const shown = (choice: readonly Cell[]) => choice.map((cell) => cell.join(' ')).join(', ');
    return {
      content: `${rule} ${count} ${row},${column} ${grid.map((line) => line.join(' ')).join(' / ')}`,
      prompt: text,
      published: shown(stored),
      recomputed: shown(cells),
      meta,
    };
  },
};
