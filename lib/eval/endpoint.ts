/**
 * A chat endpoint in the manner of OpenAI's API (`POST <url>/chat/completions`), asked for one answer at a time: what a
 * guide or a judge can be, when it is not a local model. Failures of the network and of the server are tried again after a
 * pause; what the server refuses is an error at once. Nothing else is read from the environment than the key.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, ToolgradError } from '../errors.ts';
import type { ChatMessage } from '../text/chat.ts';

export interface EndpointOptions {
  /** Up to and without `/chat/completions`, for example `http://localhost:8000/v1`. */
  readonly url: string;
  readonly model: string;
  /** Sent as a bearer token; default: OPENAI_API_KEY where it is set; null = none. */
  readonly apiKey?: string | null;
  readonly temperature?: number;
  readonly maxTokens?: number;
  /** Of one request; default 120. */
  readonly seconds?: number;
  /** Times that a failed request is tried again; default 4. */
  readonly retries?: number;
  /** Pause before the first of these, doubled each time; default 1000 ms. */
  readonly pause?: number;
  /** Requests at once; default 8. */
  readonly concurrency?: number;
}

/** One answer, and why it ended (`stop`, `length`, ...). */
export interface EndpointAnswer {
  readonly text: string;
  readonly finish: string;
}

/** A request that the server refuses (a status from 400 on that no second try mends). */
export class EndpointRefusal extends ToolgradError {
  readonly status: number;
  constructor(status: number, message: string) {
    super('ERR_ENDPOINT', message);
    this.status = status;
  }
}

/** Asked with lists of messages; answers come in the same order. */
export interface ChatEndpoint {
  readonly describe: string;
  complete(conversations: readonly (readonly ChatMessage[])[], signal?: AbortSignal): Promise<string[]>;
}

/** Opens nothing: the first request is made by `complete`. */
export function chatEndpoint(options: EndpointOptions): ChatEndpoint {
  const { url, model, concurrency = 8 } = options;
  if (!/^https?:\/\//.test(url)) {
    throw new ToolgradError('ERR_USAGE', `endpoint: expected an http(s) URL, found ${JSON.stringify(url)}`);
  }
  return {
    describe: `${model} at ${url}`,
    async complete(conversations, signal) {
      const answers: string[] = new Array(conversations.length).fill('');
      let next = 0;
      const work = async () => {
        while (next < conversations.length) {
          const index = next++;
          answers[index] = (await askEndpoint(options, conversations[index]!, {}, signal)).text;
        }
      };
      await Promise.all(Array.from({ length: Math.min(concurrency, conversations.length) }, work));
      return answers;
    },
  };
}

/** A failure that may pass: of the network, of an overloaded or restarting server. */
class Passing extends Error {}

/** One request, tried again while its failure may pass. `fields` go into its body beside model and messages (`seed`, `stop`). */
export async function askEndpoint(
  options: EndpointOptions,
  messages: readonly ChatMessage[],
  fields: Readonly<Record<string, unknown>>,
  signal?: AbortSignal,
): Promise<EndpointAnswer> {
  const { url, retries = 4, pause = 1000 } = options;
  const address = `${url.replace(/\/+$/, '')}/chat/completions`;
  for (let attempt = 0; ; attempt++) {
    try {
      return await request(address, messages, options, fields, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Passing)) throw error;
      if (attempt === retries) {
        throw new ToolgradError(
          'ERR_ENDPOINT',
          `${address} failed ${attempt + 1} times; the last time: ${error.message}`,
          { cause: error },
        );
      }
      await sleep(pause * 2 ** attempt, undefined, signal === undefined ? {} : { signal });
    }
  }
}

async function request(
  address: string,
  messages: readonly ChatMessage[],
  options: EndpointOptions,
  fields: Readonly<Record<string, unknown>>,
  signal: AbortSignal | undefined,
): Promise<EndpointAnswer> {
  const { model, temperature = 0, maxTokens = 1024, seconds = 120 } = options;
  const apiKey = options.apiKey === undefined ? process.env.OPENAI_API_KEY : options.apiKey;
  const late = AbortSignal.timeout(seconds * 1000);
  let response: Response;
  let text: string;
  try {
    response = await fetch(address, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(apiKey == null ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ model, messages, temperature, max_tokens: maxTokens, ...fields }),
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    text = await response.text();
  } catch (cause) {
    const { cause: inner } = cause as { cause?: unknown };
    const reason = late.aborted
      ? `no answer within ${seconds} s`
      : errorMessage(inner instanceof Error ? inner : cause);
    throw new Passing(reason, { cause });
  }
  const said = `status ${response.status}: ${text.slice(0, 200)}`;
  if (response.status === 408 || response.status === 429 || response.status >= 500) throw new Passing(said);
  if (!response.ok) {
    throw new EndpointRefusal(response.status, `${address} refused the request with ${said}`);
  }
  const answer = answerOf(text);
  if (answer !== null) return answer;
  throw new ToolgradError(
    'ERR_ENDPOINT',
    `${address}: expected a chat completion with choices[0].message.content, found ${text.slice(0, 200)}`,
  );
}

function answerOf(text: string): EndpointAnswer | null {
  try {
    const { choices } = JSON.parse(text) as {
      choices: { message: { content: unknown }; finish_reason?: unknown }[];
    };
    const { message, finish_reason: finish } = choices[0]!;
    if (typeof message.content !== 'string') return null;
    return { text: message.content, finish: typeof finish === 'string' ? finish : 'stop' };
  } catch {
    return null; // said by the caller, with the text
  }
}
