/** The rows that pool_bench prints, one JSON object a line. */
import { table } from '../peers/tables.ts';
import { count } from '../report.ts';

export interface PoolRow {
  readonly part: string;
  readonly what: string;
  readonly unit: string;
  readonly p10: number;
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
}

export function readPoolRows(output: string): PoolRow[] {
  const lines = output.split('\n').filter((line) => line !== '');
  if (lines.length === 0) throw new Error('expected rows of pool_bench but it printed none');
  return lines.map((line) => JSON.parse(line) as PoolRow);
}

/** One table; `part` stands before the rows that belong to it. */
export function poolTable(rows: readonly PoolRow[]): string {
  return table(
    ['', 'what', 'unit', 'median', 'p10 – p90', 'p99'],
    rows.map(({ part, what, unit, median, p10, p90, p99 }, i) => [
      part === rows[i - 1]?.part ? '' : part,
      what,
      unit,
      count(median),
      `${count(p10)} – ${count(p90)}`,
      count(p99),
    ]),
  );
}
