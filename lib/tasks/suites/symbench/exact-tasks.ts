/** The 15 SymBench tasks with one right answer each, which the verifier compares with the canonical one. */
import type { SuiteTask } from '../suite.ts';
import { countTasks } from './counts.ts';
import { matrixTasks } from './matrices.ts';
import { numberTasks } from './numbers.ts';
import { positionTasks } from './positions.ts';
import { stringTasks } from './strings.ts';

export const exactTasks: readonly SuiteTask[] = [
  ...matrixTasks,
  ...countTasks,
  ...numberTasks,
  ...stringTasks,
  ...positionTasks,
];
