/**
 * A trainer of its own on toolgrad's ops: a linear policy over 64 words learns, by PPO with clipping, to name the word that
 * its input points at. All memory is this program's. Run: node --import=tsx examples/embedding.ts
 */
import { kernels, Tensor } from '../lib/index.ts'; // in your project: from 'toolgrad'

const [ROWS, INPUT, WIDTH, WORDS] = [96, 16, 32, 64];
const loss = { kind: 'ppo_clip', clipLow: 0.2, clipHigh: 0.28 } as const;

/** Numbers from -size to size that look random, the same in every run. */
const noise = (count: number, size: number, seed: number) =>
  Float32Array.from(
    { length: count },
    (_, i) => size * Math.sin(1e4 * Math.sin(12.9898 * (i + 1) + 78.233 * seed)),
  );

/** A weight of row-major fp32 with its gradient and what AdamW keeps beside it. */
function parameter(rows: number, columns: number, seed: number) {
  const shape = [rows, columns];
  const weight = Tensor.from(noise(rows * columns, 1 / Math.sqrt(columns), seed), shape);
  return { weight, grad: Tensor.empty(shape), m: Tensor.empty(shape), v: Tensor.empty(shape) };
}

const x = Tensor.from(noise(ROWS * INPUT, 1, 1), [ROWS, INPUT]);
const right = Int32Array.from({ length: ROWS }, (_, row) => {
  const eight = x.data.subarray(row * INPUT, row * INPUT + 8);
  return eight.indexOf(Math.max(...eight)); // the word of the largest of the first eight inputs
});
const [layer, head] = [parameter(WIDTH, INPUT, 2), parameter(WORDS, WIDTH, 3)];
const weight = Tensor.from(new Float32Array(ROWS).fill(1 / ROWS)); // the mean over all rows

for (let step = 1; step <= 100; step++) {
  // Act: one word per row, from the policy.
  const hidden = await kernels.linear({ x, weight: layer.weight });
  const logits = await kernels.linear({ x: hidden, weight: head.weight });
  const keys = Array.from(right, (_, prompt) => ({ runSeed: 1n, step, prompt, sample: 0, position: 0 }));
  const { tokens: labels, logprobs: oldLogprobs } = await kernels.sample({ logits, keys });
  // Judge: 1 for the right word; the mean reward is the baseline.
  const rewards = Float32Array.from(labels.data, (word, row) => (word === right[row] ? 1 : 0));
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / ROWS;
  const advantages = Tensor.from(rewards.map((reward) => reward - mean));
  // Learn: log-probs, loss, gradients, update.
  const inputs = { hidden, weight: head.weight, labels };
  const { logprobs, entropies, lse } = await kernels.lossHead(inputs);
  const { dLogprobs } = await kernels.policyLoss({ logprobs, oldLogprobs, advantages, weight, loss });
  const gradients = { ...inputs, lse, entropies, dLogprobs, dweight: head.grad };
  const { dhidden: dy } = await kernels.lossHeadBackward(gradients);
  await kernels.linearBackward({ dy, x, weight: layer.weight, dweight: layer.grad });
  for (const { weight: master, m, v, grad } of [layer, head]) {
    await kernels.adamw({ master, m, v, grad, lr: 0.03, step });
    grad.data.fill(0);
  }
  if (step % 33 === 1) console.log(`step ${step}: reward ${mean.toFixed(2)}`);
}
