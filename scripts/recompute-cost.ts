/**
 * What recomputing activations costs: training passes (forward, loss, backward, AdamW) of one model, the levels in turn, so that
 * what else the machine does falls on all alike. Usage: `npx tsx scripts/recompute-cost.ts [rounds] [sequences] [length]`;
 * default 5 rounds of 4 x 256 tokens; SmolLM2-135M's shapes with random weights.
 *
 * Prints per level the median of CPU time (all threads) and of wall time, the ratios to `none` within each round, and the
 * activations that the plan counts.
 */
import { sizes } from '../bench/case.ts';
import { recomputeLevels } from '../lib/model/engine.ts';
import { createModel } from '../lib/model/model.ts';
import { bytes, table } from '../lib/view/format.ts';

const [rounds = 5, sequences = 4, length = 256] = process.argv.slice(2).map(Number);

const smollm2 = sizes.smollm2!;
const loss = {
  kind: 'cross_entropy',
  clipLow: 0,
  clipHigh: 0,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
} as const;
const adamw = { lr: 1e-5, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

const T = sequences * length;
const batch = {
  tokens: Int32Array.from({ length: T }, (_, i) => (i * 7919 + 13) % smollm2.vocabSize),
  seqStarts: Int32Array.from({ length: sequences + 1 }, (_, s) => s * length),
  temperature: 1,
  weight: Float32Array.from({ length: T }, (_, t) => (t % length === 0 ? 0 : 1 / T)),
};

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

using model = await createModel(smollm2, { trainable: true, seed: 1n });
const cpu: number[][] = recomputeLevels.map(() => []);
const wall: number[][] = recomputeLevels.map(() => []);
for (let round = -1; round < rounds; round++) {
  for (const [level, recompute] of recomputeLevels.entries()) {
    model.recompute = recompute;
    const before = process.cpuUsage();
    const began = performance.now();
    await model.accumulate(batch, loss);
    await model.update(adamw);
    const used = process.cpuUsage(before);
    if (round < 0) continue; // memory is touched for the first time
    cpu[level]!.push((used.user + used.system) / 1e6);
    wall[level]!.push((performance.now() - began) / 1e3);
  }
}
console.log(
  `${sequences} x ${length} tokens, ${model.isa} kernels on ${model.threads} threads, ${rounds} rounds`,
);
console.log(
  table(
    ['recompute', 'CPU time', 'ratio', 'wall', 'ratio', 'activations'],
    recomputeLevels.map((recompute, level) => {
      model.recompute = recompute;
      const { activationBytesFixed, activationBytesPerToken } = model.memory;
      const ratio = (times: readonly number[][]) => {
        const ratios = times[level]!.map((time, round) => time / times[0]![round]!);
        return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} - ${Math.max(...ratios).toFixed(2)})`;
      };
      return [
        recompute,
        `${median(cpu[level]!).toFixed(2)} s`,
        ratio(cpu),
        `${median(wall[level]!).toFixed(2)} s`,
        ratio(wall),
        bytes(activationBytesFixed + T * activationBytesPerToken),
      ];
    }),
  ),
);
