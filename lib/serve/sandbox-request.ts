/**
 * The body of `POST /run_code`, checked: the fields of SandboxFusion's API, refusals in the shape that its framework gives them
 * (`{ detail: [{ type, loc, msg, input }] }`, status 422). Unknown fields are ignored, as there.
 * Invariant: what a caller asks for is lowered to the server's own limits; nothing raises them.
 */
import { bytesOfBase64, megabyte } from '../tools/fusion-api.ts';
import type { ToolRequest } from '../tools/tool.ts';

/** What a call may take at most, whatever it asks for. */
export interface SandboxLimits {
  /** Largest run_timeout; default 60. */
  readonly seconds: number;
  /** Largest memory_limit_MB, and what a call gets that names none; default 512 MiB. */
  readonly memoryBytes: number;
  /** Kept of each output stream; default 1 MiB. */
  readonly outputBytes: number;
  /** Largest file, and all files together; default 16 MiB. */
  readonly fileBytes: number;
}

/** One thing that is wrong with a body. */
export interface Detail {
  readonly type: string;
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly input: unknown;
}

/** What a body is refused with: status 422. */
export class InvalidBody extends Error {
  readonly detail: readonly Detail[];
  constructor(detail: readonly Detail[]) {
    super(detail.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; '));
    this.detail = detail;
  }
}

/** The least memory with which an interpreter starts. */
const kLeastMemory = 64 * megabyte;
/** SandboxFusion skips files of this name. */
const kIgnored = 'IGNORE_THIS_FILE';

/** What callers add to the limits of a call before they give up, less what an answer needs on its way. */
const kPatience = 5;
const kLongestWait = 600;

export interface RunRequest {
  /** What the tool is asked to run, but for its name. */
  readonly call: Omit<ToolRequest, 'callId'>;
  /**
   * How long it may wait for a place: callers wait for compile_timeout, run_timeout and ten seconds, as a rule, and nothing is
   * compiled here.
   */
  readonly waitSeconds: number;
}

/** A value as it may be said again: whole if it is short, else its beginning or its kind. */
function echo(value: unknown): unknown {
  if (typeof value === 'string') return value.length > 100 ? `${value.slice(0, 100)}...` : value;
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? `a list of ${value.length}` : `an object of ${Object.keys(value).length}`;
}

/** @throws {InvalidBody} with everything that is wrong. */
export function readRunRequest(body: unknown, limits: SandboxLimits): RunRequest {
  const detail: Detail[] = [];
  const refuse = (type: string, loc: readonly (string | number)[], msg: string, input: unknown): void => {
    detail.push({ type, loc: ['body', ...loc], msg, input: echo(input) });
  };
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    refuse(
      'model_attributes_type',
      [],
      'Input should be a valid dictionary or object to extract fields from',
      body,
    );
    throw new InvalidBody(detail);
  }
  const given = new Map<string, unknown>(Object.entries(body));

  const number = (field: string, otherwise: number): number => {
    const value = given.has(field) ? given.get(field) : otherwise;
    if (typeof value === 'number') return value;
    refuse('float_type', [field], 'Input should be a valid number', value);
    return otherwise;
  };
  const text = (field: string, otherwise: string | null): string | null => {
    if (!given.has(field)) return otherwise;
    const value = given.get(field);
    if (typeof value === 'string' || (value === null && otherwise === null)) return value as string | null;
    refuse('string_type', [field], 'Input should be a valid string', value);
    return otherwise;
  };

  const compileTimeout = number('compile_timeout', 10);
  const code = text('code', '') ?? '';
  if (!given.has('code')) refuse('missing', ['code'], 'Field required', body);
  const runTimeout = number('run_timeout', 10);
  if (!(runTimeout > 0))
    refuse('greater_than', ['run_timeout'], 'Input should be greater than 0', runTimeout);
  const memory = number('memory_limit_MB', -1);
  if (!Number.isInteger(memory)) {
    refuse('int_from_float', ['memory_limit_MB'], 'Input should be a valid integer', memory);
  }
  const stdin = text('stdin', null);
  const language = given.get('language');
  if (!given.has('language')) refuse('missing', ['language'], 'Field required', body);
  else if (language !== 'python') {
    refuse(
      'literal_error',
      ['language'],
      "Input should be 'python': this server runs nothing else",
      language,
    );
  }
  const files = readFiles(given.get('files') ?? {}, refuse);
  const fetch = readPaths(given.get('fetch_files') ?? [], refuse);
  if (detail.length > 0) throw new InvalidBody(detail);

  const seconds = Math.max(0.001, Math.min(runTimeout, limits.seconds));
  const asked = memory > 0 ? memory * megabyte : limits.memoryBytes;
  return {
    call: {
      code,
      seconds,
      wallSeconds: seconds,
      memoryBytes: Math.max(kLeastMemory, Math.min(asked, limits.memoryBytes)),
      outputBytes: limits.outputBytes,
      fileBytes: limits.fileBytes,
      ...(stdin === null ? {} : { stdin }),
      ...(Object.keys(files).length === 0 ? {} : { files }),
      ...(fetch.length === 0 ? {} : { fetch }),
    },
    waitSeconds: Math.min(kLongestWait, Math.max(0, compileTimeout) + kPatience),
  };
}

type Refuse = (type: string, loc: readonly (string | number)[], msg: string, input: unknown) => void;

function readFiles(value: unknown, refuse: Refuse): Record<string, Uint8Array> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse('dict_type', ['files'], 'Input should be a valid dictionary', value);
    return {};
  }
  const files: [string, Uint8Array][] = [];
  for (const [path, content] of Object.entries(value)) {
    if (content === null || path.includes(kIgnored)) continue;
    if (typeof content !== 'string') {
      refuse('string_type', ['files', path], 'Input should be a valid string', content);
      continue;
    }
    const bytes = bytesOfBase64(content);
    if (bytes === null) refuse('value_error', ['files', path], 'Input should be base64', content);
    else files.push([path, bytes]);
  }
  return Object.fromEntries(files);
}

function readPaths(value: unknown, refuse: Refuse): string[] {
  if (!Array.isArray(value)) {
    refuse('list_type', ['fetch_files'], 'Input should be a valid list', value);
    return [];
  }
  return value.filter((path, i): path is string => {
    if (typeof path === 'string') return true;
    refuse('string_type', ['fetch_files', i], 'Input should be a valid string', path);
    return false;
  });
}
