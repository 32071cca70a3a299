/** Questions of the SymBench task game24: see records.ts. The source is a table, one puzzle a line. */
import { solveFourNumbers } from '../../../lib/tasks/game24.ts';
import { game24Prompt } from '../../../lib/tasks/suites/symbench/game24.ts';
import type { SymbenchRecord, SymbenchSource } from './records.ts';

/** The lines of game24.csv as records; the column `Puzzles` holds four numbers. */
export function game24Records(table: string): SymbenchRecord[] {
  const [head = '', ...lines] = table.split(/\r?\n/).filter((line) => line !== '');
  const column = head.split(',').indexOf('Puzzles');
  if (column === -1) throw new Error(`expected a column Puzzles in game24.csv, found ${head}`);
  return lines.map((line, i) => ({
    id: `game24/${i + 1}`,
    files: { 'puzzle.txt': line.split(',')[column] ?? '' },
  }));
}

export const game24Source: SymbenchSource = {
  task: 'game24',
  files: ['game24'],
  read({ id, files }) {
    const numbers = (files['puzzle.txt'] ?? '').split(' ').map(Number);
    if (numbers.length !== 4 || !numbers.every((n) => Number.isInteger(n) && n > 0)) {
      throw new Error(`${id}: expected four numbers, found ${JSON.stringify(files['puzzle.txt'])}`);
    }
    const answer = solveFourNumbers(numbers, 24);
    if (answer === undefined) throw new Error(`${id}: ${numbers.join(' ')} cannot make 24`);
    return {
      content: [...numbers].sort((a, b) => a - b).join(' '),
      prompt: game24Prompt({ numbers }),
      published: answer,
      recomputed: answer,
      meta: { numbers },
    };
  },
};
