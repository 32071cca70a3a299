/**
 * SymBench `permutations_and_combinations`: arrange books A, B, C ... on a shelf. Any order that keeps every constraint is right.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { readSymbols, satisfied } from './answer-items.ts';

/** A constraint on a book: beside another, left or right of it (anywhere), at a position (from 1) or not at it. */
export type ShelfConstraint =
  | readonly [kind: 'adjacent' | 'left' | 'right', book: string, other: string]
  | readonly [kind: 'at' | 'not_at', book: string, position: number];

/** The books, as one text, and the constraints. */
export type PermutationsAndCombinationsMeta = {
  readonly books: string;
  readonly constraints: readonly ShelfConstraint[];
};

function holds(order: string, [kind, book, other]: ShelfConstraint): boolean {
  const place = order.indexOf(book) + 1;
  const where = typeof other === 'number' ? other : order.indexOf(other) + 1;
  switch (kind) {
    case 'adjacent':
      return Math.abs(place - where) === 1;
    case 'left':
      return place < where;
    case 'right':
      return place > where;
    case 'at':
      return place === where;
    case 'not_at':
      return place !== where;
  }
}

/** Books on a shelf. */
export const permutationsAndCombinations: SuiteTask<PermutationsAndCombinationsMeta> = {
  name: 'permutations_and_combinations',
  description: 'an order of books on a shelf that keeps constraints on neighbours and positions',
  metaKeys: ['books', 'constraints'],
  verify({ meta: { books, constraints } }, answer): Verdict {
    const order = readSymbols(answer, books, books.length);
    if (typeof order !== 'string') return order;
    if (new Set(order).size < order.length) return rejected('a book stands twice');
    const broken = constraints.find((constraint) => !holds(order, constraint));
    return broken === undefined ? satisfied : rejected(`this constraint is broken: ${broken.join(' ')}`);
  },
};
