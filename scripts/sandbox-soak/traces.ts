/** What programs may leave behind on the machine, counted when none is running, and whether it grew. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { below, isAlive } from '../../test/support/tool.ts';

/** Counted at one time. What may not grow is a number; `rss` is judged by its slope. */
export interface Traces {
  readonly counts: Readonly<Record<(typeof countNames)[number], number>>;
  /** Bytes resident, of the supervisor and of its templates together. */
  readonly rss: { readonly supervisor: number; readonly templates: number };
}

export const countNames = [
  'zombies',
  'other processes',
  'descriptors of supervisor',
  'descriptors here',
  'mounts here',
  'mounts of templates',
  'temporary directories',
  'cgroups',
  'System V objects',
] as const;

const lines = (file: string) => readFileSync(file, 'utf8').split('\n').length - 1;

/** 0 for a process that ended between the listing and the look. */
function mountsOf(pid: number): number {
  try {
    return lines(`/proc/${pid}/mountinfo`);
  } catch (error) {
    if (!['ENOENT', 'ESRCH', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return 0;
  }
}

function resident(pid: number): number {
  if (!existsSync(`/proc/${pid}/status`)) return 0;
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

/** Folders below a folder, at any depth. */
function folders(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .reduce((sum, entry) => sum + 1 + folders(join(folder, entry.name)), 0);
}

/** Control groups of the supervisors, in every hierarchy. */
export function cgroups(supervisors: ReadonlySet<number>, folder = '/sys/fs/cgroup'): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .reduce((sum, { name }) => {
      const pid = Number(/^toolgrad-sandbox-(\d+)$/.exec(name)?.[1] ?? 0);
      return sum + (supervisors.has(pid) ? 1 : 0) + cgroups(supervisors, join(folder, name));
    }, 0);
}

/** Key of the objects that the programs of this process try to make; other processes of the machine have objects, too. */
export const systemVKey = 0x7000_0000 + process.pid;

function systemVObjects(): number {
  const rows = ['shm', 'sem', 'msg'].flatMap((kind) =>
    readFileSync(`/proc/sysvipc/${kind}`, 'utf8').trim().split('\n'),
  );
  return rows.filter((row) => Number(row.trim().split(/\s+/)[0]) === systemVKey).length;
}

const kMostTemplates = 2;

/**
 * Waits (a second at most) until only templates are below the supervisor, and then (three seconds at most) while it still clears away what
 * the last programs left, which it does after their results; then counts. `supervisors` are all that there have been.
 */
export async function takeTraces(
  supervisor: number,
  supervisors: ReadonlySet<number>,
  temporary: string,
): Promise<Traces> {
  const others = () => below(supervisor).length > kMostTemplates || !below(supervisor).every(isAlive);
  for (let waited = 0; others() && waited < 1000; waited += 10) await sleep(10);
  const held = () => [readdirSync(`/proc/${supervisor}/fd`).length, folders(temporary)].join();
  for (let before = '', waited = 0; before !== held() && waited < 3000; waited += 100) {
    before = held();
    await sleep(100);
  }
  const all = below(supervisor);
  const alive = all.filter(isAlive);
  const templates = alive.slice(0, kMostTemplates);
  const canaries = readdirSync(tmpdir()).filter((name) => name.startsWith('toolgrad-canary-'));
  return {
    counts: {
      zombies: all.length - alive.length,
      'other processes': alive.length - templates.length,
      'descriptors of supervisor': readdirSync(`/proc/${supervisor}/fd`).length,
      'descriptors here': readdirSync('/proc/self/fd').length,
      'mounts here': lines('/proc/self/mountinfo'),
      'mounts of templates': Math.max(0, ...templates.map(mountsOf)),
      'temporary directories': folders(temporary) + canaries.length,
      cgroups: cgroups(supervisors),
      'System V objects': systemVObjects(),
    },
    rss: {
      supervisor: resident(supervisor),
      templates: templates.reduce((sum, pid) => sum + resident(pid), 0),
    },
  };
}

/** Least squares: units of y for one of x. */
export function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [x, y] = [mean(points.map((p) => p.x)), mean(points.map((p) => p.y))];
  const across = points.reduce((sum, p) => sum + (p.x - x) ** 2, 0);
  return across === 0 ? 0 : points.reduce((sum, p) => sum + (p.x - x) * (p.y - y), 0) / across;
}

export interface Sample extends Traces {
  readonly executions: number;
}

/** Growth over the second half, in bytes, that is no leak: pages that were touched late, and reused since. */
const allowedGrowth = { supervisor: 2 ** 20, templates: 2 ** 21 };

/** By how much the resident set would grow, at its slope in the second half, over that half. */
export function growth(samples: readonly Sample[], of: 'supervisor' | 'templates'): number {
  const last = samples.at(-1)?.executions ?? 0;
  const half = samples.filter(({ executions }) => executions >= last / 2);
  if (half.length < 2) return 0;
  return slope(half.map(({ executions, rss }) => ({ x: executions, y: rss[of] }))) * (last / 2);
}

/**
 * What grew since the first sample, in sentences. Where supervisors were killed, resident sets are of different ones, and control groups
 * of the last that was killed may stay until another begins or ends.
 */
export function whatGrew(samples: readonly Sample[], oneSupervisor: boolean): string[] {
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const counts = countNames
    .filter((name) => last.counts[name] > first.counts[name] && (oneSupervisor || name !== 'cgroups'))
    .map((name) => `${name}: ${first.counts[name]} at the beginning, ${last.counts[name]} at the end`);
  const sets = (['supervisor', 'templates'] as const)
    .map((of) => ({ of, grew: growth(samples, of) }))
    .filter(({ of, grew }) => oneSupervisor && grew > allowedGrowth[of])
    .map(
      ({ of, grew }) => `resident set of ${of}: grows by ${Math.round(grew / 1024)} KiB in the second half`,
    );
  return [...counts, ...sets];
}
