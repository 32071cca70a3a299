/**
 * One GRPO step by the public API: every prompt is computed once and shared by its group, all sequences sample their new
 * tokens together, rewards become advantages within the group, then loss and backward a group at a time and one update.
 */
import type { Model } from '../../lib/index.ts';
import type { LossOptions, StepRow } from '../../lib/model/engine.ts';
import { wallSeconds } from '../measure.ts';
import type { Work } from './work.ts';

const PAGE_TOKENS = 32;
const loss: LossOptions = {
  ...{ kind: 'ppo_clip', clipLow: 0.2, clipHigh: 0.2, dualClip: 0 },
  ...{ kl: 'none', klCoef: 0, entropyCoef: 0 },
};
const adamw = { lr: 1e-6, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };

interface Sequence {
  readonly seq: number;
  readonly tokens: number[];
  readonly logprobs: number[];
}

type GrpoWork = Extract<Work, { kind: 'grpo' }>;

/** The share of odd tokens: any reward that differs within a group will do. */
const rewardOf = (tokens: readonly number[]) =>
  tokens.reduce((sum, token) => sum + (token % 2), 0) / tokens.length;

/** As in GRPO: rewards less the group's mean, over its standard deviation. */
export function advantagesOf(rewards: readonly number[]): number[] {
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
  const squares = rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / Math.max(1, rewards.length - 1));
  return rewards.map((reward) => (reward - mean) / (deviation + 1e-4));
}

export function grpo(model: Model, { prompts, group, prompt: length, tokens: fresh }: GrpoWork) {
  const each = Math.ceil((length + fresh) / PAGE_TOKENS) + 1;
  const cache = model.openKvCache(prompts * (group + 1) * each);
  const { vocabSize } = model.config;
  let step = 0;

  function sampled(prompt: number, sample: number, seq: number, token: number): StepRow {
    const place = { runSeed: 1n, step, prompt, sample };
    return {
      seq,
      tokens: Int32Array.of(token),
      sample: { temperature: 1, topK: 0, topP: 1, minP: 0, ...place },
    };
  }

  async function generate(texts: readonly Int32Array[]): Promise<Sequence[][]> {
    cache.clear();
    const roots = texts.map(() => cache.add());
    await cache.step(roots.map((seq, p) => ({ seq, tokens: texts[p]!.slice(0, -1), sample: null })));
    const groups = roots.map((root, p) =>
      Array.from({ length: group }, (): Sequence => {
        const tokens = [...texts[p]!];
        return { seq: cache.fork(root), tokens, logprobs: tokens.map(() => 0) };
      }),
    );
    const all = groups.flatMap((members, p) => members.map((sequence, s) => ({ sequence, p, s })));
    for (let i = 0; i < fresh; i++) {
      const result = await cache.step(
        all.map(({ sequence, p, s }) => sampled(p, s, sequence.seq, sequence.tokens.at(-1)!)),
      );
      for (const [at, { sequence }] of all.entries()) {
        sequence.tokens.push(result.tokens[at]!);
        sequence.logprobs.push(result.logprobs[at]!);
      }
    }
    return groups;
  }

  async function learn(members: readonly Sequence[]): Promise<void> {
    const advantages = advantagesOf(members.map(({ tokens }) => rewardOf(tokens.slice(length))));
    const share = 1 / (prompts * group * fresh);
    const each = length + fresh;
    const result = await model.accumulate(
      {
        tokens: Int32Array.from(members.flatMap(({ tokens }) => tokens)),
        seqStarts: Int32Array.from({ length: members.length + 1 }, (_, i) => i * each),
        temperature: 1,
        weight: Float32Array.from({ length: members.length * each }, (_, t) =>
          t % each < length ? 0 : share,
        ),
        advantages: Float32Array.from(members.flatMap(({ tokens }, i) => tokens.map(() => advantages[i]!))),
        oldLogprobs: Float32Array.from(members.flatMap(({ logprobs }) => logprobs)),
      },
      loss,
    );
    if (result.ratioMax !== 1) throw new Error(`expected ratios of 1 but found ${result.ratioMax}`);
  }

  return async (): Promise<number> => {
    step += 1;
    const texts = Array.from({ length: prompts }, (_, p) =>
      Int32Array.from({ length }, (_, i) => (i * 7919 + 13 * p + step) % Math.min(500, vocabSize)),
    );
    return wallSeconds(async () => {
      for (const members of await generate(texts)) await learn(members);
      await model.update(adamw);
    });
  };
}
