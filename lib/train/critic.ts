/**
 * The critic of PPO on packed trajectories: values for GAE, and regression on the returns that GAE gives.
 *
 * Only policy tokens have values and returns; V for token t is read where t is predicted, so after a tool's output at the
 * last tool token. `criticStep` trains a critic that is a model of its own, or warms up the value head on the policy's trunk
 * (`headOnly`): then nothing but the head moves. To train policy and critic in one pass, give `packValues` to accumulate().
 */
import type {
  AdamWOptions,
  EngineModel,
  LossBatch,
  LossOptions,
  ValueBatch,
  ValueLossResult,
} from '../model/engine.ts';
import { cutRows, lossMask, lossWeights, packIds, type Reduction, type Row } from './batch.ts';

/** One trajectory as the critic learns it; the arrays have one entry per token and are read at policy tokens. */
export interface CriticRow extends Pick<Row, 'ledger'> {
  /** [length] */
  readonly returns: Float32Array;
  /** [length] values at the start of the rollout batch, from criticValues. */
  readonly oldValues: Float32Array;
}

export interface CriticOptions {
  /** How far from its old value a value still counts as moved; 0 = no clipping. */
  readonly clip: number;
  readonly reduction: Reduction;
  /** Passes over the rollout batch. */
  readonly epochs: number;
  /** Updates per epoch: the rows are dealt to this many mini-batches in order. */
  readonly miniBatches: number;
  readonly microBatchTokens: number;
  readonly adamw: AdamWOptions;
  /** Train the value head alone and leave every other parameter as it is, to the bit. Default false. */
  readonly headOnly?: boolean;
  /** Obeyed until the first update: a step is done whole or not at all. */
  readonly signal?: AbortSignal;
}

export interface CriticStep {
  /** Mean over updates of the reduced value loss. */
  readonly loss: number;
  /** Share of tokens held by the clip, over all updates. */
  readonly clipFraction: number;
  /** Mean value over the first epoch's tokens, as recomputed before each of its updates. */
  readonly meanValue: number;
  readonly meanReturn: number;
  /** 1 - Var(R - V) / Var(R) over the same tokens; 0 when all returns are equal: nothing is to be explained. */
  readonly explainedVariance: number;
  /** The largest of the updates. */
  readonly gradNorm: number;
  readonly tokensInLoss: number;
  readonly updates: number;
  readonly seconds: number;
}

export type ValueSums = Omit<ValueLossResult, 'values'>;

export const noValueSums: ValueSums = {
  loss: 0,
  tokens: 0,
  clipCount: 0,
  valueSum: 0,
  returnSum: 0,
  returnSquares: 0,
  residualSum: 0,
  residualSquares: 0,
};

/** The sums of two micro-batches. */
export function addValueSums(a: ValueSums, b: ValueSums): ValueSums {
  return {
    loss: a.loss + b.loss,
    tokens: a.tokens + b.tokens,
    clipCount: a.clipCount + b.clipCount,
    valueSum: a.valueSum + b.valueSum,
    returnSum: a.returnSum + b.returnSum,
    returnSquares: a.returnSquares + b.returnSquares,
    residualSum: a.residualSum + b.residualSum,
    residualSquares: a.residualSquares + b.residualSquares,
  };
}

/** 1 - Var(R - V) / Var(R); 0 when the returns are all equal (up to the rounding of their sums) or there are none. */
export function explainedVariance(sums: ValueSums): number {
  const variance = (sum: number, squares: number) => squares / sums.tokens - (sum / sums.tokens) ** 2;
  const ofReturns = variance(sums.returnSum, sums.returnSquares);
  if (!(ofReturns > (1e-12 * sums.returnSquares) / sums.tokens)) return 0;
  return 1 - variance(sums.residualSum, sums.residualSquares) / ofReturns;
}

/** The value of every policy token in the loss, one array [length] per row; 0 elsewhere. */
export async function criticValues(
  model: EngineModel,
  rows: readonly Pick<Row, 'ledger'>[],
  microBatchTokens: number,
  signal?: AbortSignal,
): Promise<Float32Array[]> {
  const values: Float32Array[] = [];
  for (const pack of packsOf(rows, microBatchTokens)) {
    signal?.throwIfAborted();
    const batch = packIds(pack.map((row) => rows[row]!.ledger));
    const wanted = new Uint8Array(batch.tokens.length);
    pack.forEach((row, s) => {
      wanted.set(lossMask(rows[row]!.ledger, false), batch.seqStarts[s]!);
    });
    const packed = await model.values(batch, wanted);
    pack.forEach((_, s) => {
      values.push(packed.slice(batch.seqStarts[s]!, batch.seqStarts[s + 1]!));
    });
  }
  return values;
}

