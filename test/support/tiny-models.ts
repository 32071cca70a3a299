/** Random models of a few thousand parameters, one per family, and sequences for them: tests that need no files. */
import type { ModelConfig } from '../../lib/model/config.ts';
import { type CreateOptions, createModel, type Model } from '../../lib/model/model.ts';
import { createRandom } from '../../lib/tasks/random.ts';

const shared = {
  vocabSize: 300,
  hiddenSize: 48,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 12,
  intermediateSize: 80,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  ropeScaling: null,
  maxPositionEmbeddings: 512,
  eosTokenIds: [1],
  bosTokenId: null,
  padTokenId: null,
  dtype: 'bfloat16',
} as const;

/** Qwen2: biases, tied head. Qwen3: QK-norm, head size of its own. Llama: untied head, llama3 RoPE, one KV head. */
export const tinyConfigs: Readonly<Record<'qwen2' | 'qwen3' | 'llama', ModelConfig>> = {
  qwen2: { ...shared, arch: 'qwen2', tieWordEmbeddings: true, qkvBias: true, qkNorm: false },
  qwen3: { ...shared, arch: 'qwen3', headDim: 20, tieWordEmbeddings: true, qkvBias: false, qkNorm: true },
  llama: {
    ...shared,
    arch: 'llama',
    kvHeads: 1,
    tieWordEmbeddings: false,
    qkvBias: false,
    qkNorm: false,
    ropeScaling: {
      type: 'llama3',
      factor: 4,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 64,
    },
  },
};

/** A tiny model with weights large enough that its distributions are far from uniform; biases and norms are not trivial. */
export async function tinyModel(
  family: keyof typeof tinyConfigs,
  options: CreateOptions = {},
): Promise<Model> {
  const model = await createModel(tinyConfigs[family], { threads: 2, seed: 7n, initStd: 0.2, ...options });
  const random = createRandom(11, [1, 2, 3]);
  for (const name of model.parameterNames) {
    if (!/norm\.weight$|layernorm\.weight$|\.bias$/.test(name)) continue;
    const values = await model.parameter(name);
    await model.setParameter(
      name,
      values.map((value) => value + 0.3 * (random.unit() - 0.5)),
    );
  }
  return model;
}

/** Token ids of the given lengths, always the same for the same seed. */
export function sequences(lengths: readonly number[], seed = 1): number[][] {
  const random = createRandom(seed, [4, 5, 6]);
  return lengths.map((length) => Array.from({ length }, () => random.integer(0, shared.vocabSize - 1)));
}
