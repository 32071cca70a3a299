/** The memory of a run, line by line: what is held from start to end, and the largest pass. */
import type { ModelConfig } from '../model/config.ts';
import type { MemoryPlan } from '../model/engine.ts';
import { openModelFiles } from '../model/files.ts';
import { planMemory } from '../model/model.ts';
import { configWithoutWeights } from '../model/shape.ts';
import type { Config } from '../run/config.ts';
import { loraOptions, referenceUse } from './lora.ts';
import { kvPages, microBatchTokens, samplesAhead } from './setup.ts';

/**
 * [what, bytes]; the last line is the total. The reference of an adapter shares its base, so it costs an adapter or nothing.
 * `critic` is the plan of a critic that is a model of its own; one on the policy's trunk shares everything but its head.
 */
export function memoryPlan(
  config: Config,
  memory: MemoryPlan,
  kvPages: number,
  microBatch: number,
  critic: MemoryPlan | null = null,
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
    ...(critic === null ? [] : ([['critic: a model of its own, trained', heldBytes(critic)]] as const)),
    ...(samplesAhead(config)
      ? ([
          ['sampler: a second model', memory.weightBytes],
          ["the sampler's KV cache", kvPages * memory.kvBytesPerPage],
        ] as const)
      : []),
    [`activations (${microBatch} tokens a micro-batch)`, activations],
    [`KV cache (${kvPages} pages of ${memory.kvPageTokens} tokens)`, kvPages * memory.kvBytesPerPage],
  ];
  return [...lines, ['total', lines.reduce((sum, [, bytes]) => sum + bytes, 0)]];
}

/** What a trained model holds from start to end; its passes come one after the other with the policy's. */
function heldBytes(memory: MemoryPlan): number {
  return memory.weightBytes + memory.masterBytes + memory.momentBytes + memory.gradientBytes;
}

/** The plan of the critic that the config asks for, where it has the policy's shape; null when there is none of its own. */
export function criticMemory(config: Config, policy: ModelConfig): MemoryPlan | null {
  if (config.rl.steps === 0 || config.rl.advantage !== 'gae' || config.critic.model !== 'own') return null;
  const { path } = config.critic;
  const shape = path === null ? policy : (configWithoutWeights(path) ?? openModelFiles(path).config);
  return planMemory(shape, config.model.dtype, true, undefined, true);
}

/** The plan of a run whose model is known by its config alone. */
export function planFromShape(config: Config, shape: ModelConfig): (readonly [string, number])[] {
  const memory = planMemory(shape, config.model.dtype, true, loraOptions(config));
  const pages = kvPages(config, memory);
  const microBatch = microBatchTokens(config, memory, Number.POSITIVE_INFINITY);
  return memoryPlan(config, memory, pages, microBatch, criticMemory(config, shape));
}

function sharedReference(config: Config, memory: MemoryPlan): readonly [string, number] {
  return referenceUse(config) === 'off'
    ? ['reference: the base with the adapter off, shared', 0]
    : ['reference: a second adapter, base shared', memory.adapterBytes];
}
