/** What the comparison found, as Markdown tables. Every ratio is ours over the peer in speed: above 1 we were faster. */
import { quantile, type Summary, summarise } from '../measure.ts';
import { count, time } from '../report.ts';
import type { ComparedProduct } from './gemm.ts';
import { bestPeer, geometricMean, ratioOf, type Timed } from './interleave.ts';
import type { ComparedWork } from './work.ts';

export const table = (header: readonly string[], rows: readonly (readonly string[])[]) =>
  [header, header.map((_, i) => (i === 0 ? '---' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

export function ratioText({ median, p10, p90 }: Summary): string {
  return `${median.toFixed(2)} (${p10.toFixed(2)} – ${p90.toFixed(2)})`;
}

const median = (timed: Timed) => quantile(timed.seconds, 0.5);
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
const unique = (values: readonly string[]) => [...new Set(values)];
const labelsOf = (items: readonly { timed: readonly Timed[] }[], ours: boolean) =>
  unique(items.flatMap(({ timed }) => timed.filter((one) => one.ours === ours).map(({ label }) => label)));

/** M, N, K of the product itself: rows and columns of its result, and the terms of each element. */
export function extents({ form, T, N, K }: ComparedProduct): string {
  const [m, n, k] = form === 'forward' ? [T, N, K] : form === 'dX' ? [T, K, N] : [N, K, T];
  return `${m}, ${n}, ${k}`;
}

export function productTable(products: readonly ComparedProduct[]): string {
  const [ours, peers] = [labelsOf(products, true), labelsOf(products, false)];
  // With the packing counted: in the groups' table, which is narrow enough.
  const compared = peers.length === 0 ? [] : ours.filter((label) => !label.includes('packing'));
  const rows = products.map((product) => {
    const { form, T, N, K, timed } = product;
    const find = (label: string) => timed.find((one) => one.label === label);
    const rate = (label: string) => {
      const one = find(label);
      return one === undefined ? '' : ((2 * T * N * K) / median(one) / 1e9).toPrecision(3);
    };
    const peer = bestPeer(timed);
    const ratio = (label: string) => {
      const one = find(label);
      return one === undefined || peer === null ? '' : ratioText(ratioOf(one, peer));
    };
    return [`${form} ${extents(product)}`, ...ours.map(rate), ...peers.map(rate), ...compared.map(ratio)];
  });
  return table(
    ['GFLOP/s, median: M, N, K', ...ours, ...peers, ...compared.map((label) => `${label} / best`)],
    rows,
  );
}

/** Geometric means over a group's shapes of the median ratios; the least of them is of those over the best peer. */
export function groupTable(products: readonly ComparedProduct[]): string {
  const [ours, peers] = [labelsOf(products, true), labelsOf(products, false)];
  const rows = unique(products.map(({ group }) => group)).flatMap((group) => {
    const members = products.filter((product) => product.group === group);
    return ours.flatMap((label) => {
      const ratios = (peerOf: (timed: readonly Timed[]) => Timed | null | undefined) =>
        members.flatMap(({ timed }) => {
          const [one, peer] = [timed.find((each) => each.label === label), peerOf(timed)];
          return one === undefined || peer === null || peer === undefined ? [] : [ratioOf(one, peer).median];
        });
      const overBest = ratios(bestPeer);
      if (overBest.length === 0) return [];
      const mean = (values: readonly number[]) =>
        values.length === 0 ? '' : geometricMean(values).toFixed(2);
      const each = peers.map((name) => mean(ratios((timed) => timed.find((one) => one.label === name))));
      return [
        [
          ...[
            `${group}: ${label}`,
            String(overBest.length),
            mean(overBest),
            Math.min(...overBest).toFixed(2),
          ],
          ...each,
        ],
      ];
    });
  });
  const header = ['geometric mean of ours / peer', 'shapes', 'best of them', 'least', ...peers];
  return table(header, rows);
}

/** Most bytes that the process of each engine had resident over all of the products. */
export function memoryLine(products: readonly ComparedProduct[]): string {
  const peaks = new Map<string, number>();
  for (const { label, peak } of products.flatMap(({ timed }) => timed))
    peaks.set(label, Math.max(peaks.get(label) ?? 0, peak));
  return `Peak resident, numbers included: ${[...peaks].map(([label, bytes]) => `${label} ${gigabytes(bytes)}`).join(', ')}.`;
}

/** Models end to end: a row for each engine; a peer's has how ours stands to it, in speed and in memory. */
export function workTable(works: readonly ComparedWork[]): string {
  const labels = labelsOf(works, true);
  const rows = works.flatMap(({ name, tokens, timed }) => {
    const ours = labels.map((label) => timed.find((one) => one.label === label));
    return timed.map((one) => {
      const { median: middle, p10, p90 } = summarise(one.seconds);
      const each = (text: (mine: Timed) => string) =>
        ours.map((mine) => (one.ours || mine === undefined ? '' : text(mine)));
      return [
        ...[name, one.label, time(middle), `${time(p10)} – ${time(p90)}`, count(tokens / middle)],
        ...each((mine) => ratioText(ratioOf(mine, one))),
        ...[gigabytes(one.peak), ...each((mine) => (mine.peak / one.peak).toFixed(2))],
      ];
    });
  });
  return table(
    [
      ...['what', 'engine', 'median', 'p10 – p90', 'tok/s', ...labels.map((label) => `${label} / it`)],
      ...['peak resident', ...labels.map((label) => `memory, ${label} / it`)],
    ],
    rows,
  );
}

/** Above this many processors, peers that wait by spinning lose far more than their share. */
const DISTURBED = 0.15;

/** Whether the machine was quiet; null where the system does not tell, or it was. */
export function disturbance(timed: readonly Timed[]): string | null {
  const others = timed.flatMap((one) => (one.others === null ? [] : [one.others]));
  const disturbed = others.filter((value) => value > DISTURBED).length;
  if (disturbed === 0) return null;
  const worst = Math.max(...others).toFixed(2);
  return (
    `NOTE: during ${disturbed} of ${others.length} measurements others kept more than ${DISTURBED} processors busy (at most ${worst}): ` +
    'engines whose threads wait by spinning then lose far more than that share, so these ratios are not fair to them'
  );
}
