// The checks that cuda-mutations.mjs runs on a fault, the PTX it makes for it, and how a failure is named.
//
// Checks are the native tests of the CUDA ops and, last, the addon's tests of the engine on a GPU, all unchanged: the driver
// library they load (replace_ptx.cc) puts the faulty PTX in the place of the shipped one. So a fault costs one or a few calls of
// nvcc and no linking.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { kernels } from './sites.mjs';

/** What the PTX is made from. */
const copied = ['cuda', 'binding', 'cmake'];

const entries = (ptx) => [...ptx.matchAll(/\.entry (\w+)/g)].map(([, name]) => name);

/** What of a PTX text is instructions: not the places in the source, which every edit moves. */
function instructions(ptx) {
  const debug = ptx.indexOf('.section');
  const code = (debug < 0 ? ptx : ptx.slice(0, debug)).split('\n');
  return code.filter((line) => !/^\s*\.(loc|file)\b|^\$L__(tmp|func_)\w*:|^\s*\/\//.test(line)).join('\n');
}

/** Runs a program in a process group of its own. `stop(text)`: enough was seen, after each piece of output. */
export function run(command, args, { cwd, env = {}, seconds = 600, stop = () => false }) {
  return new Promise((resolve, reject) => {
    const started = Date.now();
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, detached: true });
    let [output, errors, ended] = ['', '', ''];
    const end = (why) => {
      if (ended === '') ended = why;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    };
    const timer = setTimeout(() => end('time'), seconds * 1000);
    child.stdout.on('data', (data) => {
      output += data;
      if (ended === '' && stop(output, errors)) end('seen');
    });
    child.stderr.on('data', (data) => {
      errors += data;
      if (ended === '' && stop(output, errors)) end('seen');
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, ended, output, errors, seconds: (Date.now() - started) / 1000 });
    });
  });
}

async function must(command, args, options) {
  const done = await run(command, args, { seconds: 3600, ...options });
  if (done.code !== 0)
    throw new Error(
      `${command} ${args.join(' ')} ended with ${done.code}\n${`${done.output}${done.errors}`.slice(-3000)}`,
    );
  return done.output;
}

/** What a fault of the simulated device is about. */
const faultKinds = [
  [/was never written/, 'uninitialised read'],
  [/shared memory race/, 'race in shared memory'],
  [/out of bounds/, 'out of bounds'],
  [/misaligned/, 'misaligned access'],
  [/barrier/, 'barrier divergence'],
  [/never arrives|member mask|lanes? .* (not|missing)/, 'collective with missing lanes'],
  [/a hang|without an end/, 'hang'],
  [/without a fence/, 'missing order between blocks'],
];

/** The first fault that the simulated device found by itself: tests inject some too. */
const foundFault = (errors) =>
  [...errors.matchAll(/cudasim: fault: ([^\n]*)/g)]
    .map(([, text]) => text)
    .find((text) => !text.endsWith('(injected)'));

/** { how, kind, detail } of a check that did not pass, or null. */
export function verdict(check, done) {
  const fault = foundFault(done.errors);
  if (fault !== undefined) {
    const kind = faultKinds.find(([pattern]) => pattern.test(fault))?.[1] ?? 'fault';
    return { how: 'simulator', kind, detail: fault };
  }
  if (done.ended === 'time')
    return { how: 'time', kind: 'hang', detail: `not done after ${done.seconds.toFixed(0)} s` };
  const failed = check.engine
    ? /^not ok \d+ - ([^\n]*)/m.exec(done.output)?.[1]
    : /^FAILED ([^\n]*)/m.exec(done.output)?.[1];
  if (failed !== undefined) {
    const bits =
      /(same|bits of|have the bits|no bit|do not depend|does not depend)/.test(failed) && !/CPU/.test(failed);
    const kind = /conflict/.test(failed) ? 'bank conflicts' : bits ? 'differing bits' : 'wrong numbers';
    return { how: 'assertion', kind, detail: failed };
  }
  if (done.code === 0) return null;
  const said =
    done.errors
      .trim()
      .split('\n')
      .findLast((line) => line.trim() !== '') ?? done.output.slice(-200);
  return {
    how: 'error',
    kind: 'error',
    detail: `${done.signal ?? `exit ${done.code}`}: ${said.slice(0, 300)}`,
  };
}

