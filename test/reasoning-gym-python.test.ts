/**
 * The bridge to the Python package reasoning-gym: the real package in a folder of its own, installed from wheels without a
 * network; and what is said where Python, the package, a generator or an answer in time is missing.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { errorCode } from '../lib/errors.ts';
import { openReasoningGym, type ReasoningGymOptions } from '../lib/tasks/reasoning-gym-python.ts';

const run = promisify(execFile);
const module = fileURLToPath(new URL('../lib/tasks/reasoning-gym-python.ts', import.meta.url));

let folder: string | undefined;
let skipped = '';

test.before(async (t) => {
  t.timeout(600_000);
  const wheels = fileURLToPath(new URL('../../shared/wheels', import.meta.url));
  if (!existsSync(wheels)) {
    skipped = '../shared/wheels is absent';
    return;
  }
  const { stdout } = await run('python3', [
    '-c',
    'import sys, platform; print(sys.version_info[:2], platform.machine())',
  ]);
  if (!/^\(3, 11\) x86_64/.test(stdout)) {
    skipped = `the wheels in ../shared/wheels are for Python 3.11 on x86_64, python3 is ${stdout.trim()}`;
    return;
  }
  folder = await mkdtemp(join(tmpdir(), 'toolgrad-reasoning-gym-'));
  const install = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-index',
    '--find-links',
    wheels,
    '--target',
    folder,
  ];
  await run('python3', [...install, 'reasoning-gym']);
});

test.after.always(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** Options with the installed package, or undefined after a logged skip. */
function withPackage(t: ExecutionContext, options: ReasoningGymOptions): ReasoningGymOptions | undefined {
  t.timeout(600_000);
  if (folder === undefined) {
    t.log(`skipped: ${skipped}`);
    t.pass();
    return undefined;
  }
  return { env: { ...process.env, PYTHONPATH: folder }, ...options };
}

/** Whether any process of a group is left. */
function isGroupAlive(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Process ids of workers whose parent this is; empty where there is no /proc. */
function workersOf(parent: number): number[] {
  if (!existsSync('/proc/self/stat')) return [];
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return (
          command.includes('reasoning-gym-worker.py') && stat.split(') ')[1]!.split(' ')[1] === String(parent)
        );
      } catch {
        return false; // it ended meanwhile
      }
    })
    .map(Number);
}

test.serial(
  'a missing interpreter, a missing package and wrong options are named with what to do',
  async (t) => {
    t.timeout(600_000);
    const missing = await t.throwsAsync(openReasoningGym({ generator: 'gcd', python: '/nowhere/python3' }));
    t.is(errorCode(missing), 'ERR_PYTHON_MISSING');
    t.regex(missing!.message, /expected a Python interpreter at "\/nowhere\/python3"/);

    const env = { ...process.env, PYTHONPATH: '' };
    const alone = await openReasoningGym({ generator: 'gcd', env }).then(
      async (gym) => gym.close(),
      (error: unknown) => error,
    );
    if (alone === undefined) t.log('skipped: python3 has reasoning-gym, so its absence cannot be seen');
    else {
      t.is(errorCode(alone), 'ERR_REASONING_GYM_MISSING');
      t.regex((alone as Error).message, /`python3 -m pip install reasoning-gym`/);
    }
    const slow = await t.throwsAsync(openReasoningGym({ generator: 'gcd', env, startSeconds: 0.001 }));
    t.is(errorCode(slow), 'ERR_WORKER_TIMEOUT');
    t.regex(slow!.message, /raise startSeconds/);
    const other = await t.throwsAsync(openReasoningGym({ generator: 'gcd', python: 'false' }));
    t.is(errorCode(other), 'ERR_WORKER_DIED');
    t.deepEqual(workersOf(process.pid), []);

    for (const [option, value] of [
      ['generator', ''],
      ['seed', -1],
      ['seed', 2 ** 32],
      ['config', []],
      ['scoreSeconds', 0],
      ['memoryBytes', Number.NaN],
      ['python', ''],
    ] as const) {
      const options = { generator: 'gcd', [option]: value } as ReasoningGymOptions;
      await t.throwsAsync(openReasoningGym(options), {
        instanceOf: TypeError,
        message: new RegExp(`expected ${option} to be`),
      });
    }
    const unknown = { generator: 'gcd', timeout: 3 } as ReasoningGymOptions;
    await t.throwsAsync(openReasoningGym(unknown), {
      instanceOf: TypeError,
      message: /unknown option "timeout"/,
    });
  },
);

