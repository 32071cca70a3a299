/**
 * The wire format of SandboxFusion's `POST /run_code`, as both ends of this package write and read it: the client (fusion.ts) and
 * the server (lib/serve/sandbox-server.ts). Field names are the API's own.
 */
import { constants } from 'node:os';
import type { ToolResult, ToolStatus } from './tool.ts';

export interface RunCodeRequest {
  readonly compile_timeout: number;
  /** Wall-clock seconds. */
  readonly run_timeout: number;
  /** Address space; 0 and below: none given. */
  readonly memory_limit_MB: number;
  readonly code: string;
  readonly stdin?: string | null;
  readonly language: string;
  /** Base64 by path; null is skipped. */
  readonly files: Readonly<Record<string, string | null>>;
  readonly fetch_files: readonly string[];
}

export const commandStatuses = ['Finished', 'Error', 'TimeLimitExceeded'] as const;

export interface CommandResult {
  readonly status: (typeof commandStatuses)[number];
  readonly execution_time: number | null;
  /** Null unless the status is Finished; minus the signal's number when one ended it. */
  readonly return_code: number | null;
  readonly stdout: string | null;
  readonly stderr: string | null;
}

export const replyStatuses = ['Success', 'Failed', 'SandboxError'] as const;

/** Ways to end that a program is responsible for. */
export const programStatuses = [
  'ok',
  'exception',
  'timeout',
  'memory',
  'output_limit',
  'quota',
] as const satisfies readonly ToolStatus[];

/** The clocks that a program can run out of. */
export const clocks = ['processor', 'wall'] as const satisfies readonly ToolResult['limit'][];

/** What our own server adds, since the API has no words for it; other clients ignore it. */
export interface ToolgradFields {
  readonly status: (typeof programStatuses)[number];
  readonly limit: ToolResult['limit'] | null;
  readonly cpu_seconds: number;
  /** Bytes that are missing from stdout and stderr. */
  readonly truncated_bytes: number;
}

export interface RunCodeReply {
  /** Failed: out of time, or a return code other than 0. SandboxError: nothing is known of the program. */
  readonly status: (typeof replyStatuses)[number];
  readonly message: string;
  readonly compile_result: CommandResult | null;
  readonly run_result: CommandResult | null;
  readonly executor_pod_name: string | null;
  /** Base64 by path: those of `fetch_files` that were there. */
  readonly files: Readonly<Record<string, string>>;
  readonly toolgrad?: ToolgradFields;
}

/** Beside our server's "pong": how many programs it runs at once. */
export const workersHeader = 'toolgrad-workers';

export const megabyte = 2 ** 20;

const numbers = new Map(Object.entries(constants.signals).map(([name, number]) => [number as number, name]));

/** `SIGKILL` for 9. */
export function signalName(number: number): string {
  return numbers.get(number) ?? `signal ${number}`;
}

/** 9 for `SIGKILL`; null for a name that this system does not know. */
export function signalNumber(name: string): number | null {
  return (constants.signals as Record<string, number>)[name] ?? null;
}

/** The bytes of a base64 text, in which line ends are allowed; null if it is none. */
export function bytesOfBase64(text: string): Buffer | null {
  const plain = text.replace(/[\r\n]/g, '');
  const bytes = Buffer.from(plain, 'base64');
  return bytes.toString('base64') === plain ? bytes : null;
}
