/**
 * Processes of the Python tool: concurrency, what calls leave behind (nothing), and what happens when a call is aborted or the
 * supervisor, a template or the trainer is killed.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { openPythonTool } from '../lib/tools/python.ts';
import { below, isAlive, request, stubborn, until, untilIdle } from './support/tool.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'tool-processes-'));
test.after.always(() => rmSync(scratch, { recursive: true, force: true }));

/** A program that runs three processes and a daemon in a session of its own, where processes are allowed. */
const swarm = `
import os, time
for i in range(3):
    if os.fork() == 0:
        if i == 0:
            os.setsid()
            if os.fork() == 0: time.sleep(600)
        time.sleep(600)
`;

test('processes of a program do not outlive it, whether they stay in its group or leave it', async (t) => {
  await using mine = await openPythonTool({ workers: 1 });
  const many = await mine.run(request(`${swarm}\nprint("done")`, { processes: 8 }));
  t.like(many, { status: 'ok', output: 'done\n' });
  await untilIdle(t, mine, 100);
  const late = await mine.run(request(`${swarm}\n${stubborn}`, { processes: 8, seconds: 0.3 }));
  t.like(late, { status: 'timeout', limit: 'processor', signal: 'SIGKILL' });
  await untilIdle(t, mine, 100);
  const bomb =
    'import os, time\nn = 0\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(600)\n    n += 1\nexcept OSError as error: print(n, error.errno)';
  const result = await mine.run(request(bomb, { processes: 8 }));
  t.regex(result.output, /^\d+ 11\n$/);
  t.true(Number.parseInt(result.output, 10) <= 8 + 64, result.output);
  await untilIdle(t, mine, 100);
  const none = await mine.run(request('import os\nos.fork()'));
  t.regex(none.output, /PermissionError/, 'and none is allowed by default');
});

test('an aborted call rejects with an AbortError, is killed, and frees its worker', async (t) => {
  await using mine = await openPythonTool({ workers: 1 });
  const controller = new AbortController();
  const queued = new AbortController();
  const first = mine.run(request(stubborn, { seconds: 60 }), controller.signal);
  const second = mine.run(request('print(1)'), queued.signal);
  const third = mine.run(request('print(2)'));
  t.true(await until(() => below(mine.supervisorPid!).length >= 3, 5000));
  queued.abort();
  await t.throwsAsync(second, { name: 'AbortError' });
  controller.abort(new Error('enough'));
  const error = await t.throwsAsync(first, { name: 'AbortError' });
  t.is((error.cause as Error).message, 'enough');
  t.is((await third).output, '2\n');
  await t.throwsAsync(mine.run(request('1'), AbortSignal.abort()), { name: 'AbortError' });
  const waiting = mine.run(request('import time; time.sleep(60)', { seconds: 60 }));
  await sleep(50);
  const all = [mine.supervisorPid!, ...below(mine.supervisorPid!)];
  await Promise.all([mine.close(), mine.close()]);
  t.like(await waiting, { status: 'infrastructure_error', error: 'the tool was closed', output: '' });
  t.like(await mine.run(request('1')), { status: 'infrastructure_error', error: 'the tool is closed' });
  t.true(await until(() => !all.some(isAlive), 1000), 'all its processes are gone');
});

test('programs and what makes them give way to the trainer; the supervisor, which judges them, does not', async (t) => {
  await using mine = await openPythonTool({ workers: 1 });
  const controller = new AbortController();
  const call = mine.run(request(stubborn, { seconds: 60 }), controller.signal);
  const all = () => [mine.supervisorPid!, ...below(mine.supervisorPid!)];
  t.true(await until(() => all().length >= 3, 5000), 'supervisor, template, and what is below it');
  const policyOf = (pid: number): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[38]); // field 41 of proc_pid_stat(5)
  };
  const own = policyOf(process.pid);
  const policies = all().map(policyOf);
  controller.abort();
  await t.throwsAsync(call, { name: 'AbortError' });
  t.deepEqual(
    [policies[0], ...new Set(policies.slice(1))],
    own === 0 ? [0, 3] : [own, own],
    'SCHED_OTHER and SCHED_BATCH of sched(7); a trainer under another policy keeps it for all',
  );
});

