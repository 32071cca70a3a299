/** Questions of the SymBench task eight_queens: see records.ts. */
import { publishedIn, type SymbenchSource } from './records.ts';

export const eightQueensSource: SymbenchSource = {
  task: 'eight_queens',
  files: [
    'eight_queens_dataset',
    'eight_queens_dataset_2',
    'eight_queens_dataset_hard',
    'eight_queens_dataset_varied_complexity',
  ],
  // The first line of eight_queens_dataset is a table of results and has no question.txt.
  read(record) {
    const found = publishedIn<{ solution: [row: number, column: number][] }>(record);
    if (found === null) return null;
    const {
      text,
      solution: { solution },
    } = found;
    const board = text.split('\n').filter((line) => /^[01X]+$/.test(line));
    if (board.length < 8 || board.some((line) => line.length !== board.length)) {
      throw new Error(`${record.id}: expected a square board, found ${JSON.stringify(board)}`);
    }
    const answer = [...solution]
      .sort(([a], [b]) => a - b)
      .map((cell) => cell.join(' '))
      .join(', ');
    return {
      content: board.join('/'),
      prompt: text,
      published: answer,
      recomputed: answer,
      meta: { board },
    };
  },
};
