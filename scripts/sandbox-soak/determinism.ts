/**
 * The same program with the same seed gives the same bytes: in any order, on any worker, beside others, after the supervisor was
 * replaced. What a program reads of the outside world (time, os.urandom, uuid4) is not part of that.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPythonTool, type PythonTool } from '../../lib/tools/python.ts';
import { table } from '../../lib/view/format.ts';
import { randomFrom } from './jobs.ts';

export interface RepeatedProgram {
  readonly name: string;
  /** Cells of one session, or one program. */
  readonly cells: readonly string[];
  /** Another seed gives other bytes. */
  readonly seeded: boolean;
  readonly needs?: string;
}

export const repeatedPrograms: readonly RepeatedProgram[] = [
  {
    name: 'random',
    seeded: true,
    cells: [
      'import random\nx = list(range(50))\nrandom.shuffle(x)\nprint(random.random(), random.gauss(0, 1), random.randint(0, 10**30), x, random.Random(3).random())',
    ],
  },
  {
    name: 'numpy, legacy generator',
    seeded: true,
    needs: 'numpy',
    cells: [
      'import numpy as np\nprint(np.random.rand(5).tolist(), np.random.permutation(20), np.random.normal())',
    ],
  },
  {
    name: 'numpy, default_rng',
    seeded: true,
    needs: 'numpy',
    cells: [
      'import numpy as np\na, b = np.random.default_rng(), np.random.default_rng()\nprint(a.random(3), b.normal(size=3), a.integers(1000))',
    ],
  },
  {
    name: 'numpy, where no template has it',
    seeded: true,
    needs: 'numpy',
    cells: [
      'np = __import__("num" + "py")\nprint(np.random.rand(5), np.random.default_rng().random(3), np.random.default_rng(5).random())',
    ],
  },
  {
    name: 'order of sets and dicts',
    seeded: false,
    cells: [
      'words = [chr(97 + i) * (i % 5 + 1) for i in range(26)]\nprint(set(words), {w: i for i, w in enumerate(set(words))}, frozenset(map(tuple, words)), set(map(float, range(0, 900, 7))))',
    ],
  },
  {
    name: 'hashes',
    seeded: false,
    cells: [
      'import datetime, decimal\nprint(hash("text"), hash(b"bytes"), hash((1, "a", None)), hash(datetime.date(2020, 1, 1)), hash(decimal.Decimal("1.5")))',
    ],
  },
  {
    name: 'addresses',
    seeded: false,
    cells: [
      'import random\nclass A: pass\nx = [A() for _ in range(100)]\nprint(object(), A, x[0], x[-1], lambda: 0, (i for i in x), id(A), print, sorted(x, key=id)[0], list({a: 1 for a in x})[50], set(x).pop(), len, random.random.__self__)',
    ],
  },
  {
    name: 'addresses of large objects and threads',
    seeded: false,
    cells: [
      'import threading\nout = []\nt = threading.Thread(target=lambda: out.append(threading.get_ident()))\nt.start()\nt.join()\nprint(id(bytearray(1 << 22)), id(list(range(10**5))), out, threading.current_thread())',
    ],
  },
  {
    name: 'uuid5',
    seeded: false,
    cells: [
      'import uuid\nprint(uuid.uuid5(uuid.NAMESPACE_DNS, "toolgrad"), uuid.uuid3(uuid.NAMESPACE_URL, "x"))',
    ],
  },
  {
    name: 'traceback with an address',
    seeded: false,
    cells: ['class A:\n    def f(self): raise ValueError(self)\nA().f()'],
  },
  {
    name: 'session of three cells',
    seeded: true,
    cells: [
      'import random\nclass A: pass\na = A()',
      'b = [A() for _ in range(9)]; random.random()',
      '(a, b, set(b), random.random(), {"x", "y", "z"})',
    ],
  },
];

/** What one program gave, by seed; more than one output for a seed is a failure. */
export interface Repeated {
  readonly program: RepeatedProgram;
  readonly outputs: Map<bigint, Map<string, number>>;
}

const limits = { seconds: 20, memoryBytes: 2 ** 29, outputBytes: 65536, fileBytes: 2 ** 20 };
const seeds = [0n, 1n, 2n ** 64n - 1n];

let serial = 0;

