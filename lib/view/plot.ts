/**
 * Line plots as SVG text: axes with round ticks, lines with bands, a legend. Written by hand, so that a plot needs no dependency and
 * the same numbers give the same file.
 */

export interface PlotPoint {
  readonly x: number;
  readonly y: number;
  /** Bounds of the band around the line; both or neither. */
  readonly low?: number;
  readonly high?: number;
}

export interface Series {
  readonly name: string;
  /** In the order of x. */
  readonly points: readonly PlotPoint[];
}

export interface PlotOptions {
  readonly title: string;
  readonly xLabel: string;
  /** Under the title: what the line and the band are. */
  readonly note?: string;
  /** Values are shares: ticks in percent. */
  readonly percent?: boolean;
}

const kWidth = 720;
const kHeight = 400;
const kTop = 58;
const kBottom = 48;
const kLeft = 64;
/** Between two rows of the legend. */
const kRow = 20;
const kLegendWidth = 190;
/** The colours of Okabe and Ito, which colour-blind readers tell apart; dashes tell them apart in print. */
const kColours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
const kDashes = ['', '7 4', '2 3', '9 3 2 3'];

/** The plot as an SVG document. RangeError when no series has a finite point. */
export function linePlot(series: readonly Series[], options: PlotOptions): string {
  const shown = series.map(({ name, points }) => ({
    name,
    points: points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)),
  }));
  const points = shown.flatMap((one) => one.points);
  if (points.length === 0)
    throw new RangeError(`plot ${options.title}: expected at least one point, found none`);
  const xTicks = roundTicks(...extent(points.map(({ x }) => x)), 8);
  const values = points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]);
  const yTicks = roundTicks(...extent(values), 6);
  const right = kWidth - kLegendWidth;
  const bottom = kHeight - kBottom;
  const [xMin, xMax] = extent([...xTicks, ...points.map(({ x }) => x)]);
  const [yMin, yMax] = extent([...yTicks, ...values]);
  const px = (x: number) => fixed(kLeft + ((x - xMin) / (xMax - xMin)) * (right - kLeft));
  const py = (y: number) => fixed(bottom - ((y - yMin) / (yMax - yMin)) * (bottom - kTop));

  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${kWidth}" height="${kHeight}" viewBox="0 0 ${kWidth} ${kHeight}" ` +
      'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">',
    `<rect width="${kWidth}" height="${kHeight}" fill="#ffffff"/>`,
    text(kLeft, 24, options.title, 'font-size="15" font-weight="bold"'),
  ];
  if (options.note !== undefined) parts.push(text(kLeft, 42, options.note, 'fill="#555555" font-size="11"'));
  const yNames = tickLabels(yTicks, options.percent === true);
  for (const [i, tick] of yTicks.entries()) {
    parts.push(
      `<line x1="${kLeft}" y1="${py(tick)}" x2="${right}" y2="${py(tick)}" stroke="#e0e0e0"/>`,
      text(kLeft - 8, Number(py(tick)) + 4, yNames[i]!, 'text-anchor="end"'),
    );
  }
  const xNames = tickLabels(xTicks, false);
  for (const [i, tick] of xTicks.entries()) {
    parts.push(
      `<line x1="${px(tick)}" y1="${bottom}" x2="${px(tick)}" y2="${bottom + 5}" stroke="#333333"/>`,
      text(Number(px(tick)), bottom + 19, xNames[i]!, 'text-anchor="middle"'),
    );
  }
  parts.push(
    `<path d="M${kLeft} ${kTop}V${bottom}H${right}" fill="none" stroke="#333333"/>`,
    text((kLeft + right) / 2, kHeight - 8, options.xLabel, 'text-anchor="middle"'),
  );
  for (const [i, one] of shown.entries())
    parts.push(...band(one.points, kColours[i % kColours.length]!, px, py));
  for (const [i, one] of shown.entries()) {
    const stroke = strokeOf(i);
    const [first] = one.points;
    if (first !== undefined) {
      const line = one.points.map(({ x, y }) => `${px(x)} ${py(y)}`).join('L');
      parts.push(`<path d="M${line}" fill="none" ${stroke} stroke-width="2" stroke-linejoin="round"/>`);
      // A line of few points shows where they are.
      if (one.points.length <= 12) {
        for (const { x, y } of one.points) {
          parts.push(`<circle cx="${px(x)}" cy="${py(y)}" r="3" fill="${kColours[i % kColours.length]}"/>`);
        }
      }
    }
    const at = kTop + 8 + i * kRow;
    parts.push(
      `<path d="M${right + 16} ${at}h26" ${stroke} stroke-width="2"/>`,
      text(right + 48, at + 4, shorten(one.name, 20)),
    );
  }
  return `${parts.join('\n')}\n</svg>\n`;
}

/** Ticks at multiples of 1, 2 or 5 times a power of ten that cover low to high; about `count` of them. */
export function roundTicks(low: number, high: number, count: number): number[] {
  if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high && count >= 2)) {
    throw new RangeError(`ticks: expected finite low <= high and 2 or more, found ${low}, ${high}, ${count}`);
  }
  const span = high - low || Math.abs(high) || 1;
  const rough = span / (count - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * (1 - 1e-9))!;
  const step = factor * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  // Rounded to the step's own decimals, so that 3 * 0.1 is 0.3.
  const digits = decimals(step);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toFixed(digits)));
}

/** Decimals that a step of 1, 2 or 5 times a power of ten needs. */
function decimals(step: number): number {
  return Math.min(20, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

function tickLabels(ticks: readonly number[], percent: boolean): string[] {
  const factor = percent ? 100 : 1;
  const step = (ticks[1]! - ticks[0]!) * factor;
  const digits = decimals(step);
  return ticks.map((tick) => `${(tick * factor).toFixed(digits)}${percent ? '%' : ''}`);
}

function extent(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

function band(
  points: readonly PlotPoint[],
  colour: string,
  px: (x: number) => string,
  py: (y: number) => string,
): string[] {
  const wide = points.filter(({ low, high }) => low !== undefined && high !== undefined && low < high);
  if (wide.length === 0) return [];
  const upper = points.map(({ x, y, high }) => `${px(x)} ${py(high ?? y)}`);
  const lower = points.map(({ x, y, low }) => `${px(x)} ${py(low ?? y)}`).reverse();
  return [
    `<path d="M${[...upper, ...lower].join('L')}Z" fill="${colour}" fill-opacity="0.18" stroke="none"/>`,
  ];
}

function strokeOf(index: number): string {
  const dash = kDashes[Math.floor(index / kColours.length) % kDashes.length]!;
  const pattern = index > 0 && dash === '' ? kDashes[index % kDashes.length]! : dash;
  return `stroke="${kColours[index % kColours.length]}"${pattern === '' ? '' : ` stroke-dasharray="${pattern}"`}`;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    // Control characters are no XML.
    .replace(/\p{Cc}/gu, ' ');
  return `<text x="${fixed(x)}" y="${fixed(y)}"${attributes === '' ? '' : ` ${attributes}`}>${escaped}</text>`;
}

function shorten(name: string, most: number): string {
  const characters = [...name];
  return characters.length <= most ? name : `${characters.slice(0, most - 1).join('')}…`;
}

/** Hundredths of a pixel, without needless zeros. */
function fixed(value: number): string {
  return String(Number(value.toFixed(2)));
}
