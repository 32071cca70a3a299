/** Learning-rate schedules, as functions of the step alone, so that a resumed run continues the same curve. */

export interface LearningRate {
  readonly peak: number;
  /** Steps of linear warm-up: step s (from 0) of w has peak * (s + 1) / w, so the first step is not a no-op. */
  readonly warmupSteps: number;
  readonly decay: 'constant' | 'linear' | 'cosine';
  /** The rate at the last step as a share of the peak, for `linear` and `cosine`. */
  readonly finalRatio: number;
}

/** Learning rate of step `step` (from 0) of `steps`. */
export function learningRate(schedule: LearningRate, step: number, steps: number): number {
  const { peak, warmupSteps, decay, finalRatio } = schedule;
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  if (decay === 'constant') return peak;
  const span = Math.max(1, steps - 1 - warmupSteps);
  const progress = Math.min(1, (step - warmupSteps) / span);
  const remaining = decay === 'linear' ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return peak * (finalRatio + (1 - finalRatio) * remaining);
}
