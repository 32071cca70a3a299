/** SymBench `pattern_recognition`: squares of equal letters in a matrix, and questions with one of them. */
import type { Random } from '../../random.ts';
import type { Draw } from '../../task.ts';

const kLetters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
/** As in the published questions. */
const kSide = { least: 3, most: 5 };
const kSize = { least: 6, most: 15 };

/** For each cell the side of the largest square of equal letters whose bottom right corner it is. */
function squareSides(matrix: readonly (readonly string[])[]): number[][] {
  const sides: number[][] = [];
  for (const [row, line] of matrix.entries()) {
    sides.push([]);
    for (const [column, letter] of line.entries()) {
      const above = matrix[row - 1];
      const equal = above?.[column] === letter && line[column - 1] === letter && above[column - 1] === letter;
      const before = sides[row - 1];
      sides[row]!.push(
        equal ? 1 + Math.min(before![column]!, before![column - 1]!, sides[row]![column - 1]!) : 1,
      );
    }
  }
  return sides;
}

/** The bottom right corners of the largest squares of equal letters. */
export function largestSquares(matrix: readonly (readonly string[])[]): [row: number, column: number][] {
  const sides = squareSides(matrix);
  const largest = Math.max(...sides.flat());
  return sides.flatMap((line, row) =>
    line.flatMap((side, column) => (side === largest ? [[row, column] as [number, number]] : [])),
  );
}

/** A matrix of random letters with one square of equal letters of side 3 or more; undefined where chance made it larger or made another. */
export function drawSquare(random: Random): Draw<Record<string, unknown>> | undefined {
  const side = random.integer(kSide.least, kSide.most);
  const [rows, columns] = [random.integer(kSize.least, kSize.most), random.integer(kSize.least, kSize.most)];
  const matrix = Array.from({ length: rows }, () =>
    Array.from({ length: columns }, () => random.choice(kLetters)),
  );
  const letter = random.choice(kLetters);
  const [top, left] = [random.integer(0, rows - side), random.integer(0, columns - side)];
  for (let row = top; row < top + side; row++) matrix[row]!.fill(letter, left, left + side);
  const corner: [number, number] = [top + side - 1, left + side - 1];
  const sides = squareSides(matrix);
  const isPart = (found: number, row: number, column: number) =>
    row <= corner[0] && column <= corner[1] && row - found + 1 >= top && column - found + 1 >= left;
  const stranger = sides.some((line, row) =>
    line.some((found, column) => found >= kSide.least && !isPart(found, row, column)),
  );
  if (sides[corner[0]]![corner[1]] !== side || stranger) return undefined;
  const lines = matrix.map((line) => line.join(' ')).join('\n');
  return {
    content: lines,
    instance: {},
    prompts: [
      'Given a character matrix, your task is to identify the positions of all squares with a length of at least 3 and output the row and ' +
        'column numbers of the bottom-right corner of these squares. The squares are composed of the same character, and each side has a ' +
        `length of at least 3.\n\nIf the matrix is\n\n${lines}\n\nPlease provide the row and column of the bottom-right vertex of the ` +
        'square in the character matrix with a side length of at least 3 (take the largest square: the answer is unique). Notice: All ' +
        'coordinates start from 0.\n\nYour answer should be in the format <<<[row, column]>>>.',
    ],
    answer: `[${corner.join(', ')}]`,
  };
}
