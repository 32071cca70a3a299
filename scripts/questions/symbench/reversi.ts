/**
 * Questions of the SymBench task reversi: see records.ts.
 *
 * The published text shows, as the board before the moves, the board after them, so that copying it is right and the moves
 * fall on taken cells. Here it shows the board from which the moves lead to the published answer: that on which a game
 * begins. Nothing else of the text is changed.
 */
import {
  afterMoves,
  boardAsAnswer,
  type Cell,
  reversiContent,
  startingBoard,
} from '../../../lib/tasks/suites/symbench/reversi.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

export const reversiSource: SymbenchSource = {
  task: 'reversi',
  files: ['reversi_dataset'],
  read(record) {
    const found = publishedIn<{ solution: string }>(record);
    if (found === null) return null;
    const {
      text,
      solution: { solution },
    } = found;
    const [size = '', before = '', shown = '', rounds = '', after = ''] = groupsIn(
      text,
      /^(?=.*Given: n=([0-9]+), you play black)(.*The previous round of the game was: \n)([01*\n]+?)\n\n(.*?)\n\n(Please write.*)$/s,
    );
    const moves = rounds.split('\n').map((line, i): Cell => {
      const who = i % 2 === 0 ? 'Your' : 'The opponent';
      const [row, column] = groupsIn(
        line,
        new RegExp(`^Round ${i + 1}: ${who}'s .* is \\((\\d+),(\\d+)\\)$`),
      );
      return [Number(row), Number(column)];
    });
    const board = startingBoard(Number(size));
    const result = afterMoves({ board, moves });
    if (result === undefined || shown !== result.join('\n')) {
      throw new Error(`${record.id}: expected the board after the moves, found ${JSON.stringify(shown)}`);
    }
    return {
      content: reversiContent({ board, moves }),
      prompt: `${before}${board.join('\n')}\n\n${rounds}\n\n${after}`,
      published: solution,
      recomputed: boardAsAnswer(result),
      meta: {},
    };
  },
};
