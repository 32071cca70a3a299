/** Asynchronous rollouts: the next batch is sampled while the trainer works, and nothing of it depends on time. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Model } from '../lib/model/model.ts';
import { Ledger } from '../lib/rollout/ledger.ts';
import { oldestVersion } from '../lib/rollout/parked.ts';
import { readLines } from '../lib/run/directory.ts';
import { replay } from '../lib/run/replay.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import type { Reward } from '../lib/tasks/reward.ts';
import type { Tool } from '../lib/tools/tool.ts';
import type { TrainEvent } from '../lib/train/loop.ts';
import { setupPlan } from '../lib/train/memory.ts';
import type { Setup } from '../lib/train/setup.ts';
import { type TrainOptions, type TrainResult, train } from '../lib/train/train.ts';
import { type ScriptedTool, scriptedTool } from './support/rollouts.ts';
import {
  checkpointBytes,
  folderWithBase,
  lengthReward,
  recordsOf,
  runConfig,
  withoutTimes,
} from './support/runs.ts';

const { base, at } = await folderWithBase();

const quiet = ['sft.steps=0', 'sft.warmup=0', 'eval.questions=0', 'eval.every=0', 'eval.without_tool=false'];
const fresh = [...quiet, 'rollout.ahead=true', 'rl.steps=4'];
const partial = [...fresh, 'seed=4', 'rollout.step_tokens=80', 'rl.steps=5', 'rl.prompts=6', 'rl.group=2'];
const name6 = (step: number) => String(step).padStart(6, '0');

/** A tool whose answer is a function of the program alone. */
const lengthTool = (delay?: (serial: number) => number): ScriptedTool =>
  scriptedTool(({ code }) => `${code.length}\n`, delay);

function run(
  name: string,
  options: TrainOptions = {},
  overrides: readonly string[] = fresh,
): Promise<TrainResult> {
  return train(runConfig(base, at(name), overrides), {
    reward: lengthReward,
    tool: lengthTool(),
    ...options,
  });
}
const rlLines = (name: string) =>
  readLines(join(at(name), 'metrics.jsonl')).filter(({ kind }) => kind === 'rl');
const rolloutsOf = (name: string, step: number) =>
  readLines(join(at(name), 'rollouts', `${name6(step)}.jsonl`));
const versionsOf = (name: string, step: number) =>
  rolloutsOf(name, step).flatMap(({ ledger }) => [
    ...new Set(Array.from(Ledger.fromJSON(ledger as never).versions).filter((v) => v >= 0)),
  ]);
const waitingIn = (name: string, step: number, file = 'ahead.jsonl') =>
  readLines(join(at(name), 'checkpoints', name6(step), file));
/** The step (from 0) of the rollout that a call belongs to: its id is question/step/prompt/sample/call. */
const stepOf = (callId: string) => Number(callId.split('/').at(-4));
const afterStep = (event: TrainEvent, step: number) => event.kind === 'rl' && event.at.phaseStep === step;

/** Replaces a method of one model of a run, `before` being awaited before each call. */
function delayed(model: Model, method: 'update' | 'score', before: (call: number) => Promise<void> | void) {
  const original = model[method].bind(model) as (...args: unknown[]) => Promise<unknown>;
  let calls = 0;
  Object.assign(model, {
    [method]: async (...args: unknown[]) => {
      await before(calls++);
      return original(...args);
    },
  });
}

const whole = run('whole');
const wholePartial = run('whole-partial', {}, partial);

test('every batch but the first is written by the weights before the last update batch, and each is checked', async (t) => {
  await whole;
  const lines = rlLines('whole');
  t.log(`waited ${lines.map((line) => Number(line.ahead_wait_seconds).toFixed(3)).join(', ')} s`);
  t.is(lines.length, 4);
  let [before, now] = [0, 0];
  for (const [index, line] of lines.entries()) {
    const versions = new Set(versionsOf('whole', index + 1));
    t.deepEqual([...versions], [before], `step ${index + 1}`);
    t.is(line.logprob_gap, 0);
    t.is(line.staleness, now - before);
    t.is(Number(line.stale_tokens) > 0, now > before);
    before = now;
    now += Number(line.updates);
  }
  t.is(now, 8, 'every step updated, so the versions differ');
  const calls = lines.reduce((sum, line) => sum + Number(line.calls_per_trajectory), 0);
  t.true(calls > 0.5, 'the tool was called');
});

