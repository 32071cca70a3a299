/**
 * The whole engine on a GPU beside the CPU, and beside itself: the addon as it ships, its driver library replaced by the one
 * that TOOLGRAD_LIBCUDA names. Comparisons with the CPU are within what rounding activations to bf16 costs; comparisons of the
 * GPU with itself are of bits.
 */
import { Device } from '../../lib/model/device.ts';
import { type LossBatch, type LossOptions, recomputeLevels, type Scores } from '../../lib/model/engine.ts';
import type { Model } from '../../lib/model/model.ts';
import { randomiseAdapter, tinyLora } from '../support/adapters.ts';
import { alone, bits, crossEntropy, packed, sampling, tokenMeanWeights } from '../support/batches.ts';
import { bothBatch, bothLosses } from '../support/critics.ts';
import { inProcess, onGpu, onSimulatedGpu } from '../support/cuda.ts';
import { cudaConfigs, modelOn } from '../support/cuda-models.ts';
import { normal } from '../support/float64.ts';
import { trainingBits } from '../support/recompute.ts';
import { sequences } from '../support/tiny-models.ts';

const families = Object.keys(cudaConfigs) as (keyof typeof cudaConfigs)[];

const lengths = [1, 2, 31, 33, 64, 70, 100];

// No clipping: a token on the other side of a clip's edge would differ by all of its gradient.
const reinforce: LossOptions = { ...crossEntropy, kind: 'reinforce', entropyCoef: 0.01 };

/** Every fourth token is masked; advantages of both signs. */
function policyBatch(): LossBatch {
  const batch = packed(sequences(lengths, 9));
  const masks = lengths.map((n) => Array.from({ length: n }, (_, i) => (i === 0 || i % 4 === 3 ? 0 : 1)));
  return {
    ...batch,
    temperature: 0.8,
    weight: tokenMeanWeights(masks),
    advantages: Float32Array.from(batch.tokens, (_, i) => ((i * 7) % 5) - 2),
    oldLogprobs: Float32Array.from(batch.tokens, (_, i) => -5.5 - 0.3 * ((i * 3) % 4)),
  };
}

const largest = (a: Float32Array, b: Float32Array) =>
  a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0);

