/**
 * One policy step on a rollout batch: old log-probs, reference, critic, advantages, correction, then one update per mini-batch
 * and epoch. Which algorithm it is (GRPO, RLOO, REINFORCE++, GSPO, DAPO, PPO, ...) is the choice of estimator, loss, reduction and
 * critic.
 *
 * The old log-probs are the sampled ones: the engine recomputes them to the bit, which is checked for every trajectory before
 * the first update (`logprobGap`). A scoring pass is needed only for tokens that the current weights did not sample: unmasked
 * tool tokens and stale ones. Rows without an advantage add nothing to the gradient: they are scored for the gap but not
 * trained on, and count in the reduction's denominator like any other.
 */
import type { EngineModel, LossOptions, LossResult } from '../model/engine.ts';
import { truncatedEnds } from '../rollout/trajectory.ts';
import { countTokens, cutRows, lossMask, lossWeights, packRows, type Row } from './batch.ts';
import { klEstimates } from './correction.ts';
import { addValueSums, type CriticRow, explainedVariance, noValueSums, packValues } from './critic.ts';
import { type Estimate, estimateAdvantages } from './estimate.ts';
import type { CriticReport, PolicyStepOptions, ScoredTrajectory } from './policy-options.ts';
import { gapOf, scoreRows } from './scoring.ts';
import { correct, countStale, meanPenalty } from './stale.ts';
import { checkStep } from './step-checks.ts';

export interface PolicyStep {
  /** [number of trajectories] in the order given: the mean over their policy tokens; 0 for those lost to infrastructure. */
  readonly advantages: Float32Array;
  /** Per trajectory [length]; 0 off the policy's tokens. */
  readonly tokenAdvantages: readonly Float32Array[];
  readonly deadGroups: number;
  /** Trajectories left out because their tool failed. */
  readonly lost: number;
  /** max |recomputed - sampled| log-prob over policy tokens of the current version; must be 0. */
  readonly logprobGap: number;
  readonly loss: number;
  readonly policyLoss: number;
  readonly klLoss: number;
  /** Mean KL per trajectory that was taken off the reward, coefficient included. */
  readonly klPenalty: number;
  readonly tokensInLoss: number;
  readonly meanRatio: number;
  readonly maxRatio: number;
  readonly clipLow: number;
  readonly clipHigh: number;
  readonly kl: number;
  /** Mean over policy tokens of the entropy of the weights that score them first. */
  readonly entropy: number;
  /** Policy tokens that other weights sampled; mean and largest correction weight, shares capped and rejected. */
  readonly staleTokens: number;
  readonly correction: { mean: number; max: number; capped: number; rejected: number } | null;
  readonly critic: CriticReport | null;
  readonly gradNorm: number;
  readonly updates: number;
  readonly seconds: number;
}

