/**
 * From YAML text and `key=value` overrides to a checked config. Every problem is reported at once, with file, line and column,
 * what was expected and found, and for an unknown key the nearest known one. What the text extends lies below it (layers.ts).
 */
import { parseDocument, stringify } from 'yaml';
import type { z } from 'zod';
import { type Config, configSchema } from './config.ts';
import { configConflicts } from './conflicts.ts';
import { configError, extendsKey, isSection, mergedValues, parseLayers, placeOf } from './layers.ts';
import { explainProblems } from './problems.ts';

export { nearestName } from './problems.ts';

/**
 * Parse and check a config. `source` names it in messages (a file name; what it extends by path is looked for beside it);
 * `overrides` are `a.b=value`, values in YAML. With `ownTasks` it need not say where questions come from: the caller gives
 * tasks to `train`. Throws ToolgradError ERR_CONFIG.
 */
export function parseConfig(
  text: string,
  source: string,
  overrides: readonly string[] = [],
  options: { readonly ownTasks?: boolean } = {},
): Config {
  return parseSettings(configSchema, text, source, overrides, (config) =>
    configConflicts(config, options.ownTasks),
  );
}

/** A combination of values that cannot work. */
export interface Conflict {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** As `parseConfig`, for the settings that any schema describes. */
export function parseSettings<S extends z.ZodType>(
  schema: S,
  text: string,
  source: string,
  overrides: readonly string[],
  conflictsOf: (value: z.output<S>) => readonly Conflict[],
): z.output<S> {
  const layers = parseLayers(text, source);
  const values = mergedValues(layers);
  const overridden = new Set<string>();
  for (const override of overrides) applyOverride(values, override, overridden);

  const where = (path: readonly PropertyKey[], ofKey: boolean): string => {
    const name = path.join('.');
    const argument = [...overridden].find((key) => name === key || name.startsWith(`${key}.`));
    if (argument !== undefined) return `argument ${argument}`;
    const place = placeOf(layers, path, ofKey);
    if (place !== null) return place;
    const inside = [...overridden].find((key) => key.startsWith(`${name}.`));
    return inside === undefined ? source : `argument ${inside}`;
  };
  const parsed = schema.safeParse(values);
  if (!parsed.success) {
    const problems = explainProblems(schema, parsed.error, values, where, [extendsKey]);
    throw configError(problems.join('\n'));
  }
  const conflicts = conflictsOf(parsed.data);
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

function applyOverride(values: Record<string, unknown>, override: string, overridden: Set<string>): void {
  const equals = override.indexOf('=');
  const path = override.slice(0, equals).split('.');
  if (equals < 1 || path.some((part) => part === '')) {
    throw configError(`argument ${JSON.stringify(override)}: expected key=value, for example rl.steps=20`);
  }
  if (path[0] === extendsKey) {
    throw configError(`argument ${override}: extends belongs into a config file: write one that extends it`);
  }
  const value = parseDocument(override.slice(equals + 1));
  if (value.errors.length > 0) throw configError(`argument ${override}: ${value.errors[0]!.message}`);
  let section = values;
  for (const [depth, key] of path.slice(0, -1).entries()) {
    const inner = Object.hasOwn(section, key) ? section[key] : undefined;
    if (inner !== undefined && !isSection(inner)) {
      throw configError(`argument ${override}: ${path.slice(0, depth + 1).join('.')} is not a section`);
    }
    // A copy: layers may share a section through a YAML alias.
    section[key] = { ...inner };
    section = section[key] as Record<string, unknown>;
  }
  section[path.at(-1)!] = value.toJS();
  overridden.add(path.join('.'));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
