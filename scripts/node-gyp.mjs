#!/usr/bin/env node
// Lets prebuildify drive cmake-js. prebuildify calls `<this file> rebuild --target=<node version> --devdir=… --arch=… --release`;
// cmake-js would read --target as a CMake target, so the Node-gyp flags are dropped (Node-API binaries need no version).
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const arch = process.argv.find((flag) => flag.startsWith('--arch='))?.slice('--arch='.length);
if (arch !== undefined && arch !== process.arch) {
  console.error(
    `Expected --arch=${process.arch}, this machine's, but received ${arch}: build prebuilds on a machine of that kind.`,
  );
  process.exit(2);
}
const built = spawnSync(process.execPath, [join(root, 'scripts', 'ensure-built.mjs'), '--always'], {
  stdio: 'inherit',
});
process.exit(built.status ?? 1);
