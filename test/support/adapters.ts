/** Tiny LoRA models for tests: an adapter that does something, and ways to look at all of it. */
import type { WeightDtype } from '../../lib/model/engine.ts';
import type { LoraOptions } from '../../lib/model/lora.ts';
import type { Model } from '../../lib/model/model.ts';
import { createRandom } from '../../lib/tasks/random.ts';
import { bits } from './batches.ts';
import { type tinyConfigs, tinyModel } from './tiny-models.ts';

export const tinyLora: LoraOptions = { rank: 4, alpha: 6, seed: 3n };

/** Gives B, which begins as zero, values of the size of A's. */
export async function randomiseAdapter(model: Model, seed = 5): Promise<void> {
  const random = createRandom(seed, [7, 8, 9]);
  for (const name of model.adapterNames) {
    if (!name.endsWith('lora_B.weight')) continue;
    const values = await model.parameter(name);
    await model.setParameter(
      name,
      values.map(() => 0.4 * (random.unit() - 0.5)),
    );
  }
}

/** A tiny model with an adapter in every linear layer. */
export async function adaptedModel(
  family: keyof typeof tinyConfigs,
  dtype: WeightDtype,
  options: { threads?: number; trainable?: boolean; lora?: LoraOptions } = {},
): Promise<Model> {
  const model = await tinyModel(family, { dtype, trainable: true, lora: tinyLora, ...options });
  await randomiseAdapter(model);
  return model;
}

/** Bit patterns of the named parameters. */
export async function parameterBits(
  model: Model,
  names: readonly string[],
): Promise<Map<string, Uint32Array>> {
  const all = new Map<string, Uint32Array>();
  for (const name of names) all.set(name, bits(await model.parameter(name)));
  return all;
}

/** Bit patterns of the gradients of the adapter. */
export async function adapterGradients(model: Model): Promise<Map<string, Uint32Array>> {
  const all = new Map<string, Uint32Array>();
  for (const name of model.adapterNames) all.set(name, bits(await model.gradient(name)));
  return all;
}
