/**
 * What makes the bits equal: each condition as a test, on random models of three families in bf16 and fp32. Comparisons are
 * of bit patterns, with no tolerance.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { AdamWOptions, KvCache, LossBatch, LossOptions, WeightDtype } from '../lib/model/engine.ts';
import { loadModel, type Model } from '../lib/model/model.ts';
import { alone, bits, crossEntropy, packed, sampling } from './support/batches.ts';
import { sequences, type tinyConfigs, tinyModel } from './support/tiny-models.ts';

const variants: readonly { family: keyof typeof tinyConfigs; dtype: WeightDtype }[] = [
  { family: 'qwen2', dtype: 'bfloat16' },
  { family: 'qwen3', dtype: 'float32' },
  { family: 'llama', dtype: 'bfloat16' },
];

// Lengths on both sides of the page of 32 tokens and of the row blocks of the kernels.
const lengths = [1, 2, 7, 31, 32, 33, 64, 70, 100, 129];

const adamw: AdamWOptions = {
  lr: 1e-3,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.01,
  maxGradNorm: 1,
};

const ppo: LossOptions = {
  ...crossEntropy,
  kind: 'ppo_clip',
  clipLow: 0.2,
  clipHigh: 0.28,
  entropyCoef: 0.01,
};

async function gradients(model: Model): Promise<Map<string, Uint32Array>> {
  const all = new Map<string, Uint32Array>();
  for (const name of model.parameterNames) all.set(name, bits(await model.gradient(name)));
  return all;
}

async function parameters(model: Model): Promise<Map<string, Uint32Array>> {
  const all = new Map<string, Uint32Array>();
  for (const name of model.parameterNames) all.set(name, bits(await model.parameter(name)));
  return all;
}

/** Sequences of a loss batch with advantages of both signs; every third token is masked. */
function lossBatch(list: readonly (readonly number[])[]): LossBatch {
  const batch = packed(list);
  const weight = new Float32Array(batch.tokens.length);
  const advantages = new Float32Array(batch.tokens.length);
  const oldLogprobs = new Float32Array(batch.tokens.length);
  for (const [s, ids] of list.entries())
    for (let i = 1; i < ids.length; i++) {
      const t = batch.seqStarts[s]! + i;
      weight[t] = i % 3 === 0 ? 0 : 1 / 256;
      advantages[t] = ids[0]! % 2 === 0 ? 1 : -0.5;
      oldLogprobs[t] = -3 - (ids[i]! % 5);
    }
  return { ...batch, temperature: 0.9, weight, advantages, oldLogprobs };
}

/** Continues `prompt` by `count` sampled tokens in sequence `seq`: the tokens and their log-prob bits. */
async function generate(cache: KvCache, seq: number, prompt: readonly number[], count: number, sample = 0) {
  const ids: number[] = [];
  const logprobs = new Float32Array(count);
  let tokens: Int32Array = Int32Array.from(prompt);
  for (let i = 0; i < count; i++) {
    const result = await cache.step([{ seq, tokens, sample: sampling(sample) }]);
    tokens = result.tokens;
    ids.push(tokens[0]!);
    logprobs[i] = result.logprobs[0]!;
  }
  return { ids, logprobs };
}

