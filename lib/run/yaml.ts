/**
 * From YAML text and `key=value` overrides to a checked config. Every problem is reported at once, with line and column,
 * what was expected and found, and for an unknown key the nearest known one.
 */
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument, stringify } from 'yaml';
import { z } from 'zod';
import { ToolgradError } from '../errors.ts';
import { type Config, configSchema } from './config.ts';
import { configConflicts } from './conflicts.ts';

/** The config cannot be used: ERR_CONFIG; `message` lists every problem, a line each. */
function configError(message: string): ToolgradError {
  return new ToolgradError('ERR_CONFIG', message);
}

/**
 * Parse and check a config. `source` names it in messages (a file name); `overrides` are `a.b=value`, values in YAML. With
 * `ownTasks` it need not say where questions come from: the caller gives tasks to `train`. Throws ToolgradError ERR_CONFIG.
 */
export function parseConfig(
  text: string,
  source: string,
  overrides: readonly string[] = [],
  options: { readonly ownTasks?: boolean } = {},
): Config {
  const lines = new LineCounter();
  const document: Document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  if (document.errors.length > 0) {
    throw configError(document.errors.map((error) => `${source}: ${error.message}`).join('\n'));
  }
  if (document.contents === null) document.contents = document.createNode({}) as Document['contents'];
  if (!isMap(document.contents))
    throw configError(`${source}: expected keys and values, found ${kindOf(document.contents)}`);
  const overridden = new Set<string>();
  for (const override of overrides) applyOverride(document, override, overridden);

  const where = (path: readonly PropertyKey[], ofKey: boolean): string => {
    const name = path.join('.');
    const argument = [...overridden].find((key) => name === key || name.startsWith(`${key}.`));
    if (argument !== undefined) return `argument ${argument}`;
    for (let depth = path.length; depth > 0; depth--) {
      const range = rangeOf(document, path.slice(0, depth), ofKey && depth === path.length);
      if (range === null) continue;
      const { line, col } = lines.linePos(range);
      return `${source}:${line}:${col}`;
    }
    const inside = [...overridden].find((key) => key.startsWith(`${name}.`));
    return inside === undefined ? source : `argument ${inside}`;
  };
  const parsed = configSchema.safeParse(document.toJS());
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => explain(issue, document.toJS(), where));
    throw configError(problems.join('\n'));
  }
  const conflicts = configConflicts(parsed.data, options.ownTasks);
  if (conflicts.length > 0) {
    throw configError(
      conflicts.map(({ path, message }) => `${where(path, false)}: ${path.join('.')}: ${message}`).join('\n'),
    );
  }
  return deepFreeze(parsed.data);
}

/** The config as YAML, every key written out. */
export function formatConfig(config: Config): string {
  return stringify(config);
}

function applyOverride(document: Document, override: string, overridden: Set<string>): void {
  const equals = override.indexOf('=');
  const path = override.slice(0, equals).split('.');
  if (equals < 1 || path.some((part) => part === '')) {
    throw configError(`argument ${JSON.stringify(override)}: expected key=value, for example rl.steps=20`);
  }
  const value = parseDocument(override.slice(equals + 1));
  if (value.errors.length > 0) throw configError(`argument ${override}: ${value.errors[0]!.message}`);
  for (let depth = 1; depth < path.length; depth++) {
    const parent = document.getIn(path.slice(0, depth));
    if (parent !== undefined && !isMap(parent)) {
      throw configError(`argument ${override}: ${path.slice(0, depth).join('.')} is not a section`);
    }
  }
  document.setIn(path, value.toJS());
  overridden.add(path.join('.'));
}

function explain(
  issue: z.core.$ZodIssue,
  input: unknown,
  where: (path: readonly PropertyKey[], ofKey: boolean) => string,
): string[] {
  const path = issue.path;
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(path);
    return issue.keys.map((key) => {
      const full = [...path, key];
      const nearest = nearestName(key, known);
      const hint =
        nearest === null
          ? `known keys here: ${known.join(', ')}`
          : `did you mean ${[...path, nearest].join('.')}?`;
      return `${where(full, true)}: ${full.join('.')}: unknown key; ${hint}`;
    });
  }
  const found = path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  );
  if (found === undefined) return [`${where(path, false)}: ${path.join('.')}: required, but not given`];
  return [`${where(path, false)}: ${path.join('.')}: ${expectation(issue)}, found ${JSON.stringify(found)}`];
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${issue.expected}`;
    case 'invalid_value':
      return `expected one of ${issue.values.join(', ')}`;
    case 'too_small':
      return `expected ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return `expected ${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** Keys of the section at `path` in the schema. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: z.ZodType = configSchema;
  for (const key of path) {
    while (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault)
      schema = schema.unwrap() as z.ZodType;
    if (!(schema instanceof z.ZodObject)) return [];
    schema = schema.shape[key as string] as z.ZodType;
  }
  while (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault)
    schema = schema.unwrap() as z.ZodType;
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The known name with the smallest edit distance, when it is close enough to be a slip; else null. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 2)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
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

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
