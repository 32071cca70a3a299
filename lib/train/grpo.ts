/**
 * GRPO on a rollout batch: group advantages, then one update per mini-batch and epoch.
 *
 * The old log-probs are the sampled ones: the engine recomputes them to the bit, which is checked for every trajectory
 * before the first update (`logprobGap`). Tool tokens are masked unless `unmaskTool`, which needs a scoring pass for them.
 * Groups without an advantage (all rewards equal) add nothing to the gradient: they are scored for the gap but not trained
 * on, and count in the reduction's denominator like any other.
 */
import { ToolgradError } from '../errors.ts';
import type { AdamWOptions, EngineModel, LossOptions, LossResult } from '../model/engine.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import { type AdvantageOptions, groupAdvantages } from './advantage.ts';
import {
  countTokens,
  cutRows,
  lossMask,
  lossWeights,
  packIds,
  packRows,
  type Reduction,
  type Row,
} from './batch.ts';

export interface GrpoOptions {
  readonly advantage: AdvantageOptions;
  readonly loss: LossOptions;
  readonly reduction: Reduction;
  /** Passes over the rollout batch. */
  readonly epochs: number;
  /** Updates per epoch: the batch's groups are dealt to this many mini-batches in order. */
  readonly miniBatches: number;
  readonly microBatchTokens: number;
  readonly temperature: number;
  readonly unmaskTool: boolean;
  readonly adamw: AdamWOptions;
  /** Frozen model for the KL term; required when loss.kl is not `none`. */
  readonly reference?: Pick<EngineModel, 'score'>;
  /** Obeyed until the first update: a step is done whole or not at all. */
  readonly signal?: AbortSignal;
}

export interface ScoredTrajectory {
  readonly trajectory: Trajectory;
  readonly reward: number;
}

export interface GrpoStep {
  /** [number of trajectories] in the order given; 0 for those lost to infrastructure. */
  readonly advantages: Float32Array;
  readonly deadGroups: number;
  /** Trajectories left out because their tool failed. */
  readonly lost: number;
  /** max |recomputed - sampled| log-prob over policy tokens of the current version; must be 0. */
  readonly logprobGap: number;
  readonly loss: number;
  readonly policyLoss: number;
  readonly klLoss: number;
  readonly tokensInLoss: number;
  readonly meanRatio: number;
  readonly maxRatio: number;
  readonly clipLow: number;
  readonly clipHigh: number;
  readonly kl: number;
  /** Mean over policy tokens of the entropy of the weights that sampled them. */
  readonly entropy: number;
  readonly gradNorm: number;
  readonly updates: number;
  readonly seconds: number;
}

