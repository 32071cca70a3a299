import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { openSandboxFusion, type SandboxFusionOptions } from '../lib/tools/fusion.ts';
import { hideRemotePaths } from '../lib/tools/fusion-reply.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { ToolResult } from '../lib/tools/tool.ts';
import {
  failedReply,
  fusionReply,
  type SandboxReply,
  type SeenRequest,
  scriptedRemote,
} from './support/scripted-sandbox.ts';
import { request } from './support/tool.ts';

test('a request is what the API defines, field by field', async (t) => {
  const { sandbox, run } = await scriptedRemote(t, () => fusionReply('1\n'), { apiKey: 'secret' });
  await run({ seconds: 2 });
  const { path, headers, body } = sandbox.requests[0]!;
  t.is(path, '/run_code');
  t.is(headers['content-type'], 'application/json');
  t.is(headers.authorization, 'Bearer secret');
  t.deepEqual(body, {
    compile_timeout: 10,
    run_timeout: 6,
    memory_limit_MB: 512,
    code: 'print(1)',
    language: 'python',
    files: {},
    fetch_files: [],
  });
  await run({
    code: '"\ud800🐍é"',
    stdin: 'a\ud800\n',
    wallSeconds: 7.5,
    memoryBytes: 2 ** 26 + 1,
    files: { 'a/b.bin': Uint8Array.of(0, 255, 10), ['__proto__']: Buffer.from('x') },
    fetch: ['out.txt'],
    seed: 3n,
    trajectory: 'x',
    processes: 0,
  });
  t.is(
    JSON.stringify(sandbox.requests[1]!.body),
    '{"compile_timeout":10,"run_timeout":7.5,"memory_limit_MB":64,"code":"\\"\ufffd🐍é\\"","stdin":"a\ufffd\\n",' +
      '"language":"python","files":{"a/b.bin":"AP8K","__proto__":"eA=="},"fetch_files":["out.txt"]}',
  );
});

test('each ending of the API is one of ours', async (t) => {
  const timed = (stdout: string, stderr = '') =>
    failedReply(stdout, { status: 'TimeLimitExceeded', return_code: null, execution_time: 30.01, stderr });
  const cases: [string, { json: unknown }, Partial<ToolResult>][] = [
    [
      'success',
      fusionReply('4\n'),
      { status: 'ok', stdout: '4\n', output: '4\n', exitCode: 0, signal: null, seconds: 0.0167 },
    ],
    [
      'no time',
      fusionReply('', {}, { execution_time: null, stdout: null, stderr: null }),
      { status: 'ok', output: '', seconds: 0 },
    ],
    [
      'exit status',
      failedReply('a\n', { return_code: 3 }),
      { status: 'exception', exitCode: 3, output: 'a\nThe program ended with exit status 3' },
    ],
    [
      'signal',
      failedReply('', { return_code: -11 }),
      {
        status: 'exception',
        exitCode: null,
        signal: 'SIGSEGV',
        output: 'The program was ended by signal SIGSEGV',
      },
    ],
    [
      'time',
      timed('begun\n'),
      {
        status: 'timeout',
        limit: 'wall',
        exitCode: null,
        signal: null,
        output: 'begun\nTimeoutError: the program was stopped after 30 s',
      },
    ],
    ['flood', timed('x'.repeat(190_000)), { status: 'output_limit', exitCode: null }],
    ['flood of errors', timed('', 'é'.repeat(95_000)), { status: 'output_limit', exitCode: null }],
    ['not quite a flood', timed('x'.repeat(189_999)), { status: 'timeout' }],
    [
      'memory',
      failedReply('', {
        stderr: 'Traceback (most recent call last):\n  File "script.py", line 1, in <module>\nMemoryError\n',
      }),
      { status: 'memory', exitCode: 1 },
    ],
    [
      'memory of numpy',
      failedReply('', { stderr: 'numpy.core._exceptions._ArrayMemoryError: Unable to allocate 9. TiB\n' }),
      { status: 'memory' },
    ],
    [
      'a word about memory',
      failedReply('MemoryError\n', { stderr: 'MemoryError: no\nKeyError: 3\n' }),
      { status: 'exception' },
    ],
    ['unknown fields', fusionReply('4\n', { more: 1 }, { more: 2 }), { status: 'ok' }],
  ];
  let reply: { json: unknown } = cases[0]![1];
  const { run, sandbox } = await scriptedRemote(t, () => reply);
  for (const [name, given, expected] of cases) {
    reply = given;
    const result = await run();
    t.like(result, expected, name);
    t.is(result.error, undefined, name);
    t.is(result.cpuSeconds, 0, name);
  }
  t.is(sandbox.requests.length, cases.length, 'one request each');
});

