/**
 * The package as others meet it: what is inside, what its scripts say when something is missing, what a failed load explains,
 * and that the compiled package works from another folder. Uses the addon that is already built; builds nothing native.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { publint } from 'publint';
import { errorCode } from '../lib/errors.ts';
import { explainLoadFailure, libcName, loadNative } from '../lib/native.ts';
import { libraryFloor, packageRoot, packageVersion } from '../lib/package.ts';

interface Manifest {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as Manifest;
const findAddon = createRequire(import.meta.url)('node-gyp-build') as { path(root: string): string };

function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function run(
  command: string,
  flags: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const child = spawn(command, flags, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

/** A checkout without sources: the manifest, the scripts, and (unless `bare`) a node_modules that looks complete. */
function smallCheckout(t: ExecutionContext, options: { bare?: boolean } = {}): string {
  const folder = temporaryFolder(t);
  cpSync(join(packageRoot, 'scripts'), join(folder, 'scripts'), { recursive: true });
  for (const file of ['package.json', 'CMakeLists.txt'])
    copyFileSync(join(packageRoot, file), join(folder, file));
  if (!options.bare) symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** A PATH on which only the named commands exist. */
function pathWith(t: ExecutionContext, commands: string[]): string {
  const folder = temporaryFolder(t);
  for (const command of commands) symlinkSync('/bin/true', join(folder, command));
  return folder;
}

const ensureBuilt = (folder: string, env: NodeJS.ProcessEnv = process.env) =>
  run(process.execPath, [join(folder, 'scripts', 'ensure-built.mjs')], { cwd: folder, env });

test('the package runs nothing on install and has at most six dependencies', (t) => {
  for (const name of ['preinstall', 'install', 'postinstall', 'prebuild', 'prepare']) {
    t.false(name in manifest.scripts, `script ${name}`);
  }
  t.false(existsSync(join(packageRoot, 'binding.gyp')));
  t.true(Object.keys(manifest.dependencies).length <= 6);
});

test('npm scripts never call a package manager to install', (t) => {
  for (const [name, script] of Object.entries(manifest.scripts)) {
    t.notRegex(script, /\b(npm (i|ci|install)|npx|apt|apt-get|yarn|pnpm|pip)\b/, name);
  }
  for (const file of readdirSync(join(packageRoot, 'scripts')).filter((name) => name.endsWith('.mjs'))) {
    if (file === 'check-package.mjs') continue; // installs the packed archive, for .ci/run only
    t.notRegex(
      readFileSync(join(packageRoot, 'scripts', file), 'utf8'),
      /(spawn|spawnSync|exec\w*)\('(npm|npx|apt)/,
      file,
    );
  }
});

test('npm pack holds the compiled package, the sources for a rebuild and the texts, and nothing else', async (t) => {
  const packed = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: packageRoot });
  t.is(packed.code, 0, packed.err);
  const [archive] = JSON.parse(packed.out) as [{ files: { path: string; size: number }[] }];
  const allowed = [
    'dist',
    'prebuilds',
    'assets',
    'presets',
    'recipes',
    'binding',
    'cuda',
    'sandbox',
    'cmake',
    'CMakeLists.txt',
    'package.json',
    'README.md',
  ];
  allowed.push('LICENSE', 'CHANGELOG.md');
  const found = [...new Set(archive.files.map((file) => file.path.split('/')[0] ?? ''))];
  t.deepEqual(
    found.filter((name) => !allowed.includes(name)),
    [],
  );
  for (const name of ['binding', 'sandbox', 'cmake', 'CMakeLists.txt', 'package.json', 'LICENSE'])
    t.true(found.includes(name), name);
  const assets = archive.files
    .filter((file) => file.path.startsWith('assets/'))
    .reduce((sum, file) => sum + file.size, 0);
  t.true(assets <= 8e6, `assets are ${assets} bytes, at most 8 MB`);
  t.deepEqual(
    archive.files.map((file) => file.path).filter((path) => /__pycache__|\.pyc$|\.log$|\.o$/.test(path)),
    [],
  );
});

test('the lock file names no download address and every platform of its packages', (t) => {
  const text = readFileSync(join(packageRoot, 'package-lock.json'), 'utf8');
  t.notRegex(text, /"resolved": "http/);
  const { packages } = JSON.parse(text) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  // npm ci refuses a lock file that leaves out the platforms of other machines.
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) {
      t.true(
        `node_modules/${name}` in packages || `${path}/node_modules/${name}` in packages,
        `${path} wants ${name}`,
      );
    }
  }
});

