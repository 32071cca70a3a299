/**
 * How many tokens a training pass takes at once, and what it recomputes: the two numbers that decide how much memory its
 * activations need. Neither changes a bit of the result on the CPU (on a GPU recomputation does not either).
 */
import { ToolgradError } from '../errors.ts';
import { type MemoryPlan, type Recompute, recomputeLevels } from '../model/engine.ts';
import type { Config } from '../run/config.ts';

const kMegabyte = 1024 * 1024;

/** Tokens that fill the matrix products well. */
const kWellFilled = 2048;

export interface PassSize {
  readonly microBatchTokens: number;
  readonly recompute: Recompute;
}

/** Pages of the KV cache within rollout.kv_memory_mb. */
export function kvPages(config: Pick<Config, 'rollout'>, memory: MemoryPlan): number {
  return Math.max(1, Math.floor((config.rollout.kv_memory_mb * kMegabyte) / memory.kvBytesPerPage));
}

/** Bytes of KV cache, gradients and moments: allocated, but on the host still free until they are first touched. */
export function promisedBytes(memory: MemoryPlan, pages: number): number {
  return pages * memory.kvBytesPerPage + memory.gradientBytes + memory.momentBytes;
}

/** The levels that optim.recompute allows, least recomputation first. */
function allowedLevels({ optim }: Pick<Config, 'optim'>): readonly Recompute[] {
  return optim.recompute === 'auto' ? recomputeLevels : [optim.recompute];
}

/**
 * The size of training passes within half of `left`, the memory that nothing else will take; `planAt` gives the plans of the
 * models that train (the policy, a critic of its own) at a level. `auto` is the least recomputation with which the config's
 * micro-batch fits or, where that is derived too, one longest trajectory. A derived micro-batch is enough for one longest
 * trajectory and for well-filled matrix products (2048 tokens) as far as they fit. Throws ERR_OUT_OF_MEMORY with the numbers
 * when one longest trajectory does not fit.
 */
export function passSize(
  config: Pick<Config, 'optim' | 'rollout'>,
  planAt: (
    recompute: Recompute,
  ) => readonly Pick<MemoryPlan, 'activationBytesPerToken' | 'activationBytesFixed'>[],
  left: number,
): PassSize {
  const levels = allowedLevels(config);
  const last = levels.at(-1)!;
  const free = left / 2;
  const at = (recompute: Recompute) => {
    const plans = planAt(recompute);
    return {
      perToken: plans.reduce((sum, plan) => sum + plan.activationBytesPerToken, 0),
      fixed: plans.reduce((sum, plan) => sum + plan.activationBytesFixed, 0),
    };
  };
  const fitting = (recompute: Recompute) => {
    const { perToken, fixed } = at(recompute);
    return Math.floor((free - fixed) / perToken);
  };
  const longest = config.rollout.total_tokens;
  const wanted = config.optim.micro_batch_tokens;
  const recompute = levels.find((level) => fitting(level) >= (wanted > 0 ? wanted : longest));
  if (wanted > 0) return { microBatchTokens: wanted, recompute: recompute ?? last };
  if (recompute === undefined) {
    const { perToken, fixed } = at(last);
    const megabytes = (bytes: number) => `${(Math.max(0, bytes) / kMegabyte).toFixed(0)} MB`;
    throw new ToolgradError(
      'ERR_OUT_OF_MEMORY',
      `training on one trajectory of ${longest} tokens needs ${megabytes(longest * perToken + fixed)} of activations` +
        `${last === 'none' ? '' : ` with optim.recompute ${last}`}, half of the memory left is ${megabytes(free)}; lower ` +
        `rollout.total_tokens or rollout.kv_memory_mb${last === 'full' ? '' : ', set optim.recompute=full'}, or set ` +
        'optim.micro_batch_tokens to go on all the same',
    );
  }
  return { microBatchTokens: Math.min(Math.max(longest, kWellFilled), fitting(recompute)), recompute };
}
