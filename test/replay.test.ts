/** Replay: a recorded run computed again without Python, to the bit, and every way in which it can differ reported. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../lib/package.ts';
import type { LedgerJson } from '../lib/rollout/ledger.ts';
import type { CallRecord } from '../lib/rollout/trajectory.ts';
import { readLines } from '../lib/run/directory.ts';
import { type ReplayReport, replay } from '../lib/run/replay.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { Tool } from '../lib/tools/tool.ts';
import { train } from '../lib/train/train.ts';
import { checkpointBytes, folderWithBase, lengthReward, runConfig, withoutTimes } from './support/runs.ts';

const { base, at } = await folderWithBase();

const quiet = ['eval.questions=0', 'eval.every=0', 'eval.without_tool=false'];
const kept = [...quiet, 'checkpoint.every=1', 'checkpoint.keep_last=99'];
/** No interpreter: a replay that started one would fail. */
const noPython = ['tool.python=/nowhere/python3'];

async function record(name: string, overrides: readonly string[], tool?: Tool): Promise<void> {
  await train(runConfig(base, at(name), [...kept, ...overrides]), {
    reward: lengthReward,
    ...(tool === undefined ? {} : { tool }),
  });
}

function replayed(name: string, changed: Parameters<typeof replay>[1] = {}): Promise<ReplayReport> {
  return replay(at(name), { reward: lengthReward, overrides: noPython, ...changed });
}

/** Every line of a step's rollouts, to be changed by `change`. */
function edit(name: string, step: string, change: (lines: RolloutLine[]) => void): void {
  const file = join(at(name), 'rollouts', `${step}.jsonl`);
  const lines = readLines(file) as unknown as RolloutLine[];
  change(lines);
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}
interface RolloutLine {
  ledger: { -readonly [key in keyof LedgerJson]: number[] };
  calls: { -readonly [key in keyof CallRecord]: CallRecord[key] }[];
  prompt: number;
  sample: number;
  reward: number;
  end: string;
}
const rollouts = (name: string) =>
  readdirSync(join(at(name), 'rollouts')).flatMap(
    (file) => readLines(join(at(name), 'rollouts', file)) as unknown as RolloutLine[],
  );

function same(t: ExecutionContext, name: string, report: ReplayReport, steps: number): void {
  const { differences, checkpoints, ...counts } = report;
  t.deepEqual(differences, [], name);
  t.deepEqual(
    checkpoints,
    Array.from({ length: steps }, (_, i) => i + 1),
  );
  t.log(
    `${name}: ${counts.steps} steps, ${counts.trajectories} trajectories, ${counts.tokens} tokens, ${counts.calls} calls; all the same`,
  );
  const lines = rollouts(name);
  t.is(counts.trajectories, lines.length);
  t.is(
    counts.tokens,
    lines.reduce((sum, { ledger }) => sum + ledger.logprob.length, 0),
  );
  t.is(
    counts.calls,
    lines.reduce((sum, { calls }) => sum + calls.length, 0),
  );
}

const whole = record('whole', []);

test('a run with a cold start and real Python is replayed without Python: the same tokens, rewards and bytes of the weights', async (t) => {
  await whole;
  t.true(
    rollouts('whole').some(({ calls }) => calls.length > 0),
    'Python was called',
  );
  const report = await replayed('whole', { out: at('again') });
  same(t, 'whole', report, 10);
  t.deepEqual(report.warnings, []);
  for (const step of ['000006', '000010']) {
    t.deepEqual(checkpointBytes(at('again'), step), checkpointBytes(at('whole'), step));
  }
  for (const file of readdirSync(join(at('whole'), 'rollouts'))) {
    const [before, now] = ['whole', 'again'].map((run) => readLines(join(at(run), 'rollouts', file)));
    t.deepEqual(withoutTimes(now), withoutTimes(before));
  }
});