test('the compiled package imports from another folder, with a prebuilt addon and no development packages', async (t) => {
  const user = temporaryFolder(t);
  const installed = join(user, 'node_modules', 'toolgrad');
  mkdirSync(installed, { recursive: true });
  const built = await run(process.execPath, [
    join(packageRoot, 'scripts', 'build-ts.mjs'),
    join(installed, 'dist'),
  ]);
  t.is(built.code, 0, built.out + built.err);
  for (const file of ['package.json', 'LICENSE'])
    copyFileSync(join(packageRoot, file), join(installed, file));
  const prebuilds = join(installed, 'prebuilds', `${process.platform}-${process.arch}`);
  mkdirSync(prebuilds, { recursive: true });
  copyFileSync(findAddon.path(packageRoot), join(prebuilds, 'node.napi.glibc.node'));
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(user, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(packageRoot, 'node_modules', name), link);
  }

  const others = readdirSync(join(packageRoot, 'lib'), { recursive: true, encoding: 'utf8' });
  for (const file of others.filter((name) => /\.(py|html|css|yaml|json)$/.test(name))) {
    t.true(existsSync(join(installed, 'dist', file)), `dist/${file} is a copy of lib/${file}`);
  }

  const env = { ...process.env };
  delete env.TOOLGRAD_PREBUILD;
  const program = `
    const toolgrad = await import('toolgrad');
    const { native } = await import('./node_modules/toolgrad/dist/native.js');
    console.log(Object.keys(toolgrad).length > 0, native().version(), await native().selfCheck(10));`;
  const used = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: user, env });
  t.is(used.out, `true ${packageVersion} 55\n`, used.err);
  const version = await run(join(installed, 'dist', 'cli', 'main.js'), ['--version'], { cwd: user, env });
  t.is(version.out.trim(), packageVersion, version.err);

  const { messages } = await publint({ pkgDir: installed, strict: true, pack: false });
  t.deepEqual(messages, []);
});

test('a missing addon is explained: what was looked for and found, the machine, the command', (t) => {
  const empty = temporaryFolder(t);
  const error = t.throws(() => loadNative(empty));
  t.is(errorCode(error), 'ERR_ADDON_LOAD');
  const message = error?.message ?? '';
  t.log(message);
  t.regex(message, new RegExp(`${process.platform}-${process.arch}, .*Node ${process.versions.node}`));
  t.regex(message, /build\/Release\s+no such folder/);
  t.regex(message, /prebuilds\s+no such folder/);
  t.regex(message, /npm i -D cmake-js node-addon-api && npx cmake-js compile -d node_modules\/toolgrad/);
  t.regex(explainLoadFailure(packageRoot, new Error('x')), /\n {2}npm run build:native$/);
});

test('a damaged addon and one of another platform are explained with the files that are there', (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
  writeFileSync(join(folder, 'build', 'Release', 'toolgrad.node'), 'not a library');
  const damaged = t.throws(() => loadNative(folder));
  t.is(errorCode(damaged), 'ERR_ADDON_LOAD');
  t.regex(damaged?.message ?? '', /build\/Release\s+toolgrad\.node/);
  rmSync(join(folder, 'build'), { recursive: true });
  mkdirSync(join(folder, 'prebuilds', 'sunos-sparc'), { recursive: true });
  writeFileSync(join(folder, 'prebuilds', 'sunos-sparc', 'node.napi.node'), '');
  const other = t.throws(() => loadNative(folder));
  t.regex(other?.message ?? '', /prebuilds\s+sunos-sparc\/node\.napi\.node \(needed: /);
});

test('a C library that is too old or not glibc is named with the floor', (t) => {
  const floor = libraryFloor.glibc;
  const cause = new Error(`/lib/libc.so.6: version 'GLIBC_${floor}' not found`);
  t.regex(
    explainLoadFailure(packageRoot, cause, 'glibc 2.28'),
    new RegExp(`needs glibc ${floor} or newer; this machine has 2.28`),
  );
  t.regex(explainLoadFailure(packageRoot, cause, 'not glibc'), /this machine has another C library/);
  t.notRegex(explainLoadFailure(packageRoot, cause, 'glibc 2.99'), /needs glibc/);
  t.notRegex(explainLoadFailure(packageRoot, cause, `glibc ${floor}`), /needs glibc/);
  if (process.platform === 'linux') t.regex(libcName(), /^(glibc \d+\.\d+|not glibc)/);
});

test('the built addon stays within the stated C library floor', async (t) => {
  const checked = await run(process.execPath, [
    join(packageRoot, 'scripts', 'check-glibc.mjs'),
    findAddon.path(packageRoot),
  ]);
  t.log(checked.out.trim());
  t.is(checked.code, 0, checked.err);
});

test('without node_modules the scripts say `npm ci` and exit with 2', async (t) => {
  const checkout = smallCheckout(t, { bare: true });
  const none = await ensureBuilt(checkout);
  t.is(none.code, 2);
  t.is(
    none.err,
    'toolgrad: Expected the packages of package.json in node_modules but it is not there. Run:\n  npm ci\n',
  );
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
    if (name === 'zod') continue;
    mkdirSync(join(checkout, 'node_modules', name), { recursive: true });
    writeFileSync(join(checkout, 'node_modules', name, 'package.json'), '{}');
  }
  const partial = await ensureBuilt(checkout);
  t.is(partial.code, 2);
  t.regex(partial.err, /but it lacks zod\. Run:\n {2}npm ci/);
});

