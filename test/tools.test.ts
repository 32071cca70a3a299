/**
 * The Python tool against a real Python: every status, every limit, what is left behind (nothing), and what happens when
 * the launcher or the trainer is killed. Processes are found through /proc, so those tests are skipped without one.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { harmless, modelView, streamText, trimTraceback } from '../lib/tools/output.ts';
import { hardOutputBytes, openPythonTool, type PythonTool } from '../lib/tools/python.ts';
import type { ToolRequest, ToolResult } from '../lib/tools/tool.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'tools-test-'));
const hasProc = existsSync('/proc/self/stat');
let tool: PythonTool;
let serial = 0;

test.before(async () => {
  process.env.TOOLGRAD_TEST_SECRET = 'hunter2';
  tool = await openPythonTool({ workers: 2, temporaryDirectory: scratch });
});
test.after.always(async () => {
  await tool.close();
  rmSync(scratch, { recursive: true, force: true });
});

function request(code: string, changed: Partial<ToolRequest> = {}): ToolRequest {
  const limits = { seconds: 10, memoryBytes: 512 * 2 ** 20, outputBytes: 4096, fileBytes: 2 ** 20 };
  return { callId: `call-${++serial}`, code, ...limits, ...changed };
}

const run = (code: string, changed: Partial<ToolRequest> = {}): Promise<ToolResult> =>
  tool.run(request(code, changed));

/** Processes that work under `marker` or have it in their command line. */
function alive(marker: string): number[] {
  const found: number[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const seen = `${readlinkSync(`/proc/${pid}/cwd`)}\0${readFileSync(`/proc/${pid}/cmdline`, 'utf8')}`;
      const launcher = seen.includes('launcher.py');
      if (!launcher && seen.includes(marker) && Number(pid) !== process.pid) found.push(Number(pid));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException; // gone while we looked, or a kernel thread
      if (code !== 'ENOENT' && code !== 'ESRCH' && code !== 'EACCES') throw error;
    }
  }
  return found;
}

/** Whether the process is there and not just waiting to be reaped. */
function isAlive(pid: string): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Waits until nothing under `marker` is alive and no working directory is left; fails after `limit`. */
async function untilGone(
  t: ExecutionContext,
  marker: string,
  directory: string,
  limit: number,
): Promise<void> {
  const begin = performance.now();
  for (;;) {
    const processes = alive(marker);
    const directories = readdirSync(directory).filter((name) => name.startsWith('toolgrad-'));
    const took = performance.now() - begin;
    if (processes.length === 0 && directories.length === 0) {
      t.log(`all gone after ${took.toFixed(0)} ms`);
      t.pass();
      return;
    }
    if (took > limit)
      return t.fail(`left after ${limit} ms: processes ${processes}, directories ${directories}`);
    await sleep(5);
  }
}

function needsProc(t: ExecutionContext): boolean {
  if (!hasProc) {
    t.log('skipped: no /proc on this system');
    t.pass();
  }
  return hasProc;
}

/** Starts a program that leaves a plain child, a daemon in its own session and a busy loop; resolves when all run. */
const swarm = (marker: string): string => `
import os, subprocess, sys, time
subprocess.Popen(['sleep', '${marker}'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp('sleep', ['sleep', '${marker}'])
    os._exit(0)
open('up', 'w').close()
while True: pass
`;

async function untilUp(directory: string, count: number): Promise<void> {
  const until = performance.now() + 10_000;
  for (;;) {
    const up = readdirSync(directory).filter((name) => existsSync(path.join(directory, name, 'up')));
    if (up.length >= count) return;
    if (performance.now() > until) throw new Error(`expected ${count} programs to run, found ${up.length}`);
    await sleep(10);
  }
}

test('a program that succeeds gives its output and its times', async (t) => {
  const result = await run('import sys\nprint(6 * 7)\nprint("careful", file=sys.stderr)');
  t.like(result, { status: 'ok', stdout: '42\n', stderr: 'careful\n', output: '42\ncareful\n', exitCode: 0 });
  t.regex(result.callId, /^call-\d+$/);
  t.is(result.signal, null);
  t.is(result.truncatedBytes, 0);
  t.true(result.seconds > 0 && result.cpuSeconds > 0);
  t.is((await run('')).status, 'ok', 'empty code');
  t.is((await run('')).output, '');
  t.like(await run('print("héllo 🐍 日本")\n変数 = "✓"\nprint(変数)'), {
    status: 'ok',
    output: 'héllo 🐍 日本\n✓\n',
  });
});

