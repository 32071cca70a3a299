/**
 * LoRA (Hu et al. 2021): y = W x + b + scaling * B (A x) in chosen linear layers of every block, W frozen. What an adapter is
 * made of, checked once; its files are adapter-files.ts, its arithmetic is binding/engine/lora.h.
 *
 * A and B are float32 whatever the model's dtype: they are their own masters, so an update, the next forward pass and the
 * file see the same numbers. The adapter is never merged while the model is used.
 */
import { type ModelConfig, type ParameterShape, parameterShapes } from './config.ts';
import type { NativeLora } from './native-model.ts';

/** The linear layers of a block by their PEFT names. */
export const loraTargets = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;
export type LoraTarget = (typeof loraTargets)[number];

export interface LoraOptions {
  /** Columns of B and rows of A; at least 1. */
  readonly rank: number;
  /** The adapter's output is scaled by alpha / rank. */
  readonly alpha: number;
  /** Layers that get an adapter, in every block; default `all-linear`: all seven. */
  readonly targets?: 'all-linear' | readonly LoraTarget[];
  /** Scale by alpha / sqrt(rank) instead (Kalajdzievski 2023); default false. */
  readonly rslora?: boolean;
  /** Of A's initial weights, uniform in ±1/sqrt(in) as in PEFT; B is 0. Any 64-bit seed; default 0. */
  readonly seed?: bigint;
}

/** The options that decide what an adapter computes, every one given, targets in the order of `loraTargets`. */
export interface Lora {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly LoraTarget[];
  readonly rslora: boolean;
}

export const maxLoraRank = 2 ** 16;

/** Checks options. Throws TypeError or RangeError naming the option. */
export function resolveLora(options: LoraOptions): Lora {
  const { rank, alpha, targets = 'all-linear', rslora = false } = options;
  const received = (value: unknown) => `but received ${String(value)} of type ${typeof value}`;
  if (typeof rank !== 'number' || !Number.isInteger(rank) || rank < 1 || rank > maxLoraRank)
    throw new RangeError(`Expected integer from 1 to ${maxLoraRank} for lora.rank ${received(rank)}`);
  if (typeof alpha !== 'number' || !(alpha > 0 && Number.isFinite(alpha)))
    throw new RangeError(`Expected number above 0 for lora.alpha ${received(alpha)}`);
  if (typeof rslora !== 'boolean')
    throw new TypeError(`Expected boolean for lora.rslora ${received(rslora)}`);
  const given: unknown = targets === 'all-linear' ? loraTargets : targets;
  const names: readonly unknown[] = Array.isArray(given) ? given : [];
  const known = names.every((name) => (loraTargets as readonly unknown[]).includes(name));
  if (!known || names.length === 0 || names.length !== new Set(names).size)
    throw new RangeError(
      `Expected "all-linear" or different names out of ${loraTargets.join(', ')} for lora.targets ${received(given)}`,
    );
  return { rank, alpha, targets: loraTargets.filter((name) => names.includes(name)), rslora };
}

/** The factor of B (A x). */
export function loraScaling({ rank, alpha, rslora }: Lora): number {
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/** What the engine is told. */
export function nativeLora(lora: Lora, seed = 0n): NativeLora {
  return { rank: lora.rank, scaling: loraScaling(lora), targets: lora.targets, seed };
}

/** The option in which two adapters differ, as a sentence would name it; null when they compute the same from the same weights. */
export function loraDifference(expected: Lora, found: Lora): string | null {
  const said = ({ rank, alpha, targets, rslora }: Lora) => ({
    rank: String(rank),
    alpha: String(alpha),
    rslora: String(rslora),
    targets: targets.join(', '),
  });
  const [one, other] = [said(expected), said(found)];
  for (const key of ['rank', 'alpha', 'rslora', 'targets'] as const)
    if (one[key] !== other[key]) return `expected ${key} ${one[key]} but found ${other[key]}`;
  return null;
}

/** Names (PEFT's) and shapes of an adapter's matrices: A [rank, in] and B [out, rank] of every adapted layer, in order. */
export function adapterShapes(config: ModelConfig, { rank, targets }: Lora): ParameterShape[] {
  return parameterShapes(config).flatMap(({ name, shape }) => {
    const module = /^(model\.layers\.\d+\.\w+\.(\w+))\.weight$/.exec(name);
    if (module === null || !(targets as readonly string[]).includes(module[2]!)) return [];
    const [out, input] = shape as readonly [number, number];
    return [
      { name: `base_model.model.${module[1]}.lora_A.weight`, shape: [rank, input] },
      { name: `base_model.model.${module[1]}.lora_B.weight`, shape: [out, rank] },
    ];
  });
}
