/** Runs with an adapter: GRPO without a gap, the reference on the same base, checkpoints, resume, and the command line. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openAdapter } from '../lib/model/adapter-files.ts';
import { openModel } from '../lib/model/open.ts';
import { packageRoot } from '../lib/package.ts';
import { readLines } from '../lib/run/directory.ts';
import { openReference } from '../lib/train/lora.ts';
import { memoryPlan } from '../lib/train/memory.ts';
import { policyStep } from '../lib/train/policy-step.ts';
import { sftStep } from '../lib/train/sft.ts';
import { type TrainOptions, type TrainResult, train } from '../lib/train/train.ts';
import { parameterBits, randomiseAdapter, tinyLora } from './support/adapters.ts';
import { alone, bits } from './support/batches.ts';
import { openTiny, tinyFolder } from './support/rollouts.ts';
import { folderWithBase, lengthReward, recordsOf, runConfig, runYaml } from './support/runs.ts';
import { adamw, grpo, ppo, sampleGroups, scoredBy, spread, tracesOf } from './support/training.ts';

const { base, at } = await folderWithBase();
const baseBytes = readFileSync(join(base, 'model.safetensors'));

const lora = ['lora.rank=4', 'lora.alpha=8', 'sft.lr=0.01', 'rl.lr=0.01'];
const config = (name: string, overrides: readonly string[] = []) =>
  runConfig(base, at(name), [...lora, ...overrides]);
function run(
  name: string,
  options: TrainOptions = {},
  overrides: readonly string[] = [],
): Promise<TrainResult> {
  return train(config(name, overrides), { reward: lengthReward, ...options });
}

async function adaptedTiny() {
  const opened = await openTiny({ trainable: true, lora: tinyLora });
  await randomiseAdapter(opened.model);
  return opened;
}

test('a GRPO step with an adapter has gap 0, moves the adapter alone, and sees one flipped bit of it', async (t) => {
  const opened = await adaptedTiny();
  using model = opened.model;
  const scored = scoredBy(await sampleGroups(opened, 3, 4), spread);
  const base = await parameterBits(model, model.parameterNames);
  const before = await parameterBits(model, model.adapterNames);
  const name = model.adapterNames[5]!;
  const values = await model.parameter(name);
  const flipped = values.slice();
  new Uint32Array(flipped.buffer)[3]! ^= 1 << 18;
  await model.setParameter(name, flipped);
  const error = await t.throwsAsync(policyStep(model, scored, 4, grpo), { code: 'ERR_LOGPROB_GAP' });
  t.log(error!.message);
  await model.setParameter(name, values);
  const report = await policyStep(model, scored, 4, { ...grpo, miniBatches: 3, epochs: 2 });
  t.is(report.logprobGap, 0);
  t.is(report.updates, 6);
  t.log(`gap ${report.logprobGap} over ${report.tokensInLoss} tokens`);
  t.deepEqual(await parameterBits(model, model.parameterNames), base);
  const after = await parameterBits(model, model.adapterNames);
  for (const adapted of model.adapterNames) t.notDeepEqual(after.get(adapted), before.get(adapted), adapted);
});

test('micro-batches change no bit of the adapter, in SFT and in GRPO', async (t) => {
  const results: unknown[] = [];
  for (const microBatchTokens of [100_000, 150, 1]) {
    const opened = await adaptedTiny();
    using model = opened.model;
    const scored = scoredBy(await sampleGroups(opened, 2, 4), spread);
    await policyStep(model, scored, 4, { ...grpo, microBatchTokens });
    const ledgers = tracesOf(opened.tokenizer, 5);
    await sftStep(model, ledgers, { adamw, reduction: 'sequence_mean', microBatchTokens });
    results.push(await parameterBits(model, model.adapterNames));
  }
  t.deepEqual(results[1], results[0]);
  t.deepEqual(results[2], results[0]);
});

test('the KL of the first step from the base is 0 to the bit and grows: no second model is loaded', async (t) => {
  const { model, tokenizer } = await openTiny({ trainable: true, lora: tinyLora });
  t.teardown(() => model.dispose());
  const settings = runConfig(tinyFolder, at('unused'), [...lora, 'sft.steps=0', 'sft.warmup=0']);
  const reference = await openReference(settings, model, null);
  const options = { ...grpo, adamw, reference, loss: { ...ppo, kl: 'k3', klCoef: 0.1 } as const };
  const kls: number[] = [];
  for (let step = 0; step < 3; step++) {
    const scored = scoredBy(await sampleGroups({ model, tokenizer }, 2, 4), spread);
    const report = await policyStep(model, scored, 4, options);
    t.is(report.logprobGap, 0);
    kls.push(report.kl);
  }
  t.log(`k3: ${kls.map((kl) => kl.toExponential(2)).join(', ')}`);
  t.is(kls[0], 0);
  t.true(kls[1]! > 0 && kls[2]! > 0);

  // After a cold start the reference is a second adapter, which stays where it was.
  await model.saveAdapter(at('cold'));
  const second = await openReference(runConfig(tinyFolder, at('unused'), lora), model, at('cold'));
  const ids = alone(tokenizer.encode('What is 17 times 23?'));
  const then = bits((await model.score(ids, 1)).logprobs);
  const scored = scoredBy(await sampleGroups({ model, tokenizer }, 2, 4), spread);
  const report = await policyStep(model, scored, 4, { ...options, reference: second });
  t.is(report.kl, 0);
  t.deepEqual(bits((await second.score(ids, 1)).logprobs), then);
  t.notDeepEqual(bits((await model.score(ids, 1)).logprobs), then);
});

test('the memory plan of a run adds up, and the reference of an adapter costs an adapter or nothing', async (t) => {
  const { model } = await openTiny();
  t.teardown(() => model.dispose());
  const plan = (overrides: readonly string[]) =>
    new Map(
      memoryPlan(runConfig(tinyFolder, at('unused'), overrides), {
        shape: model.config,
        kvPages: 10,
        microBatchTokens: 1024,
        recompute: 'none',
        threads: 1,
      }).lines,
    );
  const full = plan([]);
  const adapted = plan(lora);
  for (const lines of [full, adapted]) {
    const parts = [...lines].filter(([name]) => name !== 'total').map(([, bytes]) => bytes);
    t.is(
      parts.reduce((a, b) => a + b),
      lines.get('total')!,
    );
  }
  t.is(full.get('reference: a second model'), full.get('weights'));
  t.is(adapted.get('base weights, frozen'), full.get('weights'));
  t.is(
    adapted.get('reference: a second adapter, base shared'),
    adapted.get('adapter weights, fp32: their own masters'),
  );
  const bare = plan([...lora, 'sft.steps=0', 'sft.warmup=0']);
  t.is(bare.get('reference: the base with the adapter off, shared'), 0);
  const without = plan([...lora, 'rl.kl=none', 'rl.kl_coef=0']);
  t.false([...without.keys()].some((name) => name.startsWith('reference')));
  t.true(adapted.get('total')! < full.get('total')!);
});

const whole = run('whole');

test('a run with an adapter: gap 0, adapter folders as checkpoints, the base untouched', async (t) => {
  const result = await whole;
  const rl = readLines(join(at('whole'), 'metrics.jsonl')).filter(({ kind }) => kind === 'rl');
  t.deepEqual(
    rl.map((line) => line.logprob_gap),
    [0, 0, 0, 0],
  );
  t.true(rl.every((line) => Number(line.kl) > 0 && Number(line.grad_norm) > 0));
  t.deepEqual(
    readdirSync(result.checkpoint!).sort(),
    [
      'adapter_config.json',
      'adapter_model.safetensors',
      'optimizer',
      'state.json',
      'tokenizer.json',
      ...readdirSync(base).filter(
        (name) => name.startsWith('tokenizer_') || name === 'generation_config.json',
      ),
    ].sort(),
  );
  const source = openAdapter(result.checkpoint!);
  t.is(source.base, base);
  t.like(source.lora, { rank: 4, alpha: 8 });
  t.deepEqual(readFileSync(join(base, 'model.safetensors')), baseBytes);
  const sft = readLines(join(at('whole'), 'metrics.jsonl')).filter(({ kind }) => kind === 'sft');
  t.true(Number(sft.at(-1)!.loss) < Number(sft[0]!.loss));
  const card = readFileSync(join(at('whole'), 'README.md'), 'utf8');
  t.regex(card, /library_name: peft[\s\S]*LoRA\*\*: rank 4, alpha 8[\s\S]*AutoPeftModelForCausalLM/);
});

test('a run with an adapter that is interrupted again and again ends as the same run, bit for bit', async (t) => {
  await whole;
  let mode: 'new' | 'resume' = 'new';
  for (const [phase, phaseStep] of [
    ['sft', 3],
    ['sft', 6],
    ['rl', 1],
    ['rl', 3],
  ] as const) {
    const controller = new AbortController();
    const { interrupted } = await run('stopped', {
      mode,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind === phase && event.at.phaseStep === phaseStep) controller.abort(new Error('stop'));
      },
    });
    t.true(interrupted);
    mode = 'resume';
  }
  t.false((await run('stopped', { mode })).interrupted);
  for (const step of ['000006', '000010']) {
    for (const file of [
      'adapter_model.safetensors',
      'adapter_config.json',
      'optimizer/optimizer.safetensors',
    ]) {
      const [one, other] = ['whole', 'stopped'].map((name) =>
        readFileSync(join(at(name), 'checkpoints', step, file)),
      );
      t.deepEqual(other, one, `${step}/${file}`);
    }
  }
  t.deepEqual(recordsOf(at('stopped')), recordsOf(at('whole')));
});

test('a run goes on from an adapter, with it as the reference, and refuses what does not fit', async (t) => {
  const { checkpoint } = await whole;
  const from = [
    `model.path=${checkpoint}`,
    'sft.steps=0',
    'sft.warmup=0',
    'eval.questions=0',
    'eval.every=0',
  ];
  const only = [...from, 'eval.without_tool=false', 'rl.steps=2', 'rl.mini_batches=1'];
  const result = await run('further', {}, only);
  const rl = readLines(join(at('further'), 'metrics.jsonl'));
  t.is(rl[0]!.kl, 0, 'the reference is the adapter it started with');
  t.true(Number(rl[1]!.kl) > 0);
  t.is(openAdapter(result.checkpoint!).base, base);
  const resumed = await run('further', { mode: 'resume' }, [...only, 'rl.steps=3']);
  t.regex(resumed.checkpoint!, /000003$/);

  for (const [overrides, code, message] of [
    [['lora.rank=8'], 'ERR_MODEL_CONFIG', /expected rank 8 but found 4/],
    [
      ['lora.rank=0'],
      'ERR_CONFIG',
      /is an adapter, and lora.rank 0 trains all weights.*lora.rank=4 lora.alpha=8/,
    ],
    [['model.base=/nowhere'], 'ERR_FILE_NOT_FOUND', /\/nowhere/],
  ] as const)
    await t.throwsAsync(run('refused', {}, [...only, ...overrides]), { code, message });
  t.throws(() => config('refused', ['lora.targets=[all-linear, q_proj]']), { message: /all-linear alone/ });
  t.throws(() => config('refused', ['lora.targets=[lm_head]']), {
    code: 'ERR_CONFIG',
    message: /lora.targets/,
  });
  t.throws(() => config('refused', ['lora.alpha=0']), { code: 'ERR_CONFIG', message: /lora.alpha/ });
  t.false(existsSync(at('refused')));
});

/** Runs the command line in the checkout: exit code and output. */
function toolgrad(args: readonly string[], input = ''): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env;
    const main = join('lib', 'cli', 'main.ts');
    const child = execFile(
      process.execPath,
      ['--import=tsx', main, ...args],
      { cwd: packageRoot, env },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
    child.stdin!.end(input);
  });
}

