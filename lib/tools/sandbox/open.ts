/**
 * Opens a supervisor at the highest level that works here: with namespaces, else without. Each is started and attacked; what
 * is reported is what held.
 */
import { errorMessage } from '../../errors.ts';
import type { ResultFrame, RunFrame } from './frames.ts';
import type { Interpreter } from './interpreter.ts';
import { type SandboxLevel, verifyLevel } from './level.ts';
import { type Layer, layerNames, type Supervisor, startSupervisor } from './supervisor.ts';

/** For tests of the sandbox. */
export interface SandboxTesting {
  /** Layers that are left out. */
  readonly without?: readonly Layer[];
  /** A filter like Docker's lies over everything. */
  readonly container?: boolean;
  /** User id that the supervisor takes first; needs root. */
  readonly user?: number;
}

export interface LevelOptions {
  readonly interpreter: Interpreter;
  readonly startSeconds: number;
  readonly temporaryDirectory?: string;
  readonly totalMemoryBytes: number;
  readonly testing?: SandboxTesting;
  onResult(result: ResultFrame): void;
  onExit(reason: string, supervisor: Supervisor): void;
}

export interface OpenedLevel {
  readonly supervisor: Supervisor;
  readonly level: SandboxLevel;
}

const kCanaryId = 2 ** 52;

async function attempt(options: LevelOptions, off: ReadonlyMap<Layer, string>): Promise<OpenedLevel> {
  const { interpreter, startSeconds, temporaryDirectory, totalMemoryBytes, testing } = options;
  const waiting = new Map<number, (result: ResultFrame) => void>();
  let fail: (error: Error) => void = () => {};
  const died = new Promise<never>((_, reject) => {
    fail = reject;
  });
  died.catch(() => undefined); // told to whoever still waits
  let serial = kCanaryId;
  const supervisor: Supervisor = await startSupervisor({
    interpreter,
    layers: layerNames.filter((name) => !off.has(name)),
    templates: interpreter.modules.length === 0 ? [''] : ['', interpreter.modules.join(',')],
    startSeconds,
    totalMemoryBytes,
    ...(temporaryDirectory === undefined ? {} : { temporaryDirectory }),
    ...(testing?.container === undefined ? {} : { container: testing.container }),
    ...(testing?.user === undefined ? {} : { user: testing.user }),
    onResult(result) {
      const canary = waiting.get(result.id);
      if (canary === undefined) return options.onResult(result);
      waiting.delete(result.id);
      canary(result);
    },
    onExit(reason) {
      fail(new Error(`the supervisor died: ${reason}`));
      options.onExit(reason, supervisor);
    },
  });
  const run = (changed: Partial<RunFrame> & { code: string }): Promise<ResultFrame> => {
    const id = serial++;
    const result = new Promise<ResultFrame>((done) => waiting.set(id, done));
    const limits = { cpuSeconds: 5, wallSeconds: 20, memoryBytes: 2 ** 28, fileBytes: 2 ** 20 };
    const kept = { keptBytes: 2 ** 16, hardBytes: 2 ** 20, seed: 0n, stdin: '', files: {}, fetch: [] };
    supervisor.run({
      ...{ id, session: 0, continues: false, template: 0, processes: 0, startSeconds },
      ...limits,
      ...kept,
      ...changed,
    });
    // The timer keeps the event loop going, which the supervisor's handles do not.
    const seconds = startSeconds + limits.wallSeconds + 5;
    const timer = setTimeout(() => fail(new Error(`it did not answer within ${seconds} s`)), seconds * 1000);
    return Promise.race([result, died]).finally(() => clearTimeout(timer));
  };
  try {
    const { cgroup, cgroupText } = supervisor.ready;
    return { supervisor, level: await verifyLevel(run, off, { works: cgroup, why: cgroupText }) };
  } catch (error) {
    await supervisor.stop(5);
    throw error;
  }
}

/** What is left out in turn until something starts. Old kernels lack Landlock, containers forbid namespaces. */
const sacrifices: readonly (readonly Layer[])[] = [
  [],
  ['namespaces'],
  ['landlock'],
  ['namespaces', 'landlock'],
  ['namespaces', 'landlock', 'seccomp'],
];

/** @throws {Error} if no supervisor can be started at all. */
export async function openLevel(options: LevelOptions): Promise<OpenedLevel> {
  const wished = new Map((options.testing?.without ?? []).map((name) => [name, 'left out for a test']));
  const tried = new Set<string>();
  const failures: string[] = [];
  for (const sacrificed of sacrifices) {
    const off = new Map(wished);
    for (const layer of sacrificed) if (!off.has(layer)) off.set(layer, failures[0]!);
    const rest = layerNames.filter((name) => !off.has(name)).join('+');
    if (tried.has(rest)) continue;
    tried.add(rest);
    try {
      return await attempt(options, off);
    } catch (error) {
      failures.push(`${rest}: ${errorMessage(error)}`);
    }
  }
  throw new Error(
    `Python tool: expected a sandbox that can be started, found none:\n  ${failures.join('\n  ')}`,
  );
}
