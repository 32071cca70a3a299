/** Partial rollouts: a step's budget, what is parked between steps and in a checkpoint, and that none of it changes a bit. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type Course, type CourseOptions, createCourse } from '../lib/rollout/course.ts';
import { Ledger } from '../lib/rollout/ledger.ts';
import { type Member, oldestVersion, parkedRecord, rebuildMember } from '../lib/rollout/parked.ts';
import { type PartialOptions, runPartially } from '../lib/rollout/partial.ts';
import { rollout } from '../lib/rollout/rollout.ts';
import type { CallRecord } from '../lib/rollout/trajectory.ts';
import { readLines } from '../lib/run/directory.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { Tool } from '../lib/tools/tool.ts';
import { type TrainOptions, type TrainResult, train } from '../lib/train/train.ts';
import { alone, bits } from './support/batches.ts';
import {
  letterTool,
  openTiny,
  pagesFor,
  promptsOf,
  rolloutOptions,
  type ScriptedTool,
  scriptedTool,
  wideLimits,
} from './support/rollouts.ts';
import {
  checkpointBytes,
  folderWithBase,
  lengthReward,
  recordsOf,
  runConfig,
  withoutTimes,
} from './support/runs.ts';
import { adamw, sampleGroups, scoredBy } from './support/training.ts';

const { base, at } = await folderWithBase();
const tiny = await openTiny();
const { model, tokenizer } = tiny;
const prompts = promptsOf(tokenizer, 4, 3);

/** The courses of every sample of `prompts`, in no cache. */
function coursesWith(tool: Tool, changed: Partial<CourseOptions> = {}): Course[] {
  const options = { ...rolloutOptions(tiny, { tool, cache: model.openKvCache(1) }), ...changed };
  return prompts.flatMap((prompt) =>
    Array.from({ length: prompt.samples }, (_, sample) => createCourse(options, prompt, sample, -1)),
  );
}

/** One step of the courses, with room for all unless told otherwise. */
function step(courses: readonly Course[], stepTokens: number, changed: Partial<PartialOptions> = {}) {
  const cache = model.openKvCache(200);
  return runPartially(courses, { model, cache, stepTokens, enough: () => true, ...changed });
}

const open = (courses: readonly Course[]) => courses.filter(({ ended }) => !ended);
const snapshots = (courses: readonly Course[]) =>
  courses.map(({ ledger, calls, ended }) => withoutTimes({ ledger: ledger.toJSON(), calls, ended }));

test('a budget is shared evenly: what is parked was given the same number of tokens, and what ended sooner left its own over', async (t) => {
  for (const budget of [12, 100, 150, 250, 400]) {
    const courses = coursesWith(letterTool());
    const { stats, rounds } = await step(courses, budget);
    const parked = open(courses);
    const given = new Set(parked.map(({ sampled }) => sampled));
    t.log(
      `${budget} tokens: ${stats.sampled} sampled, ${parked.length} parked after ${[...given].join(', ')}`,
    );
    t.is(rounds, 1);
    t.is(
      stats.sampled,
      courses.reduce((sum, { sampled }) => sum + sampled, 0),
    );
    t.true(stats.sampled <= budget);
    if (parked.length === 0) continue;
    t.is(given.size, 1);
    t.true(stats.sampled > budget - parked.length, 'no further token for each fits');
    const [limit] = given;
    t.true(courses.every(({ ended, sampled }) => !ended || sampled <= limit!));
  }
});

test('where a trajectory is parked depends neither on concurrency nor on the cache nor on the delays of the tool', async (t) => {
  const jitter = (serial: number) => (serial * 7) % 11;
  const least = pagesFor(model, wideLimits.totalTokens) + 1;
  /** Three steps; what is known after each. */
  const steps = async (tool: ScriptedTool, changed: () => Partial<PartialOptions> = () => ({})) => {
    const courses = coursesWith(tool);
    const seen: unknown[] = [];
    for (const budget of [130, 90, 110]) {
      await step(open(courses), budget, changed());
      seen.push(snapshots(courses));
    }
    return { seen, left: open(courses).length };
  };
  const expected = await steps(letterTool());
  t.true(expected.left > 0, 'something is parked to the end');
  for (const [name, tool, changed] of [
    ['one at a time', letterTool(), () => ({ concurrency: 1 })],
    ['five at a time', letterTool(), () => ({ concurrency: 5 })],
    ['the smallest cache', letterTool(), () => ({ cache: model.openKvCache(least) })],
    ['a slow tool', letterTool(jitter), () => ({})],
    [
      'a slow tool, a cache for three',
      letterTool(jitter),
      () => ({ cache: model.openKvCache(3 * (least - 1) + 1) }),
    ],
    ['a slow tool, five at a time', letterTool((n) => 20 - jitter(n)), () => ({ concurrency: 5 })],
  ] as const) {
    t.deepEqual((await steps(tool, changed)).seen, expected.seen, name);
  }
});

