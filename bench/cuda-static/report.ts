/** Everything of the static report, gathered: what the tables and the JSON are made from. */

import { type CountedCase, countCases, SECTOR } from './counted.ts';
import { type Coverage, coverageFaults, type Unreached, unreached } from './coverage.ts';
import { gatherFacts, type KernelFacts } from './facts.ts';
import { type Gpu, gpus, ISSUE_SLOTS } from './gpus.ts';
import { type PlannedCase, type Prediction, predict, type Streamed } from './roofline.ts';
import type { Disassembler } from './sass.ts';
import { cudaBench } from './tools.ts';

/** The models of the roofline: widths of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-7B. */
export const models = [
  'SmolLM2-135M:576,1536,9,3,64,49152',
  'Qwen2.5-0.5B:896,4864,14,2,64,151936',
  'Qwen2.5-7B:3584,18944,28,4,128,152064',
] as const;

export interface PredictedCase {
  readonly item: PlannedCase;
  /** In the order of the GPUs. */
  readonly predictions: readonly Prediction[];
}

export interface StaticReport {
  readonly disassembler: Disassembler | null;
  readonly kernels: readonly KernelFacts[];
  readonly counted: readonly CountedCase[];
  readonly cases: readonly PredictedCase[];
  readonly unreached: readonly Unreached[] | null;
  readonly faults: readonly string[];
}

/** Phases of counted and planned cases are the same but for the size of the batch. */
const phaseKind = (phase: string) => (/^decode (?!1$)/.test(phase) ? 'decode many' : phase);

/** The kernels of a streaming op, from the counted case of the same op and kind of phase. */
export function streamedOf(
  counted: readonly CountedCase[],
  item: PlannedCase,
): ReadonlyMap<string, Streamed> | null {
  const same = counted.findLast(
    ({ op, phase }) => op === item.op && phaseKind(phase) === phaseKind(item.phase),
  );
  if (same === undefined) return null;
  return new Map(
    Object.entries(same.kernels)
      .filter(([, one]) => one.global_sectors > 0)
      .map(([kernel, one]) => [
        kernel,
        {
          part: one.global_sectors / same.total.global_sectors,
          use: Math.min(1, one.global_bytes / (SECTOR * one.global_sectors)),
          instructionsPerByte: one.warp_instructions / same.bytes,
        },
      ]),
  );
}

export function predictCases(
  gpu: Gpu,
  kernels: readonly KernelFacts[],
  counted: readonly CountedCase[],
  sm = gpu.sm,
): { item: PlannedCase; prediction: Prediction }[] {
  const planned = cudaBench([
    'plan',
    String(gpu.sm),
    String(gpu.multiprocessors),
    ...models,
  ]) as PlannedCase[];
  const loop = (entry: string) =>
    kernels.find((one) => one.entry === entry)?.targets.find((target) => target.sm === sm)?.loop ?? null;
  return planned.map((item) => ({
    item,
    prediction: predict(item, gpu, loop, streamedOf(counted, item)),
  }));
}

export function gatherReport(
  ptx: ReadonlyMap<string, string>,
  disassembler: Disassembler | null,
  coverage: Coverage | null,
): StaticReport {
  const kernels = gatherFacts(ptx, disassembler, coverage);
  const counted = countCases();
  const perGpu = gpus.map((gpu) => predictCases(gpu, kernels, counted));
  const groups = coverage === null ? null : unreached(ptx, coverage);
  return {
    ...{ disassembler, kernels, counted },
    cases: perGpu[0]!.map(({ item }, i) => ({ item, predictions: perGpu.map((all) => all[i]!.prediction) })),
    unreached: groups,
    faults: [...staticFaults(kernels, counted), ...(groups === null ? [] : coverageFaults(groups))],
  };
}

/** What a kernel may not do: spill, not fit twice where it asked to, or say nothing of its error. */
function staticFaults(kernels: readonly KernelFacts[], counted: readonly CountedCase[]): string[] {
  const faults: string[] = [];
  for (const { entry, targets, ran, error } of kernels) {
    for (const { sm, assembled, occupancy } of targets) {
      if (assembled.spills > 0)
        faults.push(`${entry}: ${assembled.spills} bytes of registers are spilled on sm_${sm}`);
      if (occupancy.blocks === 0) faults.push(`${entry}: does not fit on sm_${sm}: ${occupancy.limit}`);
    }
    if (ran !== null && error === null)
      faults.push(
        `${entry}: no sentence of the op tests speaks of its error; see bench/cuda-static/errors.ts`,
      );
  }
  const idle = kernels.filter(
    ({ entry, targets }) =>
      targets[0]!.loop !== null && !counted.some((one) => entry in one.kernels) && !isOtherShape(entry),
  );
  return [...faults, ...idle.map(({ entry }) => `${entry}: no bench case launches it`)];
}

/** Tensor-core kernels that the models of the bench do not need: other head sizes. */
function isOtherShape(entry: string): boolean {
  return /^attention_\w+_(16|32)$/.test(entry);
}

/** The most of its bound that a kernel can reach: of the tensor cores' peak, or of the bandwidth while it issues its instructions. */
export function upperShare(
  { entry, targets }: KernelFacts,
  gpu: Gpu,
  counted: readonly CountedCase[],
): { of: 'tensor' | 'bandwidth'; share: number; bound: string } | null {
  const loop = targets.find(({ sm }) => sm === gpu.sm)?.loop ?? null;
  if (loop !== null) return { of: 'tensor', share: loop.shareOfPeak, bound: loop.bound };
  const counters = counted.findLast(({ kernels }) => entry in kernels)?.kernels[entry];
  if (counters === undefined || counters.global_sectors === 0) return null;
  const memory = (SECTOR * counters.global_sectors) / gpu.bandwidth;
  const issue = counters.warp_instructions / (ISSUE_SLOTS * gpu.multiprocessors * gpu.clock);
  return { of: 'bandwidth', share: Math.min(1, memory / issue), bound: issue > memory ? 'issue' : 'memory' };
}
