/**
 * The verifiers of a suite, loaded when they are first asked for: a run without published tasks pays nothing for them.
 */
import type { SuiteName, SuiteTask } from './suite.ts';

const loaders: Readonly<Record<SuiteName, () => Promise<readonly (readonly SuiteTask[])[]>>> = {
  bbh: async () => [(await import('./bbh/index.ts')).bbhTasks],
  symbench: async () => [
    (await import('./symbench/exact-tasks.ts')).exactTasks,
    (await import('./symbench/constraint-tasks.ts')).constraintTasks,
    (await import('./symbench/math-tasks.ts')).mathTasks,
  ],
  'reasoning-gym': async () => [
    (await import('./reasoning-gym/algorithmic-tasks.ts')).algorithmicTasks,
    (await import('./reasoning-gym/numeric-tasks.ts')).numericTasks,
    (await import('./reasoning-gym/puzzle-tasks.ts')).puzzleTasks,
  ],
};

/** The tasks of a suite by name (without the suite's). */
export async function suiteVerifiers(suite: SuiteName): Promise<ReadonlyMap<string, SuiteTask>> {
  const lists = await loaders[suite]();
  return new Map(lists.flat().map((task) => [task.name, task]));
}