test('the command line plans, evaluates, chats with and merges adapters', async (t) => {
  const { checkpoint } = await whole;
  const yaml = at('run.yaml');
  writeFileSync(yaml, runYaml(base));
  const moved = at('moved');
  cpSync(checkpoint!, moved, { recursive: true });
  const [dry, bare, evaluated, chat, merged, nothing] = await Promise.all([
    toolgrad(['train', yaml, ...lora, `run=${at('dry')}`, '--dry-run']),
    toolgrad(['train', yaml, ...lora, `run=${at('dry')}`, '--dry-run', 'sft.steps=0', 'sft.warmup=0']),
    toolgrad(['eval', join(at('whole'), 'config.yaml'), `model.path=${moved}`, `model.base=${base}`]),
    toolgrad(['chat', moved, '--base', base, '--tokens', '5'], 'What is 2 + 2?\n'),
    toolgrad(['merge', checkpoint!, at('merged'), '--dtype', 'float32']),
    toolgrad(['merge', base, at('nothing')]),
  ]);
  t.is(dry.code, 0, dry.err);
  t.regex(dry.out, /\nlora:\n {2}rank: 4\n/);
  for (const line of [
    'base weights, frozen',
    'adapter weights, fp32: their own masters',
    'adapter moments',
    'adapter gradients',
    'reference: a second adapter, base shared',
  ])
    t.regex(dry.out, new RegExp(`\n${line} +[\\d.]+ KB\n`));
  t.regex(bare.out, /\nreference: the base with the adapter off, shared +0 B\n/);
  t.is(evaluated.code, 0, evaluated.err);
  t.regex(evaluated.out, /4 held-out questions/);
  t.is(chat.code, 0, chat.err);
  t.regex(chat.out, /\[\d tokens, /);
  t.is(merged.code, 0, merged.err);
  t.regex(merged.out, /merged: rank 4, alpha 8, \d+ K parameters in all linear layers, merged in float32\n/);
  t.is(nothing.code, 2);
  t.regex(nothing.err, /is a whole model: there is nothing to merge/);

  const [whole32, adapter32] = [
    await openModel(at('merged'), { dtype: 'float32' }),
    await openModel(checkpoint!, { dtype: 'float32' }),
  ];
  const ids = alone(adapter32.tokenizer.encode('What is 17 times 23?'));
  const [one, other] = [await whole32.model.score(ids, 1), await adapter32.model.score(ids, 1)];
  const difference = Math.max(...one.logprobs.map((value, i) => Math.abs(value - other.logprobs[i]!)));
  t.log(`merged against adapter: log-probs differ by ${difference.toExponential(1)}`);
  t.true(difference < 1e-4);
  whole32.model.dispose();
  adapter32.model.dispose();
});
