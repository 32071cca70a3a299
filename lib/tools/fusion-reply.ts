/**
 * From a reply of `POST /run_code` to a result: the shape is checked field by field, statuses are translated, and the text for the
 * model is made as for programs that run here. Pure functions.
 * Invariant: a reply that is not exactly of the API's shape says nothing about the program.
 */
import {
  bytesOfBase64,
  type CommandResult,
  clocks,
  commandStatuses,
  programStatuses,
  type RunCodeReply,
  replyStatuses,
  signalName,
  type ToolgradFields,
} from './fusion-api.ts';
import { type KeptStream, modelView, streamText } from './output.ts';
import type { ToolRequest, ToolResult, ToolStatus } from './tool.ts';

/** A remote that reads output only at the end blocks its program at about this many bytes, and calls that a timeout. */
const kBlockedBytes = 190_000;

type Json = Readonly<Record<string, unknown>>;

/** A reply that is not of the API's shape; the message says what was expected and what was found. */
export class MalformedReply extends Error {}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}

function expected(what: string, field: string, found: unknown): never {
  throw new MalformedReply(`expected ${what} for ${field}, found ${shown(found)}`);
}

function objectOf(value: unknown, field: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    expected('an object', field, value);
  return value as Json;
}

function oneOf<T extends string>(value: unknown, names: readonly T[], field: string): T {
  return names.find((name) => name === value) ?? expected(`one of ${names.join(', ')}`, field, value);
}

function textOrNull(value: unknown, field: string): string | null {
  if (value == null) return null;
  return typeof value === 'string' ? value : expected('a string or null', field, value);
}

function amount(value: unknown, field: string): number {
  return typeof value === 'number' && value >= 0 ? value : expected('a number from 0', field, value);
}

function commandOf(value: unknown, field: string): CommandResult | null {
  if (value == null) return null;
  const { status, execution_time: time, return_code: code, stdout, stderr } = objectOf(value, field);
  if (code != null && !Number.isInteger(code)) expected('an integer or null', `${field}.return_code`, code);
  return {
    status: oneOf(status, commandStatuses, `${field}.status`),
    execution_time: time == null ? null : amount(time, `${field}.execution_time`),
    return_code: (code ?? null) as number | null,
    stdout: textOrNull(stdout, `${field}.stdout`),
    stderr: textOrNull(stderr, `${field}.stderr`),
  };
}

function ownFields(value: unknown): { toolgrad?: ToolgradFields } {
  if (value === undefined) return {};
  const fields = objectOf(value, 'toolgrad');
  return {
    toolgrad: {
      status: oneOf(fields.status, programStatuses, 'toolgrad.status'),
      limit: fields.limit == null ? null : oneOf(fields.limit, clocks, 'toolgrad.limit'),
      cpu_seconds: amount(fields.cpu_seconds, 'toolgrad.cpu_seconds'),
      truncated_bytes: amount(fields.truncated_bytes, 'toolgrad.truncated_bytes'),
    },
  };
}

/** Checks the body of a reply. @throws {MalformedReply} */
export function parseReply(body: Uint8Array): RunCodeReply {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    const start = Buffer.from(body.subarray(0, 120)).toString();
    throw new MalformedReply(
      `expected JSON, found ${body.length} bytes that begin with ${JSON.stringify(start)}`,
      { cause },
    );
  }
  const reply = objectOf(value, 'the reply');
  const files = reply.files === undefined ? {} : objectOf(reply.files, 'files');
  for (const [path, text] of Object.entries(files)) {
    if (typeof text !== 'string') expected('base64 text', `files[${JSON.stringify(path)}]`, text);
  }
  return {
    status: oneOf(reply.status, replyStatuses, 'status'),
    message: textOrNull(reply.message, 'message') ?? '',
    compile_result: commandOf(reply.compile_result, 'compile_result'),
    run_result: commandOf(reply.run_result, 'run_result'),
    executor_pod_name: textOrNull(reply.executor_pod_name, 'executor_pod_name'),
    files: files as Record<string, string>,
    ...ownFields(reply.toolgrad),
  };
}

/** Whether the last line of `stderr` that says something is about memory. */
function ranOutOfMemory(stderr: string): boolean {
  const last = stderr.trimEnd().slice(-1000).split('\n').at(-1)!;
  return /^(?:\w+\.)*\w*MemoryError\b|Cannot allocate memory/.test(last);
}

/** How the program ended, from the words of the API alone. */
function statusOf(run: CommandResult, stdout: string, stderr: string): ToolStatus {
  if (run.status === 'TimeLimitExceeded') {
    const most = Math.max(Buffer.byteLength(stdout), Buffer.byteLength(stderr));
    return most >= kBlockedBytes ? 'output_limit' : 'timeout';
  }
  if (run.return_code === 0) return 'ok';
  return ranOutOfMemory(stderr) ? 'memory' : 'exception';
}

