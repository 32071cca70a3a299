/** Where the questions of the SymBench tasks with one right answer come from. */
import { countSources } from './counts.ts';
import { matrixSources } from './matrices.ts';
import { numberSources } from './numbers.ts';
import { positionSources } from './positions.ts';
import type { SymbenchSource } from './records.ts';
import { stringSources } from './strings.ts';

export const exactSources: readonly SymbenchSource[] = [
  ...matrixSources,
  ...countSources,
  ...numberSources,
  ...stringSources,
  ...positionSources,
];
