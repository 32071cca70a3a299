/** Ratings in integers, stages as pure functions of the step, and runs with a curriculum that resume to the bit. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../lib/package.ts';
import { readLines } from '../lib/run/directory.ts';
import { demoTasks } from '../lib/tasks/demo.ts';
import { type Question, questions } from '../lib/tasks/task.ts';
import {
  groupSizes,
  loadRatings,
  makeCurriculum,
  potentialGroup,
  type Rating,
  rate,
} from '../lib/train/curriculum.ts';
import type { TrainEvent } from '../lib/train/loop.ts';
import { planQuestions } from '../lib/train/questions.ts';
import { train } from '../lib/train/train.ts';
import {
  checkpointBytes,
  folderWithBase,
  lengthReward,
  recordsOf,
  runConfig,
  runYaml,
} from './support/runs.ts';

const { base, at } = await folderWithBase();

test('groups of 20 attempts are those of the paper: 4 to 16 right, 3 or 17, 2 or 18, the rest', (t) => {
  const groups = Array.from({ length: 21 }, (_, right) => potentialGroup({ attempts: 20, right }));
  t.deepEqual(groups, [4, 4, 3, 2, ...new Array(13).fill(1), 2, 3, 4, 4]);
  t.true(4 * 0.8 * (1 - 0.8) < 0.64, 'floats would put 16 of 20 into group 2');
});

test('groups are the ranges of 4p(1-p), by exact fractions, for every count of up to 40 attempts', (t) => {
  let cases = 0;
  for (let attempts = 1; attempts <= 40; attempts++) {
    for (let right = 0; right <= attempts; right++) {
      const potential = [4n * BigInt(right) * BigInt(attempts - right), BigInt(attempts) ** 2n] as const;
      const atLeast = (hundredths: bigint) => 100n * potential[0] >= hundredths * potential[1];
      const expected = atLeast(64n) ? 1 : atLeast(48n) ? 2 : atLeast(32n) ? 3 : 4;
      if (potentialGroup({ attempts, right }) !== expected) t.fail(`${right} of ${attempts}`);
      cases += 1;
    }
  }
  t.log(`${cases} counts`);
  t.is(cases, 860);
  for (const [attempts, right] of [
    [0, 0],
    [4, 5],
    [4, -1],
    [4, 1.5],
  ] as const) {
    t.throws(() => potentialGroup({ attempts, right }), { instanceOf: RangeError });
  }
});

const asked: Question[] = questions(demoTasks.sum, 'train', 40, 1);
/** 40 questions with 0 to 20 of 20 right, not in order. */
const ratings: Rating[] = asked.map((question, i) =>
  rate(question, {
    text: { attempts: 10, right: Math.min(10, (i * 7) % 21) },
    agent: { attempts: 10, right: Math.max(0, ((i * 7) % 21) - 10) },
  }),
);
const options = { order: 'potential', stages: 4, stepsPerStage: 5, seed: 3 } as const;

test('a rating adds its agents up', (t) => {
  const rating = rate(asked[0]!, { text: { attempts: 5, right: 1 }, code: { attempts: 5, right: 4 } });
  t.deepEqual(
    { ...rating, question: rating.question.id },
    {
      question: asked[0]!.id,
      attempts: 10,
      right: 5,
      p: 0.5,
      potential: 1,
      group: 1,
      agents: { text: { attempts: 5, right: 1 }, code: { attempts: 5, right: 4 } },
    },
  );
  t.throws(() => rate(asked[0]!, {}), { message: /found 0 of 0/ });
});

test('stages are cumulative: each asks the groups before it and one more, the last all', (t) => {
  const curriculum = makeCurriculum(ratings, options);
  const sizes = groupSizes(ratings);
  t.is(
    sizes.reduce((a, b) => a + b),
    40,
  );
  for (let stage = 0; stage < 4; stage++) {
    const expected = ratings.filter(({ group }) => group <= stage + 1).map(({ question }) => question.id);
    t.deepEqual(
      curriculum.questionsOf(stage).map(({ id }) => id),
      expected,
    );
    const pool = new Set(expected);
    for (let step = 5 * stage; step < 5 * stage + 5; step++) {
      t.is(curriculum.stageOf(step), stage);
      for (const { id } of curriculum.training(6 * step, 6, step)) t.true(pool.has(id));
    }
  }
  t.is(curriculum.stageOf(1000), 3, 'the last stage goes on');
  const two = makeCurriculum(ratings, { ...options, stages: 2 });
  t.is(two.questionsOf(1).length, 40, 'with two stages the second asks all');
});

