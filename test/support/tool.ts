/**
 * What the tests of the Python tool share: requests with ordinary limits, and finding through /proc what belongs to a sandbox.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { PythonTool } from '../../lib/tools/python.ts';
import type { ToolRequest } from '../../lib/tools/tool.ts';

let serial = 0;

/** A request with ordinary limits. */
export function request(code: string, changed: Partial<ToolRequest> = {}): ToolRequest {
  const limits = { seconds: 10, memoryBytes: 512 * 2 ** 20, outputBytes: 4096, fileBytes: 2 ** 20 };
  return { callId: `call-${++serial}`, code, ...limits, ...changed };
}

/** Whether every user can reach `path`: the folders above it let them through. */
export function reachableByAll(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 1) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

interface Process {
  pid: number;
  parent: number;
  state: string;
}

function processes(): Process[] {
  const found: Process[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      found.push({ pid: Number(pid), state: fields[0]!, parent: Number(fields[1]) });
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error; // gone while we looked
    }
  }
  return found;
}

/** The processes below `root`, zombies included. */
export function below(root: number): number[] {
  const all = processes();
  const found = [root];
  for (let i = 0; i < found.length; i++) {
    found.push(...all.filter(({ parent }) => parent === found[i]).map(({ pid }) => pid));
  }
  return found.slice(1);
}

/** Whether the process is there and not just waiting to be reaped. */
export function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Waits until `holds`; false after `limit` milliseconds. */
export async function until(holds: () => boolean, limit: number): Promise<boolean> {
  for (const end = performance.now() + limit; !holds(); await sleep(5)) {
    if (performance.now() > end) return false;
  }
  return true;
}

/** Waits until only the templates are below the supervisor; fails after `limit`. */
export async function untilIdle(t: ExecutionContext, tool: PythonTool, limit = 2000): Promise<void> {
  const begin = performance.now();
  const templates = (): number => below(tool.supervisorPid!).length;
  const idle = await until(() => templates() <= 2 && below(tool.supervisorPid!).every(isAlive), limit);
  if (idle) t.log(`nothing but templates after ${(performance.now() - begin).toFixed(0)} ms`);
  t.true(idle, `left after ${limit} ms: processes ${below(tool.supervisorPid!)}`);
}

/** Runs until it is killed, deaf to all signals that can be ignored. */
export const stubborn = `
import signal
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
print("up", flush=True)
while True: pass
`;
