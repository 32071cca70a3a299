#!/usr/bin/env node
// Compiles lib/ to dist/ and copies the files of lib/ that are not TypeScript (the tool's Python side, presets, pages).
// dist/ is written afresh in a folder beside it and then swapped in, so that a failed or concurrent build leaves it whole.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const fresh = join(root, `dist.${process.pid}`);

function assets() {
  return readdirSync(join(root, 'lib'), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !/\.ts$|\.pyc$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function build() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(tsc))
    throw new Error('Expected typescript in node_modules but it is not there. Run:\n  npm ci');
  const compiled = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.json'), '--outDir', fresh], {
    cwd: root,
    stdio: 'inherit',
  });
  if (compiled.status !== 0) throw new Error('TypeScript found the errors above; dist is unchanged');
  for (const from of assets()) {
    const to = join(fresh, relative(join(root, 'lib'), from));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
  const program = join(fresh, 'cli', 'main.js');
  if (existsSync(program)) chmodSync(program, 0o755);
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  renameSync(fresh, join(root, 'dist'));
}

try {
  await withLock(join(root, '.build.lock'), build);
} catch (error) {
  rmSync(fresh, { recursive: true, force: true });
  console.error(`toolgrad: ${error.message}`);
  process.exit(1);
}
