/**
 * The seam between JavaScript and C++: argument messages, the job queue, errors that cross threads, and the end of an
 * environment while work is running. Programs that must exit run in a child process.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { duringOperation, errorCode, ToolgradError } from '../lib/errors.ts';
import { native } from '../lib/native.ts';
import { packageRoot, packageVersion } from '../lib/package.ts';

const findAddon = createRequire(import.meta.url)('node-gyp-build') as { path(root: string): string };

const LONG = 2_000_000_000; // rounds of selfCheck: seconds of work, unless it is asked to stop

// The addon loaded without TypeScript, as a program for `node -e` or a worker.
const prelude = `
  const root = ${JSON.stringify(packageRoot)};
  const addon = require(require('node:path').join(root, 'node_modules/node-gyp-build'))(root);
`;

async function runProgram(program: string): Promise<{ code: number | null; out: string; ms: number }> {
  const start = Date.now();
  const child = spawn(process.execPath, ['-e', prelude + program], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return {
    code: signal === null ? code : -1,
    out: signal === null ? out : `${out}\nsignal ${signal}`,
    ms: Date.now() - start,
  };
}

test('the addon reports the version of the package it was built from', (t) => {
  t.is(native().version(), packageVersion);
  t.is(native().buildInfo().napi, 9);
});

test('a wrong argument throws before any work, naming expectation, parameter, value and type', (t) => {
  const call = native().selfCheck as (rounds: unknown, failure?: unknown) => Promise<number>;
  const cases: [unknown, string, string][] = [
    [0.5, 'RangeError', 'received 0.5 of type number'],
    [-1, 'RangeError', 'received -1 of type number'],
    [Number.NaN, 'RangeError', 'received NaN of type number'],
    [Number.POSITIVE_INFINITY, 'RangeError', 'received Infinity of type number'],
    [3_000_000_000, 'RangeError', 'received 3000000000 of type number'],
    ['12', 'TypeError', 'received "12" of type string'],
    ['é'.repeat(200), 'TypeError', `received "${'é'.repeat(30)}…" of type string`],
    [null, 'TypeError', 'received null of type null'],
    [undefined, 'TypeError', 'received undefined of type undefined'],
    [3n, 'TypeError', 'received 3 of type bigint'],
    [[1, 2], 'TypeError', 'received an array of 2 elements of type Array'],
    [new Float32Array(3), 'TypeError', 'received an array of 3 elements of type Float32Array'],
    [{}, 'TypeError', 'received an object of type Object'],
    [Object.create(null), 'TypeError', 'received an object of type object'],
    [() => 1, 'TypeError', 'received a function of type function'],
    [Symbol('s'), 'TypeError', 'received a symbol of type symbol'],
  ];
  for (const [value, name, ending] of cases) {
    const error = t.throws(() => void call(value));
    t.is(error?.name, name);
    t.is(error?.message, `Expected integer from 0 to 2000000000 for rounds but ${ending}`);
    t.is(errorCode(error), name === 'TypeError' ? 'ERR_INVALID_ARG_TYPE' : 'ERR_OUT_OF_RANGE');
  }
  const error = t.throws(() => void call(1, 7));
  t.is(error?.message, 'Expected string for failure but received 7 of type number');
});

test('jobs run in the order they were queued and resolve on the event loop', async (t) => {
  const order: number[] = [];
  const jobs = [3_000_000, 10, 1_000].map((rounds, i) =>
    native()
      .selfCheck(rounds)
      .then(() => order.push(i)),
  );
  t.deepEqual(order, []);
  await Promise.all(jobs);
  t.deepEqual(order, [0, 1, 2]);
  t.is(await native().selfCheck(100), 5050);
});

test('an error on the engine thread rejects with its code, and the queue goes on', async (t) => {
  const failed = native().selfCheck(10, 'ERR_ON_PURPOSE');
  const next = native().selfCheck(10);
  const error = await t.throwsAsync(failed);
  t.is(errorCode(error), 'ERR_ON_PURPOSE');
  t.is(await next, 55);
  const named = duringOperation('self check', error);
  t.true(named instanceof ToolgradError);
  t.is(errorCode(named), 'ERR_ON_PURPOSE');
  t.is(named.message, 'self check: selfCheck: failed with ERR_ON_PURPOSE as asked');
  t.is(named.cause, error);
  t.regex(named.stack ?? '', /binding\.test\.ts/);
});

test('the event loop stays free while a job runs', async (t) => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const start = Date.now();
  try {
    await native().selfCheck(200_000_000);
  } finally {
    clearInterval(timer);
  }
  const ms = Date.now() - start;
  t.log(`${ticks} ticks of 5 ms in ${ms} ms`);
  t.true(ticks >= ms / 5 / 4, `expected at least a quarter of ${ms / 5} ticks, found ${ticks}`);
});

test('an idle queue lets the process exit, a pending job keeps it alive', async (t) => {
  const idle = await runProgram(`addon.selfCheck(10).then((sum) => console.log(sum));`);
  t.is(idle.code, 0, idle.out);
  t.is(idle.out, '55\n');
});

test('process.exit during a job ends the process at once, with its exit code', async (t) => {
  const done = await runProgram(`
    for (let i = 0; i < 20; i++) addon.selfCheck(${LONG}).catch(() => console.log('settled'));
    setTimeout(() => process.exit(3), 100);
  `);
  t.is(done.code, 3, done.out);
  t.is(done.out, '');
  t.true(done.ms < 10_000, `${done.ms} ms`);
});

test('an uncaught error during a job ends the process with that error, not with a crash', async (t) => {
  const done = await runProgram(`
    addon.selfCheck(${LONG});
    setTimeout(() => { throw new Error('mine'); }, 50);
  `);
  t.is(done.code, 1, done.out);
  t.regex(done.out, /Error: mine/);
});

test('terminating a worker thread during its jobs leaves the jobs of other threads alone', async (t) => {
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(
      `${prelude}
      const jobs = Array.from({ length: 5 }, () => addon.selfCheck(${LONG}));
      require('node:worker_threads').parentPort.postMessage('queued');
      Promise.all(jobs);`,
      { eval: true, execArgv: [] },
    );
    await once(worker, 'message');
    const ours = native().selfCheck(1000);
    await worker.terminate();
    t.is(await ours, 500500);
  }
});

test('worker threads that load the addon and end leave the process able to go on', async (t) => {
  const program = `
    const { Worker } = require('node:worker_threads');
    const source = ${JSON.stringify(prelude)} + "addon.selfCheck(100).then((sum) => { if (sum !== 5050) process.exit(9); });";
    (async () => {
      for (let i = 0; i < 8; i++) {
        const code = await new Promise((resolve) => new Worker(source, { eval: true }).on('exit', resolve));
        if (code !== 0) throw new Error('worker exit code ' + code);
      }
      console.log(await addon.selfCheck(100));
    })();
  `;
  const done = await runProgram(program);
  t.is(done.code, 0, done.out);
  t.is(done.out, '5050\n');
});

test('the addon exports only its Node-API entry points', async (t) => {
  const child = spawn('nm', ['-D', '--defined-only', findAddon.path(packageRoot)]);
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  const code = await Promise.race([
    once(child, 'close').then(([c]) => c as number),
    once(child, 'error').then(() => -1),
  ]);
  if (code !== 0) {
    t.log('skipped: nm (Debian: binutils) is absent');
    t.pass();
    return;
  }
  const names = out
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' ').at(-1));
  const strangers = names.filter(
    (name) => !/^(napi_register_module_v1|node_api_module_get_api_version_v1)$/.test(name ?? ''),
  );
  t.deepEqual(strangers, []);
});
