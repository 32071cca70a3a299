/** The models of the tests of the GPU backend; nothing of the test runner, so that programs may use them. */
import type { ModelConfig } from '../../lib/model/config.ts';
import { type CreateOptions, createModel, type Model } from '../../lib/model/model.ts';
import { normal } from './float64.ts';
import { tinyConfigs } from './tiny-models.ts';

/** The families of tiny-models.ts with head sizes that tensor cores take. */
export const cudaConfigs: Readonly<Record<keyof typeof tinyConfigs, ModelConfig>> = {
  qwen2: { ...tinyConfigs.qwen2, headDim: 16 },
  qwen3: { ...tinyConfigs.qwen3, headDim: 24 },
  llama: { ...tinyConfigs.llama, headDim: 8 },
};

/** The same random weights on either device, in bf16; every norm and bias is off its start. */
export async function modelOn(
  device: 'cpu' | 'cuda',
  family: keyof typeof cudaConfigs,
  options: CreateOptions = {},
): Promise<Model> {
  const model = await createModel(cudaConfigs[family], {
    threads: 2,
    seed: 7n,
    initStd: 0.2,
    device,
    ...options,
  });
  for (const [index, name] of model.parameterNames.entries()) {
    if (!/norm\.weight$|layernorm\.weight$|\.bias$/.test(name)) continue;
    const values = await model.parameter(name);
    const noise = normal(values.length, 100 + index, 0.1);
    await model.setParameter(
      name,
      values.map((value, i) => value + noise[i]!),
    );
  }
  return model;
}