test('steps of any budget give the trajectories of one rollout, when the weights stay', async (t) => {
  const { trajectories } = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool() }));
  const courses = coursesWith(letterTool());
  let steps = 0;
  for (; open(courses).length > 0; steps++) await step(open(courses), 12 + 17 * steps);
  t.log(`${steps} steps`);
  t.deepEqual(withoutTimes(courses.map((course) => course.finish())), withoutTimes(trajectories));
});

test('what is parked is prefilled again exactly once: its length', async (t) => {
  const courses = coursesWith(letterTool());
  const cache = model.openKvCache(200);
  await step(courses, 140, { cache });
  t.is(cache.pagesFree, cache.pagesTotal, 'nothing stays in the cache between steps');
  const parked = open(courses);
  const lengths = parked.reduce((sum, { ledger }) => sum + ledger.length, 0);
  const before = cache.tokensComputed;
  const { stats, refilled } = await step(parked, 60, { cache });
  t.is(refilled, lengths);
  // The last token of each, and tool output not yet followed by a token, have not been run.
  const run = parked.reduce((sum, { ledger, pending }) => sum + ledger.length - (pending?.length ?? 1), 0);
  t.is(cache.tokensComputed - before, run, 'every token once, old and new');
  t.is(stats.computed, run);
  t.log(`${parked.length} parked: ${lengths} tokens prefilled again, ${run} computed in all`);
});

test('a parked trajectory goes on under the new weights, each token with its own version and log-prob', async (t) => {
  const trained = await openTiny({ trainable: true });
  const options = rolloutOptions(trained, { tool: letterTool(), cache: trained.model.openKvCache(1) });
  const courses = [0, 1, 2].map((sample) => createCourse(options, prompts[0]!, sample, -1));
  const cache = trained.model.openKvCache(200);
  const enough = () => true;
  await runPartially(courses, { model: trained.model, cache, stepTokens: 30, enough });
  const start = trained.model.version;
  const groups = await sampleGroups(trained, 1, 4);
  const batch = scoredBy(groups, (i) => i)[0]!.trajectory.ledger.ids;
  const weight = Float32Array.from(batch, (_, i) => (i === 0 ? 0 : 0.1));
  await trained.model.accumulate(
    { ...alone(batch), temperature: 1, weight },
    { kind: 'cross_entropy', clipLow: 0, clipHigh: 0, dualClip: 0, kl: 'none', klCoef: 0, entropyCoef: 0 },
  );
  await trained.model.update(adamw);
  const parked = open(courses);
  await runPartially(parked, { model: trained.model, cache, stepTokens: 60, enough });
  let compared = 0;
  for (const { ledger } of parked) {
    const versions = new Set(ledger.versions.filter((version) => version >= 0));
    t.deepEqual([...versions].sort(), [start, start + 1]);
    const { logprobs } = await trained.model.score(alone(ledger.ids), 1);
    for (let i = 0; i < ledger.length; i++) {
      if (ledger.versions[i] !== start + 1) continue;
      t.deepEqual(bits(logprobs.subarray(i, i + 1)), bits(ledger.logprobs.subarray(i, i + 1)));
      compared += 1;
    }
  }
  t.log(`${compared} tokens of the new weights, log-probs equal to the bit`);
  t.true(compared > 20);
  trained.model.dispose();
});

test('a trajectory rebuilt from its record goes on as the one in memory, wherever it was parked', async (t) => {
  let due = 0;
  for (const budget of [12, 25, 40, 60, 90, 120, 170, 230]) {
    // The tool fails every fourth call of the first step, so that some trajectories are parked with a call that is due.
    let failing = true;
    const tool = scriptedTool(({ code }, serial) =>
      failing && serial % 4 === 1
        ? { status: 'infrastructure_error', error: 'no worker' }
        : `${Number(/\d+/.exec(code)![0]) ** 7}\n`,
    );
    const courses = coursesWith(tool, { callAttempts: 2 });
    await step(courses, budget);
    failing = false;
    due += courses.filter(({ failures }) => failures > 0).length;
    const members: Member[] = courses.map((course) =>
      course.ended ? { course: null, trajectory: course.finish() } : { course, trajectory: null },
    );
    const lines = members.map((member) => JSON.stringify(parkedRecord(member)));
    const options = rolloutOptions(tiny, { tool, cache: model.openKvCache(1) });
    const rebuilt = lines.map((line) => rebuildMember(JSON.parse(line), 3, options));
    t.deepEqual(
      rebuilt.map((member) => JSON.stringify(parkedRecord(member))),
      lines,
      'its record is the same',
    );
    const finish = async (all: readonly Member[]) => {
      await step(
        all.flatMap(({ course }) => course ?? []),
        10_000,
      );
      return withoutTimes(all.map(({ course, trajectory }) => trajectory ?? course.finish()));
    };
    t.deepEqual(await finish(rebuilt), await finish(members), `${budget} tokens`);
  }
  t.log(`${due} were parked with a call due`);
  t.true(due >= 3);
});

