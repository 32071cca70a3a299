/**
 * Tower of Hanoi with three or four pegs: one move a line, none beyond the shortest solution's number, which the question's
 * `solution_length` is for every published question.
 */
import { accepted, rejected, screenAnswer, trimBlanks } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { isInteger, metaValue } from './meta.ts';

export const towerOfHanoi: SuiteTask = {
  name: 'tower_of_hanoi',
  description: 'the shortest way to move a tower, as lines "Move disk 1 from Peg 1 to Peg 3"',
  metaKeys: ['num_disks', 'num_pegs', 'start_peg', 'target_peg', 'solution_length'],
  verify(question, answer) {
    const number = (key: string) => metaValue(question, key, isInteger, 'an integer');
    const [disks, shortest, goal] = [number('num_disks'), number('solution_length'), number('target_peg')];
    const pegs = new Map<string, number[]>(
      Array.from({ length: number('num_pegs') }, (_, i) => [String(i + 1), []]),
    );
    for (let disk = disks; disk > 0; disk--) pegs.get(String(number('start_peg')))?.push(disk);
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    let moves = 0;
    for (const [text] of screened.matchAll(/[^\n]+/g)) {
      const line = trimBlanks(text);
      if (line === '') continue;
      moves += 1;
      if (moves > shortest) return rejected(`more than ${shortest} moves, which are enough`);
      const match = /^Move disk ([1-9][0-9]*) from Peg ([1-9]) to Peg ([1-9])$/.exec(line);
      if (match === null) return rejected(`move ${moves} is not like "Move disk 1 from Peg 1 to Peg 3"`);
      const [, disk, source, sink] = match as unknown as [string, string, string, string];
      const [from, to] = [pegs.get(source), pegs.get(sink)];
      const moved = Number(disk);
      if (
        from === undefined ||
        to === undefined ||
        from.at(-1) !== moved ||
        moved >= (to.at(-1) ?? disks + 1)
      ) {
        return rejected(`move ${moves} is not legal`);
      }
      from.pop();
      to.push(moved);
    }
    return pegs.get(String(goal))?.length === disks ? accepted : rejected('the tower is not on its peg');
  },
};