for (const { family, dtype } of variants) {
  const label = `${family} ${dtype}`;

  test(`${label}: log-probs are the same alone, in any batch and at any place in a pack`, async (t) => {
    using model = await tinyModel(family, { dtype });
    const list = sequences(lengths);
    const each = [];
    for (const ids of list) each.push(await model.score(alone(ids), 0.8));
    for (const order of [[...list.keys()], [...list.keys()].reverse(), [9, 0, 5, 3]]) {
      const batch = packed(order.map((i) => list[i]!));
      const scores = await model.score(batch, 0.8);
      for (const [place, i] of order.entries()) {
        const [from, to] = [batch.seqStarts[place]!, batch.seqStarts[place + 1]!];
        t.deepEqual(bits(scores.logprobs.subarray(from, to)), bits(each[i]!.logprobs));
        t.deepEqual(bits(scores.entropies.subarray(from, to)), bits(each[i]!.entropies));
      }
    }
  });

  test(`${label}: log-probs and entropies do not depend on which other tokens are wanted`, async (t) => {
    using model = await tinyModel(family, { dtype });
    const batch = packed(sequences([40, 75]));
    const all = await model.score(batch, 1);
    const wanted = Uint8Array.from(batch.tokens, (_, i) => (i % 4 === 3 ? 1 : 0));
    const some = await model.score(batch, 1, wanted);
    const expected = all.logprobs.map((value, i) => (wanted[i] === 1 ? value : 0));
    t.deepEqual(bits(some.logprobs), bits(expected));
    t.true(some.logprobs.some((value) => value !== 0));
  });

  test(`${label}: prefill in one go, in pieces and token by token samples the same tokens with the same bits`, async (t) => {
    using model = await tinyModel(family, { dtype });
    const [prompt] = sequences([77]);
    const cache = model.openKvCache(32);
    const whole = await generate(cache, cache.add(), prompt!, 40);
    for (const pieces of [[1, 31, 32, 13], [64, 12, 1], prompt!.map(() => 1)]) {
      const seq = cache.add();
      let done = 0;
      for (const size of pieces.slice(0, -1)) {
        const tokens = Int32Array.from(prompt!.slice(done, done + size));
        await cache.step([{ seq, tokens, sample: null }]);
        done += size;
      }
      const rest = await generate(cache, seq, prompt!.slice(done), 40);
      t.deepEqual(rest.ids, whole.ids);
      t.deepEqual(bits(rest.logprobs), bits(whole.logprobs));
      cache.free(seq);
    }
  });

  test(`${label}: a prefill longer than one chunk of the engine has the same bits as scoring`, async (t) => {
    using model = await tinyModel(family, { dtype });
    const list = sequences([400, 300, 9]); // 709 tokens in chunks of 512: the second row is cut
    const cache = model.openKvCache(64);
    const seqs = list.map(() => cache.add());
    const rows = list.map((ids, i) => ({
      seq: seqs[i]!,
      tokens: Int32Array.from(ids),
      sample: sampling(i),
    }));
    const result = await cache.step(rows);
    for (const [i, ids] of list.entries()) {
      const scores = await model.score(alone([...ids, result.tokens[i]!]), 1);
      t.deepEqual(bits(scores.logprobs.subarray(ids.length)), bits(result.logprobs.subarray(i, i + 1)));
    }
  });

  test(`${label}: sampled log-probs equal those of score() and accumulate() on the recorded ids`, async (t) => {
    using model = await tinyModel(family, { dtype, trainable: true });
    const prompts = sequences([5, 31, 33, 60]);
    const cache = model.openKvCache(64);
    const runs: Awaited<ReturnType<typeof generate>>[] = [];
    for (const [i, prompt] of prompts.entries()) runs.push(await generate(cache, cache.add(), prompt, 36, i));
    const batch = packed(prompts.map((prompt, i) => [...prompt, ...runs[i]!.ids]));
    const weight = new Float32Array(batch.tokens.length);
    for (const [i, prompt] of prompts.entries())
      weight.fill(1, batch.seqStarts[i]! + prompt.length, batch.seqStarts[i + 1]!);
    const scores = await model.score(batch, 1);
    const trained = await model.accumulate({ ...batch, temperature: 1, weight }, crossEntropy);
    for (const [i, prompt] of prompts.entries()) {
      const from = batch.seqStarts[i]! + prompt.length;
      const sampled = bits(runs[i]!.logprobs);
      t.deepEqual(bits(scores.logprobs.subarray(from, from + 36)), sampled);
      t.deepEqual(bits(trained.logprobs.subarray(from, from + 36)), sampled);
    }
  });

  test(`${label}: sampled tokens do not depend on what else runs in a step, nor on row order`, async (t) => {
    using model = await tinyModel(family, { dtype });
    const prompts = sequences([3, 40, 66, 12, 33]);
    const cache = model.openKvCache(64);
    const single: Awaited<ReturnType<typeof generate>>[] = [];
    for (const [i, prompt] of prompts.entries())
      single.push(await generate(cache, cache.add(), prompt, 12, i));
    cache.clear();
    // Now together, joining one step after another, in an order that changes from step to step.
    const seqs = prompts.map(() => cache.add());
    const ids: number[][] = prompts.map(() => []);
    const logprobs = prompts.map(() => new Float32Array(12));
    for (let step = 0; step < 12 + prompts.length; step++) {
      const active = [...prompts.keys()].filter((i) => i <= step && ids[i]!.length < 12);
      if (step % 2 === 1) active.reverse();
      if (active.length === 0) break;
      const rows = active.map((i) => ({
        seq: seqs[i]!,
        tokens: Int32Array.from(ids[i]!.length === 0 ? prompts[i]! : ids[i]!.slice(-1)),
        sample: sampling(i),
      }));
      const result = await cache.step(rows);
      for (const [row, i] of active.entries()) {
        logprobs[i]![ids[i]!.length] = result.logprobs[row]!;
        ids[i]!.push(result.tokens[row]!);
      }
    }
    for (const i of prompts.keys()) {
      t.deepEqual(ids[i], single[i]!.ids);
      t.deepEqual(bits(logprobs[i]!), bits(single[i]!.logprobs));
    }
  });

  test(`${label}: forks of a shared prompt give the bits of fresh sequences`, async (t) => {
    using model = await tinyModel(family, { dtype });
    for (const length of [32, 45]) {
      const [prompt] = sequences([length]);
      const head = prompt!.slice(0, -1);
      const last = prompt!.slice(-1);
      const cache = model.openKvCache(64);
      const parent = cache.add();
      await cache.step([{ seq: parent, tokens: Int32Array.from(head), sample: null }]);
      const forks = [parent, cache.fork(parent), cache.fork(parent), cache.fork(parent)];
      const together = await cache.step(
        forks.map((seq, i) => ({ seq, tokens: Int32Array.from(last), sample: sampling(i) })),
      );
      for (const [i, seq] of forks.entries()) {
        const first = together.tokens.slice(i, i + 1);
        const rest = await generate(cache, seq, [...first], 20, i);
        const fresh = await generate(cache, cache.add(), prompt!, 21, i);
        t.deepEqual([...first, ...rest.ids], fresh.ids);
        const logprobs = Float32Array.of(together.logprobs[i]!, ...rest.logprobs);
        t.deepEqual(bits(logprobs), bits(fresh.logprobs));
      }
      cache.dispose();
    }
  });

  test(`${label}: one, two and three threads give the same scores, gradients and updated weights`, async (t) => {
    const batch = lossBatch(sequences([33, 5, 90]));
    const seen = [];
    for (const threads of [1, 2, 3]) {
      using model = await tinyModel(family, { dtype, threads, trainable: true });
      const scores = await model.score(batch, 0.9);
      const result = await model.accumulate(batch, ppo);
      const grads = await gradients(model);
      const { gradNorm } = await model.update(adamw);
      const { logprobs, ...numbers } = result;
      seen.push({
        scores: [bits(scores.logprobs), bits(scores.entropies)],
        numbers,
        logprobs: bits(logprobs),
        grads,
        gradNorm,
        weights: await parameters(model),
      });
    }
    t.deepEqual(seen[1], seen[0]);
    t.deepEqual(seen[2], seen[0]);
  });

  test(`${label}: micro-batches cut at sequence boundaries give the same gradient bits`, async (t) => {
    using model = await tinyModel(family, { dtype, trainable: true });
    const list = sequences([33, 5, 90, 1, 64, 17]);
    await model.accumulate(lossBatch(list), ppo);
    const whole = await gradients(model);
    const distinct = new Set([...whole.values()].map((values) => values.some((x) => x !== 0)));
    t.deepEqual(distinct, new Set([true]), 'every parameter has a gradient');
    for (const cuts of [
      [1, 2, 3, 4, 5],
      [2, 5],
    ]) {
      await model.zeroGradients();
      let from = 0;
      for (const to of [...cuts, list.length]) {
        await model.accumulate(lossBatch(list.slice(from, to)), ppo);
        from = to;
      }
      t.deepEqual(await gradients(model), whole);
    }
  });

  test(`${label}: after an update the sampler and the trainer still agree, and old keys are refused`, async (t) => {
    using model = await tinyModel(family, { dtype, trainable: true });
    const [prompt] = sequences([40]);
    const cache = model.openKvCache(16);
    const seq = cache.add();
    const before = await generate(cache, seq, prompt!, 4);
    await model.accumulate(lossBatch([prompt!]), ppo);
    await model.update(adamw);
    t.is(model.version, 1);
    const stale = cache.step([{ seq, tokens: Int32Array.of(1), sample: null }]);
    await t.throwsAsync(stale, { code: 'ERR_STALE_KV' });
    cache.clear();
    const after = await generate(cache, cache.add(), prompt!, 20);
    t.notDeepEqual(bits(after.logprobs.subarray(0, 4)), bits(before.logprobs));
    const scores = await model.score(alone([...prompt!, ...after.ids]), 1);
    t.deepEqual(bits(scores.logprobs.subarray(40)), bits(after.logprobs));
  });

  test(`${label}: one flipped bit of one weight between sampling and scoring shows as a gap`, async (t) => {
    using model = await tinyModel(family, { dtype });
    const [prompt] = sequences([20]);
    const cache = model.openKvCache(8);
    const { ids, logprobs } = await generate(cache, cache.add(), prompt!, 16);
    const full = alone([...prompt!, ...ids]);
    const name = 'model.layers.0.mlp.gate_proj.weight';
    const values = await model.parameter(name);
    // The lowest bit that a weight of this type has: bf16 is the upper half of an fp32.
    new Uint32Array(values.buffer)[100]! ^= dtype === 'bfloat16' ? 1 << 16 : 1 << 12;
    const gap = async () => {
      const scores = await model.score(full, 1);
      return Math.max(...logprobs.map((value, i) => Math.abs(value - scores.logprobs[20 + i]!)));
    };
    t.is(await gap(), 0);
    await model.setParameter(name, values);
    const seen = await gap();
    t.log(`gap ${seen}`);
    t.true(seen > 0);
  });

  test(`${label}: a saved and loaded model has the same bits; a resumed optimizer takes the same steps`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'toolgrad-bits-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    using model = await tinyModel(family, { dtype, trainable: true });
    const batches = [lossBatch(sequences([33, 20], 2)), lossBatch(sequences([64, 9], 3))];
    const step = async (of: Model, i: number) => {
      await of.accumulate(batches[i % 2]!, ppo);
      return of.update(adamw);
    };
    await step(model, 0);
    await step(model, 1);
    await model.save(folder);
    await model.saveOptimizer(join(folder, 'optimizer.safetensors'));
    using loaded = await loadModel(folder, { dtype, trainable: true, threads: 2 });
    const batch = packed(sequences([70]));
    t.deepEqual(
      bits((await loaded.score(batch, 1)).logprobs),
      bits((await model.score(batch, 1)).logprobs),
      'loaded weights',
    );
    await loaded.loadOptimizer(join(folder, 'optimizer.safetensors'));
    t.deepEqual(await parameters(loaded), await parameters(model), 'masters');
    for (const i of [2, 3]) t.deepEqual(await step(loaded, i), await step(model, i));
    t.deepEqual(await parameters(loaded), await parameters(model), 'two steps later');
  });
}

test('two models from one seed are the same to the bit and one from another seed is not', async (t) => {
  using a = await tinyModel('qwen3', { seed: 1n });
  using b = await tinyModel('qwen3', { seed: 1n, threads: 1 });
  using c = await tinyModel('qwen3', { seed: 2n });
  const values = await parameters(a);
  t.deepEqual(await parameters(b), values);
  t.notDeepEqual(await parameters(c), values);
});
