import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Recompute, recomputeLevels } from '../lib/model/engine.ts';
import { packageRoot } from '../lib/package.ts';
import { formatConfig, nearestName, parseConfig } from '../lib/run/yaml.ts';
import { passSize, promisedBytes } from '../lib/train/pass-size.ts';
import { namedTask, planQuestions, traceBatch } from '../lib/train/questions.ts';
import { learningRate } from '../lib/train/schedule.ts';
import { policyOptions } from '../lib/train/setup.ts';

const least = 'model: { path: m }\ntasks: { names: [gcd] }\n';

/** The message with which a config is refused. */
function refusal(t: ExecutionContext, text: string, overrides: readonly string[] = []): string {
  const error = t.throws(() => parseConfig(text, 'run.yaml', overrides), { code: 'ERR_CONFIG' });
  return error!.message;
}

test('a config needs a model; everything else has a default', (t) => {
  t.is(refusal(t, ''), 'run.yaml: model: required, but not given');
  t.is(refusal(t, 'model: {}\n'), 'run.yaml:1:8: model.path: required, but not given');
  const config = parseConfig(least, 'run.yaml');
  t.like(config, {
    seed: 0,
    format: 'r1ci',
    run: 'runs/train',
    sft: { steps: 0 },
    rl: { steps: 0, group: 6 },
  });
  t.throws(() => Object.assign(config.rl, { steps: 1 }), { instanceOf: TypeError }, 'it is frozen');
});

test('an unknown key is named with line, column and the nearest known key', (t) => {
  t.is(
    refusal(t, `${least}rl:\n  steps: 3\n  stesp: 4\n`),
    'run.yaml:5:3: rl.stesp: unknown key; did you mean rl.steps?',
  );
  t.is(refusal(t, `${least}rollouts: {}\n`), 'run.yaml:3:1: rollouts: unknown key; did you mean rollout?');
  t.regex(
    refusal(t, `${least}zzzzzzzz: 1\n`),
    /^run.yaml:3:1: zzzzzzzz: unknown key; known keys here: run, seed, /,
  );
  t.is(refusal(t, least, ['rl.stesp=4']), 'argument rl.stesp: rl.stesp: unknown key; did you mean rl.steps?');
  t.is(refusal(t, least, ['rl={stesp: 4}']), 'argument rl: rl.stesp: unknown key; did you mean rl.steps?');
});

test('a wrong value is named with line, column, what was expected and what was found', (t) => {
  const lines = refusal(
    t,
    'model: { path: 3 }\nrl:\n  steps: many\n  group: 0\n  temperature: 0\n  loss: ppo\nsft:\n  lr: -1\n  steps: 1.5\n',
  ).split('\n');
  t.deepEqual(lines.sort(), [
    'run.yaml:1:16: model.path: expected string, found 3',
    'run.yaml:3:10: rl.steps: expected number, found "many"',
    'run.yaml:4:10: rl.group: expected at least 1, found 0',
    'run.yaml:5:16: rl.temperature: expected more than 0, found 0',
    'run.yaml:6:9: rl.loss: expected one of ppo_clip, reinforce, gspo, gspo_token, sequence_ppo, cispo, found "ppo"',
    'run.yaml:8:7: sft.lr: expected more than 0, found -1',
    'run.yaml:9:10: sft.steps: expected int, found 1.5',
  ]);
  t.is(refusal(t, `${least}rl: 3\n`), 'run.yaml:3:5: rl: expected object, found 3');
  t.is(refusal(t, '- a\n- b\n'), 'run.yaml: expected keys and values, found a list');
  t.is(refusal(t, 'hello\n'), 'run.yaml: expected keys and values, found the value "hello"');
  t.regex(refusal(t, 'a: 1\na: 2\n'), /^run.yaml: .*Map keys must be unique.* line 2, column 1/);
  t.regex(refusal(t, 'model: [\n'), /^run.yaml: .*line 2, column 1/);
  for (const text of ['tool: { memory_mb: 10 }', 'tool: { output_mb: 100 }', 'tool: { seconds: 100000 }']) {
    t.regex(
      refusal(t, `${least}${text}\n`),
      /^run.yaml:3:\d+: tool\.\w+: expected at (least|most) \d+, found/,
    );
  }
  t.regex(refusal(t, `${least}optim: { beta1: 1 }\n`), /optim.beta1: expected less than 1, found 1/);
});

