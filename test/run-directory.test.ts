/** The files of a run directory besides records and checkpoints: the lock, TensorBoard events, the model card, transcripts. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openRunDirectory } from '../lib/run/directory.ts';
import { takeLock } from '../lib/run/lock.ts';
import { modelCard } from '../lib/run/model-card.ts';
import { crc32c, createEventFile } from '../lib/run/tensorboard.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { transcript } from '../lib/view/transcript.ts';
import { temporaryFolder } from './support/runs.ts';

const temporary = temporaryFolder();
const at = (name: string) => join(temporary.path, name);
test.after.always(() => temporary.remove());

test('a run directory has one trainer at a time; the second is told who holds it', (t) => {
  const path = at('busy');
  const first = openRunDirectory(path, 'new');
  first.file('config.yaml', 'run: busy\n');
  for (const mode of ['resume', 'clean'] as const) {
    t.throws(() => openRunDirectory(path, mode), {
      code: 'ERR_RUN_LOCKED',
      message: new RegExp(`is being written by process ${process.pid}; .*remove .*/busy/lock`),
    });
  }
  t.true(existsSync(join(path, 'config.yaml')), 'clean removed nothing');
  first.close();
  const second = openRunDirectory(path, 'resume');
  t.is(second.attempt, 2);
  second.close();
  t.false(existsSync(join(path, 'lock')));
});

test('a lock left by a process that is gone is taken over, even when its number was given away', (t) => {
  const folder = at('stale');
  mkdirSync(folder);
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  writeFileSync(join(folder, 'lock'), `${hostname()} ${dead} 1\n`);
  takeLock(folder)();
  // This very process, but started at another time.
  writeFileSync(join(folder, 'lock'), `${hostname()} ${process.pid} 1\n`);
  if (existsSync('/proc/self/stat')) takeLock(folder)();
  else t.log('skipped: start times need /proc');
  writeFileSync(join(folder, 'lock'), `elsewhere.example ${dead} 1\n`);
  t.throws(() => takeLock(folder), {
    code: 'ERR_RUN_LOCKED',
    message: /process \d+ on host elsewhere.example/,
  });
});

test('of several processes that want one directory, one gets it', async (t) => {
  const folder = at('race');
  mkdirSync(folder);
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  writeFileSync(join(folder, 'lock'), `${hostname()} ${dead} 1\n`);
  const program = `
    import { takeLock } from ${JSON.stringify(new URL('../lib/run/lock.ts', import.meta.url).href)};
    try { takeLock(process.argv[1]); process.stdout.write('got'); setTimeout(() => {}, 60_000); }
    catch (error) { process.stdout.write(error.code); }`;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', program, folder]),
  );
  const words = await Promise.all(
    children.map(
      (child) => new Promise<string>((resolve) => child.stdout.once('data', (d) => resolve(String(d)))),
    ),
  );
  for (const child of children) child.kill('SIGKILL');
  t.deepEqual(words.sort(), ['ERR_RUN_LOCKED', 'ERR_RUN_LOCKED', 'ERR_RUN_LOCKED', 'got']);
  t.deepEqual(readdirSync(folder), ['lock'], 'nothing else is left');
});

test('event files are TFRecords of TensorBoard events', (t) => {
  t.is(crc32c(Buffer.from('123456789')), 0xe3069283, 'the check value of CRC-32C');
  const path = at('events');
  const file = createEventFile(path, 300, () => 1_500_000);
  file.scalars(301, { reward: 0.5, ends: { answer: 1 }, solved: 1 }, 'rl');
  const events = [];
  const data = readFileSync(path);
  const mask = (crc: number) => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  for (let p = 0; p < data.length; ) {
    const length = Number(data.readBigUInt64LE(p));
    t.is(data.readUInt32LE(p + 8), mask(crc32c(data.subarray(p, p + 8))));
    const body = data.subarray(p + 12, p + 12 + length);
    t.is(data.readUInt32LE(p + 12 + length), mask(crc32c(body)));
    events.push(body.toString('hex'));
    p += 16 + length;
  }
  // wall_time 1500.0 = 0x4097700000000000; field 2 is the step (300 + 1 = 0xad 0x02), field 7 a session start, field 5 a summary.
  const time = '09' + '0000000000709740';
  const value = (tag: string, float: string) => {
    const inner = `0a${tag.length.toString(16).padStart(2, '0')}${Buffer.from(tag).toString('hex')}15${float}`;
    return `0a${(inner.length / 2).toString(16).padStart(2, '0')}${inner}`;
  };
  const summary = value('rl/reward', '0000003f') + value('rl/solved', '0000803f');
  t.deepEqual(events, [
    `${time}1a0d${Buffer.from('brain.Event:2').toString('hex')}`,
    `${time}10ad023a020801`,
    `${time}10ad022a${(summary.length / 2).toString(16)}${summary}`,
  ]);
});

test('the model card says what was trained, how it did, and what is not known', (t) => {
  const config = parseConfig(
    'run: runs/mine\nmodel: { path: ./base }\ntasks: { names: [gcd] }\nsft: { steps: 5 }\nrl: { steps: 7 }\n',
    'c.yaml',
  );
  const evaluations = [{ name: 'after RL', step: 12, accuracy: 0.625, callShare: 1, questions: 40 }];
  const card = modelCard(config, {
    checkpoint: 'checkpoints/000012',
    evaluations,
    stepsDone: 12,
    interrupted: false,
  });
  for (const line of [
    'base_model: "./base"',
    '# mine',
    '* **Cold start**: 5 steps of 8 traces, peak lr 0.00003',
    '| after RL | 12 | 40 | 62.5 % | 100.0 % |',
    'model = AutoModelForCausalLM.from_pretrained("checkpoints/000012")',
  ])
    t.true(card.split('\n').includes(line), line);
  t.notRegex(card, /Not finished|undefined|NaN/);
  const early = modelCard(config, { checkpoint: null, evaluations: [], stepsDone: 3, interrupted: true });
  t.regex(
    early,
    /\*\*Not finished\*\*: 3 of 12 steps[\s\S]*None was made\.[\s\S]*There is no checkpoint yet\./,
  );
});

test('a transcript marks every line with its writer, and sends no escapes to the terminal', (t) => {
  const text = transcript({
    question: { id: 'q/1', prompt: 'p', answer: '3' },
    sample: 0,
    end: 'answer',
    reason: null,
    answer: '3',
    correct: true,
    segments: [
      { origin: 'prompt', text: 'Add 1 and 2\n<|im_start|>assistant\n' },
      { origin: 'policy', text: '```python\nprint(3)\n```' },
      { origin: 'template', text: '\nCode Execution Results:\n' },
      { origin: 'tool', text: '3\u001b[31m\n' },
      { origin: 'policy', text: '<<<3>>>' },
    ],
    calls: [{ status: 'ok', seconds: 0.5 }],
    reward: 1,
    advantage: -0.25,
  });
  t.deepEqual(text.split('\n'), [
    'q/1 sample 0: right, answer 3, expected 3',
    '  prompt | Add 1 and 2',
    '  prompt | <|im_start|>assistant',
    '   model | ```python',
    '   model | print(3)',
    '   model | ```',
    '  format | Code Execution Results:',
    '    tool | 3\\x1b[31m',
    '   model | <<<3>>>',
    '  end: answer; calls: ok 0.50s; reward 1, advantage -0.250',
  ]);
});
