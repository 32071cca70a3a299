/**
 * The one configuration of a run: every key, its default and its limits. `parseConfig` (yaml.ts) turns a YAML text and
 * `key=value` overrides into a frozen `Config`; nothing else reads options. Unknown keys and combinations that cannot work
 * are errors, never ignored.
 */
import { z } from 'zod';
import { loraTargets, maxLoraRank } from '../model/lora.ts';

const count = z.int().min(1);
const countOrNone = z.int().min(0);
const rate = z.number().min(0).max(1);
const positive = z.number().positive();
const decayRate = z.number().min(0).lt(1);

const learningRate = {
  lr: positive.describe('peak learning rate'),
  warmup: countOrNone.default(0).describe('steps of linear warm-up'),
  decay: z.enum(['constant', 'linear', 'cosine']).default('constant').describe('after the warm-up'),
  final_ratio: rate.default(0).describe('learning rate at the last step as a share of lr'),
};

export const configSchema = z.strictObject({
  run: z.string().min(1).default('runs/train').describe('run directory'),
  seed: countOrNone.default(0).describe('keys every random number of the run'),
  format: z
    .enum(['r1ci', 'retool', 'hermes'])
    .default('r1ci')
    .describe('prompt, tool-call and answer format'),
  instruction: z
    .string()
    .nullable()
    .default(null)
    .describe("replaces the format's instruction before the question"),
  chat_template: z
    .enum(['model', 'chatml'])
    .default('model')
    .describe("the model's own template, or ChatML without a default system message"),
  model: z.strictObject({
    path: z.string().min(1).describe('Hugging Face folder, GGUF file, or folder of a LoRA adapter'),
    base: z
      .string()
      .nullable()
      .default(null)
      .describe('model below an adapter in path, where its adapter_config.json does not lead to it'),
    dtype: z
      .enum(['bfloat16', 'float32'])
      .default('bfloat16')
      .describe('weights and KV cache; masters, moments and gradients are float32'),
    threads: countOrNone.default(0).describe('engine threads; 0 = one per core'),
  }),
  lora: z
    .strictObject({
      rank: countOrNone.max(maxLoraRank).default(0).describe('of A and B; 0 = train all weights'),
      alpha: positive.default(16).describe("the adapter's output is scaled by alpha / rank"),
      targets: z
        .array(z.enum([...loraTargets, 'all-linear']))
        .min(1)
        .default(['all-linear'])
        .describe(`\`all-linear\`, or some of ${loraTargets.map((name) => `\`${name}\``).join(', ')}`),
      rslora: z.boolean().default(false).describe('scale by alpha / sqrt(rank) instead'),
    })
    .prefault({}),
  tasks: z
    .strictObject({
      names: z.array(z.string()).default([]).describe('procedural tasks (docs/tasks.md)'),
      train: z
        .string()
        .nullable()
        .default(null)
        .describe('JSONL file of training questions, used in file order'),
      heldout: z.string().nullable().default(null).describe('JSONL file of held-out questions'),
      traces: z.string().nullable().default(null).describe('JSONL file of cold-start traces'),
    })
    .prefault({}),
  sft: z
    .strictObject({
      steps: countOrNone.default(0).describe('updates of the cold start; 0 = none'),
      batch: count.default(8).describe('traces per update'),
      traces: count.default(256).describe('traces to make when tasks.traces is not given'),
      code_share: rate
        .default(0.5)
        .describe('share of made traces that call Python; the others answer at once'),
      ...learningRate,
      lr: learningRate.lr.default(3e-5),
    })
    .prefault({}),
  rl: z
    .strictObject({
      steps: countOrNone.default(0).describe('rollout batches; 0 = none'),
      prompts: count.default(8).describe('questions per rollout batch'),
      group: z.int().min(2).default(6).describe('rollouts per question'),
      temperature: positive
        .default(1)
        .describe('of sampling, and of every log-prob; training has no other filter'),
      reward: z
        .enum(['correct', 'anchor', 'r1ci', 'retool', 'hermes'])
        .default('anchor')
        .describe('docs/tasks.md; a program may pass its own function'),
      advantage: z
        .enum(['grpo', 'rloo'])
        .default('grpo')
        .describe('baseline: mean of the group, or of the others'),
      std: z
        .enum(['sample', 'population', 'none'])
        .default('sample')
        .describe("divide by the group's standard deviation; none = Dr.GRPO, RLOO"),
      eps: positive.default(1e-4).describe('added to the standard deviation'),
      loss: z
        .enum(['ppo_clip', 'reinforce', 'gspo', 'gspo_token', 'cispo'])
        .default('ppo_clip')
        .describe('policy loss per token (docs/algorithm.md)'),
      reduction: z
        .enum(['token_mean', 'sequence_mean', 'sequence_sum', 'constant'])
        .default('token_mean')
        .describe('from tokens to one number over a mini-batch (docs/algorithm.md)'),
      clip_low: z.number().min(0).default(0.2).describe('the ratio is clipped below 1 - clip_low'),
      clip_high: z
        .number()
        .min(0)
        .default(0.2)
        .describe('and above 1 + clip_high; more than clip_low is clip-higher'),
      dual_clip: z
        .number()
        .min(0)
        .default(0)
        .describe('c: for A < 0 the loss is at most -c A; more than 1, or 0 = off'),
      kl: z
        .enum(['none', 'k2', 'k3', 'k1+', 'k3+'])
        .default('none')
        .describe('KL to the reference, in the loss'),
      kl_coef: z.number().min(0).default(0).describe('factor of the KL term'),
      entropy_coef: z.number().min(0).default(0).describe('factor of the entropy bonus'),
      epochs: count.default(1).describe('passes over a rollout batch'),
      mini_batches: count.default(1).describe('updates per epoch'),
      unmask_tool: z.boolean().default(false).describe("train on the tool's tokens too (ablation)"),
      ...learningRate,
      lr: learningRate.lr.default(1e-6),
    })
    .prefault({}),
  rollout: z
    .strictObject({
      max_calls: countOrNone.default(4).describe('tool calls of a trajectory'),
      max_turns: count.default(5).describe('turns of a trajectory, the answer included'),
      first_turn_tokens: count.default(512).describe('new tokens in the first turn'),
      turn_tokens: count.default(512).describe('new tokens in each later turn'),
      total_tokens: count.default(2048).describe('prompt, model and tool tokens together'),
      seconds: z.number().min(0).default(0).describe('wall clock per trajectory; 0 = none'),
      kv_memory_mb: count.default(512).describe('KV cache in MiB; decides how many trajectories run at once'),
    })
    .prefault({}),
  tool: z
    .strictObject({
      seconds: z.number().min(0.001).max(86_400).default(5).describe('wall clock of a call'),
      memory_mb: z.int().min(64).default(512).describe('memory of a process in MiB'),
      output_characters: count.default(2000).describe('output shown to the model; head and tail are kept'),
      output_mb: count.max(64).default(1).describe('output kept at all, in MiB'),
      file_mb: count.default(16).describe('size of one file in MiB'),
      workers: countOrNone.max(1024).default(0).describe('calls at once; 0 = one per core'),
      python: z.string().nullable().default(null).describe('interpreter; default: python3 on PATH'),
    })
    .prefault({}),
  optim: z
    .strictObject({
      beta1: decayRate.default(0.9).describe('decay of the first moment'),
      beta2: decayRate.default(0.95).describe('decay of the second moment'),
      eps: positive.default(1e-8).describe('added to the root of the second moment'),
      weight_decay: z.number().min(0).default(0).describe('of matrices; norms and biases are exempt'),
      max_grad_norm: z
        .number()
        .min(0)
        .default(1)
        .describe('the global gradient norm is clipped to it; 0 = no clipping'),
      micro_batch_tokens: countOrNone
        .default(0)
        .describe('tokens of a forward and backward pass; changes no bit; 0 = derived from free memory'),
    })
    .prefault({}),
  eval: z
    .strictObject({
      every: countOrNone.default(0).describe('RL steps between evaluations; 0 = before and after only'),
      questions: countOrNone.default(100).describe('held-out questions'),
      samples: count.default(1).describe('attempts per question'),
      temperature: z.number().min(0).default(0).describe('0 = greedy'),
      text_prefix: z
        .string()
        .default('')
        .describe(
          'how the answer begins in the evaluation without the tool, for models that only know to call it',
        ),
      without_tool: z
        .boolean()
        .default(false)
        .describe('also evaluate the same model answering without the tool'),
    })
    .prefault({}),
  checkpoint: z
    .strictObject({
      every: countOrNone.default(0).describe('steps between checkpoints; 0 = at the end of each phase only'),
      keep_last: count.default(2).describe('checkpoints kept; the end of the cold start is kept besides'),
    })
    .prefault({}),
});

export type Config = z.output<typeof configSchema>;

/** A combination of values that cannot work, found after each value was fine by itself. */
export interface ConfigConflict {
  /** Path of the key to look at first. */
  readonly path: readonly string[];
  readonly message: string;
}

/**
 * Combinations that cannot work; empty when the config is sound. With `ownTasks` the program brings tasks of its own, so the
 * config need not name any.
 */
export function configConflicts(config: Config, ownTasks = false): ConfigConflict[] {
  const conflicts: ConfigConflict[] = [];
  const conflict = (path: string, message: string) => conflicts.push({ path: path.split('.'), message });
  const { tasks, sft, rl, rollout, eval: evaluation } = config;
  const generated = ownTasks || tasks.names.length > 0;
  if (rl.steps > 0 && !generated && tasks.train === null) {
    conflict('rl.steps', 'RL needs questions: name tasks (tasks.names) or give a file (tasks.train)');
  }
  if (sft.steps > 0 && !generated && tasks.traces === null) {
    conflict('sft.steps', 'SFT needs traces: name tasks (tasks.names) or give a file (tasks.traces)');
  }
  if (evaluation.questions > 0 && !generated && tasks.heldout === null) {
    conflict(
      'eval.questions',
      'evaluation needs questions: name tasks, give tasks.heldout, or set eval.questions to 0',
    );
  }
  if (rl.kl === 'none' && rl.kl_coef > 0) {
    conflict('rl.kl_coef', 'kl_coef without an estimator does nothing: set rl.kl to k2, k3, k1+ or k3+');
  }
  if (rl.kl !== 'none' && rl.kl_coef === 0) {
    conflict(
      'rl.kl',
      `kl ${rl.kl} with kl_coef 0 costs a reference pass and does nothing: set rl.kl_coef, or rl.kl to none`,
    );
  }
  if (rl.mini_batches > rl.prompts) {
    conflict(
      'rl.mini_batches',
      `${rl.mini_batches} mini-batches need as many groups; rl.prompts is ${rl.prompts}`,
    );
  }
  if (rl.advantage === 'rloo' && rl.std !== 'none') {
    conflict('rl.std', 'RLOO does not divide by a standard deviation: set rl.std to none');
  }
  if (rl.loss === 'ppo_clip' && rl.dual_clip !== 0 && rl.dual_clip <= 1) {
    conflict('rl.dual_clip', `dual_clip must be above 1 (or 0 = off), found ${rl.dual_clip}`);
  }
  if (rl.dual_clip !== 0 && rl.loss !== 'ppo_clip') {
    conflict('rl.dual_clip', `dual_clip belongs to ppo_clip; rl.loss is ${rl.loss}`);
  }
  if (rl.loss === 'cispo' && rl.clip_low > 1) {
    conflict('rl.clip_low', `expected at most 1 (no lower bound) with cispo, found ${rl.clip_low}`);
  }
  if (rl.loss !== 'cispo' && rl.loss !== 'reinforce' && rl.clip_low >= 1) {
    conflict(
      'rl.clip_low',
      `clip_low ${rl.clip_low} puts the lower ratio bound at or below 0; expected less than 1`,
    );
  }
  if (sft.warmup > sft.steps && sft.steps > 0) {
    conflict('sft.warmup', `warm-up of ${sft.warmup} steps is longer than the phase's ${sft.steps}`);
  }
  if (rl.warmup > rl.steps && rl.steps > 0) {
    conflict('rl.warmup', `warm-up of ${rl.warmup} steps is longer than the phase's ${rl.steps}`);
  }
  if (rollout.first_turn_tokens >= rollout.total_tokens) {
    conflict(
      'rollout.first_turn_tokens',
      `a first turn of ${rollout.first_turn_tokens} tokens does not fit into total_tokens ${rollout.total_tokens} with a prompt`,
    );
  }
  const { targets } = config.lora;
  if (new Set(targets).size !== targets.length || (targets.includes('all-linear') && targets.length > 1)) {
    conflict('lora.targets', `expected all-linear alone or different names, found ${targets.join(', ')}`);
  }
  if (rollout.max_calls >= rollout.max_turns) {
    conflict(
      'rollout.max_turns',
      `${rollout.max_calls} calls and a last answer need ${rollout.max_calls + 1} turns; max_turns is ${rollout.max_turns}`,
    );
  }
  for (const key of ['every', 'without_tool'] as const) {
    if (evaluation.questions > 0 || !evaluation[key]) continue;
    conflict(`eval.${key}`, `there is nothing to evaluate, because eval.questions is 0: leave ${key} out`);
  }
  if (evaluation.samples > 1 && evaluation.temperature === 0) {
    conflict(
      'eval.samples',
      'greedy attempts are all the same: set eval.temperature above 0 or eval.samples to 1',
    );
  }
  return conflicts;
}
