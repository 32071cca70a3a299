/**
 * A client of one HTTP server: connections are kept for the next request, and every request ends, with the whole answer or with an
 * `HttpFailure` that says of what kind. Answers are bounded while they are read. (Node's `fetch` gives up after five minutes
 * without an answer, whatever its signal says, and a program may take longer.)
 */
import { type IncomingHttpHeaders, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { request as secureRequest, Agent as TlsAgent } from 'node:https';
import { errorCode, errorMessage } from '../errors.ts';

/** connection: refused, reset, cut, unknown host. late: out of time. size: the answer is too long. protocol: it is no HTTP. */
export type HttpFailureKind = 'connection' | 'late' | 'size' | 'protocol' | 'aborted';

export class HttpFailure extends Error {
  readonly kind: HttpFailureKind;
  constructor(kind: HttpFailureKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

export interface HttpAsk {
  readonly method: 'GET' | 'POST';
  /** Below the server's URL, for example `/v1/ping`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: string;
  /** From the first byte sent to the last one received. */
  readonly seconds: number;
  /** Longest answer. */
  readonly mostBytes: number;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpClient {
  /** @throws {HttpFailure} (rejects) when there is no whole answer. */
  ask(ask: HttpAsk): Promise<HttpAnswer>;
  /** Closes idle connections. */
  close(): void;
}

/** `key` goes with every request as a bearer token. */
export function httpClient(url: URL, key: string | null): HttpClient {
  const secure = url.protocol === 'https:';
  const agent = new (secure ? TlsAgent : PlainAgent)({ keepAlive: true });
  const base = url.pathname.replace(/\/+$/, '');
  return {
    close: () => agent.destroy(),
    ask({ method, path, body, seconds, mostBytes, signal }) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new HttpFailure('aborted', 'the request was aborted'));
        const bytes = body === undefined ? null : Buffer.from(body);
        const outgoing = (secure ? secureRequest : plainRequest)({
          agent,
          method,
          hostname: url.hostname.replace(/^\[|\]$/g, ''),
          port: url.port,
          path: base + path,
          headers: {
            accept: 'application/json',
            ...(key === null ? {} : { authorization: `Bearer ${key}` }),
            ...(bytes === null
              ? {}
              : { 'content-type': 'application/json', 'content-length': String(bytes.length) }),
          },
        });
        const settle = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', aborted);
        };
        const fail = (kind: HttpFailureKind, message: string, cause?: unknown): void => {
          settle();
          reject(new HttpFailure(kind, message, cause === undefined ? {} : { cause }));
          outgoing.destroy();
        };
        const broken = (error: unknown): void => {
          const protocol = errorCode(error)?.startsWith('HPE_') === true;
          fail(protocol ? 'protocol' : 'connection', errorMessage(error) || String(errorCode(error)), error);
        };
        const aborted = (): void => fail('aborted', 'the request was aborted');
        const timer = setTimeout(
          () => fail('late', `no whole answer within ${Number(seconds.toFixed(3))} s`),
          seconds * 1000,
        );
        signal?.addEventListener('abort', aborted, { once: true });
        outgoing.on('error', broken);
        outgoing.on('response', (incoming) => {
          const chunks: Buffer[] = [];
          let size = 0;
          const tooLong = (): void => fail('size', `an answer of more than ${mostBytes} bytes`);
          incoming.on('error', broken);
          if (Number(incoming.headers['content-length'] ?? 0) > mostBytes) return tooLong();
          incoming.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size > mostBytes) tooLong();
            else chunks.push(chunk);
          });
          incoming.on('end', () => {
            if (!incoming.complete)
              return fail('connection', 'the connection ended in the middle of the answer');
            settle();
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: Buffer.concat(chunks),
            });
          });
        });
        outgoing.end(bytes);
      });
    },
  };
}
