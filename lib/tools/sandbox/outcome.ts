/** From what the supervisor measured to a result of the tool. Pure functions. */
import { constants } from 'node:os';
import { modelView, streamText } from '../output.ts';
import type { ToolRequest, ToolResult, ToolStatus } from '../tool.ts';
import type { ResultFrame } from './frames.ts';

/** Bytes of output after which a program is stopped. */
export function hardOutputBytes(outputBytes: number): number {
  return Math.max(2 ** 20, 16 * outputBytes);
}

/** Wall-clock seconds of a request. */
export function wallSeconds(request: ToolRequest): number {
  return request.wallSeconds ?? 3 * request.seconds;
}

export function infrastructure(request: ToolRequest, error: string): ToolResult {
  return {
    callId: request.callId,
    status: 'infrastructure_error',
    stdout: '',
    stderr: '',
    output: '',
    exitCode: null,
    signal: null,
    seconds: 0,
    cpuSeconds: 0,
    truncatedBytes: 0,
    error,
  };
}

/** The first name of each: SIGABRT, not SIGIOT. */
const signalNames = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);

/** Python says so on its last line; a program may say it too, which changes nothing but its own status. */
const outOfMemory = /^(MemoryError|[\w.]*_ArrayMemoryError|OSError: \[Errno 12\])/;

function statusOf(
  result: ResultFrame,
  exitCode: number | null,
  signal: string | null,
  stderr: string,
): ToolStatus {
  switch (result.cause) {
    case 'processor':
    case 'wall':
      return 'timeout';
    case 'output':
      return 'output_limit';
    case 'quota':
      return 'quota';
    case 'session_lost':
      return 'session_lost';
    default: {
      if (signal === 'SIGXCPU') return 'timeout';
      const end = stderr.trimEnd();
      const last = end.slice(end.lastIndexOf('\n') + 1);
      const memory =
        result.outOfMemory ||
        (exitCode !== 0 && outOfMemory.test(last)) ||
        (signal === 'SIGABRT' && /bad_alloc|MemoryError/.test(stderr));
      return memory ? 'memory' : exitCode === 0 ? 'ok' : 'exception';
    }
  }
}

/** What the caller gets. `interpreter` are the paths to hide. */
export function outcome(
  request: ToolRequest,
  result: ResultFrame,
  interpreter: readonly string[],
): ToolResult {
  const number = result.status & 0x7f;
  const signal = number === 0 ? null : (signalNames.get(number) ?? `SIG${number}`);
  const exitCode = number === 0 && result.cause === 'exit' ? (result.status >> 8) & 0xff : null;
  const stderr = streamText(result.stderr);
  const status = statusOf(result, exitCode, signal, stderr);
  const byWall = status === 'timeout' && result.cause === 'wall';
  const ending = {
    status,
    exitCode,
    signal,
    memoryBytes: request.memoryBytes,
    fileBytes: request.fileBytes,
    seconds: byWall ? wallSeconds(request) : request.seconds,
    hardBytes: hardOutputBytes(request.outputBytes),
    sessionEnded: result.sessionEnded,
  };
  const paths = { workdir: result.workdir, interpreter };
  const told: ToolResult = {
    callId: request.callId,
    status,
    stdout: streamText(result.stdout),
    stderr,
    output: modelView(result.stdout, result.stderr, ending, paths, request.outputBytes),
    exitCode,
    signal: result.cause === 'session_lost' ? null : signal,
    seconds: result.seconds,
    cpuSeconds: result.cpuSeconds,
    truncatedBytes: result.stdout.dropped + result.stderr.dropped,
  };
  if (status === 'timeout') told.limit = byWall ? 'wall' : 'processor';
  if (request.session !== undefined) told.sessionEnded = result.sessionEnded;
  if (request.fetch !== undefined) {
    told.files = Object.fromEntries(
      request.fetch.flatMap((name, i) => {
        const content = result.files.get(i);
        return content === undefined ? [] : [[name, content]];
      }),
    );
  }
  return told;
}
