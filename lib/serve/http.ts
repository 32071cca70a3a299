/**
 * What the servers of this package share: listening and an orderly end, bounded bodies, and the checks of who calls.
 *
 * Made for this machine. A server on the loopback answers only requests whose Host is the loopback's (a web page cannot reach it by
 * a name of its own), bodies are JSON and say so (a web page cannot post that without asking), and a key may be asked for.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiError } from './api-error.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Answers one request. `closing`: the server takes no new work. */
  answer(request: IncomingMessage, response: ServerResponse, closing: boolean): Promise<void>;
  /** Told what `answer` threw; ends the response if it can. */
  fail(response: ServerResponse, error: unknown): void;
}

export interface Listening {
  readonly port: number;
  /** `http://host:port`. */
  readonly origin: string;
  readonly closing: boolean;
  /** Takes no new requests, gives running ones `seconds` to end, calls `cut`, which must end the others, and closes. */
  close(seconds: number, cut: () => Promise<void>): Promise<void>;
}

/** What answers that were cut get to reach their callers. */
const kLastWordsMs = 1000;

const kLoopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

export function isLoopback(host: string): boolean {
  return kLoopback.test(host.includes(':') ? `[${host}]` : host);
}

/** Starts to listen. Rejects when the address is taken or not this machine's. */
export async function listen({ host, port, answer, fail }: ListenOptions): Promise<Listening> {
  const open = new Set<Promise<void>>();
  let closing = false;
  const server: Server = createServer((request, response) => {
    const work = answer(request, response, closing)
      .catch((error: unknown) => fail(response, error))
      .then(() => delivered(response));
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
  const allWithin = async (ms: number): Promise<void> => {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([Promise.all(open), deadline]);
    clearTimeout(timer);
  };
  return {
    port: bound,
    origin: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    get closing() {
      return closing;
    },
    async close(seconds, cut) {
      closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await allWithin(seconds * 1000);
      await cut();
      await allWithin(kLastWordsMs);
      server.closeAllConnections(); // callers that neither send the rest nor read
      await Promise.all(open);
      await closed;
    },
  };
}

/** The answer is on its way in full, or its caller has gone. */
function delivered(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.writableFinished || response.destroyed) resolve();
    else response.once('close', resolve);
  });
}

/** Aborts when the caller goes away before the answer is complete. */
export function callerGone(response: ServerResponse): AbortController {
  const gone = new AbortController();
  const leave = (): void => {
    if (!response.writableFinished) gone.abort(new Error('the caller has gone'));
  };
  if (response.destroyed) leave();
  else response.once('close', leave);
  return gone;
}

/** ApiError 403 when a server on the loopback is asked by another name. */
export function checkHost(request: IncomingMessage, host: string): void {
  const named = request.headers.host ?? '';
  if (isLoopback(host) && !kLoopback.test(named)) {
    throw new ApiError(403, `Expected the Host header to name this machine's loopback, found ${named}`);
  }
}

/** ApiError 401 unless the caller brings `key` as a bearer token; null = none is asked for. */
export function checkKey(request: IncomingMessage, key: string | null): void {
  if (key === null) return;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const given = request.headers.authorization ?? '';
  if (timingSafeEqual(digest(given), digest(`Bearer ${key}`))) return;
  throw new ApiError(401, 'Expected the key of this server as a bearer token', { code: 'invalid_api_key' });
}

export function expectMethod(request: IncomingMessage, method: string): void {
  if (request.method !== method) {
    throw new ApiError(405, `Expected ${method}, found ${request.method}`);
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  // What is left of a body that is too large is not read; a caller that is too early should not come back at once.
  if (status === 413) response.setHeader('Connection', 'close');
  if (status === 429 || status === 503) response.setHeader('Retry-After', '1');
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** The media type of the body, in lower case and without parameters; empty if none is named. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}

/** The whole body; ApiError 413 when it is larger than `most`. Rejects when the caller goes away. */
export function readBody(request: IncomingMessage, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
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
}

/** The text of bytes that must be UTF-8. @throws {TypeError} if they are not. */
export function utf8(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}
