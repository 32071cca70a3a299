/** The memory of a run, line by line: what is held from start to end, and the largest pass. */
import type { MemoryPlan } from '../model/engine.ts';
import type { Config } from '../run/config.ts';
import { referenceUse } from './lora.ts';

/** [what, bytes]; the last line is the total. The reference of an adapter shares its base, so it costs an adapter or nothing. */
export function memoryPlan(
  config: Config,
  memory: MemoryPlan,
  kvPages: number,
  microBatch: number,
): (readonly [string, number])[] {
  const { rl } = config;
  const referred = rl.steps > 0 && rl.kl !== 'none';
  const activations = memory.activationBytesPerToken * microBatch + memory.activationBytesFixed;
  const trained: (readonly [string, number])[] =
    memory.adapterBytes === 0
      ? [
          ['weights', memory.weightBytes],
          ['fp32 masters', memory.masterBytes],
          ['moments', memory.momentBytes],
          ['gradients', memory.gradientBytes],
          ...(referred ? ([['reference: a second model', memory.weightBytes]] as const) : []),
        ]
      : [
          ['base weights, frozen', memory.weightBytes],
          ['adapter weights, fp32: their own masters', memory.adapterBytes],
          ['adapter masters besides', memory.masterBytes],
          ['adapter moments', memory.momentBytes],
          ['adapter gradients', memory.gradientBytes],
          ...(referred ? ([sharedReference(config, memory)] as const) : []),
        ];
  const lines: (readonly [string, number])[] = [
    ...trained,
    [`activations (${microBatch} tokens a micro-batch)`, activations],
    [`KV cache (${kvPages} pages of ${memory.kvPageTokens} tokens)`, kvPages * memory.kvBytesPerPage],
  ];
  return [...lines, ['total', lines.reduce((sum, [, bytes]) => sum + bytes, 0)]];
}

function sharedReference(config: Config, memory: MemoryPlan): readonly [string, number] {
  return referenceUse(config) === 'off'
    ? ['reference: the base with the adapter off, shared', 0]
    : ['reference: a second adapter, base shared', memory.adapterBytes];
}
