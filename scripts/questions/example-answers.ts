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
  startOf,
  takenCells,
} from '../../lib/tasks/suites/reasoning-gym/rush-hour.ts';

/** A solution with the fewest moves, a move being a piece that slides any number of cells; undefined if there is none. */
export function solveRushHour(board: Board): string | undefined {
  const start = startOf(board);
  // A position is known by one character a piece.
  const seen = new Set([String.fromCharCode(...start)]);
  const queue: { positions: readonly number[]; move: string; before: number }[] = [
    { positions: start, move: '', before: -1 },
  ];
  for (let head = 0; head < queue.length; head++) {
    const { positions } = queue[head]!;
    if (isAtExit(positions)) {
      const moves: string[] = [];
      for (let i = head; i > 0; i = queue[i]!.before) moves.push(queue[i]!.move);
      return moves.reverse().join(' ');
    }
    const taken = takenCells(board, positions);
    const known = String.fromCharCode(...positions);
    for (const [i, piece] of board.pieces.entries()) {
      for (const ahead of [true, false]) {
        let at = positions[i]!;
        for (let distance = 1; ; distance++) {
          const next = nextCell(piece, at, ahead);
          if (next < 0 || taken[next] === 1) break;
          at += ahead ? piece.step : -piece.step;
          const reached = known.slice(0, i) + String.fromCharCode(at) + known.slice(i + 1);
          if (seen.has(reached)) continue;
          seen.add(reached);
          const move = `${String.fromCharCode(65 + i)}${ahead ? '+' : '-'}${distance}`;
          queue.push({ positions: positions.with(i, at), move, before: head });
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
