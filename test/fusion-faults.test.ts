/**
 * The client of a remote sandbox when things go wrong on the way, down to the bytes on the wire: a failure says nothing about the
 * program, costs a bounded time, and is tried again only where that may help.
 */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { openSandboxFusion } from '../lib/tools/fusion.ts';
import {
  fusionReply,
  httpMessage,
  type SandboxReply,
  scriptedRemote,
  scriptedSandbox,
} from './support/scripted-sandbox.ts';
import { request } from './support/tool.ts';

test('a failure that may pass is tried again, after pauses that grow, and no other is', async (t) => {
  const passing: SandboxReply[] = [
    'reset',
    { raw: httpMessage('{"status": "Succ', 400), after: 'reset' },
    { raw: httpMessage('{"status": "Succ', 400), after: 'end' },
    { raw: 'HTTP/1.1 200 OK\r\nContent-Ty', after: 'end' },
    { status: 502 },
    { status: 503, text: '{"detail":"busy"}' },
    { status: 504, text: '<html>Gateway Time-out</html>' },
    { json: { status: 'SandboxError', message: 'no room', run_result: null } },
  ];
  let script: readonly SandboxReply[] = [];
  let asked = 0;
  const { run, sandbox } = await scriptedRemote(t, () => script[asked++] ?? fusionReply('at last\n'));
  for (const failure of passing) {
    [script, asked] = [[failure], 0];
    t.like(await run(), { status: 'ok', output: 'at last\n' }, JSON.stringify(failure));
    t.is(asked, 2);
    [script, asked] = [[failure, failure, failure, failure], 0];
    const { status, output, stdout, error } = await run();
    t.is(asked, 4, JSON.stringify(failure));
    t.deepEqual([status, output, stdout], ['infrastructure_error', '', '']);
    t.log(error);
    t.regex(error!, new RegExp(`^${sandbox.url}/run_code: .*\\(attempt 4 of 4\\)$`));
  }
  const slow = await scriptedRemote(t, () => ({ status: 504 }), { attempts: 4, pauseSeconds: 0.1 });
  const start = performance.now();
  t.is((await slow.run()).status, 'infrastructure_error');
  const took = performance.now() - start;
  t.log(`pauses of 100, 200 and 400 ms, each of it or half less or more: ${took.toFixed(0)} ms`);
  t.true(took >= 349 && took < 1500);
});

test('a malformed reply says nothing about the program, and is not asked for again', async (t) => {
  const reply = fusionReply('4\n').json;
  const without = (key: string) => ({
    json: Object.fromEntries(Object.entries(reply).filter(([name]) => name !== key)),
  });
  const run = (changed: object) => fusionReply('4\n', {}, changed as Record<string, unknown>);
  const malformed: (SandboxReply | [SandboxReply, RegExp])[] = [
    [{ raw: httpMessage('{"status": "Succ'), after: 'stall' }, /expected JSON, found 16 bytes/],
    { raw: httpMessage(''), after: 'stall' },
    {
      raw: Buffer.concat([Buffer.from(httpMessage('', 3)), Buffer.from([0x22, 0xff, 0x22])]),
      after: 'stall',
    },
    [{ raw: 'HTTP/1.1 2OO FINE\r\n\r\n', after: 'stall' }, /Parse Error/],
    [{ raw: 'SSH-2.0-OpenSSH_9.2\r\n', after: 'stall' }, /Parse Error/],
    { json: null },
    { json: [] },
    { json: 'pong' },
    { json: { answer: 4 } },
    [without('status'), /expected one of Success, Failed, SandboxError for status, found undefined/],
    [without('run_result'), /expected a run_result with status Success, found none/],
    fusionReply('4\n', { status: 'Fine' }),
    fusionReply('4\n', { status: 'Failed' }),
    fusionReply('4\n', { files: [] }),
    fusionReply('4\n', { files: { a: 3 } }),
    fusionReply('4\n', { message: 3 }),
    fusionReply('4\n', { run_result: [] }),
    [
      run({ return_code: 1 }),
      /expected a result that agrees with status Success, found Finished with return code 1/,
    ],
    run({ return_code: '0' }),
    run({ return_code: 0.5 }),
    run({ return_code: null }),
    run({ stdout: 4 }),
    run({ stderr: {} }),
    run({ execution_time: '1' }),
    run({ execution_time: -1 }),
    run({ status: 'Error' }),
    run({ status: 'Done' }),
    { status: 200, text: '' },
    [{ status: 500, text: '{"detail":"boom","traceback":[]}' }, /status 500: "\{\\"detail\\":\\"boom/],
    [{ status: 422, text: '{"detail":[{"msg":"Field required"}]}' }, /status 422.*Field required/],
    { status: 400 },
    { status: 401 },
    { status: 404 },
    { status: 201, text: JSON.stringify(reply) },
    { status: 302 },
    [fusionReply('x'.repeat(20_000)), /an answer of more than 16384 bytes/],
    [{ raw: httpMessage('x', 2 ** 40), after: 'end' }, /an answer of more than/],
  ];
  let next: SandboxReply = 'stall';
  const { run: call, sandbox } = await scriptedRemote(t, () => next, { replyBytes: 16_384 });
  for (const entry of malformed) {
    const [given, message] = Array.isArray(entry) ? entry : [entry, /./];
    next = given;
    const before = sandbox.requests.length;
    const result = await call();
    const said = `${JSON.stringify(given).slice(0, 90)}: ${result.error}`;
    t.is(result.status, 'infrastructure_error', said);
    t.is(result.output + result.stdout + result.stderr, '', said);
    t.regex(result.error!, message, said);
    t.is(sandbox.requests.length - before, 1, said);
  }
});

