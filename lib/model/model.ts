/**
 * A language model with its weights on the engine: loaded from files or made from a seed, then sampled, scored, trained and
 * saved. Implements lib/model/engine.ts over the native addon; no arithmetic happens here.
 *
 * Memory is native: dispose() (or `using`) frees it, together with the model's KV caches, once the calls in flight have
 * ended; every later call throws ERR_DISPOSED. Misuse throws TypeError or RangeError synchronously; failures of the engine
 * reject with a ToolgradError.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { duringOperation, ToolgradError } from '../errors.ts';
import { native } from '../native.ts';
import { type ModelConfig, toHfConfig } from './config.ts';
import type {
  AdamWOptions,
  EngineModel,
  KvCache,
  LossBatch,
  LossOptions,
  LossResult,
  MemoryPlan,
  PackedBatch,
  Scores,
  StepResult,
  StepRow,
  UpdateResult,
  WeightDtype,
} from './engine.ts';
import { type ModelSource, openModelFiles } from './files.ts';
import type { KvHandle, ModelHandle, NativeModelInfo, NativeShape } from './native-model.ts';
import { defaultThreads, positiveInteger } from './threads.ts';

export interface ModelOptions {
  /** Type of weights and KV cache; default bfloat16. Files of another type are converted, rounding to nearest even. */
  readonly dtype?: WeightDtype;
  /** Also hold gradients, fp32 masters and moments; default false. */
  readonly trainable?: boolean;
  /** Threads of the kernels; default TOOLGRAD_THREADS, else the processors available. Never changes a bit of a result. */
  readonly threads?: number;
  /**
   * Add a critic's value head: zero, or as in the value_head.safetensors that save() wrote beside the weights. Default false.
   */
  readonly valueHead?: boolean;
}

export interface CreateOptions extends ModelOptions {
  /** Any 64-bit seed; default 0. */
  readonly seed?: bigint;
  /** Standard deviation of the weights; default 0.02. */
  readonly initStd?: number;
}

/** The value head's file, beside the weights. */
const kValueHeadFile = 'value_head.safetensors';

function runs<T>(operation: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw duringOperation(operation, error);
  }
}

/** A native call that gives a promise: throws misuse at once, names the operation in whatever fails later. */
function job<T>(operation: string, call: () => Promise<T>): Promise<T> {
  return runs(operation, call).catch((error: unknown) => {
    throw duringOperation(operation, error);
  });
}

function shapeOf(config: ModelConfig, valueHead = false): NativeShape {
  return {
    vocabSize: config.vocabSize,
    hiddenSize: config.hiddenSize,
    layers: config.layers,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    intermediateSize: config.intermediateSize,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
    rmsNormEps: config.rmsNormEps,
    ropeTheta: config.ropeTheta,
    ropeScaling: config.ropeScaling,
    tieWordEmbeddings: config.tieWordEmbeddings,
    qkvBias: config.qkvBias,
    qkNorm: config.qkNorm,
    valueHead,
  };
}

function nativeOptions(options: ModelOptions) {
  return {
    dtype: options.dtype ?? 'bfloat16',
    trainable: options.trainable ?? false,
    threads: options.threads === undefined ? defaultThreads() : positiveInteger(options.threads, 'threads'),
  };
}

/**
 * What a model of this config will take, in bytes, before anything is allocated. Activations of a pass over T tokens:
 * activationBytesFixed + T * activationBytesPerToken (trainable: of accumulate(), else of score()).
 */
export function planMemory(
  config: ModelConfig,
  dtype: WeightDtype,
  trainable: boolean,
  valueHead = false,
): MemoryPlan {
  return runs('planMemory', () => native().planMemory(shapeOf(config, valueHead), dtype, trainable));
}

/** Bytes of memory this process may still take. */
export function availableMemory(): number {
  return native().availableMemory();
}

/**
 * Load a model: a Hugging Face folder or a .gguf file by path, or files already found by openModelFiles().
 *
 * Errors: those of openModelFiles, ERR_OUT_OF_MEMORY with the numbers, ERR_ISA.
 */