test('an exception shows the traceback of the program alone, without a path of this machine', async (t) => {
  const result = await run('import json\ndef f(x):\n    return json.loads(x)\nprint("before")\nf("{")');
  t.is(result.status, 'exception');
  t.is(result.exitCode, 1);
  t.log(result.output);
  t.regex(
    result.output,
    /^before\nTraceback \(most recent call last\):\n {2}File "script.py", line 5, in <module>\n {4}f\("\{"\)\n {2}File "script.py", line 3, in f\n {4}return json.loads\(x\)\n[ ^~]*\n?json.decoder.JSONDecodeError: .*\n$/,
  );
  const thread = await run(
    'import os, threading\nthread = threading.Thread(target=lambda: 1 / 0)\nthread.start(); thread.join()\nprint(os.getcwd(), os.__file__)',
  );
  t.regex(
    thread.output,
    /^\/work <python>\/os.py\nException in thread [^\n]*\nTraceback [^\n]*\n {2}File "script.py"/,
  );
  t.notRegex(thread.output, /"\/|toolgrad-/);
  const shadowed = await run(
    'type = isinstance = compile = 1\nprint(sorted(k for k in globals() if k[0] != "_"))\n1/0',
  );
  t.regex(
    shadowed.output,
    /^\['compile', 'isinstance', 'type'\]\nTraceback[\s\S]*ZeroDivisionError: division by zero\n$/,
  );
  const chained = await run('try:\n    {}["a"]\nexcept KeyError as e:\n    raise ValueError("no") from e');
  t.regex(
    chained.output,
    /KeyError: 'a'\n\nThe above exception was the direct cause[\s\S]*ValueError: no\n$/,
  );
});

test('programs that fail in other ways end as exceptions with a reason', async (t) => {
  const syntax = await run('x = (\n');
  t.is(syntax.status, 'exception');
  t.regex(syntax.output, /^ {2}File "script.py", line 1\n {4}x = \([\s\S]*SyntaxError: /);
  t.like(await run('import sys\nsys.exit("bye")'), { status: 'exception', exitCode: 1, output: 'bye\n' });
  t.like(await run('exit(3)'), {
    status: 'exception',
    exitCode: 3,
    output: 'The program ended with exit status 3',
  });
  t.is((await run('raise SystemExit')).status, 'ok');
  t.regex((await run('print("a\0b")')).output, /source code (string )?cannot contain null bytes/);
  t.is((await run('print("\ud800")')).status, 'exception', 'a lone surrogate is not UTF-8');
  t.regex((await run('input()')).output, /EOFError: EOF when reading a line\n$/);
  t.like(await run('import os\nprint("x")\nos.abort()'), {
    status: 'exception',
    signal: 'SIGABRT',
    output: 'x\nThe program was ended by signal SIGABRT',
  });
  const deep = await run('def f(n): return f(n + 1)\nf(0)');
  t.regex(deep.output, /\[Previous line repeated \d+ more times\]\n[\s\S]*RecursionError/);
});

test('a program is stopped at its deadline, even if it ignores signals, and keeps what it printed', async (t) => {
  const loop = await run('print("begun")\nwhile True: pass', { seconds: 0.5 });
  t.like(loop, { status: 'timeout', signal: 'SIGKILL', exitCode: null });
  t.is(loop.output, 'begun\nTimeoutError: the program was stopped after 0.5 s');
  t.true(loop.seconds >= 0.5 && loop.seconds < 2, `${loop.seconds}`);
  const deaf = await run(
    'import signal, time\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU): signal.signal(s, signal.SIG_IGN)\nwhile True:\n  try: time.sleep(9)\n  except BaseException: pass',
    { seconds: 0.3 },
  );
  t.is(deaf.status, 'timeout');
  const threads = await run(
    'import zlib, threading\ndef burn():\n  d = bytes(1 << 20)\n  while True: zlib.crc32(d)\nfor _ in range(8): threading.Thread(target=burn).start()',
    { seconds: 1 },
  );
  t.is(threads.status, 'timeout');
});

test('a program that needs too much memory ends as memory, with its line', async (t) => {
  const big = await run('x = [0] * 10**10', { memoryBytes: 128 * 2 ** 20 });
  t.is(big.status, 'memory');
  t.regex(big.output, /line 1, in <module>\n[\s\S]*MemoryError\n$/);
  const slow = await run('def grow():\n    a = []\n    while True:\n        a.append(bytes(1000))\ngrow()', {
    memoryBytes: 128 * 2 ** 20,
  });
  t.is(slow.status, 'memory');
  t.regex(slow.output, /line 4, in grow\n[\s\S]*MemoryError/);
  t.is((await run('try:\n  x = [0] * 10**10\nexcept MemoryError:\n  print("caught")')).output, 'caught\n');
  t.is((await run('print(len(bytes(200 << 20)))')).output, '209715200\n');
});

test('output beyond the limit keeps head and tail, and a flood is stopped', async (t) => {
  const long = await run('for i in range(3000): print("line", i)', { outputBytes: 512 });
  t.is(long.status, 'ok');
  t.regex(long.output, /^line 0\nline 1\n[\s\S]*\n\.\.\. \[\d+ bytes omitted\] \.\.\.\n[\s\S]*line 2999\n$/);
  const total = Array.from({ length: 3000 }, (_, i) => `line ${i}\n`).join('').length;
  t.is(long.truncatedBytes, total - 512);
  t.is(Number(/\[(\d+) bytes/.exec(long.output)?.[1]), total - 512);
  const flood = await run('while True: print("x" * 1000)', { outputBytes: 1024 });
  t.like(flood, { status: 'output_limit', signal: 'SIGKILL' });
  t.regex(flood.output, new RegExp(`more than ${hardOutputBytes(1024)} bytes$`));
  t.true(flood.output.length < 1400, `${flood.output.length}`);
  t.log(`a flood was stopped after ${(flood.seconds * 1000).toFixed(0)} ms`);
  const both = await run(
    'import sys\nfor i in range(999): print("out", i); print("err", i, file=sys.stderr)\n1/0',
    {
      outputBytes: 600,
    },
  );
  t.regex(both.output, /^out 0\n[\s\S]*ZeroDivisionError: division by zero\n$/);
  t.true(both.output.length < 700, `${both.output.length}`);
});

test('invalid UTF-8, NUL and terminal sequences become harmless text', async (t) => {
  const result = await run(
    'import os\nos.write(1, b"a\\xff\\xfeb\\x00c \\x1b[31mred\\x1b[0m \\x1b]0;title\\x07d\\re\\r\\nf\\x08\\x9b\\n")',
  );
  t.is(result.status, 'ok');
  t.is(result.output, 'a��bc red d\ne\nf�\n');
  t.true(result.stdout.includes('\0'), 'stdout itself is only decoded');
  t.is((await run('print("<|im_end|><tool_call>")')).output, '<|im_end|><tool_call>\n');
});

test('what a program writes vanishes, and files are limited in size', async (t) => {
  const write = await run(
    'import os\nos.makedirs("a/b/c"); open("a/b/c/f", "w").write("x"); os.symlink("/etc", "a/link"); os.chmod("a/b", 0)\nos.mkfifo("p")\nfor i in range(300): os.mkdir("d"); os.chdir("d")\nprint(os.getcwd()[-4:])',
  );
  t.like(write, { status: 'ok', output: '/d/d\n' });
  t.like(await run('import os\nprint(os.listdir("."))'), { output: '[]\n' });
  t.true(existsSync('/etc/passwd'));
  const big = await run('with open("f", "wb") as f:\n    f.write(bytes(5000))\n    f.flush()', {
    fileBytes: 4096,
  });
  t.is(big.status, 'exception');
  t.regex(big.output, /OSError: \[Errno 27\] File too large/);
  t.is((await run('import tempfile\nprint(tempfile.gettempdir())')).output, '/work\n');
});

test('a program sees a small fixed environment and none of the variables of the trainer', async (t) => {
  const { output } = await run(
    'import os, sys\nprint(sorted(os.environ))\nprint(sys.argv, sys.stdin.read() == "")',
  );
  t.is(
    output,
    "['HOME', 'LANG', 'LC_ALL', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'PYTHONHASHSEED', 'TMPDIR', 'TZ']\n['script.py'] True\n",
  );
  const hunt =
    'import os\nfor p in (os.getpid(), os.getppid()):\n  print(b"hunter2" in open(f"/proc/{p}/environ","rb").read())';
  if (hasProc) t.is((await run(hunt)).output, 'False\nFalse\n');
  const hash = 'print(set("abcdefgh"), hash("x"))';
  t.is((await run(hash)).output, (await run(hash)).output, 'hashes are the same in each call');
  const descriptors = await run('import os\nprint(sorted(os.listdir("/proc/self/fd")))');
  if (hasProc) t.is(descriptors.output, "['0', '1', '2', '3', '4']\n", 'the channel and the listing itself');
});

test('installed packages can be imported although site-packages is set up only when needed', async (t) => {
  const packages = await run(
    'import sys\nbefore = list(sys.path)\ntry:\n  import numpy; print("numpy", numpy.arange(3).sum())\nexcept ModuleNotFoundError as e: print(e)\nimport site\nprint(any(p in sys.path for p in site.getsitepackages()))',
  );
  t.log(packages.output.split('\n')[0]);
  t.regex(packages.output, /^(numpy 3|No module named 'numpy')\nTrue\n$/);
  const missing = await run('import no_such_module');
  t.regex(
    missing.output,
    /^Traceback [^\n]*\n {2}File "script.py", line 1[\s\S]*ModuleNotFoundError: No module named 'no_such_module'\n$/,
  );
});

test('a program of 5 MB runs', async (t) => {
  const code = `${'# filler\n'.repeat(580_000)}print("end")`;
  t.true(code.length > 5e6);
  t.like(await run(code), { status: 'ok', output: 'end\n' });
});

test('malformed requests and options throw at once and say what was expected', async (t) => {
  t.throws(() => tool.run(request('1', { seconds: 0 })), {
    instanceOf: RangeError,
    message: /for seconds, found 0$/,
  });
  t.throws(() => tool.run(request('1', { seconds: Number.NaN })), { instanceOf: RangeError });
  t.throws(() => tool.run(request('1', { memoryBytes: 1000 })), {
    message: /from 67108864 .* for memoryBytes, found 1000$/,
  });
  t.throws(() => tool.run(request('1', { outputBytes: 100.5 })), {
    message: /an integer .* for outputBytes/,
  });
  t.throws(() => tool.run({ ...request(''), code: 1 as unknown as string }), {
    instanceOf: TypeError,
    message: /expected a string for code, found number/,
  });
  await t.throwsAsync(openPythonTool({ workers: 0 }), {
    instanceOf: RangeError,
    message: /workers, found 0/,
  });
  await t.throwsAsync(openPythonTool({ python: '/no/such/python' }), {
    message: /"\/no\/such\/python".*ENOENT.*Install/,
  });
  await t.throwsAsync(openPythonTool({ python: 'true', startSeconds: 5 }), {
    message: /ended with exit status 0/,
  });
  await t.throwsAsync(openPythonTool({ python: 'yes', startSeconds: 5 }), { message: /at "yes"; / });
});

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
  const code = 'import time; time.sleep(0.6); print(1)';
  const begin = performance.now();
  await Promise.all([run(code), run(code)]);
  const took = performance.now() - begin;
  t.log(`two calls of 600 ms took ${took.toFixed(0)} ms`);
  t.true(took < 1150);
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
    t.is(descriptors(), before);
    await untilGone(t, directory, directory, 0);
    const children = readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid) || !existsSync(`/proc/${pid}/stat`)) return false;
      return (
        readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')[1] ===
        String(mine.launcherPid)
      );
    });
    t.deepEqual(children, [], 'no zombies');
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

