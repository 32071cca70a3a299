/**
 * Tasks of Reasoning-Gym whose rule has to be found or run, with one right answer: ACRE, list functions, one-dimensional ARC
 * and Brainf*ck programs. Upper and lower case differ; nothing is read from `meta`.
 */
import { type Comparison, compareList, compareText } from '../../answer.ts';
import { comparedTask } from './numbers.ts';

const kLongest = 2000;

export const acre = comparedTask('acre', 'whether objects switch a light on', compareText, kLongest);

export const listFunctions = comparedTask(
  'list_functions',
  'apply the function that examples show to a list',
  compareList,
  kLongest,
);

/** Cells separated by any blanks. */
const compareCells: Comparison = (expected, answer) => {
  const cells = (text: string) => text.split(/[ \t\r\n]+/).join(' ');
  return compareText(cells(expected), cells(answer));
};

export const arc1d = comparedTask(
  'arc_1d',
  'apply the rule that examples show to a row of cells',
  compareCells,
  kLongest,
);

export const bf = comparedTask('bf', 'output of a Brainf*ck program', compareText, kLongest);
