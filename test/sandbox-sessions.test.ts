/** Sessions of the Python tool: one interpreter for several programs, what survives the death of one of them, and what does not. */
import test from 'ava';
import { openPythonTool, type PythonTool } from '../lib/tools/python.ts';
import type { ToolRequest } from '../lib/tools/tool.ts';
import { below, isAlive, request, until, untilIdle } from './support/tool.ts';

let tool: PythonTool;
let flat: PythonTool;
test.before(async () => {
  tool = await openPythonTool({ workers: 2 });
  flat = await openPythonTool({ workers: 2, testing: { without: ['namespaces'] } });
});
test.after.always(() => Promise.all([tool?.close(), flat?.close()]));

const cell = (session: string, code: string, changed: Partial<ToolRequest> = {}) =>
  request(code, { session, ...changed });

test.serial('no session of hundreds is lost, however soon its first cell ends', async (t) => {
  for (const mine of [tool, flat]) {
    const statuses = new Map<string, number>();
    const lane = async (_: unknown, number: number): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        const session = `short ${number} ${i}`;
        for (const code of ['x = 1', 'x']) {
          const { status } = await mine.run(cell(session, code));
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
        mine.endSession(session);
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    t.deepEqual([...statuses], [['ok', 960]]);
  }
});

test('variables, imports and functions live on, and a last expression is shown', async (t) => {
  const run = (code: string) => tool.run(cell('lives', code));
  t.is((await run('import math\nx = [1]\ndef f(n): return n + len(x)')).output, '');
  t.is((await run('x.append(2)\nf(40)')).output, '42\n');
  t.is((await run('None')).output, '');
  t.is((await run('"a\\nb"')).output, "'a\\nb'\n");
  t.is((await run('_')).output, "'a\\nb'\n");
  t.is((await run('for i in range(2): print(i)')).output, '0\n1\n');
  const failed = await run('x.append(3)\ny = 1 / 0');
  t.is(failed.status, 'exception');
  t.false(failed.sessionEnded);
  t.regex(
    failed.output,
    /^Traceback \(most recent call last\):\n {2}File "<cell 7>", line 2, in <module>\n {4}y = 1 \/ 0\n/,
  );
  t.is((await run('x')).output, '[1, 2, 3]\n', 'what a failed program did before it failed stays');
  t.regex((await run('f(')).output, /^ {2}File "<cell 9>", line 1[\s\S]*SyntaxError/);
  t.like(await run('exit(3)'), { status: 'exception', exitCode: 3, sessionEnded: false });
  t.is((await run('math.floor(2.5)')).output, '2\n');
});

test('a cell that must be killed costs its own changes only, for every way to die', async (t) => {
  const run = (code: string, changed: Partial<ToolRequest> = {}) => tool.run(cell('dies', code, changed));
  await run('x = 1');
  for (const [code, changed, status] of [
    ['x = 2\nwhile True: pass', { seconds: 0.2 }, 'timeout'],
    ['x = 2\nimport time\ntime.sleep(60)', { wallSeconds: 0.2 }, 'timeout'],
    ['x = 2\nimport os\nos._exit(0)', {}, 'ok'],
    ['x = 2\nimport os\nos.abort()', {}, 'exception'],
    ['x = 2\nimport ctypes\nctypes.string_at(0)', {}, 'exception'],
    ['x = 2\nwhile True: print("y" * 1000)', {}, 'output_limit'],
    ['x = 2\nimport os\nos.kill(os.getpid(), 9)', {}, 'exception'],
  ] as const) {
    const result = await run(code, changed);
    t.is(result.status, status, code);
    t.false(result.sessionEnded, code);
    t.is((await run('x')).output, '1\n', code);
  }
  const memory = await run('x = 2\ny = [0] * 10**10');
  t.is(memory.status, 'memory');
  t.is((await run('x')).output, '2\n', 'an exception is no death');
});

test('processes that a cell leaves are gone when it returns', async (t) => {
  await using tool = await openPythonTool({ workers: 1 });
  await tool.run(cell('warm', 'pass'));
  const before = below(tool.supervisorPid!).length;
  const run = (code: string) => tool.run(cell('leaves', code));
  await run(
    'import os, time\nfor i in range(5):\n  if os.fork() == 0:\n    os.setsid()\n    time.sleep(600)',
  );
  // An init and the interpreter itself.
  t.true(await until(() => below(tool.supervisorPid!).filter(isAlive).length <= before + 2, 1000));
  t.is((await run('1 + 1')).output, '2\n');
  const bomb =
    'n = 0\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(600)\n    n += 1\nexcept OSError: pass\nn < 100';
  t.is((await run(bomb)).output, 'True\n');
  t.is((await run('2 + 2')).output, '4\n');
  t.true(await until(() => below(tool.supervisorPid!).filter(isAlive).length <= before + 2, 1000));
});

test('programs of a session run one after the other, those of different sessions do not mix', async (t) => {
  const order = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      tool.run(cell(i % 2 === 0 ? 'even' : 'odd', `seen = globals().get("seen", []) + [${i}]\nseen`)),
    ),
  );
  t.deepEqual(
    order.map(({ output }) => output),
    [
      '[0]\n',
      '[1]\n',
      '[0, 2]\n',
      '[1, 3]\n',
      '[0, 2, 4]\n',
      '[1, 3, 5]\n',
      '[0, 2, 4, 6]\n',
      '[1, 3, 5, 7]\n',
    ],
  );
  const abort = new AbortController();
  const first = tool.run(cell('even', 'import time\ntime.sleep(0.3)'));
  const second = tool.run(cell('even', 'seen = None'), abort.signal);
  const third = tool.run(cell('even', 'len(seen)'));
  abort.abort();
  await t.throwsAsync(second, { name: 'AbortError' });
  t.is((await first).status, 'ok');
  t.is((await third).output, '4\n');
});

