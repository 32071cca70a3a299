/**
 * What a schema found wrong with a YAML text, as sentences: place, key, what was expected and found, and for an unknown key
 * the nearest known one. Knows nothing of any particular schema.
 */
import { z } from 'zod';

/** Says where the value (or, `ofKey`, the key) at a path stands. */
export type Where = (path: readonly PropertyKey[], ofKey: boolean) => string;

/** One line per problem. `extraKeys` are known at the top besides those of the schema. */
export function explainProblems(
  schema: z.ZodType,
  error: z.core.$ZodError,
  input: unknown,
  where: Where,
  extraKeys: readonly string[] = [],
): string[] {
  return error.issues.flatMap((issue) => explain(schema, issue, input, where, extraKeys));
}

function explain(
  schema: z.ZodType,
  issue: z.core.$ZodIssue,
  input: unknown,
  where: Where,
  extraKeys: readonly string[],
): string[] {
  const path = issue.path;
  if (issue.code === 'unrecognized_keys') {
    const known = [...knownKeys(schema, path), ...(path.length === 0 ? extraKeys : [])];
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
function knownKeys(root: z.ZodType, path: readonly PropertyKey[]): string[] {
  let schema = unwrapped(root);
  for (const key of path) {
    if (!(schema instanceof z.ZodObject)) return [];
    schema = unwrapped(schema.shape[key as string] as z.ZodType);
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function unwrapped(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault) inner = inner.unwrap() as z.ZodType;
  return inner;
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
