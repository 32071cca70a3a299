/**
 * Where the package is and what it is: the same answer from lib/*.ts in a checkout and from dist/*.js when installed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Manifest {
  name: string;
  version: string;
  toolgrad: { glibc: string; glibcxx: string };
}

function findRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) throw new Error(`Expected a package.json above ${start} but found none`);
  }
}

/** Absolute path of the folder that holds package.json, assets/ and the native builds. */
export const packageRoot: string = findRoot();

const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as Manifest;

/** Version of the package, as in package.json. */
export const packageVersion: string = manifest.version;

/** Oldest C and C++ libraries the published binary for Linux runs on (checked against the binary by `.ci/run`). */
export const libraryFloor: { readonly glibc: string; readonly glibcxx: string } = manifest.toolgrad;
