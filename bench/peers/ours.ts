/**
 * Our side of the models' comparison, a subject (conversation.ts) that goes through the public API alone:
 * `ours.ts SIZE DTYPE THREADS RECOMPUTE`. Requests: prepare train SEQUENCES LENGTH | prefill LENGTH | decode BATCH PROMPT STEPS |
 * grpo PROMPTS GROUP PROMPT TOKENS; run (of decode: the prompts are not timed, the answer is about one step); release.
 */
import { createInterface } from 'node:readline';
import { createModel, type Model } from '../../lib/index.ts';
import type { ModelConfig } from '../../lib/model/config.ts';
import { recomputeLevels, type StepRow, type WeightDtype } from '../../lib/model/engine.ts';
import { wallSeconds } from '../measure.ts';
import { grpo } from './ours-grpo.ts';
import { modelShapes } from './work.ts';

const PAGE_TOKENS = 32;
const loss = { kind: 'cross_entropy', ...{ clipLow: 0, clipHigh: 0, dualClip: 0 } } as const;
const noKl = { kl: 'none', klCoef: 0, entropyCoef: 0 } as const;
const adamw = { lr: 1e-5, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, maxGradNorm: 0 };

/** A model and the seconds of one run. */
interface Prepared {
  readonly model: Model;
  run(): Promise<number>;
}

const tokensOf = (count: number, { vocabSize }: ModelConfig) =>
  Int32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocabSize);

/** Greedy, as the peers do it. */
function sampled(seq: number, tokens: Int32Array): StepRow {
  const key = { runSeed: 1n, step: 0, prompt: seq, sample: 0 };
  return { seq, tokens, sample: { temperature: 0, topK: 0, topP: 1, minP: 0, ...key } };
}

function training(model: Model, sequences: number, length: number): Prepared {
  const T = sequences * length;
  const share = 1 / (T - sequences);
  const batch = {
    tokens: tokensOf(T, model.config),
    seqStarts: Int32Array.from({ length: sequences + 1 }, (_, s) => s * length),
    temperature: 1,
    weight: Float32Array.from({ length: T }, (_, t) => (t % length === 0 ? 0 : share)),
  };
  return {
    model,
    run: () =>
      wallSeconds(async () => {
        const result = await model.accumulate(batch, { ...loss, ...noKl });
        if (!(result.loss > 0)) throw new Error(`expected a positive loss but found ${result.loss}`);
        await model.update(adamw);
      }),
  };
}

function prefill(model: Model, length: number): Prepared {
  const cache = model.openKvCache(Math.ceil(length / PAGE_TOKENS) + 1);
  const tokens = tokensOf(length, model.config);
  return {
    model,
    async run() {
      cache.clear();
      const seq = cache.add();
      return wallSeconds(() => cache.step([sampled(seq, tokens)]));
    },
  };
}

function decode(model: Model, batch: number, prompt: number, steps: number): Prepared {
  const cache = model.openKvCache(batch * (Math.ceil((prompt + steps + 1) / PAGE_TOKENS) + 1));
  return {
    model,
    async run() {
      cache.clear();
      const seqs = Array.from({ length: batch }, () => cache.add());
      const first = await cache.step(
        seqs.map((seq, i) =>
          sampled(
            seq,
            tokensOf(prompt, model.config).map((token) => (token + i) % 500),
          ),
        ),
      );
      let next = first.tokens;
      const seconds = await wallSeconds(async () => {
        for (let i = 0; i < steps; i++) {
          const result = await cache.step(seqs.map((seq, at) => sampled(seq, next.slice(at, at + 1))));
          next = result.tokens;
        }
      });
      return seconds / steps;
    },
  };
}

const [size = '', dtype = '', threads = '', level = ''] = process.argv.slice(2);
const config = modelShapes[size];
const recompute = recomputeLevels.find((each) => each === level);
if (config === undefined || (dtype !== 'float32' && dtype !== 'bfloat16') || recompute === undefined)
  throw new RangeError(
    `Expected ours.ts SIZE DTYPE THREADS RECOMPUTE but received ${process.argv.slice(2).join(' ')}`,
  );

async function prepare(words: readonly string[], dtype: WeightDtype): Promise<Prepared> {
  const [kind = '', ...rest] = words;
  const [a = 0, b = 0, c = 0, d = 0] = rest.map(Number);
  const open = (trainable: boolean) =>
    createModel(config!, { dtype, trainable, recompute: recompute!, threads: Number(threads), seed: 1n });
  switch (kind) {
    case 'train':
      return training(await open(true), a, b);
    case 'prefill':
      return prefill(await open(false), a);
    case 'decode':
      return decode(await open(false), a, b, c);
    case 'grpo': {
      const model = await open(true);
      return {
        model,
        run: grpo(model, { kind, prompts: a, group: b, prompt: c, tokens: d }),
      };
    }
  }
  throw new RangeError(`Expected train, prefill, decode or grpo but received ${words.join(' ')}`);
}

let prepared: Prepared | null = null;

async function answer(line: string): Promise<object> {
  const [verb, ...words] = line.split(' ');
  if (verb === 'prepare') {
    prepared?.model.dispose();
    prepared = await prepare(words, dtype as WeightDtype);
    await prepared.run();
    return {};
  }
  if (prepared === null) throw new Error(`Expected prepare before ${line}`);
  if (verb === 'run') {
    const seconds = await prepared.run();
    return { seconds, peak: process.resourceUsage().maxRSS * 1024 };
  }
  if (verb !== 'release') throw new Error(`Expected prepare, run or release but received ${line}`);
  prepared.model.dispose();
  prepared = null;
  return {};
}

const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);
say({ name: 'toolgrad', detail: `${size}, ${dtype}` });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(await answer(line));
  } catch (error) {
    say({ error: String(error) });
  }
}
