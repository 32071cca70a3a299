/**
 * Small integer matrices: determinant, product, transpose, power.
 *
 * Matrices are written as nested lists of rows, `[[1, 2], [3, 4]]`. Sizes and entries are bounded so that every result is
 * exact in double arithmetic.
 */
import { compareInteger, compareList } from './answer.ts';
import { type Given, type OptionRule, resolveOptions } from './options.ts';
import type { Random } from './random.ts';
import { type ProceduralTask, proceduralTask } from './task.ts';

type Matrix = number[][];

interface MatrixInstance extends Record<string, unknown> {
  kind: 'determinant' | 'product' | 'transpose' | 'square';
  a: Matrix;
  /** The right factor of 'product'; empty otherwise. */
  b: Matrix;
}

/** The determinant by expansion along the first row; exact for small integer matrices. */
export function determinant(m: Matrix): number {
  if (m.length === 1) return m[0]![0]!;
  let total = 0;
  for (let column = 0; column < m.length; column++) {
    const minor = m.slice(1).map((row) => row.filter((_, c) => c !== column));
    total += (column % 2 === 0 ? 1 : -1) * m[0]![column]! * determinant(minor);
  }
  return total;
}

/** The matrix product a b of [n, k] and [k, m]. */
export function matrixProduct(a: Matrix, b: Matrix): Matrix {
  return a.map((row) => b[0]!.map((_, c) => row.reduce((total, x, k) => total + x * b[k]![c]!, 0)));
}

function write(m: Matrix): string {
  return `[${m.map((row) => `[${row.join(', ')}]`).join(', ')}]`;
}

function randomMatrix(
  random: Random,
  rows: number,
  columns: number,
  entry: readonly [number, number],
): Matrix {
  return Array.from({ length: rows }, () => Array.from({ length: columns }, () => random.integer(...entry)));
}

const kMatrixRules = {
  size: { range: [2, 4], limits: [2, 6] },
  entry: { range: [-9, 9], limits: [-99, 99] },
  kinds: { kinds: ['determinant', 'product', 'transpose', 'square'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `matrix`: number of rows and columns, entries, kinds. */
export type MatrixOptions = Given<typeof kMatrixRules>;

/** Determinants, products, transposes and squares of integer matrices. */
export function matrix(options: MatrixOptions = {}): ProceduralTask {
  const { size, entry, kinds } = resolveOptions('matrix', kMatrixRules, options);
  return proceduralTask<MatrixInstance>({
    generator: 'matrix',
    name: options.name,
    description: 'determinant, product, transpose or square of integer matrices',
    draw(random) {
      const kind = random.choice(kinds);
      const n = random.integer(...size);
      const k = random.integer(...size);
      const square = kind === 'determinant' || kind === 'square';
      const a = randomMatrix(random, n, square ? n : k, entry);
      const b = kind === 'product' ? randomMatrix(random, k, random.integer(...size), entry) : [];
      const format = 'Answer as a list of rows like [[1, 2], [3, 4]].';
      const drawn = {
        determinant: () => ({
          prompts: [
            `What is the determinant of the matrix ${write(a)}?`,
            `Compute the determinant of ${write(a)}.`,
          ],
          answer: String(determinant(a)),
        }),
        product: () => ({
          prompts: [
            `Multiply the matrices A = ${write(a)} and B = ${write(b)}. What is A B? ${format}`,
            `Compute the matrix product of ${write(a)} and ${write(b)}. ${format}`,
          ],
          answer: write(matrixProduct(a, b)),
        }),
        transpose: () => ({
          prompts: [
            `Transpose the matrix ${write(a)}. ${format}`,
            `What is the transpose of ${write(a)}? ${format}`,
          ],
          answer: write(a[0]!.map((_, c) => a.map((row) => row[c]!))),
        }),
        square: () => ({
          prompts: [
            `What is the square of the matrix ${write(a)}? ${format}`,
            `Compute A A for A = ${write(a)}. ${format}`,
          ],
          answer: write(matrixProduct(a, a)),
        }),
      }[kind]();
      return { content: `${kind} ${write(a)} ${write(b)}`, instance: { kind, a, b }, ...drawn };
    },
    compare: (expected, answer, { kind }) =>
      kind === 'determinant' ? compareInteger(expected, answer) : compareList(expected, answer),
    solutions: [
      ({ kind, a, b }) =>
        ({
          determinant: `def det(m):\n    if not m:\n        return 1\n    return sum((-1) ** j * m[0][j] * det([r[:j] + r[j+1:] for r in m[1:]]) for j in range(len(m)))\nprint(det(${write(a)}))`,
          product: `a = ${write(a)}\nb = ${write(b)}\nprint([[sum(x * y for x, y in zip(r, c)) for c in zip(*b)] for r in a])`,
          transpose: `print([list(c) for c in zip(*${write(a)})])`,
          square: `a = ${write(a)}\nprint([[sum(x * y for x, y in zip(r, c)) for c in zip(*a)] for r in a])`,
        })[kind],
    ],
  });
}
