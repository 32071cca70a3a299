import test from 'ava';
import { Ledger, Origin } from '../lib/rollout/ledger.ts';
import { rollout } from '../lib/rollout/rollout.ts';
import type { Trajectory } from '../lib/rollout/trajectory.ts';
import type { Reward } from '../lib/tasks/reward.ts';
import type { Task } from '../lib/tasks/task.ts';
import { formats } from '../lib/text/formats/index.ts';
import { cutRows, lossMask, lossWeights } from '../lib/train/batch.ts';
import { policyStep } from '../lib/train/policy-step.ts';
import { scoreRollouts } from '../lib/train/score.ts';
import { sftStep, traceLedger } from '../lib/train/sft.ts';
import { traceFormats } from '../lib/train/traces.ts';
import { bits } from './support/batches.ts';
import { findingFormat, openTiny, promptsOf, rolloutOptions, wideLimits } from './support/rollouts.ts';
import {
  adamw,
  grpo,
  ppo,
  proportional,
  sampleGroups,
  scoredBy,
  spread,
  tracesOf,
  trainable,
  weightsOf,
} from './support/training.ts';

const tiny = await openTiny();
const { tokenizer } = tiny;

test('SFT learns a few multi-turn traces by heart', async (t) => {
  using model = await trainable();
  const ledgers = tracesOf(tokenizer, 4);
  const policy = ledgers.reduce(
    (sum, { origins }) => sum + origins.filter((origin) => origin === Origin.policy).length,
    0,
  );
  const losses: number[] = [];
  for (let step = 0; step < 150; step++) {
    const report = await sftStep(model, ledgers, {
      adamw,
      reduction: 'token_mean',
      microBatchTokens: 4096,
    });
    losses.push(report.loss);
    if (step === 0) t.is(report.tokensInLoss, policy, 'tool output and prompt are not in the loss');
  }
  t.log(`loss ${losses[0]!.toFixed(2)} -> ${losses.at(-1)!.toFixed(4)} on ${policy} tokens`);
  t.true(losses[0]! > 4);
  t.true(losses.at(-1)! < 0.1);
});

test('a trace is encoded as the model would have sampled it', (t) => {
  const question = { id: 'q', task: 'sum', prompt: '', answer: '42' };
  const turns = [
    { text: traceFormats.hermes.call('print(42)'), toolOutput: '42\n' },
    { text: '\\boxed{42}' },
  ];
  const ledger = traceLedger(
    Int32Array.of(1, 2),
    { question, turns, style: 'code' },
    tokenizer,
    formats.hermes,
  );
  const texts = ledger.policyTurns(tokenizer);
  t.deepEqual(texts, [`${turns[0]!.text}<|im_end|>`, '\\boxed{42}<|im_end|>']);
  const [call] = [tokenizer.addedTokens.get('<tool_call>')!.id];
  t.is(ledger.ids[2], call, 'the marker is the token that the model writes');
  t.true(ledger.origins.includes(Origin.tool) && ledger.origins.includes(Origin.template));

  const fenced = traceLedger(
    Int32Array.of(1, 2),
    {
      question,
      turns: [{ text: '```python\n1\n```', toolOutput: '1\n' }, { text: '<<<1>>>' }],
      style: 'code',
    },
    tokenizer,
    formats.r1ci,
  );
  t.deepEqual(
    fenced.policyTurns(tokenizer),
    ['```python\n1\n```', '<<<1>>><|im_end|>'],
    'the fence itself ends a calling turn',
  );
});

test('micro-batches do not change a bit of weights or gradients, in SFT and in GRPO', async (t) => {
  const ledgers = tracesOf(tokenizer, 6);
  const scored = scoredBy(await sampleGroups(tiny), spread);
  const results: Uint32Array[][] = [];
  for (const microBatchTokens of [100_000, 150, 1]) {
    using model = await trainable();
    for (let i = 0; i < 2; i++) {
      await sftStep(model, ledgers, { adamw: proportional, reduction: 'sequence_mean', microBatchTokens });
    }
    using policy = await trainable();
    const options = { ...grpo, epochs: 2, miniBatches: 3, microBatchTokens };
    const report = await policyStep(policy, scored, 4, options);
    t.is(report.updates, 6);
    results.push([...(await weightsOf(model)), ...(await weightsOf(policy))]);
  }
  t.deepEqual(results[1], results[0]);
  t.deepEqual(results[2], results[0]);
  using untouched = await trainable();
  t.notDeepEqual(results[0]!.slice(0, untouched.parameterNames.length), await weightsOf(untouched));
});

test('tool tokens take no part in the loss unless they are unmasked', async (t) => {
  /** Prompt, six policy tokens, then tool output that nothing follows. */
  const withOutput = (output: string): Ledger => {
    const ledger = new Ledger();
    ledger.appendPrompt(tokenizer.encode('What is 2 + 2?'));
    for (const id of tokenizer.encode('print')) ledger.appendPolicy(id, 0, 0, 0);
    ledger.appendTool(tokenizer.encode(output), 0, 0);
    return ledger;
  };
  const gradients = async (ledger: Ledger, unmask: boolean) => {
    using model = await trainable();
    const mask = lossMask(ledger, unmask);
    const [weight] = lossWeights([mask], { constant: 8 });
    const tokens = Int32Array.from(ledger.ids);
    const seqStarts = Int32Array.of(0, tokens.length);
    await model.accumulate(
      { tokens, seqStarts, temperature: 1, weight: weight! },
      {
        ...ppo,
        kind: 'cross_entropy',
      },
    );
    return Promise.all(model.parameterNames.map(async (name) => bits(await model.gradient(name))));
  };
  const one = withOutput('4\n');
  const other = withOutput('7\n');
  t.deepEqual(await gradients(one, false), await gradients(other, false));
  t.notDeepEqual(await gradients(one, true), await gradients(other, true));
});

