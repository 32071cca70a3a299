/**
 * The published tasks as a whole: 144 names and their split, the package of questions, three sets that never meet, configs that
 * name them, and `toolgrad tasks`. What needs questions/ is skipped where a checkout has none.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../lib/package.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { checkQuestionFile } from '../lib/tasks/files.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { expandSuiteName, openSuiteTask, setNames, suiteSets } from '../lib/tasks/suites/index.ts';
import { questionManifest, readQuestionFile } from '../lib/tasks/suites/question-files.ts';
import { assignSets, kSmallestSet, setOfGenerated } from '../lib/tasks/suites/sets.ts';
import { namedSplits, splitEntries, suiteTaskNames } from '../lib/tasks/suites/split.ts';
import { kLongestAnswer, suiteNames } from '../lib/tasks/suites/suite.ts';
import { suiteVerifiers } from '../lib/tasks/suites/verifiers.ts';
import { questions } from '../lib/tasks/task.ts';
import { evenShares, namedTasks } from '../lib/train/question-sources.ts';
import { planQuestions } from '../lib/train/questions.ts';
import { packageTexts, textOf } from '../scripts/questions/make.ts';
import { sharedData } from './support/suites.ts';

const folder = join(packageRoot, 'questions');

/** Whether the package of questions is in this checkout; a test without it is passed, and says so. */
function hasQuestions(t: ExecutionContext): boolean {
  if (existsSync(join(folder, 'manifest.json'))) return true;
  t.log('skipped: questions/ is absent');
  t.pass();
  return false;
}

test('there are 144 tasks, each with a verifier: 27 of BBH, 33 of SymBench, 84 of Reasoning-Gym', async (t) => {
  t.is(suiteTaskNames.length, 144);
  t.is(new Set(suiteTaskNames).size, 144);
  for (const suite of suiteNames) {
    const listed = splitEntries.filter((entry) => entry.suite === suite).map(({ name }) => name);
    const verifiers = [...(await suiteVerifiers(suite)).keys()].map((name) => `${suite}/${name}`);
    t.deepEqual([...listed].sort(), verifiers.sort());
  }
  const sizes: Record<string, number> = {};
  for (const { suite, part } of splitEntries)
    sizes[`${suite} ${part}`] = (sizes[`${suite} ${part}`] ?? 0) + 1;
  t.deepEqual(sizes, {
    'bbh train': 20,
    'bbh test': 7,
    'symbench train': 24,
    'symbench test': 9,
    'reasoning-gym train': 63,
    'reasoning-gym test': 21,
  });
  t.is(namedSplits['suite:train107']!.length, 107);
  t.is(namedSplits['suite:test37']!.length, 37);
});

test('a name stands for a task, a pattern or a split', (t) => {
  t.deepEqual(expandSuiteName('bbh/navigate'), ['bbh/navigate']);
  t.is(expandSuiteName('symbench/*')?.length, 33);
  t.deepEqual(expandSuiteName('*/game24'), ['symbench/game24']);
  t.is(expandSuiteName('bbh/logical_deduction_*_objects')?.length, 3);
  t.is(expandSuiteName('suite:test37')?.length, 37);
  for (const name of ['gcd', 'bbh', 'bbh/', 'bbh/nothing*', '', 'bbh.navigate', 'constructor', '(*'])
    t.is(expandSuiteName(name), undefined, name);
});

test('published questions are put into sets once, a fifth, a fifth and the rest', (t) => {
  const ids = (count: number) => Array.from({ length: count }, (_, i) => `id-${i}`);
  for (const [count, ...sizes] of [
    [0, 0, 0, 0],
    [1, 0, 1, 0],
    [3, 1, 1, 1],
    [50, 16, 18, 16],
    [60, 20, 20, 20],
    [100, 20, 60, 20],
    [250, 50, 150, 50],
  ] as const) {
    const sets = assignSets('a', ids(count));
    t.is(sets.size, count);
    const found = setNames.map((set) => [...sets.values()].filter((other) => other === set).length);
    t.deepEqual(found, [...sizes], String(count));
    const reversed = assignSets('a', ids(count).reverse());
    t.true(
      ids(count).every((id) => reversed.get(id) === sets.get(id)),
      'whatever their order',
    );
  }
  const drawn = ids(10_000).map((id) => setOfGenerated('a', id));
  const share = (set: string) => drawn.filter((other) => other === set).length / drawn.length;
  t.log(`generated: ${setNames.map((set) => `${set} ${share(set)}`).join(', ')}`);
  t.true(Math.abs(share('evaluation') - 0.2) < 0.02);
  t.true(Math.abs(share('coldStart') - 0.2) < 0.02);
});

