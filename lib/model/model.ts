/**
 * A language model with its weights on the engine: loaded from files or made from a seed, then sampled, scored, trained and
 * saved. Implements lib/model/engine.ts over the native addon; no arithmetic happens here.
 *
 * Memory is native: dispose() (or `using`) frees it, together with the model's KV caches, once the calls in flight have
 * ended; every later call throws ERR_DISPOSED. Misuse throws TypeError or RangeError synchronously; failures of the engine
 * reject with a ToolgradError.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { native } from '../native.ts';
import { loadAdapter, loraOf, saveAdapter } from './adapter.ts';
import { type ModelConfig, toHfConfig } from './config.ts';
import { type Device, type DeviceName, resolveDevice } from './device.ts';
import type {
  AdamWOptions,
  AdapterUse,
  EngineModel,
  KvCache,
  LossBatch,
  LossOptions,
  LossResult,
  MemoryPlan,
  PackedBatch,
  Recompute,
  Scores,
  UpdateResult,
  WeightDtype,
} from './engine.ts';
import { type ModelSource, openModelFiles } from './files.ts';
import { type FolderFiles, writeFiles } from './folder.ts';
import { type Lora, type LoraOptions, nativeLora, resolveLora } from './lora.ts';
import { planMemory, shapeOf } from './memory.ts';
import { NativeKvCache } from './native-cache.ts';
import { job, runs } from './native-call.ts';
import type { ModelHandle, NativeModelInfo } from './native-model.ts';
import { defaultThreads, positiveInteger } from './threads.ts';

export interface ModelOptions {
  /** Type of weights and KV cache; default bfloat16. Files of another type are converted, rounding to nearest even. */
  readonly dtype?: WeightDtype;
  /** Also hold gradients, fp32 masters and moments; default false. */
  readonly trainable?: boolean;
  /** What training passes compute again instead of keeping it; default `none`. Model.recompute changes it. */
  readonly recompute?: Recompute;
  /** Where the model lies and computes; default TOOLGRAD_DEVICE, else `cpu`. A GPU computes in bfloat16 only. */
  readonly device?: Device | DeviceName;
  /**
   * Products of linear layers that a GPU leaves to NVIDIA's cublasLt: `gradients` (those of the inputs; log-probs keep their
   * bits), `all` (forward passes too: a log-prob then depends on how many rows it is computed with). Default `none`.
   */
  readonly cublaslt?: CublasLtProducts;
  /** Of at least this many rows; default 4096. */
  readonly cublasltRows?: number;
  /** Threads of the kernels; default TOOLGRAD_THREADS, else the processors available. Never changes a bit of a result. */
  readonly threads?: number;
  /**
   * Add a critic's value head: zero, or as in the value_head.safetensors that save() wrote beside the weights. Default false.
   */
  readonly valueHead?: boolean;
  /** An adapter over the frozen model; `trainable` then speaks of the adapter. */
  readonly lora?: LoraOptions;
}

/** See ModelOptions.cublaslt. */
export type CublasLtProducts = 'none' | 'gradients' | 'all';

export interface CreateOptions extends ModelOptions {
  /** Any 64-bit seed; default 0. */
  readonly seed?: bigint;
  /** Standard deviation of the weights; default 0.02. */
  readonly initStd?: number;
}

/** The value head's file, beside the weights. */
const kValueHeadFile = 'value_head.safetensors';

async function nativeOptions(options: ModelOptions) {
  const { lora } = options;
  const device = await resolveDevice(options.device);
  return {
    ...(device.ordinal === null ? {} : { cuda: device.ordinal }),
    ...(options.cublaslt === undefined ? {} : { cublaslt: options.cublaslt }),
    ...(options.cublasltRows === undefined
      ? {}
      : { cublasltRows: positiveInteger(options.cublasltRows, 'cublasltRows') }),
    ...(lora === undefined ? {} : { lora: nativeLora(resolveLora(lora), lora.seed) }),
    dtype: options.dtype ?? 'bfloat16',
    trainable: options.trainable ?? false,
    threads: options.threads === undefined ? defaultThreads() : positiveInteger(options.threads, 'threads'),
  };
}

/**
 * Load a model: a Hugging Face folder or a .gguf file by path, or files already found by openModelFiles().
 *
 * Errors: those of openModelFiles, ERR_OUT_OF_MEMORY with the numbers, ERR_ISA.
 */
