/**
 * The engine against reference models computed by transformers: every comparison as one row {model, tensor, error, bound}.
 *
 * Errors are norm-wise relative, |got - expected| / |expected|, per tensor. Used by test/golden.test.ts, which checks the
 * bounds, and by scripts/golden-table.ts, which prints the rows. Sequences are scored with one token appended, so that the
 * entropy after the last token can be compared too.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LossBatch, WeightDtype } from '../../lib/model/engine.ts';
import type { Model } from '../../lib/model/model.ts';
import { alone, crossEntropy, packed, tokenMeanWeights } from './batches.ts';
import { TensorFile } from './safetensors.ts';

export const goldenModels = [
  'qwen2-tied',
  'qwen2-untied-bf16-sharded',
  'qwen2-hd64',
  'qwen2-hd128',
  'qwen3',
  'llama-smol',
  'llama3-rope',
] as const;

export interface Comparison {
  readonly model: string;
  readonly tensor: string;
  readonly error: number;
  readonly bound: number;
}

/** |got - expected| / |expected|; NaN when a length differs. */
export function relativeError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length || got.length === 0) return Number.NaN;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

interface Expected {
  readonly loss: { readonly value: number };
  readonly rl_objective?: {
    readonly value: number;
    readonly temperature: number;
    readonly entropy_coef: number;
  };
  readonly greedy: { readonly prompt_ids: number[]; readonly new_ids: number[] };
}
interface Bf16Error {
  readonly bf16: {
    readonly logits_rel_norm: number;
    readonly logp_max_abs: number;
    readonly loss: number;
    readonly grad_rel_norm: Readonly<Record<string, number>>;
  };
}

/** Files of one golden model. */
export class GoldenModel {
  readonly name: string;
  readonly folder: string;
  readonly forward: TensorFile;
  readonly grads: TensorFile;
  readonly expected: Expected;
  readonly bf16: Bf16Error['bf16'];

  constructor(root: string, name: string) {
    const json = (file: string): unknown =>
      JSON.parse(readFileSync(join(this.folder, 'expected', file), 'utf8'));
    this.name = name;
    this.folder = join(root, name);
    this.forward = new TensorFile(join(this.folder, 'expected', 'forward.safetensors'));
    this.grads = new TensorFile(join(this.folder, 'expected', 'grads.safetensors'));
    this.expected = json('expected.json') as Expected;
    this.bf16 = (json('bf16_error.json') as Bf16Error).bf16;
  }

  ids(i: number): Int32Array {
    return this.forward.i32(`seq${i}.input_ids`);
  }

  /** Token-aligned masks: the golden ones belong to the next token. */
  masks(): number[][] {
    return [0, 1, 2, 3].map((i) => [0, ...(i === 0 ? [] : this.forward.i32(`seq${i}.loss_mask`))]);
  }

  lossBatch(): LossBatch {
    const batch = packed([0, 1, 2, 3].map((i) => this.ids(i)));
    return { ...batch, temperature: 1, weight: tokenMeanWeights(this.masks()) };
  }
}

/**
 * Bounds: fp32 1e-4; bf16 twice the error of a plain bf16 computation, where the golden data give one. Errors of the tokens
 * may cancel in the mean that a loss is, so a loss may also be off by a fiftieth of the worst log-prob.
 */
function bounds(golden: GoldenModel, dtype: WeightDtype) {
  const fp32 = dtype === 'float32';
  const { value } = golden.expected.loss;
  return {
    logits: fp32 ? 1e-4 : 2 * golden.bf16.logits_rel_norm,
    loss: fp32
      ? 1e-5
      : Math.max(2 * Math.abs(golden.bf16.loss / value - 1), (0.02 * golden.bf16.logp_max_abs) / value),
    gradient: (name: string) => (fp32 ? 1e-4 : 2 * (golden.bf16.grad_rel_norm[name] ?? Number.NaN)),
  };
}

