/**
 * Rush hour: slide cars and lorries on a board of 6 x 6 until the red car AA stands at the exit on the right.
 *
 * A board is 36 cells row by row: `o` empty, `x` a wall, any other letter a piece. The question shows the pieces as A, B, C,
 * ... in the order of their letters; answers use those. Every move of an answer must be possible in full: the package skips
 * what is blocked and whatever is no move, so that a long list of random moves may arrive.
 */
import { accepted, rejected, screenAnswer } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { isText, metaValue } from './meta.ts';

const kSide = 6;
/** The cell of the red car's left end when it is at the exit. */
const kExit = 16;

/** A car or lorry: the cell of its upper or left end, its length, and the step between its cells (1 or 6). */
export interface Piece {
  readonly at: number;
  readonly length: number;
  readonly step: number;
}

export interface Board {
  readonly pieces: readonly Piece[];
  readonly walls: readonly number[];
}

/** Reads a board; throws RangeError where the text is none. */
export function readBoard(text: string): Board {
  const cells = new Map<string, number[]>();
  for (const [i, letter] of [...text].entries()) {
    if (letter !== 'o') cells.set(letter, [...(cells.get(letter) ?? []), i]);
  }
  const walls = cells.get('x') ?? [];
  cells.delete('x');
  const pieces = [...cells.keys()].sort().map((letter) => {
    const [at, second, third] = cells.get(letter)! as [number, number?, number?];
    const length = cells.get(letter)!.length;
    const step = (second ?? at) - at;
    const isLine = (step === 1 || step === kSide) && (third === undefined || third === at + 2 * step);
    const isInRow = step !== 1 || Math.floor(at / kSide) === Math.floor((at + length - 1) / kSide);
    if (length < 2 || length > 3 || !isLine || !isInRow) {
      throw new RangeError(`readBoard: expected pieces of two or three cells in a line, found ${text}`);
    }
    return { at, length, step };
  });
  if (text.length !== kSide * kSide || pieces[0]?.step !== 1) {
    throw new RangeError(
      `readBoard: expected ${kSide * kSide} cells with the red car in a row, found ${text}`,
    );
  }
  return { pieces, walls };
}

/** The cell of every piece's upper or left end, in the order of the pieces. */
export type Positions = readonly number[];

export function startOf({ pieces }: Board): number[] {
  return pieces.map(({ at }) => at);
}

/** Which cells are taken: 1 by a piece or a wall, 0 free. */
export function takenCells({ pieces, walls }: Board, positions: Positions): Uint8Array {
  const taken = new Uint8Array(kSide * kSide);
  for (const wall of walls) taken[wall] = 1;
  for (const [i, { length, step }] of pieces.entries()) {
    for (let n = 0; n < length; n++) taken[positions[i]! + n * step] = 1;
  }
  return taken;
}

/** The cell that a piece at `at` enters when it moves by one (right or down where `ahead`), or -1 beyond the edge. */
export function nextCell({ length, step }: Piece, at: number, ahead: boolean): number {
  const next = ahead ? at + length * step : at - step;
  if (next < 0 || next >= kSide * kSide) return -1;
  return step === 1 && Math.floor(next / kSide) !== Math.floor(at / kSide) ? -1 : next;
}

/** Whether the red car stands at the exit. */
export function isAtExit(positions: Positions): boolean {
  return positions[0] === kExit;
}

export const rushHour: SuiteTask = {
  name: 'rush_hour',
  description: 'moves that lead the red car to the exit, as "B+1 A+3"',
  metaKeys: ['board_config'],
  verify(question, answer) {
    const board = readBoard(metaValue(question, 'board_config', isText, 'a board'));
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const positions = startOf(board);
    const taken = takenCells(board, positions);
    for (const [text] of screened.matchAll(/[^ \t\r\n,]+/g)) {
      const match = /^([A-Z])([+-])([1-5])$/.exec(text);
      if (match === null) return rejected('not moves like B+1 separated by blanks');
      const [, letter, sign, distance] = match as unknown as [string, string, string, string];
      const i = letter.charCodeAt(0) - 65;
      const piece = board.pieces[i];
      if (piece === undefined) return rejected(`there is no piece ${letter}`);
      const ahead = sign === '+';
      for (let n = 0; n < Number(distance); n++) {
        const at = positions[i]!;
        const next = nextCell(piece, at, ahead);
        if (next < 0 || taken[next] === 1) return rejected(`${letter} is blocked when ${text} is tried`);
        taken[next] = 1;
        taken[ahead ? at : at + (piece.length - 1) * piece.step] = 0;
        positions[i] = at + (ahead ? piece.step : -piece.step);
      }
    }
    return isAtExit(positions) ? accepted : rejected('the red car is not at the exit');
  },
};