test('neither the delays of the tool nor threads, cache and checkpoints change a bit', async (t) => {
  await whole;
  const jitter = (serial: number) => (serial * 7) % 23;
  for (const [name, tool, overrides] of [
    ['slow', lengthTool(jitter), []],
    ['slower', lengthTool((n) => 40 - jitter(n)), ['model.threads=1']],
    ['small', lengthTool(jitter), ['rollout.kv_memory_mb=1', 'tool.workers=1']],
    ['saved', lengthTool(), ['checkpoint.every=1', 'checkpoint.keep_last=9']],
  ] as const) {
    await run(name, { tool }, [...fresh, ...overrides]);
    t.deepEqual(checkpointBytes(at(name), '000004'), checkpointBytes(at('whole'), '000004'), name);
    t.deepEqual(recordsOf(at(name)), recordsOf(at('whole')), name);
  }
  // Evaluations run on the policy while the sampler is at work.
  await run('evaluated', {}, [...fresh, 'eval.questions=4', 'eval.every=1']);
  t.deepEqual(checkpointBytes(at('evaluated'), '000004'), checkpointBytes(at('whole'), '000004'));
  const names = readLines(join(at('evaluated'), 'metrics.jsonl')).flatMap(({ name }) => name ?? []);
  t.deepEqual(names, ['before', 'RL step 1', 'RL step 2', 'RL step 3', 'after RL']);
  t.deepEqual(waitingIn('saved', 4), [{ step: null }], 'the last step has no batch after it');
  t.is(waitingIn('saved', 2)[0]!.step, 2);

  await wholePartial;
  await run('partial-slow', { tool: lengthTool(jitter) }, [...partial, 'checkpoint.every=1']);
  t.deepEqual(checkpointBytes(at('partial-slow'), '000005'), checkpointBytes(at('whole-partial'), '000005'));
  t.deepEqual(recordsOf(at('partial-slow')), recordsOf(at('whole-partial')));
  t.true(rlLines('whole-partial').some(({ parked }) => Number(parked) > 0));
});

test('the trainer works while the calls of the next batch run, and after them without waiting for their answers', async (t) => {
  t.timeout(120_000, 'the step waits for calls that wait for the step: they do not overlap');
  await whole;
  let done = () => {};
  const stepDone = new Promise<void>((resolve) => {
    done = resolve;
  });
  const order: string[] = [];
  const script = lengthTool();
  const tool: Tool = {
    ...script,
    // The calls of the second batch are answered only when the first step is done.
    run: async (request, signal) => {
      if (stepOf(request.callId) !== 1) return script.run(request, signal);
      order.push('call');
      await stepDone;
      order.push('answer');
      return script.run(request, signal);
    },
  };
  await run('overlap', {
    tool,
    onStart: ({ model }) =>
      delayed(model, 'update', (call) => {
        // The two updates of the first step.
        if (call < 2) order.push('update');
      }),
    onEvent: (event) => {
      if (!afterStep(event, 1)) return;
      order.push('step');
      done();
    },
  });
  t.log(order.join(', '));
  // Sampling goes first, so every trajectory has made its first call, or has ended, before the trainer begins.
  const calls = order.indexOf('update');
  t.true(calls > 0);
  t.deepEqual(order.slice(0, calls + 3), [...Array(calls).fill('call'), 'update', 'update', 'step']);
  t.is(order[calls + 3], 'answer');
  t.deepEqual(checkpointBytes(at('overlap'), '000004'), checkpointBytes(at('whole'), '000004'));
});

