/**
 * Group advantages, computed natively (binding/engine/advantages): A_i = (R_i - mean_g) / (std_g + eps), or `rloo`
 * R_i - mean of the others. Equality of all rewards is tested before dividing; a group of one is dead.
 */
import { native } from '../native.ts';

export interface AdvantageOptions {
  /** `sample` divides by n - 1 under the root, `population` by n, `none` does not divide (Dr.GRPO). */
  readonly std: 'sample' | 'population' | 'none';
  readonly eps: number;
  readonly kind: 'grpo' | 'rloo';
}

export interface GroupAdvantages {
  readonly advantages: Float32Array;
  /** Groups with one valid member or all rewards equal: no gradient comes from them. */
  readonly deadGroups: number;
}

/**
 * Advantages of whole groups of `groupSize` rewards each. Members with valid = 0 leave their group before mean and std and
 * get 0. A non-finite reward is an error naming the trajectory.
 */
export function groupAdvantages(
  rewards: Float32Array,
  valid: Uint8Array,
  groupSize: number,
  options: AdvantageOptions,
): GroupAdvantages {
  return native().groupAdvantages(rewards, valid, groupSize, options);
}
