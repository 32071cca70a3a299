/** The bits of training passes, for comparing levels of recomputation. */
import type { LossBatch, LossOptions } from '../../lib/model/engine.ts';
import type { Model } from '../../lib/model/model.ts';
import { bits } from './batches.ts';

/**
 * Accumulates over the batches and clears the gradients again: bits of log-probs, values and every gradient, the losses, and
 * the largest gradient.
 */
export async function trainingBits(model: Model, batches: readonly LossBatch[], loss: LossOptions) {
  const found: Record<string, Uint32Array | number> = {};
  for (const [b, batch] of batches.entries()) {
    const result = await model.accumulate(batch, loss);
    found[`${b} log-probs`] = bits(result.logprobs);
    found[`${b} loss`] = result.loss;
    if (result.value !== undefined) found[`${b} values`] = bits(result.value.values);
  }
  let largest = 0;
  for (const name of model.lora === null ? model.parameterNames : model.adapterNames) {
    const gradient = await model.gradient(name);
    found[name] = bits(gradient);
    for (const g of gradient) largest = Math.max(largest, Math.abs(g));
  }
  await model.zeroGradients();
  return { bits: found, largest };
}