test('arguments override the file, with values in YAML', (t) => {
  const config = parseConfig(`${least}seed: 5\n`, 'run.yaml', [
    'seed=6',
    'rl.steps=20',
    'rl.lr=1e-4',
    'model.path=./a b=c',
    'tasks.names=[gcd, letters]',
    'instruction=""',
    'tasks.train=',
    'rl.unmask_tool=true',
    'seed=7',
  ]);
  t.like(config, { seed: 7, instruction: '', rl: { steps: 20, lr: 1e-4, unmask_tool: true } });
  t.is(config.model.path, './a b=c');
  t.deepEqual(config.tasks.names, ['gcd', 'letters']);
  t.is(config.tasks.train, null);
  t.is(parseConfig('', 'run.yaml', ['model.path=m', 'tasks.names=[gcd]']).model.path, 'm');
  for (const wrong of ['rl.steps', '=3', '.a=3', 'a..b=1']) {
    t.regex(refusal(t, least, [wrong]), /^argument .*: expected key=value, for example rl.steps=20$/);
  }
  t.is(refusal(t, `${least}seed: 1\n`, ['seed.deep=3']), 'argument seed.deep=3: seed is not a section');
  t.is(refusal(t, least, ['seed.deep=3']), 'argument seed.deep: seed: expected number, found {"deep":3}');
  t.regex(refusal(t, least, ['seed=[1']), /^argument seed=\[1: /);
});

test('each combination that cannot work is refused at the key to look at first', (t) => {
  const model = 'model: { path: m }\n';
  const cases: [text: string, overrides: string[], expected: RegExp][] = [
    [model, [], /^run.yaml: eval.questions: evaluation needs questions/],
    [model, ['eval.questions=0', 'rl.steps=1'], /^argument rl.steps: rl.steps: RL needs questions/],
    [`${model}sft:\n  steps: 2\n`, ['eval.questions=0'], /^run.yaml:3:10: sft.steps: SFT needs traces/],
    [
      least,
      ['rl.steps=1', 'model.cublaslt=all'],
      /model.cublaslt: RL needs log-probs that do not depend on how many rows/,
    ],
    [least, ['rl.kl_coef=0.1'], /rl.kl_coef: kl_coef without an estimator does nothing/],
    [least, ['rl.kl=k3'], /rl.kl: kl k3 with kl_coef 0 costs a reference pass/],
    [
      least,
      ['rl.prompts=2', 'rl.mini_batches=3'],
      /rl.mini_batches: 3 mini-batches need as many groups; rl.prompts is 2/,
    ],
    [
      least,
      ['rl.kl=k1', 'rl.kl_coef=0.1'],
      /rl.kl: k1 in the loss has a gradient that does not depend on the reference/,
    ],
    [least, ['rl.kl=k1+', 'rl.kl_in=reward', 'rl.kl_coef=0.1'], /rl.kl: k1\+ differs from its plain form/],
    [
      least,
      ['tool.url=http://localhost:8080', 'tool.python=python3'],
      /tool.python: programs run at tool.url, with the interpreter there/,
    ],
    [least, ['rl.gamma=0.9'], /rl.gamma: gamma discounts token by token, for reinforce\+\+/],
    [least, ['rl.overlong_length=10', 'rl.overlong_buffer=11'], /a buffer of 11 tokens is longer than/],
    [
      least,
      ['correction.form=decoupled', 'correction.reject=mask'],
      /correction.reject: rejection needs a bound/,
    ],
    [
      least,
      ['correction.form=bypass', 'correction.normalise=true'],
      /correction.normalise: weights are computed by/,
    ],
    [least, ['rl.advantage=reinforce++', 'rl.std=none'], /rl.std: reinforce\+\+ whitens over/],
    [least, ['rl.advantage=rloo'], /rl.std: RLOO does not divide by a standard deviation/],
    [least, ['rl.dual_clip=0.5'], /rl.dual_clip: dual_clip must be above 1/],
    [
      least,
      ['rl.dual_clip=3', 'rl.loss=gspo'],
      /rl.dual_clip: dual_clip belongs to ppo_clip; rl.loss is gspo/,
    ],
    [least, ['rl.clip_low=1'], /rl.clip_low: clip_low 1 puts the lower ratio bound at or below 0/],
    [least, ['rl.loss=cispo', 'rl.clip_low=2'], /rl.clip_low: expected at most 1 .*with cispo, found 2/],
    [least, ['sft.steps=3', 'sft.warmup=4'], /sft.warmup: warm-up of 4 steps is longer than the phase's 3/],
    [least, ['rl.steps=3', 'rl.warmup=4'], /rl.warmup: warm-up of 4 steps is longer than the phase's 3/],
    [
      least,
      ['rollout.total_tokens=512'],
      /rollout.first_turn_tokens: a first turn of 512 tokens does not fit/,
    ],
    [
      least,
      ['rollout.max_calls=5'],
      /rollout.max_turns: 5 calls and a last answer need 6 turns; max_turns is 5/,
    ],
    [least, ['eval.samples=2'], /eval.samples: greedy attempts are all the same/],
    [least, ['eval.questions=0', 'eval.every=3'], /eval.every: .*eval.questions is 0/],
    [least, ['eval.questions=0', 'eval.without_tool=true'], /eval.without_tool: .*eval.questions is 0/],
  ];
  for (const [text, overrides, expected] of cases) {
    const message = refusal(t, text, overrides);
    t.regex(message, expected);
    t.is(message.split('\n').length, 1, `${overrides}: one problem, one line`);
  }
  const sound = [
    ['rl.kl=k2', 'rl.kl_coef=0.1'],
    ['rl.advantage=rloo', 'rl.std=none'],
    ['rl.dual_clip=3'],
    ['rl.loss=cispo', 'rl.clip_low=1', 'rl.clip_high=0.28'],
    ['rl.loss=reinforce', 'rl.clip_low=1'],
    ['eval.samples=2', 'eval.temperature=1'],
  ];
  for (const overrides of sound) t.notThrows(() => parseConfig(least, 'run.yaml', overrides), `${overrides}`);
});

test('the resolved config reads back as itself, every key written out', (t) => {
  const configs = [
    parseConfig(least, 'run.yaml', ['instruction="#: [x]\\n<<<y>>> "', 'rl.lr=3e-7', 'run="on: off"']),
    ...['assets/demo.yaml', 'examples/smollm2-135m.yaml', 'examples/smollm2-synthesized.yaml'].map((file) =>
      parseConfig(readFileSync(join(packageRoot, file), 'utf8'), join(packageRoot, file)),
    ),
  ];
  for (const config of configs) {
    const text = formatConfig(config);
    t.deepEqual(parseConfig(text, 'resolved.yaml'), config);
    t.is(formatConfig(parseConfig(text, 'resolved.yaml')), text);
    t.true(text.includes('kl_coef:'));
  }
});

test('the nearest name is a likely slip or nothing', (t) => {
  t.is(nearestName('seeed', ['seed', 'rl']), 'seed');
  t.is(nearestName('batch_size', ['batch', 'lr']), 'batch');
  t.is(nearestName('qqqqqq', ['seed', 'rl']), null);
  t.throws(() => namedTask('gdc'), {
    instanceOf: RangeError,
    message: /unknown task "gdc"; did you mean gcd/,
  });
  t.is(namedTask('demo/gcd').name, 'gcd');
});

test("a run's questions follow from the seed, and traces, training and held-out questions are disjoint", async (t) => {
  const overrides = [
    'sft.steps=1',
    'rl.steps=5',
    'rl.prompts=6',
    'tasks.names=[demo/gcd, letters]',
    'sft.traces=40',
  ];
  const plan = await planQuestions(parseConfig(least, 'run.yaml', overrides));
  const again = await planQuestions(parseConfig(least, 'run.yaml', overrides));
  const other = await planQuestions(parseConfig(least, 'run.yaml', [...overrides, 'seed=1']));
  t.deepEqual([again.traces, again.pool, again.heldout], [plan.traces, plan.pool, plan.heldout]);
  t.notDeepEqual(other.pool, plan.pool);
  t.is(plan.traces.length, 40);
  t.is(plan.pool.length, 30);
  t.is(plan.heldout.length, 100);
  const ids = [...plan.traces.map(({ question }) => question), ...plan.pool, ...plan.heldout].map(
    ({ id }) => id,
  );
  t.is(new Set(ids).size, ids.length);
  t.deepEqual(
    [0, 6, 12, 18, 24].flatMap((position) => plan.training(position, 6)),
    plan.pool,
    'each training question is asked once',
  );
  t.deepEqual(plan.training(30, 6), plan.training(0, 6), 'then from the beginning');
  for (const position of [0, 24]) t.is(new Set(plan.training(position, 6).map(({ task }) => task)).size, 2);
});

test('SFT passes over all traces before it repeats one, each pass in its own order', (t) => {
  const order = (from: number) => [from, from + 1].flatMap((step) => traceBatch(6, 3, step, 1));
  for (const from of [0, 2]) t.deepEqual(order(from).sort(), [0, 1, 2, 3, 4, 5]);
  t.notDeepEqual(order(0), order(2));
  t.deepEqual(traceBatch(2, 5, 0, 1).length, 5, 'a batch may be larger than the set');
});

test('the learning rate warms up from above zero and decays to its last share', (t) => {
  const schedule = { peak: 1, warmupSteps: 2, decay: 'linear', finalRatio: 0.1 } as const;
  const curve = Array.from({ length: 6 }, (_, step) => learningRate(schedule, step, 6));
  t.deepEqual(
    curve.map((lr) => Number(lr.toFixed(4))),
    [0.5, 1, 1, 0.7, 0.4, 0.1],
  );
  t.is(learningRate({ ...schedule, decay: 'constant' }, 5, 6), 1);
  t.is(Number(learningRate({ ...schedule, decay: 'cosine' }, 5, 6).toFixed(4)), 0.1);
  t.is(learningRate({ ...schedule, warmupSteps: 0 }, 0, 1), 1, 'a single step has the peak rate');
});

test('micro-batches follow from the memory left, or are refused with the numbers', (t) => {
  const config = parseConfig(least, 'run.yaml');
  const memory = {
    weightBytes: 1e9,
    masterBytes: 2e9,
    momentBytes: 4e9,
    gradientBytes: 2e9,
    adapterBytes: 0,
    activationBytesPerToken: 1e6,
    activationBytesFixed: 0,
    kvBytesPerPage: 1e6,
    kvPageTokens: 32,
  };
  const sizeOf = (available: number, overrides: string[] = []) =>
    passSize(
      parseConfig(least, 'run.yaml', overrides),
      // Each level takes half of what the one before takes; two models train.
      (recompute) => [
        { ...memory, activationBytesPerToken: 8e5 / 2 ** recomputeLevels.indexOf(recompute) },
        { ...memory, activationBytesPerToken: 2e5 / 2 ** recomputeLevels.indexOf(recompute) },
      ],
      available - promisedBytes(memory, 500),
    );
  const none = ['optim.recompute=none'];
  const size = (microBatchTokens: number, recompute: Recompute) => ({ microBatchTokens, recompute });
  t.deepEqual(sizeOf(100e9), size(2048, 'none'));
  t.deepEqual(
    sizeOf(100e9, ['rollout.total_tokens=8000']),
    size(8000, 'none'),
    'at least one longest trajectory',
  );
  const little = 6.5e9 + 2 * 1.2e9;
  t.deepEqual(sizeOf(little, ['rollout.total_tokens=1000']), size(1200, 'none'), 'less when memory is short');
  t.deepEqual(sizeOf(little), size(2048, 'selective'), 'recomputation where one trajectory would not fit');
  t.deepEqual(sizeOf(little, ['rollout.total_tokens=3000']), size(3000, 'full'));
  t.deepEqual(sizeOf(little, ['optim.recompute=full', 'rollout.total_tokens=1000']), size(2048, 'full'));
  t.deepEqual(
    sizeOf(little, ['optim.micro_batch_tokens=1300']),
    size(1300, 'selective'),
    'what the config says',
  );
  t.deepEqual(sizeOf(0, ['optim.micro_batch_tokens=77']), size(77, 'full'), 'even where it does not fit');
  t.deepEqual(sizeOf(0, ['optim.micro_batch_tokens=77', ...none]), size(77, 'none'));
  t.throws(() => sizeOf(little, none), {
    code: 'ERR_OUT_OF_MEMORY',
    message:
      /one trajectory of 2048 tokens needs 1953 MB of activations, half of the memory left is 1144 MB; .*optim.recompute=full/,
  });
  t.throws(() => sizeOf(0), {
    code: 'ERR_OUT_OF_MEMORY',
    message:
      /needs 488 MB of activations with optim.recompute full, half of the memory left is 0 MB; (?!.*recompute=full)/,
  });
  t.deepEqual(policyOptions(config, 5, 1e-3).reduction, 'token_mean');
  const constant = parseConfig(least, 'run.yaml', ['rl.reduction=constant', 'rollout.total_tokens=999']);
  t.deepEqual(policyOptions(constant, 5, 1e-3).reduction, { constant: 999 });
});
