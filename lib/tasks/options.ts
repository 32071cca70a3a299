/**
 * Options of procedural tasks: ranges of integers (both ends inclusive) and lists of kinds, checked once when a task is
 * made. An unknown key, a range outside its limits or an unknown kind is an error that names what is allowed.
 */

/** An inclusive range of integers. */
export type Range = readonly [low: number, high: number];

/** A task option: a range, or the kinds of question to ask. */
export type Option = Range | readonly string[];

/** What a task accepts for one option. */
export type OptionRule =
  | { readonly range: Range; readonly limits: Range }
  | { readonly kinds: readonly string[]; readonly default?: readonly string[] };

/** The options a rule set stands for. */
export type OptionsOf<R extends Record<string, OptionRule>> = {
  [K in keyof R]: R[K] extends { kinds: readonly (infer S extends string)[] } ? readonly S[] : Range;
};

/** The options a user may give: any subset, plus another name for the task. */
export type Given<R extends Record<string, OptionRule>> = Partial<OptionsOf<R>> & { readonly name?: string };

function isRange(value: unknown): value is Range {
  return Array.isArray(value) && value.length === 2 && value.every((end) => Number.isSafeInteger(end));
}

/** Fills in defaults and checks every option; throws TypeError or RangeError naming the task and the option. */
export function resolveOptions<const R extends Record<string, OptionRule>>(
  task: string,
  rules: R,
  given: Given<R>,
): OptionsOf<R> {
  for (const key of Object.keys(given)) {
    if (key !== 'name' && !Object.hasOwn(rules, key)) {
      throw new TypeError(
        `task ${task}: unknown option ${JSON.stringify(key)}; it has ${['name', ...Object.keys(rules)].join(', ')}`,
      );
    }
  }
  const resolved: Record<string, Option> = {};
  for (const [key, rule] of Object.entries(rules)) {
    const value: unknown = (given as Record<string, unknown>)[key];
    if ('kinds' in rule) {
      resolved[key] = resolveKinds(task, key, rule.kinds, value ?? rule.default ?? rule.kinds);
    } else {
      resolved[key] = resolveRange(task, key, rule.limits, value ?? rule.range);
    }
  }
  return resolved as OptionsOf<R>;
}

function resolveRange(task: string, key: string, limits: Range, value: unknown): Range {
  if (!isRange(value)) {
    throw new TypeError(
      `task ${task}: expected ${key} to be [low, high] with integers, found ${JSON.stringify(value)}`,
    );
  }
  const [low, high] = value;
  if (low > high || low < limits[0] || high > limits[1]) {
    throw new RangeError(
      `task ${task}: expected ${limits[0]} <= low <= high <= ${limits[1]} for ${key}, found [${low}, ${high}]`,
    );
  }
  return [low, high];
}

function resolveKinds(
  task: string,
  key: string,
  kinds: readonly string[],
  value: unknown,
): readonly string[] {
  const valid =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((kind) => typeof kind === 'string' && kinds.includes(kind));
  if (!valid) {
    throw new TypeError(
      `task ${task}: expected ${key} to be a non-empty list of ${kinds.join(', ')}, found ${JSON.stringify(value)}`,
    );
  }
  return value as readonly string[];
}
