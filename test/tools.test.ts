/**
 * What a program run by the Python tool experiences, against a real Python: every status, every limit, and the text that
 * the model gets. What happens to processes is in tool-processes.test.ts.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { harmless, modelView, streamText, trimTraceback } from '../lib/tools/output.ts';
import { openPythonTool, type PythonTool } from '../lib/tools/python.ts';
import { hardOutputBytes } from '../lib/tools/sandbox/outcome.ts';
import type { ToolRequest, ToolResult } from '../lib/tools/tool.ts';
import { request } from './support/tool.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'tools-test-'));
let tool: PythonTool;

test.before(async () => {
  process.env.TOOLGRAD_TEST_SECRET = 'hunter2';
  tool = await openPythonTool({ workers: 2, temporaryDirectory: scratch });
});
test.after.always(async () => {
  await tool.close();
  rmSync(scratch, { recursive: true, force: true });
});

const run = (code: string, changed: Partial<ToolRequest> = {}): Promise<ToolResult> =>
  tool.run(request(code, changed));

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
    /^\/sandbox <python>\/os.py\nException in thread [^\n]*\nTraceback [^\n]*\n {2}File "script.py"/,
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
    'import os\nos.makedirs("a/b/c"); open("a/b/c/f", "w").write("x"); os.symlink("/etc", "a/link"); os.chmod("a/b", 0)\nfor i in range(300): os.mkdir("d"); os.chdir("d")\nprint(os.getcwd()[-4:])',
  );
  t.like(write, { status: 'ok', output: '/d/d\n' });
  t.like(await run('import os\nprint(os.listdir("."))'), { output: '[]\n' });
  t.true(existsSync('/etc/passwd'));
  const big = await run('with open("f", "wb") as f:\n    f.write(bytes(5000))\n    f.flush()', {
    fileBytes: 4096,
  });
  t.is(big.status, 'exception');
  t.regex(big.output, /OSError: \[Errno 27\] File too large/);
  t.is((await run('import tempfile\nprint(tempfile.gettempdir())')).output, '/sandbox\n');
});

test('a program sees a small fixed environment and none of the variables of the trainer', async (t) => {
  const { output } = await run(
    'import os, sys\nprint(sorted(os.environ))\nprint(sys.argv, sys.stdin.read() == "")',
  );
  t.is(
    output,
    "['CUDA_VISIBLE_DEVICES', 'HOME', 'LANG', 'LC_ALL', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'PYTHONHASHSEED', 'TMPDIR', 'TZ']\n['script.py'] True\n",
  );
  const hunt = 'import os\nfor p in ("self", os.getpid(), os.getppid()):\n  open(f"/proc/{p}/environ","rb")';
  t.regex((await run(hunt)).output, /(FileNotFound|Permission)Error/);
  const hash = 'print(set("abcdefgh"), hash("x"))';
  t.is((await run(hash)).output, (await run(hash)).output, 'hashes are the same in each call');
  const descriptors = await run(
    'import os\nfor fd in range(4096):\n  try: os.fstat(fd); print(fd)\n  except OSError: pass',
  );
  t.is(descriptors.output, '0\n1\n2\n');
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
    message: /does not answer as one/,
  });
  await t.throwsAsync(openPythonTool({ python: 'yes', startSeconds: 5 }), { message: /at "yes"; / });
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
  const ending = {
    exitCode: null,
    signal: null,
    seconds: 1,
    memoryBytes: 2 ** 26,
    hardBytes: 9,
    fileBytes: 9,
    sessionEnded: false,
  };
  const paths = { workdir: '/tmp/w', interpreter: [] };
  const view = (status: ToolResult['status']): string =>
    modelView(none, none, { ...ending, status }, paths, 64);
  t.is(view('memory'), 'MemoryError: the program needed more than 64 MiB');
  t.is(view('infrastructure_error'), '');
});