/** Train on complete groups of `groupSize` trajectories each, in canonical order. */
export async function policyStep(
  model: EngineModel,
  scored: readonly ScoredTrajectory[],
  groupSize: number,
  options: PolicyStepOptions,
): Promise<PolicyStep> {
  const started = performance.now();
  checkStep(scored, groupSize, options);
  const { temperature, microBatchTokens, signal, turn, unmaskTool } = options;
  const passes = { temperature, microBatchTokens, signal, turn };
  const version = model.version;
  const groups = scored.length / groupSize;
  const ledgers = scored.map(({ trajectory }) => trajectory.ledger);
  const all = scored.map((_, i) => i);
  const kept = all.filter((i) => scored[i]!.trajectory.end !== 'infrastructure');
  const isKept = new Set(kept);
  const masks = scored.map(({ trajectory: { ledger, end } }, i) => {
    const out = !isKept.has(i) || (options.maskTruncated === true && truncatedEnds.has(end));
    return out ? new Uint8Array(ledger.length) : lossMask(ledger, unmaskTool);
  });
  const staleTokens = kept.map((i) => countStale(ledgers[i]!, masks[i]!, version));
  const stale = new Set(kept.filter((_, k) => staleTokens[k]! > 0));

  // What depends on the reference and the critic comes first: advantages may.
  const references = new Map<number, Float32Array>();
  if (options.reference !== undefined) {
    await scoreRows(options.reference, ledgers, masks, kept, passes, (i, logprobs) => {
      references.set(i, logprobs);
    });
  }
  const values = options.critic === undefined ? null : await options.critic.values(ledgers, signal);

  const old = ledgers.map((ledger) => ledger.logprobs);
  const sampled = { entropy: 0, tokens: 0 };
  let logprobGap = 0;
  const bypass = options.correction?.form === 'bypass';
  const rescore = (indices: readonly number[], countsEntropy: (row: number) => boolean) =>
    scoreRows(model, ledgers, masks, indices, passes, (i, logprobs, entropies) => {
      const { trajectory } = scored[i]!;
      logprobGap = Math.max(logprobGap, gapOf(trajectory, masks[i]!, logprobs, version));
      if (countsEntropy(i)) {
        for (let t = 0; t < entropies.length; t++) {
          if (masks[i]![t] === 1 && ledgers[i]!.mask[t] === 1) sampled.entropy += entropies[t]!;
        }
        sampled.tokens += countTokens(ledgers[i]!.mask);
      }
      if (!unmaskTool && (bypass || !stale.has(i))) return;
      old[i] = bypass ? logprobs.map((lp, t) => (ledgers[i]!.mask[t] === 1 ? old[i]![t]! : lp)) : logprobs;
    });
  // KL in the reward needs the old log-probs of every row.
  const before = kept.filter((i) => unmaskTool || stale.has(i));
  const estimateFirst = options.klReward !== undefined;
  if (estimateFirst) await rescore(before, () => false);

  const penalties =
    options.klReward === undefined
      ? null
      : masks.map((mask, i) => {
          const { kind, coef } = options.klReward!;
          const reference = references.get(i);
          if (reference === undefined) return new Float32Array(mask.length);
          return klEstimates(kind, old[i]!, reference, mask).map((kl) => coef * kl);
        });
  const estimate: Estimate = estimateAdvantages(
    {
      rewards: Float32Array.from(scored, ({ reward }) => reward),
      kept: Uint8Array.from(all, (i) => (isKept.has(i) ? 1 : 0)),
      groupSize,
      masks,
      penalties,
      values,
    },
    options.advantage,
  );

  const miniBatches: number[][] = Array.from({ length: options.miniBatches }, () => []);
  for (const i of all) {
    miniBatches[Math.floor((Math.floor(i / groupSize) * options.miniBatches) / groups)]!.push(i);
  }
  // Without KL and entropy terms a row with advantage 0 has no gradient.
  const everyRowCounts = options.loss.kl !== 'none' || options.loss.entropyCoef !== 0;
  const joint = options.criticOnly === true ? null : (options.critic?.joint ?? null);
  const isTrained = (i: number) =>
    options.criticOnly !== true &&
    isKept.has(i) &&
    (everyRowCounts || joint !== null || estimate.advantages[i]!.some((advantage) => advantage !== 0));

  // What the first mini-batch's own forward pass does not recompute is scored before any update.
  const recomputed = new Set(miniBatches[0]!.filter(isTrained));
  const countsEntropy = (i: number) => unmaskTool || !recomputed.has(i);
  await rescore(
    kept.filter((i) => (unmaskTool || stale.has(i) ? !estimateFirst : !recomputed.has(i))),
    countsEntropy,
  );

  const corrected =
    options.correction?.form === 'decoupled' && stale.size > 0
      ? correct(ledgers, masks, old, options.correction.weight)
      : null;
  const lossMasks = corrected?.masks ?? masks;
  const rows: Row[] = all.map((i) => ({
    ledger: ledgers[i]!,
    advantages: estimate.advantages[i]!,
    oldLogprobs: old[i]!,
    refLogprobs: options.loss.kl === 'none' ? null : (references.get(i) ?? null),
    policyWeights: corrected?.weights[i] ?? null,
  }));

  const criticRows: (CriticRow | null)[] = all.map((i) =>
    estimate.returns === null || values === null || !masks[i]!.includes(1)
      ? null
      : { ledger: ledgers[i]!, returns: estimate.returns[i]!, oldValues: values[i]! },
  );
  let critic: CriticReport | null = null;
  if (options.critic?.learn) {
    signal?.throwIfAborted();
    critic = await options.critic.learn(
      criticRows.filter((row) => row !== null),
      signal,
    );
  }

  const sum = {
    loss: 0,
    policyLoss: 0,
    klLoss: 0,
    tokens: 0,
    ratioSum: 0,
    ratioMax: 0,
    low: 0,
    high: 0,
    kl: 0,
  };
  let valueSums = noValueSums;
  let gradNorm = 0;
  let updates = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const miniBatch of miniBatches) {
      const members = miniBatch.filter(isTrained);
      if (members.length === 0) continue;
      // Denominators over the whole mini-batch, rows without an advantage included.
      const counted = miniBatch.filter((i) => isKept.has(i));
      const weights = lossWeights(
        counted.map((i) => lossMasks[i]!),
        options.reduction,
        options.countEmptyRows,
      );
      const weightOf = new Map(counted.map((i, w) => [i, weights[w]!]));
      const loss = {
        ...withEntropyWeight(options, counted, lossMasks),
        ...(joint === null ? {} : { value: { clip: joint.clip, coef: joint.coef } }),
      };
      const valued = counted.filter((i) => criticRows[i] !== null);
      const valueWeights =
        joint === null
          ? []
          : lossWeights(
              valued.map((i) => masks[i]!),
              'token_mean',
            );
      const valueWeightOf = new Map(valued.map((i, w) => [i, valueWeights[w]!]));
      try {
        for (const pack of cutRows(
          members.map((i) => rows[i]!.ledger.length),
          microBatchTokens,
        )) {
          await turn?.();
          // A critic that has learned by itself cannot be undone: from then on the step is finished.
          if (updates === 0 && critic === null) signal?.throwIfAborted();
          const packed = pack.map((p) => members[p]!);
          const batch = packRows(
            packed.map((i) => rows[i]!),
            packed.map((i) => weightOf.get(i)!),
            temperature,
          );
          const result = await model.accumulate(
            joint === null ? batch : { ...batch, value: valuesOf(packed, valueWeightOf) },
            loss,
          );
          add(result);
          if (result.value !== undefined) valueSums = addValueSums(valueSums, result.value);
          if (updates === 0) {
            if (!unmaskTool) {
              sampled.entropy += result.entropySum;
              sampled.tokens += result.tokens;
            }
            packed.forEach((i, s) => {
              const logprobs = result.logprobs.subarray(batch.seqStarts[s]!, batch.seqStarts[s + 1]!);
              const gap = gapOf(scored[i]!.trajectory, lossMasks[i]!, logprobs, version);
              logprobGap = Math.max(logprobGap, gap);
            });
          }
        }
      } catch (error) {
        await model.zeroGradients();
        throw error;
      }
      const update = await model.update(
        joint === null ? options.adamw : { ...options.adamw, valueLr: joint.lr },
      );
      gradNorm = Math.max(gradNorm, update.gradNorm);
      updates += 1;
    }
  }
  if (joint !== null) {
    critic = {
      loss: valueSums.loss / Math.max(1, updates),
      clipFraction: valueSums.clipCount / Math.max(1, valueSums.tokens),
      explainedVariance: explainedVariance(valueSums),
      gradNorm,
    };
  }
  const perToken = 1 / Math.max(1, sum.tokens);
  return {
    advantages: estimate.means,
    tokenAdvantages: estimate.advantages,
    deadGroups: estimate.deadGroups,
    lost: all.length - kept.length,
    logprobGap,
    loss: sum.loss / Math.max(1, updates),
    policyLoss: sum.policyLoss / Math.max(1, updates),
    klLoss: sum.klLoss / Math.max(1, updates),
    klPenalty: meanPenalty(penalties, masks, kept),
    tokensInLoss: sum.tokens,
    meanRatio: updates === 0 ? 1 : sum.ratioSum * perToken,
    maxRatio: updates === 0 ? 1 : sum.ratioMax,
    clipLow: sum.low * perToken,
    clipHigh: sum.high * perToken,
    kl: sum.kl * perToken,
    entropy: sampled.entropy / Math.max(1, sampled.tokens),
    staleTokens: staleTokens.reduce((total, count) => total + count, 0),
    correction: corrected?.report ?? null,
    critic,
    gradNorm,
    updates,
    seconds: (performance.now() - started) / 1000,
  };

  /** The critic's part of a pack; a row without returns has weight 0 throughout. */
  function valuesOf(packed: readonly number[], weights: ReadonlyMap<number, Float32Array>) {
    const nothing = (i: number) => new Float32Array(ledgers[i]!.length);
    return packValues(
      packed.map((i) => criticRows[i] ?? { ledger: ledgers[i]!, returns: nothing(i), oldValues: nothing(i) }),
      packed.map((i) => weights.get(i) ?? nothing(i)),
    );
  }

  function add(result: LossResult): void {
    sum.loss += result.loss;
    sum.policyLoss += result.policyLoss;
    sum.klLoss += result.klLoss;
    sum.tokens += result.tokens;
    sum.ratioSum += result.ratioSum;
    sum.ratioMax = Math.max(sum.ratioMax, result.ratioMax);
    sum.low += result.clipLowCount;
    sum.high += result.clipHighCount;
    sum.kl += result.klSum;
  }
}

/** The loss of one mini-batch: a token-mean entropy bonus knows how many tokens there are. */
function withEntropyWeight(
  options: PolicyStepOptions,
  rows: readonly number[],
  masks: readonly Uint8Array[],
): LossOptions {
  if (options.entropyTokenMean !== true) return options.loss;
  const tokens = rows.reduce((total, i) => total + countTokens(masks[i]!), 0);
  return { ...options.loss, entropyWeight: 1 / Math.max(1, tokens) };
}
