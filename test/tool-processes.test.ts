/**
 * Processes of the Python tool: concurrency, what calls leave behind (nothing), and what happens when a call is aborted or
 * the launcher, a warden or the trainer is killed. Processes are found through /proc, so most is skipped without one.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { openPythonTool } from '../lib/tools/python.ts';
import type { ToolRequest, ToolResult } from '../lib/tools/tool.ts';
import { alive, hasProc, isAlive, needsProc, request, swarm, untilGone, untilUp } from './support/tool.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'tool-processes-'));
test.after.always(() => rmSync(scratch, { recursive: true, force: true }));

test('children of a program do not outlive it, whether they stay in its group or leave it', async (t) => {
  if (!needsProc(t)) return;
  const directory = path.join(scratch, 'children');
  mkdirSync(directory);
  await using mine = await openPythonTool({ workers: 1, temporaryDirectory: directory });
  const go = (code: string, changed: Partial<ToolRequest> = {}): Promise<ToolResult> =>
    mine.run(request(code, changed));
  const marker = `1${process.pid}.25`;
  const { status } = await go(swarm(marker), { seconds: 1 });
  t.is(status, 'timeout');
  t.deepEqual(alive(marker), [], 'killed at the deadline');
  const quick = await go(swarm(marker).replace('while True: pass', 'print("done")'));
  t.like(quick, { status: 'ok', output: 'done\n' });
  t.deepEqual(alive(marker), [], 'killed after a normal end');
  const many = await go(
    `import os, time\nfor i in range(40):\n  if os.fork() == 0:\n    if i % 2: os.setsid()\n    time.sleep(${marker})\nprint(1)`,
  );
  t.is(many.status, 'ok');
  await untilGone(t, directory, directory, 0);
});

test('an aborted call rejects with an AbortError, is killed, and frees its worker', async (t) => {
  if (!needsProc(t)) return;
  const directory = path.join(scratch, 'abort');
  mkdirSync(directory);
  await using mine = await openPythonTool({ workers: 1, temporaryDirectory: directory });
  const marker = `2${process.pid}.25`;
  const controller = new AbortController();
  const queued = new AbortController();
  const first = mine.run(request(swarm(marker), { seconds: 60 }), controller.signal);
  const second = mine.run(request('print(1)'), queued.signal);
  const third = mine.run(request('print(2)'));
  await untilUp(directory, 1);
  queued.abort();
  await t.throwsAsync(second, { name: 'AbortError' });
  controller.abort(new Error('enough'));
  const error = await t.throwsAsync(first, { name: 'AbortError' });
  t.is((error.cause as Error).message, 'enough');
  t.is((await third).output, '2\n');
  t.deepEqual(alive(marker), []);
  await t.throwsAsync(mine.run(request('1'), AbortSignal.abort()), { name: 'AbortError' });
  const waiting = mine.run(request('import time; time.sleep(60)', { seconds: 60 }));
  await sleep(50);
  await Promise.all([mine.close(), mine.close()]);
  t.like(await waiting, { status: 'infrastructure_error', error: 'the tool was closed', output: '' });
  t.like(await mine.run(request('1')), { status: 'infrastructure_error', error: 'the tool is closed' });
  await untilGone(t, directory, directory, 0);
});

test.serial('two calls run at the same time, further ones wait, and the wait has a deadline', async (t) => {
  const code = 'import time; time.sleep(1); print(1)';
  await using two = await openPythonTool({ workers: 2, temporaryDirectory: scratch });
  const begin = performance.now();
  await Promise.all([two.run(request(code)), two.run(request(code))]);
  const took = performance.now() - begin;
  t.log(`two calls of a second took ${took.toFixed(0)} ms`);
  t.true(took < 1950);
  await using mine = await openPythonTool({ workers: 1, queueSeconds: 0.2, temporaryDirectory: scratch });
  const [first, second] = await Promise.all([mine.run(request(code)), mine.run(request(code))]);
  t.is(first.status, 'ok');
  t.like(second, {
    status: 'infrastructure_error',
    output: '',
    error: 'queue: no worker was free within 0.2 s',
  });
});

test.serial(
  'a hundred calls leave no process, descriptor or directory, and the event loop stays free',
  async (t) => {
    const directory = path.join(scratch, 'hundred');
    mkdirSync(directory);
    await using mine = await openPythonTool({ workers: 2, temporaryDirectory: directory });
    t.log(mine.describe);
    const descriptors = (): number => readdirSync(`/proc/${mine.launcherPid}/fd`).length;
    await mine.run(request('print(1)'));
    const before = hasProc ? descriptors() : 0;
    const alone: number[] = [];
    for (let i = 0; i < 20; i++) {
      const begin = performance.now();
      await mine.run(request('print(1)'));
      alone.push(performance.now() - begin);
    }
    let late = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      late = Math.max(late, performance.now() - last - 5);
      last = performance.now();
    }, 5);
    const begin = performance.now();
    const results = await Promise.all(
      Array.from({ length: 100 }, (_, i) => mine.run(request(i % 5 === 4 ? '1/0' : `print(${i})`))),
    );
    const seconds = (performance.now() - begin) / 1000;
    clearInterval(timer);
    t.deepEqual(
      results.map(({ output }, i) => (i % 5 === 4 ? /ZeroDivisionError/.test(output) : output === `${i}\n`)),
      Array.from({ length: 100 }, () => true),
    );
    alone.sort((a, b) => a - b);
    t.log(`one call: median ${alone[10]!.toFixed(1)} ms, best ${alone[0]!.toFixed(1)} ms`);
    t.log(
      `100 calls, 2 at a time: ${(100 / seconds).toFixed(0)} per second; event loop at most ${late.toFixed(0)} ms late`,
    );
    if (!needsProc(t)) return;
    await untilGone(t, directory, directory, 0);
    const children = (): string[] =>
      readdirSync('/proc').filter((pid) => {
        if (!/^\d+$/.test(pid)) return false;
        try {
          const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
          return stat.replace(/.*\) /, '').split(' ')[1] === String(mine.launcherPid);
        } catch {
          return false; // it ended between the listing and the reading
        }
      });
    // A warden ends a moment after its result was passed on; a zombie or a leaked descriptor would stay.
    const limit = performance.now() + 2000;
    while ((children().length > 0 || descriptors() !== before) && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    t.is(descriptors(), before);
    t.deepEqual(children(), [], 'no zombies');
  },
);

test.serial(
  'when the launcher is killed its calls end as infrastructure errors and it is replaced a few times',
  async (t) => {
    if (!needsProc(t)) return;
    const directory = path.join(scratch, 'launcher');
    mkdirSync(directory);
    await using mine = await openPythonTool({ workers: 2, restarts: 1, temporaryDirectory: directory });
    const marker = `3${process.pid}.25`;
    const calls = [1, 2, 3].map((i) =>
      mine.run(request(i < 3 ? swarm(marker) : 'print("later")', { seconds: 60 })),
    );
    await untilUp(directory, 2);
    const pid = mine.launcherPid!;
    process.kill(pid, 'SIGKILL');
    for (const call of calls.slice(0, 2)) {
      t.like(await call, {
        status: 'infrastructure_error',
        output: '',
        error: 'the launcher died: it ended with SIGKILL',
      });
    }
    await untilGone(t, marker, directory, 1000);
    t.like(
      await calls[2],
      { status: 'ok', output: 'later\n' },
      'a call in the queue goes to the new launcher',
    );
    t.not(mine.launcherPid, pid);
    process.kill(mine.launcherPid!, 'SIGKILL');
    while (mine.launcherPid !== null) await sleep(5);
    const { status, error } = await mine.run(request('print(1)'));
    t.is(status, 'infrastructure_error');
    t.regex(error!, /the launcher died 2 times and is not replaced again; last: it ended with SIGKILL/);
  },
);

test.serial(
  'a program that kills its supervisor ends as an infrastructure error and leaves nothing',
  async (t) => {
    if (!needsProc(t)) return;
    const directory = path.join(scratch, 'supervisor');
    mkdirSync(directory);
    await using mine = await openPythonTool({ workers: 1, temporaryDirectory: directory });
    const marker = `4${process.pid}.25`;
    const code = swarm(marker).replace('while True: pass', 'os.kill(os.getppid(), 9)\nwhile True: pass');
    const { status, error } = await mine.run(request(code, { seconds: 60 }));
    t.is(status, 'infrastructure_error');
    t.regex(error!, /the warden of the call died without an answer/);
    await untilGone(t, marker, directory, 1000);
    t.is((await mine.run(request('print(1)'))).output, '1\n');
    rmSync(directory, { recursive: true });
    const lost = await mine.run(request('print(1)'));
    t.is(lost.status, 'infrastructure_error', 'the directory for working directories is gone');
    t.regex(lost.error!, /the warden of the call failed: FileNotFoundError/);
  },
);

test.serial(
  'a launcher that hangs is killed and replaced, and does not keep the tool from closing',
  async (t) => {
    if (!needsProc(t)) return;
    const times = { startSeconds: 5, graceSeconds: 0.2 };
    const mine = await openPythonTool({ workers: 1, temporaryDirectory: scratch, ...times });
    const first = mine.launcherPid!;
    process.kill(first, 'SIGSTOP');
    const [lost, next] = await Promise.all([
      mine.run(request('print(1)', { seconds: 0.1 })),
      mine.run(request('print(2)')),
    ]);
    t.like(lost, { status: 'infrastructure_error', error: 'the launcher did not answer within 5.3 s' });
    t.is(next.output, '2\n');
    const second = mine.launcherPid!;
    t.not(second, first);
    process.kill(second, 'SIGSTOP');
    await mine.close();
    t.false(isAlive(`${first}`) || isAlive(`${second}`));
  },
);

test.serial('when the trainer is killed nothing is alive a second later', async (t) => {
  if (!needsProc(t)) return;
  const directory = path.join(scratch, 'trainer');
  mkdirSync(directory);
  const marker = `5${process.pid}.25`;
  const module = new URL('../lib/tools/python.ts', import.meta.url).href;
  const program = `
    const { openPythonTool } = await import(${JSON.stringify(module)});
    const tool = await openPythonTool({ workers: 2, temporaryDirectory: ${JSON.stringify(directory)} });
    console.log(tool.launcherPid);
    const request = ${JSON.stringify(request(swarm(marker), { seconds: 60 }))};
    await Promise.all([tool.run(request), tool.run(request)]);`;
  const root = fileURLToPath(new URL('..', import.meta.url));
  const trainer = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', program], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => trainer.kill('SIGKILL'));
  let launcher = '';
  trainer.stdout.on('data', (chunk: Buffer) => {
    launcher += chunk.toString();
  });
  await untilUp(directory, 2);
  const sleepers = (): number => alive(`sleep\0${marker}`).length;
  for (const until = performance.now() + 5000; sleepers() < 4 && performance.now() < until; ) await sleep(10);
  t.is(sleepers(), 4, 'a child and a daemon of each program');
  trainer.kill('SIGKILL');
  await untilGone(t, marker, directory, 1000);
  t.regex(launcher, /^\d+\n$/);
  const until = performance.now() + 1000;
  while (isAlive(launcher.trim()) && performance.now() < until) await sleep(5);
  t.false(isAlive(launcher.trim()), 'the launcher has ended');
});

test.serial('a trainer that forgets to close the tool can end', async (t) => {
  const module = new URL('../lib/tools/python.ts', import.meta.url).href;
  const program = `
    const { openPythonTool } = await import(${JSON.stringify(module)});
    const tool = await openPythonTool({ workers: 1 });
    const { output } = await tool.run(${JSON.stringify(request('print("bye")'))});
    process.stdout.write(output);`;
  const root = fileURLToPath(new URL('..', import.meta.url));
  const trainer = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', program], {
    cwd: root,
  });
  let output = '';
  trainer.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise((resolve) => trainer.on('exit', resolve));
  t.is(code, 0);
  t.is(output, 'bye\n');
});