export async function loadModel(source: string | ModelSource, options: ModelOptions = {}): Promise<Model> {
  const files = typeof source === 'string' ? openModelFiles(source) : source;
  const checked = await nativeOptions(options);
  const valueHead = options.valueHead ?? false;
  const headFile = join(dirname(files.weightFiles[0]!), kValueHeadFile);
  const handle = await job('loadModel', () =>
    native().modelOpen(shapeOf(files.config, valueHead), checked, {
      files: files.weightFiles,
      ...(valueHead && existsSync(headFile) ? { valueHead: headFile } : {}),
    }),
  );
  const { lora, recompute } = options;
  return new Model(handle, files.config, checked.dtype, checked.trainable, lora, valueHead, recompute);
}

/**
 * Make a model with random weights. Matrices: normal(0, initStd); the projections into the residual stream (o_proj,
 * down_proj) normal(0, initStd / sqrt(2 * layers)), as in GPT-2; norms 1, biases 0. Values depend on the seed alone.
 */
export async function createModel(config: ModelConfig, options: CreateOptions = {}): Promise<Model> {
  const checked = await nativeOptions(options);
  const handle = await job('createModel', () =>
    native().modelOpen(shapeOf(config, options.valueHead), checked, {
      seed: options.seed ?? 0n,
      initStd: options.initStd ?? 0.02,
    }),
  );
  const { lora, valueHead = false, recompute } = options;
  return new Model(handle, config, checked.dtype, checked.trainable, lora, valueHead, recompute);
}

/** A model on the engine; make one with loadModel or createModel. */
export class Model implements EngineModel {
  readonly config: ModelConfig;
  readonly dtype: WeightDtype;
  readonly trainable: boolean;
  readonly valueHead: boolean;
  /** What training passes compute again; may be changed at any time and holds from the next pass on. */
  recompute: Recompute;
  readonly parameterCount: number;
  /** Hugging Face names of all parameters; a tied head has none of its own. */
  readonly parameterNames: readonly string[];
  readonly isa: string;
  readonly threads: number;
  /** The adapter's options; null for a model without one. */
  readonly lora: Lora | null;
  /** PEFT names of the adapter's parameters, for parameter(), setParameter() and gradient(); empty without one. */
  readonly adapterNames: readonly string[];
  /** Parameters of the adapter, 0 without one; `parameterCount` is that of the base. */
  readonly adapterParameterCount: number;
  readonly #handle: ModelHandle;
  readonly #caches = new Set<NativeKvCache>();

  constructor(
    handle: ModelHandle,
    config: ModelConfig,
    dtype: WeightDtype,
    trainable: boolean,
    lora?: LoraOptions,
    valueHead = false,
    recompute: Recompute = 'none',
  ) {
    const info: NativeModelInfo = native().modelInfo(handle);
    this.#handle = handle;
    this.config = config;
    this.dtype = dtype;
    this.trainable = trainable;
    this.valueHead = valueHead;
    this.recompute = recompute;
    this.lora = lora === undefined ? null : resolveLora(lora);
    const adapter = lora === undefined ? null : native().modelAdapterInfo(handle);
    this.adapterNames = adapter?.parameterNames ?? [];
    this.adapterParameterCount = adapter?.parameterCount ?? 0;
    this.parameterCount = info.parameterCount;
    this.parameterNames = info.parameterNames;
    this.isa = info.isa;
    this.threads = info.threads;
  }

  /** What this model takes at its level of recomputation. */
  get memory(): MemoryPlan {
    const { config, dtype, trainable, valueHead, recompute } = this;
    return planMemory(config, dtype, trainable, this.lora ?? undefined, valueHead, recompute);
  }