test('the package holds data only, every file as the manifest says, and less than 6 MB', (t) => {
  if (!hasQuestions(t)) return;
  const { files } = questionManifest();
  let bytes = 0;
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  for (const [name, { questions: count, bytes: size, sets }] of Object.entries(files)) {
    const compressed = readFileSync(join(folder, `${name}.jsonl.br`));
    bytes += compressed.length;
    t.is(compressed.length, size, name);
    t.is(readQuestionFile(name).length, count, name);
    if (sets !== undefined) t.is(sets.coldStart + sets.training + sets.evaluation, count, name);
  }
  t.deepEqual(
    paths.filter((path) => path.endsWith('.br')).sort(),
    Object.keys(files)
      .map((name) => `${name}.jsonl.br`)
      .sort(),
  );
  const others = paths.filter((path) => !path.endsWith('.br') && !path.startsWith('LICENSES'));
  t.deepEqual(others.sort(), ['README.md', 'manifest.json', 'package.json']);
  t.false(paths.some((path) => /aime/i.test(path)));
  t.log(`${Object.keys(files).length} files, ${(bytes / 1e6).toFixed(2)} MB`);
  t.true(bytes < 6e6);
});

test('every stored answer is accepted, and the three sets of every task are disjoint', async (t) => {
  if (!hasQuestions(t)) return;
  const small: string[] = [];
  let total = 0;
  for (const name of suiteTaskNames) {
    const task = await openSuiteTask(name);
    const sets = task.sets();
    const all = setNames.flatMap((set) => sets[set]);
    total += all.length;
    t.is(new Set(all.map(({ id }) => id)).size, all.length, `${name}: ids are different`);
    t.is(new Set(all.map(({ prompt }) => prompt)).size, all.length, `${name}: prompts are different`);
    t.deepEqual(task.items('heldout'), sets.evaluation);
    t.deepEqual(task.items('train'), [...sets.coldStart, ...sets.training]);
    for (const question of all) {
      t.is(question.task, name);
      t.true(question.id.startsWith(`${name}-`), question.id);
      const { correct, reason } = task.verify(question, question.answer);
      if (!correct) t.fail(`${question.id}: ${reason}`);
    }
    if (setNames.some((set) => sets[set].length < kSmallestSet)) small.push(name);
  }
  t.deepEqual(small, [], `no task has a set of fewer than ${kSmallestSet}`);
  t.log(`${total} questions of ${suiteTaskNames.length} tasks`);
});

test('generated questions keep to their sets, also beyond what the sets list', async (t) => {
  if (!hasQuestions(t)) return;
  for (const name of [
    'symbench/BoxLift',
    'symbench/gsm',
    'symbench/reversi',
    'symbench/pattern_recognition',
    'symbench/string_deletion_and_modification',
  ]) {
    const task = await openSuiteTask(name);
    t.true(task.endless);
    t.deepEqual((await suiteSets(name)).training, task.sets().training, 'the same questions again');
    const idsOf = (set: 'coldStart' | 'training' | 'evaluation') =>
      task.draw(set, 260, 3).map(({ id }) => id);
    const [cold, training, evaluation] = setNames.map(idsOf) as [string[], string[], string[]];
    t.is(cold.length, 260);
    t.is(new Set(training).size, 260);
    // Enough evaluation questions of gsm are stored; a generated one would repeat a story of training.
    t.is(evaluation.length, name === 'symbench/gsm' ? 50 : 260);
    t.is(
      new Set([...cold, ...training, ...evaluation]).size,
      cold.length + training.length + evaluation.length,
    );
    const held = new Set(task.sets().evaluation.map(({ id }) => id));
    for (let i = 0; i < 50; i++) {
      const train = task.question(createRandom(i), 'train');
      const heldout = task.question(createRandom(i), 'heldout');
      t.false(held.has(train.id));
      t.false(training.includes(heldout.id) || cold.includes(heldout.id));
      t.true(task.verify(train, train.answer).correct && task.verify(heldout, heldout.answer).correct);
    }
  }
});