test('a pass over a stage asks each of its questions once, in another order each time', (t) => {
  const curriculum = makeCurriculum(ratings, options);
  const size = curriculum.questionsOf(0).length;
  const pass = (n: number) => curriculum.training(n * size, size, 0).map(({ id }) => id);
  t.is(new Set(pass(0)).size, size);
  t.deepEqual([...pass(0)].sort(), [...pass(1)].sort());
  t.notDeepEqual(pass(0), pass(1));
  const again = makeCurriculum(ratings, options);
  t.deepEqual(
    again.training(3, 2 * size, 1).map(({ id }) => id),
    curriculum.training(3, 2 * size, 1).map(({ id }) => id),
    'a function of position and step alone',
  );
});

test('by difficulty the easiest come first in parts of equal size; flat asks all from the beginning', (t) => {
  const hard = makeCurriculum(ratings, { ...options, order: 'difficulty' });
  t.deepEqual(
    [0, 1, 2, 3].map((stage) => hard.questionsOf(stage).length),
    [10, 20, 30, 40],
  );
  const p = new Map(ratings.map((rating) => [rating.question.id, rating.p]));
  const of = (stage: number) => hard.questionsOf(stage).map(({ id }) => p.get(id)!);
  const first = of(0);
  const later = of(3).sort((a, b) => b - a);
  t.deepEqual(
    first.sort((a, b) => b - a),
    later.slice(0, 10),
  );
  const flat = makeCurriculum(ratings, { ...options, order: 'flat' });
  t.is(flat.training(0, 40, 0).length, new Set(flat.training(0, 40, 0)).size);
  const onlyHard = asked.map((question) => rate(question, { agent: { attempts: 4, right: 0 } }));
  const lone = makeCurriculum(onlyHard, options);
  t.is(lone.questionsOf(0).length, 40, 'where nothing has potential the next group is asked');
  t.throws(() => makeCurriculum([], options), { message: /found none/ });
});

test('a curriculum file that does not add up is refused by line', (t) => {
  const file = at('ratings.jsonl');
  const write = (...lines: unknown[]) =>
    writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  write(...ratings);
  t.deepEqual(loadRatings(file), JSON.parse(JSON.stringify(ratings)));
  write(ratings[0], { ...ratings[1]!, group: 3, right: ratings[1]!.right });
  const expected = ratings[1]!.group;
  t.throws(() => loadRatings(file), {
    code: 'ERR_CURRICULUM',
    message: new RegExp(`:2: expected group to be ${expected}`),
  });
  write(ratings[0], ratings[0]);
  t.throws(() => loadRatings(file), { message: /:2: question .* is there twice/ });
  write({ right: 1 });
  t.throws(() => loadRatings(file), { message: /:1: expected question with id, task, prompt and answer/ });
  write({ ...ratings[0]!, agents: { text: { attempts: 1, right: 2 } } });
  t.throws(() => loadRatings(file), { message: /:1: curriculum: expected right of attempts/ });
  writeFileSync(file, '');
  t.throws(() => loadRatings(file), { message: /holds no rated question/ });
  t.throws(() => loadRatings(at('none')), { message: /make it with toolgrad curriculum/ });
});

test('curriculum keys that would do nothing are refused', (t) => {
  const of = (...overrides: string[]) => runConfig(base, at('none'), overrides);
  t.throws(() => of('curriculum.order=difficulty'), {
    code: 'ERR_CONFIG',
    message: /order difficulty needs rated questions: give curriculum.file/,
  });
  t.throws(() => of('curriculum.order=flat', 'curriculum.regroup_every=3'), {
    message: /whatever their ratings are/,
  });
  t.throws(() => of('curriculum.stages=5'), { message: /curriculum.stages/ });
  t.notThrows(() => of('curriculum.order=difficulty', 'curriculum.regroup_every=3'));
});

/** A run of 4 RL steps with a curriculum, interrupted after `stops`. */
async function runWith(name: string, overrides: readonly string[], stops: readonly number[]) {
  const config = runConfig(base, at(name), [
    'eval.questions=0',
    'eval.every=0',
    'eval.without_tool=false',
    ...overrides,
  ]);
  for (const [i, stop] of stops.entries()) {
    const controller = new AbortController();
    await train(config, {
      mode: i === 0 ? 'new' : 'resume',
      reward: lengthReward,
      signal: controller.signal,
      onEvent: (event: TrainEvent) => {
        if (event.kind === 'rl' && event.at.phaseStep === stop) controller.abort(new Error('stop'));
      },
    });
  }
  return train(config, { mode: stops.length === 0 ? 'new' : 'resume', reward: lengthReward });
}

/** The ids that each RL step asked. */
const askedBy = (name: string) =>
  readdirSync(join(at(name), 'rollouts')).map((file) =>
    [
      ...new Set(
        readLines(join(at(name), 'rollouts', file)).map(({ question }) => (question as Question).id),
      ),
    ].sort(),
  );

