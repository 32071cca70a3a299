/** What a policy step takes: trajectories with their rewards, and the choices that make an algorithm of it. */
import type { AdamWOptions, LossOptions } from '../model/engine.ts';
import type { Ledger } from '../rollout/ledger.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import type { Reduction } from './batch.ts';
import type { CorrectionOptions, KlEstimate } from './correction.ts';
import type { CriticRow, CriticStep } from './critic.ts';
import type { Estimator } from './estimate.ts';
import type { Scorer } from './scoring.ts';

/** The critic of PPO as a step uses it (critic-setup.ts). */
export interface Critic {
  /** V of every policy token of every row, before any update. */
  values(ledgers: readonly Ledger[], signal?: AbortSignal): Promise<readonly Float32Array[]>;
  /** Learns by itself, once, before the policy's first update; null when it learns in the policy's own passes. */
  learn: ((rows: readonly CriticRow[], signal?: AbortSignal) => Promise<CriticReport>) | null;
  /** A value head on the policy's trunk: its loss joins the policy's. */
  readonly joint: { readonly clip: number; readonly coef: number; readonly lr: number } | null;
}

export type CriticReport = Pick<CriticStep, 'loss' | 'clipFraction' | 'explainedVariance' | 'gradNorm'>;

export interface PolicyStepOptions {
  readonly advantage: Estimator;
  readonly loss: LossOptions;
  readonly reduction: Reduction;
  /** Rows without policy tokens count in a row mean (TRL) or not (verl, default). */
  readonly countEmptyRows?: boolean;
  /** The entropy bonus as a mean over the mini-batch's tokens (TRL) instead of with the loss's own weights (verl, default). */
  readonly entropyTokenMean?: boolean;
  /** Passes over the rollout batch. */
  readonly epochs: number;
  /** Updates per epoch: the batch's groups are dealt to this many mini-batches in order. */
  readonly miniBatches: number;
  readonly microBatchTokens: number;
  readonly temperature: number;
  readonly unmaskTool: boolean;
  /** Trajectories that a limit cut are not in the loss (they still count in their group). */
  readonly maskTruncated?: boolean;
  /** KL to the reference taken off the reward, token by token, before advantages. */
  readonly klReward?: { readonly kind: KlEstimate; readonly coef: number };
  /** For tokens that other weights sampled. `bypass`: their recorded log-probs are the old ones, and no weight is needed. */
  readonly correction?:
    | { readonly form: 'decoupled'; readonly weight: CorrectionOptions }
    | { readonly form: 'bypass' };
  readonly adamw: AdamWOptions;
  /** Frozen policy for KL, in the loss or in the reward. */
  readonly reference?: Scorer;
  /** Values for GAE. */
  readonly critic?: Critic;
  /** Only the critic learns in this step. */
  readonly criticOnly?: boolean;
  /** Awaited before each pass of policy and reference: the engine may be left to others. Changes no bit. */
  readonly turn?: () => Promise<void>;
  /** Obeyed until the first update: a step is done whole or not at all. */
  readonly signal?: AbortSignal;
}

export interface ScoredTrajectory {
  readonly trajectory: Trajectory;
  readonly reward: number;
}