test('a missing system package is named with the command that installs it', async (t) => {
  const checkout = smallCheckout(t);
  const nothing = await ensureBuilt(checkout, { PATH: pathWith(t, ['python3']) });
  t.is(nothing.code, 2);
  t.log(nothing.err.trim());
  t.regex(nothing.err, /a C\+\+ compiler \(c\+\+ or g\+\+\), cmake, make or ninja on PATH/);
  t.regex(nothing.err, /\n {2}apt-get install -y g\+\+ cmake make\n$/);
  const python = await ensureBuilt(checkout, { PATH: pathWith(t, ['g++', 'cmake', 'ninja']) });
  t.is(python.code, 2);
  t.regex(python.err, /apt-get install -y python3\n$/);
  const cxx = await ensureBuilt(checkout, {
    PATH: pathWith(t, ['cmake', 'make', 'python3']),
    CXX: '/nowhere/c++',
  });
  t.regex(cxx.err, /apt-get install -y g\+\+\n$/);
});

test('a build that fails shows the end of its output, names the log and leaves no lock', async (t) => {
  const checkout = smallCheckout(t);
  writeFileSync(join(checkout, 'CMakeLists.txt'), 'message(FATAL_ERROR "broken on purpose")\n');
  const failed = await ensureBuilt(checkout);
  t.is(failed.code, 1);
  t.regex(failed.out, /^toolgrad: building the native addon \(it is missing\)/);
  t.regex(failed.err, /broken on purpose/);
  t.regex(failed.err, /The native build ended with exit code 1\. Its whole output: build\.log/);
  t.regex(readFileSync(join(checkout, 'build.log'), 'utf8'), /broken on purpose/);
  t.deepEqual(
    readdirSync(checkout).filter((name) => name.startsWith('.build.lock')),
    [],
  );
});

test('only one process at a time holds the build lock, and a dead or silent holder does not block', async (t) => {
  const folder = temporaryFolder(t);
  const lock = join(folder, 'test.lock');
  const record = join(folder, 'record');
  writeFileSync(record, '');
  const program = `
    import { appendFileSync } from 'node:fs';
    import { withLock } from ${JSON.stringify(join(packageRoot, 'scripts', 'lock.mjs'))};
    await withLock(${JSON.stringify(lock)}, async () => {
      appendFileSync(${JSON.stringify(record)}, 'in ');
      await new Promise((resolve) => setTimeout(resolve, 60));
      appendFileSync(${JSON.stringify(record)}, 'out ');
    });`;
  const holders = (n: number) =>
    Promise.all(
      Array.from({ length: n }, () => run(process.execPath, ['--input-type=module', '-e', program])),
    );

  // A dead process of this machine holds it: all of them find that out at the same time.
  const dead = spawn('true');
  await once(dead, 'close');
  writeFileSync(lock, `${hostname()} ${dead.pid} 0`);
  for (const done of await holders(4)) t.is(done.code, 0, done.err);
  t.is(readFileSync(record, 'utf8'), 'in out '.repeat(4));

  // A process of another machine holds it and has been silent for a minute.
  writeFileSync(lock, 'elsewhere 1 0');
  utimesSync(lock, Date.now() / 1000 - 60, Date.now() / 1000 - 60);
  for (const done of await holders(1)) t.is(done.code, 0, done.err);
  t.is(readFileSync(record, 'utf8'), 'in out '.repeat(5));
  t.false(existsSync(lock));
});
