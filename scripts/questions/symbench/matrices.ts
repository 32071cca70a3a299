/** Questions of the SymBench tasks pooling, light_puzzles, matrix_transformation and 2048: see records.ts. */
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

type Grid = readonly (readonly (number | string)[])[];

/** The rows of a matrix that stands between two texts, one row a line. */
function gridIn(text: string, pattern: RegExp, separator: RegExp): string[][] {
  const [lines = ''] = groupsIn(text, pattern);
  return lines.split('\n').map((line) => line.trim().split(separator));
}

/** The cells row by row, `1,2,3,4`: the form that the questions ask for. */
const flat = (grid: Grid): string => grid.map((row) => row.join(',')).join(',');

const pooling: SymbenchSource = {
  task: 'pooling',
  files: ['pooling_dataset'],
  read(record) {
    const found = publishedIn<{ solution: number[][] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [kind = '', size = ''] = groupsIn(text, /perform (max|average) pooling .* a ([0-9]+)\*/);
    const matrix = gridIn(text, /sliding window:\n(.*?)\nFor example/s, /, /).map((row) => row.map(Number));
    const window = Number(size);
    const starts = Array.from({ length: matrix.length - window + 1 }, (_, i) => i);
    const pooled = starts.map((top) =>
      starts.map((left) => {
        const seen = matrix.slice(top, top + window).flatMap((row) => row.slice(left, left + window));
        return kind === 'max' ? Math.max(...seen) : seen.reduce((total, x) => total + x, 0) / seen.length;
      }),
    );
    return {
      content: `${kind} ${window} ${flat(matrix)}`,
      prompt: text,
      published: flat(solution.solution),
      recomputed: flat(pooled),
      meta: { columns: pooled.length },
    };
  },
};

const lightPuzzles: SymbenchSource = {
  task: 'light_puzzles',
  files: ['light_puzzles_dataset'],
  read(record) {
    const found = publishedIn<{ solution: number[] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const lights = gridIn(text, /initial network is:\n(.*?)\n\n/s, /(?=.)/).map((row) => row.map(Number));
    const buttons = new Map(
      [...text.matchAll(/^Button ([A-Z]) controls the lights at (.*)$/gm)].map(
        ([, button = '', places = '']) => [
          button,
          [...places.matchAll(/\["([0-9]+)", "([0-9]+)"\]/g)].map(([, row, column]) => [
            Number(row) - 1,
            Number(column) - 1,
          ]),
        ],
      ),
    );
    const pressed = [...text.matchAll(/^Round [0-9]+: Button ([A-Z])$/gm)].map(([, button = '']) => button);
    const content = JSON.stringify([lights, [...buttons], pressed]);
    for (const button of pressed) {
      for (const [row = 0, column = 0] of buttons.get(button)!) {
        const line = lights[row]!;
        line[column] = 1 - line[column]!;
      }
    }
    return {
      content,
      prompt: text,
      published: solution.solution.join(','),
      recomputed: flat(lights),
      meta: { columns: lights.length },
    };
  },
};

const matrixTransformation: SymbenchSource = {
  task: 'matrix_transformation',
  files: ['matrix_transformation_dataset'],
  read(record) {
    const found = publishedIn<{ formatted_solution: string }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const matrix = gridIn(text, /rotate this matrix 90 degrees clockwise .* is \n(.*?)\.\nWhat is/s, / /);
    const turned = matrix[0]!.map((_, column) => matrix.map((row) => row[column]!).reverse());
    return {
      content: JSON.stringify(matrix),
      prompt: text,
      published: solution.formatted_solution,
      recomputed: flat(turned),
      meta: { columns: matrix.length },
    };
  },
};

const kSteps: Readonly<Record<string, readonly [number, number]>> = {
  u: [-1, 0],
  d: [1, 0],
  l: [0, -1],
  r: [0, 1],
};

const game2048: SymbenchSource = {
  task: '2048',
  files: ['2048_dataset'],
  read(record) {
    const found = publishedIn<{ solution: string }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [place = '', moves = ''] = groupsIn(text, /position \((.*?)\) using the sequence '([udlr]+)'/);
    const grid = gridIn(text, /using the sequence '[udlr]+':\n(.*?)\n\n/s, /, /).map((row) =>
      row.map(Number),
    );
    const content = JSON.stringify([grid, place, moves]);
    let [row = 0, column = 0] = place.split(', ').map((number) => Number(number) - 1);
    for (const move of moves) {
      const [down, right] = kSteps[move]!;
      const to = grid[row + down]?.[column + right];
      const tile = grid[row]![column]!;
      // Against the edge or another tile it stays; an empty start moves nothing.
      if (to === undefined || (to !== 0 && to !== tile)) continue;
      grid[row]![column] = 0;
      row += down;
      column += right;
      grid[row]![column] = to + tile;
    }
    return {
      content,
      prompt: text,
      published: solution.solution,
      recomputed: grid.map((line) => line.join(', ')).join('\n'),
      meta: { columns: grid.length },
    };
  },
};

export const matrixSources: readonly SymbenchSource[] = [
  pooling,
  lightPuzzles,
  matrixTransformation,
  game2048,
];
