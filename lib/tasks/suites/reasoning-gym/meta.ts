/**
 * Reads what a verifier needs of a question's `meta`. A question whose meta lacks it comes from a broken file: that is an
 * error of the caller, unlike anything an answer may contain.
 */
import type { SuiteQuestion } from '../suite.ts';

/** Whether a value has the wanted form. */
export type Guard<T> = (value: unknown) => value is T;

export const isText: Guard<string> = (value) => typeof value === 'string';
export const isBoolean: Guard<boolean> = (value) => typeof value === 'boolean';
export const isInteger: Guard<number> = (value): value is number => Number.isInteger(value);

/** A guard for lists of what another guard accepts. */
export function isListOf<T>(item: Guard<T>): Guard<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every((member) => item(member));
}

/**
 * The value at a path of `meta` (`puzzle.target`). Throws TypeError where it is missing or not of the form that `wanted`
 * describes in words.
 */
export function metaValue<T>(question: SuiteQuestion, path: string, is: Guard<T>, wanted: string): T {
  let value: unknown = question.meta;
  for (const key of path.split('.')) {
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  }
  if (!is(value)) {
    const found = value === undefined ? 'nothing' : JSON.stringify(value)?.slice(0, 80);
    throw new TypeError(
      `question ${question.id}: expected meta.${path} to be ${wanted}, found ${found}; ` +
        'store the metadata keys that the task names in metaKeys',
    );
  }
  return value;
}