test.serial('a run asks the questions of its stage, and resumed it is the same run', async (t) => {
  const file = at('rated.jsonl');
  writeFileSync(file, ratings.map((rating) => `${JSON.stringify(rating)}\n`).join(''));
  const overrides = [`curriculum.file=${JSON.stringify(file)}`, 'curriculum.steps=1', 'sft.steps=0'];
  await runWith('staged', overrides, []);
  await runWith('staged-again', overrides, [1, 3]);
  t.deepEqual(recordsOf(at('staged-again')), recordsOf(at('staged')));
  t.deepEqual(checkpointBytes(at('staged-again'), '000004'), checkpointBytes(at('staged'), '000004'));
  const metrics = readLines(join(at('staged'), 'metrics.jsonl')).filter(({ kind }) => kind === 'rl');
  t.deepEqual(
    metrics.map(({ stage }) => stage),
    [1, 2, 3, 4],
  );
  const group = new Map(ratings.map((rating) => [rating.question.id, rating.group]));
  for (const [step, ids] of askedBy('staged').entries()) {
    for (const id of ids) t.true(group.get(id)! <= step + 1);
  }
  const leaking = at('leaking.jsonl');
  const { traces } = await planQuestions(runConfig(base, at('leaking')));
  const leaked = { ...rate(traces[0]!.question, { agent: { attempts: 2, right: 1 } }) };
  writeFileSync(leaking, `${JSON.stringify(leaked)}\n`);
  await t.throwsAsync(planQuestions(runConfig(base, at('leaking'), [`curriculum.file=${leaking}`])), {
    message: /is also in the cold start's traces/,
  });
  const wrong = runConfig(base, at('wrong'), [...overrides, 'tasks.names=[demo/gcd]']);
  await t.throwsAsync(train(wrong), {
    message: /question \S+ belongs to task sum, which the config does not name/,
  });
});

test.serial(
  'online regrouping rates the pool with the current policy, once for each time it is due',
  async (t) => {
    const overrides = ['curriculum.regroup_every=2', 'curriculum.regroup_samples=2', 'curriculum.steps=1'];
    await runWith('online', overrides, []);
    await runWith('online-again', overrides, [1, 2, 3]);
    const files = (name: string) => readdirSync(join(at(name), 'curriculum'));
    t.deepEqual(files('online'), ['000006.jsonl', '000008.jsonl']);
    for (const file of files('online')) {
      const text = (name: string) => readFileSync(join(at(name), 'curriculum', file), 'utf8');
      t.is(text('online-again'), text('online'));
      t.is(loadRatings(join(at('online'), 'curriculum', file)).length, 12, '4 steps of 3 questions');
    }
    t.deepEqual(recordsOf(at('online-again')), recordsOf(at('online')));
    t.deepEqual(checkpointBytes(at('online-again'), '000010'), checkpointBytes(at('online'), '000010'));
  },
);

test.serial(
  'the command rates by four agents, goes on with an unfinished file, and its file trains',
  async (t) => {
    t.timeout(600_000, 'three processes on a busy machine');
    writeFileSync(at('run.yaml'), runYaml(base));
    const file = at('made.jsonl');
    const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env;
    const cli = (...args: string[]) =>
      spawnSync(
        'node',
        ['--import=tsx', join('lib', 'cli', 'main.ts'), 'curriculum', at('run.yaml'), 'sft.steps=0', ...args],
        { cwd: packageRoot, env, encoding: 'utf8' },
      );
    const out = ['--out', file, '--temperatures', '0.5,1'];
    const part = cli(...out, '--questions', '5');
    t.is(part.status, 0, part.stderr);
    t.regex(
      part.stdout,
      /5 training questions x 8: All Text, All Code, Code Agent, CodeSteer at temperatures 0.5, 1\n/,
    );
    t.regex(part.stdout, /\ngroup +questions +right +All Text +All Code +Code Agent +CodeSteer\n/);
    t.is(cli(...out).status, 2, 'the file is there');
    const first = readFileSync(file, 'utf8');
    const whole = cli(...out, '--resume');
    t.is(whole.status, 0, whole.stderr);
    t.true(readFileSync(file, 'utf8').startsWith(first));
    const made = loadRatings(file);
    t.is(made.length, 12);
    for (const { attempts, agents } of made) {
      t.is(attempts, 8);
      t.deepEqual(Object.keys(agents), ['text', 'code', 'agent', 'steer']);
    }
    await runWith('made', [`curriculum.file=${JSON.stringify(file)}`, 'sft.steps=0', 'rl.steps=1'], []);
    t.true(existsSync(join(at('made'), 'checkpoints', '000001')));
  },
);