/** The command that decided, if what the reply says of it agrees with the reply's status. */
function decisive({
  status,
  compile_result: compiled,
  run_result: run,
  toolgrad,
}: RunCodeReply): CommandResult {
  const command = run ?? compiled;
  if (command === null) throw new MalformedReply(`expected a run_result with status ${status}, found none`);
  const { status: ended, return_code: code } = command;
  const failed = ended === 'TimeLimitExceeded' || (ended === 'Finished' && code !== null && code !== 0);
  const succeeded = ended === 'Finished' && code === 0;
  const agrees = status === 'Success' ? succeeded : failed;
  if (agrees && (toolgrad === undefined || (toolgrad.status === 'ok') === succeeded)) return command;
  throw new MalformedReply(
    `expected a result that agrees with status ${status}, found ${ended} with return code ${code}` +
      (toolgrad === undefined ? '' : `, toolgrad.status ${toolgrad.status}`),
  );
}

const pathCharacter = /[\w.+/-]/;
const kLongestPath = 256;

/**
 * Hides where the remote keeps things: its temporary script is shown as `script.py`, its working directory as `/sandbox`, the
 * interpreter's library as `<python>`. Linear in the text's length, whatever the text is.
 */
export function hideRemotePaths(text: string): string {
  const marks = /\/tmp[a-z0-9_]{8}(?:\/tmp[a-z0-9_]{8}\.py)?(?![a-z0-9_])|\/lib\/python3\.\d{1,2}(?=\/)/g;
  let hidden = '';
  let done = 0;
  for (const { 0: mark, index } of text.matchAll(marks)) {
    let start = index;
    const first = Math.max(done, index - kLongestPath);
    while (start > first && pathCharacter.test(text[start - 1]!)) start--;
    const name = mark.startsWith('/lib/') ? '<python>' : mark.endsWith('.py') ? 'script.py' : '/sandbox';
    hidden += text.slice(done, start) + name;
    done = index + mark.length;
  }
  return hidden + text.slice(done);
}

/** The first and the last bytes of `text`, `most` together, as a tool here keeps them. */
function kept(text: string, most: number): KeptStream {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return { head: bytes, dropped: 0, tail: Buffer.alloc(0) };
  const tail = Math.floor(most / 2);
  return {
    head: bytes.subarray(0, most - tail),
    dropped: bytes.length - most,
    tail: bytes.subarray(bytes.length - tail),
  };
}

/** Those of the wanted files that came. @throws {MalformedReply} */
function fetched(request: ToolRequest, reply: RunCodeReply): Record<string, Uint8Array> {
  return Object.fromEntries(
    request.fetch!.flatMap((path) => {
      if (!Object.hasOwn(reply.files, path)) return [];
      const bytes = bytesOfBase64(reply.files[path]!);
      return [[path, bytes ?? expected('base64', `files[${JSON.stringify(path)}]`, reply.files[path])]];
    }),
  );
}

/** What a reply that is no SandboxError says of the program. @throws {MalformedReply} */
export function resultOfReply(request: ToolRequest, reply: RunCodeReply, wallSeconds: number): ToolResult {
  const run = decisive(reply);
  const { toolgrad } = reply;
  const stdout = run.stdout ?? '';
  const stderr = run.stderr ?? '';
  const status = toolgrad?.status ?? statusOf(run, stdout, stderr);
  const code = run.status === 'Finished' ? run.return_code : null;
  const ended = {
    exitCode: code !== null && code >= 0 ? code : null,
    signal: code !== null && code < 0 ? signalName(-code) : null,
  };
  const ending = {
    ...ended,
    status,
    seconds: wallSeconds,
    memoryBytes: request.memoryBytes,
    hardBytes: kBlockedBytes,
    fileBytes: request.fileBytes,
    sessionEnded: false,
  };
  const most = request.outputBytes;
  const streams = [kept(stdout, most), kept(stderr, most)] as const;
  const forModel = [stdout, stderr].map((text) => kept(hideRemotePaths(text), most));
  const nowhere = { workdir: '/sandbox', interpreter: [] };
  return {
    callId: request.callId,
    status,
    ...(status === 'timeout' ? { limit: toolgrad?.limit ?? 'wall' } : {}),
    stdout: streamText(streams[0]),
    stderr: streamText(streams[1]),
    output: modelView(forModel[0]!, forModel[1]!, ending, nowhere, most),
    ...ended,
    seconds: run.execution_time ?? 0,
    cpuSeconds: toolgrad?.cpu_seconds ?? 0,
    truncatedBytes: streams[0].dropped + streams[1].dropped + (toolgrad?.truncated_bytes ?? 0),
    ...(request.fetch === undefined ? {} : { files: fetched(request, reply) }),
  };
}
