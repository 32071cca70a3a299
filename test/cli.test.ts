/** The command line as a user meets it: child processes without a terminal, their output and their exit codes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot, packageVersion } from '../lib/package.ts';
import { readLines } from '../lib/run/directory.ts';
import { folderWithBase, runYaml } from './support/runs.ts';

const { base, at } = await folderWithBase();
writeFileSync(at('run.yaml'), runYaml(base));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
  /** Settles when standard output holds `text`, or when the process has ended. */
  until(text: string): Promise<void>;
}

/** Starts a program in a process group of its own, in the checkout. */
function start(program: string, args: readonly string[], input = ''): Running {
  const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env;
  const child = spawn(program, args, { cwd: packageRoot, env, detached: true });
  let out = '';
  let err = '';
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    for (const wait of waiting) if (out.includes(wait.text)) wait.resolve();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdin.end(input);
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
  return {
    child,
    outcome,
    until: (text) =>
      Promise.race([
        new Promise<void>((resolve) => {
          if (out.includes(text)) resolve();
          else waiting.push({ text, resolve });
        }),
        outcome.then(() => {}),
      ]),
  };
}
const cli = (args: readonly string[]) => ['--import=tsx', join('lib', 'cli', 'main.ts'), ...args];
const toolgrad = (args: readonly string[], input?: string) =>
  start(process.execPath, cli(args), input).outcome;

/** Checks that a command fails with `code` and one line that matches. */
async function refused(
  t: ExecutionContext,
  code: number,
  args: readonly string[],
  message: RegExp,
): Promise<void> {
  const outcome = await toolgrad(args);
  t.is(outcome.code, code, `${args.join(' ')}: ${outcome.err}`);
  t.regex(outcome.err, message);
  t.is(outcome.err.trimEnd().split('\n').length, 1, 'one line, no stack');
  t.is(outcome.out, '');
}

test("help shows the commands, with an example for each; the version is the package's", async (t) => {
  const [help, train, version, none] = await Promise.all([
    toolgrad(['--help']),
    toolgrad(['train', '--help']),
    toolgrad(['--version']),
    toolgrad([]),
  ]);
  t.is(help.code, 0);
  for (const command of ['demo', 'train', 'eval', 'chat', 'merge', 'serve', 'synthesize', 'show', 'doctor']) {
    t.regex(help.out, new RegExp(`^ {2}${command} `, 'm'));
  }
  t.is(train.code, 0);
  t.regex(train.out, /--dry-run[\s\S]*--resume[\s\S]*--clean[\s\S]*Example:\n {2}toolgrad train /);
  t.deepEqual(version, { code: 0, out: `${packageVersion}\n`, err: '' });
  t.is(none.code, 2);
  t.regex(none.err, /Usage: toolgrad/);
});

test('wrong usage ends with code 2, a failure with code 1, each with one line that says what to do', async (t) => {
  const typo = await toolgrad(['trian', 'x.yaml']);
  t.is(typo.code, 2);
  t.is(typo.err, "error: unknown command 'trian'\n(Did you mean train?)\n");
  const run = at('run.yaml');
  await Promise.all([
    refused(t, 2, ['train', at('none.yaml')], /^toolgrad: cannot read config .*none.yaml: ENOENT/),
    refused(
      t,
      2,
      ['train', run, 'rl.stepz=3'],
      /argument rl.stepz: rl.stepz: unknown key; did you mean rl.steps\?/,
    ),
    refused(t, 2, ['train', run, '--resume', '--clean'], /give one of them/),
    refused(t, 2, ['train', run, '--bogus'], /unknown option '--bogus'/),
  ]);
  await Promise.all([
    refused(
      t,
      1,
      ['train', run, 'model.path=/nowhere'],
      /^toolgrad: \/nowhere: expected a Hugging Face folder or/,
    ),
    refused(t, 2, ['show', at('nowhere')], /is not a run directory \(config.yaml is not there\)/),
    refused(t, 1, ['chat', '/nowhere'], /^toolgrad: \/nowhere: expected a Hugging Face folder or/),
    refused(t, 2, ['chat', base, '--tokens', '1.5'], /--tokens: expected a whole number, found 1.5/),
    refused(t, 2, ['eval', run, '--out', at('no/such/file')], /--out .*: there is no folder .*no\/such/),
  ]);
  t.false(existsSync(join(packageRoot, 'run')), 'nothing was left behind');
});