test('partial rollouts are replayed with their parked trajectories, and failures of the tool where they were', async (t) => {
  await using python = await openPythonTool({ workers: 2 });
  const seen = new Set<string>();
  const flaky: Tool = {
    describe: 'python that fails now and then',
    async run(request, signal) {
      const result = await python.run(request, signal);
      const first = !seen.has(request.callId);
      seen.add(request.callId);
      const fails = (first && seen.size % 2 === 0) || /\/5\/1\/\d+$/.test(request.callId);
      return fails ? { ...result, status: 'infrastructure_error', error: 'the worker is gone' } : result;
    },
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const partial = [
    'sft.steps=0',
    'sft.warmup=0',
    'rollout.step_tokens=80',
    'rl.steps=6',
    'rl.prompts=6',
    'rl.group=2',
  ];
  await record('partial', [...partial, 'rollout.max_staleness=4', 'correction={form: decoupled}'], flaky);
  const metrics = readLines(join(at('partial'), 'metrics.jsonl'));
  const total = (key: string) => metrics.reduce((sum, line) => sum + Number(line[key]), 0);
  const calls = rollouts('partial').flatMap((line) => line.calls);
  t.log(
    `${total('stale_tokens')} stale tokens, ${total('stale_dropped')} dropped, ${calls.filter(({ failures }) => failures > 0).length} calls made again`,
  );
  t.true(total('stale_tokens') > 0 && calls.some(({ failures }) => failures > 0));
  same(t, 'partial', await replayed('partial'), 6);
});

test('what the clock decided follows the record: times that were up, programs that took too long, outputs that did not fit', async (t) => {
  let serial = 0;
  const clocked: Tool = {
    describe: 'a script',
    run: (request, signal) =>
      new Promise((resolve, reject) => {
        const turn = serial++ % 4;
        const result = {
          callId: request.callId,
          status: turn === 1 ? ('timeout' as const) : ('ok' as const),
          stdout: '',
          stderr: '',
          output: turn === 2 ? 'too long '.repeat(20) : `${turn}\n`,
          exitCode: 0,
          signal: null,
          seconds: 0.1 * turn,
          cpuSeconds: 0,
          truncatedBytes: 0,
        };
        const timer = setTimeout(() => resolve(result), turn === 3 ? 600_000 : 0);
        signal?.addEventListener('abort', () => {
          clearTimeout(timer);
          reject(new Error('the call was aborted'));
        });
      }),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const limits = ['rollout.seconds=2', 'rollout.total_tokens=150', 'tool.output_characters=300'];
  await record('clocked', ['sft.steps=0', 'sft.warmup=0', 'rl.steps=3', 'rl.prompts=4', ...limits], clocked);
  const lines = rollouts('clocked');
  const ends = lines.map(({ end }) => end);
  t.log([...new Set(ends)].join(', '));
  t.true(ends.includes('time_limit') && ends.includes('overflow'));
  t.true(
    lines.some(({ calls }) => calls.some(({ status, output }) => status === 'timeout' && output !== null)),
  );
  same(t, 'clocked', await replayed('clocked'), 3);
});

test('one changed log-prob and one changed output of the tool are both reported, with step, trajectory and token', async (t) => {
  await whole;
  cpSync(at('whole'), at('flipped'), { recursive: true });
  const first = readdirSync(join(at('whole'), 'rollouts')).find((file) =>
    (readLines(join(at('whole'), 'rollouts', file)) as unknown as RolloutLine[]).some(({ calls }) =>
      calls.some(({ output }) => output !== null),
    ),
  )!;
  const step = first.slice(0, 6);
  let logprob = { sample: -1, prompt: -1, token: -1 };
  let output = { sample: -1, prompt: -1 };
  edit('flipped', step, (lines) => {
    const caller = lines.findIndex(({ calls }) => calls.some((call) => call.output !== null));
    const call = lines[caller]!.calls.find((candidate) => candidate.output !== null)!;
    call.output = `7${call.output}`;
    output = { sample: lines[caller]!.sample, prompt: lines[caller]!.prompt };
    const other = lines[(caller + 1) % lines.length]!;
    other.ledger.logprob[3]! -= 0.125;
    logprob = { sample: other.sample, prompt: other.prompt, token: other.ledger.origin[1]! + 3 };
  });
  const { differences } = await replayed('flipped');
  for (const difference of differences) t.log(JSON.stringify(difference));
  const flip = differences.find(({ what }) => what === 'logprob')!;
  t.like(flip, { step: Number(step), token: logprob.token });
  t.like(flip.trajectory, { sample: logprob.sample, prompt: logprob.prompt });
  t.is(Number(flip.replayed) - Number(flip.recorded) > 0.12, true);
  const said = differences.find(({ what }) =>
    /^id \(from the output of call 0 as it is recorded\)$/.test(what),
  )!;
  t.is(said.step, Number(step));
  t.like(said.trajectory, { sample: output.sample, prompt: output.prompt });
  t.true(said.token !== null);
  t.true(
    differences.every((difference) => difference.step === Number(step)),
    'the steps after are the same',
  );
  t.is(differences.length, 2);
});

test('a changed token, reward, advantage, metric or weight is found where it is', async (t) => {
  await whole;
  cpSync(at('whole'), at('changed'), { recursive: true });
  edit('changed', '000008', (lines) => {
    lines[2]!.reward += 0.5;
    const { ledger } = lines[5]!;
    ledger.ids[ledger.origin[1]! + 2]! += 1;
  });
  const metrics = join(at('changed'), 'metrics.jsonl');
  writeFileSync(metrics, readFileSync(metrics, 'utf8').replace(/("kind":"sft","step":2,.*"loss":)/, '$11'));
  const weights = join(at('changed'), 'checkpoints', '000003', 'model.safetensors');
  const bytes = readFileSync(weights);
  bytes[bytes.length - 5]! ^= 1;
  writeFileSync(weights, bytes);
  const { differences, steps } = await replayed('changed');
  for (const difference of differences) t.log(JSON.stringify(difference));
  t.like(differences[0], { step: 2, trajectory: null, what: 'metrics: loss' });
  t.like(differences[1], { step: 3, what: `checkpoint 000003, model.safetensors, byte ${bytes.length - 5}` });
  t.regex(differences[1]!.recorded, /bytes, in \S+(weight|bias)$/);
  const token = differences.find(({ what }) => what === 'id')!;
  t.like(token, { step: 8 });
  // The record is followed from there; its log-probs are not those of the changed ids, which the update's own check sees.
  const gap = differences.find(({ what }) => what === 'gap check');
  t.true(gap === undefined || /log-prob gap .* at token \d+ of sample/.test(gap.replayed));
  t.true(gap !== undefined || differences.some(({ what }) => what === 'reward'));
  t.true(steps >= 7);
});

test('an interrupted run is replayed as far as it went', async (t) => {
  const controller = new AbortController();
  await train(runConfig(base, at('part'), quiet), {
    reward: lengthReward,
    signal: controller.signal,
    onEvent: (event) => {
      if (event.kind === 'rl' && event.at.phaseStep === 2) controller.abort(new Error('stop'));
    },
  });
  const { steps, differences, checkpoints } = await replayed('part');
  t.deepEqual(differences, []);
  t.deepEqual({ steps, checkpoints }, { steps: 8, checkpoints: [6, 8] });
});

test('the command replays with nothing on PATH, says what is the same, and fails with the first difference', async (t) => {
  const overrides = [...kept, 'rl.steps=2', 'sft.steps=2', 'sft.warmup=0', 'rl.dynamic_sampling=2'];
  await train(runConfig(base, at('command'), overrides));
  const command = (...args: string[]) =>
    spawnSync(
      process.execPath,
      ['--import=tsx', join(packageRoot, 'lib/cli/main.ts'), 'replay', at('command'), ...args],
      {
        encoding: 'utf8',
        cwd: packageRoot,
        env: { ...process.env, PATH: '' },
      },
    );
  const good = command();
  t.is(good.status, 0, good.stderr);
  t.log(good.stdout);
  t.regex(
    good.stdout,
    /4 steps: 24 trajectories, \d+ tokens sampled again, \d+ calls answered from the record\n/,
  );
  t.regex(good.stdout, /weights compared at step 1, 2, 3, 4\nthe replay is the run: every token/);
  edit('command', '000003', (lines) => {
    lines[1]!.ledger.logprob[0]! -= 1;
  });
  const bad = command();
  t.is(bad.status, 1, bad.stderr);
  t.regex(
    bad.stdout,
    /\nfirst difference: step 3, sample 1 of prompt 0 \(question \S+\), token \d+: logprob: recorded -\S+, replayed -\S+\n/,
  );
});

test('what cannot be replayed is refused with a sentence, and nothing is written into the run', async (t) => {
  await whole;
  mkdirSync(at('empty'));
  await t.throwsAsync(replayed('empty'), { code: 'ERR_RUN_MISSING', message: /is not a run directory/ });
  cpSync(at('whole'), at('gone'), { recursive: true });
  rmSync(join(at('gone'), 'rollouts', '000008.jsonl'));
  await t.throwsAsync(replayed('gone'), {
    code: 'ERR_RUN_FILE',
    message: /000008.jsonl: expected the rollouts of step 8, found no such file/,
  });
  writeFileSync(join(at('gone'), 'rollouts', '000007.jsonl'), '{"prompt":0}\n');
  await t.throwsAsync(replayed('gone'), {
    code: 'ERR_RUN_FILE',
    message: /000007.jsonl:1: expected a recorded trajectory/,
  });
  rmSync(join(at('gone'), 'metrics.jsonl'));
  await t.throwsAsync(replayed('gone'), {
    code: 'ERR_RUN_FILE',
    message: /expected the steps of a run, found none/,
  });
  t.false(existsSync(join(at('whole'), 'lock')));
  t.deepEqual(readdirSync(join(at('whole'), 'logs')), ['attempt-1.log']);
});