export class Suite {
  constructor(root, log) {
    this.root = root;
    this.log = log;
    this.folder = join(root, 'build-cuda', 'mutations');
    this.native = join(root, 'build-cuda', 'native');
    this.driver = join(this.folder, 'replace_ptx.so');
    mkdirSync(this.folder, { recursive: true });
  }

  /** Builds the simulator, the native tests, the addon and the driver library. */
  async build(tests) {
    const simulator = join(this.root, 'build-cuda', 'sim');
    const jobs = ['-j', String(availableParallelism())];
    await must('cmake', ['-S', join(this.root, 'sim'), '-B', simulator, '-G', 'Ninja']);
    await must('cmake', ['--build', simulator, ...jobs, '--target', 'libcuda.so.1']);
    await must('cmake', ['-S', this.root, '-B', this.native, '-G', 'Ninja', '-DTOOLGRAD_CUDA=ON']);
    await must('cmake', [
      '--build',
      this.native,
      ...jobs,
      '--target',
      ...tests.map((name) => `test_${name}`),
    ]);
    await must(process.execPath, ['scripts/ensure-built.mjs'], { cwd: this.root });
    const real = join(simulator, 'driver');
    const source = join(this.root, 'scripts', 'cuda-mutations', 'replace_ptx.cc');
    const flags = [
      '-std=c++17',
      '-O1',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-shared',
      '-fPIC',
      '-Wl,--no-as-needed',
    ];
    const linked = [join(real, 'libcuda.so.1'), `-Wl,-rpath,${real}`, '-ldl'];
    await must(process.env.CXX ?? 'c++', [...flags, source, '-o', this.driver, ...linked]);
  }

  /** The checks; each must pass as it is. Learns how long each takes and which kernels it launches. */
  async baseline(tests, modules) {
    this.ptx = new Map();
    const moduleOf = new Map();
    for (const name of modules.keys()) {
      const text = readFileSync(join(this.native, 'ptx', `${name}.ptx`), 'utf8');
      this.ptx.set(name, { entry: entries(text)[0], instructions: instructions(text) });
      for (const entry of entries(text)) moduleOf.set(entry, name);
    }
    const checks = tests.map((name) => ({
      name,
      command: join(this.native, `test_${name}`),
      args: [],
      engine: false,
    }));
    const ava = join(this.root, 'node_modules', '.bin', 'ava');
    const args = ['--tap', '--fail-fast', '--timeout=20m', 'test/cuda/*.test.ts'];
    checks.push({ name: 'engine', command: ava, args, engine: true });
    const reports = join(this.folder, 'baseline');
    rmSync(reports, { recursive: true, force: true });
    const queue = [...checks];
    const one = async () => {
      for (let check = queue.pop(); check !== undefined; check = queue.pop()) {
        const at = join(reports, check.name);
        mkdirSync(at, { recursive: true });
        const env = { TOOLGRAD_LIBCUDA: this.driver, CUDASIM_REPORT: join(at, '%p.json') };
        const done = await run(check.command, check.args, { cwd: this.root, env, seconds: 3600 });
        const bad = verdict(check, done);
        if (bad !== null)
          throw new Error(`Expected ${check.name} to pass without any fault but: ${bad.kind}: ${bad.detail}`);
        check.seconds = done.seconds;
        check.modules = new Set();
        for (const name of readdirSync(at))
          for (const kernel of Object.keys(JSON.parse(readFileSync(join(at, name), 'utf8')).kernels ?? {}))
            check.modules.add(moduleOf.get(kernel));
        this.log(
          `${check.name} passes without a fault in ${check.seconds.toFixed(1)} s; ${check.modules.size} modules`,
        );
      }
    };
    await Promise.all([one(), one()]);
    this.checks = checks.sort((a, b) => a.engine - b.engine || a.seconds - b.seconds);
  }