test('a record that does not lead where it says is refused, naming the trajectory', async (t) => {
  const tool = letterTool();
  const courses = coursesWith(tool);
  await step(courses, 200);
  const caller = open(courses).find(({ calls }) => calls.length > 0)!;
  const record = parkedRecord({ course: caller, trajectory: null });
  const options = rolloutOptions(tiny, { tool, cache: model.openKvCache(1) });
  const refused = (changed: object, message: RegExp) => {
    t.throws(() => rebuildMember({ ...record, ...changed }, 3, options), { code: 'ERR_CHECKPOINT', message });
  };
  refused(
    { calls: [] },
    /^parked.jsonl: prompt \d, sample \d: .* token \d+: the call that ends here is not among its calls/,
  );
  refused({ calls: [...record.calls, record.calls[0]] }, /expected the output of another call/);
  refused({ ledger: { ...record.ledger, ids: [1] } }, /expected a parked trajectory: ledger: origin: /);
});

// Whole runs.

const quiet = ['sft.steps=0', 'sft.warmup=0', 'eval.questions=0', 'eval.every=0', 'eval.without_tool=false'];
/** Five steps that park: some seven tokens a step for each of twelve trajectories. */
const partial = [...quiet, 'seed=4', 'rollout.step_tokens=80', 'rl.steps=5', 'rl.prompts=6', 'rl.group=2'];

function run(
  name: string,
  options: TrainOptions = {},
  overrides: readonly string[] = partial,
): Promise<TrainResult> {
  return train(runConfig(base, at(name), overrides), { reward: lengthReward, ...options });
}
const rlLines = (name: string) =>
  readLines(join(at(name), 'metrics.jsonl')).filter(({ kind }) => kind === 'rl');
const rolloutsOf = (name: string, steps: readonly number[]) =>
  steps.map((n) => readLines(join(at(name), 'rollouts', `${String(n).padStart(6, '0')}.jsonl`)));
const parkedOf = (name: string, checkpoint: string) =>
  readLines(join(at(name), 'checkpoints', checkpoint, 'parked.jsonl'));
const numbers = (values: readonly unknown[]) => values.map(Number);
const whole = run('whole');

test('a run of partial rollouts trains on whole groups only, with tokens of several versions', async (t) => {
  await whole;
  const lines = rlLines('whole');
  for (const key of [
    'questions',
    'parked',
    'groups_waiting',
    'prefilled_again',
    'staleness',
    'stale_tokens',
    'sampled_tokens',
    'generation_rounds',
  ]) {
    t.log(
      `${key}: ${lines.map((line) => Number(line[key]).toFixed(key === 'staleness' ? 2 : 0)).join(', ')}`,
    );
  }
  const total = (key: string) => numbers(lines.map((line) => line[key])).reduce((a, b) => a + b, 0);
  t.true(
    total('parked') > 0 &&
      total('stale_tokens') > 0 &&
      total('staleness') > 0 &&
      total('prefilled_again') > 0,
  );
  t.is(total('logprob_gap'), 0);
  t.true(lines.every((line) => Number(line.sampled_tokens) <= 80 * Number(line.generation_rounds)));
  let trained = 0;
  for (const [index, records] of rolloutsOf('whole', [1, 2, 3, 4, 5]).entries()) {
    t.true(records.length > 0 && records.length % 2 === 0, 'whole groups');
    for (let i = 0; i < records.length; i += 2) {
      const group = records.slice(i, i + 2);
      t.deepEqual(
        group.map(({ sample }) => sample),
        [0, 1],
      );
      t.is(new Set(group.map(({ prompt }) => prompt)).size, 1);
      t.true(group.every(({ started }) => Number(started) <= index));
    }
    const order = numbers(records.map(({ prompt }) => prompt));
    t.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
      'in order of the prompts',
    );
    trained += records.length / 2;
  }
  const waiting = Number(lines.at(-1)!.groups_waiting);
  t.is(total('questions'), trained + waiting, 'every question asked was learned from, or waits');
  t.is(parkedOf('whole', '000005').length, 2 * waiting, 'all members of an open group are in the checkpoint');
});

