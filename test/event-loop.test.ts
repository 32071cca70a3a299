/** The event loop stays free while the engine works: timers of the program that trains keep firing. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ModelConfig } from '../lib/model/config.ts';
import { createModel } from '../lib/model/model.ts';
import { crossEntropy } from './support/batches.ts';
import { temporaryFolder } from './support/runs.ts';

const config: ModelConfig = {
  arch: 'qwen2',
  vocabSize: 4096,
  hiddenSize: 256,
  layers: 6,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  intermediateSize: 704,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  ropeScaling: null,
  maxPositionEmbeddings: 4096,
  tieWordEmbeddings: true,
  qkvBias: true,
  qkNorm: false,
  eosTokenIds: [0],
  bosTokenId: null,
  padTokenId: null,
  dtype: 'bfloat16',
};
const adamw = { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

const temporary = temporaryFolder();
test.after.always(() => temporary.remove());

/** Runs `work` while a timer fires every 10 ms; returns the longest time between two firings, in ms. */
async function worstGap(work: () => Promise<void>): Promise<{ worst: number; fired: number; took: number }> {
  await sleep(50);
  let last = performance.now();
  let worst = 0;
  let fired = 0;
  const look = () => {
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
  };
  const timer = setInterval(() => {
    look();
    fired += 1;
  }, 10);
  const started = performance.now();
  await work();
  const took = performance.now() - started;
  look(); // the time since the last firing counts as well
  clearInterval(timer);
  return { worst, fired, took };
}

test.serial('a 10 ms timer keeps firing within 30 ms during a training step', async (t) => {
  t.timeout(300_000);
  using model = await createModel(config, { trainable: true, seed: 1n });
  const sequences = 8;
  const length = 256;
  const tokens = Int32Array.from({ length: sequences * length }, (_, i) => (i * 7919) % config.vocabSize);
  const seqStarts = Int32Array.from({ length: sequences + 1 }, (_, s) => s * length);
  const weight = Float32Array.from(tokens, (_, i) => (i % length === 0 ? 0 : 1 / tokens.length));
  const step = async () => {
    await model.accumulate({ tokens, seqStarts, temperature: 1, weight }, crossEntropy);
    await model.update(adamw);
  };
  await step();
  // Other programs on the machine can delay a timer, too: the best of a few windows is the loop's own doing.
  const gaps: number[] = [];
  for (let window = 0; window < 6 && !(Math.min(...gaps) <= 30); window++) {
    const { worst, fired, took } = await worstGap(async () => {
      const until = performance.now() + 1500;
      do await step();
      while (performance.now() < until);
    });
    gaps.push(worst);
    t.log(
      `${(model.parameterCount / 1e6).toFixed(1)} M parameters, ${took.toFixed(0)} ms of training steps, ` +
        `timer fired ${fired} times, longest gap ${worst.toFixed(1)} ms`,
    );
    t.true(fired > took / 100, 'the timer fired again and again');
  }
  t.true(Math.min(...gaps) <= 30, `longest gaps per window: ${gaps.map((gap) => gap.toFixed(1)).join(', ')}`);
});

test.serial('a timer keeps firing while a model is made, sampled from and saved', async (t) => {
  t.timeout(300_000);
  const gaps: number[] = [];
  for (let window = 0; window < 6 && !(Math.min(...gaps) <= 30); window++) {
    const { worst, took } = await worstGap(async () => {
      using model = await createModel(config, { trainable: true, seed: 2n });
      using cache = model.openKvCache(64);
      const seqs = Array.from({ length: 16 }, () => cache.add());
      let next = seqs.map((_, i) => Int32Array.from({ length: 32 }, (__, k) => i + k));
      for (let position = 0; position < 24; position++) {
        const rows = seqs.map((seq, i) => ({
          seq,
          tokens: next[i]!,
          sample: { temperature: 1, topK: 0, topP: 1, minP: 0, runSeed: 1n, step: 0, prompt: 0, sample: i },
        }));
        const { tokens } = await cache.step(rows);
        next = Array.from(tokens, (token) => Int32Array.of(token));
      }
      await model.saveWeights(join(temporary.path, 'model.safetensors'));
      await model.saveOptimizer(join(temporary.path, 'optimizer.safetensors'));
    });
    gaps.push(worst);
    t.log(`${took.toFixed(0)} ms of loading, decoding and saving, longest gap ${worst.toFixed(1)} ms`);
  }
  t.true(Math.min(...gaps) <= 30, `longest gaps per window: ${gaps.map((gap) => gap.toFixed(1)).join(', ')}`);
});
