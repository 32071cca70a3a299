/**
 * The one configuration of a run: every key, its default and its limits. `parseConfig` (yaml.ts) turns a YAML text and
 * `key=value` overrides into a frozen `Config`; nothing else reads options. Unknown keys and combinations that cannot work
 * are errors, never ignored.
 */

import { z } from 'zod';
import { isDeviceName } from '../model/device.ts';
import { recomputeLevels } from '../model/engine.ts';
import { loraTargets, maxLoraRank } from '../model/lora.ts';
import { answerModes } from '../tasks/answer.ts';
import { toolSchema } from './tool-config.ts';

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
  text_only: z
    .boolean()
    .default(false)
    .describe("train and evaluate without the tool: the format's instruction for text, calls are not run"),
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
    device: z
      .string()
      .refine(isDeviceName, 'Expected cpu, cuda, cuda:<number> or auto')
      .nullable()
      .default(null)
      .describe(
        '`cpu`, `cuda`, `cuda:1`, `auto` (a GPU where one can be used); null: TOOLGRAD_DEVICE, else `cpu`',
      ),
    cublaslt: z
      .enum(['none', 'gradients', 'all'])
      .default('none')
      .describe(
        "what a GPU leaves to NVIDIA's cublasLt: input gradients, or forward passes too (no RL then: docs/cuda.md)",
      ),
    cublaslt_rows: count.default(4096).describe('cublasLt takes products of at least this many rows'),
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
      names: z
        .array(z.string())
        .default([])
        .describe('procedural tasks (docs/tasks.md) and published ones, also by pattern (docs/suites.md)'),
      train: z
        .string()
        .nullable()
        .default(null)
        .describe('JSONL file of training questions, used in file order'),
      heldout: z.string().nullable().default(null).describe('JSONL file of held-out questions'),
      answers: z
        .enum(answerModes)
        .default('auto')
        .describe('how answers of these files are compared (docs/tasks.md)'),
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
      group: count.default(6).describe('rollouts per question'),
      temperature: positive
        .default(1)
        .describe('of sampling, and of every log-prob; training has no other filter'),
      reward: z
        .enum(['correct', 'anchor', 'r1ci', 'retool', 'hermes'])
        .default('anchor')
        .describe('docs/tasks.md; a program may pass its own function'),
      advantage: z
        .enum(['grpo', 'rloo', 'reinforce++', 'reinforce++-baseline', 'gae'])
        .default('grpo')
        .describe('estimator of advantages (docs/algorithm.md)'),
      std: z
        .enum(['sample', 'population', 'none'])
        .default('sample')
        .describe("divide by the group's standard deviation; none = Dr.GRPO, RLOO"),
      std_scope: z
        .enum(['group', 'batch'])
        .default('group')
        .describe("over which rewards the deviation is taken; the mean is always the group's"),
      eps: positive.default(1e-4).describe('added to the standard deviation'),
      gamma: rate.default(1).describe('discount per policy token, for reinforce++ and gae'),
      lambda: rate.default(1).describe('of generalised advantage estimation'),
      loss: z
        .enum(['ppo_clip', 'reinforce', 'gspo', 'gspo_token', 'sequence_ppo', 'cispo'])
        .default('ppo_clip')
        .describe('policy loss per token (docs/algorithm.md)'),
      reduction: z
        .enum(['token_mean', 'sequence_mean', 'sequence_sum', 'constant'])
        .default('token_mean')
        .describe('from tokens to one number over a mini-batch (docs/algorithm.md)'),
      reduction_length: countOrNone
        .default(0)
        .describe('L of the reduction constant; 0 = rollout.total_tokens'),
      empty_rows: z
        .enum(['skip', 'count'])
        .default('skip')
        .describe('trajectories without a token in the loss in a mean over trajectories'),
      mask_truncated: z
        .boolean()
        .default(false)
        .describe('leave trajectories that a limit cut out of the loss'),
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
      ratio_cap: z
        .number()
        .min(0)
        .default(0)
        .describe("cap of the ratio in the unclipped branch, both signs of A (TRL's delta); 0 = off"),
      log_ratio_clamp: z
        .number()
        .min(0)
        .default(20)
        .describe('bound on the exponents of ratio and k3; 0 = off (TRL)'),
      kl: z
        .enum(['none', 'k1', 'abs', 'k2', 'k3', 'k1+', 'k3+'])
        .default('none')
        .describe('estimate of the KL to the reference (docs/algorithm.md)'),
      kl_in: z
        .enum(['loss', 'reward'])
        .default('loss')
        .describe('KL as a term of the loss, or taken off the reward token by token'),
      kl_coef: z.number().min(0).default(0).describe('factor of the KL term'),
      kl_clamp: z.number().min(0).default(0).describe('bound on |k3| in the loss; 0 = off; verl: 10'),
      kl_times_ratio: z
        .boolean()
        .default(false)
        .describe('multiply the KL term of the loss by the ratio (TRL)'),
      entropy_coef: z.number().min(0).default(0).describe('factor of the entropy bonus'),
      entropy_reduction: z
        .enum(['loss', 'token_mean'])
        .default('loss')
        .describe("the bonus with the loss's own reduction (verl) or as a token mean (TRL)"),
      dynamic_sampling: countOrNone
        .default(0)
        .describe(
          'most generation rounds until there are enough groups neither all right nor all wrong; 0 = off',
        ),
      overlong_length: countOrNone
        .default(0)
        .describe('overlong shaping: tokens after the prompt from which the penalty is full; 0 = off'),
      overlong_buffer: count.default(1).describe('tokens before overlong_length over which it grows'),
      overlong_factor: z.number().min(0).default(1).describe('the full penalty'),
      overlong_counts_tool: z
        .boolean()
        .default(true)
        .describe("count the tool's tokens in that length (as in verl)"),
      epochs: count.default(1).describe('passes over a rollout batch'),
      mini_batches: count.default(1).describe('updates per epoch'),
      unmask_tool: z.boolean().default(false).describe("train on the tool's tokens too (ablation)"),
      ...learningRate,
      lr: learningRate.lr.default(1e-6),
    })
    .prefault({}),
  critic: z
    .strictObject({
      model: z
        .enum(['own', 'trunk'])
        .default('own')
        .describe('a model of its own, or a value head on the policy'),
      path: z
        .string()
        .nullable()
        .default(null)
        .describe('where its own model starts; default: where RL starts'),
      lr: positive.default(1e-5).describe('learning rate, constant'),
      warmup: countOrNone.default(0).describe('RL steps at the beginning in which only the critic learns'),
      clip: z
        .number()
        .min(0)
        .default(0.5)
        .describe('how far from its old value a value is followed; 0 = no clipping'),
      coef: z.number().min(0).default(0.5).describe("factor of the value loss on the policy's trunk"),
      epochs: count.default(1).describe('passes of its own model over a rollout batch'),
      mini_batches: count.default(1).describe('updates of its own model per epoch'),
    })
    .prefault({}),
  correction: z
    .strictObject({
      form: z
        .enum(['none', 'decoupled', 'bypass'])
        .default('none')
        .describe(
          'for tokens that older weights sampled: weights on the policy term, or their log-probs as the old ones',
        ),
      level: z
        .enum(['token', 'sequence', 'geometric'])
        .default('token')
        .describe('a weight per token, or of the sequence: of the sum or of the mean'),
      cap: z.number().min(0).default(2).describe('weights are cut to at most this; 0 = no cap'),
      reject: z
        .enum(['none', 'mask', 'zero'])
        .default('none')
        .describe('outside [low, high]: out of the loss (verl), or weight 0 (IcePop)'),
      low: z.number().min(0).default(0).describe('lower bound of rejection'),
      high: z.number().min(0).default(0).describe('upper bound of rejection; 0 = none'),
      normalise: z.boolean().default(false).describe("divide by the batch's mean weight"),
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
      step_tokens: countOrNone
        .default(0)
        .describe(
          'partial rollouts: tokens sampled in an RL step over all trajectories; what is unfinished goes on in the next; 0 = off',
        ),
      max_staleness: countOrNone
        .default(0)
        .describe(
          'partial rollouts: a trajectory whose oldest token is more updates old than this is dropped and started again; 0 = no bound',
        ),
      ahead: z
        .boolean()
        .default(false)
        .describe(
          'sample the next batch from a copy of the weights while the trainer works on the current one (docs/algorithm.md)',
        ),
      kv_memory_mb: count
        .default(512)
        .describe(
          'KV cache in MiB; decides how many trajectories run at once; with ahead a second one for evaluations',
        ),
    })
    .prefault({}),
  tool: toolSchema,
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
      recompute: z
        .enum(['auto', ...recomputeLevels])
        .default('auto')
        .describe(
          'activations that a backward pass computes again instead of keeping them (gradient checkpointing): gate and up of the MLPs, or whole layers; changes no bit; auto = as little as fits (docs/performance.md)',
        ),
    })
    .prefault({}),
  curriculum: z
    .strictObject({
      file: z
        .string()
        .nullable()
        .default(null)
        .describe('rated questions, made by `toolgrad curriculum`; RL asks these and no others'),
      order: z
        .enum(['potential', 'difficulty', 'flat'])
        .default('potential')
        .describe('stages by improvement potential, by accuracy (easiest first), or all questions at once'),
      stages: z.int().min(1).max(4).default(4).describe('stage s asks groups 1 to s; the last one all'),
      steps: count.default(150).describe('RL steps of a stage; the last one goes on to the end'),
      regroup_every: countOrNone
        .default(0)
        .describe(
          'RL steps between new ratings by the current policy; 0 = the ratings of the file throughout',
        ),
      regroup_samples: z.int().min(2).default(8).describe('attempts per question of such a rating'),
    })
    .prefault({}),
  eval: z
    .strictObject({
      every: countOrNone.default(0).describe('RL steps between evaluations; 0 = before and after only'),
      questions: countOrNone.default(100).describe('held-out questions'),
      samples: count.default(1).describe('attempts per question'),
      temperature: z.number().min(0).default(0).describe('0 = greedy'),
      top_p: z
        .number()
        .positive()
        .max(1)
        .default(1)
        .describe('sample from the likeliest tokens that make up this share; 1 = all'),
      top_k: countOrNone.default(0).describe('sample from the k likeliest tokens; 0 = all'),
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
