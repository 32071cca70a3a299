/** Training the critic on packed trajectories: values for GAE, regression on returns, warm-up, statistics. */
import test from 'ava';
import { Ledger } from '../lib/rollout/ledger.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { lossWeights, packRows } from '../lib/train/batch.ts';
import {
  type CriticOptions,
  type CriticRow,
  criticStep,
  criticValues,
  explainedVariance,
  packValues,
} from '../lib/train/critic.ts';
import { alone, bits, crossEntropy } from './support/batches.ts';
import { adamw, allBits, isHead, tinyCritic } from './support/critics.ts';
import { tinyModel } from './support/tiny-models.ts';

/** A trajectory: prompt, policy tokens, a tool's output, policy tokens. What the question was decides the return. */
function trajectory(seed: number): CriticRow {
  const random = createRandom(seed, [7]);
  const ledger = new Ledger();
  const good = seed % 2 === 0;
  const ids = (count: number) => Array.from({ length: count }, () => random.integer(10, 299));
  ledger.appendPrompt([good ? 3 : 4, ...ids(3)]);
  for (const id of ids(5)) ledger.appendPolicy(id, -1, 0, 0);
  ledger.appendTool(ids(6), 0, 0);
  for (const id of ids(random.integer(2, 6))) ledger.appendPolicy(id, -1, 1, 0);
  const returns = Float32Array.from(ledger.mask, (m, t) =>
    m === 1 ? (good ? 1 : -1) * 0.98 ** (ledger.length - t) : 0,
  );
  return { ledger, returns, oldValues: new Float32Array(ledger.length) };
}
const rows = (count: number): CriticRow[] => Array.from({ length: count }, (_, i) => trajectory(i));
const critic: CriticOptions = {
  clip: 0,
  reduction: 'token_mean',
  epochs: 1,
  miniBatches: 1,
  microBatchTokens: 100_000,
  adamw: { ...adamw, lr: 3e-3, weightDecay: 0 },
};

test('criticValues gives the values of policy tokens, the first after a tool span read at the last tool token', async (t) => {
  using model = await tinyCritic('qwen2', { dtype: 'bfloat16' });
  const some = rows(5);
  const values = await criticValues(model, some, 40);
  for (const [i, { ledger }] of some.entries()) {
    const whole = await model.values(alone(ledger.ids));
    t.deepEqual(bits(values[i]!), bits(whole.map((v, at) => (ledger.mask[at] === 1 ? v : 0))));
    const first = 4 + 5 + 6; // the first policy token after the tool's output
    const [hidden, weight] = [
      await model.hidden(alone(ledger.ids), Int32Array.of(first - 1)),
      await model.parameter('value_head.weight'),
    ];
    const bias = (await model.parameter('value_head.bias'))[0]!;
    const expected = hidden.reduce((sum, h, c) => sum + h * weight[c]!, bias);
    t.true(Math.abs(values[i]![first]! - expected) < 1e-5);
  }
  const aborted = criticValues(model, some, 40, AbortSignal.abort());
  await t.throwsAsync(aborted, { any: true, name: 'AbortError' });
});

