#!/usr/bin/env node
// Format and lint checks: biome for TypeScript and scripts, clang-format 14 for C++. `--write` repairs instead of reporting.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const write = process.argv.includes('--write');

function filesBelow(folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(c|cc|h|cu|cuh)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function run(command, flags) {
  const done = spawnSync(command, flags, { cwd: root, stdio: 'inherit' });
  if (done.error?.code === 'ENOENT') {
    console.error(
      `Expected ${command} but it is not installed. On Debian or Ubuntu: apt-get install -y ${command}`,
    );
  }
  return done.status === 0;
}

const biome = join(root, 'node_modules', '.bin', 'biome');
const cpp = ['binding', 'cuda', 'sandbox', 'sim', 'test/native', 'bench/native'].flatMap(filesBelow);
const results = [
  run(biome, write ? ['check', '--write'] : ['ci', '--colors=off', '--error-on-warnings']),
  cpp.length === 0 || run('clang-format', write ? ['-i', ...cpp] : ['--dry-run', '--Werror', ...cpp]),
];
process.exit(results.every(Boolean) ? 0 : 1);
