/**
 * YAML texts one upon another: a config and, with `extends`, the preset or file below it, which may extend another. The upper
 * layer wins key by key; lists and scalars are replaced whole. Every value keeps its place: file, line and column.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { errorMessage, ToolgradError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { nearestName } from './problems.ts';

/** The config cannot be used: ERR_CONFIG; `message` lists every problem, a line each. */
export function configError(message: string): ToolgradError {
  return new ToolgradError('ERR_CONFIG', message);
}

/** One YAML text with keys and values. */
export interface Layer {
  /** Names it in messages: a file name. */
  readonly source: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** The key that names what lies below; in no resolved config. */
export const extendsKey = 'extends';

const presetFolder = join(packageRoot, 'presets');

/** Names of the packaged presets. */
export function presetNames(): string[] {
  return readdirSync(presetFolder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/** Parse one text. Throws ERR_CONFIG for YAML that cannot be read and for anything but keys and values. */
export function parseLayer(text: string, source: string): Layer {
  const lines = new LineCounter();
  const document: Document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    throw configError(document.errors.map((error) => `${source}: ${error.message}`).join('\n'));
  }
  if (document.contents === null) document.contents = document.createNode({}) as Document['contents'];
  if (!isMap(document.contents)) {
    throw configError(`${source}: expected keys and values, found ${kindOf(document.contents)}`);
  }
  return { source, document, lines };
}

/**
 * `text` and all that it extends, the uppermost first, each without its `extends`. A name is a packaged preset, anything else
 * (it has a slash or ends in .yaml or .yml) a path relative to the file that names it. Throws ERR_CONFIG with line and column
 * for a name that is none, a file that cannot be read, and files that extend each other in a circle.
 */
export function parseLayers(text: string, source: string): Layer[] {
  const layers: Layer[] = [];
  const chain = new Map<string, string>([[resolve(source), source]]);
  for (let next: { text: string; source: string } | null = { text, source }; next !== null; ) {
    const layer = parseLayer(next.text, next.source);
    layers.push(layer);
    const place = placeIn(layer, [extendsKey], false) ?? layer.source;
    const base = layer.document.get(extendsKey);
    if (!layer.document.has(extendsKey)) break;
    layer.document.delete(extendsKey);
    const file = baseFile(base, layer.source, place);
    if (chain.has(resolve(file))) {
      const circle = [...chain.values()];
      const from = circle.slice([...chain.keys()].indexOf(resolve(file)));
      throw configError(
        `${place}: extends: files extend each other in a circle: ${[...from, file].join(' -> ')}`,
      );
    }
    chain.set(resolve(file), file);
    try {
      next = { text: readFileSync(file, 'utf8'), source: file };
    } catch (cause) {
      throw configError(`${place}: extends: cannot read ${file}: ${errorMessage(cause)}`);
    }
  }
  return layers;
}

/** The file that `base`, the value of extends in `source`, names; as one would type it here. */
function baseFile(base: unknown, source: string, place: string): string {
  if (typeof base !== 'string' || base === '') {
    throw configError(
      `${place}: extends: expected the name of a preset or a path, found ${JSON.stringify(base ?? null)}`,
    );
  }
  if (/[/\\]|\.ya?ml$/.test(base)) return typed(resolve(dirname(source), base));
  const known = presetNames();
  if (known.includes(base)) return typed(join(presetFolder, `${base}.yaml`));
  const nearest = nearestName(base, known);
  throw configError(
    `${place}: extends: unknown preset ${JSON.stringify(base)}; ${
      nearest === null ? `there are ${known.join(', ')}` : `did you mean ${nearest}?`
    } (a file is given by a path that ends in .yaml)`,
  );
}

function typed(path: string): string {
  const below = relative(process.cwd(), path);
  return below.startsWith('..') ? path : below;
}

/** The layers as one value, the first one uppermost. */
export function mergedValues(layers: readonly Layer[]): Record<string, unknown> {
  return layers.reduceRight<Record<string, unknown>>(
    (below, { document }) => merge(below, document.toJS()) as Record<string, unknown>,
    {},
  );
}

function merge(below: unknown, above: unknown): unknown {
  if (!isSection(below) || !isSection(above)) return above;
  const merged = { ...below };
  for (const [key, value] of Object.entries(above)) merged[key] = merge(below[key], value);
  return merged;
}

export function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Where the value (or key) at `path` stands: in the uppermost layer that has it, else where its section does. */
export function placeOf(
  layers: readonly Layer[],
  path: readonly PropertyKey[],
  ofKey: boolean,
): string | null {
  for (let depth = path.length; depth > 0; depth--) {
    for (const layer of layers) {
      const place = placeIn(layer, path.slice(0, depth), ofKey && depth === path.length);
      if (place !== null) return place;
    }
  }
  return null;
}

function placeIn(
  { source, document, lines }: Layer,
  path: readonly PropertyKey[],
  ofKey: boolean,
): string | null {
  const range = rangeOf(document, path, ofKey);
  if (range === null) return null;
  const { line, col } = lines.linePos(range);
  return `${source}:${line}:${col}`;
}

/** Offset of the value (or the key) at `path`; null when the text does not have it. */
function rangeOf(document: Document, path: readonly PropertyKey[], ofKey: boolean): number | null {
  const parent = document.getIn(path.slice(0, -1), true) ?? document.contents;
  const key = path.at(-1);
  if (!isMap(parent)) {
    const node = document.getIn([...path], true) as Node | undefined;
    return node?.range?.[0] ?? null;
  }
  const pair = parent.items.find((item) => (isScalar(item.key) ? item.key.value : item.key) === key);
  const node = (ofKey ? pair?.key : pair?.value) as Node | null | undefined;
  return node?.range?.[0] ?? null;
}

function kindOf(node: unknown): string {
  return isScalar(node) ? `the value ${JSON.stringify(node.value)}` : 'a list';
}
