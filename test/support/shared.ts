/**
 * Data that lies beside a checkout, in ../shared, and not in the repository. Tests that need it must pass without it and say
 * so: `const golden = sharedPath(t, 'golden/models'); if (golden === undefined) return;`
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ExecutionContext } from 'ava';
import { packageRoot } from '../../lib/package.ts';

const shared = resolve(packageRoot, '..', 'shared');

/** Absolute path of ../shared/<path>, or undefined (logged and passed) when this machine does not have it. */
export function sharedPath(t: ExecutionContext, path: string): string | undefined {
  const found = join(shared, path);
  if (existsSync(found)) return found;
  t.log(`skipped: ../shared/${path} is absent`);
  t.pass();
  return undefined;
}
