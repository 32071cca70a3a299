/** What a model and its passes will take, in bytes, before anything is allocated; and what there is. */
import { readFileSync } from 'node:fs';
import { native } from '../native.ts';
import type { ModelConfig } from './config.ts';
import type { MemoryPlan, Recompute, WeightDtype } from './engine.ts';
import { type LoraOptions, nativeLora, resolveLora } from './lora.ts';
import { runs } from './native-call.ts';
import type { NativeShape } from './native-model.ts';
import { positiveInteger } from './threads.ts';

/** What the engine computes with of a config. */
export function shapeOf(config: ModelConfig, valueHead = false): NativeShape {
  return {
    vocabSize: config.vocabSize,
    hiddenSize: config.hiddenSize,
    layers: config.layers,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    intermediateSize: config.intermediateSize,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
    rmsNormEps: config.rmsNormEps,
    ropeTheta: config.ropeTheta,
    ropeScaling: config.ropeScaling,
    tieWordEmbeddings: config.tieWordEmbeddings,
    qkvBias: config.qkvBias,
    qkNorm: config.qkNorm,
    valueHead,
  };
}

/**
 * What a model of this config will take, in bytes, before anything is allocated. Activations of a pass over T tokens:
 * activationBytesFixed + T * activationBytesPerToken (trainable: of accumulate(), else of score()). With `lora` the weights
 * are frozen, and masters, moments and gradients are the adapter's.
 */
export function planMemory(
  config: ModelConfig,
  dtype: WeightDtype,
  trainable: boolean,
  lora?: LoraOptions,
  valueHead = false,
  recompute: Recompute = 'none',
): MemoryPlan {
  const adapter = lora === undefined ? undefined : nativeLora(resolveLora(lora));
  return runs('planMemory', () =>
    native().planMemory(shapeOf(config, valueHead), dtype, trainable, adapter, recompute),
  );
}

/** `critic` trains a value head and `values` asks one, both without the vocabulary. */
export type PassKind = 'training' | 'critic' | 'scoring' | 'values' | 'step';

/** A pass over `tokens` tokens in sequences of at most `longest`; a step is of `tokens` sequences that get one token each. */
export interface PassOptions {
  readonly kind: PassKind;
  readonly tokens: number;
  readonly longest: number;
  /** Of the CPU; null for a GPU, whose scratch memory is not planned. */
  readonly threads: number | null;
  readonly lora?: LoraOptions | undefined;
  readonly valueHead?: boolean;
  readonly recompute?: Recompute;
}

/**
 * Bytes of one pass: in the model's arena, every token in the loss, and scratch memory of the kernels. Both grow to
 * the largest pass there was and are kept.
 */
export function planPass(
  config: ModelConfig,
  dtype: WeightDtype,
  options: PassOptions,
): { readonly arenaBytes: number; readonly scratchBytes: number } {
  const { kind, tokens, longest, threads, lora, valueHead = false, recompute = 'none' } = options;
  const pass = {
    kind,
    tokens,
    longest,
    threads: threads === null ? 0 : positiveInteger(threads, 'threads'),
    recompute,
    loraRank: lora?.rank ?? 0,
  };
  return runs('planPass', () => native().planPass(shapeOf(config, valueHead), dtype, pass));
}

/** Bytes of memory this process may still take. */
export function availableMemory(): number {
  return native().availableMemory();
}

const kHugePage = 2 * 1024 * 1024;

/** Whether the system gives memory in pages of 2 MiB to those who ask (the engine does). */
function hugePages(): boolean {
  try {
    return !readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').includes('[never]');
  } catch {
    return false; // a system without them
  }
}

/**
 * Bytes of a KV cache on the host that become resident when at most `used` of its `pages` pages are in use at once. Keys and
 * values of a layer lie together, the pages used first in front, so that each of these pieces is touched at its beginning.
 */
export function cacheResident(plan: MemoryPlan, layers: number, pages: number, used: number): number {
  const pageBytes = plan.kvBytesPerPage / (2 * layers);
  const unit = hugePages() && pages * plan.kvBytesPerPage >= 2 * kHugePage ? kHugePage : 1;
  let resident = 0;
  let end = 0; // of what is resident so far
  for (let piece = 0; piece < 2 * layers && used > 0; piece++) {
    const first = piece * pages * pageBytes;
    const from = Math.max(end, Math.floor(first / unit) * unit);
    end = Math.max(end, Math.ceil((first + used * pageBytes) / unit) * unit);
    resident += end - from;
  }
  return Math.min(resident, pages * plan.kvBytesPerPage);
}