test('a critic of its own learns the returns within seconds; its own values explain them', async (t) => {
  using model = await tinyModel('qwen3', {
    dtype: 'bfloat16',
    trainable: true,
    valueHead: true,
    initStd: 0.05,
  });
  const started = performance.now();
  const explained: number[] = [];
  for (let step = 0; step < 40; step++) {
    const batch = Array.from({ length: 16 }, (_, i) => trajectory(step * 16 + i));
    const values = await criticValues(model, batch, 512);
    const stats = await criticStep(
      model,
      batch.map((row, i) => ({ ...row, oldValues: values[i]! })),
      { ...critic, clip: 0.5, miniBatches: 2 },
    );
    t.is(stats.updates, 2);
    explained.push(stats.explainedVariance);
  }
  const tail = explained.slice(-5).reduce((sum, x) => sum + x, 0) / 5;
  t.log(
    `explained variance ${explained[0]!.toFixed(2)} -> ${tail.toFixed(2)} on new trajectories in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
  t.true(explained[0]! < 0.3);
  t.true(tail > 0.5);
});

test('criticStep: micro-batches change no bit; statistics are those of all updates', async (t) => {
  const seen = [];
  for (const microBatchTokens of [1, 60, 100_000]) {
    using model = await tinyCritic('llama', { dtype: 'bfloat16' });
    const stats = await criticStep(model, rows(9), {
      ...critic,
      clip: 0.2,
      epochs: 2,
      miniBatches: 3,
      microBatchTokens,
    });
    const { seconds, loss, meanValue, explainedVariance, meanReturn, ...exact } = stats;
    t.is(stats.updates, 6);
    t.is(model.version, 6);
    t.is(
      stats.tokensInLoss,
      2 * rows(9).reduce((sum, { ledger }) => sum + ledger.mask.reduce((a, b) => a + b, 0), 0),
    );
    t.true(stats.clipFraction > 0 && stats.clipFraction < 1);
    seen.push({ exact, weights: await allBits(model, 'parameter') });
  }
  t.deepEqual(seen[1], seen[0]);
  t.deepEqual(seen[2], seen[0]);
});

test('criticStep with headOnly warms the head up on the policy and leaves the policy to the bit', async (t) => {
  using model = await tinyModel('qwen2', { dtype: 'bfloat16', trainable: true, valueHead: true });
  const before = await allBits(model, 'parameter');
  const losses: number[] = [];
  for (let i = 0; i < 20; i++)
    losses.push(
      (await criticStep(model, rows(12), { ...critic, headOnly: true, adamw: { ...critic.adamw, lr: 0.02 } }))
        .loss,
    );
  t.log(`value loss ${losses[0]!.toFixed(3)} -> ${losses.at(-1)!.toFixed(3)}`);
  t.true(losses.at(-1)! < 0.7 * losses[0]!);
  const after = await allBits(model, 'parameter');
  for (const name of model.parameterNames)
    if (!isHead(name)) t.deepEqual(after.get(name), before.get(name), name);
  t.is(model.version, 0);
});

test('one pass trains policy and critic on packed rows', async (t) => {
  using model = await tinyCritic('qwen2', { dtype: 'bfloat16' });
  const some = rows(4);
  const weights = lossWeights(
    some.map(({ ledger }) => ledger.mask),
    'sequence_mean',
  );
  const batch = packRows(
    some.map(({ ledger }) => ({
      ledger,
      advantages: new Float32Array(ledger.length).fill(1),
      oldLogprobs: null,
      refLogprobs: null,
    })),
    weights,
    1,
  );
  const value = packValues(some, weights);
  const result = await model.accumulate(
    { ...batch, value },
    { ...crossEntropy, value: { clip: 0.5, coef: 0.5 } },
  );
  t.is(result.tokens, result.value!.tokens);
  t.deepEqual(bits(value.weight), bits(batch.weight));
  const values = await criticValues(model, some, 1000);
  t.deepEqual(bits(result.value!.values), bits(Float32Array.from(values.flatMap((v) => [...v]))));
});

test('criticStep refuses rows and options that make no sense and leaves no gradient behind', async (t) => {
  using model = await tinyCritic('llama');
  const some = rows(2);
  const fails = (given: CriticRow[], options: Partial<CriticOptions>, message: RegExp) =>
    t.throwsAsync(criticStep(model, given, { ...critic, ...options }), { instanceOf: RangeError, message });
  await fails([], {}, /expected at least one trajectory, found none/);
  await fails(
    some,
    { miniBatches: 3 },
    /expected 1 to 2 mini-batches \(one trajectory each at least\), found 3/,
  );
  await fails(some, { epochs: 0 }, /expected one epoch or more, found 0/);
  await fails(
    [some[0]!, { ...some[1]!, returns: new Float32Array(3) }],
    {},
    /expected \d+ returns for trajectory 1, one per token, found 3/,
  );
  const bad = { ...some[1]!, returns: some[1]!.returns.map((r, i) => (i === 6 ? Number.NaN : r)) };
  await t.throwsAsync(criticStep(model, [some[0]!, bad], { ...critic, microBatchTokens: 1 }), {
    code: 'ERR_NOT_FINITE',
    message: /return of token 6 is NaN/,
  });
  t.true((await model.gradient('value_head.weight')).every((g) => g === 0));
  await t.throwsAsync(criticStep(model, some, { ...critic, signal: AbortSignal.abort() }), {
    any: true,
    name: 'AbortError',
  });
  const masked = trajectory(0);
  masked.ledger.excludeFromLoss(0);
  const nothing = await criticStep(model, [masked], critic);
  t.is(nothing.updates, 0);
  t.is(nothing.explainedVariance, 0);
  t.is(model.version, 0);
});

test('explained variance is 1 for a perfect critic, 0 for a constant one and for equal returns', (t) => {
  const of = (values: number[], returns: number[]) => {
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    const residuals = returns.map((r, i) => r - values[i]!);
    return explainedVariance({
      loss: 0,
      tokens: values.length,
      clipCount: 0,
      valueSum: sum(values),
      returnSum: sum(returns),
      returnSquares: sum(returns.map((r) => r * r)),
      residualSum: sum(residuals),
      residualSquares: sum(residuals.map((r) => r * r)),
    });
  };
  t.is(of([1, 2, 4], [1, 2, 4]), 1);
  t.true(Math.abs(of([7, 7, 7], [1, 2, 4])) < 1e-12, 'a constant offset explains nothing');
  t.is(of([2, 3, 5], [1, 2, 4]), 1, 'and costs nothing');
  t.is(of([0.5, 0, -1], [0.1, 0.1, 0.1]), 0);
  t.true(of([-1, 1], [1, -1]) < 0);
});
