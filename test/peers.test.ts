/** The comparison with other engines: turns, ratios, absent peers, and that our side and the model files are what they say. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { multipliesBf16 } from '../bench/machine.ts';
import { Absent, type Program, Subject } from '../bench/peers/conversation.ts';
import { bytesOf, copiesOf, shapes } from '../bench/peers/gemm.ts';
import { writeRandomGguf } from '../bench/peers/gguf.ts';
import { readOptions } from '../bench/peers/index.ts';
import {
  type Asked,
  bestPeer,
  type Contender,
  geometricMean,
  ratioOf,
  type Timed,
  takeTurns,
} from '../bench/peers/interleave.ts';
import { openLlama, ourRunner, torchRunner } from '../bench/peers/runners.ts';
import { disturbance, extents, groupTable, productTable, workTable } from '../bench/peers/tables.ts';
import { compareWork, modelShapes } from '../bench/peers/work.ts';
import { loadModel } from '../lib/index.ts';
import type { WeightDtype } from '../lib/model/engine.ts';

const timed = (label: string, ours: boolean, ...seconds: number[]): Timed => ({
  ...{ label, ours, seconds, peak: ours ? 1e9 : 2e9, others: 0 },
});

test('a ratio is made round by round: a slow minute that both met does not show in it', (t) => {
  const ours = timed('ours', true, 1, 10, 2);
  const peer = timed('peer', false, 2, 20, 4);
  t.deepEqual(ratioOf(ours, peer), { runs: 3, median: 2, p10: 2, p90: 2 });
  t.throws(() => ratioOf(ours, timed('peer', false, 1)), { instanceOf: RangeError, message: /3 and 1/ });
  const best = bestPeer([ours, timed('slow', false, 9, 9, 9), timed('fast', false, 3, 3, 3)]);
  t.is(best?.label, 'fast');
  t.is(bestPeer([ours]), null);
  t.true(Math.abs(geometricMean([0.5, 8]) - 2) < 1e-12);
  t.throws(() => geometricMean([1, 0]), { instanceOf: RangeError });
  t.throws(() => geometricMean([]), { instanceOf: RangeError });
});

test('every engine has one turn in each round, in one order, after all were prepared', async (t) => {
  const asked: string[] = [];
  let clock = 0;
  const contender = (name: string, milliseconds: number): Contender => {
    let runs = 0;
    const subject: Asked = {
      name,
      cpuSeconds: () => null,
      ask: async (request) => {
        if (asked.at(-1) !== `${name} ${request}`) asked.push(`${name} ${request}`);
        if (request !== 'run') return {};
        clock += milliseconds;
        return { seconds: runs++ === 0 ? 1000 : 1, peak: 7 };
      },
    };
    return { subject, label: name, ours: name === 'a', prepare: 'prepare', run: 'run' };
  };
  const results = await takeTurns([contender('a', 110), contender('b', 20)], 2, () => clock);
  const turns = ['a run', 'b run', 'a run', 'b run'];
  t.deepEqual(asked, ['a prepare', 'b prepare', ...turns, 'a release', 'b release']);
  // A short run is repeated, and the first of its turn does not count.
  t.deepEqual(results, [
    { label: 'a', ours: true, seconds: [1000, 1], peak: 7, others: null },
    { label: 'b', ours: false, seconds: [1, 1], peak: 7, others: null },
  ]);
});

test('the tables hold ours against the best peer, and leave out what was not measured', (t) => {
  const product = { group: 'dX', form: 'dX', T: 4, N: 5, K: 6, training: true } as const;
  const fp32 = { dtype: 'float32', pack: false } as const;
  const engines = [
    { ...timed('ours fp32', true, 1e-6, 1e-6), ...fp32 },
    { ...timed('A', false, 3e-6, 3e-6), ...fp32 },
    { ...timed('B', false, 2e-6, 4e-6), ...fp32 },
  ];
  t.is(extents({ ...product, timed: [] }), '4, 6, 5');
  t.is(extents({ ...product, form: 'dW', timed: [] }), '5, 6, 4');
  t.is(
    productTable([{ ...product, timed: engines }])
      .split('\n')
      .at(-1),
    '| dX 4, 6, 5 | 0.240 | 0.0800 | 0.0800 | 3.00 (3.00 – 3.00) A |',
  );
  t.is(
    groupTable([{ ...product, timed: engines }])
      .split('\n')
      .at(-1),
    '| dX: ours fp32 / fp32 peers | 1 | 3.00 | 3.00 | 3.00 | 3.00 |',
  );
  const alone = productTable([{ ...product, timed: engines.slice(0, 1) }]);
  t.false(alone.includes('best'));
  const works = workTable([{ name: 'prefill', tokens: 512, timed: engines }]).split('\n');
  t.regex(
    works.at(-2)!,
    /^\| prefill \| A \| 3\.00 µs .*\| 3\.00 \(3\.00 – 3\.00\) \| 2\.00 GB \| 0\.50 \|$/,
  );
  t.regex(works.at(-3)!, /^\| prefill \| ours fp32 \| 1\.00 µs .*\| {2}\| 1\.00 GB \| {2}\|$/);
  t.is(disturbance(engines), null);
  t.regex(disturbance([{ ...engines[0]!, others: 1.5 }, engines[1]!])!, /1 of 2 .*at most 1\.50/);
});

test('products in bf16 are held against peers in bf16, packing against packing, and against those in fp32', (t) => {
  const product = { group: 'dX', form: 'dX', T: 4, N: 5, K: 6, training: true } as const;
  const engine = (label: string, ours: boolean, dtype: WeightDtype, pack: boolean, seconds: number) => ({
    ...timed(label, ours, seconds, seconds),
    ...{ dtype, pack },
  });
  const all = [
    engine('ours fp32', true, 'float32', false, 2e-6),
    engine('ours bf16', true, 'bfloat16', false, 1e-6),
    engine('ours bf16 + packing', true, 'bfloat16', true, 2e-6),
    engine('A', false, 'float32', false, 4e-6),
    engine('A bf16', false, 'bfloat16', false, 3e-6),
    engine('A bf16 + packing', false, 'bfloat16', true, 5e-6),
  ];
  const [header, , ...rows] = productTable([{ ...product, timed: all }]).split('\n');
  t.true(
    header!.endsWith(
      'ours fp32 / fp32 peers, best | ours bf16 / bf16 peers, best | ours bf16 / fp32 peers, best |',
    ),
  );
  const ratio = (value: string, peer: string) => `${value} (${value} – ${value}) ${peer}`;
  t.is(rows.length, 1);
  t.true(rows[0]!.endsWith(`| ${ratio('2.00', 'A')} | ${ratio('3.00', 'A bf16')} | ${ratio('4.00', 'A')} |`));
  t.deepEqual(
    groupTable([{ ...product, timed: all }])
      .split('\n')
      .slice(2),
    [
      '| dX: ours fp32 / fp32 peers | 1 | 2.00 | 2.00 | 2.00 |  |  |',
      '| dX: ours bf16 / bf16 peers | 1 | 3.00 | 3.00 |  | 3.00 |  |',
      '| dX: ours bf16 / fp32 peers | 1 | 4.00 | 4.00 | 4.00 |  |  |',
      '| dX: ours bf16 + packing / bf16 peers | 1 | 2.50 | 2.50 |  |  | 2.50 |',
      '| dX: ours bf16 + packing / fp32 peers | 1 | 2.00 | 2.00 | 2.00 |  |  |',
    ],
  );
  // Without the library: nothing stands in its place.
  const fp32Only = all.filter(({ label }) => !label.startsWith('A bf16'));
  t.false(groupTable([{ ...product, timed: fp32Only }]).includes('bf16 peers'));
});

test('peers run in bf16, too, where the processor multiplies it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-peers-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'cpuinfo');
  for (const [flags, expected] of [
    ['avx512f avx512_bf16 amx_tile', true],
    ['avx512f amx_bf16', true],
    ['avx2 avx512f avx512_vnni', false],
  ] as const) {
    writeFileSync(file, `processor\t: 0\nflags\t\t: fpu ${flags} sse\n`);
    t.is(multipliesBf16(file), expected, flags);
  }
  t.false(multipliesBf16(join(folder, 'none')));
  t.throws(() => readOptions(['--peers', '--peer-bf16']), { message: /peer-bf16/ });
});

const node = (script: string): Program => ({ command: process.execPath, args: ['-e', script] });
const start = (script: string) => Subject.start(node(script));

test('a peer that is not here is absent, with its reason; one that fails is an error', async (t) => {
  const absent = { instanceOf: Absent };
  await t.throwsAsync(Subject.start({ command: '/no/such/program', args: [] }), absent);
  await t.throwsAsync(start('console.error("no library"); process.exit(77)'), {
    ...absent,
    message: 'no library',
  });
  const failed = await t.throwsAsync(start('console.error("broken"); process.exit(3)'), {
    message: /ended with 3: broken/,
  });
  t.false(failed instanceof Absent);
  await t.throwsAsync(start('console.log("Hello")'), { message: /expected a line of JSON/ });
  const torch = torchRunner('python3', 'small', 'float32', 1).program;
  // Without its packages, whatever this Python has.
  await t.throwsAsync(Subject.start({ ...torch, args: ['-I', '-S', ...torch.args] }), {
    ...absent,
    message: /^PyTorch: not compared with/,
  });
  t.throws(() => openLlama(undefined, undefined), { ...absent, message: /--llama PATH/ });
  t.throws(() => openLlama('/no/such/folder', undefined), { ...absent, message: /no llama\.h/ });
});

const peer = (answer: string) => `
  console.log(JSON.stringify({ name: 'Echo', detail: 'a test' }));
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => { ${answer} });`;

test('what a peer says is read strictly', async (t) => {
  const good = await start(peer('console.log(JSON.stringify({ seconds: 1, peak: 2, line }))'));
  t.deepEqual([good.name, good.detail], ['Echo', 'a test']);
  t.deepEqual(await good.ask('run'), { seconds: 1, peak: 2, line: 'run' });
  if (process.platform === 'linux') t.true(good.cpuSeconds()! >= 0);
  await good.close();
  const bad = await start(peer('console.log(JSON.stringify({ error: "no such work" }))'));
  await t.throwsAsync(bad.ask('prepare'), { message: 'Echo, "prepare": no such work' });
  await bad.close();
  const dying = await start(peer('console.error("out of memory"); process.exit(1)'));
  await t.throwsAsync(dying.ask('run'), { message: /Echo ended during "run"/ });
  await dying.close();
  const vague = await start(peer('console.log(JSON.stringify({ seconds: "fast", peak: 1 }))'));
  const contender = { subject: vague, label: 'Echo', ours: false, prepare: 'prepare', run: 'run' };
  await t.throwsAsync(takeTurns([contender], 1), { message: /expected a number for seconds/ });
  await vague.close();
});

test('our side does the work through the public API, beside a peer and without the absent one', async (t) => {
  const echo = node(peer('console.log(JSON.stringify({ seconds: 1e-3, peak: 1e6 }))'));
  const runners = [
    ourRunner('small', 'bfloat16', 1),
    ourRunner('small', 'bfloat16', 1, 'selective'),
    { label: 'fp32', ours: false, program: echo },
    { label: 'fp32', ours: false, program: node('console.error("not here"); process.exit(77)') },
  ];
  const works = [
    { kind: 'decode', batch: 2, prompt: 3, steps: 2 },
    { kind: 'prefill', length: 40 },
    { kind: 'train', sequences: 2, length: 8 },
    { kind: 'grpo', prompts: 2, group: 3, prompt: 5, tokens: 4 },
  ] as const;
  for (const work of works) {
    const { compared, details, skipped } = await compareWork('small', work, runners, 2);
    t.deepEqual(
      compared.timed.map(({ label }) => label),
      ['ours bf16', 'ours bf16, recompute selective', 'Echo fp32'],
    );
    t.true(compared.timed.every(({ seconds, peak: bytes }) => seconds.length === 2 && bytes > 0));
    for (const { seconds } of compared.timed) t.true(seconds.every((each) => each > 0 && each < 60));
    t.deepEqual([details, skipped], [['Echo: a test'], ['not here']]);
  }
});

test('the random GGUF file is a model of the shapes, in each type', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-peers-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const small = { ...modelShapes['qwen2.5']!, layers: 1, hiddenSize: 64, heads: 1, kvHeads: 1 };
  const config = { ...small, intermediateSize: 96, vocabSize: 96 };
  const weights: Float32Array[] = [];
  for (const type of ['F32', 'F16', 'BF16'] as const) {
    const file = join(folder, `${type}.gguf`);
    writeRandomGguf(file, config, type);
    using model = await loadModel(file, { dtype: 'float32' });
    const { hiddenSize, layers, heads, kvHeads, headDim, intermediateSize, vocabSize, qkvBias } = config;
    t.like(model.config, { hiddenSize, layers, heads, kvHeads, headDim, intermediateSize, vocabSize });
    t.is(model.config.qkvBias, qkvBias);
    weights.push(await model.parameter('model.layers.0.mlp.down_proj.weight'));
    t.true((await model.parameter('model.norm.weight')).every((value) => value === 1));
  }
  const [f32, f16, bf16] = weights;
  t.true(Math.abs(f32!.reduce((sum, value) => sum + value * value, 0) / f32!.length - 4e-4) < 2e-5);
  const off = (values: Float32Array) => Math.max(...values.map((value, i) => Math.abs(value - f32![i]!)));
  t.log(`largest difference: f16 ${off(f16!)}, bf16 ${off(bf16!)}`);
  t.true(off(f16!) > 0 && off(f16!) <= 0.0625 * 2 ** -10);
  t.true(off(bf16!) > 0 && off(bf16!) <= 0.0625 * 2 ** -7);
});

test('shapes and options are what the documentation says', (t) => {
  const all = shapes(false);
  t.deepEqual([...new Set(all.map(({ group }) => group))], ['M = 1', 'M = 16', 'M ≥ 64', 'dX', 'dW']);
  t.true(shapes(true).length < all.length && shapes(true).every(({ N, K }) => N * K < 5e6));
  const [row] = all;
  t.true(copiesOf(row!, 4) > 1 && copiesOf({ ...row!, T: 64 }, 4) === 1);
  const square = { group: 'dX', form: 'dX', T: 100, N: 100, K: 100, training: true } as const;
  t.is(bytesOf(square, 9), 4 * 1e4 * (9 * 3 + 2 + 3 + 2));
  t.deepEqual(readOptions(['--peers']).parts, ['gemm', 'training', 'decode', 'llama']);
  const some = readOptions(['--peers', 'llama', 'gemm', '--runs', '7', '--blis', '/b.so', '--threads', '3']);
  t.like(some, { parts: ['gemm', 'llama'], rounds: 7, threads: 3, paths: { blis: '/b.so' } });
  t.throws(() => readOptions(['--peers', 'gem']), { message: /received gem/ });
  t.throws(() => readOptions(['--peers', '--runs', '0']), { message: /--runs/ });
});
