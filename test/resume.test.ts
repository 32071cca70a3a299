import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { loadModel } from '../lib/model/model.ts';
import { openModel } from '../lib/model/open.ts';
import { readLines } from '../lib/run/directory.ts';
import type { Reward } from '../lib/tasks/reward.ts';
import type { TrainEvent } from '../lib/train/loop.ts';
import { type TrainOptions, type TrainResult, train } from '../lib/train/train.ts';
import { checkpointBytes, folderWithBase, lengthReward, recordsOf, runConfig } from './support/runs.ts';

const { base, at } = await folderWithBase();

/** Trains with the length reward and real Python. */
function run(
  name: string,
  options: TrainOptions = {},
  overrides: readonly string[] = [],
): Promise<TrainResult> {
  return train(runConfig(base, at(name), overrides), { reward: lengthReward, ...options });
}

/** Trains until `stop` says so of an event, then aborts. */
async function interrupted(
  name: string,
  mode: 'new' | 'resume',
  stop: (event: TrainEvent) => boolean,
): Promise<TrainResult> {
  const controller = new AbortController();
  const result = await run(name, {
    mode,
    signal: controller.signal,
    onEvent: (event) => {
      if (stop(event)) controller.abort(new Error('stop'));
    },
  });
  return result;
}

const whole = run('whole');
const step = (event: TrainEvent, phase: 'sft' | 'rl', phaseStep: number) =>
  event.kind === phase && event.at.phaseStep === phaseStep;

test('a run that is interrupted again and again ends as the same run, bit for bit', async (t) => {
  const expected = await whole;
  t.false(expected.interrupted);
  const stops: [name: string, step: number | null, stop: (event: TrainEvent) => boolean][] = [
    ['before the first step', null, (event) => event.kind === 'rollout'],
    ['in SFT', 2, (event) => step(event, 'sft', 2)],
    ['at the end of SFT', 6, (event) => step(event, 'sft', 6)],
    ['in the evaluation after SFT', 6, (event) => event.kind === 'rollout'],
    ['in the first rollout', 6, (event) => event.kind === 'rollout' && event.total === 12],
    ['in RL', 7, (event) => step(event, 'rl', 1)],
    ['in the evaluation between RL steps', 8, (event) => event.kind === 'rollout' && event.total === 4],
    ['in the last rollout', 9, (event) => event.kind === 'rollout' && event.total === 12 && lastStep()],
    ['in the last evaluation', 10, (event) => event.kind === 'rollout' && event.total === 4],
  ];
  const run2 = at('interrupted');
  const lastStep = () => readLines(join(run2, 'metrics.jsonl')).some((line) => line.step === 9);
  for (const [index, [name, done, stop]] of stops.entries()) {
    const result = await interrupted('interrupted', index === 0 ? 'new' : 'resume', stop);
    t.true(result.interrupted, name);
    const expectedFolder = done === null ? null : join(run2, 'checkpoints', String(done).padStart(6, '0'));
    t.is(result.checkpoint, expectedFolder, name);
  }
  const result = await run('interrupted', { mode: 'resume' });
  t.false(result.interrupted);
  t.deepEqual(checkpointBytes(run2, '000006'), checkpointBytes(at('whole'), '000006'));
  t.deepEqual(checkpointBytes(run2, '000010'), checkpointBytes(at('whole'), '000010'));
  t.deepEqual(recordsOf(run2), recordsOf(at('whole')));
  t.deepEqual(
    result.evaluations.map(({ name }) => name),
    ['before', 'after SFT', 'RL step 2', 'after RL', 'after RL, no tool'],
  );
  t.deepEqual(result.evaluations, expected.evaluations);
  t.is(readdirSync(join(run2, 'logs')).length, stops.length + 1);

  const again = await run('interrupted', { mode: 'resume' });
  t.deepEqual(again.evaluations, expected.evaluations, 'a finished run has nothing left to do');
  t.deepEqual(recordsOf(run2), recordsOf(at('whole')));
});

test('the runs compared are worth comparing', async (t) => {
  await whole;
  const metrics = readLines(join(at('whole'), 'metrics.jsonl'));
  const rl = metrics.filter(({ kind }) => kind === 'rl');
  const sum = (key: string) => rl.reduce((total, line) => total + Number(line[key]), 0);
  t.log(
    `${sum('calls_per_trajectory').toFixed(2)} calls, ${sum('updates')} updates, kl ${sum('kl').toFixed(4)}`,
  );
  t.true(sum('calls_per_trajectory') > 0.5, 'Python was called');
  t.is(sum('updates'), 8);
  t.true(sum('kl') > 0);
  t.is(sum('logprob_gap'), 0);
  t.deepEqual(
    metrics.map(({ kind, step }) => `${kind} ${step}`),
    [
      'evaluation 0',
      ...[1, 2, 3, 4, 5, 6].map((n) => `sft ${n}`),
      'evaluation 6',
      'rl 7',
      'rl 8',
      'evaluation 8',
      'rl 9',
      'rl 10',
      'evaluation 10',
      'evaluation 10',
    ],
  );
  const [first] = readLines(join(at('whole'), 'rollouts', '000007.jsonl'));
  for (const key of [
    'question',
    'end',
    'answer',
    'segments',
    'calls',
    'ledger',
    'correct',
    'reward',
    'advantage',
  ]) {
    t.true(key in first!, key);
  }
});