test('a reply that comes twice, or with bytes behind it, is one answer and never that of another call', async (t) => {
  const message = (text: string) => httpMessage(JSON.stringify(fusionReply(text).json));
  let behind = '';
  let answered = 0;
  const { run, sandbox } = await scriptedRemote(
    t,
    ({ body }) => ({ raw: message(`${body.code as string}\n`) + behind, after: 'stall' }),
    { concurrency: 1 },
  );
  for (const extra of [
    message('of somebody else\n'),
    message('x').repeat(3),
    '{"status": "Success"}',
    '\r\n\r\n',
    '\0\0',
  ]) {
    behind = extra;
    for (let i = 0; i < 4; i++) {
      const code = `${JSON.stringify(extra).length}-${i}`;
      const result = await run({ code });
      if (result.status === 'ok') answered += 1;
      t.true(
        result.status === 'infrastructure_error' || result.stdout === `${code}\n`,
        `${extra}: ${result.stdout}`,
      );
    }
  }
  t.log(`${sandbox.requests.length} requests for 20 calls, ${answered} answered`);
  t.true(sandbox.requests.length <= 80);
  t.true(answered >= 8, 'a second reply does not spoil the first');
});

test('a huge answer is cut off while it is read', async (t) => {
  const piece = Buffer.alloc(2 ** 20, 0x20);
  let sent = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      if (String(data).includes('/v1/ping')) return void socket.end(httpMessage('"pong"'));
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const flood = (): void => {
        while (!socket.destroyed && sent < 2 ** 30) {
          sent += piece.length;
          if (!socket.write(Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]))) {
            return void socket.once('drain', flood);
          }
        }
      };
      flood();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const tool = await openSandboxFusion({ url: `http://127.0.0.1:${port}` });
  const result = await tool.run(request('print(1)'));
  t.is(result.status, 'infrastructure_error');
  t.regex(result.error!, /an answer of more than 16777216 bytes/);
  t.log(`${(sent / 2 ** 20).toFixed(0)} MiB left the server`);
  t.true(sent < 2 ** 26);
  await tool.close();
  server.close();
});

test('a remote that stalls costs the limits and the grace, once', async (t) => {
  const half = { raw: httpMessage('{"status": "Succ', 400), after: 'stall' } as const;
  for (const stalled of ['stall', half] as const) {
    // compile_timeout, 10 s, is part of the deadline: too long to wait for here.
    const { run, sandbox, tool } = await scriptedRemote(t, () => stalled, { graceSeconds: 0.2 });
    const start = performance.now();
    const waiting = run({ wallSeconds: 0.1 });
    await sleep(300);
    t.is(sandbox.requests.length, 1);
    if (stalled === half) {
      await tool.close();
      t.like(await waiting, { status: 'infrastructure_error' });
      continue;
    }
    const result = await waiting;
    const took = performance.now() - start;
    t.log(`${result.error}; ${took.toFixed(0)} ms`);
    t.is(result.status, 'infrastructure_error');
    t.regex(result.error!, /no whole answer within 10\.3 s$/);
    t.true(took > 10_200 && took < 14_000);
    t.is(sandbox.requests.length, 1, 'a program that may be running is not started again');
    await sleep(50);
    t.is(sandbox.left, 1, 'the connection is closed');
  }
});

test('opening needs a service that answers, and says what was found instead', async (t) => {
  const open = (url: string) => openSandboxFusion({ url, graceSeconds: 0.2 });
  const refused = (url: string, found: RegExp) =>
    t.throwsAsync(open(url), { code: 'ERR_REMOTE', message: found }, url);
  const answers: [SandboxReply, RegExp][] = [
    [{ status: 404, text: '{"detail":"Not Found"}' }, /found status 404: "\{\\"detail\\":\\"Not Found/],
    [{ json: 'ping' }, /\/v1\/ping: expected "pong", found status 200: "\\"ping\\""/],
    [{ raw: '220 mail ESMTP\r\n', after: 'stall' }, /found Parse Error/],
    ['stall', /found no whole answer within 0.2 s/],
    ['reset', /found read ECONNRESET/],
  ];
  for (const [ping, found] of answers) {
    const sandbox = await scriptedSandbox(() => 'stall', ping);
    await refused(sandbox.url, found);
    await sandbox.close();
  }
  const closed = await scriptedSandbox(() => 'stall');
  await closed.close();
  await refused(
    closed.url,
    /^no sandbox at http:\/\/127.0.0.1:\d+\/v1\/ping: .*ECONNREFUSED.*is the service running there/,
  );
  await refused('http://no-such-host.invalid', /ENOTFOUND|EAI_AGAIN/);

  const plain = await scriptedSandbox(() => fusionReply('1\n'), { status: 200, text: 'pong' });
  for (const suffix of ['', '/', '/run_code', '/run_code/']) {
    const tool = await open(plain.url + suffix);
    t.is((await tool.run(request('print(1)'))).status, 'ok', suffix);
    t.is(plain.requests.at(-1)!.path, '/run_code');
    await tool.close();
  }
  await plain.close();
});
