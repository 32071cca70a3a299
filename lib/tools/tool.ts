/**
 * The interface between rollouts and anything that runs a model's programs. Backends (today `python.ts`) implement
 * `Tool`; nothing else in the package knows how a program is run.
 * Invariant: `infrastructure_error` is never the program's fault. It must not be shown to the model and must not be scored.
 */

/**
 * How a call ended.
 * - `ok`: the program ended with exit status 0.
 * - `exception`: it failed by itself: an uncaught exception, a syntax error, a non-zero exit status, a crash.
 * - `timeout`: it used up its seconds. `memory`: it ran into its memory limit.
 * - `output_limit`: it was stopped because it wrote far more than is kept.
 * - `infrastructure_error`: the machinery failed; whether the program is right is unknown.
 */
export type ToolStatus = 'ok' | 'exception' | 'timeout' | 'memory' | 'output_limit' | 'infrastructure_error';

/** One program to run, with its limits. */
export interface ToolRequest {
  /** Chosen by the caller, returned unchanged. */
  callId: string;
  /** Source text of the program. */
  code: string;
  /** Wall-clock seconds the program may take, counted from the moment its interpreter is ready. */
  seconds: number;
  /** Address space of each of its processes, in bytes (at least 64 MiB). */
  memoryBytes: number;
  /** Bytes of output that are kept, half from the beginning and half from the end (at least 64). */
  outputBytes: number;
  /** Largest file it may write, in bytes. */
  fileBytes: number;
}

/** What came of a call. */
export interface ToolResult {
  callId: string;
  status: ToolStatus;
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
  /** Kills what is running and ends the tool; may be called more than once. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  /** One line for logs: what runs the programs, and what it does not stop. */
  readonly describe: string;
}

const limits = {
  seconds: [0.001, 86_400],
  memoryBytes: [64 * 2 ** 20, 2 ** 50],
  outputBytes: [64, 2 ** 26],
  fileBytes: [0, 2 ** 50],
} as const;

/** Largest program, in UTF-16 units; more is misuse rather than a program. */
export const maximumCodeLength = 2 ** 25;

/** Checks a request; @throws {TypeError | RangeError} naming the field, what was expected and what was found. */
export function checkToolRequest(request: ToolRequest): void {
  for (const field of ['callId', 'code'] as const) {
    if (typeof request[field] !== 'string') {
      throw new TypeError(`tool request: expected a string for ${field}, found ${typeof request[field]}`);
    }
  }
  if (request.code.length > maximumCodeLength) {
    throw new RangeError(
      `tool request: expected code of at most ${maximumCodeLength} characters, found ${request.code.length}`,
    );
  }
  for (const [field, [low, high]] of Object.entries(limits)) {
    const value: unknown = request[field as keyof typeof limits];
    if (typeof value !== 'number') {
      throw new TypeError(`tool request: expected a number for ${field}, found ${typeof value}`);
    }
    if (!(value >= low && value <= high) || (field !== 'seconds' && !Number.isInteger(value))) {
      const kind = field === 'seconds' ? 'a number' : 'an integer';
      throw new RangeError(
        `tool request: expected ${kind} from ${low} to ${high} for ${field}, found ${value}`,
      );
    }
  }
}
