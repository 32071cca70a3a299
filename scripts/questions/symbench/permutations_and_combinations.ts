/** Questions of the SymBench task permutations_and_combinations: see records.ts. */
import type { ShelfConstraint } from '../../../lib/tasks/suites/symbench/permutations_and_combinations.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

const kPlaces = { 'must be placed in': 'at', 'cannot be placed in': 'not_at' } as const;
const kNeighbours = {
  'must be adjacent to': 'adjacent',
  'must be to the left of': 'left',
  'must be to the right of': 'right',
} as const;

/** `Book C must be adjacent to book A.`, `Book A cannot be placed in position 4.` and so on. */
function constraintIn(line: string): ShelfConstraint {
  const place = /^Book ([A-Z]) (must|cannot) be placed in position ([0-9]+)\.$/.exec(line);
  if (place !== null) {
    const words = `${place[2]} be placed in` as keyof typeof kPlaces;
    return [kPlaces[words], place[1]!, Number(place[3])];
  }
  const [book = '', words = '', other = ''] = groupsIn(
    line,
    /^Book ([A-Z]) (must be (?:adjacent to|to the (?:left|right) of)) book ([A-Z])\.$/,
  );
  return [kNeighbours[words as keyof typeof kNeighbours], book, other];
}

export const permutationsAndCombinationsSource: SymbenchSource = {
  task: 'permutations_and_combinations',
  files: ['permutations_and_combinations'],
  read(record) {
    const found = publishedIn<{ correct_solution: string[] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [list = '', system = ''] = groupsIn(
      text,
      /books labeled ([A-Z, ]+) on a shelf.*The constraints are:\n(.*?)\n\nQuestion:/s,
    );
    const books = list.split(', ').join('');
    const lines = system.split('\n').map((line) => groupsIn(line, /^[0-9]+\. (.*)$/)[0]!);
    const answer = JSON.stringify(solution.correct_solution).replaceAll(',', ', ');
    return {
      content: `${books} / ${lines.join(' / ')}`,
      prompt: text,
      published: answer,
      recomputed: answer,
      meta: { books, constraints: lines.map(constraintIn) },
    };
  },
};
