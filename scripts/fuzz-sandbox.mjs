#!/usr/bin/env node
// Fuzzes what the sandbox's supervisor reads (sandbox/fuzz/frames_fuzz.c) with libFuzzer, AddressSanitizer and
// UndefinedBehaviorSanitizer; needs clang. Prints executions, coverage and crashes; exits with 1 if anything was found.
//
//   node scripts/fuzz-sandbox.mjs [--seconds 60] [--seed 1]
//   node scripts/fuzz-sandbox.mjs --replay [file …]   once over the seeds, or the files, without libFuzzer (any C compiler)
//
// Everything lies in build-fuzz/: the corpus, which the next run goes on with, and crashes/, one file for each.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { register } from 'tsx/esm/api';

register();
const { frameKinds, idFrame, runFrame, settingsFrame } = await import('../lib/tools/sandbox/frames.ts');

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const work = join(root, 'build-fuzz');
const [corpus, seeds, crashes] = ['corpus', 'seeds', 'crashes'].map((name) => join(work, name));
const shown = (path) => relative(process.cwd(), path) || '.';

// What a trainer sends, as its own code writes it, as a stream and as records; see the target.
function makeSeeds() {
  const settings = settingsFrame([
    ['python', '/usr/bin/python3'],
    ['library', '/l.so'],
    ['bootstrap', '/t.py'],
    ['temporary', '/tmp'],
    ['layers', '15'],
    ['read', '/usr/lib'],
    ['read', '/lib'],
    ['environment', 'PATH=/bin'],
    ['template', ''],
    ['template', 'numpy,sympy'],
    ['container', '1'],
    ['user', '65534'],
    ['budget', '1073741824'],
  ]);
  const plain = {
    ...{ id: 7, session: 0, continues: false, template: 0, processes: 0, startSeconds: 1, cpuSeconds: 2 },
    ...{ wallSeconds: 6, memoryBytes: 2 ** 28, fileBytes: 2 ** 20, keptBytes: 64, hardBytes: 2 ** 20 },
    ...{ seed: 5n, code: 'print(1)', stdin: '', files: {}, fetch: [] },
  };
  const files = { 'a/b.txt': Buffer.from('content'), c: Buffer.alloc(0) };
  const full = { ...plain, id: 8, stdin: 'line\n', files, fetch: ['out.bin', 'd/e'] };
  const session = {
    ...plain,
    id: 9,
    session: 3,
    continues: true,
    keptBytes: 200,
    code: 'x = "é"\n'.repeat(100),
  };
  const streams = {
    settings: [settings],
    calls: [settings, runFrame(plain), runFrame(full)],
    session: [
      runFrame(session),
      idFrame(frameKinds.cancel, 9),
      idFrame(frameKinds.endSession, 3),
      runFrame(plain),
    ],
    id: [idFrame(frameKinds.cancel, 2 ** 40)],
    empty: [Buffer.from([1, 0, 0, 0, 99])],
    oversized: [Buffer.from([255, 255, 255, 255, 2])],
  };
  mkdirSync(seeds, { recursive: true });
  for (const [name, frames] of Object.entries(streams)) {
    writeFileSync(join(seeds, name), Buffer.concat([Buffer.from([4, 0, 0, 0]), ...frames]));
    const records = frames.map((frame) => {
      const body = frame.subarray(5);
      return Buffer.concat([frame.subarray(4, 5), Buffer.from([body.length & 255, body.length >> 8]), body]);
    });
    writeFileSync(join(seeds, `${name}-records`), Buffer.concat([Buffer.from([5, 0, 0, 0]), ...records]));
  }
}

function call(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: work, encoding: 'utf8', maxBuffer: 2 ** 28, ...options });
  if (done.error !== undefined) throw new Error(`${command}: ${done.error.message}`);
  return done;
}

function build(compiler, flags, extra, name) {
  const sources = ['frames.c', 'kept.c', 'fuzz/frames_fuzz.c', ...extra].map((file) =>
    join(root, 'sandbox', file),
  );
  const program = join(work, name);
  const common = ['-std=c17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-g', '-O1'];
  const done = call(compiler, [...common, `-I${join(root, 'sandbox')}`, ...flags, ...sources, '-o', program]);
  if (done.status !== 0) throw new Error(`${compiler} cannot build the target:\n${done.stderr}`);
  return program;
}

function replay(files) {
  const compiler = process.env.CC ?? 'cc';
  const program = build(
    compiler,
    ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    ['fuzz/replay.c'],
    'replay',
  );
  const inputs = files.length > 0 ? files : readdirSync(seeds).map((name) => join(seeds, name));
  const done = call(program, inputs, { cwd: process.cwd() });
  process.stdout.write(`${done.stdout}${done.stderr}`);
  return done.status === 0 ? 0 : 1;
}

function fuzz(seconds, seed) {
  const flags = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all'];
  const program = build(process.env.CLANG ?? 'clang', flags, [], 'frames_fuzz');
  for (const folder of [corpus, crashes]) mkdirSync(folder, { recursive: true });
  const before = new Set(readdirSync(crashes));
  const limits = [
    `-max_total_time=${seconds}`,
    `-seed=${seed}`,
    '-max_len=8192',
    '-timeout=10',
    '-rss_limit_mb=2048',
  ];
  const done = call(program, [
    ...limits,
    '-print_final_stats=1',
    `-artifact_prefix=${crashes}/`,
    corpus,
    seeds,
  ]);
  const log = done.stderr;
  writeFileSync(join(work, 'fuzz.log'), log);
  const edges = Number(/\((\d+) inline 8-bit counters\)/.exec(log)?.[1]);
  const covered = Number([...log.matchAll(/cov: (\d+) ft: (\d+)/g)].at(-1)?.[1]);
  const executed = Number(/stat::number_of_executed_units: (\d+)/.exec(log)?.[1]);
  const found = readdirSync(crashes).filter((name) => !before.has(name));
  process.stdout.write(
    `${executed} executions in ${seconds} s, ${covered} of ${edges} edges covered, ` +
      `${readdirSync(corpus).length} inputs in ${shown(corpus)}, ${found.length} crashes\n`,
  );
  for (const name of found) process.stdout.write(`  ${shown(join(crashes, name))}\n`);
  if (done.status === 0 && found.length === 0 && executed > 0) return 0;
  process.stdout.write(`libFuzzer ended with ${done.status}:\n${log.split('\n').slice(-60).join('\n')}\n`);
  return 1;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    replay: { type: 'boolean', default: false },
  },
});
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
if (!(Number.isInteger(seconds) && seconds > 0 && Number.isInteger(seed)))
  throw new RangeError(
    `expected whole numbers for --seconds and --seed, found ${values.seconds}, ${values.seed}`,
  );
mkdirSync(work, { recursive: true });
makeSeeds();
const missing = positionals.find((file) => !existsSync(file));
if (missing !== undefined) throw new Error(`expected a file, found none at ${missing}`);
process.exitCode = values.replay ? replay(positionals) : fuzz(seconds, seed);
