/** `toolgrad tasks list | show | check`: the tasks there are, their questions, and what their verifiers say. */
import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { errorCode, errorMessage, ToolgradError } from '../errors.ts';
import { nearestName } from '../run/yaml.ts';
import { demoTaskNames } from '../tasks/demo.ts';
import { checkQuestionFile } from '../tasks/files.ts';
import { taskNames } from '../tasks/index.ts';
import {
  isPublishedTask,
  openSuiteTask,
  type SetName,
  setNames,
  splitEntries,
  suiteTaskNames,
} from '../tasks/suites/index.ts';
import { type QuestionManifest, questionManifest } from '../tasks/suites/question-files.ts';
import { type SuiteName, suiteNames } from '../tasks/suites/suite.ts';
import { suiteVerifiers } from '../tasks/suites/verifiers.ts';
import { type Question, questions, type Task } from '../tasks/task.ts';
import { namedTasks } from '../train/question-sources.ts';
import { styled, table } from '../view/format.ts';

/** How the sets are called on the command line. */
const setOptions: Readonly<Record<string, SetName>> = {
  'cold-start': 'coldStart',
  training: 'training',
  heldout: 'evaluation',
};

const setTitles: Readonly<Record<SetName, string>> = {
  coldStart: 'cold start',
  training: 'training',
  evaluation: 'held-out',
};

interface ShowFlags {
  n: string;
  seed: string;
  set: string;
}

export function tasksCommand(program: Command, exit: (code: number) => void): void {
  const tasks = program
    .command('tasks')
    .description('list tasks, show their questions, check answers and files');
  tasks
    .command('list')
    .description('the published tasks and the procedural ones')
    .option('--suite <name>', `only one suite: ${suiteNames.join(', ')}`)
    .action(async ({ suite }: { suite?: string }) => {
      process.stdout.write(await list(suite));
    });
  tasks
    .command('show')
    .description('questions of a task with their answers')
    .argument('<name>', 'a task as in tasks.names: gcd, bbh/navigate')
    .option('--n <count>', 'questions to show', '3')
    .option('--seed <seed>', 'which ones', '0')
    .option('--set <name>', Object.keys(setOptions).join(', '), 'training')
    .addHelpText('after', '\nExample:\n  toolgrad tasks show symbench/game24 --n 5 --set heldout')
    .action(async (name: string, flags: ShowFlags) => {
      process.stdout.write(await show(name, flags));
    });
  tasks
    .command('check')
    .description('answers to a question, all stored answers of a published task, or a file of questions')
    .argument('<what>', "a question's id, a task's name, or a JSONL or CSV file")
    .argument(
      '[answers...]',
      'answers to verify; - is one read from standard input; -- before answers that begin with -',
    )
    .option('--heldout <file>', 'held-out questions, which must not be in the file to check')
    .addHelpText(
      'after',
      '\nExamples:\n  toolgrad tasks check bbh/navigate-0c0b7b5dcb5f Yes No\n  toolgrad tasks check train.jsonl --heldout eval.jsonl',
    )
    .action(async (what: string, answers: string[], flags: { heldout?: string }) => {
      const { text, right } = await check(what, answers, flags.heldout);
      process.stdout.write(text);
      exit(right ? 0 : 1);
    });
  for (const command of tasks.commands) command.exitOverride();
}

/** The manifest, or null (and why) where the package of questions is not installed. */
function manifestOrNull(): { manifest: QuestionManifest | null; note: string } {
  try {
    return { manifest: questionManifest(), note: '' };
  } catch (error) {
    if (errorCode(error) !== 'ERR_QUESTIONS_MISSING') throw error;
    return { manifest: null, note: `\n${errorMessage(error)}\n` };
  }
}

async function list(suite: string | undefined): Promise<string> {
  if (suite !== undefined && !(suiteNames as readonly string[]).includes(suite)) {
    throw new ToolgradError('ERR_USAGE', `--suite: expected ${suiteNames.join(', ')}, found ${suite}`);
  }
  const { manifest, note } = manifestOrNull();
  const chosen = suiteNames.filter((name) => suite === undefined || name === suite);
  const generating = new Set<string>(['symbench/gsm']);
  for (const name of chosen) {
    for (const task of (await suiteVerifiers(name as SuiteName)).values()) {
      if (task.generate !== undefined) generating.add(`${name}/${task.name}`);
    }
  }
  const entries = splitEntries.filter((entry) => chosen.includes(entry.suite));
  const rows = entries.map(({ name, answer, part }) => {
    const sets = manifest?.files[name]?.sets;
    const sizes = setNames.map((set) => (manifest === null ? '-' : String(sets?.[set] ?? 0)));
    return [name, ...sizes, generating.has(name) ? 'yes' : '', answer, part];
  });
  const header = ['task', ...setNames.map((set) => setTitles[set]), 'generator', 'answer', 'split'];
  const procedural =
    suite === undefined
      ? `\nprocedural: ${taskNames.join(', ')}; ${demoTaskNames.map((name) => `demo/${name}`).join(', ')}\n`
      : '';
  return `${table(header, rows)}\n${procedural}${note}`;
}

function positive(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ToolgradError('ERR_USAGE', `--${flag}: expected an integer from ${least} on, found ${text}`);
}

