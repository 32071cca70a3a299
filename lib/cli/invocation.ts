/** How to type a command so that it runs this very program: for the lines that tell the user what to do next. */
import { join, relative, resolve } from 'node:path';
import { packageRoot } from '../package.ts';

/** `npx toolgrad <args>` when built, or the way to run the sources of a checkout; ready to be pasted into a shell. */
export function invocation(args: readonly string[]): string {
  const source = import.meta.url.endsWith('.ts');
  const program = source
    ? ['node', '--import=tsx', shortPath(join(packageRoot, 'lib', 'cli', 'main.ts'))]
    : ['npx', 'toolgrad'];
  return [...program, ...args].map(shellWord).join(' ');
}

/** The path as one would type it here: relative below the current folder, else absolute. */
export function shortPath(path: string): string {
  const below = relative(process.cwd(), path);
  return below.startsWith('..') ? resolve(path) : below;
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
