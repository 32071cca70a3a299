/** What names a tool call, and what makes its random numbers: the same in every run of a seed, whatever runs beside it. */
import { createHash } from 'node:crypto';
import type { SampleSeed } from '../model/engine.ts';

/** Names a trajectory among all of a run: no two have the same. */
export function trajectoryName(questionId: string, { step, prompt, sample }: SampleSeed): string {
  return `${questionId}/${step}/${prompt}/${sample}`;
}

/** Names a call among all of a run. */
export function callId(questionId: string, seed: SampleSeed, call: number): string {
  return `${trajectoryName(questionId, seed)}/${call}`;
}

/** What the generators of a trajectory's program number `call` are seeded with. */
export function programSeed({ runSeed, step, prompt, sample }: SampleSeed, call: number): bigint {
  const text = `toolgrad program ${runSeed} ${step} ${prompt} ${sample} ${call}`;
  return createHash('sha256').update(text).digest().readBigUInt64LE();
}
