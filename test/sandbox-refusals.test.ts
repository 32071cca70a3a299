/**
 * What `toolgrad sandbox serve` refuses, lowers and cuts: malformed requests, limits a caller cannot raise, too many calls, callers
 * that go away, other names, missing keys; and the command itself.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../lib/package.ts';
import {
  openSandboxServer,
  type RunningSandboxServer,
  type SandboxServerOptions,
} from '../lib/serve/sandbox-server.ts';
import { openSandboxFusion } from '../lib/tools/fusion.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { Tool } from '../lib/tools/tool.ts';
import { type ScriptedTool, scriptedTool } from './support/rollouts.ts';
import { request, untilIdle } from './support/tool.ts';

/** A server over a tool that answers at once, or after `delay` milliseconds. */
async function serve(
  t: ExecutionContext,
  options: Partial<SandboxServerOptions> = {},
  delay = 0,
): Promise<{ server: RunningSandboxServer; tool: ScriptedTool }> {
  const tool = scriptedTool(
    () => ({ status: 'ok', stdout: '1\n', exitCode: 0 }),
    () => delay,
  );
  const server = await openSandboxServer({ tool, workers: 2, ...options });
  t.teardown(() => server.close(0));
  return { server, tool };
}

async function post(
  server: RunningSandboxServer,
  body: unknown,
  headers: Record<string, string> = { 'Content-Type': 'application/json' },
): Promise<{ status: number; headers: Headers; body: { detail?: unknown; status?: string } }> {
  const response = await fetch(`${server.url}/run_code`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers,
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as { detail?: unknown; status?: string },
  };
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(5);
};

const program = { code: 'print(1)', language: 'python' };

