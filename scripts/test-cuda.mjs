#!/usr/bin/env node
// The tests of the GPU backend on a simulated GPU: `npm run test:cuda`, or one part of it: `node scripts/test-cuda.mjs sim`.
//
//   sim     builds the simulated device (sim/) and runs its own suite
//   native  the kernels, op by op, against float64 and the CPU (test/native/cuda_*)
//   engine  the addon as it ships, whole passes and training (test/cuda)
//
// The device is a libcuda.so.1 that executes the kernels' PTX on the CPU. TOOLGRAD_LIBCUDA names another driver, a real one
// for example; `sim` is then left out. Needs cmake and nvcc. Arguments after `--` go to ava.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'build-cuda');
const simulated = join(folder, 'sim', 'driver', 'libcuda.so.1');
const driver = process.env.TOOLGRAD_LIBCUDA || simulated;
const jobs = String(availableParallelism());

function onPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((at) => at !== '' && existsSync(join(at, name)));
}

function run(command, args, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...environment },
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')} ended with ${code}`)),
    );
  });
}

async function build(source, name, options, targets) {
  const generator = onPath('ninja') ? ['-G', 'Ninja'] : [];
  await run('cmake', ['-S', source, '-B', join(folder, name), ...generator, ...options]);
  await run('cmake', ['--build', join(folder, name), '-j', jobs, ...targets]);
}

const parts = {
  async sim() {
    if (driver !== simulated) return console.log(`sim: skipped, TOOLGRAD_LIBCUDA names ${driver}`);
    await build('sim', 'sim', [], []);
    await run('ctest', ['--test-dir', join(folder, 'sim'), '--output-on-failure']);
  },
  async native() {
    const tests = readdirSync(join(root, 'test', 'native')).filter((name) =>
      /^cuda_\w+_test\.cc$/.test(name),
    );
    const targets = tests.map((name) => `test_${name.replace(/_test\.cc$/, '')}`);
    await build('.', 'native', ['-DTOOLGRAD_CUDA=ON'], ['--target', ...targets]);
    await run('ctest', ['--test-dir', join(folder, 'native'), '--output-on-failure', '-R', '^cuda'], {
      TOOLGRAD_LIBCUDA: driver,
    });
  },
  async engine(rest) {
    await run(process.execPath, ['scripts/ensure-built.mjs']);
    await run(join(root, 'node_modules', '.bin', 'ava'), ['test/cuda/*.test.ts', ...rest], {
      TOOLGRAD_LIBCUDA: driver,
    });
  },
};

const given = process.argv.slice(2);
const cut = given.indexOf('--');
const names = cut < 0 ? given : given.slice(0, cut);
const rest = cut < 0 ? [] : given.slice(cut + 1);
try {
  const unknown = names.find((name) => !(name in parts));
  if (unknown !== undefined) throw new Error(`Expected sim, native or engine but found ${unknown}`);
  if (!onPath('nvcc'))
    throw new Error(
      'Expected nvcc on PATH, which makes the kernels, but found none: install the CUDA toolkit',
    );
  for (const name of names.length === 0 ? Object.keys(parts) : names) await parts[name](rest);
} catch (error) {
  console.error(`test:cuda: ${error.message}`);
  process.exitCode = 1;
}
