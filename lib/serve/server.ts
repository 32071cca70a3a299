/**
 * OpenAI's chat completions API over HTTP: POST /v1/chat/completions, GET /v1/models, GET /health.
 *
 * Made for this machine. It binds to 127.0.0.1 unless told otherwise, answers only requests whose Host is the loopback's (a web
 * page cannot reach it by a name of its own), takes JSON only (a web page cannot post it without asking), and may ask for a key.
 * Bodies are bounded; a caller that goes away takes its request with it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorMessage } from '../errors.ts';
import { packageVersion } from '../package.ts';
import { ApiError, errorBody } from './api-error.ts';
import { type ChatSettings, chatCompletion } from './chat-completion.ts';
import type { Completions } from './completions.ts';
import { readRequest } from './request.ts';

export interface ServerOptions {
  readonly completions: Completions;
  readonly chat: ChatSettings;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 = any free one (default). */
  readonly port?: number;
  /** Callers must bring it as a bearer token; null (default) = none is asked for. */
  readonly apiKey?: string | null;
  /** Largest body; default 4 MiB. */
  readonly bodyBytes?: number;
  /** Told about answers that failed through no fault of the caller. */
  readonly onError?: (error: unknown) => void;
}

export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** `http://host:port/v1`, what clients take as base URL. */
  readonly url: string;
  /** Takes no new requests, gives running ones `seconds` to end, then cuts them. Completions are closed, too. */
  close(seconds: number): Promise<void>;
}

const kLoopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

export function isLoopback(host: string): boolean {
  return kLoopback.test(host.includes(':') ? `[${host}]` : host);
}

/** Starts to listen. Rejects when the address is taken or not this machine's. */
export async function openServer(options: ServerOptions): Promise<RunningServer> {
  const { completions, chat, host = '127.0.0.1', port = 0, apiKey = null, bodyBytes = 4 * 2 ** 20 } = options;
  const started = Date.now();
  const open = new Set<Promise<void>>();
  let closing = false;

  const server: Server = createServer((request, response) => {
    const work = answer(request, response).catch((error: unknown) => fail(response, error));
    open.add(work);
    void work.finally(() => open.delete(work));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    host,
    port: bound,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}/v1`,
    async close(seconds) {
      closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise((resolve) => {
        timer = setTimeout(resolve, seconds * 1000);
      });
      await Promise.race([Promise.all(open), deadline]);
      clearTimeout(timer);
      await completions.close();
      await Promise.all(open);
      server.closeAllConnections();
      await closed;
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    checkOrigin(request);
    const path = (request.url ?? '/').split('?')[0]!;
    if (path === '/health') {
      expectMethod(request, 'GET');
      const { active, waiting } = completions;
      const seconds = Math.round((Date.now() - started) / 1000);
      return sendJson(response, 200, {
        status: closing ? 'stopping' : 'ok',
        model: chat.name,
        active,
        waiting,
        seconds,
        version: packageVersion,
      });
    }
    checkKey(request);
    const model = {
      id: chat.name,
      object: 'model',
      created: Math.floor(started / 1000),
      owned_by: 'toolgrad',
    };
    if (path === '/v1/models') {
      expectMethod(request, 'GET');
      return sendJson(response, 200, { object: 'list', data: [model] });
    }
    if (path.startsWith('/v1/models/')) {
      expectMethod(request, 'GET');
      checkModel(decodeURIComponent(path.slice('/v1/models/'.length)));
      return sendJson(response, 200, model);
    }
    if (path !== '/v1/chat/completions') {
      throw new ApiError(404, `There is no ${path}; see /v1/chat/completions, /v1/models, /health`);
    }
    expectMethod(request, 'POST');
    if (closing) throw new ApiError(503, 'The server is shutting down');
    await complete(request, response);
  }

  async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = readRequest(await readJson(request, bodyBytes));
    checkModel(asked.model);
    const gone = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the caller has gone'));
    });
    const onChunk = (chunk: object): void => {
      if (!response.headersSent) {
        response.writeHead(200, {
          'Content-Type': 'text/event-stream; charset=utf-8',
          'Cache-Control': 'no-cache',
        });
      }
      response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    };
    try {
      const whole = await chatCompletion(asked, chat, completions, onChunk, gone.signal);
      if (whole !== null) return sendJson(response, 200, whole);
      response.end('data: [DONE]\n\n');
    } catch (error) {
      if (gone.signal.aborted) return;
      throw error;
    }
  }

  function fail(response: ServerResponse, error: unknown): void {
    if (response.destroyed) return;
    const known = error instanceof ApiError;
    if (!known) options.onError?.(error);
    const said = known ? error : new ApiError(500, errorMessage(error));
    // A stream that has begun cannot change its status: the error is its last event.
    if (response.headersSent) {
      response.end(`data: ${JSON.stringify(errorBody(said))}\n\n`);
      return;
    }
    if (said.status === 413) response.setHeader('Connection', 'close');
    if (said.status === 429) response.setHeader('Retry-After', '1');
    sendJson(response, said.status, errorBody(said));
  }

  function checkOrigin(request: IncomingMessage): void {
    const named = request.headers.host ?? '';
    if (isLoopback(host) && !kLoopback.test(named)) {
      throw new ApiError(403, `Expected the Host header to name this machine's loopback, found ${named}`);
    }
  }

  function checkKey(request: IncomingMessage): void {
    if (apiKey === null) return;
    const digest = (text: string) => createHash('sha256').update(text).digest();
    const given = request.headers.authorization ?? '';
    if (timingSafeEqual(digest(given), digest(`Bearer ${apiKey}`))) return;
    throw new ApiError(401, 'Expected the key of this server as a bearer token', { code: 'invalid_api_key' });
  }

  function checkModel(name: string): void {
    if (name === chat.name) return;
    throw new ApiError(
      404,
      `There is no model ${JSON.stringify(name)}; this server has ${JSON.stringify(chat.name)}`,
      {
        param: 'model',
        code: 'model_not_found',
      },
    );
  }
}

function expectMethod(request: IncomingMessage, method: string): void {
  if (request.method !== method) {
    throw new ApiError(405, `Expected ${method}, found ${request.method}`);
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** The parsed body; ApiError 413, 415 or 400. */
async function readJson(request: IncomingMessage, most: number): Promise<unknown> {
  const kind = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (kind !== 'application/json') {
    throw new ApiError(415, `Expected Content-Type application/json, found ${kind === '' ? 'none' : kind}`);
  }
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= most) return void chunks.push(chunk);
      request.pause(); // the connection is closed after the answer
      reject(new ApiError(413, `The body is larger than ${most} bytes`));
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', reject);
  });
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ApiError(400, `The body is no JSON text: ${errorMessage(error)}`);
  }
}
