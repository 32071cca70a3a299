#!/usr/bin/env node
// Compiles lib/ to dist/ (or to the folder given as argument) and copies the files of lib/ that are not TypeScript (the tool's
// Python side, presets, pages).
// The output is written afresh in a folder beside it and then swapped in, so that a failed or concurrent build leaves it whole.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = resolve(process.argv[2] ?? join(root, 'dist'));
const fresh = `${target}.${process.pid}`;

function assets() {
  return readdirSync(join(root, 'lib'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !/\.ts$|\.pyc$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

async function build() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(tsc))
    throw new Error('Expected typescript in node_modules but it is not there. Run:\n  npm ci');
  const compiler = spawn(process.execPath, [tsc, '-p', join(root, 'tsconfig.json'), '--outDir', fresh], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [status] = await once(compiler, 'close');
  if (status !== 0) throw new Error('TypeScript found the errors above; nothing was changed');
  for (const from of assets()) {
    const to = join(fresh, relative(join(root, 'lib'), from));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
  const program = join(fresh, 'cli', 'main.js');
  if (existsSync(program)) chmodSync(program, 0o755);
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
}

try {
  await withLock(`${target}.lock`, build);
} catch (error) {
  rmSync(fresh, { recursive: true, force: true });
  console.error(`toolgrad: ${error.message}`);
  process.exit(1);
}