test('an answer that is missing or longer than the longest is wrong before the verifier is asked', async (t) => {
  if (!hasQuestions(t)) return;
  const task = await openSuiteTask('bbh/navigate');
  const [question] = questions(task, 'heldout', 1, 0);
  t.true(task.verify(question!, question!.answer).correct);
  t.regex(task.verify(question!, null).reason, /no answer/);
  const padded = question!.answer.padEnd(kLongestAnswer + 1);
  t.regex(task.verify(question!, padded).reason, /at most 65536 are read/);
  t.true(task.verify(question!, padded.slice(1, -1).trim() === '' ? '' : padded.slice(0, -1)).correct);
  t.throws(() => task.verify({ ...question!, task: 'bbh/snarks' }, ''), { instanceOf: TypeError });
  await t.throwsAsync(openSuiteTask('bbh/navigat'), {
    instanceOf: RangeError,
    message: /expected a published task/,
  });
});

test('questions are shared out evenly, and what one task has not the others give', (t) => {
  const none = Number.POSITIVE_INFINITY;
  t.deepEqual(evenShares(10, [none, none, none]), [4, 3, 3]);
  t.deepEqual(evenShares(10, [1, none, none]), [1, 5, 4]);
  t.deepEqual(evenShares(10, [1, 2, 3]), [1, 2, 3]);
  t.deepEqual(evenShares(0, [1, none]), [0, 0]);
  t.deepEqual(evenShares(5, []), []);
  t.deepEqual(evenShares(2, [0, 0, none]), [0, 0, 2]);
});

const yaml = 'model: { path: m }\nrl: { steps: 100, prompts: 16 }\n';
const plan = (...overrides: string[]) => planQuestions(parseConfig(yaml, 'run.yaml', overrides));

test('a config may name published tasks beside procedural ones', async (t) => {
  if (!hasQuestions(t)) return;
  const names = 'tasks.names=[gcd, bbh/navigate, "bbh/navi*", symbench/BoxLift]';
  const { pool, heldout, tasks } = await plan(names, 'eval.questions=30');
  t.deepEqual([...tasks.keys()], ['gcd', 'bbh/navigate', 'symbench/BoxLift']);
  t.is(pool.length, 1600, 'navigate has 150 training questions, the two others give the rest');
  t.is(heldout.length, 30);
  const navigate = await suiteSets('bbh/navigate');
  const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id).sort();
  const asked = pool.filter(({ task }) => task === 'bbh/navigate');
  t.deepEqual(ids(asked), ids(navigate.training));
  t.true(heldout.every(({ id, task }) => task !== 'bbh/navigate' || ids(navigate.evaluation).includes(id)));
  t.deepEqual((await plan(names, 'eval.questions=30')).pool, pool);

  const few = await plan('tasks.names=[bbh/navigate]', 'eval.questions=50');
  t.is(few.pool.length, 150);
  t.is(few.training(149, 2).at(1), few.pool[0], 'from the beginning again');
  await t.throwsAsync(plan('tasks.names=[bbh/navigate]', 'eval.questions=51'), {
    message: /eval\.questions: expected at most 50, found 51/,
  });
  await t.throwsAsync(plan('tasks.names=[gcd, demo/gcd]'), { message: /^tasks: two are called gcd/ });
});

test('both parts of the split can be asked', async (t) => {
  if (!hasQuestions(t)) return;
  const { pool, tasks } = await plan('tasks.names=["suite:train107"]', 'eval.questions=0', 'rl.steps=20');
  t.is(tasks.size, 107);
  t.is(new Set(pool.map(({ task }) => task)).size, 107);
  const test37 = await plan(
    'tasks.names=["suite:test37"]',
    'rl.steps=0',
    'eval.questions=740',
    'sft.steps=0',
  );
  t.is(test37.heldout.length, 740);
  t.is(new Set(test37.heldout.map(({ task }) => task)).size, 37);
});

