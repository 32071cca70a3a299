/**
 * Everything a run works with, opened in the one order that is right: the tool's launcher first (it must be forked before
 * the process grows), then the model, then what depends on its size. Closing gives all of it back.
 */
import { ToolgradError } from '../errors.ts';
import type { AdamWOptions, KvCache, LossOptions } from '../model/engine.ts';
import type { Model } from '../model/model.ts';
import type { RolloutPrompt } from '../rollout/options.ts';
import type { RolloutLimits, ToolLimits } from '../rollout/trajectory.ts';
import type { Config } from '../run/config.ts';
import { type Reward, rewards } from '../tasks/reward.ts';
import type { Question, Task } from '../tasks/task.ts';
import { chatmlTemplate, renderPrompt } from '../text/chat.ts';
import { checkFormat, formats, type ToolFormat } from '../text/formats/index.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { openSandboxFusion } from '../tools/fusion.ts';
import { openPythonTool } from '../tools/python.ts';
import type { Tool } from '../tools/tool.ts';
import type { Reduction } from './batch.ts';
import type { Estimator } from './estimate.ts';
import { openPolicy, openSampler, samplesAhead } from './lora.ts';
import { runPassSize } from './memory.ts';

import { kvPages, passSize, promisedBytes } from './pass-size.ts';
import type { PolicyStepOptions } from './policy-options.ts';
import { planQuestions, type QuestionPlan } from './questions.ts';
import type { OverlongShaping } from './score.ts';

const kMegabyte = 1024 * 1024;

/** What an embedding program may bring of its own. */
export interface UserParts {
  /** Used besides the config's tasks. */
  readonly tasks?: readonly Task[];
  /** Instead of the config's reward. */
  readonly reward?: Reward;
  /** Instead of Python; the caller closes it. */
  readonly tool?: Tool;
}

/** A frozen copy of the model that batches are sampled from while the model itself is trained (rollout.ahead). */
export interface Sampler {
  readonly model: Model;
  readonly cache: KvCache;
}

export interface Setup {
  readonly config: Config;
  readonly tool: Tool;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly format: ToolFormat;
  readonly cache: KvCache;
  /** Null unless the run trains with rollout.ahead; then `cache` is for evaluations. */
  readonly sampler: Sampler | null;
  readonly plan: QuestionPlan;
  readonly reward: Reward;
  readonly overlong?: OverlongShaping;
  readonly limits: RolloutLimits;
  readonly toolLimits: ToolLimits;
  /** Of a training pass; `model.recompute` is what it recomputes. */
  readonly microBatchTokens: number;
  /** `textOnly`: it asks for an answer without the tool; default: as the config says. */
  prompt(question: Question, index: number, samples: number, textOnly?: boolean): RolloutPrompt;
  close(): Promise<void>;
}

/**
 * Open what `config` names. With `modelPath` the weights come from there (a checkpoint) instead of config.model.path.
 * A model that is not `trainable` has no masters, moments and gradients.
 */
export async function openSetup(
  config: Config,
  parts: UserParts = {},
  modelPath?: string,
  trainable = true,
): Promise<Setup> {
  const plan = await planQuestions(config, parts.tasks);
  const tool = parts.tool ?? (await openTool(config.tool));
  try {
    const { model, tokenizer } = await openPolicy(config, modelPath, trainable);
    let frozen: Model | null = null;
    try {
      const format = formats[config.format];
      checkFormat(format, tokenizer);
      const most = model.config.maxPositionEmbeddings;
      if (config.rollout.total_tokens > most) {
        throw new ToolgradError(
          'ERR_CONFIG',
          `rollout.total_tokens is ${config.rollout.total_tokens}, but this model takes at most ${most} tokens ` +
            `(max_position_embeddings); set rollout.total_tokens=${most} or less`,
        );
      }
      const limits = rolloutLimits(config);
      const pages = kvPages(config, model.memory);
      const cache = model.openKvCache(pages);
      if (trainable && samplesAhead(config)) frozen = await openSampler(config, modelPath);
      const sampler = frozen === null ? null : { model: frozen, cache: frozen.openKvCache(pages) };
      const caches = sampler === null ? pages : 2 * pages;
      const left = await memoryToPlanWith(model, caches);
      const { microBatchTokens, recompute } = trainable
        ? runPassSize(config, model.config, left)
        : passSize(config, () => [model.memory], left);
      model.recompute = recompute;
      return {
        config,
        tool,
        model,
        tokenizer,
        format,
        cache,
        sampler,
        plan,
        reward: parts.reward ?? rewards[config.rl.reward],
        ...overlongShaping(config),
        limits,
        toolLimits: toolLimits(config),
        microBatchTokens,
        prompt: (question, index, samples, textOnly = config.text_only) => ({
          question,
          prompt: index,
          samples,
          ids: promptIds(config, tokenizer, format, question, textOnly),
        }),
        async close() {
          cache.dispose();
          sampler?.model.dispose();
          model.dispose();
          if (parts.tool === undefined) await tool.close();
        },
      };
    } catch (error) {
      frozen?.dispose();
      model.dispose();
      throw error;
    }
  } catch (error) {
    if (parts.tool === undefined) await tool.close();
    throw error;
  }
}

/** The tool that a run's programs go to: Python here, or the service at `url`. */
function openTool({ python, workers, url, unsafe }: Config['tool']): Promise<Tool> {
  if (url !== null) return openSandboxFusion({ url, ...(workers === 0 ? {} : { concurrency: workers }) });
  return openPythonTool({
    ...(python === null ? {} : { python }),
    ...(workers === 0 ? {} : { workers }),
    unsafe,
  });
}

