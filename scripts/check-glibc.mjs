#!/usr/bin/env node
// Checks which C library versions a built addon needs against the floor in package.json ("toolgrad": {"glibc", "glibcxx"}).
// Usage: node scripts/check-glibc.mjs [file.node …]; default: all of build/Release. Needs objdump (Debian: binutils).
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { toolgrad: floor } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const files =
  process.argv.length > 2
    ? process.argv.slice(2)
    : ['toolgrad.node', 'toolgrad-sandbox', 'toolgrad-sandbox.so'].map((name) =>
        join(root, 'build', 'Release', name),
      );

function compare(a, b) {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number));
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) - (y[i] ?? 0);
  }
  return 0;
}

let failed = false;
for (const file of files) {
  if (!existsSync(file)) {
    console.error(`Expected the addon at ${file} but there is none. Build it: npm run build:native`);
    process.exit(2);
  }
  const dump = spawnSync('objdump', ['-T', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (dump.status !== 0) {
    console.error(dump.error?.message ?? dump.stderr);
    process.exit(2);
  }
  for (const [label, limit] of [
    ['GLIBC', floor.glibc],
    ['GLIBCXX', floor.glibcxx],
  ]) {
    const needs = [...dump.stdout.matchAll(new RegExp(`\\(?${label}_(\\d[\\d.]*)\\)?\\s+(\\S+)`, 'g'))];
    const newest = needs.map((m) => m[1]).reduce((a, b) => (compare(a, b) >= 0 ? a : b), '0');
    const over = needs.filter((m) => compare(m[1], limit) > 0).map((m) => `${m[2]} (${label}_${m[1]})`);
    console.log(`${label}: needs ${newest}, floor ${limit}`);
    if (over.length === 0) continue;
    failed = true;
    console.error(`Expected no symbol newer than ${label}_${limit} but ${file} uses ${over.join(', ')}`);
  }
}
process.exit(failed ? 1 : 0);