test.serial('two calls run at the same time, further ones wait, and the wait has a deadline', async (t) => {
  const code = 'import time; time.sleep(1); print(1)';
  await using two = await openPythonTool({ workers: 2 });
  const begin = performance.now();
  await Promise.all([two.run(request(code)), two.run(request(code))]);
  const took = performance.now() - begin;
  t.log(`two calls of a second took ${took.toFixed(0)} ms`);
  t.true(took < 1950);
  await using mine = await openPythonTool({ workers: 1, queueSeconds: 0.2 });
  const [first, second] = await Promise.all([mine.run(request(code)), mine.run(request(code))]);
  t.is(first.status, 'ok');
  t.like(second, {
    status: 'infrastructure_error',
    output: '',
    error: 'queue: no worker was free within 0.2 s',
  });
});

test.serial('calls that wait are taken from each trajectory in turn', async (t) => {
  await using mine = await openPythonTool({ workers: 1 });
  const order: string[] = [];
  const call = async (trajectory: string) => {
    await mine.run(request('pass', { trajectory }));
    order.push(trajectory);
  };
  await Promise.all([...['a', 'a', 'a', 'a'], ...['b', 'b'], 'c'].map(call));
  t.true(order.indexOf('b') <= 2 && order.indexOf('c') <= 3, order.join(''));
});

test.serial(
  'hundreds of calls leave no process and no descriptor, and the event loop stays free',
  async (t) => {
    await using mine = await openPythonTool({ workers: 2 });
    t.log(mine.describe);
    const descriptors = (): number => readdirSync(`/proc/${mine.supervisorPid}/fd`).length;
    await mine.run(request('print(1)'));
    await untilIdle(t, mine);
    const before = descriptors();
    let late = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      late = Math.max(late, performance.now() - last - 5);
      last = performance.now();
    }, 5);
    const begin = performance.now();
    const results = await Promise.all(
      Array.from({ length: 300 }, (_, i) => mine.run(request(i % 5 === 4 ? '1/0' : `print(${i})`))),
    );
    const seconds = (performance.now() - begin) / 1000;
    clearInterval(timer);
    t.deepEqual(
      results.map(({ output }, i) => (i % 5 === 4 ? /ZeroDivisionError/.test(output) : output === `${i}\n`)),
      Array.from({ length: 300 }, () => true),
    );
    t.log(
      `300 calls, 2 at a time: ${(300 / seconds).toFixed(0)} per second; event loop at most ${late.toFixed(0)} ms late`,
    );
    await untilIdle(t, mine);
    t.true(await until(() => descriptors() === before, 2000), `${before} descriptors, now ${descriptors()}`);
  },
);

test.serial(
  'when the supervisor is killed, calls are made again and it is replaced a few times',
  async (t) => {
    await using mine = await openPythonTool({ workers: 2, restarts: 1, retries: 1 });
    const calls = [
      mine.run(request('import time\ntime.sleep(1)\nprint("once more")')),
      mine.run(request('x = 1\nimport time\ntime.sleep(60)', { session: 's' })),
      mine.run(request('print("later")')),
    ];
    t.true(await until(() => below(mine.supervisorPid!).length >= 5, 5000));
    const pid = mine.supervisorPid!;
    const all = below(pid);
    process.kill(pid, 'SIGKILL');
    t.true(await until(() => !all.some(isAlive), 1000), 'nothing of it is alive a second later');
    t.like(await calls[1], {
      status: 'infrastructure_error',
      output: '',
      error: 'the supervisor died: it was ended by signal 9',
    });
    t.like(await calls[0], { status: 'ok', output: 'once more\n' });
    t.like(await calls[2], { status: 'ok', output: 'later\n' });
    t.like(await mine.run(request('print(x)', { session: 's' })), { status: 'session_lost' });
    t.not(mine.supervisorPid, pid);
    process.kill(mine.supervisorPid!, 'SIGKILL');
    await until(() => mine.supervisorPid === null, 1000);
    const { status, error } = await mine.run(request('print(1)'));
    t.is(status, 'infrastructure_error');
    t.regex(error!, /the supervisor died 2 times and is not replaced again; last: it was ended by signal 9/);
  },
);

