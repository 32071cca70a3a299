/**
 * Programs that need a driver of their own settings, started by inProcess() of cuda.ts. `bits`: hashes of what a training and
 * a sampling pass give. `decoding`: the same of many decoding steps, before and after an update. `failures`: works until the device fails, and says what happened.
 */
import { createHash } from 'node:crypto';
import { ToolgradError } from '../../lib/errors.ts';
import { crossEntropy, packed, sampling, tokenMeanWeights } from './batches.ts';
import { modelOn } from './cuda-models.ts';
import { sequences } from './tiny-models.ts';

const lengths = [1, 33, 64, 17];
const list = sequences(lengths, 3);
const lossBatch = () => ({
  ...packed(list),
  temperature: 1,
  weight: tokenMeanWeights(lengths.map((n) => Array.from({ length: n }, (_, i) => (i % 4 === 0 ? 0 : 1)))),
});

async function bits(): Promise<void> {
  const hash = createHash('sha256');
  using model = await modelOn('cuda', 'qwen2', { trainable: true });
  hash.update((await model.score(packed(list), 0.7)).logprobs);
  hash.update((await model.accumulate(lossBatch(), crossEntropy)).logprobs);
  for (const name of model.parameterNames) hash.update(await model.gradient(name));
  await model.update({ lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, maxGradNorm: 1 });
  for (const name of model.parameterNames) hash.update(await model.parameter(name));
  const cache = model.openKvCache(64);
  const rows = list.map((ids, i) => ({
    seq: cache.add(),
    tokens: Int32Array.from(ids),
    sample: sampling(i),
  }));
  const step = await cache.step(rows);
  hash.update(step.tokens).update(step.logprobs);
  console.log(hash.digest('hex'));
}

async function decoding(): Promise<void> {
  const hash = createHash('sha256');
  using model = await modelOn('cuda', 'qwen3', { trainable: true });
  for (let round = 0; round < 2; round++) {
    const cache = model.openKvCache(64);
    let rows = sequences([5, 31, 40, 64], 4).map((ids, i) => ({
      seq: cache.add(),
      tokens: Int32Array.from(ids),
      sample: sampling(i),
    }));
    for (let i = 0; i < 16; i++) {
      if (i === 4) rows.push({ seq: cache.fork(rows[1]!.seq), tokens: rows[1]!.tokens, sample: sampling(9) });
      if (i >= 8 && i % 3 === 0) cache.free(rows.shift()!.seq);
      const step = await cache.step(rows);
      hash.update(step.tokens).update(step.logprobs);
      rows = rows.map((row, r) => ({ ...row, tokens: step.tokens.slice(r, r + 1) }));
    }
    cache.dispose();
    await model.accumulate(lossBatch(), crossEntropy);
    await model.update({ lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, maxGradNorm: 1 });
  }
  console.log(hash.digest('hex'));
}

async function failures(): Promise<void> {
  const events: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>) => {
    try {
      await work();
      events.push(`${what}: ok`);
    } catch (error) {
      if (!(error instanceof ToolgradError)) throw error;
      events.push(`${what}: ${error.code}: ${error.message}`);
    }
  };
  await attempt('train', async () => {
    using model = await modelOn('cuda', 'qwen2', { trainable: true });
    await attempt('accumulate', () => model.accumulate(lossBatch(), crossEntropy));
    await attempt('score', () => model.score(packed(list), 1));
  });
  await attempt('cpu', async () => {
    using model = await modelOn('cpu', 'qwen2');
    await model.score(packed(list), 1);
  });
  console.log(JSON.stringify(events));
}

const programs: Readonly<Record<string, () => Promise<void>>> = { bits, decoding, failures };
const chosen = programs[process.argv[2] ?? ''];
if (chosen === undefined)
  throw new RangeError(`Expected "bits", "decoding" or "failures" but found ${process.argv[2]}`);
await chosen();
