/**
 * The interface between rollouts and anything that runs a model's programs. Backends (today `python.ts`) implement
 * `Tool`; nothing else in the package knows how a program is run.
 * Invariant: `infrastructure_error` is never the program's fault. It must not be shown to the model and must not be scored.
 */
import type { SandboxLevel } from './sandbox/level.ts';

/**
 * How a call ended.
 * - `ok`: the program ended with exit status 0.
 * - `exception`: it failed by itself: an uncaught exception, a syntax error, a non-zero exit status, a crash.
 * - `timeout`: it used up its seconds; `limit` says of which clock. `memory`: it ran into its memory limit.
 * - `output_limit`: it was stopped because it wrote far more than is kept. `quota`: because its files became too large or too many.
 * - `session_lost`: its session had ended by no fault of this program, which was not run; the next call begins a new one.
 * - `infrastructure_error`: the machinery failed; whether the program is right is unknown.
 */
export type ToolStatus =
  | 'ok'
  | 'exception'
  | 'timeout'
  | 'memory'
  | 'output_limit'
  | 'quota'
  | 'session_lost'
  | 'infrastructure_error';

/** One program to run, with its limits. */
export interface ToolRequest {
  /** Chosen by the caller, returned unchanged. */
  callId: string;
  /** Source text of the program. */
  code: string;
  /** Processor seconds the program may use, counted from the moment its interpreter is ready. */
  seconds: number;
  /** Wall-clock seconds it may take, which is what ends a program that sleeps. Default: three times `seconds`. */
  wallSeconds?: number;
  /** Address space of each of its processes, in bytes (at least 64 MiB). */
  memoryBytes: number;
  /** Bytes of output that are kept of each stream, half from the beginning and half from the end (at least 64). */
  outputBytes: number;
  /** Largest file it may write and all its files together, in bytes. */
  fileBytes: number;
  /** Processes it may start at the same time; default 0: none (threads are allowed). Needs namespaces. */
  processes?: number;
  /** Seeds `random` and numpy's generators; default 0. */
  seed?: bigint;
  /** Programs of one session share one interpreter, in the order in which they were given. Default: a fresh one. */
  session?: string;
  /** Waiting calls are taken from these in turn; default: the session, else all share one line. */
  trajectory?: string;
  /** What it reads from standard input; default: nothing. */
  stdin?: string;
  /** Files in its working directory, by relative path. Not with `session`. */
  files?: Readonly<Record<string, Uint8Array>>;
  /** Relative paths of regular files to return. Not with `session`. */
  fetch?: readonly string[];
}

/** What came of a call. */
export interface ToolResult {
  callId: string;
  status: ToolStatus;
  /** For `timeout`: the clock that ran out. */
  limit?: 'processor' | 'wall';
  /** Standard output as text, at most `outputBytes` and a marker where bytes are missing. */
  stdout: string;
  /** Standard error, likewise. */
  stderr: string;
  /** What the model should read: stdout, then the traceback trimmed to its own code; see `output.ts`. */
  output: string;
  exitCode: number | null;
  /** Name of the signal that ended it, for example `SIGKILL`. */
  signal: string | null;
  /** Wall-clock seconds from the start of the process until it was gone. */
  seconds: number;
  /** Processor seconds, user and system. */
  cpuSeconds: number;
  /** Bytes missing from stdout and stderr. */
  truncatedBytes: number;
  /** The session ended with this program; the next call with its name begins a new one. */
  sessionEnded?: boolean;
  /** Those of `fetch` that were there as regular files, for requests with `fetch`. */
  files?: Record<string, Uint8Array>;
  /** What failed, for `infrastructure_error` only. */
  error?: string;
}

/** Something that runs programs for a model. Calls may be made at any rate; the tool queues what it cannot run yet. */
export interface Tool {
  /**
   * Runs one program. Rejects only with an `AbortError` (when `signal` aborts; the program is killed); every other
   * failure is a result with a status.
   * @throws {TypeError | RangeError} at once, if the request is malformed.
   */
  run(request: ToolRequest, signal?: AbortSignal): Promise<ToolResult>;
  /** Ends a session's interpreter; nothing happens if there is none. Absent: the tool has no sessions. */
  endSession?(session: string): void;
  /** Kills what is running and ends the tool; may be called more than once. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  /** One line for logs: what runs the programs, and what it does not stop. */
  readonly describe: string;
  /** How programs are kept from this machine, as verified. Absent: they run elsewhere, or nothing was verified. */
  readonly level?: SandboxLevel;
}

