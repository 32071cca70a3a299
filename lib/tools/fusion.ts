/**
 * Programs that run elsewhere: a client of SandboxFusion's HTTP API (`POST /run_code`), which `toolgrad sandbox serve` speaks too.
 *
 * How well the remote isolates programs is its own affair: toolgrad does not verify it. It knows wall-clock seconds and memory; it
 * is told nothing of processor seconds, file sizes and seeds, and has no sessions. See docs/sandbox-serve.md.
 * Invariants: every call ends, by its own deadlines; whatever is not a whole, well-formed answer about the program is an
 * `infrastructure_error`; nothing of it reaches the model.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, ToolgradError } from '../errors.ts';
import { megabyte, type RunCodeRequest, workersHeader } from './fusion-api.ts';
import { MalformedReply, parseReply, resultOfReply } from './fusion-reply.ts';
import { HttpFailure, httpClient } from './http-client.ts';
import { FairQueue, type Waiting } from './queue.ts';
import { infrastructure } from './sandbox/outcome.ts';
import { checkToolRequest, maximumFilesBytes, type Tool, type ToolRequest, type ToolResult } from './tool.ts';

/** Options of {@link openSandboxFusion}. */
export interface SandboxFusionOptions {
  /** The service, for example `http://localhost:8080`; a trailing `/run_code` is taken off. */
  readonly url: string;
  /** Sent as a bearer token. Default: TOOLGRAD_SANDBOX_KEY where it is set; null = none. */
  readonly apiKey?: string | null;
  /** Requests at once. Default: the programs that the service says it runs at once, as ours does; else 16. */
  readonly concurrency?: number;
  /** Longest a call may wait for its turn before it ends as `infrastructure_error`. Default 600. */
  readonly queueSeconds?: number;
  /** Requests made for a call, when connections fail, gateways are overloaded (502 to 504) or the sandbox has an error. Default 4. */
  readonly attempts?: number;
  /** Pause before the second attempt; doubled each time up to 10 s, and half to one and a half of that. Default 0.5. */
  readonly pauseSeconds?: number;
  /** What an answer may take beyond the limits that the remote was told. Default 10. */
  readonly graceSeconds?: number;
  /** Longest answer, besides files that were asked for. Default 16 MiB: twice 1 MiB of output with every byte escaped. */
  readonly replyBytes?: number;
}

const kPauseCap = 10;
/** For languages that are compiled, which Python is not; the API's default. */
const kCompileSeconds = 10;

/** What a failed attempt leaves to do: try again, or not. */
class Failure extends Error {
  readonly passing: boolean;
  constructor(passing: boolean, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.passing = passing;
  }
}

interface Call {
  readonly request: ToolRequest;
  /** Ends its request, for the reason it is aborted with. */
  readonly cut: AbortController;
  finish(result: ToolResult): void;
}

function checkedUrl(text: unknown): URL {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new TypeError(
      `SandboxFusion: expected an http(s) address for url, for example http://localhost:8080, found ${JSON.stringify(text)}`,
    );
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new TypeError(
      'SandboxFusion: expected a url without user, password, query and fragment (a key belongs in apiKey or TOOLGRAD_SANDBOX_KEY)',
    );
  }
  url.pathname = url.pathname.replace(/\/+$/, '').replace(/\/run_code$/, '');
  return url;
}

function checkedOptions(options: SandboxFusionOptions) {
  const chosen = {
    concurrency: options.concurrency ?? 16, // unless the service says better
    queueSeconds: options.queueSeconds ?? 600,
    attempts: options.attempts ?? 4,
    pauseSeconds: options.pauseSeconds ?? 0.5,
    graceSeconds: options.graceSeconds ?? 10,
    replyBytes: options.replyBytes ?? 16 * megabyte,
  };
  const ranges = { concurrency: [1, 4096], attempts: [1, 100], replyBytes: [1024, 2 ** 30] } as const;
  for (const [field, [low, high]] of Object.entries(ranges)) {
    const value = chosen[field as keyof typeof ranges];
    if (Number.isInteger(value) && value >= low && value <= high) continue;
    throw new RangeError(
      `SandboxFusion: expected an integer from ${low} to ${high} for ${field}, found ${value}`,
    );
  }
  for (const field of ['queueSeconds', 'pauseSeconds', 'graceSeconds'] as const) {
    if (chosen[field] > 0 && chosen[field] <= 86_400) continue;
    throw new RangeError(
      `SandboxFusion: expected seconds above 0 and up to 86400 for ${field}, found ${chosen[field]}`,
    );
  }
  const apiKey = options.apiKey === undefined ? (process.env.TOOLGRAD_SANDBOX_KEY ?? null) : options.apiKey;
  if (apiKey !== null && (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey))) {
    throw new TypeError('SandboxFusion: expected printable ASCII without blanks, or null, for apiKey');
  }
  return { ...chosen, apiKey, url: checkedUrl(options.url) };
}

