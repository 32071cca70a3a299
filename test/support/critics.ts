/** Tiny models with a value head, and batches with both losses. */
import type { AdamWOptions, LossBatch, LossOptions } from '../../lib/model/engine.ts';
import type { CreateOptions, Model } from '../../lib/model/model.ts';
import { bits, crossEntropy, packed } from './batches.ts';
import { normal } from './float64.ts';
import { sequences, tinyConfigs, tinyModel } from './tiny-models.ts';

/** With weight decay, which must not reach what is frozen. */
export const adamw: AdamWOptions = {
  lr: 3e-3,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.1,
  maxGradNorm: 1,
};
/** Whether a parameter is the value head's. */
export const isHead = (name: string) => name.startsWith('value_head.');

/** A tiny trainable model whose value head is not zero. */
export async function tinyCritic(
  family: keyof typeof tinyConfigs,
  options: CreateOptions = {},
): Promise<Model> {
  const model = await tinyModel(family, { dtype: 'float32', trainable: true, valueHead: true, ...options });
  await model.setParameter('value_head.weight', normal(tinyConfigs[family].hiddenSize, 3, 0.3));
  return model;
}

/** Smooth policy loss plus value loss; every third token is in one of the two alone. */
export const bothLosses: LossOptions = {
  ...crossEntropy,
  kind: 'reinforce',
  kl: 'k3',
  klCoef: 0.1,
  entropyCoef: 0.05,
  value: { clip: 0.5, coef: 0.7 },
};
export function bothBatch(list = sequences([40, 9, 33]), policy = true): LossBatch {
  const batch = packed(list);
  const T = batch.tokens.length;
  const place = (t: number) => t - batch.seqStarts.findLast((start) => start <= t)!;
  const tokens = Array.from(batch.tokens, (_, t) => place(t));
  return {
    ...batch,
    temperature: 0.8,
    weight: Float32Array.from(tokens, (i) => (policy && i > 0 && i % 3 !== 1 ? 1 / 60 : 0)),
    advantages: Float32Array.from(batch.tokens, (id) => (id % 2 === 0 ? 1 : -0.7)),
    refLogprobs: new Float32Array(T).fill(-5.5),
    value: {
      returns: normal(T, 5),
      oldValues: normal(T, 6, 0.5),
      weight: Float32Array.from(tokens, (i) => (i > 0 && i % 3 !== 2 ? 1 / 50 : 0)),
    },
  };
}
/** The same without the critic. */
export const policyOnly = ({ value: _, ...loss }: LossOptions): LossOptions => loss;
export const policyBatch = ({ value: _, ...batch }: LossBatch): LossBatch => batch;

/** Bit patterns of every parameter or gradient by name. */
export async function allBits(
  model: Model,
  what: 'gradient' | 'parameter',
): Promise<Map<string, Uint32Array>> {
  const found = new Map<string, Uint32Array>();
  for (const name of model.parameterNames) found.set(name, bits(await model[what](name)));
  return found;
}