test('one flipped bit of the sampler is seen before its weights are replaced, and the steps done are kept', async (t) => {
  let setup: Setup | null = null;
  let values: Promise<Float32Array> | null = null;
  let flipped: Promise<void> = Promise.resolve();
  const name = 'model.layers.0.self_attn.v_proj.weight';
  let scored = 0;
  // When the second batch is scored its rollout is over, and its gap is not yet checked.
  const reward: Reward = (outcome) => {
    if (++scored === 24) {
      flipped = flip();
    }
    return lengthReward(outcome);
  };
  const flip = async () => {
    const { model } = setup!.sampler!;
    const changed = (await values!).slice();
    const word = new Uint32Array(changed.buffer);
    // The lowest bit of a bfloat16.
    word[0]! ^= 1 << 16;
    await model.setParameter(name, changed);
  };
  await t.throwsAsync(
    run('flipped', {
      reward,
      onStart: (opened) => {
        setup = opened;
        values = opened.sampler!.model.parameter(name);
      },
      onEvent: () => {},
    }),
    {
      code: 'ERR_LOGPROB_GAP',
      message: /expected the log-prob recomputed .* to equal the sampled one to the bit/,
    },
  );
  await flipped;
  t.deepEqual(waitingIn('flipped', 1), [{ step: null }], 'the batch is not kept');
  t.regex(
    readFileSync(join(at('flipped'), 'logs', 'attempt-1.log'), 'utf8'),
    /RL step 2 has no batch, because .*; log-prob gap /,
  );
  await run('flipped', { mode: 'resume' });
  t.deepEqual([...new Set(versionsOf('flipped', 2))], [2], 'sampled with the weights of the checkpoint');
});

for (const [kind, overrides, expected, last] of [
  ['whole batches', fresh, whole, 4],
  ['partial rollouts', partial, wholePartial, 5],
] as const) {
  const [reference, name] = last === 4 ? ['whole', 'again'] : ['whole-partial', 'again-partial'];
  test(`a run of ${kind} interrupted while batches are sampled, and resumed, is the same run to the bit`, async (t) => {
    await expected;
    const stops: [string, number | null, (abort: () => void) => TrainOptions][] = [
      ['in the first batch', null, (abort) => ({ onEvent: (event) => event.kind === 'rollout' && abort() })],
      ['after the first step', 1, (abort) => ({ onEvent: (event) => afterStep(event, 1) && abort() })],
      [
        'in the next update, its batch being taken',
        2,
        (abort) => ({
          onStart: ({ model }) =>
            delayed(model, 'score', () => {
              if (rlLines(name).length === 2) abort();
            }),
        }),
      ],
      [
        'while it waits for a batch',
        3,
        (abort) => {
          let stepped = () => {};
          const stepDone = new Promise<void>((resolve) => {
            stepped = resolve;
          });
          const script = lengthTool();
          return {
            // A call of the batch after next is answered when the step is done and the run has been interrupted.
            tool: {
              ...script,
              run: async (request, signal) => {
                await stepDone;
                abort();
                return script.run(request, signal);
              },
            },
            onEvent: (event) => {
              if (event.kind === 'rl') stepped();
            },
          };
        },
      ],
    ];
    for (const [index, [what, step, options]] of stops.entries()) {
      const controller = new AbortController();
      const result = await run(
        name,
        {
          mode: index === 0 ? 'new' : 'resume',
          signal: controller.signal,
          ...options(() => controller.abort(new Error('stop'))),
        },
        overrides,
      );
      t.true(result.interrupted, what);
      t.is(result.checkpoint, step === null ? null : join(at(name), 'checkpoints', name6(step)), what);
      if (step !== null) t.is(waitingIn(name, step)[0]!.step, step, `${what}: the next batch is kept`);
    }
    await run(name, { mode: 'resume' }, overrides);
    t.deepEqual(checkpointBytes(at(name), name6(last)), checkpointBytes(at(reference), name6(last)));
    t.deepEqual(recordsOf(at(name)), recordsOf(at(reference)));
    if (last === 5) {
      const parked = (run: string) => withoutTimes(waitingIn(run, 5, 'parked.jsonl'));
      t.deepEqual(parked(name), parked(reference));
    }
  });
}

