/**
 * The sandbox under many executions: good programs mixed with attacks, eight at a time. Every good one must be right, every attack must
 * end as it should, and what is left behind is counted every twentieth of the way. Ends with 1 and the reason if anything grew.
 *
 *   npx tsx scripts/sandbox-soak.ts [N] [--level namespaces|landlock+seccomp+rlimits] [--kill] [--seed S] [--determinism N]
 *
 *   N                executions (default 100,000)
 *   --level          namespaces (default), or without them
 *   --kill           the supervisor is killed at random times: every call must still end in a defined way, and the next ones work
 *   --determinism N  instead: each program of sandbox-soak/determinism.ts N times, which must give the same bytes each time
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { openPythonTool, type PythonTool } from '../lib/tools/python.ts';
import type { ToolRequest, ToolResult } from '../lib/tools/tool.ts';
import { table } from '../lib/view/format.ts';
import { below, isAlive } from '../test/support/tool.ts';
import { checkDeterminism } from './sandbox-soak/determinism.ts';
import { type Call, choose, jobsWith, randomFrom } from './sandbox-soak/jobs.ts';
import { cgroups, countNames, growth, type Sample, takeTraces, whatGrew } from './sandbox-soak/traces.ts';

export const levels = ['namespaces', 'landlock+seccomp+rlimits'] as const;
export type SoakLevel = (typeof levels)[number];

export interface SoakOptions {
  readonly executions: number;
  readonly level: SoakLevel;
  /** Seconds between two kills of the supervisor, on average; null: none. */
  readonly kill: number | null;
  readonly seed: number;
  /** Told of each sample and each fault. */
  tell(line: string): void;
}

export interface SoakReport {
  readonly executions: number;
  readonly kills: number;
  /** Calls that a kill took with it. */
  readonly interrupted: number;
  /** Calls that were made again because the machine was too busy to run them. */
  readonly busy: number;
  readonly statuses: ReadonlyMap<string, number>;
  readonly faults: readonly string[];
  readonly samples: readonly Sample[];
}

const lanes = 8;
const parts = 20;
const busyError = 'the machine was too busy to run the program';
const limits = { seconds: 20, memoryBytes: 2 ** 29, outputBytes: 4096, fileBytes: 2 ** 20 };

/** A call was lost to a kill of ours; nothing can be said of its job. */
class Interrupted extends Error {}

export function openForSoak(
  level: SoakLevel,
  temporaryDirectory: string,
  kill: boolean,
): Promise<PythonTool> {
  return openPythonTool({
    ...{ workers: lanes, temporaryDirectory, startSeconds: 60 },
    // Without kills nothing may fail, not even once.
    ...(kill ? { restarts: 1e9 } : { restarts: 0, retries: 0 }),
    ...(level === 'namespaces' ? {} : { testing: { without: ['namespaces'] } }),
  });
}