/** |a - b| / |b| in the Euclidean norm. */
function distance(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let size = 0;
  for (const [i, x] of a.entries()) {
    difference += (x - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}

const adamw = { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.01, maxGradNorm: 1 };

/** What the model without an adapter gives on the GPU. */
async function baseScores(batch: LossBatch): Promise<Scores> {
  using base = await modelOn('cuda', 'qwen2');
  return base.score(batch, 1);
}

async function worstGradient(gpu: Model, cpu: Model): Promise<[number, string]> {
  let worst: [number, string] = [0, ''];
  for (const name of cpu.parameterNames) {
    const error = distance(await gpu.gradient(name), await cpu.gradient(name));
    if (!(error <= worst[0])) worst = [error, name];
  }
  return worst;
}

onGpu('a GPU is found by name, and auto prefers it', async (t) => {
  const [auto, named] = [await Device.open('auto'), await Device.open('cuda:0')];
  t.is(auto.kind, 'cuda');
  t.regex(
    auto.description,
    /^cuda:0, .+, compute capability \d+\.\d, .+ chosen: the first GPU that can be used$/,
  );
  t.is(named.ordinal, 0);
  await t.throwsAsync(Device.open('cuda:9'), {
    code: 'ERR_NO_CUDA',
    message: /Expected GPU 9 but the driver shows \d/,
  });
});

onGpu('what a GPU cannot hold is refused when the model is opened', async (t) => {
  await t.throwsAsync(modelOn('cuda', 'qwen2', { dtype: 'float32' }), {
    code: 'ERR_DTYPE',
    message: /bfloat16/,
  });
});

for (const family of families) {
  onGpu(`${family}: log-probs and entropies are the CPU's within bf16`, async (t) => {
    using gpu = await modelOn('cuda', family);
    using cpu = await modelOn('cpu', family);
    const batch = packed(sequences(lengths, 2));
    const [g, c] = [await gpu.score(batch, 0.9), await cpu.score(batch, 0.9)];
    const [logprob, entropy] = [largest(g.logprobs, c.logprobs), largest(g.entropies, c.entropies)];
    t.log(
      `largest differences: log-prob ${logprob.toExponential(1)}, entropy ${entropy.toExponential(1)} nats`,
    );
    t.true(logprob < 0.15 && entropy < 0.1);
    t.true(logprob > 0, 'two devices that agree to the bit would mean that one of them was not used');
  });

  onGpu(`${family}: every gradient of a policy loss is the CPU's within bf16`, async (t) => {
    using gpu = await modelOn('cuda', family, { trainable: true });
    using cpu = await modelOn('cpu', family, { trainable: true });
    const batch = policyBatch();
    const [g, c] = [await gpu.accumulate(batch, reinforce), await cpu.accumulate(batch, reinforce)];
    const [worst, name] = await worstGradient(gpu, cpu);
    t.log(
      `loss ${g.loss.toFixed(6)} (CPU ${c.loss.toFixed(6)}); worst gradient ${worst.toExponential(1)}: ${name}`,
    );
    t.true(Math.abs(g.loss - c.loss) < 0.02 * Math.max(1, Math.abs(c.loss)));
    t.true(worst < 0.06);
  });

  onGpu(`${family}: sampled log-probs are those that training recomputes, to the bit`, async (t) => {
    using model = await modelOn('cuda', family, { trainable: true });
    const cache = model.openKvCache(80);
    const prompts = sequences([5, 31, 40, 64], 4);
    const texts = prompts.map((prompt) => [...prompt]);
    const seqs = prompts.map(() => cache.add());
    const sampled: number[][] = prompts.map(() => []);
    let tokens = prompts.map((prompt) => Int32Array.from(prompt));
    for (let i = 0; i < 12; i++) {
      if (i === 6) {
        // A fork in the middle of a page: both go on, the page is copied.
        seqs.push(cache.fork(seqs[1]!));
        texts.push([...texts[1]!]);
        sampled.push([...sampled[1]!]);
        tokens.push(tokens[1]!);
      }
      const step = await cache.step(seqs.map((seq, s) => ({ seq, tokens: tokens[s]!, sample: sampling(s) })));
      for (const [s, token] of step.tokens.entries()) {
        texts[s]!.push(token);
        sampled[s]!.push(step.logprobs[s]!);
      }
      tokens = Array.from(step.tokens, (token) => Int32Array.of(token));
    }
    const together = packed(texts);
    const scored = await model.score(together, 1);
    const trained = await model.accumulate(
      {
        ...together,
        temperature: 1,
        weight: Float32Array.from(together.tokens, (_, i) => (together.seqStarts.includes(i) ? 0 : 1)),
      },
      crossEntropy,
    );
    t.deepEqual(bits(trained.logprobs), bits(scored.logprobs));
    for (const [s, values] of sampled.entries()) {
      const end = together.seqStarts[s + 1]!;
      t.deepEqual(
        bits(Float32Array.from(values)),
        bits(scored.logprobs.slice(end - values.length, end)),
        `sequence ${s}`,
      );
      const single = await model.score(alone(texts[s]!), 1);
      t.deepEqual(
        bits(single.logprobs),
        bits(scored.logprobs.slice(together.seqStarts[s], end)),
        `sequence ${s} alone`,
      );
    }
    t.notDeepEqual(texts[1], texts[4], 'the fork goes its own way');
  });
}

onGpu("an adapter trains on a GPU: log-probs and its gradients are the CPU's within bf16", async (t) => {
  using gpu = await modelOn('cuda', 'qwen2', { trainable: true, lora: tinyLora });
  using cpu = await modelOn('cpu', 'qwen2', { trainable: true, lora: tinyLora });
  await randomiseAdapter(gpu);
  await randomiseAdapter(cpu);
  const batch = policyBatch();
  const [g, c] = [await gpu.accumulate(batch, reinforce), await cpu.accumulate(batch, reinforce)];
  t.true(largest(g.logprobs, c.logprobs) < 0.15);
  let worst = 0;
  for (const name of cpu.adapterNames)
    worst = Math.max(worst, distance(await gpu.gradient(name), await cpu.gradient(name)));
  t.log(`worst gradient of ${cpu.adapterNames.length}: ${worst.toExponential(1)}`);
  t.true(worst > 0 && worst < 0.06);
  await gpu.update(adamw);
  t.deepEqual(
    bits((await gpu.score(batch, 1, undefined, 'off')).logprobs),
    bits((await baseScores(batch)).logprobs),
  );
});

onGpu("a critic trains on a GPU: values and gradients are the CPU's within bf16", async (t) => {
  const weights = normal(cudaConfigs.qwen3.hiddenSize, 3, 0.3);
  const [gpu, cpu] = [
    await modelOn('cuda', 'qwen3', { trainable: true, valueHead: true }),
    await modelOn('cpu', 'qwen3', { trainable: true, valueHead: true }),
  ];
  try {
    for (const model of [gpu, cpu]) await model.setParameter('value_head.weight', weights);
    const batch = bothBatch();
    const [g, c] = [await gpu.accumulate(batch, bothLosses), await cpu.accumulate(batch, bothLosses)];
    const [worst, name] = await worstGradient(gpu, cpu);
    const value = largest(g.value!.values, c.value!.values);
    t.log(
      `largest difference of values ${value.toExponential(1)}; worst gradient ${worst.toExponential(1)}: ${name}`,
    );
    t.true(value > 0 && value < 0.1);
    t.true(worst < 0.06);
  } finally {
    gpu.dispose();
    cpu.dispose();
  }
});

onGpu(
  'the loss runs on the device, and its errors name tokens of the packed batch, as on the CPU',
  async (t) => {
    const batch: LossBatch = {
      ...packed(sequences([9, 12], 3)),
      temperature: 1,
      weight: Float32Array.from({ length: 21 }, (_, i) => (i === 5 || i === 14 || i === 17 ? 0.5 : 0)),
      advantages: new Float32Array(21).fill(1),
      oldLogprobs: Float32Array.from({ length: 21 }, (_, i) => (i === 14 ? -1000 : -4)),
    };
    const loss: LossOptions = { ...crossEntropy, kind: 'ppo_clip', logRatioClamp: 0 };
    for (const device of ['cpu', 'cuda'] as const) {
      using model = await modelOn(device, 'qwen2', { trainable: true });
      await t.throwsAsync(model.accumulate(batch, loss), {
        code: 'ERR_NOT_FINITE',
        message: /ratio exp\(logprob - old_logprob\) of token 14 is infinite/,
      });
      const fine = await model.accumulate({ ...batch, oldLogprobs: new Float32Array(21).fill(-4) }, loss);
      t.is(fine.tokens, 3);
    }
  },
);

onGpu('training steps follow the CPU: loss, gradient norm, weights', async (t) => {
  using gpu = await modelOn('cuda', 'qwen2', { trainable: true });
  using cpu = await modelOn('cpu', 'qwen2', { trainable: true });
  const lists = sequences([40, 33, 20, 64], 12);
  const batch: LossBatch = {
    ...packed(lists),
    temperature: 1,
    weight: tokenMeanWeights(lists.map((ids) => ids.map((_, i) => (i === 0 ? 0 : 1)))),
  };
  const losses: [number, number][] = [];
  for (let step = 0; step < 10; step++) {
    losses.push([
      (await gpu.accumulate(batch, crossEntropy)).loss,
      (await cpu.accumulate(batch, crossEntropy)).loss,
    ]);
    const [g, c] = [await gpu.update(adamw), await cpu.update(adamw)];
    t.true(
      Math.abs(g.gradNorm / c.gradNorm - 1) < 0.05,
      `gradient norm of step ${step}: ${g.gradNorm}, CPU ${c.gradNorm}`,
    );
  }
  t.log(losses.map(([g, c]) => `${g.toFixed(4)}/${c.toFixed(4)}`).join(' '));
  t.true(losses.every(([g, c]) => Math.abs(g - c) < 0.03 * c));
  t.true(losses[9]![0] < losses[0]![0] - 0.3, 'it learns');
});

onSimulatedGpu('results have the same bits whatever the order of blocks, warps and copies', async (t) => {
  const runs = await Promise.all(['0', '1', '2'].map((seed) => inProcess('bits', { CUDASIM_SEED: seed })));
  for (const run of runs) t.is(run.code, 0, run.errors);
  t.is(new Set(runs.map((run) => run.output)).size, 1);
  t.regex(runs[0]!.output, /^[0-9a-f]{64}\n$/);
});

onSimulatedGpu(
  'a device that is full, or fails, is an error with a code, and the process goes on',
  async (t) => {
    const events = async (fail: string): Promise<string[]> => {
      const run = await inProcess('failures', { CUDASIM_FAIL: fail });
      t.is(run.code, 0, run.errors);
      return JSON.parse(run.output) as string[];
    };
    const full = await events('alloc:5');
    t.true(
      full.some((event) =>
        /ERR_OUT_OF_MEMORY: createModel: Expected .+ MiB of memory on .+ for .+ but .+ are free/.test(event),
      ),
      full.join('\n'),
    );
    t.is(full.at(-1), 'cpu: ok');
    const failed = await events('launch:60');
    t.true(
      failed.some((event) =>
        /^accumulate: ERR_DEVICE_LOST: accumulate: .+CUDA_ERROR_LAUNCH_FAILED/.test(event),
      ),
      failed.join('\n'),
    );
    t.true(failed.some((event) => /^score: ERR_DEVICE_LOST/.test(event)));
    t.is(failed.at(-1), 'cpu: ok');
  },
);

for (const family of families) {
  onGpu(`${family}: what a training pass recomputes has the bits of what it would have kept`, async (t) => {
    const critic = bothBatch();
    const variants = {
      'all weights': { options: {}, batch: policyBatch(), loss: reinforce },
      'an adapter': { options: { lora: tinyLora }, batch: policyBatch(), loss: reinforce },
      'a value head': { options: { valueHead: true }, batch: critic, loss: bothLosses },
    };
    for (const [what, { options, batch, loss }] of Object.entries(variants)) {
      using model = await modelOn('cuda', family, { trainable: true, ...options });
      if (model.lora !== null) await randomiseAdapter(model);
      if (model.valueHead)
        await model.setParameter('value_head.weight', normal(model.config.hiddenSize, 3, 0.3));
      const kept = await trainingBits(model, [batch, batch], loss);
      t.true(kept.largest > 1e-4, 'there are gradients to compare');
      for (const level of recomputeLevels.slice(1)) {
        model.recompute = level;
        t.deepEqual((await trainingBits(model, [batch, batch], loss)).bits, kept.bits, `${what}, ${level}`);
      }
    }
  });
}
