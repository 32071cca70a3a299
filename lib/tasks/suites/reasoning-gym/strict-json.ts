/**
 * JSON in answers, strictly: RFC 8259 as JSON.parse reads it, with bounded nesting and without repeated keys.
 *
 * JSON.parse keeps the last of two equal keys; an answer that says two things at once must not be judged by one of them.
 * Every key has exactly one colon outside strings, so a repeated key is a value with fewer keys than the text has colons.
 */

/** Nesting that answers of these tasks need, with some to spare. */
export const kDeepestJson = 8;

/** The number of keys of all objects in a value. */
function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const members: unknown[] = Object.values(value);
  return members.reduce<number>(
    (total, member) => total + countKeys(member),
    Array.isArray(value) ? 0 : members.length,
  );
}

/**
 * The value that a text denotes, or undefined where it is not JSON, is nested deeper than `deepest`, or repeats a key.
 * Objects have own properties only (`__proto__` is one like any other): read them with `Object.hasOwn`.
 */
export function parseStrictJson(text: string, deepest = kDeepestJson): unknown {
  let depth = 0;
  let colons = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i += 1;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === ':') colons += 1;
    else if (c === ']' || c === '}') depth -= 1;
    else if (c === '[' || c === '{') {
      depth += 1;
      if (depth > deepest) return undefined;
    }
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // A SyntaxError is the whole answer to "is it JSON".
  }
  return countKeys(value) === colons ? value : undefined;
}