/** Kills supervisors until it is stopped, those too that are being started. */
function killer(seconds: number, random: () => number, killed: Set<number>, fault: (line: string) => void) {
  const stopping = new AbortController();
  const { signal } = stopping;
  let kills = 0;
  const name = (pid: number): string => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    } catch {
      return ''; // it has ended
    }
  };
  const ended = (async () => {
    while (!signal.aborted) {
      await sleep(2000 * seconds * random(), null, { signal }).catch(() => undefined);
      const [supervisor] = below(process.pid).filter((pid) => name(pid) === 'toolgrad-sandbo');
      if (supervisor === undefined || signal.aborted) continue;
      const all = [supervisor, ...below(supervisor)];
      killed.add(supervisor);
      process.kill(supervisor, 'SIGKILL');
      kills += 1;
      for (let waited = 0; all.some(isAlive) && waited < 1000; waited += 20) await sleep(20);
      const left = all.filter(isAlive);
      if (left.length > 0) fault(`a second after its supervisor was killed, alive: ${left}`);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await ended;
      return kills;
    },
  };
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { executions, level, kill, seed, tell } = options;
  const temporary = mkdtempSync(join(tmpdir(), 'sandbox-soak-'));
  const tool = await openForSoak(level, temporary, kill !== null);
  const faults: string[] = [];
  const fault = (line: string) => {
    faults.push(line);
    tell(`FAULT ${line}`);
  };
  try {
    const probe = await tool.run({
      callId: 'probe',
      code: 'import importlib.util as u\nprint([n for n in ("numpy", "sympy") if u.find_spec(n)])',
      ...limits,
    });
    const jobs = jobsWith((need) => (need === 'namespaces' ? level === need : probe.stdout.includes(need)));
    const statuses = new Map<string, number>();
    let [done, interrupted, busy, serial] = [0, 0, 0, 0];
    const makeCall =
      (name: string): Call =>
      async (code: string, changed: Partial<ToolRequest> = {}): Promise<ToolResult> => {
        const trajectory = changed.session ?? `lane ${serial}`;
        const once = () => tool.run({ callId: `${++serial}`, code, ...limits, trajectory, ...changed });
        let result = await once();
        // A machine that is busy is told, and often is by others; one that always is for this program would be a fault.
        for (let tries = 0; tries < 4 && result.error === busyError; tries++) {
          busy += 1;
          result = await once();
        }
        done += 1;
        const key = `${name}: ${result.status}`;
        statuses.set(key, (statuses.get(key) ?? 0) + 1);
        if (kill !== null && ['infrastructure_error', 'session_lost'].includes(result.status))
          throw new Interrupted();
        return result;
      };
    const one = async (job: (typeof jobs)[number], random: () => number): Promise<void> => {
      const unique = `s${++serial}`;
      try {
        const wrong = await job.run(makeCall(job.name), random, unique);
        if (wrong !== null) fault(`${job.name}: ${wrong}`);
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
        interrupted += 1;
      } finally {
        tool.endSession(unique);
      }
    };
    const random = randomFrom(seed);
    const run = async (until: number): Promise<void> => {
      const each = Array.from({ length: lanes }, async () => {
        while (done < until) await one(choose(jobs, random), random);
      });
      await Promise.all(each);
    };
    const supervisors = new Set<number>();
    const supervisor = async (): Promise<number> => {
      // After a kill, of which the tool may not know yet, the next call starts another.
      const gone = () => tool.supervisorPid === null || !isAlive(tool.supervisorPid);
      for (let tries = 0; gone() && tries < 50; tries++) {
        await sleep(10);
        await tool.run({ callId: 'again', code: 'pass', ...limits });
      }
      if (tool.supervisorPid === null || gone()) throw new Error('the supervisor is not replaced any more');
      supervisors.add(tool.supervisorPid);
      return tool.supervisorPid;
    };
    const sampled = async (): Promise<Sample> => {
      const pid = await supervisor();
      return { executions: done, ...(await takeTraces(pid, supervisors, temporary)) };
    };
    for (const job of jobs) await one(job, random); // everything has happened once before it is counted
    done = 0;
    const samples = [await sampled()];
    const began = performance.now();
    const show = (sample: Sample): void => {
      const seconds = (performance.now() - began) / 1000;
      const counts = countNames.map((name) => `${name} ${sample.counts[name]}`).join(', ');
      const kib = (bytes: number) => `${Math.round(bytes / 1024)} KiB`;
      tell(
        `${sample.executions} executions, ${seconds.toFixed(0)} s: ${counts}; RSS ${kib(sample.rss.supervisor)} and ${kib(sample.rss.templates)}`,
      );
    };
    show(samples[0]!);
    let kills = 0;
    for (let part = 1; part <= parts; part++) {
      const killing = kill !== null ? killer(kill, random, supervisors, fault) : null;
      await run(Math.round((executions * part) / parts));
      kills += (await killing?.stop()) ?? 0;
      const sample = await sampled();
      samples.push(sample);
      show(sample);
    }
    const before = interrupted;
    for (const job of kill !== null ? jobs : []) await one(job, random);
    if (interrupted > before) fault(`${interrupted - before} jobs failed after the last kill`);
    await tool.close();
    const groups = cgroups(supervisors);
    if (groups > 0) fault(`${groups} control groups are left after the end`);
    return { executions: done, kills, interrupted, busy, statuses, faults, samples };
  } finally {
    await tool.close();
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The end of a run: a table of what became of what, and why it failed, if it did. */
export function verdictOf(report: SoakReport): { text: string; failures: string[] } {
  const failures = [...report.faults, ...whatGrew(report.samples, report.kills === 0)];
  const rows = [...report.statuses]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, count]) => {
      const at = key.lastIndexOf(': ');
      return [key.slice(0, at), key.slice(at + 2), String(count)];
    });
  const kib = (of: 'supervisor' | 'templates') => `${(growth(report.samples, of) / 1024).toFixed(0)} KiB`;
  const text = [
    table(['program', 'status', 'times'], rows),
    `${report.executions} executions, ${report.kills} kills, ${report.interrupted} jobs lost to them, ${report.busy} calls made again on a busy machine, ${report.faults.length} faults`,
    `growth of resident sets over the second half: supervisor ${kib('supervisor')}, templates ${kib('templates')}`,
  ].join('\n');
  return { text, failures };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      level: { type: 'string', default: 'namespaces' },
      kill: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      determinism: { type: 'string' },
    },
  });
  const level = levels.find((name) => name === values.level);
  if (level === undefined)
    throw new RangeError(`--level: expected ${levels.join(' or ')}, found ${values.level}`);
  const tell = (line: string) => void process.stdout.write(`${line}\n`);
  if (values.determinism !== undefined) return checkDeterminism(Number(values.determinism), level, tell);
  const executions = Number(positionals[0] ?? 100_000);
  if (!Number.isInteger(executions) || executions < 1)
    throw new RangeError(`expected a number of executions, found ${positionals[0]}`);
  const report = await soak({
    executions,
    level,
    kill: values.kill ? 1 : null,
    seed: Number(values.seed),
    tell,
  });
  const { text, failures } = verdictOf(report);
  tell(text);
  for (const failure of failures.slice(0, 20)) tell(`FAILED: ${failure}`);
  return failures.length === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main();
}
