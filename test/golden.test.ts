/** The engine against reference numbers of transformers in ../shared/golden and ../shared/models (skipped when absent). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { loadModel } from '../lib/model/model.ts';
import { alone, crossEntropy, packed, tokenMeanWeights } from './support/batches.ts';
import {
  type Comparison,
  compareForward,
  compareRlObjective,
  compareTraining,
  GoldenModel,
  goldenModels,
  greedyContinuation,
  relativeError,
  tableLine,
  worstPerTensor,
} from './support/golden-models.ts';
import { TensorFile } from './support/safetensors.ts';
import { sharedPath } from './support/shared.ts';

function checkRows(t: ExecutionContext, rows: readonly Comparison[]): void {
  for (const row of worstPerTensor(rows)) t.log(tableLine(row));
  for (const row of rows) t.true(row.error <= row.bound, tableLine(row));
}

for (const name of goldenModels) {
  test(`${name} in fp32 matches logits, log-probs, entropies, loss, every gradient and the greedy ids`, async (t) => {
    const root = sharedPath(t, 'golden/models');
    if (root === undefined) return;
    const golden = new GoldenModel(root, name);
    using model = await loadModel(golden.folder, { dtype: 'float32', trainable: true });
    checkRows(t, [...(await compareForward(model, golden)), ...(await compareTraining(model, golden))]);
    const { prompt_ids, new_ids } = golden.expected.greedy;
    t.deepEqual(await greedyContinuation(model, prompt_ids, new_ids.length), new_ids);
  });

  test(`${name} in bf16 is within twice the error of a plain bf16 computation`, async (t) => {
    const root = sharedPath(t, 'golden/models');
    if (root === undefined) return;
    const golden = new GoldenModel(root, name);
    using model = await loadModel(golden.folder, { dtype: 'bfloat16', trainable: true });
    const forward = await compareForward(model, golden);
    const logits = forward.filter(({ tensor }) => tensor === 'logits');
    checkRows(t, [...logits, ...(await compareTraining(model, golden))]);
    let worst = 0;
    for (const i of [1, 2, 3]) {
      const scores = await model.score(alone(golden.ids(i)), 1);
      const expected = golden.forward.f32(`seq${i}.logp_next`);
      expected.forEach((logprob, k) => {
        worst = Math.max(worst, Math.abs(scores.logprobs[k + 1]! - logprob));
      });
    }
    t.log(`log-prob: worst ${worst.toFixed(4)}, plain bf16 ${golden.bf16.logp_max_abs.toFixed(4)}`);
    t.true(worst <= 2 * golden.bf16.logp_max_abs);
  });
}

test('a policy-gradient objective with temperature and entropy bonus has the golden gradients', async (t) => {
  const root = sharedPath(t, 'golden/models');
  if (root === undefined) return;
  const golden = new GoldenModel(root, 'qwen2-tied');
  using model = await loadModel(golden.folder, { dtype: 'float32', trainable: true });
  checkRows(t, await compareRlObjective(model, golden));
});

test('GGUF files give the logits of their dequantised weights', async (t) => {
  const root = sharedPath(t, 'golden/gguf');
  if (root === undefined) return;
  const f32 = new GoldenModel(join(root, '..', 'models'), 'qwen2-tied');
  for (const name of [
    'qwen2-tied.F16',
    'qwen2-tied.Q8_0',
    'qwen2-tied.Q4_0',
    'llama-smol.F16',
    'llama-smol.Q8_0',
  ]) {
    const expected = new TensorFile(join(root, 'logits', `${name}.safetensors`));
    using model = await loadModel(join(root, `${name}.gguf`), { dtype: 'float32' });
    const ids = expected.i32('input_ids');
    const logits = await model.logits(alone(ids), Int32Array.from(ids.keys()));
    const row = {
      model: name,
      tensor: 'logits',
      error: relativeError(logits, expected.f32('logits')),
      bound: 1e-4,
    };
    t.log(tableLine(row));
    t.true(row.error <= row.bound, tableLine(row));
  }
  using model = await loadModel(join(root, 'qwen2-tied.F32.gguf'), { dtype: 'float32' });
  const ids = f32.ids(2);
  const logits = await model.logits(alone(ids), Int32Array.from(ids.keys()));
  t.true(relativeError(logits, f32.forward.f32('seq2.logits')) <= 1e-4);
});

interface SmolExpected {
  readonly sequences: readonly { readonly prompt_ids: number[]; readonly ids: number[] }[];
  readonly greedy: readonly { readonly ids: number[]; readonly smallest_top2_gap: number }[];
  readonly sft: {
    readonly loss: number;
    readonly grad_norm: number;
    readonly sequences: readonly { readonly ids: number[]; readonly mask: number[] }[];
    readonly grads: Readonly<Record<string, { norm: number; probe: number; probe_norm: number }>>;
  };
}

const smol = 'models/smollm2-135m-instruct';
function smolFiles(t: ExecutionContext) {
  const folder = sharedPath(t, smol);
  if (folder === undefined) return undefined;
  return {
    gguf: join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf'),
    expected: JSON.parse(readFileSync(join(folder, 'expected', 'expected.json'), 'utf8')) as SmolExpected,
    tensors: new TensorFile(join(folder, 'expected', 'expected.safetensors')),
  };
}

function worstDifference(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Number.NaN;
  let worst = 0;
  for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs(got[i]! - expected[i]!));
  return worst;
}

test.serial(
  'SmolLM2-135M in fp32 matches log-probs, entropies, logits, hidden states and gradients',
  async (t) => {
    t.timeout(300_000);
    const files = smolFiles(t);
    if (files === undefined) return;
    const { expected, tensors } = files;
    using model = await loadModel(files.gguf, { dtype: 'float32', trainable: true });
    const worst = { logprob: 0, entropy: 0, logits: 0, hidden: 0 };
    for (const [i, { ids, prompt_ids }] of expected.sequences.entries()) {
      for (const temperature of ['1.0', '0.7']) {
        const scores = await model.score(alone([...ids, 0]), Number(temperature));
        const logprobs = tensors.f32(`seq${i}.logp_next_t${temperature}`);
        const entropies = tensors.f32(`seq${i}.entropy_t${temperature}`);
        worst.logprob = Math.max(
          worst.logprob,
          worstDifference(scores.logprobs.subarray(1, ids.length), logprobs),
        );
        worst.entropy = Math.max(worst.entropy, worstDifference(scores.entropies.subarray(1), entropies));
      }
      const row = Int32Array.of(prompt_ids.length - 1);
      const logits = await model.logits(alone(prompt_ids), row);
      worst.logits = Math.max(worst.logits, worstDifference(logits, tensors.f32(`seq${i}.last_logits`)));
      const hidden = await model.hidden(alone(prompt_ids), row);
      worst.hidden = Math.max(worst.hidden, relativeError(hidden, tensors.f32(`seq${i}.last_hidden`)));
    }
    t.log(worst);
    t.true(worst.logprob <= 2e-4 && worst.entropy <= 2e-4 && worst.logits <= 5e-4 && worst.hidden <= 1e-4);

    const { sft } = expected;
    const batch = packed(sft.sequences.map(({ ids }) => ids));
    const weight = tokenMeanWeights(sft.sequences.map(({ mask }) => mask));
    const { loss } = await model.accumulate({ ...batch, temperature: 1, weight }, crossEntropy);
    t.true(Math.abs(loss / sft.loss - 1) <= 1e-5, `loss ${loss}, expected ${sft.loss}`);
    let squares = 0;
    const errors = { norm: 0, probe: 0, rows: 0 };
    for (const name of model.parameterNames) {
      const gradient = await model.gradient(name);
      const golden = sft.grads[name]!;
      let sum = 0;
      let probe = 0;
      for (let i = 0; i < gradient.length; i++) {
        sum += gradient[i]! ** 2;
        probe += gradient[i]! * Math.cos(0.7548776662466927 * i + 0.3);
      }
      squares += sum;
      errors.norm = Math.max(errors.norm, Math.abs(Math.sqrt(sum) / golden.norm - 1));
      const scale = golden.norm * Math.sqrt(gradient.length / 2);
      errors.probe = Math.max(errors.probe, Math.abs(probe - golden.probe) / scale);
      if (tensors.has(`grad.${name}`)) {
        const rows = tensors.f32(`grad.${name}`);
        errors.rows = Math.max(errors.rows, relativeError(gradient.subarray(0, rows.length), rows));
      }
    }
    t.log(errors);
    t.true(Math.abs(Math.sqrt(squares) / sft.grad_norm - 1) <= 1e-4);
    t.true(errors.norm <= 1e-4 && errors.probe <= 1e-4 && errors.rows <= 1e-4);
  },
);

test.serial(
  'SmolLM2-135M in bf16 matches the log-probs of bf16-rounded weights and answers as expected',
  async (t) => {
    t.timeout(300_000);
    const files = smolFiles(t);
    if (files === undefined) return;
    const { expected, tensors } = files;
    using model = await loadModel(files.gguf);
    let worst = 0;
    let rounding = 0;
    for (const [i, { ids }] of expected.sequences.entries()) {
      const scores = await model.score(alone(ids), 1);
      const rounded = tensors.f32(`seq${i}.bf16w.logp_next_t1.0`);
      worst = Math.max(worst, worstDifference(scores.logprobs.subarray(1), rounded));
      rounding = Math.max(rounding, worstDifference(tensors.f32(`seq${i}.logp_next_t1.0`), rounded));
    }
    t.log(
      `log-prob: ${worst.toFixed(4)} from bf16-rounded weights, whose rounding alone moves it by ${rounding.toFixed(4)}`,
    );
    // Activations are rounded to eight bits, too.
    t.true(worst <= 2 * rounding);
    const [answer] = expected.greedy;
    const ids = await greedyContinuation(model, expected.sequences[0]!.prompt_ids, answer!.ids.length);
    t.deepEqual(ids, answer!.ids);
  },
);
