/**
 * Sokoban: steps of a player who pushes boxes, one at a time, until every box stands on a goal.
 *
 * The whole answer must be a string of U, D, L and R, and every step must be possible: the package ignores steps into a
 * wall and every other character, so that it finds a solution inside any text.
 */
import { accepted, rejected, screenAnswer } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { isText, metaValue } from './meta.ts';

/** The cell one step away on a board of this width. */
function neighbour(cell: number, step: string, width: number): number {
  return step === 'U' ? cell - width : step === 'D' ? cell + width : step === 'L' ? cell - 1 : cell + 1;
}

export const sokoban: SuiteTask = {
  name: 'sokoban',
  description: 'steps that push every box onto a goal, as LDURRUDL',
  metaKeys: ['gamestr'],
  verify(question, answer) {
    const rows = metaValue(question, 'gamestr', isText, 'a board')
      .replaceAll(' ', '')
      .split('\n')
      .filter((row) => row !== '');
    const cells = [...rows.join('')];
    const width = rows[0]?.length ?? 0;
    let player = cells.findIndex((cell) => cell === '*' || cell === '%');
    if (player < 0 || rows.some((row) => !/^\+.*\+$/.test(row) || row.length !== width)) {
      throw new RangeError(`question ${question.id}: expected a walled board with a player in meta.gamestr`);
    }
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    if (!/^[UDLR]+$/.test(screened)) return rejected('not a string of U, D, L and R');
    const isBox = cells.map((cell) => cell === '@' || cell === '$');
    const isGoal = cells.map((cell) => cell === 'X' || cell === '$' || cell === '%');
    for (let i = 0; i < screened.length; i++) {
      const step = screened[i]!;
      const target = neighbour(player, step, width);
      const beyond = neighbour(target, step, width);
      if ((cells[target] ?? '+') === '+') return rejected(`step ${i + 1} is into a wall`);
      if (isBox[target] === true) {
        if ((cells[beyond] ?? '+') === '+' || isBox[beyond] === true) {
          return rejected(`step ${i + 1} pushes a box that cannot move`);
        }
        isBox[target] = false;
        isBox[beyond] = true;
      }
      player = target;
    }
    return isBox.every((box, cell) => !box || isGoal[cell]) ? accepted : rejected('a box is not on a goal');
  },
};
