/**
 * From rewards to advantages of every token: the estimators of GRPO, Dr.GRPO, RLOO, REINFORCE++ (both forms) and PPO (GAE).
 *
 * A trajectory's reward lands on its last policy token. KL in the reward is taken off token by token; estimators that give one
 * number per trajectory sum it over the tokens first. A trajectory that was lost (kept 0) leaves its group before mean and
 * deviation and the batch before whitening, and has advantage 0 everywhere.
 */
import type { AdvantageOptions } from './advantage.ts';
import { groupAdvantages, tokenGae, tokenReturns, whiten } from './advantage.ts';
import { packColumns } from './batch.ts';

export type Estimator =
  | AdvantageOptions
  /** Discounted return-to-go of each token, whitened over the batch's policy tokens (Hu 2025). */
  | { readonly kind: 'reinforce++'; readonly gamma: number }
  /** Reward minus the group's mean, whitened over the batch's policy tokens; no division by the group's deviation. */
  | { readonly kind: 'reinforce++-baseline' }
  /** Generalised advantage estimation with a critic's values, whitened over the batch's policy tokens (PPO). */
  | { readonly kind: 'gae'; readonly gamma: number; readonly lambda: number };

export interface RewardedRows {
  /** [rows] */
  readonly rewards: Float32Array;
  /** [rows] 0 = lost to infrastructure. */
  readonly kept: Uint8Array;
  readonly groupSize: number;
  /** Per row [length]: 1 = a token of the policy (lossMask). */
  readonly masks: readonly Uint8Array[];
  /** Per row [length]: what is taken off the reward of each token (KL), or null. */
  readonly penalties: readonly Float32Array[] | null;
  /** Per row [length]: V of each token before the update; for `gae`. */
  readonly values: readonly Float32Array[] | null;
}

export interface Estimate {
  /** Per row [length], 0 where the mask is 0. */
  readonly advantages: readonly Float32Array[];
  /** Per row [length]: what the critic learns, unwhitened; null without a critic. */
  readonly returns: readonly Float32Array[] | null;
  /** [rows] mean over the row's policy tokens, for records. */
  readonly means: Float32Array;
  /** Groups whose rewards are all equal, or of which fewer than two trajectories are left. */
  readonly deadGroups: number;
}

/** Advantages of every token. Errors name the trajectory or token whose reward or value is not finite. */
export function estimateAdvantages(rows: RewardedRows, estimator: Estimator): Estimate {
  const { rewards, kept, groupSize, masks, penalties } = rows;
  const equal: AdvantageOptions = { kind: 'grpo', std: 'none', eps: 1 };
  const { deadGroups } = groupAdvantages(rewards, kept, groupSize, equal);
  const done = (advantages: readonly Float32Array[], returns: readonly Float32Array[] | null): Estimate => ({
    advantages,
    returns,
    means: Float32Array.from(advantages, (values, i) => meanOver(values, masks[i]!)),
    deadGroups,
  });
  if (estimator.kind === 'grpo' || estimator.kind === 'rloo' || estimator.kind === 'reinforce++-baseline') {
    const totals =
      penalties === null
        ? rewards
        : rewards.map((reward, i) => reward - sumOver(penalties[i]!, masks[i]!) * kept[i]!);
    const options = estimator.kind === 'reinforce++-baseline' ? equal : estimator;
    const { advantages } = groupAdvantages(totals, kept, groupSize, options);
    const wide = masks.map((mask, i) => Float32Array.from(mask, (m) => m * advantages[i]!));
    return done(estimator.kind === 'reinforce++-baseline' ? whitened(wide, masks, kept) : wide, null);
  }
  const live = masks.map((mask, i) => (kept[i] === 1 ? mask : new Uint8Array(mask.length)));
  const { packed: mask, starts } = packColumns(live, Uint8Array);
  const tokens = {
    mask,
    seqStarts: starts,
    rewards: packColumns(
      live.map((own, i) => tokenRewards(own, rewards[i]!, penalties?.[i] ?? null)),
      Float32Array,
    ).packed,
  };
  const cut = (packed: Float32Array) => masks.map((_, i) => packed.slice(starts[i], starts[i + 1]));
  if (estimator.kind === 'reinforce++') {
    const returns = tokenReturns(tokens, estimator.gamma);
    whiten(returns, mask);
    return done(cut(returns), null);
  }
  if (estimator.kind !== 'gae' || rows.values === null)
    throw new RangeError('estimateAdvantages: gae needs the values of a critic');
  const { gamma, lambda } = estimator;
  const packed = packColumns(rows.values, Float32Array).packed;
  const { advantages, returns } = tokenGae(tokens, packed, { gamma, lambda });
  whiten(advantages, mask);
  return done(cut(advantages), cut(returns));
}

/** The reward on the last policy token, penalties on each. */
function tokenRewards(mask: Uint8Array, reward: number, penalties: Float32Array | null): Float32Array {
  const out = new Float32Array(mask.length);
  if (penalties !== null) for (let t = 0; t < mask.length; t++) if (mask[t] === 1) out[t] = -penalties[t]!;
  const last = mask.lastIndexOf(1);
  if (last >= 0) out[last]! += reward;
  return out;
}

function whitened(
  rows: readonly Float32Array[],
  masks: readonly Uint8Array[],
  kept: Uint8Array,
): Float32Array[] {
  const { packed, starts } = packColumns(rows, Float32Array);
  const live = masks.map((mask, i) => (kept[i] === 1 ? mask : new Uint8Array(mask.length)));
  whiten(packed, packColumns(live, Uint8Array).packed);
  return rows.map((_, i) => packed.slice(starts[i], starts[i + 1]));
}

function sumOver(values: Float32Array, mask: Uint8Array): number {
  let sum = 0;
  for (let t = 0; t < mask.length; t++) if (mask[t] === 1) sum += values[t]!;
  return sum;
}

function meanOver(values: Float32Array, mask: Uint8Array): number {
  let count = 0;
  for (const m of mask) count += m;
  return count === 0 ? 0 : sumOver(values, mask) / count;
}