  get version(): number {
    return runs('version', () => native().modelVersion(this.#handle));
  }

  /**
   * Bytes that may still be taken where the model lies: free memory of its GPU, or of the machine. A GPU hands out memory when
   * it is asked for, the machine when it is first touched.
   */
  memoryLeft(): Promise<number> {
    return job('memoryLeft', () => native().modelMemoryLeft(this.#handle));
  }

  score(batch: PackedBatch, temperature: number, wanted?: Uint8Array, adapter?: AdapterUse): Promise<Scores> {
    return job('score', () => native().modelScore(this.#handle, batch, temperature, wanted, adapter));
  }

  values(batch: PackedBatch, wanted?: Uint8Array): Promise<Float32Array> {
    return job('values', () => native().modelValues(this.#handle, batch, wanted));
  }

  logits(batch: PackedBatch, positions: Int32Array, adapter?: AdapterUse): Promise<Float32Array> {
    return job('logits', () => native().modelLogits(this.#handle, batch, positions, adapter));
  }

  /** Output of the final norm [rows, hiddenSize] at the given packed positions. */
  hidden(batch: PackedBatch, positions: Int32Array, adapter?: AdapterUse): Promise<Float32Array> {
    return job('hidden', () => native().modelHidden(this.#handle, batch, positions, adapter));
  }

  accumulate(batch: LossBatch, loss: LossOptions): Promise<LossResult> {
    return job('accumulate', () => native().modelAccumulate(this.#handle, batch, loss, this.recompute));
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

  /**
   * Take the weights that `from` computes with, and its version; cached keys are stale afterwards, as after an update. This
   * model must not be trainable, and both have one shape and dtype (a value head aside, which this one may lack); neither has an
   * adapter. It comes after all calls made before it, of both models: no update runs meanwhile.
   */
  copyWeights(from: Model): Promise<void> {
    return job('copyWeights', () => native().modelCopyWeights(this.#handle, from.#handle));
  }

  /** After ERR_NOT_FINITE everything is as before the call, gradients included: zeroGradients() to go on without them. */
  update(options: AdamWOptions): Promise<UpdateResult> {
    return job('update', () => native().modelUpdate(this.#handle, options));
  }

  resetOptimizer(): Promise<void> {
    return job('resetOptimizer', () => native().modelResetOptimizer(this.#handle));
  }

  /** `adapter`: the one that all steps on this cache run with. */
  openKvCache(pages: number, adapter?: AdapterUse): KvCache {
    const cache = new NativeKvCache(
      runs('openKvCache', () => native().kvOpen(this.#handle, pages, adapter)),
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

  /**
   * Read the weights of the PEFT adapter in `folder`: as the model's adapter, or as a second, frozen one that score() and
   * caches run with under 'reference'. Rank, alpha and targets must be the model's. Errors: those of openAdapter and
   * checkAdapterTensors.
   */
  loadAdapter(folder: string, as: 'on' | 'reference' = 'on'): Promise<void> {
    return loadAdapter(this.#handle, this, folder, as);
  }

  /**
   * Write the adapter as a folder that PEFT and loadAdapter load: adapter_config.json, adapter_model.safetensors (float32)
   * and `files` (name to contents: the tokenizer's). `base` goes into the config as base_model_name_or_path.
   */
  saveAdapter(folder: string, base: string | null = null, files: FolderFiles = {}): Promise<void> {
    return saveAdapter(this.#handle, this, folder, base, files);
  }

  /** save() of a model with an adapter: W + scaling * B A, computed in float64 and rounded once to the model's dtype. */
  async saveMerged(folder: string, files: FolderFiles = {}): Promise<void> {
    loraOf('saveMerged', this);
    this.#writeConfigs('saveMerged', folder, files);
    await job('saveMerged', () => native().modelSaveMerged(this.#handle, join(folder, 'model.safetensors')));
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
   * file appears complete or not at all, the weights last. A model with an adapter is not written so, because its base is as it
   * was: saveAdapter() or saveMerged().
   */
  async save(folder: string, files: FolderFiles = {}): Promise<void> {
    if (this.lora !== null)
      throw new ToolgradError(
        'ERR_HAS_ADAPTER',
        'save: this model has an adapter: use saveAdapter() for the adapter or saveMerged() for both as one model',
      );
    this.#writeConfigs('save', folder, files);
    if (this.valueHead) await this.saveValueHead(join(folder, kValueHeadFile));
    await this.saveWeights(join(folder, 'model.safetensors'));
  }

  #writeConfigs(operation: string, folder: string, files: FolderFiles): void {
    const { config, generationConfig } = toHfConfig({ ...this.config, dtype: this.dtype });
    writeFiles(operation, folder, {
      ...files,
      'generation_config.json': `${JSON.stringify(generationConfig, null, 2)}\n`,
      'config.json': `${JSON.stringify(config, null, 2)}\n`,
    });
  }

  dispose(): void {
    for (const cache of this.#caches) cache.dispose();
    native().modelDispose(this.#handle);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