test('a run made longer samples its first new batch with the weights of now', async (t) => {
  await run('longer', {}, [...fresh, 'rl.steps=2']);
  await run('longer', { mode: 'resume' }, [...fresh, 'rl.steps=4']);
  t.deepEqual(
    [1, 2, 3, 4].map((step) => [...new Set(versionsOf('longer', step))]),
    [[0], [0], [4], [4]],
  );
  t.deepEqual(
    rlLines('longer').map(({ logprob_gap }) => logprob_gap),
    [0, 0, 0, 0],
  );
});

test('a failure in the background stops the run at the next step, which loses no step that was done', async (t) => {
  await whole;
  const script = lengthTool();
  const broken = {
    ...script,
    run: async (...args: Parameters<Tool['run']>) =>
      stepOf(args[0].callId) === 2 ? { status: 'ok' } : script.run(...args),
  } as unknown as Tool;
  await t.throwsAsync(run('broken', { tool: broken }), {
    instanceOf: TypeError,
    message: /expected the tool to give a result/,
  });
  t.is(rlLines('broken').length, 2, 'the step that was trained meanwhile is done');
  t.deepEqual(waitingIn('broken', 2), [{ step: null }]);
  await run('broken', { mode: 'resume' });
  t.deepEqual(
    [1, 2, 3, 4].map((step) => [...new Set(versionsOf('broken', step))]),
    [[0], [0], [4], [4]],
  );
  t.deepEqual(rolloutsOf('broken', 2).map(withoutTimes), rolloutsOf('whole', 2).map(withoutTimes));
});

test('an abort or an error in a step ends the batch in the background, its calls included', async (t) => {
  for (const what of ['abort', 'error'] as const) {
    let open = 0;
    let ended = 0;
    let called = () => {};
    const nextCalled = new Promise<void>((resolve) => {
      called = resolve;
    });
    const script = lengthTool();
    const tool: Tool = {
      ...script,
      // Calls of the second batch end when they are cancelled, and not before.
      run: async (request, signal) => {
        if (stepOf(request.callId) !== 1) return script.run(request, signal);
        open += 1;
        called();
        await new Promise<void>((resolve) => signal!.addEventListener('abort', () => resolve()));
        open -= 1;
        ended += 1;
        return script.run(request, signal);
      },
    };
    const controller = new AbortController();
    const result = run(`stopped-${what}`, {
      tool,
      signal: controller.signal,
      onStart: ({ model }) =>
        delayed(model, 'score', async () => {
          await nextCalled;
          if (what === 'error') throw new Error('the update failed');
          controller.abort(new Error('stop'));
        }),
    });
    if (what === 'error') await t.throwsAsync(result, { message: 'the update failed' });
    else t.true((await result).interrupted);
    t.log(`${what}: ${ended} calls were cancelled`);
    t.true(ended > 0);
    t.is(open, 0, 'no call outlives the run');
  }
});

test('a value head on the trunk stays with the trainer', async (t) => {
  const ppo = ['rl.steps=3', 'rl.advantage=gae', 'critic.model=trunk', 'rl.kl=none', 'rl.kl_coef=0'];
  await run('trunk', {}, [...fresh, ...ppo]);
  const lines = rlLines('trunk');
  t.deepEqual(
    lines.map(({ logprob_gap }) => logprob_gap),
    [0, 0, 0],
  );
  t.true(lines.every(({ critic }) => critic !== null));
});