test('the KL term refers to the weights that RL began with, also after a resume', async (t) => {
  const quiet = [
    'rl.steps=1',
    'rl.mini_batches=1',
    'eval.questions=0',
    'eval.every=0',
    'eval.without_tool=false',
  ];
  const klOf = (name: string) =>
    readLines(join(at(name), 'metrics.jsonl')).flatMap(({ kind, kl }) => (kind === 'rl' ? [kl] : []));
  await run('reference', {}, quiet);
  t.deepEqual(klOf('reference'), [0], 'the end of the cold start');
  rmSync(join(at('reference'), 'checkpoints', '000007'), { recursive: true });
  await run('reference', { mode: 'resume' }, quiet);
  t.deepEqual(klOf('reference'), [0]);
  await run('reference', { mode: 'clean' }, [...quiet, 'sft.steps=0', 'sft.warmup=0', 'rl.steps=2']);
  const [first, second] = klOf('reference');
  t.is(first, 0, 'the base model when there is no cold start');
  t.true(Number(second) > 0);
});

test('a checkpoint is a whole folder in Hugging Face layout from which a model loads', async (t) => {
  const { checkpoint } = await whole;
  t.deepEqual(readdirSync(checkpoint!).sort(), [
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'optimizer',
    'state.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  t.deepEqual(readdirSync(join(at('whole'), 'checkpoints')), ['000006', '000010'], 'nothing half-written');
  t.like(JSON.parse(readFileSync(join(checkpoint!, 'state.json'), 'utf8')), {
    phase: 'rl',
    phaseStep: 4,
    step: 10,
  });
  const { model, tokenizer } = await openModel(checkpoint!);
  using original = await loadModel(base);
  t.is(model.parameterCount, original.parameterCount);
  t.deepEqual(tokenizer.eosIds, (await openModel(base)).tokenizer.eosIds);
  t.notDeepEqual(await model.parameter('model.norm.weight'), await original.parameter('model.norm.weight'));
  model.dispose();
});

test('a run killed at any moment goes on from its last whole checkpoint, the same', async (t) => {
  await whole;
  const killed = at('killed');
  cpSync(at('whole'), killed, { recursive: true });
  // As if it had died while writing the last checkpoint: records beyond the one before, a torn line, a folder of pieces.
  rmSync(join(killed, 'checkpoints', '000010'), { recursive: true });
  mkdirSync(join(killed, 'checkpoints', '000010.tmp-123'));
  writeFileSync(join(killed, 'checkpoints', '000010.tmp-123', 'config.json'), '{');
  appendFileSync(join(killed, 'metrics.jsonl'), '{"kind":"rl","step":');
  writeFileSync(join(killed, 'rollouts', '000077.jsonl'), '{}\n');
  const steps: number[] = [];
  await run('killed', {
    mode: 'resume',
    onEvent: (event) => {
      if (event.kind === 'rl') steps.push(event.at.step);
    },
  });
  t.deepEqual(steps, [7, 8, 9, 10]);
  t.deepEqual(checkpointBytes(killed, '000010'), checkpointBytes(at('whole'), '000010'));
  t.deepEqual(recordsOf(killed), recordsOf(at('whole')));
  t.deepEqual(readdirSync(join(killed, 'checkpoints')), ['000006', '000010']);
});

test('old checkpoints are pruned, but never the end of the cold start', async (t) => {
  await run('pruned', {}, [
    'checkpoint.every=1',
    'checkpoint.keep_last=2',
    'eval.questions=0',
    'eval.every=0',
    'eval.without_tool=false',
  ]);
  t.deepEqual(readdirSync(join(at('pruned'), 'checkpoints')), ['000006', '000009', '000010']);
  await whole;
  t.deepEqual(
    checkpointBytes(at('pruned'), '000010'),
    checkpointBytes(at('whole'), '000010'),
    'neither evaluations nor checkpoints change a bit',
  );
});

test('a directory is never shared between runs, and nothing else is ever removed', async (t) => {
  await whole;
  const refused = async (options: TrainOptions, name: string, code: string, message: RegExp) => {
    await t.throwsAsync(run(name, options), { code, message });
  };
  await refused({}, 'whole', 'ERR_RUN_EXISTS', /already holds a run; add --resume .*--clean .*run=/);
  await refused({ mode: 'resume' }, 'absent', 'ERR_RUN_MISSING', /holds no run to resume/);
  t.false(existsSync(at('absent')));
  mkdirSync(at('papers'));
  writeFileSync(join(at('papers'), 'thesis.txt'), 'precious');
  for (const mode of ['new', 'clean'] as const) {
    await refused({ mode }, 'papers', 'ERR_RUN_EXISTS', /is not empty and not a run/);
  }
  t.deepEqual(readdirSync(at('papers')), ['thesis.txt']);

  await run('cleaned', {}, ['rl.steps=0', 'eval.questions=0', 'eval.every=0', 'eval.without_tool=false']);
  writeFileSync(join(at('cleaned'), 'notes.txt'), 'mine');
  await run('cleaned', { mode: 'clean' }, [
    'sft.steps=2',
    'rl.steps=0',
    'eval.questions=0',
    'eval.every=0',
    'eval.without_tool=false',
  ]);
  t.deepEqual(readdirSync(join(at('cleaned'), 'checkpoints')), ['000002']);
  t.is(readLines(join(at('cleaned'), 'metrics.jsonl')).length, 2);
  t.is(readFileSync(join(at('cleaned'), 'notes.txt'), 'utf8'), 'mine');
});

test('what cannot start leaves no run directory behind', async (t) => {
  for (const [override, message] of [
    ['model.path=/nowhere', /\/nowhere/],
    ['tasks.names=[demo/summ]', /unknown task "demo\/summ"; did you mean demo\/sum/],
    ['rollout.total_tokens=1024', /total_tokens is 1024, but this model takes at most 512/],
  ] as const) {
    await t.throwsAsync(run('failed', {}, [override]), { message });
    t.false(existsSync(at('failed')), override);
  }
  const nothing = ['sft.steps=0', 'rl.steps=0', 'sft.warmup=0'];
  await t.throwsAsync(run('failed', {}, nothing), { code: 'ERR_CONFIG', message: /nothing to train/ });
  const long = ['rollout.total_tokens=70', 'rollout.first_turn_tokens=20'];
  await t.throwsAsync(run('short', {}, long), {
    code: 'ERR_TOO_LONG',
    message: /^the trace of question \S+ has \d+ tokens, rollout.total_tokens is 70/,
  });
});

test('a question that leaves no room for an answer stops a run before its first step', async (t) => {
  const file = at('long.jsonl');
  const rows = [20, 300].map((words) => ({ question: 'word '.repeat(words), answer: '1' }));
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  for (const key of ['tasks.train', 'tasks.heldout']) {
    const events: string[] = [];
    await t.throwsAsync(
      run(key, { onEvent: ({ kind }) => events.push(kind) }, [
        `${key}=${file}`,
        'rl.prompts=2',
        'rollout.total_tokens=250',
      ]),
      {
        code: 'ERR_TOO_LONG',
        message: /^the prompt of question \S+ has \d+ tokens, rollout.total_tokens is 250: /,
      },
    );
    t.deepEqual(events, []);
    t.false(existsSync(at(key)));
  }
});

test('a run goes on with the same config only; what changes no result may change', async (t) => {
  await whole;
  cpSync(at('whole'), at('same'), { recursive: true });
  await t.throwsAsync(run('same', { mode: 'resume' }, ['seed=4', 'rl.lr=0.5', 'rl.steps=5']), {
    code: 'ERR_CONFIG',
    message:
      /another config[\s\S]*\n {2}seed: 3 before, 4 now\n {2}rl.lr: 0.001 before, 0.5 now\n[\s\S]*run=<other path>/,
  });
  const warnings: string[] = [];
  const longer = await run(
    'same',
    {
      mode: 'resume',
      onEvent: (event) => {
        if (event.kind === 'warning') warnings.push(event.message);
      },
    },
    ['rl.steps=5', 'model.threads=1'],
  );
  t.deepEqual(warnings, ['model.threads: 2 before, 1 now', 'rl.steps: 4 before, 5 now']);
  t.regex(longer.checkpoint!, /000011$/);
  t.is(longer.evaluations.at(-2)!.step, 11, 'the longer run has its own last evaluation');
});

test('a failing reward stops the run, keeps the steps done, and the run goes on when it is mended', async (t) => {
  await whole;
  let scored = 0;
  const failing: Reward = (trajectory) => {
    if (++scored > 30) throw new Error('boom');
    return lengthReward(trajectory);
  };
  await t.throwsAsync(run('mended', { reward: failing }), {
    code: 'ERR_REWARD',
    message: /^scoring sample 2 of question \S+: boom$/,
  });
  t.regex(readFileSync(join(at('mended'), 'logs', 'attempt-1.log'), 'utf8'), /failed: .*ERR_REWARD|boom/);
  t.deepEqual(readdirSync(join(at('mended'), 'checkpoints')), ['000006', '000008']);
  await run('mended', { mode: 'resume' });
  t.deepEqual(checkpointBytes(at('mended'), '000010'), checkpointBytes(at('whole'), '000010'));
  t.deepEqual(recordsOf(at('mended')), recordsOf(at('whole')));
});