test('published tasks give traces with the bare answer, of questions that RL does not ask', async (t) => {
  if (!hasQuestions(t)) return;
  const names = 'tasks.names=[bbh/navigate]';
  await t.throwsAsync(plan(names, 'sft.steps=1', 'sft.traces=40'), {
    message: /bbh\/navigate has no worked examples that call Python: give a file of traces/,
  });
  const { traces, pool } = await plan(
    names,
    'sft.steps=1',
    'sft.traces=40',
    'sft.code_share=0',
    'eval.questions=50',
  );
  const { coldStart } = await suiteSets('bbh/navigate');
  const cold = new Set(coldStart.map(({ id }) => id));
  t.is(traces.length, 40);
  t.true(traces.every(({ question }) => cold.has(question.id)));
  t.true(pool.every(({ id }) => !cold.has(id)));
});

test('a trace from a file takes its question away from RL, known by its text', async (t) => {
  if (!hasQuestions(t)) return;
  const temporary = mkdtempSync(join(tmpdir(), 'toolgrad-test-'));
  t.teardown(() => rmSync(temporary, { recursive: true }));
  const { training, evaluation } = await suiteSets('bbh/navigate');
  const path = join(temporary, 'traces.jsonl');
  const write = (list: readonly { prompt: string; answer: string }[]) =>
    writeFileSync(
      path,
      list.map(({ prompt, answer }) => `${JSON.stringify({ question: prompt, answer })}\n`).join(''),
    );
  const overrides = [
    'tasks.names=[bbh/navigate]',
    `tasks.traces=${path}`,
    'sft.steps=1',
    'eval.questions=50',
  ];
  write(training.slice(0, 9));
  const { pool } = await plan(...overrides);
  t.is(pool.length, 141);
  const taken = new Set(training.slice(0, 9).map(({ prompt }) => prompt));
  t.true(pool.every(({ prompt }) => !taken.has(prompt)));
  write(evaluation.slice(0, 1));
  await t.throwsAsync(plan(...overrides), { message: /held-out question .* is also a training question/ });
  write(training);
  await t.throwsAsync(plan(...overrides), { message: /leave no training questions/ });
});

test('an unknown name of a task names the nearest one, a pattern without a match says so', async (t) => {
  await t.throwsAsync(namedTasks(['bbh/navigat']), { message: /did you mean bbh\/navigate\?/ });
  await t.throwsAsync(namedTasks(['suite:train108']), { message: /did you mean suite:train107\?/ });
  await t.throwsAsync(namedTasks(['bbh/xyz*']), { message: /matches none of the published tasks/ });
  await t.throwsAsync(namedTasks(['qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq']), {
    message: /there are arithmetic, /,
  });
});

test('a file of questions is checked as a whole', async (t) => {
  const temporary = mkdtempSync(join(tmpdir(), 'toolgrad-test-'));
  t.teardown(() => rmSync(temporary, { recursive: true }));
  const write = (name: string, text: string) => {
    const path = join(temporary, name);
    writeFileSync(path, text);
    return path;
  };
  const good = write('good.jsonl', '{"question":"1+1","answer":"2"}\n{"question":"1+2","answer":"3"}\n');
  const held = write('held.jsonl', '{"question":" 1+2 ","answer":"3"}\n{"question":"7","answer":"7"}\n');
  const bad = write(
    'bad.jsonl',
    '{"question":"1+1","answer":"2","id":1}\n{"question":"1+1","answer":"2","id":1}\n{"question":"2"}\n{"answer":"2"}\n',
  );
  const csv = write('good.csv', 'question,answer\n"1,1",2\n3,4\n');
  const clean = await checkQuestionFile(good);
  t.deepEqual([clean.train + clean.heldout, clean.defects], [2, []]);
  t.deepEqual((await checkQuestionFile(csv)).defects, []);
  const overlap = await checkQuestionFile(good, held);
  t.is(overlap.defects.length, 1);
  t.regex(overlap.defects[0]!, /held\.jsonl:1: the same question as in .*good\.jsonl:2/);
  const { defects } = await checkQuestionFile(bad);
  t.is(defects.length, 4);
  t.log(defects.join('\n'));
  t.regex((await checkQuestionFile(join(temporary, 'none.jsonl'))).defects[0]!, /cannot be read/);
  await t.throwsAsync(checkQuestionFile(good, csv), { instanceOf: TypeError });
});