test('an ended session is gone, and its name begins another', async (t) => {
  await using tool = await openPythonTool({ workers: 1 });
  t.is((await tool.run(cell('ends', 'x = 1'))).status, 'ok');
  tool.endSession('ends');
  tool.endSession('ends');
  tool.endSession('never was');
  t.regex((await tool.run(cell('ends', 'x'))).output, /NameError/);
  const running = tool.run(cell('ends', 'import time\ntime.sleep(60)'));
  const waiting = tool.run(cell('ends', 'x'));
  t.true(await until(() => below(tool.supervisorPid!).length > 0, 1000));
  tool.endSession('ends');
  t.is((await running).status, 'infrastructure_error');
  t.regex((await waiting).output, /NameError/);
});

test('seeds reach every cell, and the same seed gives the same numbers', async (t) => {
  const numbers = async (session: string, seed: bigint) => {
    const { output } = await tool.run(cell(session, 'import random\nrandom.random()', { seed }));
    return output;
  };
  const [a, b] = [await numbers('seeded', 7n), await numbers('seeded', 8n)];
  t.not(a, b);
  t.is(await numbers('seeded', 7n), a);
  t.is(await numbers('seeded too', 8n), b);
});

test('threads that live on keep a cell from being a fork; then a killed cell ends the session', async (t) => {
  const run = (code: string, changed: Partial<ToolRequest> = {}) => tool.run(cell('threads', code, changed));
  const thread =
    'import threading, time\ncount = 0\ndef work():\n  global count\n  while True:\n    count += 1\n    time.sleep(0.001)\nthreading.Thread(target=work, daemon=True).start()';
  t.is((await run(thread)).status, 'ok');
  t.is((await run('before = count\ntime.sleep(0.1)\ncount > before')).output, 'True\n', 'it still runs');
  const killed = await run('while True: pass', { seconds: 0.2 });
  t.like(killed, { status: 'timeout', sessionEnded: true });
  t.regex(killed.output, /its variables are lost$/);
  t.regex((await run('count')).output, /NameError/, 'told once; a new one has begun');
});

test('without namespaces sessions work, and a killed cell ends its session', async (t) => {
  const run = (code: string, changed: Partial<ToolRequest> = {}) => flat.run(cell('flat', code, changed));
  await run('x = 1');
  t.is((await run('x')).output, '1\n');
  const killed = await run('while True: pass', { seconds: 0.2 });
  t.like(killed, { status: 'timeout', sessionEnded: true });
  t.regex((await run('x')).output, /NameError/);
  t.regex((await run('import os\nos.fork()')).output, /PermissionError/);
  flat.endSession('flat');
  await untilIdle(t, flat);
  await t.throwsAsync(async () => flat.run(request('1', { processes: 1 })), { message: /need namespaces/ });
});

test("a program that closes or floods the session's socket harms its own session only", async (t) => {
  for (const attack of [
    'os.close(3)',
    'os.write(3, b"x" * 100)',
    'os.write(3, bytes(192))',
    'os.dup2(1, 3)',
  ]) {
    const session = `socket ${attack}`;
    await tool.run(cell(session, 'import os\nx = 1'));
    const result = await tool.run(cell(session, `try: ${attack}\nexcept OSError: pass`, { wallSeconds: 5 }));
    t.not(result.status, 'infrastructure_error', attack);
    t.is((await tool.run(cell('bystander', '6 * 7'))).output, '42\n');
    const next = await tool.run(cell(session, '"x" in globals()'));
    t.true(
      ['True\n', 'False\n'].includes(next.output) || next.status === 'session_lost',
      `${attack}: ${next.output}`,
    );
    tool.endSession(session);
  }
});

test.serial(
  'a cell that keeps the next one from its beginning loses the session; the machinery has not failed',
  async (t) => {
    await using quick = await openPythonTool({ workers: 1, startSeconds: 5 });
    await using low = await openPythonTool({
      ...{ workers: 1, startSeconds: 5 },
      testing: { without: ['namespaces'] },
    });
    for (const mine of [quick, low]) {
      for (const code of [
        'import posix, time\nposix.read = lambda *all: time.sleep(1000)',
        'import posix, os\nposix.read = lambda *all: os._exit(0)',
        'import signal, os\nsignal.signal(signal.SIGCONT, lambda *all: os._exit(0))\nimport random\nrandom.seed = lambda *all: os._exit(0)',
      ]) {
        const first = await mine.run(cell(code, code));
        t.is(first.status, 'ok', code);
        const next = await mine.run(cell(code, 'print("began")'));
        t.like(next, { status: 'session_lost', sessionEnded: true }, `${code}: ${next.error}`);
        t.is((await mine.run(cell(code, 'print("again")'))).output, 'again\n', code);
        mine.endSession(code);
      }
    }
  },
);
