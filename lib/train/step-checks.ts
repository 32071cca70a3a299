/** What a policy step refuses, before anything is computed. */
import type { PolicyStepOptions, ScoredTrajectory } from './policy-options.ts';

/** Throws RangeError naming what was expected and found. */
export function checkStep(
  scored: readonly ScoredTrajectory[],
  groupSize: number,
  options: PolicyStepOptions,
): void {
  const { loss, klReward, reference, critic, advantage, miniBatches } = options;
  if (scored.length === 0 || scored.length % groupSize !== 0) {
    throw new RangeError(
      `policyStep: expected whole groups of ${groupSize} trajectories, found ${scored.length} trajectories`,
    );
  }
  if (loss.kl !== 'none' && reference === undefined) {
    throw new RangeError(`policyStep: loss.kl is ${loss.kl}, which needs a reference model; none was given`);
  }
  if (klReward !== undefined && reference === undefined) {
    throw new RangeError('policyStep: KL in the reward needs a reference model; none was given');
  }
  if (advantage.kind === 'gae' && critic === undefined) {
    throw new RangeError('policyStep: advantage gae needs a critic; none was given');
  }
  if (advantage.kind !== 'gae' && (critic !== undefined || options.criticOnly === true)) {
    throw new RangeError(`policyStep: a critic is for advantage gae; it is ${advantage.kind}`);
  }
  const groups = scored.length / groupSize;
  for (let i = 0; i < scored.length; i++) {
    const [first, own] = [scored[i - (i % groupSize)]!.trajectory.prompt, scored[i]!.trajectory.prompt];
    if (first === own) continue;
    throw new RangeError(
      `policyStep: expected groups of ${groupSize} trajectories of one prompt, found prompts ${first} and ${own} in one`,
    );
  }
  if (miniBatches < 1 || miniBatches > groups) {
    throw new RangeError(
      `policyStep: expected 1 to ${groups} mini-batches (one group each at least), found ${miniBatches}`,
    );
  }
}
