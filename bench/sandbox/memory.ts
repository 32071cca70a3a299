/**
 * What an idle session costs in memory: of the processes that belong to sessions, the pages that are theirs alone and written, their
 * share of all pages (PSS), and the tables of the pages, which the kernel counts apart.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ResultFrame } from '../../lib/tools/sandbox/frames.ts';
import type { Interpreter } from '../../lib/tools/sandbox/interpreter.ts';
import { openLevel } from '../../lib/tools/sandbox/open.ts';
import { below } from '../../test/support/tool.ts';
import { rollup } from './ballast.ts';

export interface MemoryResult {
  readonly template: string;
  readonly level: string;
  readonly sessions: number;
  readonly processes: number;
  /** Bytes for each session. */
  readonly privateDirty: number;
  readonly pss: number;
  readonly pageTables: number;
  /** Resident set of the template that the sessions are forked from. */
  readonly templateResident: number;
}

function pageTables(pid: number): number {
  const found = /^VmPTE:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (found === null) throw new Error(`/proc/${pid}/status: expected a line of VmPTE, found none`);
  return 1024 * Number(found[1]);
}

/** What `list` gives once it gives the same twice: processes that a fork has replaced are still ending for a while. */
async function settled(list: () => number[]): Promise<number[]> {
  for (let before = list(); ; ) {
    await sleep(300);
    const now = list();
    if (now.join() === before.join()) return now;
    before = now;
  }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** `sessions` of a template that has imported `modules`, each after one empty program. */
export async function measureMemory(
  interpreter: Interpreter,
  modules: readonly string[],
  sessions: number,
): Promise<MemoryResult> {
  const results = new Map<number, (result: ResultFrame) => void>();
  let died: (error: Error) => void = () => {};
  const death = new Promise<never>((_, reject) => {
    died = reject;
  });
  death.catch(() => undefined);
  const { supervisor, level } = await openLevel({
    interpreter: { ...interpreter, modules: [...modules] },
    startSeconds: 60,
    totalMemoryBytes: 0,
    onResult: (result) => results.get(result.id)?.(result),
    onExit: (reason) => died(new Error(`the supervisor ended: ${reason}`)),
  });
  try {
    const template = modules.length === 0 ? 0 : 1;
    const call = (id: number, session: number): Promise<ResultFrame> => {
      const result = new Promise<ResultFrame>((resolve) => results.set(id, resolve));
      const limits = { startSeconds: 60, cpuSeconds: 20, wallSeconds: 60, memoryBytes: 2 ** 30 };
      supervisor.run({
        ...{ id, session, continues: false, template, processes: 0, code: 'pass', seed: 0n },
        ...{ ...limits, fileBytes: 2 ** 20, keptBytes: 4096, hardBytes: 2 ** 20 },
        ...{ stdin: '', files: {}, fetch: [] },
      });
      // The timer keeps the event loop going, which the supervisor's handles do not.
      const timer = setTimeout(() => died(new Error('a session did not answer within 120 s')), 120_000);
      return Promise.race([result, death]).finally(() => clearTimeout(timer));
    };
    await call(1, 0); // from here on the template is there, and nothing else
    const templates = new Set(await settled(() => below(supervisor.ready.pid)));
    for (let session = 1; session <= sessions; session++) {
      const result = await call(1 + session, session);
      if (result.cause !== 'exit' || result.status !== 0 || result.sessionEnded)
        throw new Error(`a session could not be opened: ${result.cause} ${result.error}`);
    }
    const theirs = await settled(() => below(supervisor.ready.pid).filter((pid) => !templates.has(pid)));
    const each = (measure: (pid: number) => number) => sum(theirs.map(measure)) / sessions;
    return {
      template: modules.length === 0 ? 'bare' : modules.join(' + '),
      level: level.name,
      ...{ sessions, processes: theirs.length },
      privateDirty: each((pid) => rollup(pid, 'Private_Dirty')),
      pss: each((pid) => rollup(pid, 'Pss')),
      pageTables: each(pageTables),
      templateResident: Math.max(...[...templates].map((pid) => rollup(pid, 'Rss'))),
    };
  } finally {
    await supervisor.stop(20);
  }
}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(2)} MiB`;

export const memoryHeader = [
  'template',
  'its resident set',
  'sessions',
  'processes',
  'private dirty, each session',
  'PSS, each',
  'page tables, each',
];

export function memoryRows(results: readonly MemoryResult[]): string[][] {
  return results.map((one) => [
    one.template,
    mib(one.templateResident),
    String(one.sessions),
    String(one.processes),
    mib(one.privateDirty),
    mib(one.pss),
    mib(one.pageTables),
  ]);
}
