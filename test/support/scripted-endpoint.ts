/** An outside service for tests: an OpenAI-compatible chat endpoint that says what the test tells it to. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ScriptedRequest {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly temperature?: number;
}

/** A text, a text with a reason for its end, a status without one, or nothing at all (the caller waits for ever). */
export type ScriptedReply =
  | string
  | { readonly text: string; readonly finish: string }
  | { readonly status: number }
  | 'hang';

export interface ScriptedEndpoint {
  readonly url: string;
  readonly requests: readonly (ScriptedRequest & { readonly authorization: string | undefined })[];
  /** Most requests that were open at once. */
  readonly peak: number;
  close(): Promise<void>;
}

/** Starts it on a free port. `delay` is in milliseconds. */
export async function scriptedEndpoint(
  reply: (request: ScriptedRequest, serial: number) => ScriptedReply,
  delay = 0,
): Promise<ScriptedEndpoint> {
  const requests: (ScriptedRequest & { authorization: string | undefined })[] = [];
  let open = 0;
  let peak = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as ScriptedRequest;
    const serial = requests.push({ ...body, authorization: request.headers.authorization }) - 1;
    open += 1;
    peak = Math.max(peak, open);
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    open -= 1;
    const said = reply(body, serial);
    if (said === 'hang') return;
    const status = typeof said === 'object' && 'status' in said ? said.status : 200;
    const text = typeof said === 'string' ? said : 'text' in said ? said.text : '';
    const finish = typeof said === 'object' && 'finish' in said ? said.finish : 'stop';
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(
      JSON.stringify(
        status === 200
          ? { choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: finish }] }
          : { error: { message: 'as scripted' } },
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    get peak() {
      return peak;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
