/** Questions of the SymBench task BoxNet1: see records.ts. The source has the squares of a grid, no prompt and no plan. */
import {
  boxesAsAnswer,
  boxNet1Content,
  boxNet1Prompt,
  planBoxes,
} from '../../../lib/tasks/suites/symbench/BoxNet1.ts';
import { groupsIn, type SymbenchSource } from './records.ts';

export const boxNet1Source: SymbenchSource = {
  task: 'BoxNet1',
  files: ['boxnet1_dataset'],
  read({ id, files }) {
    // One file, `pg_state4.json`: `0.5_1.5` (centre of row and column) to what lies there, row by row.
    const [text = ''] = Object.values(files);
    const grid = JSON.parse(text) as Record<string, string[]>;
    const [rows, columns] = groupsIn(id, /env_pg_state_([0-9]+)_([0-9]+)\//).map(Number) as [number, number];
    const squares = Object.values(grid);
    for (const [i, key] of Object.keys(grid).entries()) {
      const expected = `${Math.floor(i / columns)}.5_${i % columns}.5`;
      if (key !== expected) throw new Error(`${id}: expected the square ${expected}, found ${key}`);
    }
    if (squares.length !== rows * columns)
      throw new Error(`${id}: expected ${rows * columns} squares, found ${squares.length}`);
    const meta = { columns, squares };
    const answer = boxesAsAnswer(planBoxes(meta), columns);
    return {
      content: boxNet1Content(meta),
      prompt: boxNet1Prompt(meta),
      published: answer,
      recomputed: answer,
      meta,
    };
  },
};