  /** A place to work in: a copy of the sources and a folder for PTX. */
  workplace(name) {
    const at = join(this.folder, name);
    rmSync(at, { recursive: true, force: true });
    for (const folder of copied)
      cpSync(join(this.root, folder), join(at, 'source', folder), { recursive: true });
    mkdirSync(join(at, 'ptx'));
    return at;
  }

  /** PTX of one module from a workplace's sources, by the build's own commands; null when it does not compile. */
  async compile(at, name) {
    const listed = await must('ninja', ['-C', this.native, '-t', 'commands', '-s', `ptx/${name}.ptx`]);
    const command = listed.split('\n').find((line) => line.includes(`${kernels}/${name}.cu`));
    if (command === undefined) throw new Error(`ninja has no command for ptx/${name}.ptx`);
    let moved = command.replaceAll(join(this.native, 'ptx'), join(at, 'ptx'));
    for (const folder of copied)
      moved = moved.replaceAll(`${join(this.root, folder)}`, join(at, 'source', folder));
    const made = join(at, 'ptx', `${name}.ptx`);
    rmSync(made, { force: true });
    const done = await run('/bin/sh', ['-c', moved], { cwd: this.native, seconds: 600 });
    return done.code === 0 && existsSync(made) ? readFileSync(made, 'utf8') : null;
  }

  /** Runs the checks on one site until one fails. { outcome: 'caught' | 'survived' | 'discarded', ... } */
  async judge(at, site, modules) {
    const file = join(at, 'source', site.file);
    const original = readFileSync(join(this.root, site.file), 'utf8');
    const lines = original.split('\n');
    for (const [i, text] of Object.entries(site.lines)) lines[i] = text;
    writeFileSync(file, lines.join('\n'));
    const mutant = join(at, 'mutant');
    rmSync(mutant, { recursive: true, force: true });
    mkdirSync(mutant);
    const affected = [...modules.keys()].filter((name) => modules.get(name).has(site.file));
    const changed = new Map();
    const make = async (name) => {
      if (changed.has(name)) return true;
      const text = await this.compile(at, name);
      if (text === null) return false;
      const { entry, instructions: before } = this.ptx.get(name);
      changed.set(name, instructions(text) !== before);
      if (changed.get(name)) writeFileSync(join(mutant, `${entry}.ptx`), text);
      return true;
    };
    const passed = [];
    try {
      for (const check of this.checks) {
        const own = affected.filter((name) => check.modules.has(name));
        for (const name of own)
          if (!(await make(name))) return { outcome: 'discarded', why: 'does not compile' };
        if (!own.some((name) => changed.get(name))) continue;
        const env = { TOOLGRAD_LIBCUDA: this.driver, TOOLGRAD_MUTANT: mutant };
        const stop = check.engine
          ? () => false
          : (out, err) =>
              /^FAILED .*\n/m.test(out) || foundFault(err.slice(0, err.lastIndexOf('\n') + 1)) !== undefined;
        const seconds = Math.max(120, 8 * check.seconds);
        const done = await run(check.command, check.args, { cwd: this.root, env, seconds, stop });
        const bad = verdict(check, done);
        const loaded = readdirSync(mutant).some((name) => name.endsWith('.loaded'));
        if (!loaded)
          throw new Error(`${check.name} did not load the PTX of ${site.id}: ${done.errors.slice(-500)}`);
        if (bad !== null) return { outcome: 'caught', check: check.name, ...bad, passed };
        passed.push(check.name);
      }
      for (const name of affected)
        if (!(await make(name))) return { outcome: 'discarded', why: 'does not compile' };
      if (![...changed.values()].some(Boolean)) return { outcome: 'discarded', why: 'the same PTX' };
      return { outcome: 'survived', passed };
    } finally {
      writeFileSync(file, original);
    }
  }

  /** Tells whether results of another time are of these sources. */
  sourcesHash(modules) {
    const hash = createHash('sha256');
    for (const file of [...new Set([...modules.values()].flatMap((set) => [...set]))].sort())
      hash.update(`${file}\0`).update(readFileSync(join(this.root, file)));
    return hash.digest('hex').slice(0, 16);
  }
}
