/** Questions of the SymBench task BoxLift: see records.ts. The source has weights and capacities, no prompt and no plan. */
import {
  boxLiftContent,
  boxLiftPrompt,
  greedyLifts,
  liftsAsAnswer,
} from '../../../lib/tasks/suites/symbench/BoxLift.ts';
import type { SymbenchSource } from './records.ts';

export const boxLiftSource: SymbenchSource = {
  task: 'BoxLift',
  files: ['boxlift_dataset'],
  read({ id, files }) {
    const { boxes, lifters } = JSON.parse(files['BoxLift.json'] ?? '{}') as Record<string, number[]>;
    if (boxes === undefined || lifters === undefined) throw new Error(`${id}: expected boxes and lifters`);
    const plan = greedyLifts(boxes, lifters);
    if (plan === undefined) throw new Error(`${id}: a box is too heavy for all lifters together`);
    const meta = { boxes, lifters, steps: plan.length };
    const answer = liftsAsAnswer(plan);
    return {
      content: boxLiftContent(meta),
      prompt: boxLiftPrompt(meta),
      published: answer,
      recomputed: answer,
      meta,
    };
  },
};
