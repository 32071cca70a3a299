/**
 * A tool behind SandboxFusion's HTTP API, on this machine: POST /run_code and GET /v1/ping (docs/sandbox-serve.md has the
 * differences). What a caller asks for is bounded by the server's limits. As many calls as the tool has places run, a bounded number
 * waits for as long as callers do (504), and more are told to come back (503). A caller that goes away takes its program with it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage } from '../errors.ts';
import {
  type CommandResult,
  programStatuses,
  type RunCodeReply,
  signalNumber,
  workersHeader,
} from '../tools/fusion-api.ts';
import type { Tool, ToolResult } from '../tools/tool.ts';
import { ApiError } from './api-error.ts';
import {
  callerGone,
  checkHost,
  checkKey,
  expectMethod,
  isLoopback,
  listen,
  mediaType,
  readBody,
  sendJson,
  utf8,
} from './http.ts';
import { createPlaces } from './places.ts';
import { InvalidBody, readRunRequest, type SandboxLimits } from './sandbox-request.ts';

export interface SandboxServerOptions {
  /** Runs the programs; the caller closes it. */
  readonly tool: Tool;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free one (default). */
  readonly port?: number;
  /** Needed to listen beyond this machine, where whoever reaches the port can run programs here. */
  readonly exposed?: boolean;
  /** Callers must bring it as a bearer token; null (default) = none is asked for. */
  readonly apiKey?: string | null;
  readonly limits?: Partial<SandboxLimits>;
  /** Programs at once, as many as the tool has workers. */
  readonly workers: number;
  /** Calls that may wait for a place; default 256. */
  readonly queue?: number;
  /** Largest body; default 16 MiB. */
  readonly bodyBytes?: number;
  /** Told what failed through no fault of a caller. */
  readonly onError?: (error: unknown) => void;
}

export interface RunningSandboxServer {
  readonly port: number;
  /** `http://host:port`, what clients are given. */
  readonly url: string;
  /** Calls that are running or waiting. */
  readonly open: number;
  /** Takes no new calls, gives running ones `seconds` to end, then kills them. The tool is not closed. */
  close(seconds: number): Promise<void>;
}

const defaults: SandboxLimits = {
  seconds: 60,
  memoryBytes: 2 ** 29,
  outputBytes: 2 ** 20,
  fileBytes: 2 ** 24,
};

const ranges: Readonly<Record<keyof SandboxLimits, readonly [number, number]>> = {
  seconds: [0.001, 86_400],
  memoryBytes: [2 ** 26, 2 ** 50],
  outputBytes: [64, 2 ** 26],
  fileBytes: [0, 2 ** 50],
};

function checkedLimits(given: Partial<SandboxLimits>): SandboxLimits {
  const limits = { ...defaults, ...given };
  for (const [field, [low, high]] of Object.entries(ranges)) {
    const value = limits[field as keyof SandboxLimits];
    const whole = field === 'seconds' || Number.isInteger(value);
    if (whole && value >= low && value <= high) continue;
    throw new RangeError(`sandbox server: expected ${low} to ${high} for limits.${field}, found ${value}`);
  }
  return limits;
}

function checkCount(field: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new RangeError(
    `sandbox server: expected an integer from ${low} to ${high} for ${field}, found ${value}`,
  );
}

/**
 * Starts to listen. Rejects when the address is taken or not this machine's.
 * @throws {RangeError} (rejects) for limits out of range, and for an address beyond this machine without `exposed`.
 */
