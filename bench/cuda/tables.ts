/** What `--cuda` found, as Markdown. */
import type { CountedCase } from '../cuda-static/counted.ts';
import { requestedOverMinimum } from '../cuda-static/counted.ts';
import type { PlannedCase, Prediction } from '../cuda-static/roofline.ts';
import { microseconds, percent, table } from '../cuda-static/tables.ts';

export interface TimedCase extends Omit<PlannedCase, 'launches'> {
  readonly skipped?: string;
  readonly runs?: number;
  /** Seconds. */
  readonly median?: number;
  readonly best?: number;
  readonly worst?: number;
  /** Median of the same product by cublasLt, the rows of the weight made from panels included. */
  readonly cublaslt?: number;
}

export interface Measured {
  readonly item: TimedCase;
  readonly prediction: Prediction;
  readonly peak: number;
  readonly bandwidth: number;
}

function cells({ item, prediction, peak, bandwidth }: Measured): string[] {
  const { fast, slow, bound, roofline } = prediction;
  const name = [`${item.model}: ${item.op}, ${item.phase}`, item.size];
  const predicted = `${microseconds(fast)} – ${microseconds(slow)}, ${bound}`;
  if (item.median === undefined)
    return [...name, predicted, `not measured: ${item.skipped ?? 'no reason given'}`, '', '', '', ''];
  const compute = item.flops / peak > item.bytes / bandwidth;
  return [
    ...[...name, predicted, `${microseconds(item.median)} (${item.runs})`],
    `${microseconds(item.best ?? item.median)} – ${microseconds(item.worst ?? item.median)}`,
    (item.median / Math.sqrt(fast * slow)).toFixed(2),
    `${percent(roofline / item.median)} of ${compute ? 'tensor peak' : 'bandwidth'}`,
    item.cublaslt === undefined
      ? ''
      : `${microseconds(item.cublaslt)} (${(item.median / item.cublaslt).toFixed(2)})`,
  ];
}

export function measuredTable(measured: readonly Measured[]): string {
  const left = measured.filter(({ item }) => item.median === undefined).length;
  return [
    table(
      [
        'op',
        'size',
        '*predicted*, µs',
        'measured median, µs (runs)',
        'best – worst',
        'measured / predicted',
        'roofline share',
        'cublasLt, µs (ours / its)',
      ],
      measured.map(cells),
      2,
    ),
    `${measured.length - left} of ${measured.length} cases were measured: median of runs between two events, the L2 cache overwritten before each. The ratio is to the middle of the interval. Above 1 in the last column cublasLt is faster, the making of rows from panels included (model.cublaslt, docs/cuda.md); it is empty where the library was not found or does not take the product.`,
  ].join('\n\n');
}

/** The same cases on the simulated device. */
export function countedTable(counted: readonly CountedCase[]): string {
  return table(
    ['op', 'size', 'warp instructions', 'mma', 'requested / minimum bytes', 'time'],
    counted.map((item) => [
      ...[
        `${item.op}, ${item.phase}`,
        item.size,
        String(item.total.warp_instructions),
        String(item.total.mma || ''),
      ],
      ...[requestedOverMinimum(item).toFixed(2), 'simulated, no time'],
    ]),
    2,
  );
}
