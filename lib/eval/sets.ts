/** Published sets of questions as an evaluation's questions, from files given by path: `aime24=aime24.jsonl`. */
import { ToolgradError } from '../errors.ts';
import { loadTaskFile } from '../tasks/files.ts';
import { loadAime, loadDapoMath, loadGpqa, loadMath } from '../tasks/math/datasets.ts';
import type { FixedTask, Question, Task } from '../tasks/task.ts';

/** By what a set's name begins with; any other name is a file of questions (docs/tasks.md). */
const kLoaders: readonly (readonly [
  prefix: string,
  load: (path: string, options: { name: string; split: 'heldout' }) => Promise<FixedTask>,
])[] = [
  ['aime', loadAime],
  ['gpqa', loadGpqa],
  ['math', loadMath],
  ['dapo', loadDapoMath],
];

export interface EvaluationSets {
  readonly questions: readonly Question[];
  /** By the name in `question.task`. */
  readonly tasks: ReadonlyMap<string, Task>;
}

/** All questions of the sets, set by set. ERR_USAGE for what is no `name=path`, or a name that is there twice. */
export async function loadSets(given: readonly string[]): Promise<EvaluationSets> {
  const tasks = new Map<string, Task>();
  const questions: Question[] = [];
  for (const item of given) {
    const equals = item.indexOf('=');
    const [name, path] = [item.slice(0, equals), item.slice(equals + 1)];
    if (equals < 1 || path === '') {
      throw new ToolgradError(
        'ERR_USAGE',
        `--set: expected name=path, for example aime24=aime24.jsonl, found ${JSON.stringify(item)}`,
      );
    }
    if (tasks.has(name)) throw new ToolgradError('ERR_USAGE', `--set: the name ${name} is given twice`);
    const load = kLoaders.find(([prefix]) => name.toLowerCase().startsWith(prefix))?.[1] ?? loadTaskFile;
    const task = await load(path, { name, split: 'heldout' });
    tasks.set(name, task);
    questions.push(...task.items('heldout'));
  }
  return { questions, tasks };
}
