/** Batches, losses and sampling parameters that several tests use. */
import type { LossOptions, PackedBatch, SampleSeed, SamplingParams } from '../../lib/model/engine.ts';

export const crossEntropy: LossOptions = {
  kind: 'cross_entropy',
  clipLow: 0,
  clipHigh: 0,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
};

/** One sequence as a batch. */
export function alone(ids: ArrayLike<number>): PackedBatch {
  return { tokens: Int32Array.from(ids), seqStarts: Int32Array.of(0, ids.length) };
}

/** Sequences back to back. */
export function packed(sequences: readonly ArrayLike<number>[]): PackedBatch {
  const starts = [0];
  for (const sequence of sequences) starts.push(starts[starts.length - 1]! + sequence.length);
  return {
    tokens: Int32Array.from(sequences.flatMap((ids) => Array.from(ids))),
    seqStarts: Int32Array.from(starts),
  };
}

/** Token-aligned weights 1 / (number of wanted tokens) from token-aligned masks. */
export function tokenMeanWeights(masks: readonly ArrayLike<number>[]): Float32Array {
  const flat = masks.flatMap((mask) => Array.from(mask));
  const count = flat.reduce((a, b) => a + b, 0);
  return Float32Array.from(flat, (m) => m / count);
}

/** Sample `sample` of prompt 0 at `temperature` without filters. */
export function sampling(sample = 0, temperature = 1): SamplingParams & SampleSeed {
  return { temperature, topK: 0, topP: 1, minP: 0, runSeed: 5n, step: 0, prompt: 0, sample };
}

/** The bit patterns, so that comparisons tell -0 from 0 and one NaN from another. */
export function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length).slice();
}
