/**
 * SymBench `reversi`: play given moves on a board of 4 x 4 or 6 x 6 and report the board. The result is determined by the moves,
 * so an answer is right when its cells are those of the canonical one.
 */
import { accepted, rejected, type Verdict } from '../../answer.ts';
import type { Random } from '../../random.ts';
import type { Draw } from '../../task.ts';
import type { SuiteTask } from '../suite.ts';
import { readSymbols } from './answer-items.ts';

/** A cell by row and column, from 1. */
export type Cell = readonly [row: number, column: number];

/** The board before the moves, row by row (`0` black, `1` white, `*` empty), and the moves; black begins. */
export type ReversiMeta = { readonly board: readonly string[]; readonly moves: readonly Cell[] };

/** The board with which a game begins. */
export function startingBoard(size: number): string[] {
  const empty = '*'.repeat(size / 2 - 1);
  const blank = Array<string>(size / 2 - 1).fill('*'.repeat(size));
  return [...blank, `${empty}10${empty}`, `${empty}01${empty}`, ...blank];
}

/** The board after a move, or undefined when the cell is taken or nothing would be flipped. */
export function afterMove(
  board: readonly string[],
  [row, column]: Cell,
  player: '0' | '1',
): string[] | undefined {
  const other = player === '0' ? '1' : '0';
  const cells = board.map((line) => [...line]);
  if (cells[row - 1]?.[column - 1] !== '*') return undefined;
  let flipped = 0;
  for (const down of [-1, 0, 1]) {
    for (const right of [-1, 0, 1]) {
      let length = 1;
      while (cells[row - 1 + length * down]?.[column - 1 + length * right] === other) length += 1;
      if (cells[row - 1 + length * down]?.[column - 1 + length * right] !== player) continue;
      for (let i = 1; i < length; i++) cells[row - 1 + i * down]![column - 1 + i * right] = player;
      flipped += length - 1;
    }
  }
  if (flipped === 0) return undefined;
  cells[row - 1]![column - 1] = player;
  return cells.map((line) => line.join(''));
}

/** The board after all moves in turn, black first; undefined when one of them is illegal. */
export function afterMoves({ board, moves }: ReversiMeta): string[] | undefined {
  let state: string[] | undefined = [...board];
  for (const [i, move] of moves.entries()) {
    state = state && afterMove(state, move, i % 2 === 0 ? '0' : '1');
  }
  return state;
}

/** A board as an answer: all cells, row by row. */
export function boardAsAnswer(board: readonly string[]): string {
  return [...board.join('')].join(',');
}

/** What makes two questions the same: the board and the moves. */
export function reversiContent({ board, moves }: ReversiMeta): string {
  return `${board.join('/')} ${moves.map((move) => move.join(',')).join(' ')}`;
}

function reversiPrompt({ board, moves }: ReversiMeta): string {
  return [
    `Reversi on a board of ${board.length} x ${board.length} cells. Black pieces are written 0, white pieces 1, empty cells *. The cell (a, b) is in`,
    'row a from the top and column b from the left, both counted from 1.',
    'Black and white take turns. A player puts a piece on an empty cell. Wherever an unbroken line of pieces of the other',
    'colour (in the row, the column or a diagonal) then lies between the new piece and another piece of the player, all',
    'pieces of that line change to the colour of the player.',
    '',
    'The board is now',
    ...board,
    '',
    'These moves follow:',
    ...moves.map(
      ([row, column], i) => `${i + 1}. ${i % 2 === 0 ? 'Black' : 'White'} plays (${row},${column})`,
    ),
    '',
    'Give the board after these moves as your final answer between <<< and >>>: all cells row by row, separated by commas, for',
    'example <<<*,*,*,*,*,1,0,*,*,0,1,*,*,*,*,*>>> for a board of 4 x 4.',
  ].join('\n');
}

/** A random legal move of a player. */
function randomMove(random: Random, board: readonly string[], player: '0' | '1'): Cell | undefined {
  const legal: Cell[] = [];
  for (let row = 1; row <= board.length; row++) {
    for (let column = 1; column <= board.length; column++) {
      if (afterMove(board, [row, column], player) !== undefined) legal.push([row, column]);
    }
  }
  return legal.length === 0 ? undefined : random.choice(legal);
}

/** Reversi; one to four moves from a position six to twelve moves into a game (4 x 4: six). */
export const reversi: SuiteTask = {
  name: 'reversi',
  description: 'the board after given moves of Reversi',
  metaKeys: [],
  verify(question, answer): Verdict {
    const wanted = question.answer.replaceAll(',', '');
    const cells = readSymbols(answer, '01*', wanted.length, Math.sqrt(wanted.length));
    if (typeof cells !== 'string') return cells;
    return cells === wanted ? accepted : rejected('another board');
  },
  generate(random): Draw<ReversiMeta> | undefined {
    const size = random.choice([4, 6, 6, 6]);
    const before = 2 * random.integer(3, size === 4 ? 3 : 6);
    const count = random.integer(1, 4);
    let state = startingBoard(size);
    let board = state;
    const moves: Cell[] = [];
    for (let i = 0; i < before + count; i++) {
      if (i === before) board = state;
      const player = i % 2 === 0 ? '0' : '1';
      const move = randomMove(random, state, player);
      if (move === undefined) return undefined;
      state = afterMove(state, move, player)!;
      if (i >= before) moves.push(move);
    }
    const instance = { board, moves };
    return {
      content: reversiContent(instance),
      instance,
      prompts: [reversiPrompt(instance)],
      answer: boardAsAnswer(state),
    };
  },
};
