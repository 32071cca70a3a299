/**
 * Shortest path through a grid, as words for directions, or `infeasible`. The canonical answer is a shortest path, so a
 * right answer is any path of its length.
 */
import { accepted, rejected, screenAnswer } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { isListOf, isText, metaValue } from './meta.ts';

const kSteps = new Map<string, readonly [number, number]>([
  ['up', [-1, 0]],
  ['down', [1, 0]],
  ['left', [0, -1]],
  ['right', [0, 1]],
]);
const kInfeasible = 'infeasible';

export const shortestPath: SuiteTask = {
  name: 'shortest_path',
  description: 'the shortest path from * to # in a grid, as "right down", or "infeasible"',
  metaKeys: ['matrix'],
  verify(question, answer) {
    const grid = metaValue(question, 'matrix', isListOf(isListOf(isText)), 'rows of cells');
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    if (screened === kInfeasible) {
      return question.answer === kInfeasible ? accepted : rejected('there is a path');
    }
    if (question.answer === kInfeasible) return rejected('there is no path');
    const shortest = question.answer.split(' ').length;
    const words = screened.split(/[ \t\r\n]+/, shortest + 1);
    if (words.length !== shortest) return rejected(`not ${shortest} steps`);
    let row = grid.findIndex((cells) => cells.includes('*'));
    let column = grid[row]?.indexOf('*') ?? -1;
    for (const [i, word] of words.entries()) {
      const step = kSteps.get(word);
      if (step === undefined) return rejected(`word ${i + 1} is not a direction`);
      row += step[0];
      column += step[1];
      const cell = grid[row]?.[column];
      if (cell === undefined || cell === 'X') return rejected(`step ${i + 1} leaves the open cells`);
    }
    return grid[row]?.[column] === '#' ? accepted : rejected('the path ends elsewhere');
  },
};
