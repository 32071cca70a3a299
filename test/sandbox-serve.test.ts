/**
 * `toolgrad sandbox serve` with real programs behind real HTTP: as other clients of SandboxFusion's API meet it, and with our own
 * client at the other end. What the server refuses: sandbox-refusals.test.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { openSandboxServer, type RunningSandboxServer, replyOf } from '../lib/serve/sandbox-server.ts';
import { openSandboxFusion } from '../lib/tools/fusion.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { Tool, ToolRequest, ToolResult } from '../lib/tools/tool.ts';
import { openSetup } from '../lib/train/setup.ts';
import { folderWithBase, runConfig } from './support/runs.ts';
import { request } from './support/tool.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'sandbox-serve-'));
let here: Tool;
let server: RunningSandboxServer;
let far: Tool;

test.before(async () => {
  here = await openPythonTool({ workers: 2, temporaryDirectory: scratch });
  server = await openSandboxServer({ tool: here, workers: 2 });
  far = await openSandboxFusion({ url: server.url });
});
test.after.always(async () => {
  await far.close();
  await server.close(0);
  await here.close();
  rmSync(scratch, { recursive: true, force: true });
});

interface Reply {
  readonly status: string;
  readonly message: string;
  readonly compile_result: null;
  readonly run_result: Record<string, unknown>;
  readonly executor_pod_name: null;
  readonly files: Record<string, string>;
  readonly toolgrad: Record<string, unknown>;
}

async function post(
  body: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; reply: Reply }> {
  const response = await fetch(`${server.url}/run_code`, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
  return { status: response.status, reply: (await response.json()) as Reply };
}

test("SandboxFusion's Python client and verl's tool get what they expect, for the bytes they send", async (t) => {
  const ping = await fetch(`${server.url}/v1/ping`);
  t.is(ping.status, 200);
  t.is(await ping.text(), '"pong"');
  const bodies = {
    curl: '{"code": "print(\\"Hello, world!\\")", "language": "python"}',
    client:
      '{"compile_timeout": 10.0, "run_timeout": 10.0, "memory_limit_MB": -1, "code": "print(\\"Hello, world!\\")", ' +
      '"stdin": null, "language": "python", "files": {}, "fetch_files": []}',
    verl:
      '{"compile_timeout": 30, "run_timeout": 30, "code": "print(\\"Hello, world!\\")", "stdin": "None", ' +
      '"memory_limit_MB": 1024, "language": "python", "files": {}, "fetch_files": []}',
  };
  for (const [client, body] of Object.entries(bodies)) {
    const { status, reply } = await post(body, { Accept: 'application/json' });
    t.is(status, 200, client);
    const { toolgrad, ...defined } = reply;
    const { execution_time: time, ...run } = defined.run_result;
    t.true(typeof time === 'number' && time > 0 && time < 30, client);
    t.deepEqual(
      { ...defined, run_result: run },
      {
        status: 'Success',
        message: '',
        compile_result: null,
        run_result: { status: 'Finished', return_code: 0, stdout: 'Hello, world!\n', stderr: '' },
        executor_pod_name: null,
        files: {},
      },
      client,
    );
    t.is(toolgrad.status, 'ok');
  }
});

test("endings are in the API's words", async (t) => {
  const run = async (code: string, more: object = {}) =>
    (await post(JSON.stringify({ code, language: 'python', ...more }))).reply;
  const failed = await run('import sys\nprint(1)\nprint("ä", file=sys.stderr)\nsys.exit(3)');
  t.like(failed, { status: 'Failed', message: '' });
  t.like(failed.run_result, { status: 'Finished', return_code: 3, stdout: '1\n', stderr: 'ä\n' });
  const raised = await run('1/0');
  t.like(raised.run_result, { status: 'Finished', return_code: 1 });
  t.regex(raised.run_result.stderr as string, /ZeroDivisionError: division by zero\n$/);
  const killed = await run('import os, signal\nos.kill(os.getpid(), signal.SIGKILL)');
  t.like(killed.run_result, { status: 'Finished', return_code: -9 });
  const endless = await run('print("begun", flush=True)\nwhile True: pass', { run_timeout: 0.5 });
  t.is(endless.status, 'Failed');
  t.like(endless.run_result, { status: 'TimeLimitExceeded', return_code: null, stdout: 'begun\n' });
  t.true((endless.run_result.execution_time as number) >= 0.4);
  const asleep = await run('import time\ntime.sleep(60)', { run_timeout: 0.5 });
  t.like(asleep.run_result, { status: 'TimeLimitExceeded', return_code: null });
  const flood = await run('while True: print("x" * 4000)', { run_timeout: 30 });
  t.like(flood.run_result, { status: 'TimeLimitExceeded', return_code: null });
  t.true((flood.run_result.stdout as string).length >= 190_000, 'what a client can tell a flood by');
});

test('a program has the same end and the same text as here', async (t) => {
  const programs: [string, Partial<ToolRequest>?][] = [
    ['print(2**64)'],
    [''],
    ['print("héllo 🐍 日本")\n変数 = "✓"\nprint(変数)'],
    ['import sys\nsys.stdout.buffer.write(b"\\xff\\xfe\\x00ok\\n")\nprint("\\x1b[1mbold")'],
    ['import json\ndef f(x):\n    return json.loads(x)\nprint("before")\nf("{")'],
    ['def f(:\n'],
    ['import sys; sys.exit(7)'],
    ['raise SystemExit("a reason")'],
    ['import os, signal\nos.kill(os.getpid(), signal.SIGTERM)'],
    ['print("x" * 100000)', { outputBytes: 1000 }],
    ['x = bytearray(2**30)'],
    ['print(1, flush=True)\nwhile True: pass', { seconds: 0.5, wallSeconds: 0.5 }],
    ['import time\ntime.sleep(60)', { seconds: 0.5, wallSeconds: 0.5 }],
    ['import random, itertools, fractions\nprint(sum(fractions.Fraction(1, n) for n in range(1, 30)))'],
  ];
  for (const [code, changed] of programs) {
    const asked = request(code, changed);
    const [near, distant] = [await here.run(asked), await far.run(asked)];
    const compared = ({ status, output, exitCode, signal, callId }: ToolResult) =>
      // A program that runs out of time ends by a signal here; the API has no word for it.
      status === 'timeout' ? { status, output, callId } : { status, output, exitCode, signal, callId };
    t.deepEqual(compared(distant), compared(near), code);
    t.is(distant.error, undefined);
    if (near.status === 'ok' || near.status === 'exception') {
      t.is(distant.stdout, near.stdout, code);
      t.is(distant.truncatedBytes, near.truncatedBytes, code);
    }
    t.true(distant.seconds > 0 && distant.cpuSeconds > 0);
  }
  const flood = await far.run(request('while True: print("x" * 4000)'));
  t.is(flood.status, 'output_limit');
  t.regex(flood.output, /OutputLimitError: the program was stopped because it wrote more than 190000 bytes$/);
});

test('many calls at once come back to those who made them', async (t) => {
  const calls = Array.from({ length: 60 }, (_, i) =>
    far.run(request(`print(${i})`, { trajectory: `t${i % 7}` })),
  );
  const results = await Promise.all(calls);
  t.deepEqual(
    results.map(({ output }) => output),
    calls.map((_, i) => `${i}\n`),
  );
});

test('standard input arrives as it is, and is empty when none is given', async (t) => {
  const echo = 'import sys\nprint(repr(sys.stdin.read()))';
  t.is((await far.run(request(echo))).output, "''\n");
  t.is((await far.run(request(echo, { stdin: 'a\nbé🐍\r\n\0' }))).output, "'a\\nbé🐍\\r\\n\\x00'\n");
  const long = 'x'.repeat(2 ** 20);
  t.is((await far.run(request('print(len(input()))', { stdin: long }))).output, `${long.length}\n`);
  const none = await post(
    '{"code": "import sys; print(repr(sys.stdin.read()))", "language": "python", "stdin": "None"}',
  );
  t.is(none.reply.run_result.stdout, "'None'\n");
});

test('files go there and come back, to the byte', async (t) => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 7) % 256);
  const code = [
    'import os',
    'data = open("in/data.bin", "rb").read()',
    'os.makedirs("out", exist_ok=True)',
    'open("out/ürück.bin", "wb").write(data[::-1])',
    'open("empty", "w").close()',
    'print(len(data), sorted(os.listdir("in")))',
  ].join('\n');
  const result = await far.run(
    request(code, {
      files: { 'in/data.bin': bytes, 'in/ä.txt': Buffer.from('x') },
      fetch: ['out/ürück.bin', 'empty', 'missing.txt', 'out'],
    }),
  );
  t.is(result.output, "70000 ['data.bin', 'ä.txt']\n");
  t.deepEqual(Object.keys(result.files!).sort(), ['empty', 'out/ürück.bin']);
  t.deepEqual(Uint8Array.from(result.files!['out/ürück.bin']!), bytes.toReversed());
  t.is(result.files!.empty!.length, 0);

  const { reply } = await post(
    JSON.stringify({
      code: 'open("b.txt", "w").write(open("a.txt").read().upper())\nimport os\nprint(sorted(os.listdir()))',
      language: 'python',
      files: { 'a.txt': 'aGVs\nbG8=\n', 'skipped.txt': null, 'IGNORE_THIS_FILE.txt': 'eA==' },
      fetch_files: ['b.txt', 'c.txt'],
    }),
  );
  t.is(reply.status, 'Success');
  t.deepEqual(reply.files, { 'b.txt': Buffer.from('HELLO').toString('base64') });
  t.notRegex(reply.run_result.stdout as string, /skipped|IGNORE/);
});

test('a link to a file outside is not fetched', async (t) => {
  const code =
    'import os\nfor make in (lambda: os.symlink("/etc/passwd", "link"), lambda: os.mkfifo("pipe")):\n' +
    '    try: make()\n    except OSError as error: print(error)';
  const { files } = await far.run(request(code, { fetch: ['link', 'pipe'] }));
  t.deepEqual(files, {});
});

test('every status has its place in the API, and comes back as itself', async (t) => {
  const base = {
    callId: 'x',
    stdout: 'out',
    stderr: '',
    output: '',
    exitCode: null,
    signal: null,
    seconds: 1,
    cpuSeconds: 0.5,
    truncatedBytes: 3,
  };
  const cases: [Partial<ToolResult>, object][] = [
    [
      { status: 'ok', exitCode: 0 },
      { status: 'Success', return_code: 0 },
    ],
    [
      { status: 'exception', exitCode: 2 },
      { status: 'Failed', return_code: 2 },
    ],
    [
      { status: 'exception', signal: 'SIGSEGV' },
      { status: 'Failed', return_code: -11 },
    ],
    [
      { status: 'timeout', signal: 'SIGKILL', limit: 'processor' },
      { status: 'Failed', return_code: null },
    ],
    [
      { status: 'memory', exitCode: 1 },
      { status: 'Failed', return_code: 1 },
    ],
    [
      { status: 'memory', signal: 'SIGKILL' },
      { status: 'Failed', return_code: -9 },
    ],
    [
      { status: 'quota', exitCode: 0 },
      { status: 'Failed', return_code: -9 },
    ],
    [
      { status: 'output_limit', signal: 'SIGKILL' },
      { status: 'Failed', return_code: null },
    ],
  ];
  let result: ToolResult = { ...base, status: 'ok' };
  const scripted: Tool = {
    describe: 'a script',
    run: async (asked) => ({ ...result, callId: asked.callId }),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const other = await openSandboxServer({ tool: scripted, workers: 1 });
  await using tool = await openSandboxFusion({ url: other.url, attempts: 1 });
  for (const [given, expected] of cases) {
    result = { ...base, status: 'ok', ...given };
    const { status, run_result: run } = replyOf(result);
    t.deepEqual({ status, return_code: run!.return_code }, expected as object, given.status);
    const back = await tool.run(request('x'));
    t.like(back, { status: given.status!, cpuSeconds: 0.5, truncatedBytes: 3, stdout: 'out', seconds: 1 });
    if (given.limit !== undefined) t.is(back.limit, given.limit);
  }
  for (const status of ['infrastructure_error', 'session_lost'] as const) {
    result = { ...base, status, ...(status === 'session_lost' ? {} : { error: 'no interpreter' }) };
    t.like(replyOf(result), { status: 'SandboxError', run_result: null });
    const { status: back, error } = await tool.run(request('x'));
    t.is(back, 'infrastructure_error');
    t.regex(
      error!,
      status === 'session_lost' ? /SandboxError: the tool ended with session_lost/ : /no interpreter/,
    );
  }
  await other.close(0);
});

test('a run with tool.url sends its programs there', async (t) => {
  const { base, at } = await folderWithBase();
  const setup = await openSetup(runConfig(base, at('far'), [`tool.url=${server.url}`, 'tool.workers=3']));
  t.regex(
    setup.tool.describe,
    /^SandboxFusion API at http:.*, 3 at a time; remote, not verified by toolgrad/,
  );
  const result = await setup.tool.run({ callId: 'a', code: 'print(6 * 7)', ...setup.toolLimits });
  t.like(result, { status: 'ok', output: '42\n' });
  await setup.close();
  await t.throwsAsync(openSetup(runConfig(base, at('none'), ['tool.url=http://127.0.0.1:9'])), {
    code: 'ERR_REMOTE',
    message: /^no sandbox at http:\/\/127.0.0.1:9\/v1\/ping/,
  });
});