/** Runs `toolgrad tasks ...` of the sources in `root`. */
function tasks(root: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env;
  const main = join(root, 'lib', 'cli', 'main.ts');
  const run = spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), main, 'tasks', ...args], {
    cwd: root,
    env,
    encoding: 'utf8',
    input: 'Yes\n',
  });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

test('without the package of questions the command that installs it is named, a damaged file is an error', (t) => {
  if (!hasQuestions(t)) return;
  const root = mkdtempSync(join(tmpdir(), 'toolgrad-test-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  cpSync(join(packageRoot, 'lib'), join(root, 'lib'), { recursive: true });
  cpSync(join(packageRoot, 'package.json'), join(root, 'package.json'));
  mkdirSync(join(root, 'node_modules'));
  const modules = join(packageRoot, 'node_modules');
  for (const name of readdirSync(modules).filter((other) => other !== 'toolgrad-questions'))
    symlinkSync(join(modules, name), join(root, 'node_modules', name));
  const missing = tasks(root, 'check', 'bbh/navigate');
  t.is(missing.code, 1);
  t.regex(missing.err, /npm install toolgrad-questions/);
  // Installed beside the program, with the texts of two tasks exchanged.
  const installed = join(root, 'node_modules', 'toolgrad-questions');
  mkdirSync(join(installed, 'bbh'), { recursive: true });
  for (const name of ['package.json', 'manifest.json']) cpSync(join(folder, name), join(installed, name));
  cpSync(join(folder, 'bbh/snarks.jsonl.br'), join(installed, 'bbh/navigate.jsonl.br'));
  const damaged = tasks(root, 'check', 'bbh/navigate');
  t.is(damaged.code, 1);
  t.regex(damaged.err, /navigate\.jsonl\.br: expected SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}; install/);
});

test('toolgrad tasks lists tasks, shows questions and checks answers', async (t) => {
  if (!hasQuestions(t)) return;
  const list = tasks(packageRoot, 'list', '--suite', 'bbh');
  t.is(list.code, 0, list.err);
  t.regex(list.out, /^bbh\/navigate +50 +150 +50 +word +train$/m);
  t.is(list.out.trim().split('\n').length, 29);
  const shown = tasks(packageRoot, 'show', 'bbh/navigate', '--n', '1', '--set', 'heldout');
  t.is(shown.code, 0, shown.err);
  const id = /^bbh\/navigate-[0-9a-f]+$/m.exec(shown.out)?.[0] ?? '';
  const right = /^answer: (.*)$/m.exec(shown.out)?.[1] ?? '';
  t.true((await suiteSets('bbh/navigate')).evaluation.some((question) => question.id === id));
  const both = tasks(packageRoot, 'check', id, 'Yes', 'No', '-');
  t.is(both.code, 1);
  t.is(both.out.split('\n').filter((line) => line.startsWith(right === 'Yes' ? 'right' : 'wrong')).length, 2);
  t.is(tasks(packageRoot, 'check', 'bbh/navigate').code, 0);
  for (const wrong of [
    ['show', 'bbh/*'],
    ['check', 'bbh/navigate-0', 'Yes'],
  ]) {
    const { code, err } = tasks(packageRoot, ...wrong);
    t.is(code, 2, `${wrong.join(' ')}: ${err}`);
  }
});

test('the package is what its script makes of the published data, byte by byte', async (t) => {
  if (!hasQuestions(t)) return;
  if (sharedData === null) {
    t.log('skipped: ../shared/data is absent');
    t.pass();
    return;
  }
  t.timeout(300_000);
  const { files } = questionManifest();
  const texts = await packageTexts(() => {});
  t.deepEqual([...texts.keys()].sort(), Object.keys(files).sort());
  for (const [name, made] of texts) t.is(textOf(made).sha256, files[name]!.sha256, name);
});