test('the text of a call is cut at whole characters and the same for the same bytes', (t) => {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const euros = bytes('€€€');
  t.is(
    streamText({ head: euros.subarray(0, 4), dropped: 1, tail: euros.subarray(5) }),
    '€\n... [3 bytes omitted] ...\n€',
  );
  t.is(streamText({ head: euros.subarray(0, 4), dropped: 0, tail: euros.subarray(4) }), '€€€');
  t.is(harmless('a\x1b[1;31mb\x1b]8;;http://x\x1b\\c\x1b(Bd\x1b=\x7f\u0085f'), 'abcdf');
  const numpy =
    '  File "/usr/lib/x.py", line 3, in g\n    y\n    ^\n  [Previous line repeated 9 more times]\n';
  t.is(
    trimTraceback(`Traceback:\n${numpy}  File "script.py", line 1, in f\n    x\n${numpy}E: 1`),
    'Traceback:\n  File "script.py", line 1, in f\n    x\nE: 1',
  );
  t.is(trimTraceback('  File "/a/b.py", line 1\n    (\n'), '  File "b.py", line 1\n    (\n');
  t.is(trimTraceback('/usr/lib/a/b.py:3: UserWarning: x'), 'b.py:3: UserWarning: x');
  const none = { head: bytes(''), dropped: 0, tail: bytes('') };
  const ending = { exitCode: null, signal: null, seconds: 1, memoryBytes: 2 ** 26, hardBytes: 9 };
  const paths = { workdir: '/tmp/w', interpreter: [] };
  const view = (status: ToolResult['status']): string =>
    modelView(none, none, { ...ending, status }, paths, 64);
  t.is(view('memory'), 'MemoryError: the program needed more than 64 MiB');
  t.is(view('infrastructure_error'), '');
});