/** Train on complete groups of `groupSize` trajectories each, in canonical order. */
export async function grpoStep(
  model: EngineModel,
  scored: readonly ScoredTrajectory[],
  groupSize: number,
  options: GrpoOptions,
): Promise<GrpoStep> {
  const started = performance.now();
  if (scored.length === 0 || scored.length % groupSize !== 0) {
    throw new RangeError(
      `grpoStep: expected whole groups of ${groupSize} trajectories, found ${scored.length} trajectories`,
    );
  }
  if (options.loss.kl !== 'none' && options.reference === undefined) {
    throw new RangeError(
      `grpoStep: loss.kl is ${options.loss.kl}, which needs a reference model; none was given`,
    );
  }
  const groups = scored.length / groupSize;
  for (let i = 0; i < scored.length; i++) {
    const [first, own] = [scored[i - (i % groupSize)]!.trajectory.prompt, scored[i]!.trajectory.prompt];
    if (first === own) continue;
    throw new RangeError(
      `grpoStep: expected groups of ${groupSize} trajectories of one prompt, found prompts ${first} and ${own} in one`,
    );
  }
  if (options.miniBatches < 1 || options.miniBatches > groups) {
    throw new RangeError(
      `grpoStep: expected 1 to ${groups} mini-batches (one group each at least), found ${options.miniBatches}`,
    );
  }
  const kept = scored.map(({ trajectory }) => trajectory.end !== 'infrastructure');
  const { advantages, deadGroups } = groupAdvantages(
    Float32Array.from(scored, ({ reward }) => reward),
    Uint8Array.from(kept, Number),
    groupSize,
    options.advantage,
  );
  const rows: Row[] = scored.map(({ trajectory }, i) => ({
    ledger: trajectory.ledger,
    advantage: advantages[i]!,
    oldLogprobs: trajectory.ledger.logprobs,
    refLogprobs: null,
  }));
  const masks = rows.map((row, i) =>
    kept[i] ? lossMask(row.ledger, options.unmaskTool) : new Uint8Array(row.ledger.length),
  );
  // Without KL and entropy terms a row with advantage 0 has no gradient.
  const everyRowCounts = options.loss.kl !== 'none' || options.loss.entropyCoef !== 0;
  const trained = rows.map((row, i) => kept[i]! && (everyRowCounts || row.advantage !== 0));

  const miniBatches: number[][] = Array.from({ length: options.miniBatches }, () => []);
  for (let i = 0; i < rows.length; i++) {
    miniBatches[Math.floor((Math.floor(i / groupSize) * options.miniBatches) / groups)]!.push(i);
  }

  // What the first mini-batch's own forward pass does not recompute is scored before any update.
  const recomputed = new Set(miniBatches[0]!.filter((i) => trained[i]));
  const toScore = rows.map((_, i) => i).filter((i) => kept[i] && (options.unmaskTool || !recomputed.has(i)));
  let logprobGap = 0;
  const sampled = { entropy: 0, tokens: 0 };
  for (const pack of cutRows(
    toScore.map((i) => rows[i]!.ledger.length),
    options.microBatchTokens,
  )) {
    options.signal?.throwIfAborted();
    const members = pack.map((p) => toScore[p]!);
    const { logprobs, entropies } = await scoreRows(model, members);
    members.forEach((i, s) => {
      const { ledger } = rows[i]!;
      for (let t = 0; t < ledger.length; t++) if (ledger.mask[t] === 1) sampled.entropy += entropies[s]![t]!;
      sampled.tokens += countTokens(ledger.mask);
      logprobGap = Math.max(logprobGap, gapOf(rows[i]!, logprobs[s]!, model.version, scored[i]!));
      if (options.unmaskTool) rows[i] = { ...rows[i]!, oldLogprobs: logprobs[s]! };
    });
  }
  if (options.reference !== undefined && options.loss.kl !== 'none') {
    const indices = rows.map((_, i) => i).filter((i) => kept[i]);
    for (const pack of cutRows(
      indices.map((i) => rows[i]!.ledger.length),
      options.microBatchTokens,
    )) {
      options.signal?.throwIfAborted();
      const members = pack.map((p) => indices[p]!);
      const { logprobs } = await scoreRows(options.reference, members);
      members.forEach((i, s) => {
        rows[i] = { ...rows[i]!, refLogprobs: logprobs[s]! };
      });
    }
  }

  const sum = { loss: 0, policyLoss: 0, klLoss: 0, tokens: 0, ratioSum: 0, ratioMax: 0 };
  const counts = { low: 0, high: 0, kl: 0 };
  let gradNorm = 0;
  let updates = 0;
  const version = model.version;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const miniBatch of miniBatches) {
      const members = miniBatch.filter((i) => trained[i]);
      if (members.length === 0) continue;
      // Denominators over the whole mini-batch, rows without an advantage included.
      const weights = lossWeights(
        miniBatch.map((i) => masks[i]!),
        options.reduction,
      );
      const weightOf = new Map(miniBatch.map((i, w) => [i, weights[w]!]));
      try {
        for (const pack of cutRows(
          members.map((i) => rows[i]!.ledger.length),
          options.microBatchTokens,
        )) {
          if (updates === 0) options.signal?.throwIfAborted();
          const packed = pack.map((p) => members[p]!);
          const batch = packRows(
            packed.map((i) => rows[i]!),
            packed.map((i) => weightOf.get(i)!),
            options.temperature,
          );
          const result = await model.accumulate(batch, options.loss);
          add(result);
          if (updates === 0) {
            if (!options.unmaskTool) {
              sampled.entropy += result.entropySum;
              sampled.tokens += result.tokens;
            }
            packed.forEach((i, s) => {
              const logprobs = result.logprobs.subarray(batch.seqStarts[s]!, batch.seqStarts[s + 1]!);
              logprobGap = Math.max(logprobGap, gapOf(rows[i]!, logprobs, version, scored[i]!));
            });
          }
        }
      } catch (error) {
        await model.zeroGradients();
        throw error;
      }
      const update = await model.update(options.adamw);
      gradNorm = Math.max(gradNorm, update.gradNorm);
      updates += 1;
    }
  }
  const perToken = 1 / Math.max(1, sum.tokens);
  return {
    advantages,
    deadGroups,
    lost: kept.filter((k) => !k).length,
    logprobGap,
    loss: sum.loss / Math.max(1, updates),
    policyLoss: sum.policyLoss / Math.max(1, updates),
    klLoss: sum.klLoss / Math.max(1, updates),
    tokensInLoss: sum.tokens,
    meanRatio: updates === 0 ? 1 : sum.ratioSum * perToken,
    maxRatio: updates === 0 ? 1 : sum.ratioMax,
    clipLow: counts.low * perToken,
    clipHigh: counts.high * perToken,
    kl: counts.kl * perToken,
    entropy: sampled.entropy / Math.max(1, sampled.tokens),
    gradNorm,
    updates,
    seconds: (performance.now() - started) / 1000,
  };

  /** Log-probs and entropies of the members' tokens in the loss, one array per member. */
  async function scoreRows(
    scorer: Pick<EngineModel, 'score'>,
    members: readonly number[],
  ): Promise<{ logprobs: Float32Array[]; entropies: Float32Array[] }> {
    const { tokens, seqStarts } = packIds(members.map((i) => rows[i]!.ledger));
    const wanted = new Uint8Array(tokens.length);
    members.forEach((i, s) => {
      wanted.set(masks[i]!, seqStarts[s]!);
    });
    const scores = await scorer.score({ tokens, seqStarts }, options.temperature, wanted);
    const cut = (values: Float32Array) =>
      members.map((_, s) => values.slice(seqStarts[s]!, seqStarts[s + 1]!));
    return { logprobs: cut(scores.logprobs), entropies: cut(scores.entropies) };
  }

  function add(result: LossResult): void {
    sum.loss += result.loss;
    sum.policyLoss += result.policyLoss;
    sum.klLoss += result.klLoss;
    sum.tokens += result.tokens;
    sum.ratioSum += result.ratioSum;
    sum.ratioMax = Math.max(sum.ratioMax, result.ratioMax);
    counts.low += result.clipLowCount;
    counts.high += result.clipHighCount;
    counts.kl += result.klSum;
  }
}

/** max |recomputed - sampled| over the row's policy tokens written by `version`; throws when it is not 0. */
function gapOf(row: Row, recomputed: Float32Array, version: number, scored: ScoredTrajectory): number {
  const { ledger } = row;
  let gap = 0;
  for (let t = 0; t < ledger.length; t++) {
    if (ledger.mask[t] !== 1 || ledger.versions[t] !== version) continue;
    const difference = Math.abs(recomputed[t]! - ledger.logprobs[t]!);
    if (!(difference <= gap)) gap = difference;
    if (difference !== 0) {
      const { question, sample } = scored.trajectory;
      throw new ToolgradError(
        'ERR_LOGPROB_GAP',
        `log-prob gap ${difference} at token ${t} of sample ${sample} of question ${question.id}: expected the log-prob ` +
          'recomputed from the recorded ids to equal the sampled one to the bit; weights or records changed in between',
      );
    }
  }
  return gap;
}
