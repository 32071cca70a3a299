/**
 * End to end, by the wall clock: prefill, decode, training on one model shape with random weights, and steps of the demo.
 * Contexts are 512 tokens; a training step is forward, loss, backward and update on packed sequences.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelConfig } from '../lib/model/config.ts';
import type { StepRow } from '../lib/model/engine.ts';
import { availableMemory, planMemory } from '../lib/model/memory.ts';
import { createModel, type Model } from '../lib/model/model.ts';
import { packageRoot } from '../lib/package.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { traceLedgers } from '../lib/train/lengths.ts';
import { runLoop, type TrainEvent } from '../lib/train/loop.ts';
import { openSetup } from '../lib/train/setup.ts';
import { type Case, layerWeights, NotHere } from './case.ts';
import { type Summary, summarise, wallSeconds } from './measure.ts';

const CONTEXT = 512;
const loss = {
  kind: 'ppo_clip',
  clipLow: 0.2,
  clipHigh: 0.28,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
} as const;
const adamw = { lr: 1e-5, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

const tokensOf = (count: number, config: ModelConfig) =>
  Int32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % config.vocabSize);

async function open(config: ModelConfig, trainable: boolean, threads: number): Promise<Model> {
  const plan = planMemory(config, 'bfloat16', trainable);
  const needed = plan.weightBytes + plan.masterBytes + plan.momentBytes + plan.gradientBytes + (1 << 30);
  if (needed > availableMemory()) {
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new NotHere(`needs ${gib(needed)} of memory, ${gib(availableMemory())} are available`);
  }
  return createModel(config, { trainable, threads, seed: 1n });
}

function sampled(seq: number, tokens: Int32Array): StepRow {
  const place = { runSeed: 1n, step: 0, prompt: seq, sample: 0 };
  return { seq, tokens, sample: { temperature: 1, topK: 0, topP: 1, minP: 0, ...place } };
}

/** Operations of the layers for `tokens` tokens whose contexts have `keys` keys in all. */
function layerFlops(config: ModelConfig, tokens: number, keys: number): number {
  const { layers, heads, headDim } = config;
  return layers * (2 * tokens * layerWeights(config) + 4 * headDim * heads * keys);
}

export function modelCases(name: string, config: ModelConfig, threads: number, quick: boolean): Case[] {
  const { layers, kvHeads, headDim, hiddenSize, vocabSize } = config;
  const head = vocabSize * hiddenSize;
  const weightBytes = 2 * (layers * layerWeights(config) + head);
  const causal = (tokens: number) => (tokens * (tokens + 1)) / 2;
  const cases: Case[] = [
    {
      name: 'prefill',
      size: `${name}, ${CONTEXT} tokens`,
      flops: layerFlops(config, CONTEXT, causal(CONTEXT)) + 2 * head,
      products: 'bfloat16',
      bytes: weightBytes,
      tokens: CONTEXT,
      async prepare() {
        const model = await open(config, false, threads);
        const cache = model.openKvCache(64);
        const tokens = tokensOf(CONTEXT, config);
        return {
          async run() {
            const seq = cache.add();
            const seconds = await wallSeconds(() => cache.step([sampled(seq, tokens)]));
            cache.free(seq);
            return seconds;
          },
          release: () => model.dispose(),
        };
      },
    },
  ];
  for (const batch of quick ? [1, 8] : [1, 8, 32]) {
    cases.push({
      name: 'decode',
      size: `${name}, batch ${batch}, ${CONTEXT} keys`,
      flops: layerFlops(config, batch, batch * CONTEXT) + 2 * batch * head,
      products: 'bfloat16',
      bytes: weightBytes + 4 * batch * CONTEXT * layers * kvHeads * headDim,
      tokens: batch,
      async prepare() {
        const model = await open(config, false, threads);
        // Each sequence has pages of its own: copies of a shared prompt would be read from the caches.
        const cache = model.openKvCache(batch * (CONTEXT / 32 + 8));
        const prompt = tokensOf(CONTEXT, config);
        const seqs = Array.from({ length: batch }, () => cache.add());
        for (const seq of seqs) await cache.step([{ seq, tokens: prompt, sample: null }]);
        let next = new Int32Array(batch).fill(5);
        return {
          run: () =>
            wallSeconds(async () => {
              const rows = seqs.map((seq, i) => sampled(seq, next.slice(i, i + 1)));
              next = new Int32Array((await cache.step(rows)).tokens);
            }),
          release: () => model.dispose(),
        };
      },
    });
  }
  const [sequences, length] = [4, quick ? 64 : 128];
  const T = sequences * length;
  cases.push({
    name: 'training step',
    size: `${name}, ${sequences} × ${length} tokens`,
    flops: 3 * (layerFlops(config, T, sequences * causal(length)) + 2 * T * head),
    products: 'bfloat16',
    bytes: 3 * weightBytes + 15 * weightBytes,
    tokens: T,
    async prepare() {
      const model = await open(config, true, threads);
      const weight = Float32Array.from({ length: T }, (_, t) => (t % length === 0 ? 0 : 1 / T));
      const batch = {
        tokens: tokensOf(T, config),
        seqStarts: Int32Array.from({ length: sequences + 1 }, (_, s) => s * length),
        temperature: 1,
        weight,
        advantages: weight.map((_, t) => (t % 3) - 1),
      };
      const { logprobs } = await model.score(batch, 1);
      return {
        run: () =>
          wallSeconds(async () => {
            await model.accumulate({ ...batch, oldLogprobs: logprobs }, loss);
            await model.update(adamw);
          }),
        release: () => model.dispose(),
      };
    },
  });
  return cases;
}

