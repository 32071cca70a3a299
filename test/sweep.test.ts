/** Sweeps: what is planned, what is refused, and two seeds run, interrupted and gone on with as a user would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../lib/package.ts';
import { readLines } from '../lib/run/directory.ts';
import { planSweep, runProgress } from '../lib/run/sweep.ts';
import { runYaml, temporaryFolder, writeBase } from './support/runs.ts';

const temporary = temporaryFolder();
const at = (...parts: string[]) => join(temporary.path, ...parts);
mkdirSync(at('other'));
const least = 'model: { path: m }\ntasks: { names: [gcd] }\nrl: { group: 4 }\n';
await writeBase(at('base'));
for (const [index, path] of ['a.yaml', 'b.yaml', 'other/a.yaml'].entries()) {
  writeFileSync(at(path), `${least}eval: { questions: ${10 + index} }\n`);
}
const plan = (text: string, extra: readonly string[] = []) => planSweep(text, at('sweep.yaml'), extra);
const refused = (t: ExecutionContext, text: string, message: RegExp, extra: readonly string[] = []) =>
  t.regex(t.throws(() => plan(text, extra), { code: 'ERR_CONFIG' })!.message, message);

test('a sweep is configs x variants x seeds, a directory each, the later overrides winning', (t) => {
  const runs = plan(
    `folder: runs/x\nconfigs: [a.yaml, b.yaml]\noverrides: [rl.group=5, rl.prompts=2]\nseeds: [3, 4]\n` +
      'variants: { masked: [], unmasked: [rl.unmask_tool=true, rl.prompts=3] }\n',
    ['rl.group=6'],
  );
  t.deepEqual(
    runs.map(({ name }) => name),
    ['a-masked', 'a-unmasked', 'b-masked', 'b-unmasked'].flatMap((group) => [
      `${group}-seed3`,
      `${group}-seed4`,
    ]),
  );
  t.like(runs[3], { group: 'a-unmasked', file: at('a.yaml') });
  t.like(runs[3]!.config, {
    seed: 4,
    run: 'runs/x/a-unmasked-seed4',
    rl: { group: 6, prompts: 3, unmask_tool: true },
  });
  t.like(runs[0]!.config.rl, { group: 6, prompts: 2, unmask_tool: false });
  t.deepEqual(
    plan('folder: f\nconfigs: [a.yaml, other/a.yaml]\n').map(({ name }) =>
      name.replace(/^toolgrad-test-\w+/, 'x'),
    ),
    ['x-a-seed0', 'other-a-seed0'],
    'files of the same name are told apart by their folders',
  );
});

test('a sweep that is none, and runs that cannot be, are refused with the place', (t) => {
  refused(t, 'configs: [a.yaml]\n', /sweep.yaml: folder: required, but not given$/);
  refused(t, 'folder: f\nconfigs: []\n', /sweep.yaml:2:10: configs: expected at least 1, found \[\]/);
  refused(t, 'folder: f\nconfig: [a.yaml]\n', /sweep.yaml:2:1: config: unknown key; did you mean configs\?/);
  refused(
    t,
    'folder: f\nconfigs: [a.yaml]\nseeds: [1, 1]\n',
    /sweep.yaml:3:8: seeds: expected each once, found 1, 1/,
  );
  refused(t, 'folder: f\nconfigs: [a.yaml]\nvariants: { a b: [] }\n', /variants.a b: .*found \[\]/);
  refused(
    t,
    'folder: f\nconfigs: [a.yaml]\noverrides: [rl.group]\n',
    /overrides.0: expected key=value, found "rl.group"/,
  );
  refused(
    t,
    'folder: f\nconfigs: [a.yaml, ./a.yaml]\n',
    /sweep.yaml:2:10: configs: expected different file names/,
  );
  refused(t, 'folder: f\nconfigs: [none.yaml]\n', /run none-seed0:\ncannot read config .*none.yaml: ENOENT/);
  refused(
    t,
    'folder: f\nconfigs: [a.yaml]\n',
    /seed=3: the sweep gives every run its seed; use folder and seeds/,
    ['seed=3'],
  );
  refused(
    t,
    'folder: f\nconfigs: [a.yaml]\nvariants: { v: [], w: [rl.unmask_tool=false] }\n',
    /a-v-seed0 and a-w-seed0 are the same run: same config, same seed$/,
  );
  refused(
    t,
    'folder: f\nconfigs: [a.yaml]\nvariants: { v: [rl.temperature=0] }\n',
    /run a-v-seed0:\nargument rl.temperature: rl.temperature: expected more than 0, found 0$/,
  );
});

interface Running {
  readonly child: ChildProcess;
  out: string;
  readonly ended: Promise<number | null>;
  until(text: string): Promise<void>;
}

function start(t: ExecutionContext, args: readonly string[]): Running {
  const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env;
  const child = spawn(process.execPath, ['--import=tsx', join('lib', 'cli', 'main.ts'), ...args], {
    cwd: packageRoot,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill());
  const waiting: (() => void)[] = [];
  const running: Running = {
    child,
    out: '',
    ended: new Promise((resolve) => child.on('close', resolve)),
    until: (text) =>
      new Promise<void>((resolve) => {
        const look = () => running.out.includes(text) && resolve();
        waiting.push(look);
        look();
        child.on('close', () => resolve());
      }),
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      running.out += text;
      for (const look of waiting) look();
    });
  }
  return running;
}

test('runs go one after the other; Ctrl-C stops with a checkpoint, the same command goes on, then there is nothing left', async (t) => {
  t.timeout(600_000);
  writeFileSync(at('tiny.yaml'), runYaml(at('base')));
  writeFileSync(
    at('tiny-sweep.yaml'),
    `folder: ${JSON.stringify(at('runs'))}\nconfigs: [tiny.yaml]\nseeds: [1, 2]\noverrides: [eval.without_tool=false, eval.every=0, eval.questions=2]\n`,
  );
  const args = ['sweep', at('tiny-sweep.yaml'), 'rl.steps=1'];
  const first = start(t, args);
  await first.until('sft 1/6');
  first.child.kill('SIGINT');
  t.is(await first.ended, 130, first.out);
  t.regex(first.out, /\[1\/2\] tiny-seed1\n/);
  t.regex(first.out, /tiny-seed1 +interrupted/);
  t.regex(first.out, /tiny-seed2 +new/);
  t.regex(first.out, /interrupted; go on with: .* sweep .*tiny-sweep.yaml rl.steps=1\n$/);
  const [checkpoint] = readdirSync(at('runs', 'tiny-seed1', 'checkpoints'));
  t.log(`interrupted after step ${Number(checkpoint)}`);
  t.false(existsSync(at('runs', 'tiny-seed2')));

  const second = start(t, args);
  t.is(await second.ended, 0, second.out);
  t.regex(second.out, /\[1\/2\] tiny-seed1: goes on\n/);
  t.regex(second.out, /run +state +before +after SFT +after RL +calls +time\n/);
  for (const name of ['tiny-seed1', 'tiny-seed2']) {
    t.regex(second.out, new RegExp(`\\n${name} +finished +\\d+% +\\d+% +\\d+% +\\d+% +\\w+\\n`));
    t.true(existsSync(at('runs', name, 'checkpoints', '000007')));
  }
  const steps = readLines(at('runs', 'tiny-seed1', 'metrics.jsonl')).filter(({ kind }) => kind === 'sft');
  t.is(steps.length, 6, 'no step is done twice');
  t.regex(
    second.out,
    /runs\/comparison\/comparison.md: 1 columns, \d plots\ncompare others: .* compare .*tiny-seed1 .*tiny-seed2/,
  );

  const third = start(t, args);
  t.is(await third.ended, 0, third.out);
  t.is(third.out.match(/: finished before\n/g)?.length, 2);

  const other = start(t, ['sweep', at('tiny-sweep.yaml'), 'rl.steps=1', 'rl.group=3']);
  t.is(
    await other.ended,
    2,
    'a directory that holds a run with another config is refused before anything is run',
  );
  t.regex(other.out, /was started with another config[\s\S]*rl.group: 4 before, 3 now/);
  const longer = planSweep(
    `folder: ${JSON.stringify(at('runs'))}\nconfigs: [tiny.yaml]\nseeds: [1]\noverrides: [eval.without_tool=false, eval.every=0, eval.questions=2]\n`,
    at('tiny-sweep.yaml'),
    ['rl.steps=2'],
  );
  t.is(runProgress(longer[0]!.config), 'unfinished', 'more steps than were run');
});

test('a run that fails is said to, with code 1, and the others are run', async (t) => {
  writeFileSync(at('good.yaml'), runYaml(at('base')));
  writeFileSync(at('bad.yaml'), runYaml(at('nowhere')));
  writeFileSync(
    at('fail.yaml'),
    `folder: ${JSON.stringify(at('failed'))}\nconfigs: [bad.yaml, good.yaml]\noverrides: [sft.steps=1, rl.steps=0, eval.questions=0, eval.every=0, eval.without_tool=false, sft.warmup=0]\n`,
  );
  const run = start(t, ['sweep', at('fail.yaml')]);
  t.is(await run.ended, 1, run.out);
  t.regex(run.out, /bad-seed0 +failed \(code 1\)/);
  t.regex(run.out, /good-seed0 +finished/);
});

test.after.always(() => temporary.remove());
