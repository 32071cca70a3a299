/** Advantages token by token, overlong shaping, dynamic sampling, correction: against float64 written from the formulas. */
import test from 'ava';
import type { RolloutStats } from '../lib/rollout/trajectory.ts';
import { overlongPenalty } from '../lib/tasks/reward.ts';
import { correctionWeights, klEstimates } from '../lib/train/correction.ts';
import { fillBatch } from '../lib/train/dynamic-sampling.ts';
import { type Estimator, estimateAdvantages, type RewardedRows } from '../lib/train/estimate.ts';
import type { Scored } from '../lib/train/score.ts';

/** Four trajectories in two groups, with tool spans (0 inside), one lost. */
function rows(changed: Partial<RewardedRows> = {}): RewardedRows {
  const masks = [
    [0, 0, 1, 1, 0, 0, 1],
    [0, 0, 1, 1, 1],
    [0, 1, 1, 0, 1, 1],
    [0, 1, 1],
  ].map((mask) => Uint8Array.from(mask));
  return {
    rewards: Float32Array.of(1, 0, 1, 0),
    kept: Uint8Array.of(1, 1, 1, 1),
    groupSize: 2,
    masks,
    penalties: null,
    values: null,
    ...changed,
  };
}
const penalties = rows().masks.map((mask, i) => Float32Array.from(mask, (m, t) => m * 0.01 * (i + t)));
const values = rows().masks.map((mask, i) => Float32Array.from(mask, (m, t) => m * Math.sin(3 * i + t)));

/** x - mean over unbiased deviation, over all masked entries of all rows. */
function whitenedInFloat64(perRow: readonly (readonly number[])[], masks: readonly Uint8Array[]): number[][] {
  const all = perRow.flatMap((row, i) => row.filter((_, t) => masks[i]![t] === 1));
  const mean = all.reduce((sum, x) => sum + x, 0) / all.length;
  const variance = all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (all.length - 1);
  return perRow.map((row, i) =>
    row.map((x, t) => (masks[i]![t] === 1 ? (x - mean) / Math.sqrt(variance + 1e-8) : 0)),
  );
}

function worst(found: readonly Float32Array[], expected: readonly (readonly number[])[]): number {
  return Math.max(...found.flatMap((row, i) => [...row].map((x, t) => Math.abs(x - expected[i]![t]!))));
}

test('REINFORCE++ discounts over policy tokens only, takes KL off each token, and whitens over the batch', (t) => {
  const gamma = 0.9;
  const input = rows({ penalties });
  const { advantages, returns } = estimateAdvantages(input, { kind: 'reinforce++', gamma });
  const expected = input.masks.map((mask, i) => {
    const own = [...mask.keys()].filter((at) => mask[at] === 1);
    const reward = own.map((at) => -penalties[i]![at]! + (at === own.at(-1) ? input.rewards[i]! : 0));
    const out = Array.from(mask, () => 0);
    own.forEach((at, k) => {
      out[at] = reward.slice(k).reduce((sum, r, d) => sum + gamma ** d * r, 0);
    });
    return out;
  });
  const error = worst(advantages, whitenedInFloat64(expected, input.masks));
  t.log(`worst error ${error.toExponential(1)}`);
  t.true(error < 1e-6);
  t.is(returns, null);
});

test('the baseline form of REINFORCE++ removes the mean of the group, with KL summed over the tokens first', (t) => {
  const input = rows({ penalties });
  const { advantages } = estimateAdvantages(input, { kind: 'reinforce++-baseline' });
  const totals = input.masks.map(
    (mask, i) => input.rewards[i]! - mask.reduce((sum, m, at) => sum + m * penalties[i]![at]!, 0),
  );
  const centred = input.masks.map((mask, i) => {
    const mean = (totals[i - (i % 2)]! + totals[i - (i % 2) + 1]!) / 2;
    return Array.from(mask, (m) => m * (totals[i]! - mean));
  });
  const error = worst(advantages, whitenedInFloat64(centred, input.masks));
  t.log(`worst error ${error.toExponential(1)}`);
  t.true(error < 1e-6);
});

