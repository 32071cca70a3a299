/**
 * Activation recomputation: what a training pass computes again has the bits of what it would have kept, so losses,
 * log-probs, values and gradients are the same at every level, and only memory differs.
 */
import test from 'ava';
import { type Recompute, recomputeLevels, type WeightDtype } from '../lib/model/engine.ts';
import { planMemory } from '../lib/model/memory.ts';
import { type CreateOptions, createModel, type Model } from '../lib/model/model.ts';
import { native } from '../lib/native.ts';
import { randomiseAdapter, tinyLora } from './support/adapters.ts';
import { crossEntropy } from './support/batches.ts';
import { bothBatch, bothLosses, policyBatch, policyOnly, tinyCritic } from './support/critics.ts';
import { trainingBits } from './support/recompute.ts';
import { sequences, tinyConfigs, tinyModel } from './support/tiny-models.ts';

const families = Object.keys(tinyConfigs) as (keyof typeof tinyConfigs)[];
const dtypes: readonly WeightDtype[] = ['bfloat16', 'float32'];
/** On both sides of the page of 32 tokens; the second batch continues the gradients of the first. */
const batches = [bothBatch(sequences([1, 31, 64, 33, 2])), bothBatch(sequences([70, 5], 2))];

const openers: Readonly<
  Record<string, (family: keyof typeof tinyConfigs, options: CreateOptions) => Promise<Model>>
> = {
  'all weights': (family, options) => tinyModel(family, { ...options, trainable: true }),
  'an adapter': async (family, options) => {
    const model = await tinyModel(family, { ...options, trainable: true, lora: tinyLora });
    await randomiseAdapter(model);
    return model;
  },
  'a value head': (family, options) => tinyCritic(family, options),
};

for (const family of families) {
  for (const dtype of dtypes) {
    test(`${family} ${dtype}: gradients, losses, log-probs and values have the same bits at every level`, async (t) => {
      for (const [what, open] of Object.entries(openers)) {
        const critic = what === 'a value head';
        const loss = critic ? bothLosses : policyOnly(bothLosses);
        const given = critic ? batches : batches.map(policyBatch);
        using model = await open(family, { dtype });
        t.is(model.recompute, 'none');
        const kept = await trainingBits(model, given, loss);
        t.true(kept.largest > 1e-4, 'there are gradients to compare');
        for (const level of recomputeLevels.slice(1)) {
          model.recompute = level;
          t.deepEqual((await trainingBits(model, given, loss)).bits, kept.bits, `${what}, ${level}`);
        }
      }
    });
  }
}

test('a level can be named when a model is opened, and an unknown one is refused', async (t) => {
  using model = await tinyModel('qwen3', { trainable: true, recompute: 'full' });
  t.is(model.recompute, 'full');
  model.recompute = 'most' as Recompute;
  t.throws(() => model.accumulate(policyBatch(batches[0]!), crossEntropy), {
    instanceOf: RangeError,
    message: /Expected one of none, selective, full for recompute but received "?most"?/,
  });
});

test.serial('recomputation takes from a training pass what the plan says', async (t) => {
  const config = { ...tinyConfigs.llama, layers: 8, hiddenSize: 96, intermediateSize: 256 };
  const T = 1024;
  const batch = policyBatch(bothBatch(sequences(Array.from({ length: T / 64 }, () => 64))));
  const measured: number[] = [];
  for (const recompute of recomputeLevels) {
    using model = await createModel(config, { trainable: true, threads: 1, recompute });
    const before = native().externalMemory();
    await model.accumulate(batch, policyOnly(bothLosses));
    measured.push(native().externalMemory() - before);
  }
  const planned = recomputeLevels.map((recompute) => {
    const plan = planMemory(config, 'bfloat16', true, undefined, false, recompute);
    return plan.activationBytesFixed + T * plan.activationBytesPerToken;
  });
  t.log(`bytes of ${T} tokens, planned ${planned.join(', ')}; allocated ${measured.join(', ')}`);
  // The plan takes every token for one in the loss; two thirds are.
  for (const [i, bytes] of measured.entries()) t.true(bytes <= planned[i]! && bytes > 0.85 * planned[i]!);
  t.true(measured[1]! < 0.6 * measured[0]! && measured[2]! < 0.7 * measured[1]!);
});
