/**
 * Typed access to the keys of a JSON object that may be wrong. Every complaint is a ToolgradError ERR_MODEL_CONFIG that names
 * the file, the key, what was expected and what was found.
 *
 * Only own properties are read, so `__proto__` and `constructor` in a file mean nothing. `null` counts as absent.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { errorCode, errorMessage, ToolgradError } from '../errors.ts';

/** An object read from `label` (a file, or a key in one). */
export interface Fields {
  readonly label: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** The error all readers throw: `label: message`. */
export function configError(label: string, message: string): ToolgradError {
  return new ToolgradError('ERR_MODEL_CONFIG', `${label}: ${message}`);
}

/** A value as a person would write it, cut to 60 characters. */
export function shown(value: unknown): string {
  const text = typeof value === 'bigint' ? `${value}` : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** Whether `value` is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON object in the file at `path`, which may have at most `maxBytes`; ERR_FILE_NOT_FOUND when there is none. */
export function readJsonObject(path: string, maxBytes: number): Record<string, unknown> {
  let bytes: Buffer;
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const { size } = fstatSync(file);
    if (size > maxBytes) throw configError(path, `expected at most ${maxBytes} bytes but found ${size}`);
    bytes = readFileSync(file);
  } catch (cause) {
    if (cause instanceof ToolgradError) throw cause;
    const code = errorCode(cause) === 'ENOENT' ? 'ERR_FILE_NOT_FOUND' : 'ERR_FILE_IO';
    throw new ToolgradError(code, `${path}: cannot read: ${errorMessage(cause)}`, { cause });
  } finally {
    if (file !== undefined) closeSync(file);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw configError(path, `expected valid JSON: ${errorMessage(cause)}`);
  }
  if (!isRecord(value)) throw configError(path, `expected a JSON object but found ${shown(value)}`);
  return value;
}

/** The value of `key`, undefined when absent or null. */
export function field(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields.values, key) ? (fields.values[key] ?? undefined) : undefined;
}

function missing(fields: Fields, key: string, what: string): ToolgradError {
  return configError(fields.label, `expected ${what} for "${key}" but it is missing`);
}

function unexpected(fields: Fields, key: string, what: string, value: unknown): ToolgradError {
  return configError(fields.label, `expected ${what} for "${key}" but found ${shown(value)}`);
}

/** An integer in [min, max]; `fallback` when absent, an error without one. */
export function integerField(
  fields: Fields,
  key: string,
  min: number,
  max: number,
  fallback?: number,
): number {
  const what = `an integer from ${min} to ${max}`;
  const value = field(fields, key);
  if (value === undefined) {
    if (fallback === undefined) throw missing(fields, key, what);
    return fallback;
  }
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    throw unexpected(fields, key, what, value);
  return value;
}

/** A finite number in [min, max]; `fallback` when absent, an error without one. */
export function numberField(
  fields: Fields,
  key: string,
  min: number,
  max: number,
  fallback?: number,
): number {
  const what = `a number from ${min} to ${max}`;
  const value = field(fields, key);
  if (value === undefined) {
    if (fallback === undefined) throw missing(fields, key, what);
    return fallback;
  }
  if (typeof value !== 'number' || !(value >= min && value <= max))
    throw unexpected(fields, key, what, value);
  return value;
}

/** true or false; `fallback` when absent. */
export function booleanField(fields: Fields, key: string, fallback: boolean): boolean {
  const value = field(fields, key) ?? fallback;
  if (typeof value !== 'boolean') throw unexpected(fields, key, 'true or false', value);
  return value;
}

/** One of `allowed`; undefined when absent. */
export function choiceField<T extends string>(
  fields: Fields,
  key: string,
  allowed: readonly T[],
): T | undefined {
  const value = field(fields, key);
  if (value === undefined) return undefined;
  const found = allowed.find((item) => item === value);
  if (found === undefined)
    throw unsupported(fields, key, value, allowed.map((item) => `"${item}"`).join(' or '));
  return found;
}

/** The object under `key` with a label of its own; undefined when absent. */
export function objectField(fields: Fields, key: string): Fields | undefined {
  const value = field(fields, key);
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw unexpected(fields, key, 'an object', value);
  return { label: `${fields.label}: ${key}`, values: value };
}

/** One token id, null when absent. */
export function tokenIdField(fields: Fields, key: string, vocabSize: number): number | null {
  const value = field(fields, key);
  if (value === undefined) return null;
  return integerField(fields, key, 0, vocabSize - 1);
}

/** One token id or a list of them, without repetition; undefined when absent. */
export function tokenIdsField(fields: Fields, key: string, vocabSize: number): number[] | undefined {
  const value = field(fields, key);
  if (value === undefined) return undefined;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  for (const id of ids) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocabSize)
      throw unexpected(fields, key, `token ids from 0 to ${vocabSize - 1}`, value);
  }
  return [...new Set(ids as number[])];
}

/** The error for a feature that is not there: `"key" is <value>, which is not supported; expected <expected>`. */
export function unsupported(fields: Fields, key: string, value: unknown, expected: string): ToolgradError {
  return configError(
    fields.label,
    `"${key}" is ${shown(value)}, which is not supported; expected ${expected}`,
  );
}