test.serial(
  'questions are endless, reproducible and scored by the package, right only at exactly 1',
  async (t) => {
    const options = withPackage(t, { generator: 'gcd', seed: 5, config: { max_value: 500 } });
    if (options === undefined) return;
    const gym = await openReasoningGym(options);
    t.regex(gym.version, /^0\.1\./);
    const indices = [0, 1, 499, 500, 501, 999_983, 2];
    const asked = await Promise.all(indices.map((index) => gym.question(index)));
    t.is(new Set(asked.map(({ id }) => id)).size, indices.length);
    for (const question of asked) {
      t.is(question.task, 'reasoning-gym-python/gcd');
      t.true((await gym.score(question, question.answer)).correct);
      for (const answer of [`${Number(question.answer) + 1}`, '', 'x', null, 'x'.repeat(65_537)]) {
        t.false((await gym.score(question, answer)).correct, String(answer).slice(0, 20));
      }
      // The package gives a part of a point for an answer that contains the right one.
      const near = await gym.score(question, `${question.answer} or so`);
      t.false(near.correct);
      t.regex(near.reason, /^the scorer gave 0\.[0-9]+$/);
    }
    const again = await openReasoningGym(options);
    t.deepEqual(
      await Promise.all([...indices].reverse().map((index) => again.question(index))),
      asked.toReversed(),
    );
    const other = await openReasoningGym({ ...options, seed: 6 });
    t.notDeepEqual((await other.question(0)).prompt, asked[0]!.prompt);
    const changed = await t.throwsAsync(other.score(asked[0]!, '1'));
    t.is(errorCode(changed), 'ERR_REASONING_GYM');
    t.regex(changed!.message, /was config or seed changed/);
    t.throws(() => gym.question(-1), { instanceOf: RangeError });
    t.throws(() => gym.score({ ...asked[0]!, task: 'gcd' }, '1'), { instanceOf: TypeError });
    t.throws(() => gym.score({ ...asked[0]!, meta: {} }, '1'), { instanceOf: TypeError });
    t.is(workersOf(process.pid).length, existsSync('/proc/self/stat') ? 3 : 0);
    await Promise.all([gym.close(), again.close(), other.close(), other.close()]);
    t.deepEqual(workersOf(process.pid), []);
    t.is(errorCode(await t.throwsAsync(gym.question(0))), 'ERR_DISPOSED');
  },
);

test.serial('an unknown generator and refused options are named, with the nearest names', async (t) => {
  const options = withPackage(t, { generator: 'gdc' });
  if (options === undefined) return;
  const unknown = await t.throwsAsync(openReasoningGym(options));
  t.is(errorCode(unknown), 'ERR_UNKNOWN_GENERATOR');
  t.regex(unknown!.message, /no generator "gdc"; did you mean gcd/);
  const misspelt = await t.throwsAsync(
    openReasoningGym({ ...options, generator: 'gcd', config: { maxvalue: 3 } }),
  );
  t.is(errorCode(misspelt), 'ERR_GENERATOR_CONFIG');
  t.regex(misspelt!.message, /no option "maxvalue"; it has .*max_value/);
  const refused = await t.throwsAsync(
    openReasoningGym({ ...options, generator: 'gcd', config: { min_numbers: 1 } }),
  );
  t.is(errorCode(refused), 'ERR_GENERATOR_CONFIG');
  t.regex(refused!.message, /refused its options: AssertionError: min_numbers/);
  t.deepEqual(workersOf(process.pid), []);
});

test.serial('a scorer that hangs or ends its process costs one answer, not the task', async (t) => {
  const options = withPackage(t, { generator: 'intermediate_integration', seed: 7, scoreSeconds: 5 });
  if (options === undefined) return;
  const gym = await openReasoningGym(options);
  const question = await gym.question(3);
  t.true((await gym.score(question, question.answer)).correct);
  const started = performance.now();
  const verdicts = await Promise.all([
    gym.score(question, '9**9**9**9'),
    gym.score(question, question.answer),
    gym.score(question, '__import__("os")._exit(3)'),
    gym.score(question, question.answer),
    gym.score(question, 'raise ValueError('),
  ]);
  t.log(`five answers in ${((performance.now() - started) / 1000).toFixed(1)} s with three restarts`);
  t.deepEqual(verdicts[0], { correct: false, reason: 'the scorer took longer than 5 s' });
  t.true(verdicts[1]!.correct, verdicts[1]!.reason);
  t.deepEqual(verdicts[2], { correct: false, reason: 'the process of the scorer ended' });
  t.true(verdicts[3]!.correct, verdicts[3]!.reason);
  t.false(verdicts[4]!.correct);
  // Killed from outside: the next request starts another worker.
  for (const pid of workersOf(process.pid)) process.kill(pid, 'SIGKILL');
  t.true((await gym.score(question, question.answer)).correct);
  const pending = t.throwsAsync(gym.score(question, '9**9**9**9'));
  setTimeout(() => void gym.close(), 300);
  t.is(errorCode(await pending), 'ERR_DISPOSED');
  await gym.close();
  t.deepEqual(workersOf(process.pid), []);
});

test.serial(
  'an open task does not keep a program alive, and its worker ends with the program, even in a scorer',
  async (t) => {
    const options = withPackage(t, { generator: 'intermediate_integration' });
    if (options === undefined) return;
    const source = `
    import { openReasoningGym } from ${JSON.stringify(module)};
    const gym = await openReasoningGym({ generator: 'intermediate_integration', scoreSeconds: 500 });
    const question = await gym.question(0);
    if (process.argv[1] === 'hang') void gym.score(question, '9**9**9**9');
    console.log('ready');
  `;
    const program = (mode: string) =>
      spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', source, mode], {
        env: { ...options.env } as NodeJS.ProcessEnv,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const idle = program('idle');
    const [code] = (await once(idle, 'close')) as [number];
    t.is(code, 0);
    const hanging = program('hang');
    await once(hanging.stdout!, 'data');
    const workers = workersOf(hanging.pid!);
    if (existsSync('/proc/self/stat')) t.is(workers.length, 1);
    await new Promise((resolve) => setTimeout(resolve, 500));
    hanging.kill('SIGKILL');
    await once(hanging, 'close');
    const alive = () => workers.filter((pid) => isGroupAlive(pid));
    for (let i = 0; i < 200 && alive().length > 0; i++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    t.deepEqual(alive(), []);
  },
);
