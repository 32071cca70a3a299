/**
 * GRPO side by side: the same trajectories, losses and updates on the CPU and on the GPU that TOOLGRAD_LIBCUDA names, which
 * may be the simulated one. Usage: `npx tsx scripts/cuda-parity.ts [steps]`; prints one line a step.
 *
 * In every step the GPU samples (8 groups of 4 attempts of up to 16 tokens), so its own log-probs can be compared with those
 * that training recomputes (`gap`, must be 0). The reward is the share of even tokens. Both models then train on these
 * trajectories, each with its own gradients and weights: the differences are those that have grown since step 1.
 */
import { createModel, Device, type LossBatch, type LossOptions, type Model } from '../lib/index.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { cudaConfigs } from '../test/support/cuda-models.ts';

const steps = Number(process.argv[2] ?? 20);
const [groups, attempts, promptLength, newTokens] = [8, 4, 6, 16];

interface Trajectory {
  readonly ids: number[];
  readonly logprobs: number[];
  readonly reward: number;
}

async function sample(model: Model, step: number): Promise<Trajectory[]> {
  const cache = model.openKvCache(2 * groups * attempts);
  const random = createRandom(21, [step]);
  const all: Trajectory[] = [];
  try {
    for (let group = 0; group < groups; group++) {
      const prompt = Array.from({ length: promptLength }, () => random.integer(2, 299));
      const first = cache.add();
      await cache.step([{ seq: first, tokens: Int32Array.from(prompt.slice(0, -1)), sample: null }]);
      const seqs = Array.from({ length: attempts }, (_, i) => (i === 0 ? first : cache.fork(first)));
      const ids = seqs.map(() => [...prompt]);
      const logprobs: number[][] = seqs.map(() => []);
      for (let i = 0; i < newTokens; i++) {
        const rows = seqs.map((seq, s) => ({
          seq,
          tokens: Int32Array.of(ids[s]!.at(-1)!),
          sample: { temperature: 1, topK: 0, topP: 1, minP: 0, runSeed: 3n, step, prompt: group, sample: s },
        }));
        const result = await cache.step(rows);
        for (const [s, token] of result.tokens.entries()) {
          ids[s]!.push(token);
          logprobs[s]!.push(result.logprobs[s]!);
        }
      }
      for (const [s, text] of ids.entries()) {
        const answer = text.slice(promptLength);
        const reward = answer.filter((id) => id % 2 === 0).length / answer.length;
        all.push({ ids: text, logprobs: logprobs[s]!, reward });
      }
    }
  } finally {
    cache.dispose();
  }
  return all;
}

function batchOf(trajectories: readonly Trajectory[]): LossBatch {
  const length = promptLength + newTokens;
  const T = trajectories.length * length;
  const batch = {
    tokens: Int32Array.from(trajectories.flatMap(({ ids }) => ids)),
    seqStarts: Int32Array.from({ length: trajectories.length + 1 }, (_, s) => s * length),
    temperature: 1,
    weight: new Float32Array(T),
    advantages: new Float32Array(T),
    oldLogprobs: new Float32Array(T),
  };
  for (const [s, { logprobs, reward }] of trajectories.entries()) {
    const group = trajectories
      .slice(s - (s % attempts), s - (s % attempts) + attempts)
      .map((one) => one.reward);
    const mean = group.reduce((a, b) => a + b) / attempts;
    const std = Math.sqrt(group.reduce((sum, r) => sum + (r - mean) ** 2, 0) / (attempts - 1));
    for (const [i, logprob] of logprobs.entries()) {
      const t = s * length + promptLength + i;
      batch.weight[t] = 1 / (trajectories.length * newTokens);
      batch.advantages[t] = (reward - mean) / (std + 1e-4);
      batch.oldLogprobs[t] = logprob;
    }
  }
  return batch;
}

async function worstGradient(gpu: Model, cpu: Model): Promise<number> {
  let worst = 0;
  for (const name of cpu.parameterNames) {
    const [a, b] = [await gpu.gradient(name), await cpu.gradient(name)];
    const difference = Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0));
    const size = Math.sqrt(b.reduce((sum, x) => sum + x * x, 0));
    worst = Math.max(worst, difference / Math.max(size, 1e-12));
  }
  return worst;
}

const loss: LossOptions = {
  kind: 'ppo_clip',
  clipLow: 0.2,
  clipHigh: 0.28,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
};
const adamw = { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

const device = await Device.open('cuda');
console.log(device.description);
const options = { trainable: true, seed: 7n, initStd: 0.1 } as const;
using gpu = await createModel(cudaConfigs.qwen2, { ...options, device });
using cpu = await createModel(cudaConfigs.qwen2, { ...options, device: 'cpu' });
console.log('step  reward  gap  mean ratio on the CPU  gradient norm GPU / CPU   worst gradient  seconds');
for (let step = 1; step <= steps; step++) {
  const started = performance.now();
  const trajectories = await sample(gpu, step);
  const batch = batchOf(trajectories);
  const [g, c] = [await gpu.accumulate(batch, loss), await cpu.accumulate(batch, loss)];
  const worst = await worstGradient(gpu, cpu);
  let gap = 0;
  for (const [t, weight] of batch.weight.entries())
    if (weight > 0) gap = Math.max(gap, Math.abs(g.logprobs[t]! - batch.oldLogprobs![t]!));
  const [gu, cu] = [await gpu.update(adamw), await cpu.update(adamw)];
  const reward = trajectories.reduce((sum, one) => sum + one.reward, 0) / trajectories.length;
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${String(step).padStart(4)}  ${reward.toFixed(4)}  ${gap.toExponential(0).padStart(3)}  ${(c.ratioSum / c.tokens).toFixed(5).padStart(21)}` +
      `  ${gu.gradNorm.toFixed(5)} / ${cu.gradNorm.toFixed(5)}  ${worst.toExponential(1).padStart(15)}  ${seconds.toFixed(1)}`,
  );
}