/** The critic's part of a loss batch made from the same rows by packRows; `weights` as made by lossWeights. */
export function packValues(rows: readonly CriticRow[], weights: readonly Float32Array[]): ValueBatch {
  const total = rows.reduce((sum, { ledger }) => sum + ledger.length, 0);
  const packed = {
    returns: new Float32Array(total),
    oldValues: new Float32Array(total),
    weight: new Float32Array(total),
  };
  let start = 0;
  rows.forEach(({ ledger, returns, oldValues }, row) => {
    packed.returns.set(returns, start);
    packed.oldValues.set(oldValues, start);
    packed.weight.set(weights[row]!, start);
    start += ledger.length;
  });
  return packed;
}

/**
 * Fit the value head, and the model below it unless `headOnly`, to the returns: one update per mini-batch and epoch. Gradients
 * do not depend on `microBatchTokens`. A failure leaves no gradient behind.
 */
export async function criticStep(
  model: EngineModel,
  rows: readonly CriticRow[],
  options: CriticOptions,
): Promise<CriticStep> {
  const started = performance.now();
  checkRows(rows, options);
  const headOnly = options.headOnly ?? false;
  const loss = valueLossOnly(options.clip, headOnly);
  const adamw: AdamWOptions = headOnly ? { ...options.adamw, only: 'value_head' } : options.adamw;
  const miniBatches: number[][] = Array.from({ length: options.miniBatches }, () => []);
  for (let i = 0; i < rows.length; i++)
    miniBatches[Math.floor((i * options.miniBatches) / rows.length)]!.push(i);

  let first = noValueSums;
  let all = noValueSums;
  let gradNorm = 0;
  let updates = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const miniBatch of miniBatches) {
      const members = miniBatch.map((i) => rows[i]!);
      const weights = lossWeights(
        members.map(({ ledger }) => lossMask(ledger, false)),
        options.reduction,
      );
      let sums = noValueSums;
      try {
        for (const pack of packsOf(members, options.microBatchTokens)) {
          if (updates === 0) options.signal?.throwIfAborted();
          const batch = criticBatch(
            pack.map((row) => members[row]!),
            pack.map((row) => weights[row]!),
          );
          const { value } = await model.accumulate(batch, loss);
          sums = addValueSums(sums, value!);
        }
        if (sums.tokens === 0) continue;
        gradNorm = Math.max(gradNorm, (await model.update(adamw)).gradNorm);
        updates += 1;
      } catch (error) {
        await model.zeroGradients();
        throw error;
      }
      all = addValueSums(all, sums);
      if (epoch === 0) first = addValueSums(first, sums);
    }
  }
  return {
    loss: all.loss / Math.max(1, updates),
    clipFraction: all.clipCount / Math.max(1, all.tokens),
    meanValue: first.valueSum / Math.max(1, first.tokens),
    meanReturn: first.returnSum / Math.max(1, first.tokens),
    explainedVariance: explainedVariance(first),
    gradNorm,
    tokensInLoss: all.tokens,
    updates,
    seconds: (performance.now() - started) / 1000,
  };
}

/** A loss without a policy: no token has a policy weight, so nothing touches the vocabulary. */
function valueLossOnly(clip: number, detachTrunk: boolean): LossOptions {
  return {
    kind: 'cross_entropy',
    clipLow: 0,
    clipHigh: 0,
    dualClip: 0,
    kl: 'none',
    klCoef: 0,
    entropyCoef: 0,
    value: { clip, coef: 1, detachTrunk },
  };
}

function criticBatch(rows: readonly CriticRow[], weights: readonly Float32Array[]): LossBatch {
  const ids = packIds(rows.map(({ ledger }) => ledger));
  return {
    ...ids,
    temperature: 1,
    weight: new Float32Array(ids.tokens.length),
    value: packValues(rows, weights),
  };
}

function packsOf(rows: readonly Pick<Row, 'ledger'>[], microBatchTokens: number): number[][] {
  return cutRows(
    rows.map(({ ledger }) => ledger.length),
    microBatchTokens,
  );
}

function checkRows(rows: readonly CriticRow[], { epochs, miniBatches }: CriticOptions): void {
  if (rows.length === 0) throw new RangeError('criticStep: expected at least one trajectory, found none');
  if (!Number.isInteger(miniBatches) || miniBatches < 1 || miniBatches > rows.length)
    throw new RangeError(
      `criticStep: expected 1 to ${rows.length} mini-batches (one trajectory each at least), found ${miniBatches}`,
    );
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new RangeError(`criticStep: expected one epoch or more, found ${epochs}`);
  rows.forEach(({ ledger, returns, oldValues }, i) => {
    for (const [name, array] of Object.entries({ returns, oldValues })) {
      if (array.length === ledger.length) continue;
      throw new RangeError(
        `criticStep: expected ${ledger.length} ${name} for trajectory ${i}, one per token, found ${array.length}`,
      );
    }
  });
}