/** The prompt's ids; with `textOnly` it asks for an answer without the tool, and may begin that answer (eval.text_prefix). */
function promptIds(
  config: Config,
  tokenizer: Tokenizer,
  format: ToolFormat,
  question: Question,
  textOnly: boolean,
): Int32Array {
  const messages = format.messages(question.prompt, {
    textOnly,
    ...(config.instruction === null ? {} : { instruction: config.instruction }),
  });
  const ids = renderPrompt(
    tokenizer,
    messages,
    config.chat_template === 'chatml' ? { template: chatmlTemplate } : {},
  );
  if (!textOnly || config.eval.text_prefix === '') return ids;
  return Int32Array.of(...ids, ...tokenizer.encodeModelText(config.eval.text_prefix));
}

/** Overlong shaping as the config says; nothing when it is off. */
function overlongShaping({ rl }: Config): { overlong?: OverlongShaping } {
  if (rl.overlong_length === 0) return {};
  return {
    overlong: {
      length: rl.overlong_length,
      buffer: rl.overlong_buffer,
      factor: rl.overlong_factor,
      countsTool: rl.overlong_counts_tool,
    },
  };
}

export function rolloutLimits(config: Config): RolloutLimits {
  const { rollout } = config;
  return {
    maxCalls: rollout.max_calls,
    maxTurns: rollout.max_turns,
    turnTokens: [rollout.first_turn_tokens, rollout.turn_tokens],
    totalTokens: rollout.total_tokens,
    seconds: rollout.seconds,
  };
}

export function toolLimits(config: Config): ToolLimits {
  const { tool } = config;
  return {
    seconds: tool.seconds,
    ...(tool.wall_seconds === 0 ? {} : { wallSeconds: tool.wall_seconds }),
    sessions: tool.session === 'trajectory',
    memoryBytes: tool.memory_mb * kMegabyte,
    outputBytes: tool.output_mb * kMegabyte,
    fileBytes: tool.file_mb * kMegabyte,
    outputCharacters: tool.output_characters,
    outputTokens: tool.output_tokens,
    outputSide: tool.output_side,
  };
}

export function adamwOptions(config: Config, lr: number): AdamWOptions {
  const { beta1, beta2, eps, weight_decay: weightDecay, max_grad_norm: maxGradNorm } = config.optim;
  return { lr, beta1, beta2, eps, weightDecay, maxGradNorm };
}

export function lossOptions(config: Config): LossOptions {
  const { rl } = config;
  // The engine takes CISPO's bounds as they are, those of the others as distances from 1.
  const absolute = rl.loss === 'cispo';
  return {
    kind: rl.loss,
    clipLow: absolute ? 1 - rl.clip_low : rl.clip_low,
    clipHigh: absolute ? 1 + rl.clip_high : rl.clip_high,
    dualClip: rl.dual_clip,
    kl: rl.kl_in === 'reward' || rl.kl === 'k1' || rl.kl === 'abs' ? 'none' : rl.kl,
    klCoef: rl.kl_in === 'reward' ? 0 : rl.kl_coef,
    klTimesRatio: rl.kl_times_ratio,
    klClamp: rl.kl_clamp,
    entropyCoef: rl.entropy_coef,
    ratioCap: rl.ratio_cap,
    logRatioClamp: rl.log_ratio_clamp,
    sequenceLogRatioMax: rl.log_ratio_clamp,
  };
}

function estimator(config: Config): Estimator {
  const { advantage: kind, std, std_scope: scope, eps, gamma, lambda } = config.rl;
  if (kind === 'gae') return { kind, gamma, lambda };
  if (kind === 'reinforce++') return { kind, gamma };
  return kind === 'reinforce++-baseline' ? { kind } : { kind, std, scope, eps };
}

/** The options of one policy step at learning rate `lr`; `constant` reduces over the longest a trajectory may be. */
export function policyOptions(config: Config, microBatch: number, lr: number): PolicyStepOptions {
  const { rl, correction } = config;
  const reduction: Reduction =
    rl.reduction === 'constant'
      ? { constant: rl.reduction_length === 0 ? config.rollout.total_tokens : rl.reduction_length }
      : rl.reduction;
  const { form, ...weight } = correction;
  return {
    advantage: estimator(config),
    loss: lossOptions(config),
    reduction,
    countEmptyRows: rl.empty_rows === 'count',
    entropyTokenMean: rl.entropy_reduction === 'token_mean',
    maskTruncated: rl.mask_truncated,
    ...(rl.kl_in === 'reward' && rl.kl !== 'none' && rl.kl !== 'k1+' && rl.kl !== 'k3+'
      ? { klReward: { kind: rl.kl, coef: rl.kl_coef } }
      : {}),
    ...(form === 'none' ? {} : { correction: form === 'bypass' ? { form } : { form, weight } }),
    epochs: rl.epochs,
    miniBatches: rl.mini_batches,
    microBatchTokens: microBatch,
    temperature: rl.temperature,
    unmaskTool: rl.unmask_tool,
    adamw: adamwOptions(config, lr),
  };
}

/** Bytes that nothing else will take where the model lies. A GPU hands memory out when it is allocated. */
async function memoryToPlanWith(model: Model, pages: number): Promise<number> {
  return (await model.memoryLeft()) - (model.isa === 'cuda' ? 0 : promisedBytes(model.memory, pages));
}
