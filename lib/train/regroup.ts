/** Online regrouping: the current policy's own attempts at every training question, from which new ratings are made. */
import { judged } from '../eval/evaluate.ts';
import type { RolloutOptions } from '../rollout/options.ts';
import { rollout } from '../rollout/rollout.ts';
import { type Rating, rate } from './curriculum.ts';
import type { Setup } from './setup.ts';

/** Keys the random numbers of ratings, with the RL step added: no rollout of training or evaluation has these steps. */
const kFirstStep = 0x8000_0000;

/**
 * Rate the pool by `curriculum.regroup_samples` attempts at each question, sampled as in training. Questions whose attempts
 * were all lost to failures of the tool get no rating; RangeError when none has one.
 */
export async function ratePool(
  setup: Setup,
  parts: Omit<RolloutOptions, 'sampling' | 'step'>,
  step: number,
): Promise<{ ratings: Rating[]; unrated: number }> {
  const { plan, config } = setup;
  const { trajectories } = await rollout(
    plan.pool.map((question, index) => setup.prompt(question, index, config.curriculum.regroup_samples)),
    {
      ...parts,
      sampling: { temperature: config.rl.temperature, topK: 0, topP: 1, minP: 0 },
      step: kFirstStep + step,
    },
  );
  const tallies = plan.pool.map(() => ({ attempts: 0, right: 0 }));
  for (const trajectory of trajectories) {
    if (trajectory.end === 'infrastructure') continue;
    const tally = tallies[trajectory.prompt]!;
    tally.attempts += 1;
    if (judged(trajectory, plan.tasks).correct) tally.right += 1;
  }
  const ratings = plan.pool.flatMap((question, index) =>
    tallies[index]!.attempts === 0 ? [] : [rate(question, { agent: tallies[index]! })],
  );
  return { ratings, unrated: plan.pool.length - ratings.length };
}
