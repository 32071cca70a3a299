/**
 * OpenAI's chat completions API over HTTP: POST /v1/chat/completions, GET /v1/models, GET /health.
 *
 * Made for this machine (http.ts). It binds to 127.0.0.1 unless told otherwise; a caller that goes away takes its request with it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage } from '../errors.ts';
import { packageVersion } from '../package.ts';
import { ApiError, errorBody } from './api-error.ts';
import { type ChatSettings, chatCompletion } from './chat-completion.ts';
import type { Completions } from './completions.ts';
import {
  callerGone,
  checkHost,
  checkKey,
  expectMethod,
  listen,
  mediaType,
  readBody,
  sendJson,
  utf8,
} from './http.ts';
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

/** Starts to listen. Rejects when the address is taken or not this machine's. */
export async function openServer(options: ServerOptions): Promise<RunningServer> {
  const { completions, chat, host = '127.0.0.1', port = 0, apiKey = null, bodyBytes = 4 * 2 ** 20 } = options;
  const started = Date.now();
  const listening = await listen({ host, port, answer, fail });
  return {
    host,
    port: listening.port,
    url: `${listening.origin}/v1`,
    close: (seconds) => listening.close(seconds, () => completions.close()),
  };

  async function answer(request: IncomingMessage, response: ServerResponse, closing: boolean): Promise<void> {
    checkHost(request, host);
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
    checkKey(request, apiKey);
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
    const gone = callerGone(response).signal;
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
      const whole = await chatCompletion(asked, chat, completions, onChunk, gone);
      if (whole !== null) return sendJson(response, 200, whole);
      response.end('data: [DONE]\n\n');
    } catch (error) {
      if (gone.aborted) return;
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
    sendJson(response, said.status, errorBody(said));
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

/** The parsed body; ApiError 413, 415 or 400. */
async function readJson(request: IncomingMessage, most: number): Promise<unknown> {
  const kind = mediaType(request);
  if (kind !== 'application/json') {
    throw new ApiError(415, `Expected Content-Type application/json, found ${kind === '' ? 'none' : kind}`);
  }
  const bytes = await readBody(request, most);
  try {
    return JSON.parse(utf8(bytes));
  } catch (error) {
    throw new ApiError(400, `The body is no JSON text: ${errorMessage(error)}`);
  }
}
