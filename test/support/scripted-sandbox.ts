/** An outside service for tests: SandboxFusion's HTTP API, answered by the test, down to the bytes on the wire. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { openSandboxFusion, type SandboxFusionOptions } from '../../lib/tools/fusion.ts';
import type { Tool, ToolRequest, ToolResult } from '../../lib/tools/tool.ts';
import { request } from './tool.ts';

export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A JSON value (status 200), a status with a text, bytes for the socket and what becomes of it then, or no answer ever. */
export type SandboxReply =
  | { readonly json: unknown }
  | { readonly status: number; readonly text?: string }
  | { readonly raw: string | Buffer; readonly after: 'reset' | 'end' | 'stall' }
  | 'reset'
  | 'stall';

export interface ScriptedSandbox {
  readonly url: string;
  /** Those for /run_code. */
  readonly requests: readonly SeenRequest[];
  /** Most that were open at once, and those whose caller went away before the answer. */
  readonly peak: number;
  readonly left: number;
  close(): Promise<void>;
}

export interface ScriptedRemote {
  readonly tool: Tool;
  readonly sandbox: ScriptedSandbox;
  run(changed?: Partial<ToolRequest>): Promise<ToolResult>;
}

/** A reply as SandboxFusion writes it. */
export function fusionReply(
  stdout: string,
  changed: Readonly<Record<string, unknown>> = {},
  run: Readonly<Record<string, unknown>> = {},
): { json: Record<string, unknown> } {
  return {
    json: {
      status: 'Success',
      message: '',
      compile_result: null,
      run_result: {
        status: 'Finished',
        execution_time: 0.0167,
        return_code: 0,
        stdout,
        stderr: '',
        ...run,
      },
      executor_pod_name: null,
      files: {},
      ...changed,
    },
  };
}

/** A program that failed. */
export const failedReply = (stdout: string, run: Readonly<Record<string, unknown>>) =>
  fusionReply(stdout, { status: 'Failed' }, { return_code: 1, ...run });

/** An HTTP message with `body`, announced as `length` bytes. */
export function httpMessage(body: string, length = Buffer.byteLength(body)): string {
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

export type SandboxScript = (request: SeenRequest, serial: number) => SandboxReply | Promise<SandboxReply>;

/** Starts it on a free port; `ping` is what /v1/ping says. */
export async function scriptedSandbox(
  reply: SandboxScript,
  ping: SandboxReply = { json: 'pong' },
): Promise<ScriptedSandbox> {
  const requests: SeenRequest[] = [];
  let open = 0;
  let peak = 0;
  let left = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    let said = ping;
    if (request.url !== '/v1/ping') {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as SeenRequest['body'];
      const seen = { path: request.url ?? '', headers: request.headers, body };
      const serial = requests.push(seen) - 1;
      open += 1;
      peak = Math.max(peak, open);
      response.on('close', () => {
        open -= 1;
        if (!response.writableFinished) left += 1;
      });
      said = await reply(seen, serial);
    }
    if (response.destroyed) return;
    const { socket } = request; // the response of a caller that was already answered with raw bytes has none
    if (said === 'stall') return;
    if (said === 'reset') return void socket.resetAndDestroy();
    if ('raw' in said) {
      socket.write(said.raw);
      if (said.after === 'end') socket.end();
      if (said.after === 'reset') setTimeout(() => socket.resetAndDestroy(), 20);
      return;
    }
    const [status, text] = 'json' in said ? [200, JSON.stringify(said.json)] : [said.status, said.text ?? ''];
    response.writeHead(status, { 'Content-Type': 'application/json' });
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get peak() {
      return peak;
    },
    get left() {
      return left;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A tool whose remote answers by `script`; both are closed with the test. */
export async function scriptedRemote(
  t: ExecutionContext,
  script: SandboxScript,
  changed: Partial<SandboxFusionOptions> = {},
): Promise<ScriptedRemote> {
  const sandbox = await scriptedSandbox(script);
  const tool = await openSandboxFusion({ url: sandbox.url, pauseSeconds: 0.01, ...changed });
  t.teardown(async () => {
    await tool.close();
    await sandbox.close();
  });
  return { tool, sandbox, run: (more) => tool.run(request('print(1)', more)) };
}
