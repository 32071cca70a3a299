/** Configs that extend others, and the packaged presets: what wins, what is named in errors, and that they give the libraries' numbers. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { kernels } from '../lib/index.ts';
import { Tensor } from '../lib/model/tensor.ts';
import { packageRoot } from '../lib/package.ts';
import type { Config } from '../lib/run/config.ts';
import { presetNames } from '../lib/run/layers.ts';
import { formatConfig, parseConfig } from '../lib/run/yaml.ts';
import { lossWeights } from '../lib/train/batch.ts';
import { estimateAdvantages } from '../lib/train/estimate.ts';
import { policyOptions } from '../lib/train/setup.ts';
import { temporaryFolder } from './support/runs.ts';
import { TensorFile } from './support/safetensors.ts';
import { sharedPath } from './support/shared.ts';

const temporary = temporaryFolder();
test.after.always(() => temporary.remove());

const least = 'model: { path: m }\ntasks: { names: [gcd] }\n';
const withPreset = (name: string, overrides: readonly string[] = []) =>
  parseConfig(`extends: ${name}\n${least}`, 'run.yaml', overrides);

/** Writes files into a new folder and returns the path of the first. */
function written(name: string, files: Readonly<Record<string, string>>): string {
  for (const [file, text] of Object.entries(files)) {
    const path = join(temporary.path, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return join(temporary.path, name, Object.keys(files)[0]!);
}
const read = (path: string, overrides: readonly string[] = []) =>
  parseConfig(readFileSync(path, 'utf8'), path, overrides);
const refusal = (t: ExecutionContext, path: string, overrides: readonly string[] = []) =>
  t.throws(() => read(path, overrides), { code: 'ERR_CONFIG' })!.message;

test('the file wins over what it extends, key by key, and arguments over both', (t) => {
  const path = written('wins', {
    'run.yaml': `extends: deeper/middle.yaml\nrl: { group: 3 }\n`,
    'deeper/middle.yaml': `extends: ../base.yaml\nseed: 2\nrl: { group: 4, prompts: 5 }\ntasks: { names: [letters] }\n`,
    'base.yaml': `extends: verl\n${least}seed: 1\nrl: { group: 6, prompts: 7, clip_high: 0.28 }\n`,
  });
  const config = read(path, ['rl.prompts=9']);
  t.like(config, {
    seed: 2,
    model: { path: 'm' },
    rl: { group: 3, prompts: 9, clip_high: 0.28, dual_clip: 3 },
  });
  t.deepEqual(config.tasks.names, ['letters'], 'lists are replaced');
  const text = formatConfig(config);
  t.notRegex(text, /extends/);
  t.deepEqual(parseConfig(text, 'resolved.yaml'), config, 'the resolved config is complete');
});

test('an error about a value names the file it came from', (t) => {
  const path = written('places', {
    'run.yaml': `extends: base.yaml\n${least}rl:\n  steps: 3\n`,
    'base.yaml': `rl:\n  group: 0\n  stesp: 3\nsede: 4\n`,
  });
  const base = join(dirname(path), 'base.yaml');
  t.deepEqual(refusal(t, path).split('\n').sort(), [
    `${base}:2:10: rl.group: expected at least 1, found 0`,
    `${base}:3:3: rl.stesp: unknown key; did you mean rl.steps?`,
    `${base}:4:1: sede: unknown key; did you mean seed?`,
  ]);
  t.is(
    t.throws(() => withPreset('verl', ['rl.loss=gspo']), { code: 'ERR_CONFIG' })!.message,
    'presets/verl.yaml:10:14: rl.dual_clip: dual_clip belongs to ppo_clip; rl.loss is gspo',
  );
  t.notThrows(() => withPreset('verl', ['rl.loss=gspo', 'rl.dual_clip=0']));
});

test('names that are no preset, files that are not there and circles are errors with line and column', (t) => {
  const one = (text: string) => written('wrong', { 'run.yaml': `${least}${text}` });
  const refused = (text: string, message: RegExp) => t.regex(refusal(t, one(text)), message);
  refused(
    'extends: retol\n',
    /run.yaml:3:10: extends: unknown preset "retol"; did you mean retool\? \(a file /,
  );
  refused('extends: zzzzzzzz\n', /run.yaml:3:10: extends: unknown preset "zzzzzzzz"; there are hermes, /);
  refused('extends: no.yaml\n', /run.yaml:3:10: extends: cannot read .*no.yaml: ENOENT/);
  refused(
    'extends: [verl]\n',
    /run.yaml:3:10: extends: expected the name of a preset or a path, found \["verl"\]/,
  );
  refused('extends:\n', /run.yaml:3:\d+: extends: expected the name of a preset or a path, found null/);
  refused('extend: verl\n', /run.yaml:3:1: extend: unknown key; did you mean extends\?/);
  refused(
    'extends: run.yaml\n',
    /run.yaml:3:10: extends: files extend each other in a circle: .*run.yaml -> .*run.yaml$/,
  );
  const circle = written('circle', {
    'a.yaml': 'extends: b.yaml\n',
    'b.yaml': 'seed: 1\nextends: ./a.yaml\n',
  });
  t.regex(
    refusal(t, circle),
    /b.yaml:2:10: extends: files extend each other in a circle: .*a.yaml -> .*b.yaml -> .*a.yaml$/,
  );
  const broken = written('broken', { 'run.yaml': 'extends: b.yaml\n', 'b.yaml': '- 1\n' });
  t.regex(refusal(t, broken), /b.yaml: expected keys and values, found a list$/);
  t.regex(
    refusal(t, one(''), ['extends=verl']),
    /^argument extends=verl: extends belongs into a config file/,
  );
});

test('every preset is a config', (t) => {
  t.deepEqual(presetNames(), ['hermes', 'r1ci', 'retool', 'trl', 'verl']);
  for (const name of presetNames()) t.notThrows(() => withPreset(name), name);
  t.like(withPreset('r1ci').rl, {
    group: 5,
    reward: 'r1ci',
    reduction: 'sequence_mean',
    kl: 'k3',
    kl_coef: 0.001,
  });
  t.like(withPreset('retool').rl, {
    reward: 'retool',
    kl: 'none',
    clip_high: 0.28,
    dual_clip: 10,
    eps: 1e-6,
  });
  t.like(withPreset('hermes').rl, { reward: 'hermes', mini_batches: 8, group: 16, dual_clip: 10 });
});

test('what a source does not state is marked so in its preset, key by key', (t) => {
  const marked = (name: string) => {
    const text = readFileSync(join(packageRoot, 'presets', `${name}.yaml`), 'utf8');
    return [...text.matchAll(/^\s+(\w+): .* # .*not stated/gm)].map((match) => match[1]!);
  };
  const r1ci = marked('r1ci');
  for (const key of ['clip_low', 'eps', 'mini_batches', 'total_tokens'])
    t.true(r1ci.includes(key), `r1ci ${key}`);
  for (const key of ['group', 'kl_coef', 'max_calls', 'seconds']) t.false(r1ci.includes(key), `r1ci ${key}`);
  const retool = marked('retool');
  for (const key of ['clip_low', 'dual_clip', 'prompts', 'group'])
    t.true(retool.includes(key), `retool ${key}`);
  for (const key of ['reward', 'kl', 'total_tokens']) t.false(retool.includes(key), `retool ${key}`);
});

interface GoldenCase {
  readonly name: string;
  readonly loss: number;
  readonly inputs: readonly string[];
}

/** Which golden loss a preset gives, with what a user of the library would have set besides. */
const kLosses: readonly (readonly [preset: string, overrides: string[], golden: string])[] = [
  ['verl', ['rl.kl=k3', 'rl.kl_coef=0.04'], 'verl.ppo_clip_plus_kl_k3'],
  ['verl', ['rl.clip_high=0.28'], 'verl.dual_clip3.token-mean'],
  ['verl', ['rl.clip_high=0.28', 'rl.reduction=sequence_mean'], 'verl.dual_clip3.seq-mean-token-mean'],
  ['verl', ['rl.dual_clip=0'], 'verl.ppo_clip.token-mean.adv_seq'],
  ['verl', ['rl.dual_clip=0', 'rl.reduction=sequence_sum'], 'verl.ppo_clip.seq-mean-token-sum.adv_seq'],
  ['verl', ['rl.dual_clip=0', 'rl.loss=cispo', 'rl.clip_high=0.28'], 'verl.cispo.adv_seq'],
  ['verl', ['rl.dual_clip=0', 'rl.loss=reinforce'], 'verl.reinforce.token-mean.adv_seq'],
  ['trl', [], 'trl.dapo.token'],
  ['trl', ['rl.reduction=sequence_mean'], 'trl.grpo.token'],
  ['trl', ['rl.reduction=constant', 'rl.reduction_length=64'], 'trl.dr_grpo.token'],
  ['trl', ['rl.clip_high=0.28'], 'trl.dapo.clip_higher'],
  ['trl', ['rl.clip_high=0.28', 'rl.ratio_cap=2'], 'trl.dapo.delta'],
  ['trl', ['rl.loss=cispo', 'rl.clip_low=1', 'rl.clip_high=4'], 'trl.cispo.eps_max5'],
  ['trl', ['rl.kl=k3', 'rl.kl_coef=0.04'], 'trl.dapo.beta0.04.kl_times_ratio'],
  ['trl', ['rl.kl=k3', 'rl.kl_coef=0.04', 'rl.kl_times_ratio=false'], 'trl.dapo.beta0.04.plain_kl'],
  ['trl', ['rl.kl=k3', 'rl.kl_coef=0.04', 'rl.reduction=sequence_mean'], 'trl.grpo.beta0.04.kl_times_ratio'],
];

test("the presets verl and trl give their library's losses and gradients", async (t) => {
  const folder = sharedPath(t, 'golden/losses');
  if (folder === undefined) return;
  const { cases } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
    cases: GoldenCase[];
  };
  const inputs = new TensorFile(join(folder, 'inputs.safetensors'));
  const expected = new TensorFile(join(folder, 'expected.safetensors'));
  for (const [preset, overrides, name] of kLosses) {
    const golden = cases.find((one) => one.name === name)!;
    const config = withPreset(preset, overrides);
    const { loss, gradient } = await lossOf(config, inputs, golden);
    const lossError = Math.abs(loss - golden.loss) / Math.max(1e-3, Math.abs(golden.loss));
    const gradientError = worstDifference(gradient, expected.f32(`grad/${name}`));
    t.log(
      `${preset} ${name}: loss ${lossError.toExponential(1)} relative, gradient ${gradientError.toExponential(1)}`,
    );
    t.true(lossError < 1e-5 && gradientError < 1e-6, name);
  }
});

async function lossOf(config: Config, inputs: TensorFile, golden: GoldenCase) {
  const [rows, columns] = [8, 24];
  const options = policyOptions(config, 1024, 1e-6);
  const mask = inputs.tensors.get('response_mask')!.data;
  const masks = Array.from({ length: rows }, (_, row) =>
    Uint8Array.from(mask.subarray(row * columns, (row + 1) * columns)),
  );
  const weights = lossWeights(masks, options.reduction, options.countEmptyRows);
  const weight = new Float32Array(rows * columns);
  weights.forEach((row, r) => {
    row.forEach((value, c) => {
      weight[r * columns + c] = masks[r]![c]! * value;
    });
  });
  const advantages = inputs.f32('adv_seq');
  const tensor = (values: Float32Array) => Tensor.from(values);
  const given = (name: string) => (golden.inputs.includes(name) ? tensor(inputs.f32(name)) : undefined);
  const oldLogprobs = given('logp_old');
  const refLogprobs = given('logp_ref');
  const result = await kernels.policyLoss({
    logprobs: tensor(inputs.f32('logp_new')),
    weight: tensor(weight),
    seqStarts: Tensor.from(Int32Array.from({ length: rows + 1 }, (_, row) => row * columns)),
    advantages: tensor(Float32Array.from(weight, (_, i) => advantages[Math.floor(i / columns)]!)),
    ...(oldLogprobs === undefined ? {} : { oldLogprobs }),
    ...(refLogprobs === undefined ? {} : { refLogprobs }),
    loss: options.loss,
  });
  return { loss: result.loss, gradient: result.dLogprobs.data };
}

function worstDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Number.NaN;
  let worst = 0;
  for (let i = 0; i < found.length; i++) {
    worst = Math.max(worst, Math.abs(found[i]! - expected[i]!) / (1 + 20 * Math.abs(expected[i]!)));
  }
  return worst;
}

test("the presets verl and trl give their library's advantages", (t) => {
  const folder = sharedPath(t, 'golden/advantages');
  if (folder === undefined) return;
  const inputs = new TensorFile(join(folder, 'inputs.safetensors'));
  const expected = new TensorFile(join(folder, 'expected.safetensors'));
  const rewards = inputs.f32('rewards');
  const groups = inputs.tensors.get('group_ids')!.data;
  const groupSize = [...groups].filter((group) => group === groups[0]).length;
  const [rows, columns] = inputs.tensors.get('response_mask')!.shape as [number, number];
  const masks = Array.from({ length: rows }, (_, row) =>
    Uint8Array.from(inputs.tensors.get('response_mask')!.data.subarray(row * columns, (row + 1) * columns)),
  );
  for (const [preset, overrides, name] of [
    ['verl', [], 'verl.grpo'],
    ['trl', [], 'trl.grpo.group'],
    ['trl', ['rl.std_scope=batch'], 'trl.grpo.batch'],
    ['trl', ['rl.std=none'], 'trl.grpo.none'],
  ] as const) {
    const estimate = estimateAdvantages(
      { rewards, kept: new Uint8Array(rows).fill(1), groupSize, masks, penalties: null, values: null },
      policyOptions(withPreset(preset, overrides), 1024, 1e-6).advantage,
    );
    const worst = worstDifference(estimate.means, expected.f32(name));
    t.log(`${preset} ${name}: ${worst.toExponential(1)}`);
    t.true(worst < 1e-5, name);
  }
});
