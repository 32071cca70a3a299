/**
 * The levels at which attacks run, and how a tool is opened at each: which layers are on, as which user, and whether the
 * system calls that a container denies are denied around it.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../lib/package.ts';
import { openPythonTool } from '../../lib/tools/python.ts';
import type { Tool } from '../../lib/tools/tool.ts';
import { reachableByAll } from '../support/tool.ts';

export type LayerName = 'namespaces' | 'landlock' | 'seccomp' | 'rlimits';

export const levelNames = ['namespaces', 'landlock+seccomp+rlimits', 'container'] as const;
export type LevelName = (typeof levelNames)[number];

/** Who attacks when the test is run by the superuser but the level is that of an ordinary user. */
export const ordinaryUser = 61_347;

/** A level as the machine allows it. */
export interface Level {
  readonly name: LevelName;
  readonly python: string;
  /** User who runs programs and victims. */
  readonly uid: number;
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return (statSync(file).mode & 0o111) !== 0;
  } catch {
    return false; // not on this machine
  }
}

/** The interpreter itself, without what stands before it on PATH. */
function resolved(python: string): string {
  const { stdout, error } = spawnSync(python, ['-I', '-c', 'import sys; print(sys.executable)'], {
    encoding: 'utf8',
  });
  if (error !== undefined || stdout.trim() === '')
    throw new Error(`expected an interpreter ${python}`, { cause: error });
  return stdout.trim();
}

/** The level, with an interpreter that its user can reach: one in a home directory of the superuser is none. */
export function levelOf(name: LevelName, python = 'python3'): Level {
  const uid = process.getuid?.() ?? 0;
  // Another user reaches neither a closed checkout nor what is built in it.
  const closed = !reachableByAll(join(packageRoot, 'sandbox'));
  if (uid !== 0 || name === 'namespaces' || closed) return { name, python: resolved(python), uid };
  const open = ['/usr/bin/python3', '/usr/local/bin/python3'].find(executable);
  if (open === undefined) {
    throw new Error(
      `level ${name}: expected /usr/bin/python3 or /usr/local/bin/python3 for user ${ordinaryUser}`,
    );
  }
  return { name, python: open, uid: ordinaryUser };
}

/** Opens the tool at a level, some layers switched off. */
export function openAt(
  level: Level,
  temporaryDirectory: string,
  without: readonly LayerName[] = [],
  workers = 4,
): Promise<Tool> {
  const off = new Set<LayerName>(without);
  if (level.name !== 'namespaces') off.add('namespaces');
  const testing = {
    without: [...off],
    container: level.name === 'container',
    ...(level.uid === process.getuid?.() ? {} : { user: level.uid }),
  };
  const options = {
    python: level.python,
    workers,
    temporaryDirectory,
    startSeconds: 60,
    unsafe: without.length > 0,
    testing,
  };
  return openPythonTool(options);
}