async function once(tool: PythonTool, { cells }: RepeatedProgram, seed: bigint): Promise<string> {
  const session = cells.length === 1 ? null : `determinism ${++serial}`;
  let text = '';
  for (const code of cells) {
    const result = await tool.run({
      ...{ callId: 'again', code, seed, trajectory: `${++serial}`, ...limits },
      ...(session === null ? {} : { session }),
    });
    if (result.status === 'infrastructure_error') throw new Error(result.error);
    text += `${result.status}\n${result.stdout}${result.stderr}`;
  }
  if (session !== null) tool.endSession(session);
  return text;
}

/** What runs in between: it takes time and memory, and changes what it can of the interpreter. */
const between = [
  'pass',
  'x = [object() for _ in range(10**5)]',
  'import random, builtins\nrandom.seed(7)\nbuiltins.print = None',
  '1/0',
  'import decimal, json\nprint(json.dumps(list(range(1000))))',
];

/** Every program that can run, `times` times, spread over its seeds, in an order that `random` gives. */
export async function repeat(
  tool: PythonTool,
  modules: readonly string[],
  times: number,
  random: () => number,
  into: Repeated[] = [],
): Promise<Repeated[]> {
  const all = repeatedPrograms.filter(({ needs }) => needs === undefined || modules.includes(needs));
  if (into.length === 0) into.push(...all.map((program) => ({ program, outputs: new Map() })));
  const work = into.flatMap((repeated) =>
    Array.from({ length: times }, (_, i) => ({
      ...{ repeated, seed: seeds[i % seeds.length]!, order: random() },
    })),
  );
  work.sort((a, b) => a.order - b.order);
  const lanes = Array.from({ length: 3 }, async () => {
    for (let next = work.pop(); next !== undefined; next = work.pop()) {
      const { repeated, seed } = next;
      if (random() < 0.2) {
        const code = between[Math.floor(random() * between.length)]!;
        await tool.run({ callId: 'between', code, ...limits });
      }
      const text = await once(tool, repeated.program, seed);
      const found = repeated.outputs.get(seed) ?? new Map<string, number>();
      found.set(text, (found.get(text) ?? 0) + 1);
      repeated.outputs.set(seed, found);
    }
  });
  await Promise.all(lanes);
  return into;
}

/** What is wrong with the outputs of a program, in words; null if nothing is. */
export function faultOf({ program, outputs }: Repeated): string | null {
  for (const [seed, found] of outputs) {
    if (found.size === 1) continue;
    const [first, second] = [...found.keys()];
    return `${program.name}, seed ${seed}: ${found.size} outputs, for example\n${first}and\n${second}`;
  }
  const texts = new Set([...outputs.values()].flatMap((found) => [...found.keys()]));
  const expected = program.seeded ? outputs.size : 1;
  return texts.size === expected
    ? null
    : `${program.name}: expected ${expected} outputs for ${outputs.size} seeds, found ${texts.size}`;
}

/** `times` runs of each program, half of them after the supervisor was killed; 0 if all were alike. */
export async function checkDeterminism(
  times: number,
  level: string,
  tell: (line: string) => void,
): Promise<number> {
  if (!Number.isInteger(times) || times < 2)
    throw new RangeError(`--determinism: expected an integer from 2, found ${times}`);
  const temporaryDirectory = mkdtempSync(join(tmpdir(), 'sandbox-soak-'));
  const testing = level === 'namespaces' ? {} : { testing: { without: ['namespaces' as const] } };
  await using tool = await openPythonTool({ workers: 2, temporaryDirectory, ...testing });
  try {
    const probe = await tool.run({
      ...{ callId: 'probe', ...limits },
      code: 'import importlib.util as u\nprint(u.find_spec("numpy") is not None)',
    });
    const modules = probe.stdout === 'True\n' ? ['numpy'] : [];
    const random = randomFrom(1);
    const half = Math.ceil(times / 2);
    const results = await repeat(tool, modules, half, random);
    process.kill(tool.supervisorPid!, 'SIGKILL');
    while (tool.supervisorPid !== null) await new Promise((next) => setTimeout(next, 5));
    await repeat(tool, modules, times - half, random, results);
    const rows = results.map(({ program, outputs }) => [
      program.name,
      String([...outputs.values()].flatMap((found) => [...found.values()]).reduce((sum, n) => sum + n, 0)),
      [...outputs.values()].map((found) => found.size).join(', '),
    ]);
    tell(tool.describe);
    tell(table(['program', 'times', 'outputs of each seed'], rows));
    const faults = results.map(faultOf).filter((fault) => fault !== null);
    for (const fault of faults) tell(`FAILED: ${fault}`);
    return faults.length === 0 ? 0 : 1;
  } finally {
    rmSync(temporaryDirectory, { recursive: true, force: true });
  }
}
