/** Questions of the SymBench task Blocksworld: see records.ts. The source has states, no prompt and no plan. */
import {
  blocksworldContent,
  blocksworldPrompt,
  movesAsAnswer,
  planMoves,
} from '../../../lib/tasks/suites/symbench/Blocksworld.ts';
import { groupsIn, type SymbenchSource } from './records.ts';

/** The stacks of a state, in order. */
function stacksIn(text: string): string[] {
  return text
    .trim()
    .split('\n')
    .map((line, i) => {
      const [number, blocks = ''] = groupsIn(line, /^stack([0-9]+): ?((?:[A-Z](?: |$))*)$/);
      if (Number(number) !== i + 1) throw new Error(`expected stack${i + 1}, found ${line}`);
      return blocks.replaceAll(' ', '');
    });
}

export const blocksworldSource: SymbenchSource = {
  task: 'Blocksworld',
  files: ['blocksworld_dataset'],
  read({ files }) {
    const [before = '', after = ''] = groupsIn(
      files['blocksworld_task.txt'] ?? '',
      /^Initial State:\n(.*)\n\nGoal State:\n(.*)$/s,
    );
    const initial = stacksIn(before);
    // Stacks that the goal does not name hold nothing: it places every block.
    const goal = stacksIn(after);
    while (goal.length < initial.length) goal.push('');
    const meta = { initial, goal };
    const moves = planMoves(meta);
    if (moves === undefined) throw new Error(`no plan for ${blocksworldContent(meta)}`);
    // Where the blocks already lie as wanted there is nothing to answer.
    if (moves.length === 0) return null;
    const answer = movesAsAnswer(moves);
    return {
      content: blocksworldContent(meta),
      prompt: blocksworldPrompt(meta),
      published: answer,
      recomputed: answer,
      meta,
    };
  },
};
