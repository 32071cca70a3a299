/**
 * The part of the native addon behind Model and KvCache (binding/napi/model.cc, kv_cache.cc). Arguments are checked natively,
 * synchronously: TypeError and RangeError name the argument, its expectation and its value.
 */
import type { ModelConfig } from './config.ts';
import type {
  AdamWOptions,
  AdapterUse,
  LossBatch,
  LossOptions,
  LossResult,
  MemoryPlan,
  PackedBatch,
  Recompute,
  Scores,
  StepResult,
  StepRow,
  UpdateResult,
  WeightDtype,
} from './engine.ts';

declare const handleKind: unique symbol;
/** Opaque: an External that owns a share of a native model or cache. */
export interface ModelHandle {
  readonly [handleKind]: 'model';
}
export interface KvHandle {
  readonly [handleKind]: 'kv';
}

/** The fields of a ModelConfig that the engine computes with. */
export type NativeShape = Pick<
  ModelConfig,
  | 'vocabSize'
  | 'hiddenSize'
  | 'layers'
  | 'heads'
  | 'kvHeads'
  | 'headDim'
  | 'intermediateSize'
  | 'maxPositionEmbeddings'
  | 'rmsNormEps'
  | 'ropeTheta'
  | 'ropeScaling'
  | 'tieWordEmbeddings'
  | 'qkvBias'
  | 'qkNorm'
> & { readonly valueHead?: boolean };

/** An adapter as the engine is told of it; lib/model/lora.ts makes it from options. */
export interface NativeLora {
  readonly rank: number;
  readonly scaling: number;
  readonly targets: readonly string[];
  readonly seed: bigint;
}

export interface NativeModelOptions {
  readonly dtype: WeightDtype;
  readonly trainable: boolean;
  readonly threads: number;
  readonly isa?: string;
  /** Ordinal of a GPU; absent: the CPU. */
  readonly cuda?: number;
  /** What a GPU leaves to cublasLt: `none`, `gradients`, `all`; products of at least cublasltRows rows. */
  readonly cublaslt?: string;
  readonly cublasltRows?: number;
  readonly lora?: NativeLora;
}

export interface NativeModelInfo {
  readonly parameterCount: number;
  /** Hugging Face names: matrices in the order of the forward pass, then vectors. */
  readonly parameterNames: readonly string[];
  readonly isa: string;
  readonly threads: number;
}

/** A GPU as its driver describes it. */
export interface NativeCudaDevice {
  readonly ordinal: number;
  readonly name: string;
  /** "8.0" */
  readonly computeCapability: string;
  readonly multiprocessors: number;
  readonly memoryBytes: number;
  /** Version of CUDA that the driver supports: "13.0". */
  readonly driver: string;
  /** The file of the driver library. */
  readonly library: string;
}

/** What was found when a GPU was opened. */
export interface NativeCudaFacts {
  /** Which image of each module of kernels the driver took: "PTX 7.4", "cubin sm_80". */
  readonly images: readonly { readonly module: string; readonly image: string }[];
  /** Whether memory comes from the driver's pool. */
  readonly pooled: boolean;
  /** Whether decoding steps are replayed as graphs. */
  readonly graphs: boolean;
}