test('what our own server adds is taken at its word', async (t) => {
  const own = { limit: null, cpu_seconds: 1.5, truncated_bytes: 7 };
  let reply: SandboxReply = 'stall';
  const { run } = await scriptedRemote(t, () => reply);
  const toolgrad = { ...own, status: 'timeout', limit: 'processor' };
  reply = fusionReply('', { status: 'Failed', toolgrad }, { status: 'TimeLimitExceeded', return_code: null });
  t.like(await run(), { status: 'timeout', limit: 'processor', cpuSeconds: 1.5, truncatedBytes: 7 });
  for (const status of ['memory', 'quota', 'output_limit']) {
    reply = fusionReply('', { status: 'Failed', toolgrad: { ...own, status } }, { return_code: -9 });
    t.like(await run(), { status, signal: 'SIGKILL', exitCode: null });
  }
  for (const strange of [
    { ...own, status: 'infrastructure_error' },
    { ...own, status: 'ok', cpu_seconds: -1 },
    3,
    null,
  ]) {
    reply = fusionReply('', { toolgrad: strange });
    t.like(await run(), { status: 'infrastructure_error', output: '' });
  }
});

test('the model reads the same text as from a program that ran here', async (t) => {
  const directory = '/tmp/tmpab12cd_9';
  const script = `${directory}/tmpqwert_12.py`;
  const library = '/root/miniconda3/envs/sandbox-runtime/lib/python3.11';
  const code = [
    'import json, os',
    'print("before\\x1b[31m red\\x00", os.getcwd())',
    'def f(x):',
    '    return json.loads(x)',
    'f("{")',
  ].join('\n');
  await using here = await openPythonTool({ workers: 1 });
  const local = await here.run(request(code));
  const stderr = local.stderr
    .replaceAll('"script.py"', `"${script}"`)
    .replace(/"\/[^"]*\/json\//g, `"${library}/json/`);
  t.regex(stderr, /tmpqwert_12\.py", line 5.*sandbox-runtime.*decoder\.py/s);
  const { run } = await scriptedRemote(t, () =>
    failedReply(`before\u001b[31m red\u0000 ${directory}\n`, { stderr }),
  );
  const far = await run({ code });
  t.log(far.output);
  t.is(far.output, local.output);
  t.is(far.status, local.status);
  t.is(far.stderr, stderr, 'and the logs keep what came');
});

test('paths of the remote are hidden, in time that grows with the text alone', (t) => {
  const cases: [string, string][] = [
    ['/tmp/tmpabcdefgh/data.csv', '/sandbox/data.csv'],
    ['at /mnt/x/tmp/tmpabcdefgh', 'at /sandbox'],
    ['File "/tmp/tmpabcdefgh/tmp12345678.py"', 'File "script.py"'],
    ['/tmp/tmpabcdefgh/tmp12345678.py:3: SyntaxWarning: x', 'script.py:3: SyntaxWarning: x'],
    ['/usr/lib/python3.11/os.py /opt/a-b/lib/python3.9/x', '<python>/os.py <python>/x'],
    ['/tmp/tmpabcdefghi /tmp/tmpabc', '/tmp/tmpabcdefghi /tmp/tmpabc'],
    ['/tmp/tmpabcdefgh/tmp/tmpabcdefgh', '/sandbox/sandbox'],
  ];
  for (const [text, expected] of cases) t.is(hideRemotePaths(text), expected);
  for (const piece of [
    '/',
    '/a',
    '/tmp',
    '/tmp/tmpabcdefgh',
    '/lib/python3.',
    'a/lib/python3.1/',
    '  File "',
  ]) {
    const text = piece.repeat(2 ** 21 / piece.length);
    const start = performance.now();
    hideRemotePaths(text);
    const took = performance.now() - start;
    t.log(`${JSON.stringify(piece)} for 2 MiB: ${took.toFixed(0)} ms`);
    t.true(took < 2000);
  }
});

test('output that is too long keeps head and tail, and says what is missing', async (t) => {
  const { run } = await scriptedRemote(t, () => fusionReply(`${'é'.repeat(500)}${'z'.repeat(500)}`));
  const result = await run({ outputBytes: 101 });
  t.is(result.truncatedBytes, 1500 - 101);
  t.is(result.stdout, `${'é'.repeat(25)}\n... [1400 bytes omitted] ...\n${'z'.repeat(50)}`);
  t.is(result.output, result.stdout);
});

test('files come back as bytes: those that were asked for, and exactly', async (t) => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  let files: Record<string, unknown> = {
    'a.bin': Buffer.from(bytes).toString('base64'),
    'other.txt': 'eA==',
    ['__proto__']: 'eA==',
  };
  const { run } = await scriptedRemote(t, () => fusionReply('', { files }));
  const result = await run({ fetch: ['a.bin', 'missing.txt', '__proto__', 'toString'] });
  t.deepEqual(Object.keys(result.files!), ['a.bin', '__proto__']);
  t.deepEqual(Uint8Array.from(result.files!['a.bin']!), bytes);
  t.false('files' in (await run()));
  for (const wrong of ['%', 'YQ', 'YQ==YQ==', 'YR==', 3, null]) {
    files = { 'a.bin': wrong };
    const { status, error } = await run({ fetch: ['a.bin'] });
    t.is(status, 'infrastructure_error');
    t.regex(error!, /a malformed reply: expected base64/);
  }
});