test('a dry run prints the resolved config, the memory plan and one tool call, and leaves nothing', async (t) => {
  const { code, out, err } = await toolgrad([
    'train',
    at('run.yaml'),
    `run=${at('dry')}`,
    'rl.steps=7',
    '--dry-run',
  ]);
  t.is(code, 0, err);
  t.regex(out, /^# resolved config\nrun: /);
  t.regex(out, /\nrl:\n {2}steps: 7\n/);
  t.regex(
    out,
    /\n# memory plan\nweights +[\d.]+ KB\n[\s\S]*activations \(\d+ tokens a micro-batch, recompute none\) [\s\S]*\ntotal +[\d.]+ MB\n/,
  );
  t.regex(out, /\nthis process besides, as it is now +[\d.]+ MB\npeak resident +[\d.]+ MB\n/);
  t.regex(out, /\nheld per parameter +[\d.]+ B\nactivations per token of a micro-batch +[\d.]+ KB\n/);
  t.regex(out, /\n# one tool call\nPython 3[\s\S]*\nstatus ok, \d+ ms, output: 3\.\d+\.\d+ 42\n/);
  t.false(existsSync(at('dry')));
});

test('a run from start to end, shown and evaluated afterwards, without escape codes', async (t) => {
  const run = at('whole');
  const { code, out, err } = await toolgrad(['train', at('run.yaml'), `run=${run}`]);
  t.is(code, 0, err);
  t.is(err, '');
  t.false(out.includes('\x1b') || out.includes('\r'), 'plain lines where there is no terminal');
  t.regex(out, /^model {2}.*base: 32 K parameters, bfloat16, \w+ kernels on 2 threads\nmemory /);
  t.regex(out, /\nsft 6\/6 {2}loss \d+\.\d{3} {2}grad \d+\.\d\d {2}lr \S+ +\d+ tok\/s {2}eta 0s\n/);
  const rl =
    /\nrl 4\/4 {2}reward +-?\d\.\d\d {2}solved +\d+% {2}calls \d\.\d\d {2}tool errors +\d+% {2}gap 0 {2}dead \d\/3 +\d+ tok\/s {2}gen \S+s tool \S+s upd \S+s {2}eta 0s\n/;
  t.regex(out, rl);
  t.regex(out, /\nheld-out questions +before +after SFT +RL step 2 +after RL +after RL, no tool\n/);
  t.true(out.endsWith(`\nrun directory: ${run}\nmodel: ${join(run, 'checkpoints', '000010')}\n`));

  const model = `model.path=${join(run, 'checkpoints', '000010')}`;
  const [overview, rollouts, wrong, missing, again, evaluated, text] = await Promise.all([
    toolgrad(['show', run]),
    toolgrad(['show', run, '7', '--limit', '2']),
    toolgrad(['show', run, '10', '--eval', '--wrong']),
    toolgrad(['show', run, '99']),
    toolgrad(['train', at('run.yaml'), `run=${run}`]),
    toolgrad(['eval', at('run.yaml'), model, '--out', at('evaluation')]),
    toolgrad(['eval', at('run.yaml'), model, '--no-tool']),
  ]);
  t.regex(
    overview.out,
    /^sft step +loss[\s\S]*\nrl step +reward[\s\S]*\n10 .*\n\nevaluation[\s\S]*after RL, no tool/,
  );
  t.is(rollouts.out.match(/ sample \d: /g)!.length, 2);
  t.regex(rollouts.out, /\n {2}end: \w+.*; calls: .*; reward \S+, advantage \S+\n/);
  t.is(wrong.code, 0);
  t.false(/: right, /.test(wrong.out));
  t.is(missing.code, 2);
  t.regex(missing.err, /000099.jsonl is not there; .* has 000007, 000008, 000009, 000010\n/);
  t.is(again.code, 2);
  t.regex(
    again.err,
    /already holds a run; add --resume to continue it, --clean to start over, or run=<other path>/,
  );
  t.is(evaluated.code, 0, evaluated.err);
  t.regex(evaluated.out, /data {3}4 held-out questions x 1, Code Agent[\s\S]*all questions +\d+%/);
  t.regex(text.out, /\nheld-out questions +All Text\n[\s\S]*\ncall Python +0%\n/);

  // The evaluation of the command is the one the run made at its end.
  const ids = (records: readonly Record<string, unknown>[]) =>
    records.map(({ ledger }) => (ledger as { ids: number[] }).ids);
  t.deepEqual(
    ids(readLines(join(at('evaluation'), 'eval.jsonl'))),
    ids(readLines(join(run, 'eval', '000010.jsonl'))),
  );
});

test('Ctrl-C writes a checkpoint and prints the command that goes on', async (t) => {
  const run = at('interrupted');
  const { child, outcome, until } = start(
    process.execPath,
    cli(['train', at('run.yaml'), `run=${run}`, 'rl.steps=30', 'eval.every=0']),
  );
  await until('rl  2/30');
  process.kill(-child.pid!, 'SIGINT'); // the whole group, as a terminal does: the Python launcher gets it, too
  const { code, out, err } = await outcome;
  t.is(code, 130, out + err);
  t.regex(err, /toolgrad: stopping; the steps done are being saved \(again to stop at once\)/);
  const [, checkpoint, command] = /\ninterrupted; checkpoint (\S+)\ngo on with: (.+)\n$/.exec(out) ?? [];
  t.true(existsSync(join(checkpoint!, 'model.safetensors')), out);
  const done = Number(checkpoint!.slice(-6));
  t.log(`stopped after step ${done}; ${command}`);
  t.true(done >= 8 && done < 36);
  t.true(readdirSync(join(run, 'checkpoints')).every((name) => /^\d{6}$/.test(name)));

  const resumed = await start('sh', ['-c', command!]).outcome;
  t.is(resumed.code, 0, resumed.err);
  t.regex(resumed.out, new RegExp(`\nrl +${done - 6 + 1}/30 `), 'it goes on where it stopped');
  t.false(resumed.out.includes('\nsft '));
  const steps = readLines(join(run, 'metrics.jsonl'))
    .filter(({ kind }) => kind === 'rl')
    .map(({ step }) => step);
  t.deepEqual(
    steps,
    Array.from({ length: 30 }, (_, i) => i + 7),
  );
  t.true(
    readLines(join(run, 'metrics.jsonl')).every(({ logprob_gap: gap }) => gap === undefined || gap === 0),
  );
  t.is(
    readFileSync(join(run, 'logs', 'attempt-1.log'), 'utf8')
      .trimEnd()
      .split('\n')
      .at(-1),
    'interrupted',
  );
});

test('Ctrl-C ends an evaluation with code 130, without a stack', async (t) => {
  const long = ['eval.questions=600', 'rollout.kv_memory_mb=1'];
  const { child, outcome, until } = start(process.execPath, cli(['eval', at('run.yaml'), ...long]));
  await until('held-out questions x 1, Code Agent\n');
  process.kill(-child.pid!, 'SIGINT');
  t.deepEqual(await outcome, {
    code: 130,
    out: `model  ${base}: 32 K parameters, bfloat16\ndata   600 held-out questions x 1, Code Agent\n`,
    err: '\ntoolgrad: stopping; nothing is kept (again to stop at once)\n',
  });
});

test('doctor shows what was found', async (t) => {
  const [good, bad] = await Promise.all([toolgrad(['doctor']), toolgrad(['doctor', '--python', '/nowhere'])]);
  t.is(good.code, 0, good.out);
  for (const row of ['toolgrad ', 'node ', 'system ', 'cpu ', 'addon ', 'kernels ', 'device ', 'python ']) {
    t.regex(good.out, new RegExp(`^${row}`, 'm'));
  }
  t.regex(good.out, /^device +(cpu; no GPU can be used: .+|cuda:\d+, .+)$/m);
  t.regex(good.out, /one call: ok in \d+ ms/);
  t.is(bad.code, 1);
  t.regex(bad.out, /\npython +Python tool: expected a Python interpreter \(3.8 or newer\) at "\/nowhere"/);
});

test('chat answers each line of its input, the same each time when greedy', async (t) => {
  const talk = () => toolgrad(['chat', base, '--tokens', '12'], 'What is 2 + 2?\nThanks\n');
  const [one, two] = await Promise.all([talk(), talk()]);
  t.is(one.code, 0, one.err);
  const answers = (text: string) => text.replace(/, \d+ tok\/s/g, '');
  t.regex(
    one.out,
    /^> What is 2 \+ 2\?\n[\s\S]*\n\[\d+ tokens, \d+ tok\/s\]\n> Thanks\n[\s\S]*\n\[\d+ tokens, \d+ tok\/s\]\n$/,
  );
  t.is(answers(one.out), answers(two.out));
  t.false(one.out.includes('\x1b'));
});