export interface NativeModelFunctions {
  /** Every GPU; rejects with ERR_NO_CUDA. */
  cudaDevices(): Promise<NativeCudaDevice[]>;
  /** Opens the GPU as a model would; rejects with the reason when it cannot be used. */
  cudaOpen(ordinal: number): Promise<NativeCudaFacts>;
  /** How many texts of PTX the addon holds; 0 when it was built without nvcc. */
  cudaModules(): number;
  planMemory(
    shape: NativeShape,
    dtype: WeightDtype,
    trainable: boolean,
    lora?: NativeLora,
    recompute?: Recompute,
  ): MemoryPlan;
  planPass(
    shape: NativeShape,
    dtype: WeightDtype,
    pass: {
      readonly kind: string;
      readonly tokens: number;
      readonly longest: number;
      readonly threads: number;
      readonly loraRank: number;
      readonly recompute: Recompute;
    },
  ): { readonly arenaBytes: number; readonly scratchBytes: number };
  /** Bytes this process may still take: the machine's available memory or the room of its control group. */
  availableMemory(): number;
  modelMemoryLeft(model: ModelHandle): Promise<number>;
  /** Bytes of native memory that V8 was told about. */
  externalMemory(): number;
  modelOpen(
    shape: NativeShape,
    options: NativeModelOptions,
    source:
      | { readonly files: readonly string[]; readonly valueHead?: string }
      | { readonly seed: bigint; readonly initStd: number },
  ): Promise<ModelHandle>;
  modelInfo(model: ModelHandle): NativeModelInfo;
  modelVersion(model: ModelHandle): number;
  modelDispose(model: ModelHandle): void;
  modelScore(
    model: ModelHandle,
    batch: PackedBatch,
    temperature: number,
    wanted?: Uint8Array,
    adapter?: AdapterUse,
  ): Promise<Scores>;
  modelValues(model: ModelHandle, batch: PackedBatch, wanted?: Uint8Array): Promise<Float32Array>;
  modelSaveValueHead(model: ModelHandle, path: string): Promise<void>;
  modelLoadValueHead(model: ModelHandle, path: string): Promise<void>;
  modelLogits(
    model: ModelHandle,
    batch: PackedBatch,
    positions: Int32Array,
    adapter?: AdapterUse,
  ): Promise<Float32Array>;
  modelHidden(
    model: ModelHandle,
    batch: PackedBatch,
    positions: Int32Array,
    adapter?: AdapterUse,
  ): Promise<Float32Array>;
  modelAccumulate(
    model: ModelHandle,
    batch: LossBatch,
    loss: LossOptions,
    recompute?: Recompute,
  ): Promise<LossResult>;
  modelZeroGradients(model: ModelHandle): Promise<void>;
  modelResetOptimizer(model: ModelHandle): Promise<void>;
  modelGradient(model: ModelHandle, name: string): Promise<Float32Array>;
  modelParameter(model: ModelHandle, name: string): Promise<Float32Array>;
  modelSetParameter(model: ModelHandle, name: string, values: Float32Array): Promise<void>;
  modelCopyWeights(to: ModelHandle, from: ModelHandle): Promise<void>;
  modelUpdate(model: ModelHandle, options: AdamWOptions): Promise<UpdateResult>;
  modelSaveWeights(model: ModelHandle, path: string): Promise<void>;
  modelSaveOptimizer(model: ModelHandle, path: string): Promise<void>;
  modelLoadOptimizer(model: ModelHandle, path: string): Promise<void>;
  /** Of the adapter alone; these four throw ERR_NO_ADAPTER when the model has none. */
  modelAdapterInfo(model: ModelHandle): Pick<NativeModelInfo, 'parameterCount' | 'parameterNames'>;
  modelLoadAdapter(model: ModelHandle, path: string, adapter: 'on' | 'reference'): Promise<void>;
  modelSaveAdapter(model: ModelHandle, path: string): Promise<void>;
  modelSaveMerged(model: ModelHandle, path: string): Promise<void>;
  kvOpen(model: ModelHandle, pages: number, adapter?: AdapterUse): KvHandle;
  kvPagesFree(cache: KvHandle): number;
  kvPagesTotal(cache: KvHandle): number;
  kvTokensComputed(cache: KvHandle): number;
  kvAdd(cache: KvHandle): number;
  kvFork(cache: KvHandle, seq: number): number;
  kvLength(cache: KvHandle, seq: number): number;
  kvFree(cache: KvHandle, seq: number): void;
  kvPagesFor(cache: KvHandle, seq: number, tokens: number): number;
  kvClear(cache: KvHandle): void;
  kvDispose(cache: KvHandle): void;
  kvStep(cache: KvHandle, rows: readonly StepRow[]): Promise<StepResult>;
}