test('an abort takes the request with it, running, pausing or waiting', async (t) => {
  const { tool, sandbox } = await scriptedRemote(
    t,
    (_, serial) => (serial === 0 ? 'stall' : { status: 503 }),
    {
      concurrency: 1,
      pauseSeconds: 60,
    },
  );
  const aborts = [1, 2, 3].map(() => new AbortController());
  const [running, pausing, waiting] = aborts.map(({ signal }, i) => tool.run(request(`${i}`), signal));
  const gone = (call: Promise<ToolResult> | undefined) =>
    t.throwsAsync(call!, { name: 'AbortError', code: 'ABORT_ERR', message: /was aborted$/ });
  await sleep(50);
  t.is(sandbox.requests.length, 1);
  aborts[2]!.abort();
  await gone(waiting);
  aborts[0]!.abort(new Error('enough'));
  await gone(running);
  await sleep(100);
  t.is(sandbox.left, 1, 'the connection of the running one is closed, so that its program is killed');
  t.is(sandbox.requests.length, 2, 'its place goes to the next');
  aborts[1]!.abort();
  await gone(pausing);
  const before = new AbortController();
  before.abort();
  await gone(tool.run(request('x'), before.signal));
  await sleep(50);
  t.deepEqual(
    sandbox.requests.map(({ body }) => body.code),
    ['0', '1'],
    'the one that waited was never sent',
  );
});