/** @throws {RangeError} naming what the API cannot do. */
function checkRemote({ session, processes }: ToolRequest): void {
  if (session !== undefined) {
    throw new RangeError('SandboxFusion: expected no session: the remote runs every program by itself');
  }
  if (processes !== undefined && processes > 0) {
    throw new RangeError(
      `SandboxFusion: expected processes 0: the remote cannot be told how many a program may start, found ${processes}`,
    );
  }
}

/** The wall clock a program gets. */
function wallSecondsOf({ seconds, wallSeconds }: ToolRequest): number {
  return wallSeconds ?? 3 * seconds;
}

function bodyOf(request: ToolRequest): string {
  const { code, stdin, files = {}, fetch = [], memoryBytes } = request;
  // What is no Unicode text (halves of characters) could not be written to a file there.
  const text = (given: string): string => Buffer.from(given).toString();
  const body: RunCodeRequest = {
    compile_timeout: kCompileSeconds,
    run_timeout: wallSecondsOf(request),
    memory_limit_MB: Math.floor(memoryBytes / megabyte),
    code: text(code),
    ...(stdin === undefined ? {} : { stdin: text(stdin) }),
    language: 'python',
    files: Object.fromEntries(
      Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes).toString('base64')]),
    ),
    fetch_files: fetch,
  };
  return JSON.stringify(body);
}

function beginning(body: Buffer): string {
  return JSON.stringify(body.subarray(0, 300).toString());
}

/**
 * Opens a remote sandbox that speaks SandboxFusion's API, after one `GET /v1/ping`.
 * @throws {TypeError | RangeError} (rejects) for malformed options.
 * @throws {ToolgradError} ERR_REMOTE (rejects) when nothing there answers as it should.
 * @example
 * await using tool = await openSandboxFusion({ url: 'http://localhost:8080' });
 * const limits = { seconds: 10, memoryBytes: 2 ** 29, outputBytes: 4096, fileBytes: 2 ** 20 };
 * const { status, output } = await tool.run({ callId: 'a', code: 'print(2**64)', ...limits });
 */