test('a run interrupted with trajectories parked, and resumed, is the same run to the bit', async (t) => {
  await whole;
  for (const stop of [1, 3, null]) {
    const controller = new AbortController();
    const result = await run('interrupted', {
      mode: stop === 1 ? 'new' : 'resume',
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind === 'rl' && event.at.phaseStep === stop) controller.abort(new Error('stop'));
      },
    });
    t.is(result.interrupted, stop !== null);
    if (stop === null) break;
    const parked = parkedOf('interrupted', String(stop).padStart(6, '0'));
    t.log(
      `after RL step ${stop}: ${parked.filter(({ ended }) => ended === null).length} parked, ${parked.length} in all`,
    );
    t.true(parked.some(({ ended }) => ended === null));
  }
  t.deepEqual(checkpointBytes(at('interrupted'), '000005'), checkpointBytes(at('whole'), '000005'));
  t.deepEqual(recordsOf(at('interrupted')), recordsOf(at('whole')));
  t.deepEqual(withoutTimes(parkedOf('interrupted', '000005')), withoutTimes(parkedOf('whole', '000005')));

  rmSync(join(at('interrupted'), 'checkpoints', '000005', 'parked.jsonl'));
  await t.throwsAsync(run('interrupted', { mode: 'resume' }, [...partial, 'rl.steps=6']), {
    code: 'ERR_CHECKPOINT',
    message: /000005\/parked.jsonl: expected the trajectories that were parked, found no such file/,
  });
});

test('neither the cache nor the number of workers changes a bit, and a run made longer takes up what was left', async (t) => {
  await whole;
  const six = [...partial, 'rl.steps=6', 'rl.decay=constant'];
  await run('six', {}, six);
  await run('shorter', {}, [...partial, 'rl.decay=constant']);
  await run('shorter', { mode: 'resume' }, [...six, 'rollout.kv_memory_mb=1', 'tool.workers=1']);
  t.deepEqual(checkpointBytes(at('shorter'), '000006'), checkpointBytes(at('six'), '000006'));
  const comparable = (name: string) => recordsOf(at(name))['rollouts/000006.jsonl'];
  t.deepEqual(comparable('shorter'), comparable('six'));
});

test('with a budget that is never spent the run is the one without partial rollouts', async (t) => {
  const few = [...quiet, 'rl.steps=2'];
  await run('plain', {}, few);
  await run('unspent', {}, [...few, 'rollout.step_tokens=100000']);
  t.deepEqual(checkpointBytes(at('unspent'), '000002'), checkpointBytes(at('plain'), '000002'));
  t.deepEqual(recordsOf(at('unspent')), recordsOf(at('plain')));
  t.deepEqual(parkedOf('unspent', '000002'), []);
  t.false(existsSync(join(at('plain'), 'checkpoints', '000002', 'parked.jsonl')));
});

test('what is too old is dropped, counted and started again; no token in a batch is older than the bound', async (t) => {
  const bounded = ['rollout.step_tokens=60', 'rollout.max_staleness=2', 'rl.steps=6', 'rl.mini_batches=1'];
  await run('bounded', {}, [...partial, ...bounded]);
  const lines = rlLines('bounded');
  const dropped = numbers(lines.map((line) => line.stale_dropped));
  t.log(
    `dropped ${dropped.join(', ')}; trained on ${rolloutsOf('bounded', [1, 2, 3, 4, 5, 6])
      .map((r) => r.length)
      .join(', ')}`,
  );
  t.true(dropped.some((count) => count > 0));
  let version = 0;
  for (const [index, records] of rolloutsOf('bounded', [1, 2, 3, 4, 5, 6]).entries()) {
    for (const record of records) {
      const oldest = oldestVersion(Ledger.fromJSON(record.ledger))!;
      t.true(version - oldest <= 2, `step ${index + 1}`);
    }
    version += Number(lines[index]!.updates);
  }
  const asked = numbers(lines.map(({ questions }) => questions)).reduce((x, y) => x + y);
  const trained = rolloutsOf('bounded', [1, 2, 3, 4, 5, 6]).flat().length / 2;
  t.is(asked, trained + Number(lines.at(-1)!.groups_waiting), 'a question is not given up');
});