export async function loadModel(source: string | ModelSource, options: ModelOptions = {}): Promise<Model> {
  const files = typeof source === 'string' ? openModelFiles(source) : source;
  const checked = nativeOptions(options);
  const valueHead = options.valueHead ?? false;
  const headFile = join(dirname(files.weightFiles[0]!), kValueHeadFile);
  const handle = await job('loadModel', () =>
    native().modelOpen(shapeOf(files.config, valueHead), checked, {
      files: files.weightFiles,
      ...(valueHead && existsSync(headFile) ? { valueHead: headFile } : {}),
    }),
  );
  return new Model(handle, files.config, checked.dtype, checked.trainable, valueHead);
}

/**
 * Make a model with random weights. Matrices: normal(0, initStd); the projections into the residual stream (o_proj,
 * down_proj) normal(0, initStd / sqrt(2 * layers)), as in GPT-2; norms 1, biases 0. Values depend on the seed alone.
 */
export async function createModel(config: ModelConfig, options: CreateOptions = {}): Promise<Model> {
  const checked = nativeOptions(options);
  const handle = await job('createModel', () =>
    native().modelOpen(shapeOf(config, options.valueHead), checked, {
      seed: options.seed ?? 0n,
      initStd: options.initStd ?? 0.02,
    }),
  );
  return new Model(handle, config, checked.dtype, checked.trainable, options.valueHead ?? false);
}

/** A model on the engine; make one with loadModel or createModel. */
export class Model implements EngineModel {
  readonly config: ModelConfig;
  readonly dtype: WeightDtype;
  readonly trainable: boolean;
  readonly valueHead: boolean;
  readonly memory: MemoryPlan;
  readonly parameterCount: number;
  /** Hugging Face names of all parameters; a tied head has none of its own. */
  readonly parameterNames: readonly string[];
  readonly isa: string;
  readonly threads: number;
  readonly #handle: ModelHandle;
  readonly #caches = new Set<NativeKvCache>();

  constructor(
    handle: ModelHandle,
    config: ModelConfig,
    dtype: WeightDtype,
    trainable: boolean,
    valueHead = false,
  ) {
    const info: NativeModelInfo = native().modelInfo(handle);
    this.#handle = handle;
    this.config = config;
    this.dtype = dtype;
    this.trainable = trainable;
    this.valueHead = valueHead;
    this.memory = planMemory(config, dtype, trainable, valueHead);
    this.parameterCount = info.parameterCount;
    this.parameterNames = info.parameterNames;
    this.isa = info.isa;
    this.threads = info.threads;
  }