async function oneTask(name: string): Promise<Task> {
  const found = await namedTasks([name]);
  if (found.length === 1) return found[0]!;
  throw new ToolgradError('ERR_USAGE', `expected one task, found ${name}, which names ${found.length}`);
}

async function show(name: string, flags: ShowFlags): Promise<string> {
  const count = positive('n', flags.n, 1);
  const seed = positive('seed', flags.seed, 0);
  const set = setOptions[flags.set];
  if (set === undefined) {
    throw new ToolgradError(
      'ERR_USAGE',
      `--set: expected ${Object.keys(setOptions).join(', ')}, found ${flags.set}`,
    );
  }
  const task = await oneTask(name);
  const asked = isPublishedTask(task)
    ? task.draw(set, count, seed)
    : questions(task, set === 'evaluation' ? 'heldout' : 'train', count, seed);
  const shown = asked.map(
    ({ id, prompt, answer }) => `${styled('bold', id)}\n${prompt}\n${styled('green', `answer: ${answer}`)}\n`,
  );
  return `${task.name}: ${task.description}\n\n${shown.join('\n')}`;
}

interface Checked {
  readonly text: string;
  /** Whether everything is as it should be. */
  readonly right: boolean;
}

async function check(
  what: string,
  answers: readonly string[],
  heldout: string | undefined,
): Promise<Checked> {
  if (existsSync(what) || /\.(jsonl|csv)$/i.test(what)) {
    if (answers.length > 0) {
      throw new ToolgradError(
        'ERR_USAGE',
        `${what} is a file of questions: answers are checked for a question's id`,
      );
    }
    return checkFile(what, heldout);
  }
  if (heldout !== undefined) {
    throw new ToolgradError('ERR_USAGE', `--heldout goes with a file of questions; ${what} is none`);
  }
  if (answers.length > 0) return checkAnswers(what, answers);
  return checkTask(what);
}

async function checkFile(path: string, heldout: string | undefined): Promise<Checked> {
  const { train, heldout: held, defects } = await checkQuestionFile(path, heldout);
  if (defects.length === 0) {
    const place = heldout === undefined ? 'a fifth is held out, by their text' : `${heldout} is held out`;
    return {
      text: `${path}: ${train} training and ${held} held-out questions (${place}); no defects\n`,
      right: true,
    };
  }
  return { text: `${defects.join('\n')}\n${defects.length} defects\n`, right: false };
}

/** The question with an id, `bbh/navigate-0c0b7b5dcb5f`. */
async function questionWithId(id: string): Promise<{ task: Task; question: Question }> {
  const name = id.replace(/-[0-9a-f]+$/, '');
  if (!suiteTaskNames.includes(name) || name === id) {
    const nearest = nearestName(name, suiteTaskNames);
    throw new ToolgradError(
      'ERR_USAGE',
      `expected the id of a published question (toolgrad tasks show bbh/navigate shows some), found ${id}` +
        (nearest === null ? '' : `; the nearest task is ${nearest}`),
    );
  }
  const task = await openSuiteTask(name);
  const all = setNames.flatMap((set) => task.sets()[set]);
  const question = all.find((other) => other.id === id);
  if (question !== undefined) return { task, question };
  const near = nearestName(
    id,
    all.map((other) => other.id),
  );
  throw new ToolgradError('ERR_USAGE', `${name} has no question ${id}; the nearest is ${near ?? all[0]!.id}`);
}

async function checkAnswers(id: string, answers: readonly string[]): Promise<Checked> {
  const { task, question } = await questionWithId(id);
  const verdicts = answers.map((given) => {
    const answer = given === '-' ? readFileSync(0, 'utf8') : given;
    return { answer, ...task.verify(question, answer) };
  });
  const lines = verdicts.map(
    ({ answer, correct, reason }) => `${correct ? 'right' : 'wrong'}  ${JSON.stringify(answer)}: ${reason}`,
  );
  return { text: `${lines.join('\n')}\n`, right: verdicts.every(({ correct }) => correct) };
}

/** Every stored answer of a published task by its own verifier, and whether the sets meet. */
async function checkTask(name: string): Promise<Checked> {
  const task = await oneTask(name);
  if (!isPublishedTask(task)) {
    throw new ToolgradError(
      'ERR_USAGE',
      `${name} is procedural: its questions are not stored, there is nothing to check`,
    );
  }
  const sets = task.sets();
  const seen = new Map<string, string>();
  const defects: string[] = [];
  for (const set of setNames) {
    for (const question of sets[set]) {
      const { correct, reason } = task.verify(question, question.answer);
      if (!correct) defects.push(`${question.id}: its own answer is rejected: ${reason}`);
      for (const key of [question.id, question.prompt]) {
        const other = seen.get(key);
        if (other !== undefined)
          defects.push(`${question.id}: the same question in ${other} and ${setTitles[set]}`);
        seen.set(key, setTitles[set]);
      }
    }
  }
  const sizes = setNames.map((set) => `${sets[set].length} ${setTitles[set]}`).join(', ');
  const verdict =
    defects.length === 0 ? 'every answer is accepted, no question is there twice' : defects.join('\n');
  return { text: `${name}: ${sizes}; ${verdict}\n`, right: defects.length === 0 };
}
