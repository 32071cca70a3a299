/**
 * Rubik's cube: a sequence of moves that solves a scrambled cube.
 *
 * A sticker is a point: two of its coordinates are the cubie's, the third is that of its face, one beyond the outermost
 * cubie's. A turn rotates the points of some layers by 90 degrees about an axis, so each move is one permutation of the
 * stickers, made once. Axes: x to the right, y up, z towards the viewer. A cube is solved when each face has one colour,
 * however the whole cube is turned.
 */
import { accepted, rejected, screenAnswer } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { isInteger, isText, metaValue } from './meta.ts';

/** Axis of each turn and its sense about that axis: +1 is counterclockwise seen from the axis' positive end. */
const kTurns: Readonly<Record<string, readonly [axis: 0 | 1 | 2, sense: 1 | -1]>> = {
  R: [0, -1],
  L: [0, 1],
  M: [0, 1],
  X: [0, -1],
  U: [1, -1],
  D: [1, 1],
  E: [1, 1],
  Y: [1, -1],
  F: [2, -1],
  B: [2, 1],
  S: [2, -1],
  Z: [2, -1],
};

/** Whether a turn moves the cubies at `place` (0 to size - 1) along its axis; `wide` takes the second layer too. */
function isTurned(turn: string, wide: boolean, place: number, size: number): boolean {
  const layers = wide ? 2 : 1;
  if ('RUF'.includes(turn)) return place >= size - layers;
  if ('LDB'.includes(turn)) return place < layers;
  return 'XYZ'.includes(turn) || place === (size - 1) / 2;
}

type Point = readonly [number, number, number];

/** The stickers of a cube, face by face. */
function stickers(size: number): Point[] {
  const points: Point[] = [];
  for (const axis of [0, 1, 2]) {
    for (const side of [-1, size]) {
      for (let a = 0; a < size; a++) {
        for (let b = 0; b < size; b++) {
          const point = [a, b];
          point.splice(axis, 0, side);
          points.push(point as unknown as Point);
        }
      }
    }
  }
  return points;
}

/** Where the colour of each sticker comes from when a move is made. */
function permutation(size: number, turn: string, wide: boolean, reversed: boolean): Uint16Array {
  const [axis, sense] = kTurns[turn]!;
  const points = stickers(size);
  const index = new Map(points.map((point, i) => [point.join(), i]));
  const from = Uint16Array.from(points.keys());
  const [a, b] = [(axis + 1) % 3, (axis + 2) % 3] as [number, number];
  for (const [i, point] of points.entries()) {
    const place = Math.min(Math.max(point[axis], 0), size - 1);
    if (!isTurned(turn, wide, place, size)) continue;
    const target = [...point];
    const last = size - 1;
    if (sense === (reversed ? -1 : 1)) [target[a], target[b]] = [last - point[b]!, point[a]!];
    else [target[a], target[b]] = [point[b]!, last - point[a]!];
    from[index.get(target.join())!] = i;
  }
  return from;
}

const kSmallest = 2;
const kLargest = 7;
/** The moves that were read before, by size and notation. */
const known = new Map<number, Map<string, Uint16Array>>();

/** A move of Singmaster's notation as a permutation; undefined where the text is none. */
function readMove(size: number, text: string): Uint16Array | undefined {
  const match = /^(?:([RLUDFB])(w?)|([MESXYZ]))('?)([23]?)$/.exec(text);
  if (match === null) return undefined;
  const turn = match[1] ?? match[3]!;
  if ('MES'.includes(turn) && size % 2 === 0) return undefined;
  const once = permutation(size, turn, match[2] === 'w', match[4] === "'");
  let move = once;
  for (let times = Number(match[5] || 1); times > 1; times--) move = move.map((from) => once[from]!);
  return move;
}

/** A solved cube after some moves separated by blanks, each sticker as the number of its face; undefined for a non-move. */
function cubeAfter(size: number, moves: string): Uint8Array | undefined {
  const read = known.get(size) ?? new Map<string, Uint16Array>();
  known.set(size, read);
  let colors = Uint8Array.from({ length: 6 * size * size }, (_, i) => Math.floor(i / (size * size)));
  let spare = new Uint8Array(colors.length);
  for (const [text] of moves.matchAll(/[^ \t\r\n]+/g)) {
    const move = read.get(text) ?? readMove(size, text);
    if (move === undefined) return undefined;
    read.set(text, move);
    for (let i = 0; i < move.length; i++) spare[i] = colors[move[i]!]!;
    [colors, spare] = [spare, colors];
  }
  return colors;
}

/** Whether moves leave a solved cube of this size solved; undefined where one of them is no move. */
export function isSolvedAfter(size: number, moves: string): boolean | undefined {
  const colors = cubeAfter(size, moves);
  return colors?.every((color, i) => color === colors[i - (i % (size * size))]);
}

export const rubiksCube: SuiteTask = {
  name: 'rubiks_cube',
  description: "moves that solve a Rubik's cube, in Singmaster's notation",
  metaKeys: ['cube_size', 'scramble_moves'],
  verify(question, answer) {
    const size = metaValue(question, 'cube_size', isInteger, 'an integer');
    const scramble = metaValue(question, 'scramble_moves', isText, 'moves');
    if (size < kSmallest || size > kLargest || isSolvedAfter(size, scramble) === undefined) {
      throw new RangeError(
        `question ${question.id}: expected a size from ${kSmallest} to ${kLargest} and moves, found ${size} and ${scramble}`,
      );
    }
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const solved = isSolvedAfter(size, `${scramble} ${screened}`);
    if (solved === undefined) return rejected("not moves like F or R' separated by blanks");
    return solved ? accepted : rejected('the cube is not solved');
  },
};