test('a reward or verifier that throws, or gives no finite number, names the trajectory', async (t) => {
  const trajectories = await sampleGroups(tiny, 1, 2);
  const task: Task = {
    name: 'test',
    description: '',
    question: () => t.fail() as never,
    verify: () => ({ correct: true, reason: '' }),
  };
  const tasks = new Map([['test', task]]);
  const score = (reward: Reward, verify: Task['verify'] = task.verify) =>
    scoreRollouts(trajectories, new Map([['test', { ...task, verify }]]), reward);
  const boom: Reward = () => {
    throw new Error('boom');
  };
  const fails = (work: () => unknown, message: RegExp) => t.throws(work, { code: 'ERR_REWARD', message });
  fails(() => score(boom), /sample 0 of question q-0: boom/);
  fails(
    () => score(() => ({ total: Number.NaN, parts: {} })),
    /sample 0 of question q-0: .*total, found NaN/,
  );
  fails(() => score(() => ({ total: 1, parts: { a: Infinity } })), /finite number for a, found Infinity/);
  fails(() => score(() => 1 as never), /expected \{ total, parts \}, found 1/);
  fails(
    () =>
      score(
        () => ({ total: 0, parts: {} }),
        () => {
          throw new Error('bad verifier');
        },
      ),
    /sample 0 of question q-0: bad verifier/,
  );
  fails(() => scoreRollouts(trajectories, new Map(), boom), /belongs to task test, which was not given/);

  const seen: unknown[] = [];
  const scored = scoreRollouts(
    [trajectories[0]!, { ...trajectories[1]!, end: 'infrastructure' }],
    tasks,
    (given) => {
      seen.push(given);
      return { total: given.calls.length, parts: { calls: given.calls.length } };
    },
  );
  t.is(seen.length, 1, 'a lost trajectory is not scored');
  t.like(seen[0], { correct: true, turns: trajectories[0]!.turns, calls: trajectories[0]!.calls });
  t.is(scored[0]!.reward, trajectories[0]!.calls.length);
  t.like(scored[1]!, { reward: 0, correct: false, parts: {} });
});

test('GRPO teaches a tiny model to write a letter in seconds', async (t) => {
  using model = await trainable();
  using cache = model.openKvCache(200);
  const prompts = promptsOf(tokenizer, 2, 16);
  const letters = ({ text }: Trajectory) => (text.split('e').length - 1) / 8;
  const curve: number[] = [];
  const started = performance.now();
  for (let step = 0; step < 28; step++) {
    const { trajectories } = await rollout(
      prompts,
      rolloutOptions(
        { model, tokenizer },
        {
          tool: null,
          cache,
          step,
          format: findingFormat(() => null),
          limits: { ...wideLimits, turnTokens: [8, 8] },
        },
      ),
    );
    const rewards = trajectories.map(letters);
    curve.push(rewards.reduce((a, b) => a + b) / rewards.length);
    const report = await policyStep(
      model,
      scoredBy(trajectories, (i) => rewards[i]!),
      16,
      { ...grpo, adamw },
    );
    t.is(report.logprobGap, 0);
  }
  const seconds = (performance.now() - started) / 1000;
  const [first, last] = [curve[0]!, curve.at(-1)!];
  t.log(`letters e per token: ${first.toFixed(2)} -> ${last.toFixed(2)} in ${seconds.toFixed(1)} s`);
  t.true(first < 0.2 && last > 0.7);
});

test('every reduction is a choice of weights fixed over the mini-batch', (t) => {
  const masks = [
    [0, 1, 1, 1],
    [0, 0, 1],
    [0, 0],
  ].map((mask) => Uint8Array.from(mask));
  const sums = (reduction: Parameters<typeof lossWeights>[1]) =>
    lossWeights(masks, reduction).map((weights) => Number(weights.reduce((a, b) => a + b, 0).toFixed(6)));
  t.deepEqual(sums('token_mean'), [0.75, 0.25, 0]);
  t.deepEqual(sums('sequence_mean'), [0.5, 0.5, 0]);
  t.deepEqual(sums('sequence_sum'), [1.5, 0.5, 0]);
  t.deepEqual(sums({ constant: 10 }), [0.15, 0.05, 0]);
  t.deepEqual(lossWeights([new Uint8Array(3)], 'token_mean'), [new Float32Array(3)], 'nothing in the loss');
});

test('rows are cut into packs in order, a long row being a pack of its own', (t) => {
  t.deepEqual(cutRows([3, 3, 3, 9, 1, 1], 6), [[0, 1], [2], [3], [4, 5]]);
  t.deepEqual(cutRows([5, 5], 1), [[0], [1]]);
  t.deepEqual(cutRows([], 10), []);
});

test.after.always(() => tiny.model.dispose());
