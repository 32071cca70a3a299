/** The static report as Markdown. */
import { type CountedCase, mmaOverMinimum, requestedOverMinimum, sectorUse } from './counted.ts';
import type { KernelFacts } from './facts.ts';
import { architectures, gpus } from './gpus.ts';
import { classes, type Mix } from './mix.ts';
import { type StaticReport, upperShare } from './report.ts';
import type { Prediction } from './roofline.ts';

type Row = readonly string[];

/** `left`: how many columns are text. */
export function table(header: Row, rows: readonly Row[], left = 1): string {
  const line = (cells: Row) => `| ${cells.join(' | ')} |`;
  const rule = `|${header.map((_, i) => (i < left ? '---' : '--:')).join('|')}|`;
  return [line(header), rule, ...rows.map(line)].join('\n');
}

export const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
const ratio = (value: number | null) => (value === null ? '' : value.toFixed(2));

/** 1234 -> "1.23 k". */
function short(value: number): string {
  for (const [unit, name] of [
    ...([
      [1e12, 'T'],
      [1e9, 'G'],
      [1e6, 'M'],
      [1e3, 'k'],
    ] as const),
  ]) {
    if (value >= unit) return `${(value / unit).toPrecision(3)} ${name}`;
  }
  return value === 0 ? '' : value.toPrecision(3);
}

export function microseconds(seconds: number): string {
  const value = 1e6 * seconds;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2);
}

const targetsText = architectures.map(({ sm }) => sm).join(' / ');
const over = (kernel: KernelFacts, value: (target: KernelFacts['targets'][number]) => string | number) =>
  kernel.targets.map(value).join(' / ');

export function kernelTable({ kernels, counted }: StaticReport): string {
  return table(
    [
      ...['kernel', 'file, lines', `registers on sm_${targetsText}`, 'spills', 'PTX lines run'],
      ...['worst error against float64', 'conflict factor', ...gpus.map(({ name }) => `${name} *predicted*`)],
    ],
    kernels.map((kernel) => [
      kernel.entry,
      `${kernel.module}.cu, ${kernel.sourceLines}`,
      over(kernel, ({ assembled }) => assembled.registers),
      String(kernel.targets.reduce((sum, { assembled }) => sum + assembled.spills, 0)),
      kernel.ran === null ? '' : `${kernel.ran}/${kernel.lines}`,
      kernel.error ?? '',
      ratio(kernel.conflicts),
      ...gpus.map((gpu) => {
        const upper = upperShare(kernel, gpu, counted);
        return upper === null
          ? ''
          : `${upper.of === 'tensor' ? 'T' : 'B'} ${percent(upper.share)}, ${upper.bound}`;
      }),
    ]),
    2,
  );
}

export function occupancyTable({ kernels }: StaticReport): string {
  return table(
    [
      'kernel',
      'threads',
      'shared: static + dynamic',
      `blocks a multiprocessor on sm_${targetsText}`,
      'warps, %',
      'limit',
    ],
    kernels.map((kernel) => [
      kernel.entry,
      String(kernel.threads),
      `${kernel.targets[0]!.assembled.shared} + ${kernel.shared}`,
      over(kernel, ({ occupancy }) => occupancy.blocks),
      over(kernel, ({ occupancy }) => (100 * occupancy.share).toFixed(0)),
      [...new Set(kernel.targets.map(({ occupancy }) => occupancy.limit))].join(', '),
    ]),
  );
}

const counts = (mix: Mix) => classes.map((kind) => (mix.counts[kind] === 0 ? '' : String(mix.counts[kind])));

/** The loops on the tensor cores, with the pipes of the three GPUs. */
export function pipeTable({ kernels }: StaticReport): string {
  const rows = kernels.flatMap(({ entry, targets }) =>
    gpus.flatMap((gpu) => {
      const loop = targets.find(({ sm }) => sm === gpu.sm)?.loop;
      if (loop === null || loop === undefined) return [];
      const { clocks } = loop;
      const cell = (value: number | undefined) => (value === undefined ? '' : value.toFixed(0));
      return [
        [
          ...[
            entry,
            gpu.name,
            cell(clocks.issue),
            cell(clocks.tensor),
            cell(clocks.special),
            cell(clocks.shared),
          ],
          ...[cell(clocks.fma), cell(clocks.alu), loop.bound, percent(loop.shareOfPeak)],
        ],
      ];
    }),
  );
  const header = [
    'loop of',
    'GPU',
    'issue',
    'tensor',
    'special',
    'shared',
    'FMA',
    'ALU',
    'bound',
    'of peak, *predicted* at most',
  ];
  return table(header, rows, 2);
}

/** The instructions of every innermost loop on sm_80. */
export function loopTable({ kernels }: StaticReport): string {
  const rows = kernels.flatMap(({ entry, targets }) =>
    targets[0]!.inner.map((mix, i) => [
      ...[`${entry} ${i + 1}`, String(mix.issue), ...counts(mix)],
      ...[String(mix.sharedBytes || ''), String(mix.globalBytes || '')],
    ]),
  );
  return table(['loop', 'issue', ...classes, 'shared bytes', 'global bytes'], rows);
}

export function bytesTable(counted: readonly CountedCase[]): string {
  const rows = counted.map((item) => [
    ...[`${item.op}, ${item.phase}`, item.size, short(item.bytes), ratio(item.moved / item.bytes)],
    ...[ratio(requestedOverMinimum(item)), percent(sectorUse(item)), ratio(mmaOverMinimum(item))],
    item.total.shared_requests === 0 ? '' : ratio(item.total.shared_wavefronts / item.total.shared_requests),
  ]);
  return table(
    [
      ...['op', 'size', 'minimum bytes', 'design / minimum', 'requested / minimum', 'used of sectors'],
      ...['mma / minimum', 'conflict factor'],
    ],
    rows,
    2,
  );
}

const interval = ({ fast, slow, bound }: Prediction) =>
  `${microseconds(fast)} – ${microseconds(slow)}, ${bound}`;

export function rooflineTable({ cases }: StaticReport): string {
  const rows = cases.map(({ item, predictions }) => [
    ...[`${item.model}: ${item.op}, ${item.phase}`, item.size, short(item.flops), short(item.bytes)],
    ...predictions.flatMap((prediction) => [microseconds(prediction.roofline), interval(prediction)]),
    '',
  ]);
  return table(
    [
      ...['op', 'size', 'flops', 'bytes'],
      ...gpus.flatMap(({ name }) => [`${name} roofline, µs`, `${name} *predicted*, µs`]),
      '*measured*',
    ],
    rows,
    2,
  );
}

export function unreachedTable({ unreached }: StaticReport): string {
  if (unreached === null)
    return 'Not recorded: `npm run bench -- --cuda-static --record` runs the tests first.';
  if (unreached.length === 0) return 'None.';
  return table(
    ['kernel', 'PTX lines', 'from', 'reason'],
    unreached.map(({ kernel, lines, file, text, reason }) => [
      ...[
        kernel,
        String(lines.length),
        `${file}${text === '' ? '' : `: \`${text.replaceAll('|', '\\|')}\``}`,
      ],
      reason ?? '**no reason is given**',
    ]),
  );
}
