/**
 * Where a run's questions come from: tasks by the names of a config, files, and how many questions each of several tasks gives.
 * A published task gives its training set to RL, its cold-start set to traces and its evaluation set to evaluations, whatever
 * the seed.
 */
import { nearestName } from '../run/yaml.ts';
import { type DemoTaskName, demoTaskNames, demoTasks } from '../tasks/demo.ts';
import { tasks as proceduralTasks, type TaskName, taskNames } from '../tasks/index.ts';
import { createRandom } from '../tasks/random.ts';
import {
  expandSuiteName,
  isPublishedTask,
  namedSplits,
  openSuiteTask,
  suiteTaskNames,
} from '../tasks/suites/index.ts';
import { type Question, questions, type Task } from '../tasks/task.ts';
import { makeTraces, type Trace, type TraceOptions } from './traces.ts';

/** Every name that `tasks.names` may hold, but for patterns. */
const kKnownNames: readonly string[] = [
  ...taskNames,
  ...demoTaskNames.map((name) => `demo/${name}`),
  ...Object.keys(namedSplits),
  ...suiteTaskNames,
];

/** A procedural task by its config name: `gcd`, or `demo/gcd` for the demo's narrow ranges. */
export function namedTask(name: string): Task {
  if ((taskNames as readonly string[]).includes(name)) return proceduralTasks[name as TaskName];
  const demo = name.startsWith('demo/') ? name.slice('demo/'.length) : '';
  if ((demoTaskNames as readonly string[]).includes(demo)) return demoTasks[demo as DemoTaskName];
  if (name.includes('*')) {
    throw new RangeError(
      `tasks.names: ${JSON.stringify(name)} matches none of the published tasks; toolgrad tasks list shows them all`,
    );
  }
  const nearest = nearestName(name, kKnownNames);
  const hint =
    nearest === null
      ? `there are ${kKnownNames.filter((known) => !suiteTaskNames.includes(known)).join(', ')} and the published tasks ` +
        '(toolgrad tasks list)'
      : `did you mean ${nearest}?`;
  throw new RangeError(`tasks.names: unknown task ${JSON.stringify(name)}; ${hint}`);
}

/** The tasks that the names of a config stand for; a published task that several names stand for is there once. */
export async function namedTasks(names: readonly string[]): Promise<Task[]> {
  const found: Task[] = [];
  const opened = new Set<string>();
  for (const name of names) {
    const published = expandSuiteName(name);
    if (published === undefined) {
      found.push(namedTask(name));
      continue;
    }
    for (const each of published) {
      if (opened.has(each)) continue;
      opened.add(each);
      found.push(await openSuiteTask(each));
    }
  }
  return found;
}

/** Tasks by name; RangeError when two have the same one. */
export function tasksByName(tasks: readonly Task[]): Map<string, Task> {
  const found = new Map<string, Task>();
  for (const task of tasks) {
    if (found.has(task.name)) {
      throw new RangeError(
        `tasks: two are called ${task.name} (a demo task has the name of the task it narrows); leave one out or rename it`,
      );
    }
    found.set(task.name, task);
  }
  return found;
}

/**
 * Traces made of tasks with solutions. Published tasks have none: they give bare answers only, of the cold-start set only.
 */
export function tracesOf(tasks: readonly Task[], options: TraceOptions): Trace[] {
  const published = tasks.filter(isPublishedTask);
  if (published.length > 0 && (options.codeShare ?? 1) > 0) {
    throw new RangeError(
      `sft: ${published[0]!.name} has no worked examples that call Python: give a file of traces in tasks.traces, set ` +
        'sft.code_share=0 for traces with the bare answer, or sft.steps=0',
    );
  }
  const training = published.flatMap((task) => task.sets().training.map(({ id }) => id));
  return makeTraces(tasks, { ...options, exclude: new Set([...(options.exclude ?? []), ...training]) });
}

/**
 * `count` as evenly as possible over lists of at most `most` each: what one has not is shared by the others. The sum is less
 * than `count` only where all together have not that many.
 */
export function evenShares(count: number, most: readonly number[]): number[] {
  const shares = most.map(() => 0);
  let left = count;
  for (;;) {
    const open = most.flatMap((limit, i) => (shares[i]! < limit ? [i] : []));
    if (left === 0 || open.length === 0) return shares;
    const each = Math.floor(left / open.length);
    for (const [place, i] of open.entries()) {
      const wanted = each === 0 ? (place < left ? 1 : 0) : each;
      const given = Math.min(wanted, most[i]! - shares[i]!);
      shares[i]! += given;
    }
    left = count - shares.reduce((sum, share) => sum + share, 0);
  }
}

/**
 * `count` questions going round the tasks, in an order shuffled by the seed within each round. Published tasks without a
 * generator may have fewer than their share; then the others give more, and where none has more there are fewer in all.
 */
export function interleave(
  tasks: readonly Task[],
  split: 'train' | 'heldout',
  count: number,
  seed: number,
  taken: readonly Question[],
): Question[] {
  const random = createRandom(seed, [0x7175_6573, split === 'train' ? 0 : 1]);
  const exclude = new Set(taken.map(({ id }) => id));
  // A trace from a file has an id of its own: the same question is known by its text.
  const prompts = new Set(taken.map(({ prompt }) => prompt));
  const set = split === 'train' ? 'training' : 'evaluation';
  const limits = tasks.map((task) => {
    if (!isPublishedTask(task) || task.endless) return Number.POSITIVE_INFINITY;
    return task.sets()[set].filter(({ id, prompt }) => !exclude.has(id) && !prompts.has(prompt)).length;
  });
  const shares = evenShares(count, limits);
  const perTask = tasks.map((task, i) => {
    const share = shares[i]!;
    if (!isPublishedTask(task)) return questions(task, split, share, seed, { exclude });
    for (const { id, prompt } of task.sets()[set]) if (prompts.has(prompt)) exclude.add(id);
    return task.draw(set, share, seed, exclude).filter(({ prompt }) => !prompts.has(prompt));
  });
  const longest = Math.max(...perTask.map((list) => list.length));
  const rounds: Question[] = [];
  for (let round = 0; round < longest; round++) {
    rounds.push(...random.shuffle(perTask.flatMap((list) => (round < list.length ? [list[round]!] : []))));
  }
  return rounds;
}
