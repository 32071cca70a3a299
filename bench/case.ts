/**
 * What a bench case is, and the model shapes it is measured on. `flops` and `bytes` are what the mathematics needs, not what
 * the kernel does: recomputation and packing count against it.
 */
import type { ModelConfig } from '../lib/model/config.ts';

/** One thing to measure. `prepare` allocates; `run` gives the seconds that count; `release` gives memory back. */
export interface Case {
  readonly name: string;
  readonly size: string;
  /** Floating-point operations of one run. */
  readonly flops: number;
  /** What most of the operations multiply, where it is not float32; a processor may be faster with it. */
  readonly products?: 'bfloat16';
  /** Bytes of one run that must come from or go to memory. */
  readonly bytes: number;
  /** Tokens of one run, where the rate of tokens is what a user feels. */
  readonly tokens?: number;
  prepare(): Promise<Prepared>;
}

export interface Prepared {
  run(index: number): Promise<number>;
  release?(): void | Promise<void>;
}

/** Why a case is not run here; printed in its place. */
export class NotHere extends Error {}

const smollm2: ModelConfig = {
  arch: 'llama',
  vocabSize: 49152,
  hiddenSize: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  intermediateSize: 1536,
  rmsNormEps: 1e-5,
  ropeTheta: 100000,
  ropeScaling: null,
  maxPositionEmbeddings: 8192,
  tieWordEmbeddings: true,
  qkvBias: false,
  qkNorm: false,
  eosTokenIds: [2],
  bosTokenId: 1,
  padTokenId: 2,
  dtype: 'bfloat16',
};

/** The shapes that `--sizes` chooses from: the demo's model and SmolLM2-135M (with random weights). */
export const sizes: Readonly<Record<string, ModelConfig>> = {
  demo: {
    ...smollm2,
    vocabSize: 512,
    hiddenSize: 256,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    intermediateSize: 768,
    ropeTheta: 10000,
    maxPositionEmbeddings: 1024,
    eosTokenIds: [511],
    bosTokenId: null,
    padTokenId: 509,
  },
  smollm2,
};

/** Weights of one layer's matrices. */
export function layerWeights(config: ModelConfig): number {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize } = config;
  return hiddenSize * headDim * (2 * heads + 2 * kvHeads) + 3 * hiddenSize * intermediateSize;
}

/** Numbers between -0.5 and 0.5 that no kernel can make anything of; fast, because gigabytes of them are made. */
export function noise(count: number): Float32Array {
  const values = new Float32Array(count);
  let state = 12345;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = state / 2 ** 32;
  }
  return values;
}