test.serial('a template that is killed is replaced and its calls are made again', async (t) => {
  await using mine = await openPythonTool({ workers: 1 });
  const template = below(mine.supervisorPid!)[0]!;
  const call = mine.run(request('import time\ntime.sleep(0.5)\nprint("twice")'));
  t.true(await until(() => below(mine.supervisorPid!).length >= 3, 5000));
  process.kill(template, 'SIGKILL');
  t.like(await call, { status: 'ok', output: 'twice\n' });
  t.false(isAlive(template));
});

test.serial(
  'a supervisor that hangs is killed and replaced, and does not keep the tool from closing',
  async (t) => {
    const times = { startSeconds: 5, graceSeconds: 0.2, retries: 0 };
    const mine = await openPythonTool({ workers: 1, ...times });
    const first = mine.supervisorPid!;
    process.kill(first, 'SIGSTOP');
    const [lost, next] = await Promise.all([
      mine.run(request('print(1)', { seconds: 0.1, wallSeconds: 0.1 })),
      mine.run(request('print(2)')),
    ]);
    t.like(lost, { status: 'infrastructure_error', error: 'the supervisor did not answer within 5.3 s' });
    t.is(next.output, '2\n');
    const second = mine.supervisorPid!;
    t.not(second, first);
    process.kill(second, 'SIGSTOP');
    await mine.close();
    t.false(isAlive(first) || isAlive(second));
  },
);

test.serial('when the trainer is killed nothing is alive a second later', async (t) => {
  const module = new URL('../lib/tools/python.ts', import.meta.url).href;
  const program = (without: string) => `
    const { openPythonTool } = await import(${JSON.stringify(module)});
    const tool = await openPythonTool({ workers: 2, temporaryDirectory: ${JSON.stringify(scratch)}, testing: { without: ${without} } });
    const request = ${JSON.stringify(request(stubborn, { seconds: 60 }))};
    const runs = Promise.all([tool.run(request), tool.run({ ...request, session: 's' })]);
    console.log(tool.supervisorPid);
    await runs;`;
  const root = fileURLToPath(new URL('..', import.meta.url));
  for (const without of ['[]', '["namespaces"]']) {
    const trainer = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', program(without)], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => trainer.kill('SIGKILL'));
    let said = '';
    trainer.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    t.true(await until(() => said.endsWith('\n'), 20_000));
    const supervisor = Number(said);
    const enough = without === '[]' ? 6 : 4;
    t.true(await until(() => below(supervisor).length >= enough, 10_000), `${below(supervisor)}`);
    await sleep(100);
    const all = [supervisor, ...below(supervisor)];
    const begin = performance.now();
    trainer.kill('SIGKILL');
    t.true(await until(() => !all.some(isAlive), 1000), `${all.filter(isAlive)}`);
    t.log(`${all.length} processes gone after ${(performance.now() - begin).toFixed(0)} ms`);
    t.true(
      await until(() => !readdirSync(scratch).some((name) => name.startsWith('toolgrad-')), 1000),
      'and no directory is left',
    );
  }
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

test.serial('working directories on disk are swept up after a supervisor that was killed', async (t) => {
  const directory = mkdtempSync(path.join(scratch, 'sweep-'));
  const testing = { without: ['namespaces' as const] };
  await using mine = await openPythonTool({ workers: 1, retries: 0, temporaryDirectory: directory, testing });
  const call = mine.run(request('open("left", "w").close()\nimport time\ntime.sleep(60)'));
  const left = () => {
    const [root] = readdirSync(directory);
    return root !== undefined && readdirSync(path.join(directory, root)).length > 0;
  };
  t.true(await until(left, 5000));
  process.kill(mine.supervisorPid!, 'SIGKILL');
  t.is((await call).status, 'infrastructure_error');
  t.is((await mine.run(request('print(1)'))).output, '1\n');
  const roots = readdirSync(directory);
  t.is(roots.length, 1, 'that of the supervisor that runs');
  t.true(roots[0]!.startsWith(`toolgrad-${mine.supervisorPid}-`), `${roots}`);
});