export async function openSandboxServer(options: SandboxServerOptions): Promise<RunningSandboxServer> {
  const { tool, host = '127.0.0.1', port = 0, exposed = false, apiKey = null } = options;
  const { workers, queue = 256, bodyBytes = 16 * 2 ** 20, onError } = options;
  const limits = checkedLimits(options.limits ?? {});
  checkCount('workers', workers, 1, 1024);
  checkCount('queue', queue, 0, 1e6);
  checkCount('bodyBytes', bodyBytes, 1024, 2 ** 29);
  if (!exposed && !isLoopback(host)) {
    throw new RangeError(
      `sandbox server: expected an address of this machine alone (127.0.0.1, ::1, localhost) for host, found ${host}; ` +
        'beyond it, whoever reaches the port can run programs here, unencrypted: that needs exposed: true',
    );
  }
  const running = new Set<AbortController>();
  const places = createPlaces(workers);
  let open = 0;
  let serial = 0;
  const listening = await listen({ host, port, answer, fail });
  return {
    port: listening.port,
    url: listening.origin,
    get open() {
      return open;
    },
    close: (seconds) =>
      listening.close(seconds, async () => {
        for (const call of running) call.abort(new ApiError(503, 'The server was shut down'));
      }),
  };

  async function answer(request: IncomingMessage, response: ServerResponse, closing: boolean): Promise<void> {
    checkHost(request, host);
    checkKey(request, apiKey);
    const path = (request.url ?? '/').split('?')[0]!;
    if (path === '/v1/ping') {
      expectMethod(request, 'GET');
      response.setHeader(workersHeader, String(workers));
      return sendJson(response, 200, 'pong');
    }
    if (path !== '/run_code') {
      throw new ApiError(404, `There is no ${path} here; this server has POST /run_code and GET /v1/ping`);
    }
    expectMethod(request, 'POST');
    if (closing) throw new ApiError(503, 'The server is shutting down');
    if (open >= workers + queue) throw new ApiError(503, `${queue} calls are waiting; come back later`);
    open += 1;
    try {
      await runCode(request, response);
    } finally {
      open -= 1;
    }
  }

  async function runCode(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { call: asked, waitSeconds } = readRunRequest(await readJson(request, bodyBytes), limits);
    const call = callerGone(response);
    running.add(call);
    const ask = {
      key: request.socket.remoteAddress ?? '',
      seconds: waitSeconds,
      signal: call.signal,
      late: () => new ApiError(504, `no place for this call within ${waitSeconds} s; come back later`),
    };
    let result: ToolResult;
    try {
      result = await places.use(ask, () => tool.run({ callId: `run-${++serial}`, ...asked }, call.signal));
    } catch (error) {
      if (call.signal.reason instanceof ApiError) throw call.signal.reason;
      if (call.signal.aborted) return; // there is nobody to answer
      if (error instanceof TypeError || error instanceof RangeError) {
        throw new InvalidBody([{ type: 'value_error', loc: ['body'], msg: error.message, input: null }]);
      }
      throw error;
    } finally {
      running.delete(call);
    }
    if (result.status === 'infrastructure_error') onError?.(new Error(result.error));
    sendJson(response, 200, replyOf(result));
  }

  function fail(response: ServerResponse, error: unknown): void {
    if (response.destroyed) return;
    if (error instanceof InvalidBody) return sendJson(response, 422, { detail: error.detail });
    if (error instanceof ApiError) return sendJson(response, error.status, { detail: error.message });
    onError?.(error);
    sendJson(response, 500, { detail: errorMessage(error) });
  }
}

/** The parsed body. @throws {InvalidBody | ApiError} (rejects) */
async function readJson(request: IncomingMessage, most: number): Promise<unknown> {
  const kind = mediaType(request);
  if (kind !== 'application/json') {
    // A web page can send other types to any server without asking.
    const found = kind === '' ? 'none' : kind;
    const msg = `Input should have Content-Type application/json, found ${found}`;
    throw new InvalidBody([{ type: 'model_attributes_type', loc: ['body'], msg, input: null }]);
  }
  const bytes = await readBody(request, most);
  try {
    return JSON.parse(utf8(bytes));
  } catch (error) {
    const msg = `JSON decode error: ${errorMessage(error)}`;
    throw new InvalidBody([{ type: 'json_invalid', loc: ['body', 0], msg, input: {} }]);
  }
}

/** A result in the API's words. */
export function replyOf(result: ToolResult): RunCodeReply {
  const status = programStatuses.find((name) => name === result.status);
  const base = { compile_result: null, executor_pod_name: null };
  if (status === undefined) {
    const message = result.error ?? `the tool ended with ${result.status}`;
    return { status: 'SandboxError', message, ...base, run_result: null, files: {} };
  }
  const command = commandOf(result);
  return {
    status: command.return_code === 0 ? 'Success' : 'Failed',
    message: '',
    ...base,
    run_result: command,
    files: Object.fromEntries(
      Object.entries(result.files ?? {}).map(([path, bytes]) => [
        path,
        Buffer.from(bytes).toString('base64'),
      ]),
    ),
    toolgrad: {
      status,
      limit: result.limit ?? null,
      cpu_seconds: result.cpuSeconds,
      truncated_bytes: result.truncatedBytes,
    },
  };
}

/** What ran over its time or was stopped for a flood of output has no return code, as in SandboxFusion. */
function commandOf({ status, exitCode, signal, seconds, stdout, stderr }: ToolResult): CommandResult {
  const said = { execution_time: seconds, stdout, stderr };
  if (status === 'timeout' || status === 'output_limit') {
    return { status: 'TimeLimitExceeded', return_code: null, ...said };
  }
  if (status === 'ok') return { status: 'Finished', return_code: 0, ...said };
  // A program that was stopped, or failed, never has 0, whatever its last process returned.
  const killed = -((signal === null ? null : signalNumber(signal)) ?? 9);
  return { status: 'Finished', return_code: exitCode || killed, ...said };
}
