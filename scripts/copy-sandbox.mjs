#!/usr/bin/env node
// Puts the sandbox's two native parts beside the prebuilt addon, stripped as it is.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
if (process.platform === 'linux') {
  for (const name of ['toolgrad-sandbox', 'toolgrad-sandbox.so']) {
    const from = join(root, 'build', 'Release', name);
    if (!existsSync(from)) {
      console.error(`Expected ${from} after the build but it is not there`);
      process.exit(1);
    }
    const to = join(root, 'prebuilds', `${process.platform}-${process.arch}`, name);
    copyFileSync(from, to);
    chmodSync(to, 0o755);
    const stripped = spawnSync('strip', [to], { stdio: 'inherit' });
    if (stripped.status !== 0) process.exit(1);
  }
}
