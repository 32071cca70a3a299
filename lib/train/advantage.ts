/**
 * Advantages, computed natively (binding/engine/advantages, token_advantages). By group: A_i = (R_i - mean_g) / (std_g + eps),
 * or `rloo` R_i - mean of the others; equality of all rewards is tested before dividing. By token: discounted returns and GAE
 * over packed sequences, in which what the policy did not write is as if cut out.
 */
import type { AdvantageOptions, GroupAdvantages } from '../model/native-advantages.ts';
import { native } from '../native.ts';

export type { AdvantageOptions, GroupAdvantages } from '../model/native-advantages.ts';

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

/** Packed sequences with a reward on some of the policy's tokens. */
export interface TokenRewards {
  /** [T]; not 0 where mask is 1 only: a reward anywhere else is an error. */
  readonly rewards: Float32Array;
  /** [T] 1 = written by the policy. */
  readonly mask: Uint8Array;
  /** [S + 1] from 0 to T. */
  readonly seqStarts: Int32Array;
}

/** [T] G_t = r_t + gamma G_(t+1) over policy tokens, 0 elsewhere. Errors: ERR_ADVANTAGE_OPTION, ERR_NOT_FINITE. */
export function tokenReturns(tokens: TokenRewards, gamma: number): Float32Array {
  return native().tokenReturns(tokens.rewards, tokens.mask, tokens.seqStarts, gamma);
}

/**
 * GAE (Schulman et al. 2016, eq. 16) over policy tokens; a sequence's end bootstraps 0. `values` [T] holds V read at row
 * t - 1. `returns` = advantage + value, before any whitening. Errors: ERR_ADVANTAGE_OPTION, ERR_NOT_FINITE.
 */
export function tokenGae(
  tokens: TokenRewards,
  values: Float32Array,
  options: { readonly gamma: number; readonly lambda: number },
): { advantages: Float32Array; returns: Float32Array } {
  return native().tokenGae(tokens.rewards, values, tokens.mask, tokens.seqStarts, options);
}

/**
 * x -> (x - mean) / sqrt(variance + eps) over the tokens with mask 1, in place, 0 elsewhere; unbiased variance, eps 1e-8 as in
 * verl. All equal, or a single one: exactly 0. Returns how many tokens were whitened.
 */
export function whiten(
  values: Float32Array,
  mask: Uint8Array,
  options: { readonly eps?: number } = {},
): number {
  return native().whiten(values, mask, options);
}
