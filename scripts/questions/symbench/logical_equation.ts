/** Questions of the SymBench task logical_equation: see records.ts. */
import type { Relation } from '../../../lib/tasks/suites/symbench/logical_equation.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

/** A line of the system: `C + J = 186`, `C - B = -44`, `H = 3.0F`, `B > E`. */
function relationIn(line: string): Relation {
  const sum = /^([A-Z]) ([+-]) ([A-Z]) = (-?[0-9]+)$/.exec(line);
  if (sum !== null) return [sum[2] === '+' ? 'sum' : 'difference', sum[1]!, sum[3]!, sum[4]!];
  const greater = /^([A-Z]) > ([A-Z])$/.exec(line);
  if (greater !== null) return ['greater', greater[1]!, greater[2]!, ''];
  const [left = '', value = '', right = ''] = groupsIn(line, /^([A-Z]) = ([0-9]+\.[0-9]+)([A-Z])$/);
  return ['multiple', left, right, value];
}

export const logicalEquationSource: SymbenchSource = {
  task: 'logical_equation',
  files: ['logical_equation'],
  read(record) {
    const found = publishedIn<number[]>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [letters = '', list = '', system = ''] = groupsIn(
      text,
      /letters ([A-Z, ]+), each representing one of the numbers ([0-9, ]+)\..*as follows:\n(.*?)\n\nReturn/s,
    );
    const numbers = list.split(', ').map(Number);
    const lines = system.split('\n').map((line) => groupsIn(line, /^[0-9]+\. (.*)$/)[0]!);
    if (letters.split(', ').join('') !== 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'.slice(0, numbers.length)) {
      throw new Error(`${record.id}: expected as many letters as numbers, found ${letters} for ${list}`);
    }
    const answer = `[${solution.join(', ')}]`;
    return {
      content: `${numbers.join(' ')} / ${lines.join(' / ')}`,
      prompt: text,
      published: answer,
      recomputed: answer,
      meta: { numbers, relations: lines.map(relationIn) },
    };
  },
};