test('a record that is not the batch of the step is refused', async (t) => {
  const controller = new AbortController();
  await run('record', {
    signal: controller.signal,
    onEvent: (event) => afterStep(event, 1) && controller.abort(new Error('stop')),
  });
  const file = join(at('record'), 'checkpoints', '000001', 'ahead.jsonl');
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  t.is(lines.length, 13, 'the batch, and a line for each of 12 trajectories');
  const refused = async (changed: readonly string[] | null, message: RegExp) => {
    if (changed === null) rmSync(file);
    else writeFileSync(file, changed.map((line) => `${line}\n`).join(''));
    await t.throwsAsync(run('record', { mode: 'resume' }), { code: 'ERR_CHECKPOINT', message });
  };
  const head = JSON.parse(lines[0]!) as object;
  await refused(
    [JSON.stringify({ ...head, step: 3 }), ...lines.slice(1)],
    /ahead.jsonl: expected the batch of RL step 1 \(from 0\), found that of step 3/,
  );
  await refused(
    lines.slice(1),
    /ahead.jsonl: expected a first line with the step of the batch, found \{"question"/,
  );
  for (const left of [9, 12]) {
    const found = new RegExp(
      `expected the 12 trajectories that its first line announces, found ${left - 1}$`,
    );
    await refused(lines.slice(0, left), found);
  }
  await refused(
    [JSON.stringify({ ...head, trajectories: 11 }), ...lines.slice(1, 12)],
    /expected whole groups of samples 0 to 3 in order, found samples 0, 1, 2, 3, 0/,
  );
  await refused([], /expected a first line with the step of the batch, found null/);
  const open = JSON.parse(lines[1]!) as object;
  await refused(
    [lines[0]!, JSON.stringify({ ...open, ended: null }), ...lines.slice(2)],
    /ahead.jsonl: prompt 0, sample 0: expected a trajectory: it has not ended/,
  );
  await refused(null, /expected the batch that was sampled ahead, found no such file/);
});

test('what cannot be sampled ahead is refused with a sentence', async (t) => {
  const refusal = (overrides: readonly string[], message: RegExp) => {
    const all = ['tasks={names: [gcd]}', 'rl.steps=2', 'rollout.ahead=true', ...overrides];
    t.throws(() => parseConfig('model: { path: m }', 'c.yaml', all), { code: 'ERR_CONFIG', message });
  };
  refusal(['lora.rank=4'], /rollout.ahead: the copy that samples ahead has no adapter/);
  refusal(
    ['curriculum.regroup_every=2'],
    /rollout.ahead: a batch sampled ahead asks its questions before they are rated anew/,
  );
  await whole;
  await t.throwsAsync(replay(at('whole')), {
    code: 'ERR_CONFIG',
    message: /sampled its batches while it trained \(rollout.ahead\).*cannot follow it/,
  });
});

test('the memory plan names the second model and its cache', async (t) => {
  const plans: ReadonlyMap<string, number>[] = [];
  for (const overrides of [fresh, [...fresh, 'rollout.ahead=false']]) {
    const name = `plan-${plans.length}`;
    await run(
      name,
      {
        onStart: (setup) => {
          t.is(setup.sampler !== null, setup.config.rollout.ahead);
          plans.push(new Map(setupPlan(setup).lines));
        },
      },
      [...overrides, 'rl.steps=1', 'rl.warmup=0'],
    );
  }
  const [ahead, plain] = plans as [Map<string, number>, Map<string, number>];
  const sampler = ahead.get('sampler: a second model')!;
  const line = (plan: ReadonlyMap<string, number>, start: string) =>
    [...plan].find(([name]) => name.startsWith(start))?.[1] ?? 0;
  const cache = line(ahead, "the sampler's KV cache (");
  t.is(cache, line(plain, 'KV cache ('));
  t.is(line(ahead, 'KV cache ('), 0, 'is for evaluations, and there are none');
  t.is(sampler, ahead.get('weights')!);
  const passesOf = (plan: ReadonlyMap<string, number>) =>
    line(plan, 'activations (') +
    line(plan, 'activations of the other models') +
    line(plan, 'scratch of the kernels');
  t.true(line(ahead, 'activations of the other models') > 0);
  t.is(ahead.get('total')! - plain.get('total')!, sampler + passesOf(ahead) - passesOf(plain));
});

test('no token is older than the bound and the updates of one step', async (t) => {
  const bounded = ['rollout.max_staleness=1', 'rl.mini_batches=1', 'rl.steps=6', 'rollout.step_tokens=60'];
  await run('bounded', {}, [...partial, ...bounded]);
  const lines = rlLines('bounded');
  t.true(lines.some(({ stale_dropped }) => Number(stale_dropped) > 0));
  let version = 0;
  for (const [index, line] of lines.entries()) {
    for (const { ledger } of rolloutsOf('bounded', index + 1)) {
      const oldest = oldestVersion(Ledger.fromJSON(ledger as never))!;
      t.true(version - oldest <= 2, `step ${index + 1}: ${version - oldest} updates`);
    }
    version += Number(line.updates);
  }
});