test('trajectories take turns, at most so many requests are open, and a wait has its deadline', async (t) => {
  const order: string[] = [];
  const script = async ({ body }: SeenRequest) => {
    order.push(body.code as string);
    await sleep(10);
    return fusionReply('1\n');
  };
  const { tool, sandbox } = await scriptedRemote(t, script, { concurrency: 2 });
  const call = (trajectory: string, i: number) => tool.run(request(`${trajectory}${i}`, { trajectory }));
  const calls = Array.from({ length: 8 }, (_, i) => call('greedy', i));
  calls.push(call('b', 0), call('c', 0), call('b', 1));
  await Promise.all(calls);
  t.is(sandbox.peak, 2);
  t.deepEqual(order.slice(0, 2).sort(), ['greedy0', 'greedy1']);
  t.deepEqual(order.slice(2), [
    'greedy2',
    'b0',
    'c0',
    'greedy3',
    'b1',
    'greedy4',
    'greedy5',
    'greedy6',
    'greedy7',
  ]);

  const slow = await scriptedRemote(t, () => 'stall', { concurrency: 1, queueSeconds: 0.05 });
  const running = slow.run();
  const start = performance.now();
  t.like(await slow.run(), { status: 'infrastructure_error', error: 'queue: no turn within 0.05 s' });
  t.true(performance.now() - start < 2000);
  await slow.tool.close();
  t.is((await running).status, 'infrastructure_error');
});

test('closing ends what runs and what waits, and nothing runs after it', async (t) => {
  const { tool, sandbox } = await scriptedRemote(t, () => 'stall', { concurrency: 1 });
  const calls = [1, 2].map((i) => tool.run(request(`${i}`)));
  await sleep(50);
  await Promise.all([tool.close(), tool.close()]);
  for (const call of calls)
    t.like(await call, { status: 'infrastructure_error', error: 'the tool was closed' });
  t.like(await tool.run(request('3')), { status: 'infrastructure_error', error: 'the tool is closed' });
  await sleep(50);
  t.is(sandbox.requests.length, 1);
  t.is(sandbox.left, 1);
});

test('what the remote cannot do is refused by name', async (t) => {
  const { tool, sandbox, run } = await scriptedRemote(t, () => fusionReply(''));
  t.throws(() => run({ session: 's' }), { instanceOf: RangeError, message: /expected no session/ });
  t.throws(() => run({ processes: 2 }), {
    instanceOf: RangeError,
    message: /expected processes 0.*found 2$/,
  });
  t.throws(() => run({ seconds: 0 }), { instanceOf: RangeError, message: /for seconds, found 0/ });
  t.is(tool.endSession, undefined);
  t.is(sandbox.requests.length, 0);
  t.is(
    tool.describe,
    `SandboxFusion API at ${sandbox.url}, 16 at a time; remote, not verified by toolgrad: its isolation is its own, and it knows no processor clock, file limits or seeds`,
  );
});

test('options are checked, and the error says which', async (t) => {
  const url = 'http://127.0.0.1:9';
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ url: 'localhost:8080' }, /expected an http\(s\) address for url, .*found "localhost:8080"/],
    [{ url: undefined }, /for url, .*found undefined/],
    [{ url: 'http://user:word@host' }, /expected a url without user/],
    [{ url: 'http://host/?a=1' }, /expected a url without/],
    [{ url, concurrency: 0 }, /from 1 to 4096 for concurrency, found 0/],
    [{ url, attempts: 1.5 }, /for attempts, found 1.5/],
    [{ url, queueSeconds: Number.NaN }, /for queueSeconds, found NaN/],
    [{ url, graceSeconds: -1 }, /for graceSeconds, found -1/],
    [{ url, pauseSeconds: 1e9 }, /for pauseSeconds/],
    [{ url, replyBytes: 10 }, /for replyBytes, found 10/],
    [{ url, apiKey: 'a b\n' }, /for apiKey$/],
  ];
  for (const [options, message] of cases) {
    const error = await t.throwsAsync(openSandboxFusion(options as unknown as SandboxFusionOptions), {
      message,
    });
    t.true(error instanceof TypeError || error instanceof RangeError);
  }
});
