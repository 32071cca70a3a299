#!/usr/bin/env node
// Packs the package with a prebuilt binary, installs the archive in an empty folder as a user would, and uses it there: import,
// native call, command line. Also publint and the list of what is inside. Needs the registry that `npm ci` used.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
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
  'LICENSE',
  'CHANGELOG.md',
];

function run(what, command, flags, cwd) {
  const done = spawnSync(command, flags, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status === 0) return done.stdout;
  throw new Error(`${what} failed: ${done.error?.message ?? `${done.stdout}\n${done.stderr}`}`);
}

const folder = mkdtempSync(join(tmpdir(), 'toolgrad-package-'));
try {
  run('build:prebuilds', 'npm', ['run', 'build:prebuilds'], root);
  run('build:ts', 'npm', ['run', 'build:ts'], root);
  run('publint', join(root, 'node_modules', '.bin', 'publint'), ['run', '--strict'], root);
  const [packed] = JSON.parse(
    run('npm pack', 'npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  );
  const strangers = packed.files.map((f) => f.path).filter((path) => !allowed.includes(path.split('/')[0]));
  if (strangers.length > 0)
    throw new Error(`Expected only ${allowed.join(', ')} in the package but found ${strangers.join(', ')}`);
  const mega = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
  console.log(
    `${packed.filename}: ${packed.files.length} files, ${mega(packed.size)} packed, ${mega(packed.unpackedSize)} unpacked`,
  );

  const user = join(folder, 'user');
  run('mkdir', 'mkdir', [user], folder);
  writeFileSync(
    join(user, 'package.json'),
    '{"name": "user", "version": "1.0.0", "type": "module", "private": true}\n',
  );
  run('npm install', 'npm', ['install', '--no-audit', '--no-fund', join(folder, packed.filename)], user);
  const top = readdirSync(join(user, 'node_modules', 'toolgrad')).sort();
  console.log(`installed: ${top.join(' ')}`);
  writeFileSync(
    join(user, 'use.mjs'),
    `import * as toolgrad from 'toolgrad';
if (Object.keys(toolgrad).length === 0) throw new Error('Expected exports but found none');
const { native } = await import('./node_modules/toolgrad/dist/native.js');
if ((await native().selfCheck(10)) !== 55) throw new Error('Expected the sum 55');
console.log(Object.keys(toolgrad).length + ' exports, addon ' + native().version());
const tool = await toolgrad.openPythonTool({ workers: 1 });
const limits = { seconds: 10, memoryBytes: 2 ** 29, outputBytes: 4096, fileBytes: 2 ** 20 };
const { status, output } = await tool.run({ callId: 'a', code: 'print(6 * 7)', ...limits });
if (status !== 'ok' || output !== '42\\n') throw new Error('Expected 42 from a program, found ' + status + ': ' + output);
console.log(tool.describe);
await tool.close();\n`,
  );
  console.log(run('import', process.execPath, ['use.mjs'], user).trim());
  const program = join(user, 'node_modules', '.bin', 'toolgrad');
  if ((statSync(program).mode & 0o111) === 0) throw new Error(`Expected ${program} to be executable`);
  console.log(`toolgrad --version: ${run('toolgrad --version', program, ['--version'], user).trim()}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