export async function openSandboxFusion(options: SandboxFusionOptions): Promise<Tool> {
  const checked = checkedOptions(options);
  const { url, queueSeconds, attempts, pauseSeconds, graceSeconds, replyBytes } = checked;
  const address = `${url.origin}${url.pathname.replace(/\/$/, '')}`;
  const http = httpClient(url, checked.apiKey);
  const queue = new FairQueue<Call>();
  const running = new Map<Call, Promise<void>>();
  let closing: Promise<void> | null = null;

  /** Programs that the service runs at once; null if it does not say. */
  const ping = async (): Promise<number | null> => {
    const there = `${address}/v1/ping`;
    const fail = (found: string, cause?: unknown): never => {
      throw new ToolgradError(
        'ERR_REMOTE',
        `no sandbox at ${there}: expected "pong", found ${found}; is the service running there (toolgrad sandbox serve)?`,
        { cause },
      );
    };
    const asked = { method: 'GET', path: '/v1/ping', seconds: graceSeconds, mostBytes: 65_536 } as const;
    const { status, headers, body } = await http
      .ask(asked)
      .catch((error: unknown) => fail(errorMessage(error), error));
    if (status !== 200 || !/^"?pong"?\s*$/.test(body.toString()))
      fail(`status ${status}: ${beginning(body)}`);
    const workers = Number(headers[workersHeader]);
    return Number.isInteger(workers) && workers >= 1 && workers <= 4096 ? workers : null;
  };

  /** One request. @throws {Failure | HttpFailure} */
  const attempt = async (request: ToolRequest, body: string, signal: AbortSignal): Promise<ToolResult> => {
    const wallSeconds = wallSecondsOf(request);
    const answer = await http.ask({
      method: 'POST',
      path: '/run_code',
      body,
      seconds: wallSeconds + kCompileSeconds + graceSeconds,
      mostBytes: replyBytes + (request.fetch === undefined ? 0 : Math.ceil((4 * maximumFilesBytes) / 3)),
      signal,
    });
    if (answer.status !== 200) {
      const passing = answer.status >= 502 && answer.status <= 504;
      throw new Failure(passing, `status ${answer.status}: ${beginning(answer.body)}`);
    }
    try {
      const reply = parseReply(answer.body);
      if (reply.status === 'SandboxError') {
        throw new Failure(true, `SandboxError: ${reply.message.slice(0, 500) || 'no message'}`);
      }
      return resultOfReply(request, reply, wallSeconds);
    } catch (error) {
      if (!(error instanceof MalformedReply)) throw error;
      throw new Failure(false, `a malformed reply: ${error.message}`, { cause: error });
    }
  };

  /** All attempts of a call, until one says something about the program. */
  const work = async ({ request, cut: { signal } }: Call): Promise<ToolResult> => {
    const body = bodyOf(request);
    for (let made = 1; ; made++) {
      try {
        return await attempt(request, body, signal);
      } catch (error) {
        if (signal.aborted) return infrastructure(request, errorMessage(signal.reason));
        if (!(error instanceof Failure || error instanceof HttpFailure)) throw error;
        const passing = error instanceof Failure ? error.passing : error.kind === 'connection';
        if (!passing || made === attempts) {
          const tries = made === 1 ? '' : ` (attempt ${made} of ${attempts})`;
          return infrastructure(request, `${address}/run_code: ${error.message}${tries}`);
        }
      }
      const pause = Math.min(kPauseCap, pauseSeconds * 2 ** (made - 1)) * (0.5 + Math.random());
      try {
        await sleep(pause * 1000, undefined, { signal });
      } catch {
        return infrastructure(request, errorMessage(signal.reason)); // sleep rejects when it is aborted, only
      }
    }
  };

  const workers = await ping().catch((error: unknown) => {
    http.close();
    throw error;
  });
  const concurrency = options.concurrency ?? workers ?? checked.concurrency;

  const pump = (): void => {
    while (running.size < concurrency) {
      const call = queue.take();
      if (call === undefined) return;
      const ended = work(call)
        .catch((error: unknown) =>
          infrastructure(call.request, `a defect of the client: ${errorMessage(error)}`),
        )
        .then((result) => {
          running.delete(call);
          call.finish(result);
          pump();
        });
      running.set(call, ended);
    }
  };

  const run = (request: ToolRequest, signal?: AbortSignal): Promise<ToolResult> => {
    checkToolRequest(request);
    checkRemote(request);
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        const error = new Error(`tool call ${request.callId} was aborted`, { cause: signal?.reason });
        reject(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }));
      };
      if (signal?.aborted) return aborted();
      if (closing !== null) return resolve(infrastructure(request, 'the tool is closed'));
      let place: Waiting<Call> | null = null;
      const abort = (): void => {
        aborted();
        if (place !== null && queue.remove(place)) return;
        call.cut.abort(new Error('the call was aborted'));
      };
      const call: Call = {
        request: { ...request },
        cut: new AbortController(),
        finish(result) {
          signal?.removeEventListener('abort', abort);
          resolve(result);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      place = queue.push(request.trajectory ?? '', call, {
        seconds: queueSeconds,
        expired: () => call.finish(infrastructure(request, `queue: no turn within ${queueSeconds} s`)),
      });
      pump();
    });
  };

  const close = (): Promise<void> => {
    closing ??= (async () => {
      for (const call of queue.drain()) call.finish(infrastructure(call.request, 'the tool was closed'));
      for (const call of running.keys()) call.cut.abort(new Error('the tool was closed'));
      await Promise.all(running.values());
      http.close();
    })();
    return closing;
  };

  return {
    describe:
      `SandboxFusion API at ${address}, ${concurrency} at a time; remote, not verified by toolgrad: its isolation is its own, ` +
      'and it knows no processor clock, file limits or seeds',
    run,
    close,
    [Symbol.asyncDispose]: close,
  };
}
