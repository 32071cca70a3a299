/**
 * What the tests of the Python tool share: requests with ordinary limits, and finding through /proc what a call left behind.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { ToolRequest } from '../../lib/tools/tool.ts';

/** Whether processes can be looked up; tests that need it say that they are skipped elsewhere. */
export const hasProc = existsSync('/proc/self/stat');
let serial = 0;

/** A request with ordinary limits. */
export function request(code: string, changed: Partial<ToolRequest> = {}): ToolRequest {
  const limits = { seconds: 10, memoryBytes: 512 * 2 ** 20, outputBytes: 4096, fileBytes: 2 ** 20 };
  return { callId: `call-${++serial}`, code, ...limits, ...changed };
}

/** Processes that work under `marker` or have it in their command line. */
export function alive(marker: string): number[] {
  const found: number[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const seen = `${readlinkSync(`/proc/${pid}/cwd`)}\0${readFileSync(`/proc/${pid}/cmdline`, 'utf8')}`;
      const launcher = seen.includes('launcher.py');
      if (!launcher && seen.includes(marker) && Number(pid) !== process.pid) found.push(Number(pid));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException; // gone while we looked, or a kernel thread
      if (code !== 'ENOENT' && code !== 'ESRCH' && code !== 'EACCES') throw error;
    }
  }
  return found;
}

/** Whether the process is there and not just waiting to be reaped. */
export function isAlive(pid: string): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Waits until nothing under `marker` is alive and no working directory is left; fails after `limit`. */
export async function untilGone(
  t: ExecutionContext,
  marker: string,
  directory: string,
  limit: number,
): Promise<void> {
  const begin = performance.now();
  for (;;) {
    const processes = alive(marker);
    const directories = readdirSync(directory).filter((name) => name.startsWith('toolgrad-'));
    const took = performance.now() - begin;
    if (processes.length === 0 && directories.length === 0) {
      t.log(`all gone after ${took.toFixed(0)} ms`);
      t.pass();
      return;
    }
    if (took > limit)
      return t.fail(`left after ${limit} ms: processes ${processes}, directories ${directories}`);
    await sleep(5);
  }
}

export function needsProc(t: ExecutionContext): boolean {
  if (!hasProc) {
    t.log('skipped: no /proc on this system');
    t.pass();
  }
  return hasProc;
}

/** Starts a program that leaves a plain child, a daemon in its own session and a busy loop; resolves when all run. */
export const swarm = (marker: string): string => `
import os, subprocess, sys, time
subprocess.Popen(['sleep', '${marker}'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp('sleep', ['sleep', '${marker}'])
    os._exit(0)
open('up', 'w').close()
while True: pass
`;

export async function untilUp(directory: string, count: number): Promise<void> {
  const until = performance.now() + 10_000;
  for (;;) {
    const up = readdirSync(directory).filter((name) => existsSync(path.join(directory, name, 'up')));
    if (up.length >= count) return;
    if (performance.now() > until) throw new Error(`expected ${count} programs to run, found ${up.length}`);
    await sleep(10);
  }
}