test('a tool span changes nothing: GAE and REINFORCE++ with it equal those with the span cut out', (t) => {
  const cut = <A extends Float32Array | Uint8Array>(row: A, i: number) =>
    row.filter((_, at) => rows().masks[i]![at] === 1) as A;
  for (const estimator of [
    { kind: 'gae', gamma: 0.99, lambda: 0.95 },
    { kind: 'reinforce++', gamma: 0.99 },
  ] satisfies Estimator[]) {
    const whole = estimateAdvantages(rows({ penalties, values }), estimator);
    const without = estimateAdvantages(
      rows({
        masks: rows().masks.map(cut),
        penalties: penalties.map(cut),
        values: values.map(cut),
      }),
      estimator,
    );
    t.deepEqual(whole.advantages.map(cut), without.advantages, estimator.kind);
    t.deepEqual(
      whole.returns?.map(cut),
      without.returns?.map((row) => row),
    );
  }
});

test('GAE: advantages are whitened, what the critic learns is not', (t) => {
  const input = rows({ values });
  const [gamma, lambda] = [0.99, 0.95];
  const { advantages, returns } = estimateAdvantages(input, { kind: 'gae', gamma, lambda });
  const raw = input.masks.map((mask, i) => {
    const own = [...mask.keys()].filter((at) => mask[at] === 1);
    const out = Array.from(mask, () => 0);
    own.forEach((at, k) => {
      for (let j = k; j < own.length; j++) {
        const next = j + 1 < own.length ? values[i]![own[j + 1]!]! : 0;
        const reward = j + 1 < own.length ? 0 : input.rewards[i]!;
        out[at]! += (gamma * lambda) ** (j - k) * (reward + gamma * next - values[i]![own[j]!]!);
      }
    });
    return out;
  });
  const error = worst(advantages, whitenedInFloat64(raw, input.masks));
  const expectedReturns = raw.map((row, i) =>
    row.map((x, at) => (input.masks[i]![at] === 1 ? x + values[i]![at]! : 0)),
  );
  const returnError = worst(returns!, expectedReturns);
  t.log(`worst error ${error.toExponential(1)}, returns ${returnError.toExponential(1)}`);
  t.true(error < 1e-6 && returnError < 1e-6);
  t.throws(() => estimateAdvantages(rows(), { kind: 'gae', gamma, lambda }), {
    message: /needs the values of a critic/,
  });
});

test('a lost trajectory leaves its group and the batch before anything is averaged', (t) => {
  const lost = { kept: Uint8Array.of(1, 1, 1, 0), rewards: Float32Array.of(1, 0, 1, 1e6), penalties, values };
  for (const kind of ['grpo', 'reinforce++', 'reinforce++-baseline', 'gae'] as const) {
    const estimator: Estimator =
      kind === 'grpo'
        ? { kind, std: 'sample', eps: 1e-4 }
        : kind === 'reinforce++'
          ? { kind, gamma: 1 }
          : kind === 'gae'
            ? { kind, gamma: 1, lambda: 1 }
            : { kind };
    const { advantages, deadGroups } = estimateAdvantages(rows(lost), estimator);
    t.true(
      advantages[3]!.every((a) => a === 0),
      kind,
    );
    t.true(
      advantages.flatMap((row) => [...row]).every((a) => Math.abs(a) < 10),
      kind,
    );
    t.is(deadGroups, 1, 'a group of one is dead');
  }
});

test('overlong shaping is 0 up to the buffer, full at the limit, and linear between', (t) => {
  const shape = { length: 100, buffer: 20, factor: 0.5 };
  const at = (tokens: number) => overlongPenalty(tokens, shape);
  t.deepEqual([0, 79, 80, 90, 100].map(at), [0, 0, 0, -0.25, -0.5]);
  t.is(at(110), -0.75, 'as in verl it goes on beyond the limit');
});