/** A part of the demo's steps: how long the steps of one kind took, and how many tokens each was about. */
export interface DemoPart {
  readonly name: string;
  readonly size: string;
  readonly summary: Summary;
  readonly tokens: number;
}

/**
 * The demo's own steps: some of its cold start, then RL steps with programs that really run. When `signal` ends them early,
 * the steps there were are reported.
 */
export async function demoSteps(sftSteps: number, rlSteps: number, signal: AbortSignal): Promise<DemoPart[]> {
  const yaml = join(packageRoot, 'assets', 'demo.yaml');
  const base = join(packageRoot, 'assets', 'demo-base');
  if (!existsSync(yaml) || !existsSync(base))
    throw new NotHere('assets/demo.yaml or assets/demo-base is absent');
  const config = parseConfig(readFileSync(yaml, 'utf8'), yaml, [
    `model.path=${JSON.stringify(base)}`,
    `sft.steps=${sftSteps}`,
    `rl.steps=${rlSteps}`,
    'eval.questions=0',
    'eval.without_tool=false',
  ]);
  const events: TrainEvent[] = [];
  const setup = await openSetup(config);
  try {
    await runLoop(setup, traceLedgers(setup), {
      done: { sft: 0, rl: 0 },
      asked: 0,
      evaluated: new Set(),
      signal,
      onEvent: (event) => events.push(event),
      onCheckpoint: async () => undefined,
      openReference: () => Promise.reject(new Error('the demo has no KL term')),
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await setup.close();
  }
  const part = (
    name: string,
    size: string,
    rows: readonly { seconds: number; tokens: number }[],
  ): DemoPart => ({
    name,
    size,
    summary: summarise(rows.map(({ seconds }) => seconds)),
    tokens: rows.reduce((sum, { tokens }) => sum + tokens, 0) / rows.length,
  });
  const sft = events.flatMap((event) => (event.kind === 'sft' ? [event.report] : []));
  const rl = events.flatMap((event) => (event.kind === 'rl' ? [event.report] : []));
  const tokens = (report: (typeof rl)[number]) =>
    report.scored.reduce((sum, { trajectory }) => sum + trajectory.ledger.length, 0);
  const each = (seconds: (report: (typeof rl)[number]) => number) =>
    rl.map((report) => ({ seconds: seconds(report), tokens: tokens(report) }));
  const group = `${config.rl.prompts} prompts × ${config.rl.group}`;
  const parts: DemoPart[] = [];
  if (sft.length > 1) parts.push(part('demo SFT step', `${config.sft.batch} traces`, sft.slice(1))); // without the warm-up
  if (rl.length > 0) {
    parts.push(
      part(
        'demo RL step',
        `${group}, real Python`,
        each((report) => report.seconds),
      ),
      part(
        'demo RL: rollout',
        group,
        each((report) => report.rolloutSeconds),
      ),
      part(
        'demo RL: update',
        group,
        each((report) => report.update.seconds),
      ),
    );
  }
  return parts;
}