test('a malformed body is status 422 with every fault and its place, as FastAPI says it', async (t) => {
  const { server, tool } = await serve(t);
  const cases: [unknown, [type: string, loc: (string | number)[]][]][] = [
    [
      {},
      [
        ['missing', ['code']],
        ['missing', ['language']],
      ],
    ],
    [{ ...program, code: 3 }, [['string_type', ['code']]]],
    [{ ...program, language: 'bash' }, [['literal_error', ['language']]]],
    [{ ...program, stdin: 3 }, [['string_type', ['stdin']]]],
    [{ ...program, run_timeout: '10' }, [['float_type', ['run_timeout']]]],
    [{ ...program, run_timeout: null }, [['float_type', ['run_timeout']]]],
    [{ ...program, run_timeout: 0 }, [['greater_than', ['run_timeout']]]],
    [{ ...program, compile_timeout: [] }, [['float_type', ['compile_timeout']]]],
    [{ ...program, memory_limit_MB: 0.5 }, [['int_from_float', ['memory_limit_MB']]]],
    [{ ...program, files: [] }, [['dict_type', ['files']]]],
    [
      { ...program, files: { a: 'YQ', b: 3 } },
      [
        ['value_error', ['files', 'a']],
        ['string_type', ['files', 'b']],
      ],
    ],
    [{ ...program, fetch_files: 'a' }, [['list_type', ['fetch_files']]]],
    [{ ...program, fetch_files: ['a', 3] }, [['string_type', ['fetch_files', 1]]]],
    [[], [['model_attributes_type', []]]],
    ['null', [['model_attributes_type', []]]],
    ['{"code": ', [['json_invalid', [0]]]],
    ['['.repeat(200_000), [['json_invalid', [0]]]],
    [
      `{"code": "x", "language": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      [['literal_error', ['language']]],
    ],
  ];
  for (const [body, faults] of cases) {
    const { status, body: said } = await post(server, body);
    t.is(status, 422);
    t.deepEqual(
      (said.detail as { type: string; loc: unknown[] }[]).map(({ type, loc }) => [type, loc]),
      faults.map(([type, loc]) => [type, ['body', ...loc]]),
      JSON.stringify(body).slice(0, 100),
    );
    t.true((said.detail as { msg: string }[]).every(({ msg }) => msg.length > 0));
  }
  t.is(tool.requests.length, 0, 'nothing was run');
});

test('paths that leave the working directory are refused', async (t) => {
  await using tool = await openPythonTool({ workers: 1 });
  const { server } = await serve(t, { tool });
  for (const bad of ['/etc/passwd', '../x', 'a/../../x', '', 'a//b', 'a\0b', './a']) {
    for (const fields of [{ files: { [bad]: 'eA==' } }, { fetch_files: [bad] }]) {
      const { status, body } = await post(server, { ...program, ...fields });
      t.is(status, 422, JSON.stringify(fields));
      t.regex(JSON.stringify(body), /expected relative paths/);
    }
  }
});

test('what a caller asks for is lowered to the limits of the server, and raised to what a program needs', async (t) => {
  const limits = { seconds: 5, memoryBytes: 2 ** 28, outputBytes: 1000, fileBytes: 2000 };
  const { server, tool } = await serve(t, { limits });
  const asked = async (fields: object) => {
    t.is((await post(server, { ...program, ...fields })).status, 200);
    const { callId: _, code: __, ...seen } = tool.requests.at(-1)!;
    return seen;
  };
  const most = { seconds: 5, wallSeconds: 5, memoryBytes: 2 ** 28, outputBytes: 1000, fileBytes: 2000 };
  t.deepEqual(await asked({}), most);
  t.deepEqual(await asked({ run_timeout: 1e9, memory_limit_MB: 1e9 }), most);
  t.deepEqual(await asked({ run_timeout: 1e308, memory_limit_MB: -5 }), most);
  t.deepEqual(
    await asked({ memory_limit_MB: 0, seconds: 99, outputBytes: 1e9, toolgrad: { seconds: 99 } }),
    most,
  );
  t.deepEqual(await asked({ run_timeout: 2.5, memory_limit_MB: 100 }), {
    ...most,
    seconds: 2.5,
    wallSeconds: 2.5,
    memoryBytes: 100 * 2 ** 20,
  });
  t.is((await asked({ memory_limit_MB: 1 })).memoryBytes, 2 ** 26);
  t.is((await asked({ run_timeout: 1e-9 })).seconds, 0.001);
  t.deepEqual(await asked({ stdin: '', files: { a: 'eA==', b: null }, fetch_files: ['c'] }), {
    ...most,
    stdin: '',
    files: { a: Buffer.from('x') },
    fetch: ['c'],
  });
});

test('a real program cannot outlast or outgrow the limits of the server', async (t) => {
  await using tool = await openPythonTool({ workers: 2 });
  const { server } = await serve(t, { tool, limits: { seconds: 0.5, memoryBytes: 2 ** 27 } });
  const start = performance.now();
  const endless = await post(server, { ...program, code: 'while True: pass', run_timeout: 1000 });
  t.regex(JSON.stringify(endless.body), /"TimeLimitExceeded"/);
  const large = await post(server, { ...program, code: 'x = bytearray(2**29)', memory_limit_MB: 100_000 });
  t.regex(JSON.stringify(large.body), /MemoryError.*"status":"memory"/);
  t.true(performance.now() - start < 30_000);
});

test('as many programs run as there are workers, a few wait, and the others are told to come back', async (t) => {
  const { server, tool } = await serve(t, { workers: 2, queue: 1 }, 1000);
  const calls = [1, 2, 3].map(() => post(server, program));
  await until(() => server.open === 3);
  const full = await post(server, program);
  t.is(full.status, 503);
  t.is(full.headers.get('retry-after'), '1');
  t.regex(String(full.body.detail), /1 calls are waiting/);
  t.deepEqual(
    (await Promise.all(calls)).map(({ status }) => status),
    [200, 200, 200],
  );
  t.is(tool.peak, 2);
  t.is(server.open, 0);
  t.is((await post(server, program)).status, 200, 'later there is room');
});

test('places go from hand to hand: never more programs than workers, and none is lost', async (t) => {
  const { server, tool } = await serve(t, { workers: 2, queue: 20 }, 20);
  for (const round of [1, 2]) {
    const calls = Array.from({ length: 12 }, () => post(server, program));
    t.true((await Promise.all(calls)).every(({ status }) => status === 200));
    t.is(tool.peak, 2, `round ${round}`);
  }
  t.is(tool.requests.length, 24);

  const single = await serve(t, { workers: 1 }, 1000);
  const running = post(single.server, program);
  await until(() => single.tool.requests.length === 1);
  await using client = await openSandboxFusion({ url: single.server.url, attempts: 1 });
  const leaving = new AbortController();
  const left = client.run(request('print(1)'), leaving.signal);
  await until(() => single.server.open === 2);
  leaving.abort();
  await t.throwsAsync(left, { name: 'AbortError' });
  await until(() => single.server.open === 1);
  t.is((await running).status, 200);
  t.is((await post(single.server, program)).status, 200, 'the place did not go to the one who left');
  t.is(single.tool.requests.length, 2);
});

test('a call waits for a place about as long as its caller does, then it is told', async (t) => {
  const { server } = await serve(t, { workers: 1 }, 7000);
  const running = post(server, program);
  await until(() => server.open === 1);
  const start = performance.now();
  const late = await post(server, { ...program, compile_timeout: -3 });
  const took = performance.now() - start;
  t.is(late.status, 504);
  t.is(late.body.detail, 'no place for this call within 5 s; come back later');
  t.true(took > 4900 && took < 6900);
  t.is((await running).status, 200);
});

test('our client takes as many places as the server has, and outlasts a server that is full', async (t) => {
  const { server, tool } = await serve(t, { workers: 3, queue: 0 }, 20);
  await using polite = await openSandboxFusion({ url: server.url });
  t.regex(polite.describe, /, 3 at a time;/);
  await using pushy = await openSandboxFusion({
    url: server.url,
    concurrency: 20,
    attempts: 30,
    pauseSeconds: 0.02,
  });
  const calls = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? polite : pushy).run(request('print(1)')));
  const results = await Promise.all(calls);
  t.deepEqual([...new Set(results.map(({ status, error }) => error ?? status))], ['ok']);
  t.is(tool.peak, 3);
  t.is(tool.requests.length, 40);
});

test('a program whose caller has gone is killed, and one that waits is never begun', async (t) => {
  await using tool = await openPythonTool({ workers: 1 });
  const { server } = await serve(t, { tool, workers: 1 });
  await using client = await openSandboxFusion({ url: server.url, concurrency: 2 });
  const aborts = [new AbortController(), new AbortController()];
  const calls = aborts.map(({ signal }) =>
    client.run(request('import time\ntime.sleep(100)', { seconds: 50 }), signal),
  );
  await until(() => server.open === 2);
  await sleep(300);
  for (const abort of aborts.reverse()) abort.abort();
  for (const call of calls) await t.throwsAsync(call, { name: 'AbortError' });
  await untilIdle(t, tool, 10_000);
  t.like(await client.run(request('print(1)')), { status: 'ok' }, 'and the place is free again');
  t.is(server.open, 0);
});

test('a failure of the tool is a SandboxError, is told to the server, and nothing else is', async (t) => {
  const told: string[] = [];
  const onError = (error: unknown) => told.push((error as Error).message);
  const broken = scriptedTool((_, serial) => {
    if (serial === 2) throw new Error('a defect');
    return serial === 0 ? { status: 'infrastructure_error', error: 'no interpreter' } : '';
  });
  const { server } = await serve(t, { tool: broken, onError });
  t.like((await post(server, program)).body, {
    status: 'SandboxError',
    message: 'no interpreter',
    run_result: null,
  });
  t.is((await post(server, program)).status, 200);
  const defect = await post(server, program);
  t.is(defect.status, 500);
  t.is(defect.body.detail, 'a defect');
  t.is((await post(server, {})).status, 422);
  t.deepEqual(told, ['no interpreter', 'a defect']);
});

test('other paths, methods, types, names and sizes are refused in words', async (t) => {
  const { server, tool } = await serve(t, { bodyBytes: 2000 });
  const ask = async (at: string, init: RequestInit = {}) => {
    const response = await fetch(server.url + at, init);
    return [response.status, ((await response.json()) as { detail: string }).detail] as const;
  };
  t.deepEqual(await ask('/run_jupyter', { method: 'POST', body: '{}' }), [
    404,
    'There is no /run_jupyter here; this server has POST /run_code and GET /v1/ping',
  ]);
  t.is((await ask('/'))[0], 404);
  t.deepEqual(await ask('/run_code'), [405, 'Expected POST, found GET']);
  t.is((await ask('/v1/ping', { method: 'POST' }))[0], 405);
  t.deepEqual(
    await ask('/run_code', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: ' '.repeat(2001),
    }),
    [413, 'The body is larger than 2000 bytes'],
  );
  // What a web page can send to any server without asking for leave.
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', '']) {
    const { status, body } = await post(server, program, { 'Content-Type': type });
    t.is(status, 422);
    t.regex(JSON.stringify(body), /Content-Type application\/json/);
  }
  const named = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { Host: 'evil.example:80', 'Content-Type': 'application/json' };
    const asked = httpRequest(`${server.url}/run_code`, { method: 'POST', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', reject).end(JSON.stringify(program));
  });
  t.is(named, 403);
  t.is(tool.requests.length, 0);
  t.is((await post(server, program)).status, 200);
});

test('a key is asked for where there is one, and a client without it hears so at once', async (t) => {
  const { server } = await serve(t, { apiKey: 'secret' });
  t.is((await post(server, program)).status, 401);
  const wrong = { 'Content-Type': 'application/json', Authorization: 'Bearer other' };
  t.is((await post(server, program, wrong)).status, 401);
  await t.throwsAsync(openSandboxFusion({ url: server.url, apiKey: null }), {
    code: 'ERR_REMOTE',
    message: /found status 401: .*Expected the key of this server/,
  });
  await using client = await openSandboxFusion({ url: server.url, apiKey: 'secret' });
  t.is((await client.run(request('print(1)'))).status, 'ok');
});

test('closing lets running programs end, cuts the others, and does not wait for callers that hang', async (t) => {
  const slow = await serve(t, {}, 300);
  const ending = post(slow.server, program);
  await until(() => slow.server.open === 1);
  await slow.server.close(10);
  t.is((await ending).status, 200);

  const stuck = await serve(t, {}, 60_000);
  const cut = post(stuck.server, program);
  const silent = connect(stuck.server.port, '127.0.0.1');
  silent.write(
    'POST /run_code HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{',
  );
  const silenced = once(silent, 'close');
  await until(() => stuck.server.open === 2);
  const start = performance.now();
  await stuck.server.close(0.1);
  const took = performance.now() - start;
  t.log(`closed after ${took.toFixed(0)} ms`);
  t.true(took < 5000);
  t.deepEqual((await cut).body, { detail: 'The server was shut down' });
  await silenced;
  t.is(stuck.server.open, 0);
});

test('options are checked: limits, counts, and addresses beyond this machine', async (t) => {
  const tool: Tool = scriptedTool(() => '');
  const cases: [Partial<SandboxServerOptions>, RegExp][] = [
    [
      { host: '0.0.0.0' },
      /whoever reaches the port can run programs here, unencrypted: that needs exposed: true/,
    ],
    [{ host: '::' }, /expected an address of this machine alone/],
    [{ workers: 0 }, /from 1 to 1024 for workers, found 0/],
    [{ queue: -1 }, /for queue, found -1/],
    [{ bodyBytes: 1.5 }, /for bodyBytes, found 1.5/],
    [{ limits: { seconds: 0 } }, /0.001 to 86400 for limits.seconds, found 0/],
    [{ limits: { memoryBytes: 1000 } }, /for limits.memoryBytes, found 1000/],
  ];
  for (const [options, message] of cases) {
    await t.throwsAsync(openSandboxServer({ tool, workers: 1, ...options }), {
      instanceOf: RangeError,
      message,
    });
  }
  const { server } = await serve(t, { host: '0.0.0.0', exposed: true });
  t.is((await fetch(`http://127.0.0.1:${server.port}/v1/ping`)).status, 200);
  await t.throwsAsync(
    openSandboxServer({ tool, workers: 1, port: server.port, host: '0.0.0.0', exposed: true }),
    {
      code: 'EADDRINUSE',
    },
  );
});

test('the command serves until SIGTERM, says where and for whom, and refuses what cannot be', async (t) => {
  const start = (...args: string[]) => {
    const cli = ['--import=tsx', path.join('lib', 'cli', 'main.ts'), 'sandbox', 'serve', ...args];
    const child = spawn(process.execPath, cli, { cwd: packageRoot });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    return { child, ended, out: () => out, err: () => err };
  };
  const running = start('--port', '0', '--workers', '1', '--run-timeout', '30');
  await until(() => running.out().includes('serving') || running.child.exitCode !== null);
  t.log(running.out());
  t.regex(
    running.out(),
    /^tool {4}Python 3.*\nlimits {2}30 s, 512 MiB of memory, 1 MiB of output, 16 MiB of files; 256 calls may wait\n/,
  );
  const url = /serving (http:\/\/127\.0\.0\.1:\d+\/run_code) \(this machine only, no key\)/.exec(
    running.out(),
  )![1]!;
  await using client = await openSandboxFusion({ url });
  t.like(await client.run(request('print(6 * 7)')), { status: 'ok', output: '42\n' });
  const last = client.run(request('import time\ntime.sleep(1)\nprint("in time")'));
  await sleep(300);
  running.child.kill('SIGTERM');
  t.like(await last, { status: 'ok', output: 'in time\n' });
  t.is(await running.ended, 0, running.err());
  t.regex(running.err(), /toolgrad: stopping; running programs get 10 s to end/);

  for (const [args, message] of [
    [['--host', '0.0.0.0'], /can run programs here, unencrypted; if that is meant, add --expose/],
    [['--port', '70000'], /--port: expected a whole number from 0 to 65535, found "70000"/],
    [['--run-timeout', '0'], /--run-timeout: expected seconds from 0.001 to 86400, found "0"/],
    [['--api-key-env', 'TOOLGRAD_NOT_SET'], /the environment variable TOOLGRAD_NOT_SET is not set/],
    [['--memory', 'all'], /--memory: expected a whole number from 64/],
  ] as const) {
    const refused = start(...args);
    t.is(await refused.ended, 2, refused.err());
    t.regex(refused.err(), message);
  }
});