test('dynamic sampling asks again until enough groups are mixed, drops the surplus in order, and stops at its cap', async (t) => {
  const stats = { sampled: 1 } as RolloutStats;
  const group = (prompt: number, ...correct: boolean[]) =>
    correct.map(
      (right, sample) =>
        ({
          trajectory: { prompt, sample, end: 'answer' },
          correct: right,
          reward: 0,
          parts: {},
        }) as unknown as Scored,
    );
  const rounds = [
    [...group(0, true, true), ...group(1, true, false)],
    [...group(2, false, false), ...group(3, false, true)],
    [...group(4, true, false), ...group(5, true, false)],
  ];
  const ask = async (round: number) => ({ scored: rounds[round]!, stats });
  const prompts = (scored: readonly Scored[]) => scored.map(({ trajectory }) => trajectory.prompt);
  const two = await fillBatch(2, 2, 3, ask);
  t.deepEqual(prompts(two.scored), [1, 1, 3, 3]);
  t.deepEqual([two.rounds, two.questions, two.dropped, two.surplus, two.stats.sampled], [2, 4, 2, 0, 2]);
  const three = await fillBatch(3, 2, 3, ask);
  t.deepEqual(prompts(three.scored), [1, 1, 3, 3, 4, 4]);
  t.is(three.surplus, 1, 'prompt 5 came last');
  const capped = await fillBatch(2, 2, 1, ask);
  t.deepEqual(prompts(capped.scored), [1, 1], 'fewer groups than asked for');
  const dead = await fillBatch(1, 2, 1, async () => ({ scored: group(0, true, true), stats }));
  t.deepEqual(prompts(dead.scored), [0, 0], 'no group is alive: the first round is the batch');
  const lost = group(0, true, false);
  Object.assign(lost[1]!.trajectory, { end: 'infrastructure' });
  t.is(
    (await fillBatch(1, 2, 1, async () => ({ scored: lost, stats }))).dropped,
    1,
    'a lost trajectory is not wrong',
  );
});

test('correction weights are exp(lo - ls), capped; tokens beyond the bounds are rejected by mask or by weight', (t) => {
  const old = Float32Array.of(0, -1, -2, -1, 0, -3);
  const sampled = Float32Array.of(0, -1, -1, -3, 0, -1);
  const mask = Uint8Array.of(0, 1, 1, 1, 0, 1);
  const starts = Int32Array.of(0, 4, 6);
  const options = { level: 'token', cap: 2, reject: 'none', low: 0, high: 0, normalise: false } as const;
  const plain = correctionWeights(old, sampled, mask, starts, options);
  const expected = [0, 1, Math.exp(-1), 2, 0, Math.exp(-2)];
  const error = worst([plain.weights], [expected]);
  t.log(`worst error ${error.toExponential(1)}`);
  t.true(error < 1e-7);
  t.deepEqual([plain.tokens, plain.capped, plain.rejected], [4, 1, 0]);
  t.deepEqual(
    [
      ...correctionWeights(old, sampled, mask, starts, { ...options, reject: 'mask', low: 0.2, high: 5 })
        .keep,
    ],
    [0, 1, 1, 0, 0, 0],
  );
  const whole = correctionWeights(old, sampled, mask, starts, { ...options, level: 'sequence', cap: 0 });
  t.true(Math.abs(whole.weights[1]! - Math.E) < 1e-6 && whole.weights[1] === whole.weights[3]);
  t.deepEqual([...klEstimates('k1', old, sampled, mask)], [0, 0, -1, 2, 0, -2]);
  t.throws(() => correctionWeights(old, sampled, mask, Int32Array.of(0, 9), options), {
    instanceOf: RangeError,
  });
  old[1] = Number.NaN;
  t.throws(() => correctionWeights(old, sampled, mask, starts, options), { code: 'ERR_NOT_FINITE' });
});