test('a failure of the tool loses no parked work: the call is made again in the next step', async (t) => {
  await using python = await openPythonTool({ workers: 2 });
  let failed = 0;
  const flaky: Tool = {
    ...wrapped(python),
    async run(request, signal) {
      const result = await python.run(request, signal);
      // The first attempt at every third call.
      const first = !seen.has(request.callId);
      seen.add(request.callId);
      if (!first || seen.size % 3 !== 0) return result;
      failed += 1;
      return { ...result, status: 'infrastructure_error', error: 'the worker is gone' };
    },
  };
  const seen = new Set<string>();
  await run('flaky', { tool: flaky });
  const records = rolloutsOf('flaky', [1, 2, 3, 4, 5]).flat();
  const again = records.flatMap(({ calls }) => calls as CallRecord[]).filter(({ failures }) => failures > 0);
  t.log(`${failed} attempts failed, ${again.length} calls were answered at a later one`);
  t.true(
    again.length > 0 &&
      again.every(({ failures, status }) => failures === 1 && status !== 'infrastructure_error'),
  );
  t.true(records.every(({ end }) => end !== 'infrastructure'));
  t.true(rlLines('flaky').every(({ lost }) => lost === 0));

  // A tool that fails for good: its trajectory is lost after three attempts, the others go on.
  const dead: Tool = {
    ...wrapped(python),
    run: async (request, signal) => {
      const result = await python.run(request, signal);
      const hopeless = /\/1\/\d+$/.test(request.callId);
      return hopeless ? { ...result, status: 'infrastructure_error', error: 'the worker is gone' } : result;
    },
  };
  await run('dead', { tool: dead });
  const lost = rolloutsOf('dead', [1, 2, 3, 4, 5])
    .flat()
    .filter(({ end }) => end === 'infrastructure');
  t.true(lost.length > 0);
  for (const { sample, calls } of lost) {
    t.is(sample, 1);
    t.like((calls as CallRecord[]).at(-1), { status: 'infrastructure_error', failures: 2, output: null });
  }
});

test('an error in a step keeps what was parked before it, and the run goes on as if nothing had happened', async (t) => {
  await whole;
  await using python = await openPythonTool({ workers: 2 });
  let calls = 0;
  const broken = {
    ...wrapped(python),
    run: async (...args: Parameters<Tool['run']>) => (++calls > 4 ? { status: 'ok' } : python.run(...args)),
  } as unknown as Tool;
  await t.throwsAsync(run('broken', { tool: broken }), {
    instanceOf: TypeError,
    message: /expected the tool to give a result/,
  });
  const [kept] = readdirSync(join(at('broken'), 'checkpoints'));
  t.log(`stopped after step ${kept} with ${parkedOf('broken', kept!).length} trajectories waiting`);
  t.true(parkedOf('broken', kept!).some(({ ended }) => ended === null));
  await run('broken', { mode: 'resume' });
  t.deepEqual(checkpointBytes(at('broken'), '000005'), checkpointBytes(at('whole'), '000005'));
  t.deepEqual(recordsOf(at('broken')), recordsOf(at('whole')));
});

test('combinations that cannot work are refused with a sentence', (t) => {
  const refusal = (overrides: readonly string[], message: RegExp) => {
    const all = ['tasks={names: [gcd]}', 'rl.prompts=2', 'rl.group=4', ...overrides];
    t.throws(() => parseConfig('model: { path: m }', 'c.yaml', all), { code: 'ERR_CONFIG', message });
  };
  refusal(
    ['rollout.step_tokens=7'],
    /a budget of 7 tokens does not give one to each of rl.prompts x rl.group = 8 trajectories/,
  );
  refusal(
    ['rollout.step_tokens=800', 'rl.dynamic_sampling=2'],
    /rollout.step_tokens: dynamic sampling asks until the batch is full/,
  );
  refusal(
    ['rollout.max_staleness=2'],
    /nothing grows stale without partial rollouts: set rollout.step_tokens/,
  );
  refusal(
    ['rollout.step_tokens=800', 'rl.mini_batches=2', 'rl.epochs=2', 'rollout.max_staleness=3'],
    /rollout.max_staleness: a step makes up to 4 updates .* expected at least 4, or 0 = no bound/,
  );
});

/** A tool that leaves all but `run` to `tool`. */
function wrapped(tool: Tool): Tool {
  return {
    describe: tool.describe,
    run: (request, signal) => tool.run(request, signal),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

test.after.always(() => {
  model.dispose();
});
