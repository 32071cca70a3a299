/**
 * The lock of a run directory: one trainer at a time. The file `lock` names the process that holds it; it appears with its
 * contents in one step (a hard link), and a lock whose process is gone is taken over.
 *
 * A process is known by host, number and start time, so a number that was given to another process holds nothing. A lock from
 * another host cannot be checked: it is refused, with the file to remove.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { errorCode, ToolgradError } from '../errors.ts';

export const lockName = 'lock';

/** Throws ERR_RUN_LOCKED when another live trainer holds the directory; changes nothing. */
export function checkLock(folder: string): void {
  const held = read(join(folder, lockName));
  if (held !== null && !isStale(held)) throw locked(folder, held);
}

/** Take the lock of `folder` (which exists). Returns what gives it back. Throws ERR_RUN_LOCKED. */
export function takeLock(folder: string): () => void {
  const path = join(folder, lockName);
  const own = `${hostname()} ${process.pid} ${startTime(process.pid) ?? '-'}\n`;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, own);
  try {
    while (!link(temporary, path)) {
      const held = read(path);
      if (held === null) continue;
      if (!isStale(held)) throw locked(folder, held);
      removeStale(path, held);
    }
  } finally {
    rmSync(temporary, { force: true });
  }
  return () => {
    if (read(path) === own) rmSync(path, { force: true });
  };
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Only one of several waiters can move a stale lock; what it moved is checked, because it may have been replaced meanwhile. */
function removeStale(path: string, seen: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (readFileSync(aside, 'utf8') !== seen) link(aside, path);
  rmSync(aside, { force: true });
}

function isStale(held: string): boolean {
  const [host, pid, started] = held.trim().split(' ');
  if (host !== hostname()) return false;
  if (!isAlive(Number(pid))) return true;
  const now = startTime(Number(pid));
  return started !== '-' && now !== null && now !== started;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

/** When a process started, in clock ticks since boot; null where /proc does not tell. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything; the start time is field 22, the 20th after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function locked(folder: string, held: string): ToolgradError {
  const [host, pid] = held.trim().split(' ');
  const where = host === hostname() ? `process ${pid}` : `process ${pid} on host ${host}`;
  return new ToolgradError(
    'ERR_RUN_LOCKED',
    `run directory ${folder} is being written by ${where}; wait for it, use run=<other path>, ` +
      `or, if that process is gone, remove ${join(folder, lockName)}`,
  );
}
