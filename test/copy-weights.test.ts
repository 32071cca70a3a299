/** copyWeights: a frozen model takes the weights of another, in order with the calls of both. */
import test from 'ava';
import type { ModelConfig } from '../lib/model/config.ts';
import { type CreateOptions, createModel, type Model } from '../lib/model/model.ts';
import { alone, bits, crossEntropy, sampling } from './support/batches.ts';
import { sequences, tinyConfigs, tinyModel } from './support/tiny-models.ts';
import { adamw } from './support/training.ts';

const [ids] = sequences([40]);
const probe = async (model: Model) => bits((await model.score(alone(ids!), 1)).logprobs);

/** One update, in the calls it takes; nothing is awaited before the last one. */
function updated(model: Model): Promise<unknown> {
  const weight = new Float32Array(40).fill(1 / 39);
  weight[0] = 0;
  const learnt = model.accumulate({ ...alone(ids!), temperature: 1, weight }, crossEntropy);
  return Promise.all([learnt, model.update(adamw)]);
}

test('the copy computes with the same bits, has the same version, and stays when the other model goes on', async (t) => {
  for (const family of ['qwen2', 'qwen3', 'llama'] as const) {
    for (const dtype of ['bfloat16', 'float32'] as const) {
      using from = await tinyModel(family, { dtype, trainable: true });
      using to = await createModel(tinyConfigs[family], { dtype, threads: 1, seed: 99n });
      await updated(from);
      t.notDeepEqual(await probe(to), await probe(from));
      await to.copyWeights(from);
      const copied = await probe(from);
      t.deepEqual(await probe(to), copied, `${family} ${dtype}`);
      t.is(to.version, 1);
      await updated(from);
      t.notDeepEqual(await probe(from), copied);
      t.deepEqual(await probe(to), copied);
      await to.copyWeights(from);
      t.deepEqual(await probe(to), await probe(from));
      t.is(to.version, 2);
    }
  }
});

test('a copy comes after the calls made before it, and before those made after it, of both models', async (t) => {
  using from = await tinyModel('qwen2', { trainable: true });
  using to = await createModel(tinyConfigs.qwen2, { threads: 2 });
  // Nothing is awaited in between.
  const calls = [updated(from), to.copyWeights(from), updated(from)] as const;
  const after = probe(to);
  await Promise.all(calls);
  t.is(to.version, 1);
  t.is(from.version, 2);
  using again = await tinyModel('qwen2', { trainable: true });
  await updated(again);
  t.deepEqual(await after, await probe(again), 'the weights of one update');
});

test('keys cached before are stale, as after an update', async (t) => {
  using from = await tinyModel('qwen2');
  using to = await createModel(tinyConfigs.qwen2, { threads: 2, seed: 99n });
  const cache = to.openKvCache(8);
  const seq = cache.add();
  const row = (n: number, tokens: readonly number[]) => ({
    seq: n,
    tokens: Int32Array.from(tokens),
    sample: sampling(),
  });
  await cache.step([row(seq, ids!)]);
  await to.copyWeights(from);
  await t.throwsAsync(cache.step([row(seq, [1])]), { code: 'ERR_STALE_KV' });
  cache.clear();
  const own = from.openKvCache(8);
  t.deepEqual(
    await cache.step([row(cache.add(), ids!)]),
    await own.step([row(own.add(), ids!)]),
    'and new ones are those of the other model',
  );
});

test('a value head is copied where both have one, and left where only the other has', async (t) => {
  using from = await tinyModel('qwen2', { trainable: true, valueHead: true });
  await from.setParameter('value_head.bias', Float32Array.of(0.5));
  using without = await createModel(tinyConfigs.qwen2, { threads: 1, seed: 99n });
  using head = await createModel(tinyConfigs.qwen2, { threads: 1, seed: 99n, valueHead: true });
  await without.copyWeights(from);
  await head.copyWeights(from);
  t.deepEqual(await probe(without), await probe(from));
  t.deepEqual(await probe(head), await probe(from));
  t.deepEqual(await head.parameter('value_head.bias'), Float32Array.of(0.5));
});

test('models that do not fit are refused, saying what was expected and found, and nothing is changed', async (t) => {
  const config = tinyConfigs.qwen2;
  using to = await createModel(config, { threads: 1, seed: 99n });
  const before = await probe(to);
  const refused = async (
    target: Model,
    changed: Partial<ModelConfig>,
    options: CreateOptions,
    code: string,
    message: RegExp,
  ) => {
    using from = await createModel({ ...config, ...changed }, { threads: 1, ...options });
    await t.throwsAsync(target.copyWeights(from), { code, message });
  };
  await refused(
    to,
    { vocabSize: 301 },
    {},
    'ERR_MODEL_SHAPE',
    /expected model.embed_tokens.weight \[300, ?48\] but the model to copy from has model.embed_tokens.weight \[301, ?48\]/,
  );
  await refused(to, { layers: 3 }, {}, 'ERR_MODEL_SHAPE', /expected \S+ \[.*\] but .* has \S+ \[/);
  await refused(
    to,
    { rmsNormEps: 1e-5 },
    {},
    'ERR_MODEL_SHAPE',
    /expected a model of one shape with this one/,
  );
  await refused(to, {}, { dtype: 'float32' }, 'ERR_DTYPE', /expected bfloat16 weights but .* has float32/);
  await refused(
    to,
    {},
    { lora: { rank: 2, alpha: 4, targets: 'all-linear' } },
    'ERR_LORA',
    /expected models without adapters but the one to copy from has one/,
  );
  using head = await createModel(config, { threads: 1, valueHead: true });
  await refused(head, {}, {}, 'ERR_MODEL_SHAPE', /expected a value head but the model to copy from has none/);
  using trains = await createModel(config, { threads: 1, trainable: true });
  await refused(trains, {}, {}, 'ERR_TRAINABLE', /expected a model loaded with trainable: false/);
  t.deepEqual(await probe(to), before);
  t.is(to.version, 0);

  await to.copyWeights(to);
  t.deepEqual(await probe(to), before, 'from itself it takes nothing');
  t.throws(() => to.copyWeights({} as Model), { instanceOf: TypeError });
  const gone = await createModel(config, { threads: 1 });
  gone.dispose();
  t.throws(() => to.copyWeights(gone), { code: 'ERR_DISPOSED', message: /copyWeights/ });
  t.throws(() => gone.copyWeights(to), { code: 'ERR_DISPOSED', message: /copyWeights/ });

  // A model disposed while the copy is under way is kept until it is done.
  const leaving = await tinyModel('qwen2');
  const left = await probe(leaving);
  const copied = to.copyWeights(leaving);
  leaving.dispose();
  await copied;
  t.deepEqual(await probe(to), left);
});
