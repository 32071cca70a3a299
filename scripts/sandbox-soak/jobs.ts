/**
 * What the soak runs: good programs, whose answers are known, and attacks, which must end in one of a few ways. A job makes one call
 * or several of one session, and gives what was wrong, or null.
 */
import type { ToolRequest, ToolResult, ToolStatus } from '../../lib/tools/tool.ts';
import { systemVKey } from './traces.ts';

export type Call = (code: string, changed?: Partial<ToolRequest>) => Promise<ToolResult>;

export interface Job {
  readonly name: string;
  readonly good: boolean;
  /** How often it is chosen, among all. */
  readonly weight: number;
  /** What it cannot run without. */
  readonly needs?: 'namespaces' | 'numpy' | 'sympy';
  run(call: Call, random: () => number, unique: string): Promise<string | null>;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const whole = (random: () => number, below: number) => Math.floor(random() * below);
const shown = ({ status, stdout, stderr, error }: ToolResult) =>
  JSON.stringify({ status, stdout: stdout.slice(-200), stderr: stderr.slice(-300), error });

function expectOk(result: ToolResult, stdout: string): string | null {
  return result.status === 'ok' && result.stdout === stdout
    ? null
    : `expected ok and ${JSON.stringify(stdout.slice(0, 200))}, found ${shown(result)}`;
}

function expectStatus(result: ToolResult, ...allowed: ToolStatus[]): string | null {
  return allowed.includes(result.status) ? null : `expected ${allowed.join(' or ')}, found ${shown(result)}`;
}

const good = (name: string, weight: number, run: Job['run'], needs?: Job['needs']): Job => ({
  ...{ name, weight, run, good: true },
  ...(needs === undefined ? {} : { needs }),
});

/** What a seed gave the first time; it must always give that. */
const bySeed = new Map<bigint, string>();

const goodJobs: Job[] = [
  good('arithmetic', 10, async (call, random) => {
    const [a, b, c] = [1, 2, 3].map(() => BigInt(whole(random, 2 ** 48))) as [bigint, bigint, bigint];
    return expectOk(await call(`print(${a} * ${b} + ${c})`), `${a * b + c}\n`);
  }),
  good('sorting', 5, async (call, random) => {
    const values = Array.from({ length: 50 }, () => whole(random, 1000));
    const sorted = [...values].sort((x, y) => x - y);
    return expectOk(await call(`print(sorted([${values}]))`), `[${sorted.join(', ')}]\n`);
  }),
  good('unicode', 3, async (call, random) => {
    const text = Array.from({ length: 20 }, () => 'aé日🐍€ß'.at(whole(random, 5)) ?? 'x').join('');
    const clean = [...text].filter((c) => !/\p{Surrogate}/u.test(c));
    const code = `print(${JSON.stringify(clean.join(''))}[::-1])`;
    return expectOk(await call(code), `${clean.reverse().join('')}\n`);
  }),
  good('exception', 4, async (call, random) => {
    const n = whole(random, 1000);
    const result = await call(`def f(n):\n    raise ValueError(n)\nf(${n})`);
    if (result.status === 'exception' && result.stderr.trimEnd().endsWith(`ValueError: ${n}`)) return null;
    return `expected ValueError: ${n}, found ${shown(result)}`;
  }),
  good('stdin', 3, async (call, random) => {
    const text = `line ${whole(random, 2 ** 30)}`;
    return expectOk(
      await call('print(input()[::-1])', { stdin: `${text}\n` }),
      `${[...text].reverse().join('')}\n`,
    );
  }),
  good('files', 3, async (call, random) => {
    const content = Uint8Array.from({ length: 1 + whole(random, 5000) }, () => whole(random, 256));
    const code =
      'data = open("in/data.bin", "rb").read()\nopen("out.bin", "wb").write(data[::-1])\nprint(len(data))';
    const result = await call(code, { files: { 'in/data.bin': content }, fetch: ['out.bin', 'absent'] });
    const wrong = expectOk(result, `${content.length}\n`);
    if (wrong !== null) return wrong;
    const got = result.files?.['out.bin'];
    const same = got !== undefined && Buffer.from(got).equals(Buffer.from(content).reverse());
    return same && Object.keys(result.files!).length === 1 ? null : 'the file came back otherwise';
  }),
  good('threads', 2, async (call) => {
    const code =
      'from threading import Thread\nout = []\nall = [Thread(target=lambda i=i: out.append(i * i)) for i in range(8)]\n' +
      'for t in all: t.start()\nfor t in all: t.join()\nprint(sum(out))';
    return expectOk(await call(code), '140\n');
  }),
  good('long output', 2, async (call, random) => {
    const length = 10_000 + whole(random, 50_000);
    const result = await call(`print("y" * ${length})`);
    const right = result.status === 'ok' && result.truncatedBytes === length + 1 - 4096;
    return right ? null : `expected all but 4096 bytes of ${length} dropped, found ${result.truncatedBytes}`;
  }),
  good('seeded', 5, async (call, random) => {
    const seed = BigInt(whole(random, 20));
    const code = 'import random\nprint([random.random() for _ in range(5)], {"a", "b", "c"}, hash("x"))';
    const result = await call(code, { seed });
    const before = bySeed.get(seed);
    if (before === undefined && result.status === 'ok') bySeed.set(seed, result.stdout);
    return expectOk(result, before ?? result.stdout);
  }),
  good('session', 6, async (call, random, session) => {
    const n = whole(random, 1000);
    const first = await call(`x = ${n}`, { session });
    const second = await call('def f(y): return x + y', { session });
    const third = await call('f(1)', { session });
    return expectOk(first, '') ?? expectOk(second, '') ?? expectOk(third, `${n + 1}\n`);
  }),
  good(
    'numpy',
    4,
    async (call, random) => {
      const n = 1 + whole(random, 1000);
      const code = `import numpy as np\nprint(int((np.arange(${n}) ** 2).sum()))`;
      return expectOk(await call(code), `${((n - 1) * n * (2 * n - 1)) / 6}\n`);
    },
    'numpy',
  ),
  good(
    'sympy',
    1,
    async (call, random) => {
      const [a, b] = [whole(random, 20), 20 + whole(random, 20)];
      const code = `from sympy import symbols, solve\nx = symbols('x')\nprint(solve((x - ${a}) * (x - ${b}), x))`;
      return expectOk(await call(code), `[${a}, ${b}]\n`);
    },
    'sympy',
  ),
];

/** Killed by their processor time, however many others want the processors. */
const brief = { seconds: 0.05, wallSeconds: 10 };

function attack(
  name: string,
  weight: number,
  code: string,
  allowed: ToolStatus[],
  changed: Partial<ToolRequest> = {},
): Job {
  return {
    ...{ name, weight, good: false },
    ...((changed.processes ?? 0) > 0 ? { needs: 'namespaces' as const } : {}),
    run: async (call) => expectStatus(await call(code, changed), ...allowed),
  };
}

const deaf =
  'import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n';
const forks = { ...brief, wallSeconds: 0.4, processes: 8 };

const attacks: Job[] = [
  attack('fork, none allowed', 2, 'import os\nos.fork()', ['exception']),
  attack(
    'fork bomb',
    1,
    'import os\nwhile True:\n    try: os.fork()\n    except OSError: pass',
    ['timeout'],
    forks,
  ),
  attack(
    'respawning swarm',
    1,
    `${deaf}import os\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n        else: os._exit(0) if os.getppid() != 1 else None\n    except OSError: pass`,
    ['timeout', 'ok'],
    forks,
  ),
  attack(
    'daemon',
    1,
    `${deaf}import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)\nprint("gone")`,
    ['ok'],
    { processes: 8 },
  ),
  attack(
    'zombies',
    1,
    'import os\nfor i in range(40):\n    if os.fork() == 0: os._exit(0)\nprint(1)',
    ['ok'],
    { processes: 16 },
  ),
  attack('memory', 1, 'x = []\nwhile True: x.append(bytearray(1 << 22))', ['memory'], {
    memoryBytes: 2 ** 27,
  }),
  attack('flood', 1, 'while True: print("x" * 10000)', ['output_limit']),
  attack('flood of errors', 1, 'import sys\nwhile True: sys.stderr.write("\\x1b[31m\\0\\xff" * 1000)', [
    'output_limit',
  ]),
  attack('spin', 2, `${deaf}while True: pass`, ['timeout'], brief),
  attack('sleep', 2, 'import time\ntime.sleep(600)', ['timeout'], { ...brief, wallSeconds: 0.1 }),
  attack('stop itself', 1, 'import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)', ['timeout'], {
    ...brief,
    wallSeconds: 0.1,
  }),
  attack('kill itself', 1, 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)', ['exception']),
  attack('crash', 1, 'import ctypes\nctypes.string_at(0)', ['exception']),
  attack('exit', 2, 'import os\nprint("out", flush=True)\nos._exit(3)', ['exception']),
  attack('file storm', 1, 'for i in range(20000): open("f%d" % i, "w").close()', ['exception', 'quota']),
  attack(
    'large files',
    1,
    'for i in range(40):\n    with open("f%d" % i, "wb") as f: f.write(bytes(1 << 19))\nimport time\ntime.sleep(1)',
    ['exception', 'quota'],
  ),
  attack(
    'deep folders',
    1,
    'import os\nfor i in range(60):\n    name = "d" * 200\n    os.mkdir(name)\n    os.chdir(name)\nopen("x", "w").close()\nos.chmod(".", 0)\nprint(1)',
    ['ok'],
  ),
  attack(
    'traces',
    2,
    `import ctypes, os\nlibc, key = ctypes.CDLL(None), ${systemVKey}\nlibc.shmget(key, 4096, 0o1666), libc.msgget(key, 0o1666), libc.semget(key, 1, 0o1666)\n` +
      'for path in ("/tmp/toolgrad-soak", "/var/tmp/toolgrad-soak", "/dev/shm/toolgrad-soak"):\n    try: open(path, "w").close()\n    except OSError: pass\nprint(1)',
    ['ok'],
  ),
  attack(
    'flood of threads',
    1,
    'import threading, time\nfor i in range(500): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()',
    ['ok', 'exception', 'memory'],
    brief,
  ),
  attack(
    'recursion',
    1,
    'import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()',
    ['exception', 'memory', 'timeout'],
    { seconds: 0.2, wallSeconds: 10, memoryBytes: 2 ** 27 },
  ),
  attack('close all', 1, 'import os\nos.closerange(0, 64)\nos._exit(0)', ['ok']),
];

/** Sessions that are attacked by one of their cells; after it each call still ends in an ordinary way. */
function sessionAttack(name: string, code: string, changed: Partial<ToolRequest> = {}): Job {
  return {
    ...{ name, weight: 1, good: false },
    async run(call, _random, session) {
      const first = expectOk(await call('x = 41', { session }), '');
      const cell = await call(code, { ...changed, session });
      const after = await call('print(x + 1)', { session });
      const undefinedStatus = [cell, after].find(({ status }) => status === 'infrastructure_error');
      if (first !== null || undefinedStatus !== undefined) return first ?? shown(undefinedStatus!);
      if (cell.sessionEnded === true || after.status === 'session_lost') return null;
      return expectOk(after, '42\n');
    },
  };
}

const sessionAttacks: Job[] = [
  sessionAttack('session: spin', `${deaf}while True: pass`, brief),
  sessionAttack('session: exit', 'import os\nos._exit(1)'),
  sessionAttack('session: kill itself', 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)'),
  sessionAttack(
    'session: leave processes',
    'import os, time\ntry:\n    for i in range(3):\n        if os.fork() == 0: time.sleep(600)\nexcept OSError: pass',
  ),
  sessionAttack('session: flood', 'while True: print("x" * 10000)'),
  sessionAttack('session: memory', 'y = []\nwhile True: y.append(bytearray(1 << 22))', {
    memoryBytes: 2 ** 27,
  }),
];

/** All jobs that can run where `has` is true of what they need. */
export function jobsWith(has: (need: NonNullable<Job['needs']>) => boolean): Job[] {
  return [...goodJobs, ...attacks, ...sessionAttacks].filter(
    ({ needs }) => needs === undefined || has(needs),
  );
}

/** One of them, by weight. */
export function choose(jobs: readonly Job[], random: () => number): Job {
  let left = random() * jobs.reduce((sum, { weight }) => sum + weight, 0);
  for (const job of jobs) {
    left -= job.weight;
    if (left < 0) return job;
  }
  return jobs.at(-1)!;
}
