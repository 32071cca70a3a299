/**
 * Which questions a run uses, as functions of the config's seed alone, so that a resumed run asks the same ones:
 * cold-start traces, the training questions of each RL step, and the held-out questions. All disjoint.
 */
import type { Config } from '../run/config.ts';
import { nearestName } from '../run/yaml.ts';
import { type DemoTaskName, demoTaskNames, demoTasks } from '../tasks/demo.ts';
import { tasks as proceduralTasks, type TaskName, taskNames } from '../tasks/index.ts';
import { loadJsonlTask } from '../tasks/jsonl.ts';
import { createRandom } from '../tasks/random.ts';
import { type Question, questions, type Task } from '../tasks/task.ts';
import { loadTraces, makeTraces, type Trace, traceFormats } from './traces.ts';

export interface QuestionPlan {
  /** By the name in `question.task`. */
  readonly tasks: ReadonlyMap<string, Task>;
  readonly traces: readonly Trace[];
  readonly heldout: readonly Question[];
  /** All training questions, in the order in which they are first used. */
  readonly pool: readonly Question[];
  /** `count` training questions from `position` of the pool on; the pool again from its beginning when it is used up. */
  training(position: number, count: number): readonly Question[];
}

/** A procedural task by its config name: `gcd`, or `demo/gcd` for the demo's narrow ranges. */
export function namedTask(name: string): Task {
  if ((taskNames as readonly string[]).includes(name)) return proceduralTasks[name as TaskName];
  const demo = name.startsWith('demo/') ? name.slice('demo/'.length) : '';
  if ((demoTaskNames as readonly string[]).includes(demo)) return demoTasks[demo as DemoTaskName];
  const known = [...taskNames, ...demoTaskNames.map((demoName) => `demo/${demoName}`)];
  const nearest = nearestName(name, known);
  throw new RangeError(
    `tasks.names: unknown task ${JSON.stringify(name)}; ${nearest === null ? `there are ${known.join(', ')}` : `did you mean ${nearest}?`}`,
  );
}

/** Work out a run's questions; `userTasks` are used besides (or instead of) the config's. */
export async function planQuestions(config: Config, userTasks: readonly Task[] = []): Promise<QuestionPlan> {
  const generated = [...config.tasks.names.map(namedTask), ...userTasks];
  const byName = new Map(generated.map((task) => [task.name, task]));
  const format = traceFormats[config.format];
  const { sft, rl, seed } = config;
  const needed =
    (sft.steps > 0 && config.tasks.traces === null) ||
    (rl.steps > 0 && config.tasks.train === null) ||
    (config.eval.questions > 0 && config.tasks.heldout === null);
  if (needed && generated.length === 0) {
    throw new RangeError(
      'tasks: expected tasks to make questions of, found none: name them in tasks.names, give files, or pass tasks to train()',
    );
  }

  const traces =
    sft.steps === 0
      ? []
      : config.tasks.traces !== null
        ? await loadTraces(config.tasks.traces, { format })
        : makeTraces(generated, { count: sft.traces, seed, codeShare: sft.code_share, format });
  const taken = new Set(traces.map((trace) => trace.question.id));

  let pool: Question[] = [];
  const wanted = rl.steps * rl.prompts;
  if (wanted > 0) {
    if (config.tasks.train !== null) {
      const task = await loadJsonlTask(config.tasks.train, { split: 'train', name: 'train' });
      byName.set(task.name, task);
      pool = [...task.items('train')];
    } else {
      pool = interleave(generated, 'train', wanted, seed, taken);
    }
  }

  let heldout: Question[] = [];
  if (config.eval.questions > 0) {
    if (config.tasks.heldout !== null) {
      const task = await loadJsonlTask(config.tasks.heldout, { split: 'heldout', name: 'heldout' });
      byName.set(task.name, task);
      heldout = task.items('heldout').slice(0, config.eval.questions);
    } else {
      heldout = interleave(generated, 'heldout', config.eval.questions, seed, new Set());
    }
  }
  const trained = new Set([
    ...taken,
    ...pool.map((question) => question.id),
    ...traces.map(({ question }) => question.prompt),
  ]);
  for (const question of pool) trained.add(question.prompt);
  const leaked = heldout.find((question) => trained.has(question.id) || trained.has(question.prompt));
  if (leaked !== undefined) {
    throw new RangeError(
      `held-out question ${leaked.id} is also a training question; remove it from one of the files`,
    );
  }

  return {
    tasks: byName,
    traces,
    heldout,
    pool,
    training: (position, count) =>
      Array.from({ length: count }, (_, i) => pool[(position + i) % pool.length]!),
  };
}

/** `count` questions going round the tasks, in an order shuffled by the seed within each round. */
function interleave(
  tasks: readonly Task[],
  split: 'train' | 'heldout',
  count: number,
  seed: number,
  exclude: ReadonlySet<string>,
): Question[] {
  const random = createRandom(seed, [0x7175_6573, split === 'train' ? 0 : 1]);
  const perTask = tasks.map((task, i) => {
    const share = Math.floor(count / tasks.length) + (i < count % tasks.length ? 1 : 0);
    return questions(task, split, share, seed, { exclude });
  });
  const rounds: Question[] = [];
  for (let round = 0; rounds.length < count; round++) {
    rounds.push(...random.shuffle(perTask.flatMap((list) => (round < list.length ? [list[round]!] : []))));
  }
  return rounds;
}

/** Indices of the traces of SFT step `step`: passes over all `traces` of them, each pass in its own seeded order. */
export function traceBatch(traces: number, batch: number, step: number, seed: number): number[] {
  const orders = new Map<number, number[]>();
  return Array.from({ length: batch }, (_, i) => {
    const position = step * batch + i;
    const pass = Math.floor(position / traces);
    let order = orders.get(pass);
    if (order === undefined) {
      order = createRandom(seed, [0x7061_7373, pass]).shuffle(
        Array.from({ length: traces }, (_, index) => index),
      );
      orders.set(pass, order);
    }
    return order[position % traces]!;
  });
}
