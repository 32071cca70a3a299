/**
 * Which questions a run uses, as functions of the config's seed alone, so that a resumed run asks the same ones:
 * cold-start traces, the training questions of each RL step, and the held-out questions. All disjoint.
 */
import type { Config } from '../run/config.ts';
import { loadTaskFile } from '../tasks/files.ts';
import { createRandom } from '../tasks/random.ts';
import type { Question, Task } from '../tasks/task.ts';
import { type Curriculum, loadRatings, makeCurriculum, type Rating } from './curriculum.ts';
import { interleave, namedTasks, tasksByName, tracesOf } from './question-sources.ts';
import { loadTraces, type Trace, traceFormats } from './traces.ts';

export { namedTask } from './question-sources.ts';

export interface QuestionPlan {
  /** By the name in `question.task`. */
  readonly tasks: ReadonlyMap<string, Task>;
  readonly traces: readonly Trace[];
  readonly heldout: readonly Question[];
  /** All training questions, in the order in which they are first used. */
  readonly pool: readonly Question[];
  /**
   * `count` training questions from `position` of the pool on; the pool again from its beginning when it is used up. With a
   * curriculum: of the stage that RL step `step` belongs to.
   */
  training(position: number, count: number, step?: number): readonly Question[];
  /** The stage of RL step `step`, from 1; null without a curriculum. */
  stage(step: number): number | null;
  /** New ratings of the pool's questions: from now on stages are made of these. */
  regroup(ratings: readonly Rating[]): void;
}

/** Work out a run's questions; `userTasks` are used besides (or instead of) the config's. */
export async function planQuestions(config: Config, userTasks: readonly Task[] = []): Promise<QuestionPlan> {
  const generated = [...(await namedTasks(config.tasks.names)), ...userTasks];
  const byName = tasksByName(generated);
  const format = traceFormats[config.format];
  const { sft, rl, seed } = config;
  const { answers } = config.tasks;
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
        : tracesOf(generated, { count: sft.traces, seed, codeShare: sft.code_share, format });
  const calling = config.text_only ? traces.find(({ style }) => style === 'code') : undefined;
  if (calling !== undefined) {
    throw new RangeError(
      `tasks.traces: the trace of ${JSON.stringify(calling.question.prompt)} calls the tool, and text_only is set: give traces without calls`,
    );
  }
  const taken = traces.map(({ question }) => question);

  let pool: Question[] = [];
  const wanted = rl.steps * rl.prompts;
  const rated = wanted === 0 || config.curriculum.file === null ? null : loadRatings(config.curriculum.file);
  if (wanted > 0) {
    if (config.tasks.train !== null) {
      const task = await loadTaskFile(config.tasks.train, { split: 'train', name: 'train', answers });
      byName.set(task.name, task);
      pool = [...task.items('train')];
    } else if (rated === null) {
      pool = interleave(generated, 'train', wanted, seed, taken);
      if (pool.length === 0)
        throw new RangeError('rl: the traces leave no training questions of these tasks');
    }
  }

  if (rated !== null) {
    pool = rated.map(({ question }) => question);
    const known = new Set(taken.flatMap(({ id, prompt }) => [id, prompt]));
    const shown = pool.find(({ id, prompt }) => known.has(id) || known.has(prompt));
    if (shown !== undefined) {
      throw new RangeError(
        `curriculum.file: question ${shown.id} is also in the cold start's traces: make the file with the same sft section`,
      );
    }
  }
  const stranger = pool.find(({ task }) => !byName.has(task));
  if (stranger !== undefined) {
    throw new RangeError(
      `curriculum.file: question ${stranger.id} belongs to task ${stranger.task}, which the config does not name: ` +
        'give the tasks that the file was made with',
    );
  }

  let heldout: Question[] = [];
  if (config.eval.questions > 0) {
    if (config.tasks.heldout !== null) {
      const task = await loadTaskFile(config.tasks.heldout, { split: 'heldout', name: 'heldout', answers });
      byName.set(task.name, task);
      heldout = task.items('heldout').slice(0, config.eval.questions);
    } else {
      heldout = interleave(generated, 'heldout', config.eval.questions, seed, []);
      if (heldout.length < config.eval.questions) {
        throw new RangeError(
          `eval.questions: expected at most ${heldout.length}, found ${config.eval.questions}: the tasks have no more held-out questions`,
        );
      }
    }
  }
  const trained = new Set([
    ...taken.flatMap(({ id, prompt }) => [id, prompt]),
    ...pool.map((question) => question.id),
  ]);
  for (const question of pool) trained.add(question.prompt);
  const leaked = heldout.find((question) => trained.has(question.id) || trained.has(question.prompt));
  if (leaked !== undefined) {
    throw new RangeError(
      `held-out question ${leaked.id} is also a training question; remove it from one of the files`,
    );
  }

  const { order, stages, steps: stepsPerStage } = config.curriculum;
  const staged = (ratings: readonly Rating[]) =>
    makeCurriculum(ratings, { order, stages, stepsPerStage, seed });
  let curriculum: Curriculum | null = rated === null ? null : staged(rated);
  return {
    tasks: byName,
    traces,
    heldout,
    pool,
    training: (position, count, step = 0) =>
      curriculum?.training(position, count, step) ??
      Array.from({ length: count }, (_, i) => pool[(position + i) % pool.length]!),
    stage: (step) => (curriculum === null ? null : curriculum.stageOf(step) + 1),
    regroup(ratings) {
      curriculum = staged(ratings);
    },
  };
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
