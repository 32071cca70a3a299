/** What the comparison found, as Markdown tables. Every ratio is ours over the peer in speed: above 1 we were faster. */
import type { WeightDtype } from '../../lib/model/engine.ts';
import { quantile, type Summary, summarise } from '../measure.ts';
import { count, time } from '../report.ts';
import type { ComparedProduct, TimedProduct } from './gemm.ts';
import { bestPeer, geometricMean, ratioOf, type Timed } from './interleave.ts';
import { type ComparedWork, shortName } from './work.ts';

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

/** One of ours and the peers that it is held against: those of its own type and, with bf16, those of fp32, too. */
interface Comparison {
  readonly ours: TimedProduct;
  readonly peers: readonly TimedProduct[];
  readonly dtype: WeightDtype;
}

function comparisonsOf({ timed }: ComparedProduct): Comparison[] {
  // fp32 peers take weights as they are: what they lay out is in their time anyway.
  const fits = (one: TimedProduct, peer: TimedProduct) =>
    !peer.ours && (peer.dtype === 'float32' || peer.pack === one.pack);
  return timed
    .filter(({ ours }) => ours)
    .flatMap((ours) =>
      (ours.dtype === 'float32' ? (['float32'] as const) : (['bfloat16', 'float32'] as const))
        .map((dtype) => ({
          ...{ ours, dtype },
          peers: timed.filter((peer) => peer.dtype === dtype && fits(ours, peer)),
        }))
        .filter(({ peers }) => peers.length > 0),
    );
}

/** Of several comparisons: which stands in which column or row. */
const titleOf = ({ ours, dtype }: Comparison) => `${ours.label} / ${shortName(dtype)} peers`;

export function productTable(products: readonly ComparedProduct[]): string {
  const labels = [...labelsOf(products, true), ...labelsOf(products, false)];
  // With the packing counted: in the groups' table, which is narrow enough.
  const compared = unique(
    products.flatMap((product) =>
      comparisonsOf(product)
        .filter(({ ours }) => !ours.pack)
        .map(titleOf),
    ),
  );
  const rows = products.map((product) => {
    const { form, T, N, K, timed } = product;
    const rates = labels.map((label) => {
      const one = timed.find((each) => each.label === label);
      return one === undefined ? '' : ((2 * T * N * K) / median(one) / 1e9).toPrecision(3);
    });
    const comparisons = comparisonsOf(product);
    const ratios = compared.map((title) => {
      const one = comparisons.find((each) => titleOf(each) === title);
      const peer = one && bestPeer(one.peers);
      return one && peer ? `${ratioText(ratioOf(one.ours, peer))} ${peer.label}` : '';
    });
    return [`${form} ${extents(product)}`, ...rates, ...ratios];
  });
  return table(['GFLOP/s, median: M, N, K', ...labels, ...compared.map((title) => `${title}, best`)], rows);
}

/** Geometric means over a group's shapes of the median ratios; the least of them is of those over the best peer. */
export function groupTable(products: readonly ComparedProduct[]): string {
  const peers = labelsOf(products, false);
  const rows = unique(products.map(({ group }) => group)).flatMap((group) => {
    const all = products.filter((product) => product.group === group).flatMap(comparisonsOf);
    return unique(all.map(titleOf)).map((title) => {
      const members = all.filter((one) => titleOf(one) === title);
      const overBest = members.map(({ ours, peers }) => ratioOf(ours, bestPeer(peers)!).median);
      const each = peers.map((label) => {
        const ratios = members.flatMap(({ ours, peers }) =>
          peers.filter((peer) => peer.label === label).map((peer) => ratioOf(ours, peer).median),
        );
        return ratios.length === 0 ? '' : geometricMean(ratios).toFixed(2);
      });
      const [mean, least] = [geometricMean(overBest), Math.min(...overBest)];
      return [`${group}: ${title}`, String(members.length), mean.toFixed(2), least.toFixed(2), ...each];
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