/** Logits, hidden states, log-probs and entropies of the four sequences, each tensor over all of them. */
export async function compareForward(model: Model, golden: GoldenModel): Promise<Comparison[]> {
  const got = new Map<string, number[]>();
  const want = new Map<string, number[]>();
  const add = (tensor: string, values: ArrayLike<number>, expected: ArrayLike<number>) => {
    got.set(tensor, [...(got.get(tensor) ?? []), ...Array.from(values)]);
    want.set(tensor, [...(want.get(tensor) ?? []), ...Array.from(expected)]);
  };
  for (const i of [0, 1, 2, 3]) {
    const ids = golden.ids(i);
    const rows = Int32Array.from(ids.keys());
    add('logits', await model.logits(alone(ids), rows), golden.forward.f32(`seq${i}.logits`));
    add('last_hidden', await model.hidden(alone(ids), rows), golden.forward.f32(`seq${i}.last_hidden`));
    for (const [temperature, suffix] of [
      [1, ''],
      [0.7, '_temp0.7'],
    ] as const) {
      if (!golden.forward.has(`seq${i}.entropy${suffix}`)) continue;
      const scores = await model.score(alone([...ids, 0]), temperature);
      add(`entropy${suffix}`, scores.entropies.subarray(1), golden.forward.f32(`seq${i}.entropy${suffix}`));
      if (i === 0) continue;
      const logprobs = scores.logprobs.subarray(1, ids.length);
      add(`logp_next${suffix}`, logprobs, golden.forward.f32(`seq${i}.logp_next${suffix}`));
    }
  }
  const bound = bounds(golden, model.dtype).logits;
  return [...got].map(([tensor, values]) => ({
    model: golden.name,
    tensor,
    error: relativeError(values, want.get(tensor)!),
    bound,
  }));
}

async function compareGradients(
  model: Model,
  golden: GoldenModel,
  expected: TensorFile,
  prefix: string,
): Promise<Comparison[]> {
  const rows: Comparison[] = [];
  for (const name of model.parameterNames)
    rows.push({
      model: golden.name,
      tensor: `${prefix}${name}`,
      error: relativeError(await model.gradient(name), expected.f32(name)),
      bound: bounds(golden, model.dtype).gradient(name),
    });
  return rows;
}

/** Loss and the gradient of every parameter. */
export async function compareTraining(model: Model, golden: GoldenModel): Promise<Comparison[]> {
  await model.zeroGradients();
  const { loss } = await model.accumulate(golden.lossBatch(), crossEntropy);
  const { value } = golden.expected.loss;
  const rows = await compareGradients(model, golden, golden.grads, 'grad ');
  const bound = bounds(golden, model.dtype).loss;
  return [{ model: golden.name, tensor: 'loss', error: Math.abs(loss / value - 1), bound }, ...rows];
}

/** The policy-gradient-shaped objective of qwen2-tied: advantages of both signs, temperature 0.7, entropy bonus. */
export async function compareRlObjective(model: Model, golden: GoldenModel): Promise<Comparison[]> {
  const objective = golden.expected.rl_objective!;
  const inputs = new TensorFile(join(golden.folder, 'expected', 'rl_inputs.safetensors'));
  const grads = new TensorFile(join(golden.folder, 'expected', 'rl_grads.safetensors'));
  const advantages = [0, 1, 2, 3].flatMap((i) => [0, ...(i === 0 ? [] : inputs.f32(`seq${i}.advantages`))]);
  await model.zeroGradients();
  const { loss } = await model.accumulate(
    {
      ...golden.lossBatch(),
      temperature: objective.temperature,
      advantages: Float32Array.from(advantages),
    },
    { ...crossEntropy, kind: 'reinforce', entropyCoef: objective.entropy_coef },
  );
  const rows = await compareGradients(model, golden, grads, 'rl grad ');
  const error = Math.abs(loss / objective.value - 1);
  return [{ model: golden.name, tensor: 'rl loss', error, bound: 1e-5 }, ...rows];
}

/** The greedy continuation of the golden prompt through the KV cache. */
export async function greedyContinuation(
  model: Model,
  prompt: ArrayLike<number>,
  count: number,
): Promise<number[]> {
  const cache = model.openKvCache(Math.ceil((prompt.length + count) / model.memory.kvPageTokens));
  try {
    const seq = cache.add();
    const ids: number[] = [];
    let tokens: Int32Array = Int32Array.from(prompt);
    while (ids.length < count) {
      const result = await cache.step([
        {
          seq,
          tokens,
          sample: { temperature: 0, topK: 0, topP: 1, minP: 0, runSeed: 0n, step: 0, prompt: 0, sample: 0 },
        },
      ]);
      tokens = result.tokens;
      ids.push(tokens[0]!);
    }
    return ids;
  } finally {
    cache.dispose();
  }
}

/** One line per tensor kind: the worst row of it (gradients together). */
export function worstPerTensor(rows: readonly Comparison[]): Comparison[] {
  const worst = new Map<string, Comparison>();
  for (const row of rows) {
    const kind = /^(rl )?grad /.exec(row.tensor)?.[0] ?? row.tensor;
    const key = `${row.model} ${kind}`;
    const before = worst.get(key);
    if (before === undefined || !(row.error / row.bound <= before.error / before.bound)) worst.set(key, row);
  }
  return [...worst.values()];
}

export function tableLine({ model, tensor, error, bound }: Comparison): string {
  return `${model.padEnd(26)} ${tensor.padEnd(58)} ${error.toExponential(1).padStart(8)}  bound ${bound.toExponential(1)}`;
}
