#!/usr/bin/env node
// Makes sure that what `npm test`, `npm run demo` and `npm run bench` need is there, and builds the native addon when its
// sources changed. Usage: node scripts/ensure-built.mjs [--always]
//
// - Runs before node_modules is known to exist: imports only Node and the files beside it.
// - "Changed" is decided by a hash of the sources, kept in build/Release/sources.sha256; file times are not looked at.
// - Never calls a package manager: it names what is missing and the command that installs it, and exits with 2.
// - One builder at a time (lock.mjs); a second process waits, then finds the work done.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const addon = join(root, 'build', 'Release', 'toolgrad.node');
const stamp = join(root, 'build', 'Release', 'sources.sha256');
const logFile = join(root, 'build.log'); // not in build/, which a build from nothing removes

class Missing extends Error {}

function onPath(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .some((folder) => folder !== '' && existsSync(join(folder, name)));
}

function requireSystemPackages({ building }) {
  const wanted = building
    ? [
        {
          what: 'a C++ compiler (c++ or g++)',
          debian: 'g++',
          commands: [process.env.CXX ?? 'c++', 'g++', 'clang++'],
        },
        { what: 'cmake', debian: 'cmake', commands: ['cmake'] },
        { what: 'make or ninja', debian: 'make', commands: ['make', 'ninja'] },
      ]
    : [];
  wanted.push({ what: 'python3', debian: 'python3', commands: ['python3'] });
  const missing = wanted.filter(
    ({ commands }) => !commands.some((c) => (c.includes('/') ? existsSync(c) : onPath(c))),
  );
  if (missing.length === 0) return;
  throw new Missing(
    `Expected ${missing.map((m) => m.what).join(', ')} on PATH but found none. On Debian or Ubuntu install with:\n` +
      `  apt-get install -y ${missing.map((m) => m.debian).join(' ')}`,
  );
}

function requireNodeModules() {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const names = Object.keys({ ...dependencies, ...devDependencies });
  const missing = names.filter((name) => !existsSync(join(root, 'node_modules', name, 'package.json')));
  if (missing.length === 0) return;
  const found = missing.length === names.length ? 'it is not there' : `it lacks ${missing.join(', ')}`;
  throw new Missing(`Expected the packages of package.json in node_modules but ${found}. Run:\n  npm ci`);
}

function sourceFiles(path) {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

// Everything that decides what the addon contains.
function sourcesHash() {
  const hash = createHash('sha256');
  hash.update(`${process.platform} ${process.arch} ${process.env.CXX ?? ''} ${process.env.CXXFLAGS ?? ''}\n`);
  const { version, binary } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  hash.update(JSON.stringify({ version, binary }));
  const files = ['cmake', 'binding', 'cuda', 'sandbox'].flatMap((folder) => sourceFiles(join(root, folder)));
  for (const file of [join(root, 'CMakeLists.txt'), ...files]) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

function state() {
  if (!existsSync(addon)) return 'missing';
  const built = existsSync(stamp) ? readFileSync(stamp, 'utf8').trim() : '';
  return built === sourcesHash() ? 'current' : 'out of date';
}

// One cmake-js command, its output appended to the log; on a terminal the compiler's progress mark is repainted.
async function cmakeJs(command, log, jobs) {
  const program = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js');
  const child = spawn(process.execPath, [program, command, '--parallel', jobs], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = () => child.kill();
  process.once('exit', stop);
  const tail = [];
  const take = (chunk) => {
    writeSync(log, chunk);
    for (const line of chunk.toString().split('\n')) {
      if (line.trim() === '') continue;
      tail.push(line);
      if (tail.length > 40) tail.shift();
      const mark = /^\[ *\d+(?:%|\/\d+)\]/.exec(line);
      if (mark && process.stdout.isTTY) process.stdout.write(`\r  ${mark[0]} `);
    }
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const [code, signal] = await once(child, 'close');
  process.off('exit', stop);
  if (process.stdout.isTTY) process.stdout.write('\r');
  if (code === 0) return;
  const how = signal ? `by signal ${signal}` : `with exit code ${code}`;
  throw new Error(
    `${tail.join('\n')}\n\nThe native build ended ${how}. Its whole output: ${relative(process.cwd(), logFile)}`,
  );
}

// Configures every time (a second or two), so that moved packages and changed compilers are noticed. What CMake remembers from
// another folder or generator makes that fail: then once more from nothing.
async function compile() {
  const log = openSync(logFile, 'w');
  const jobs = String(Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / 1e9))));
  try {
    try {
      await cmakeJs('configure', log, jobs);
    } catch (error) {
      if (!existsSync(join(root, 'build', 'CMakeCache.txt'))) throw error;
      rmSync(join(root, 'build'), { recursive: true, force: true });
      await cmakeJs('configure', log, jobs);
    }
    await cmakeJs('build', log, jobs);
  } finally {
    closeSync(log);
  }
}

async function build(always) {
  const found = state();
  if (!always && found === 'current') return;
  requireSystemPackages({ building: true });
  const why = found === 'current' ? 'asked to build it again' : `it is ${found}`;
  console.log(`toolgrad: building the native addon (${why}); this takes a few minutes the first time`);
  const start = Date.now();
  const hash = sourcesHash();
  rmSync(stamp, { force: true });
  await compile();
  writeFileSync(stamp, `${hash}\n`);
  console.log(`toolgrad: built build/Release/toolgrad.node in ${((Date.now() - start) / 1000).toFixed(0)} s`);
}

try {
  const always = process.argv.includes('--always');
  requireNodeModules();
  requireSystemPackages({ building: false });
  if (always || state() !== 'current') await withLock(join(root, '.build.lock'), () => build(always));
} catch (error) {
  console.error(`toolgrad: ${error.message}`);
  process.exit(error instanceof Missing ? 2 : 1);
}
