/** Questions of the SymBench task standard_sudoku: see records.ts. */
import { publishedIn, type SymbenchSource } from './records.ts';

export const standardSudokuSource: SymbenchSource = {
  task: 'standard_sudoku',
  files: ['standard_sudoku'],
  read(record) {
    const found = publishedIn<{ solution: number[][] }>(record);
    if (found === null) return null;
    const {
      text,
      solution: { solution },
    } = found;
    const grid = text
      .split('\n')
      .filter((line) => /^[1-9 ](?:,[1-9 ]){8}$/.test(line))
      .map((line) => line.replaceAll(',', '').replaceAll(' ', '.'));
    if (grid.length !== 9) throw new Error(`${record.id}: expected nine rows, found ${grid.length}`);
    const answer = `[${solution.map((row) => `[${row.join(', ')}]`).join(', ')}]`;
    return { content: grid.join('/'), prompt: text, published: answer, recomputed: answer, meta: { grid } };
  },
};
