/**
 * Canonical answers of the Reasoning-Gym tasks for which the package states none because there are many: the package's
 * example where it is right, for rush_hour a shortest solution found here (breadth first; boards have at most some 20,000
 * positions). Undefined where no answer can be right or wrong: premises from which nothing follows, a cube that the
 * scramble leaves solved.
 */
import { propositionalLogic } from '../../lib/tasks/suites/reasoning-gym/propositional-logic.ts';
import { isSolvedAfter } from '../../lib/tasks/suites/reasoning-gym/rubiks-cube.ts';
import {
  type Board,
  isAtExit,
  nextCell,
  readBoard,
  takenCells,
} from '../../lib/tasks/suites/reasoning-gym/rush-hour.ts';

/** A solution with the fewest moves, a move being a piece that slides any number of cells; undefined if there is none. */
export function solveRushHour(start: Board): string | undefined {
  const key = ({ pieces }: Board) => String.fromCharCode(...pieces.map(({ at }) => at));
  const seen = new Set([key(start)]);
  const queue: { board: Board; move: string; before: number }[] = [{ board: start, move: '', before: -1 }];
  for (let head = 0; head < queue.length; head++) {
    const { board } = queue[head]!;
    if (isAtExit(board)) {
      const moves: string[] = [];
      for (let at = head; at > 0; at = queue[at]!.before) moves.push(queue[at]!.move);
      return moves.reverse().join(' ');
    }
    const taken = takenCells(board);
    for (let i = 0; i < board.pieces.length; i++) {
      for (const ahead of [true, false]) {
        let piece = board.pieces[i]!;
        for (let distance = 1; ; distance++) {
          const next = nextCell(piece, ahead);
          if (next < 0 || taken[next] === 1) break;
          piece = { ...piece, at: piece.at + (ahead ? piece.step : -piece.step) };
          const moved = { ...board, pieces: board.pieces.with(i, piece) };
          if (seen.has(key(moved))) continue;
          seen.add(key(moved));
          const move = `${String.fromCharCode(65 + i)}${ahead ? '+' : '-'}${distance}`;
          queue.push({ board: moved, move, before: head });
        }
      }
    }
  }
  return undefined;
}

/** The canonical answer of a record (a line of reasoning-gym/<task>.jsonl) whose own answer is null, if it has one. */
export function exampleAnswer(record: Record<string, unknown>): string | undefined {
  const meta = record.metadata as Record<string, unknown>;
  switch (record.task) {
    case 'graph_color':
      return JSON.stringify(meta.possible_answer);
    case 'propositional_logic': {
      const premises = meta.premises as readonly string[];
      const candidates = [String(meta.example_answer), premises.map((premise) => `(${premise})`).join(' ∧ ')];
      const question = { id: String(record.id), prompt: String(record.question), answer: '', meta };
      return candidates.find((answer) => propositionalLogic.verify(question, answer).correct);
    }
    case 'rubiks_cube':
      return isSolvedAfter(Number(meta.cube_size), String(meta.scramble_moves)) === true
        ? undefined
        : String(meta.example_correct_answer);
    case 'rush_hour':
      return solveRushHour(readBoard(String(meta.board_config)));
    default:
      throw new TypeError(`expected a task with many right answers, found ${JSON.stringify(record.task)}`);
  }
}