  get version(): number {
    return runs('version', () => native().modelVersion(this.#handle));
  }

  score(batch: PackedBatch, temperature: number, wanted?: Uint8Array): Promise<Scores> {
    return job('score', () => native().modelScore(this.#handle, batch, temperature, wanted));
  }

  values(batch: PackedBatch, wanted?: Uint8Array): Promise<Float32Array> {
    return job('values', () => native().modelValues(this.#handle, batch, wanted));
  }

  logits(batch: PackedBatch, positions: Int32Array): Promise<Float32Array> {
    return job('logits', () => native().modelLogits(this.#handle, batch, positions));
  }

  /** Output of the final norm [rows, hiddenSize] at the given packed positions. */
  hidden(batch: PackedBatch, positions: Int32Array): Promise<Float32Array> {
    return job('hidden', () => native().modelHidden(this.#handle, batch, positions));
  }

  accumulate(batch: LossBatch, loss: LossOptions): Promise<LossResult> {
    return job('accumulate', () => native().modelAccumulate(this.#handle, batch, loss));
  }

  zeroGradients(): Promise<void> {
    return job('zeroGradients', () => native().modelZeroGradients(this.#handle));
  }

  gradient(name: string): Promise<Float32Array> {
    return job('gradient', () => native().modelGradient(this.#handle, name));
  }

  parameter(name: string): Promise<Float32Array> {
    return job('parameter', () => native().modelParameter(this.#handle, name));
  }

  setParameter(name: string, values: Float32Array): Promise<void> {
    return job('setParameter', () => native().modelSetParameter(this.#handle, name, values));
  }

  /** After ERR_NOT_FINITE everything is as before the call, gradients included: zeroGradients() to go on without them. */
  update(options: AdamWOptions): Promise<UpdateResult> {
    return job('update', () => native().modelUpdate(this.#handle, options));
  }

  resetOptimizer(): Promise<void> {
    return job('resetOptimizer', () => native().modelResetOptimizer(this.#handle));
  }

  openKvCache(pages: number): KvCache {
    const cache = new NativeKvCache(
      runs('openKvCache', () => native().kvOpen(this.#handle, pages)),
      (closed) => this.#caches.delete(closed),
    );
    this.#caches.add(cache);
    return cache;
  }

  saveWeights(path: string): Promise<void> {
    return job('saveWeights', () => native().modelSaveWeights(this.#handle, path));
  }

  /** The value head alone, fp32 safetensors: the file that loadModel looks for beside the weights. */
  saveValueHead(path: string): Promise<void> {
    return job('saveValueHead', () => native().modelSaveValueHead(this.#handle, path));
  }

  loadValueHead(path: string): Promise<void> {
    return job('loadValueHead', () => native().modelLoadValueHead(this.#handle, path));
  }

  saveOptimizer(path: string): Promise<void> {
    return job('saveOptimizer', () => native().modelSaveOptimizer(this.#handle, path));
  }

  loadOptimizer(path: string): Promise<void> {
    return job('loadOptimizer', () => native().modelLoadOptimizer(this.#handle, path));
  }

  /**
   * Write a folder that transformers and loadModel load: config.json, generation_config.json, model.safetensors and `files`
   * (name to contents: the tokenizer's); with a value head also value_head.safetensors, which transformers does not read. Each
   * file appears complete or not at all, the weights last.
   */
  async save(folder: string, files: Readonly<Record<string, string | Uint8Array>> = {}): Promise<void> {
    for (const name of Object.keys(files)) {
      if (name !== basename(name) || name === '.' || name === '..' || name === '')
        throw new RangeError(`Expected a plain file name for files but received "${name}" of type string`);
    }
    const { config, generationConfig } = toHfConfig({ ...this.config, dtype: this.dtype });
    try {
      mkdirSync(folder, { recursive: true });
      for (const [name, contents] of Object.entries(files)) writeWhole(join(folder, name), contents);
      writeWhole(join(folder, 'generation_config.json'), `${JSON.stringify(generationConfig, null, 2)}\n`);
      writeWhole(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    } catch (cause) {
      throw new ToolgradError(
        'ERR_FILE_IO',
        `save: cannot write to ${folder}: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    if (this.valueHead) await this.saveValueHead(join(folder, kValueHeadFile));
    await this.saveWeights(join(folder, 'model.safetensors'));
  }

  dispose(): void {
    for (const cache of this.#caches) cache.dispose();
    native().modelDispose(this.#handle);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function writeWhole(path: string, contents: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, contents, { flush: true });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

class NativeKvCache implements KvCache {
  readonly #handle: KvHandle;
  readonly #closed: (cache: NativeKvCache) => void;

  constructor(handle: KvHandle, closed: (cache: NativeKvCache) => void) {
    this.#handle = handle;
    this.#closed = closed;
  }

  get pagesFree(): number {
    return runs('pagesFree', () => native().kvPagesFree(this.#handle));
  }
  get pagesTotal(): number {
    return runs('pagesTotal', () => native().kvPagesTotal(this.#handle));
  }
  get tokensComputed(): number {
    return runs('tokensComputed', () => native().kvTokensComputed(this.#handle));
  }
  add(): number {
    return runs('add', () => native().kvAdd(this.#handle));
  }
  fork(seq: number): number {
    return runs('fork', () => native().kvFork(this.#handle, seq));
  }
  length(seq: number): number {
    return runs('length', () => native().kvLength(this.#handle, seq));
  }
  free(seq: number): void {
    runs('free', () => native().kvFree(this.#handle, seq));
  }
  pagesFor(seq: number, tokens: number): number {
    return runs('pagesFor', () => native().kvPagesFor(this.#handle, seq, tokens));
  }
  clear(): void {
    runs('clear', () => native().kvClear(this.#handle));
  }
  step(rows: readonly StepRow[]): Promise<StepResult> {
    return job('step', () => native().kvStep(this.#handle, rows));
  }
  dispose(): void {
    this.#closed(this);
    native().kvDispose(this.#handle);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
