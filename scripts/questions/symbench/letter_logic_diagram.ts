/** Questions of the SymBench task letter_logic_diagram: see records.ts. */
import { publishedIn, type SymbenchSource } from './records.ts';

export const letterLogicDiagramSource: SymbenchSource = {
  task: 'letter_logic_diagram',
  files: ['letter_logic_diagram'],
  read(record) {
    const found = publishedIn<{ solution: string[][] }>(record);
    if (found === null) return null;
    const {
      text,
      solution: { solution },
    } = found;
    const grid = text
      .split('\n')
      .filter((line) => /^[a-g]?(?:,[a-g]?){6}$/.test(line))
      .map((line) =>
        line
          .split(',')
          .map((letter) => letter || '.')
          .join(''),
      );
    if (grid.length !== 7) throw new Error(`${record.id}: expected seven rows, found ${grid.length}`);
    const answer = solution.map((row) => row.join(',')).join('\n');
    return { content: grid.join('/'), prompt: text, published: answer, recomputed: answer, meta: { grid } };
  },
};
