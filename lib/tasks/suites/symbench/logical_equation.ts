/**
 * SymBench `logical_equation`: letters A, B, C ... stand for given numbers, each for one and each number for one letter, such that
 * every relation holds. Any such assignment is right.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { readIntegers, satisfied } from './answer-items.ts';

/**
 * `[kind, left, right, value]`: left + right = value, left - right = value, left = value * right (value is a decimal, kept as it is
 * written), left > right.
 */
export type Relation = readonly [
  kind: 'sum' | 'difference' | 'multiple' | 'greater',
  left: string,
  right: string,
  value: string,
];

/** The numbers that the letters stand for, ascending, and the relations. */
export type LogicalEquationMeta = {
  readonly numbers: readonly number[];
  readonly relations: readonly Relation[];
};

/** Whether a relation holds; decimals are compared exactly, as integers of the last decimal place. */
export function relationHolds([kind, , , value]: Relation, left: number, right: number): boolean {
  switch (kind) {
    case 'sum':
      return left + right === Number(value);
    case 'difference':
      return left - right === Number(value);
    case 'greater':
      return left > right;
    case 'multiple': {
      const [whole, decimals = ''] = value.split('.');
      return left * 10 ** decimals.length === Number(`${whole}${decimals}`) * right;
    }
  }
}

/** Letters for numbers, under equations and inequalities. */
export const logicalEquation: SuiteTask<LogicalEquationMeta> = {
  name: 'logical_equation',
  description: 'which letter stands for which of the given numbers, from equations and inequalities',
  metaKeys: ['numbers', 'relations'],
  verify({ meta: { numbers, relations } }, answer): Verdict {
    const values = readIntegers(answer, numbers.length);
    if ('correct' in values) return values;
    const ascending = [...values].sort((a, b) => a - b);
    if (ascending.join(' ') !== numbers.join(' ')) {
      return rejected('the letters do not stand for each of the given numbers once');
    }
    const numberOf = (letter: string) => values[letter.charCodeAt(0) - 65] ?? Number.NaN;
    for (const relation of relations) {
      if (!relationHolds(relation, numberOf(relation[1]), numberOf(relation[2]))) {
        return rejected(`this relation does not hold: ${relation.join(' ')}`);
      }
    }
    return satisfied;
  },
};