/** Range of each number; those with a default may be absent. */
const ranges = Object.entries({
  seconds: { low: 0.001, high: 86_400, whole: false, optional: false },
  wallSeconds: { low: 0.001, high: 86_400, whole: false, optional: true },
  memoryBytes: { low: 64 * 2 ** 20, high: 2 ** 50, whole: true, optional: false },
  outputBytes: { low: 64, high: 2 ** 26, whole: true, optional: false },
  fileBytes: { low: 0, high: 2 ** 50, whole: true, optional: false },
  processes: { low: 0, high: 1024, whole: true, optional: true },
} as const);

/** Largest program or standard input, in UTF-16 units; more is misuse. The largest of all fits into a frame (2^28 bytes). */
export const maximumCodeLength = 2 ** 24;
/** Most that may go in as files, or come out, in bytes. */
export const maximumFilesBytes = 2 ** 26;
/** Most files that may come out. */
const maximumFetched = 256;

/** Why `path` cannot name a file in a working directory, or null. */
function faultOfPath(path: unknown): string | null {
  if (typeof path !== 'string') return `a ${typeof path}`;
  if (path === '' || Buffer.byteLength(path) > 1024) return `one of ${Buffer.byteLength(path)} bytes`;
  const parts = path.split('/');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  const strange = /[\0-\x1f\x7f]/.test(path) || parts.some((part) => ['', '.', '..'].includes(part));
  return strange || parts.some((part) => Buffer.byteLength(part) > 255) ? JSON.stringify(path) : null;
}

function checkPaths(field: string, paths: readonly unknown[]): void {
  for (const path of paths) {
    const fault = faultOfPath(path);
    if (fault === null) continue;
    throw new RangeError(
      `tool request: expected relative paths of at most 1024 bytes without empty, . and .. parts and control characters in ${field}, found ${fault}`,
    );
  }
}

/** Checks a request; @throws {TypeError | RangeError} naming the field, what was expected and what was found. */
export function checkToolRequest(request: ToolRequest): void {
  const optional = ['session', 'trajectory', 'stdin'] as const;
  for (const field of ['callId', 'code', ...optional] as const) {
    const value: unknown = request[field];
    if (typeof value !== 'string' && (value !== undefined || field === 'callId' || field === 'code')) {
      throw new TypeError(`tool request: expected a string for ${field}, found ${typeof value}`);
    }
    if ((request[field]?.length ?? 0) > maximumCodeLength) {
      throw new RangeError(
        `tool request: expected ${field} of at most ${maximumCodeLength} characters, found ${request[field]!.length}`,
      );
    }
  }
  for (const [field, { low, high, whole, optional }] of ranges) {
    const value: unknown = request[field as keyof ToolRequest];
    if (value === undefined && optional) continue;
    if (typeof value !== 'number') {
      throw new TypeError(`tool request: expected a number for ${field}, found ${typeof value}`);
    }
    if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
      const kind = whole ? 'an integer' : 'a number';
      throw new RangeError(
        `tool request: expected ${kind} from ${low} to ${high} for ${field}, found ${value}`,
      );
    }
  }
  const { seed, files, fetch, session } = request;
  if (seed !== undefined && (typeof seed !== 'bigint' || seed < 0n || seed >= 2n ** 64n)) {
    throw new RangeError(`tool request: expected a bigint from 0 to 2^64 - 1 for seed, found ${seed}`);
  }
  if (session !== undefined && (files !== undefined || fetch !== undefined)) {
    throw new TypeError('tool request: expected no files and no fetch in a call with session');
  }
  if (fetch !== undefined) checkPaths('fetch', fetch);
  if ((fetch?.length ?? 0) > maximumFetched) {
    throw new RangeError(
      `tool request: expected at most ${maximumFetched} paths in fetch, found ${fetch!.length}`,
    );
  }
  if (files === undefined) return;
  checkPaths('files', Object.keys(files));
  let bytes = 0;
  for (const [path, content] of Object.entries(files)) {
    if (!(content instanceof Uint8Array)) {
      throw new TypeError(`tool request: expected a Uint8Array for files[${JSON.stringify(path)}]`);
    }
    bytes += content.length;
  }
  const most = Math.min(maximumFilesBytes, request.fileBytes);
  if (bytes > most) {
    throw new RangeError(`tool request: expected files of at most ${most} bytes together, found ${bytes}`);
  }
}
