/** What the bench found, as a Markdown table. A share is that of the peak that bounds the case: time at peak over median. */
import type { Case } from './case.ts';
import type { Machine, Peaks } from './machine.ts';
import type { Summary } from './measure.ts';

/** One line of the table. `rate` is absent where operations and bytes are not known. */
export interface Result extends Summary {
  readonly name: string;
  readonly size: string;
  readonly bound: 'compute' | 'memory' | null;
  /** Operations or bytes per second. */
  readonly rate: number | null;
  readonly share: number | null;
  readonly tokensPerSecond: number | null;
}

/** Whichever peak the case would reach last bounds it. */
export function toResult(item: Case, summary: Summary, peaks: Peaks): Result {
  const most = item.products === 'bfloat16' ? peaks.bf16Flops : peaks.flops;
  const [compute, memory] = [item.flops / most, item.bytes / peaks.read];
  const bound = compute >= memory ? 'compute' : 'memory';
  return {
    name: item.name,
    size: item.size,
    ...summary,
    bound,
    rate: (bound === 'compute' ? item.flops : item.bytes) / summary.median,
    share: Math.max(compute, memory) / summary.median,
    tokensPerSecond: item.tokens === undefined ? null : item.tokens / summary.median,
  };
}

/** Seconds with three digits and the unit that suits them. */
export function time(seconds: number): string {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  if (seconds >= 1e-3) return `${(1e3 * seconds).toPrecision(3)} ms`;
  return `${(1e6 * seconds).toPrecision(3)} µs`;
}

const giga = (rate: number) => (rate / 1e9 >= 100 ? (rate / 1e9).toFixed(0) : (rate / 1e9).toPrecision(3));

/** A rate or a count with the digits that mean something. */
export function count(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function cells(result: Result): string[] {
  const { name, size, runs, median, p10, p90, rate, bound, share, tokensPerSecond } = result;
  return [
    name,
    size,
    String(runs),
    time(median),
    `${time(p10)} – ${time(p90)}`,
    rate === null ? '' : `${giga(rate)} ${bound === 'compute' ? 'GFLOP/s' : 'GB/s'}`,
    share === null ? '' : `${(100 * share).toFixed(0)} %`,
    tokensPerSecond === null ? '' : `${count(tokensPerSecond)} tok/s`,
  ];
}

const header = ['what', 'size', 'runs', 'median', 'p10 – p90', 'rate', 'of peak', 'tokens'];

/** The results as a Markdown table, its columns aligned for reading as plain text. */
export function markdown(results: readonly Result[]): string {
  const rows = [header, ...results.map(cells)];
  const widths = header.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [
    line(rows[0]!),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...rows.slice(1).map(line),
  ].join('\n');
}

const all = ({ flops, bf16Flops, read }: Peaks) =>
  `${giga(flops)} GFLOP/s (bfloat16 products ${giga(bf16Flops)}), ${giga(read)} GB/s read`;

export function machineLines(machine: Machine): string {
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  return [
    `toolgrad ${machine.toolgrad}${machine.commit === null ? '' : ` (${machine.commit.slice(0, 12)})`}, ${machine.date}`,
    `machine: ${machine.cpu}, ${machine.cores} cores, ${mib(machine.memoryBytes)} memory, last-level cache ${mib(machine.cacheBytes)}`,
    `kernels: ${machine.isa}, ${machine.threads} threads; Node ${machine.node}, ${machine.system}`,
    ...(machine.load > machine.cores / 4
      ? [
          `NOTE: others used the machine (load ${machine.load.toFixed(1)}); medians are too slow, peaks may be too low`,
        ]
      : []),
    `peak, measured now: 1 thread ${all(machine.single)}; ${machine.threads} threads ${all(machine.peaks)}`,
  ].join('\n');
}
