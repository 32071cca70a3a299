/**
 * The hyper-parameters of a model, read from and written to Hugging Face's config.json; parameter names and shapes.
 *
 * Both spellings are read: transformers 4 (`rope_theta`, `rope_scaling`, `torch_dtype`) and 5 (`rope_parameters`, `dtype`);
 * the first is written, because both versions load it. A feature that toolgrad does not compute is refused by name and
 * value, never ignored. GGUF metadata: gguf-config.ts.
 */
import {
  booleanField,
  choiceField,
  configError,
  type Fields,
  field,
  integerField,
  numberField,
  objectField,
  shown,
  tokenIdField,
  tokenIdsField,
  unsupported,
} from './fields.ts';

/** Model families that can be loaded; Qwen2 includes Qwen2.5, Llama includes SmolLM2. */
export type Architecture = 'qwen2' | 'qwen3' | 'llama';
export const architectures: readonly Architecture[] = ['qwen2', 'qwen3', 'llama'];

/** Element types a checkpoint may name. */
export type CheckpointDtype = 'float32' | 'bfloat16' | 'float16';

/** Llama 3.1's frequency scaling: wave lengths beyond the original context are stretched by `factor`, with a smooth passage. */
export interface Llama3RopeScaling {
  readonly type: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositionEmbeddings: number;
}

/** What the engine needs to know to build a model. Dimensions are counts of elements. */
export interface ModelConfig {
  readonly arch: Architecture;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Key/value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Even; not always hiddenSize / heads. */
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: Llama3RopeScaling | null;
  readonly maxPositionEmbeddings: number;
  readonly tieWordEmbeddings: boolean;
  /** Biases on the q, k and v projections (Qwen2). */
  readonly qkvBias: boolean;
  /** RMSNorm over each head of q and k before RoPE (Qwen3). */
  readonly qkNorm: boolean;
  /** Tokens that end a turn; generation_config.json decides when there is one. Empty: none is named. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | null;
  readonly padTokenId: number | null;
  /** Type the checkpoint names; bfloat16 for quantised GGUF. */
  readonly dtype: CheckpointDtype;
}

/** Bounds that keep every product of two dimensions below 2^53 and refuse nonsense early. */
export const limits = {
  vocabSize: 2 ** 22,
  hiddenSize: 2 ** 17,
  layers: 1024,
  heads: 1024,
  headDim: 1024,
  intermediateSize: 2 ** 20,
  maxPositionEmbeddings: 2 ** 27,
} as const;

const classNames: Record<Architecture, string> = {
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  llama: 'LlamaForCausalLM',
};

/** Dimensions that must agree with each other, whatever file they came from. */
export function checkDimensions(label: string, config: ModelConfig): ModelConfig {
  const { heads, kvHeads, headDim } = config;
  if (heads % kvHeads !== 0)
    throw configError(
      label,
      `expected the ${heads} attention heads to be a multiple of the ${kvHeads} key/value heads`,
    );
  if (headDim % 2 !== 0) throw configError(label, `expected an even head size for RoPE but found ${headDim}`);
  return config;
}

interface Rope {
  readonly ropeTheta: number;
  readonly ropeScaling: Llama3RopeScaling | null;
}

function parseRope(config: Fields): Rope {
  const scaling = objectField(config, 'rope_parameters') ?? objectField(config, 'rope_scaling');
  const thetaOwner = scaling !== undefined && field(scaling, 'rope_theta') !== undefined ? scaling : config;
  const ropeTheta = numberField(thetaOwner, 'rope_theta', 1, 1e15, 10_000);
  for (const fields of scaling === undefined ? [config] : [config, scaling]) {
    const partial = numberField(fields, 'partial_rotary_factor', 0, 1, 1);
    if (partial !== 1) throw unsupported(fields, 'partial_rotary_factor', partial, '1');
  }
  if (scaling === undefined) return { ropeTheta, ropeScaling: null };
  const typeKey = field(scaling, 'rope_type') === undefined ? 'type' : 'rope_type';
  const type = choiceField(scaling, typeKey, ['default', 'llama3']);
  if (type === undefined && field(scaling, 'factor') !== undefined)
    throw configError(scaling.label, 'expected "default" or "llama3" for "rope_type" but it is missing');
  if (type !== 'llama3') return { ropeTheta, ropeScaling: null };
  const lowFreqFactor = numberField(scaling, 'low_freq_factor', 1e-6, 1e6);
  const highFreqFactor = numberField(scaling, 'high_freq_factor', 1e-6, 1e6);
  if (highFreqFactor <= lowFreqFactor)
    throw configError(
      scaling.label,
      `expected "high_freq_factor" above ${lowFreqFactor} but found ${highFreqFactor}`,
    );
  return {
    ropeTheta,
    ropeScaling: {
      type: 'llama3',
      factor: numberField(scaling, 'factor', 1, 1e6),
      lowFreqFactor,
      highFreqFactor,
      originalMaxPositionEmbeddings: integerField(
        scaling,
        'original_max_position_embeddings',
        1,
        limits.maxPositionEmbeddings,
      ),
    },
  };
}

function refuseUnsupported(config: Fields, arch: Architecture, layers: number): void {
  for (const key of ['quantization_config', 'num_experts', 'num_local_experts', 'auto_map']) {
    const value = field(config, key);
    if (value !== undefined) throw unsupported(config, key, value, 'no such key (a plain dense model)');
  }
  const architectureNames = field(config, 'architectures');
  if (architectureNames !== undefined) {
    const isOurs = Array.isArray(architectureNames) && architectureNames.includes(classNames[arch]);
    if (!isOurs) throw unsupported(config, 'architectures', architectureNames, `["${classNames[arch]}"]`);
  }
  choiceField(config, 'hidden_act', ['silu']);
  for (const key of ['use_sliding_window', 'mlp_bias', ...(arch === 'qwen2' ? [] : ['attention_bias'])]) {
    if (booleanField(config, key, false)) throw unsupported(config, key, true, 'false');
  }
  if (arch === 'llama' && field(config, 'sliding_window') !== undefined)
    throw unsupported(config, 'sliding_window', field(config, 'sliding_window'), 'null');
  const layerTypes = field(config, 'layer_types');
  if (layerTypes === undefined) return;
  if (!Array.isArray(layerTypes) || layerTypes.length !== layers)
    throw configError(
      config.label,
      `expected ${layers} entries in "layer_types" but found ${shown(layerTypes)}`,
    );
  const other: unknown = layerTypes.find((type) => type !== 'full_attention');
  if (other !== undefined)
    throw unsupported(config, 'layer_types', other, '"full_attention" for every layer');
}

/**
 * Parse the object in config.json, and the one in generation_config.json when there is one. `label` names the file in
 * messages. Throws ToolgradError ERR_MODEL_CONFIG naming key, expectation and value.
 */
export function parseHfConfig(
  values: Readonly<Record<string, unknown>>,
  generation: Readonly<Record<string, unknown>> | null = null,
  label = 'config.json',
): ModelConfig {
  const config: Fields = { label, values };
  const arch = choiceField(config, 'model_type', architectures);
  if (arch === undefined)
    throw configError(label, `expected "model_type" (${architectures.join(', ')}) but it is missing`);
  const layers = integerField(config, 'num_hidden_layers', 1, limits.layers);
  refuseUnsupported(config, arch, layers);
  const vocabSize = integerField(config, 'vocab_size', 1, limits.vocabSize);
  const hiddenSize = integerField(config, 'hidden_size', 1, limits.hiddenSize);
  const heads = integerField(config, 'num_attention_heads', 1, limits.heads);
  if (field(config, 'head_dim') === undefined && arch !== 'qwen3' && hiddenSize % heads !== 0)
    throw configError(
      label,
      `expected "hidden_size" ${hiddenSize} to be a multiple of "num_attention_heads" ${heads}`,
    );
  const headDimDefault = arch === 'qwen3' ? 128 : hiddenSize / heads; // as in the Qwen3Config class
  const generationFields: Fields | null =
    generation === null
      ? null
      : { label: label.replace(/[^/\\]*$/, 'generation_config.json'), values: generation };
  const eosTokenIds =
    (generationFields === null ? undefined : tokenIdsField(generationFields, 'eos_token_id', vocabSize)) ??
    tokenIdsField(config, 'eos_token_id', vocabSize) ??
    [];
  const pad = field(config, 'pad_token_id');
  return checkDimensions(label, {
    arch,
    vocabSize,
    hiddenSize,
    layers,
    heads,
    kvHeads: integerField(config, 'num_key_value_heads', 1, heads, heads),
    headDim: integerField(config, 'head_dim', 2, limits.headDim, headDimDefault),
    intermediateSize: integerField(config, 'intermediate_size', 1, limits.intermediateSize),
    rmsNormEps: numberField(config, 'rms_norm_eps', 0, 1, 1e-6),
    ...parseRope(config),
    maxPositionEmbeddings: integerField(config, 'max_position_embeddings', 1, limits.maxPositionEmbeddings),
    tieWordEmbeddings: booleanField(config, 'tie_word_embeddings', false),
    qkvBias: arch === 'qwen2',
    qkNorm: arch === 'qwen3',
    eosTokenIds,
    bosTokenId: tokenIdField(config, 'bos_token_id', vocabSize),
    padTokenId: pad === -1 ? null : tokenIdField(config, 'pad_token_id', vocabSize), // -1: old Llama files
    dtype:
      choiceField(config, field(config, 'dtype') === undefined ? 'torch_dtype' : 'dtype', [
        'float32',
        'bfloat16',
        'float16',
      ]) ?? 'float32',
  });
}

/**
 * The objects to save as config.json and generation_config.json next to the weights, so that transformers 4 and 5 load the
 * folder. parseHfConfig gives `config` back.
 */
export function toHfConfig(config: ModelConfig): {
  config: Record<string, unknown>;
  generationConfig: Record<string, unknown>;
} {
  const { arch, ropeScaling, eosTokenIds } = config;
  const eos = eosTokenIds.length > 1 ? [...eosTokenIds] : (eosTokenIds[0] ?? null);
  const scaling = ropeScaling && {
    factor: ropeScaling.factor,
    high_freq_factor: ropeScaling.highFreqFactor,
    low_freq_factor: ropeScaling.lowFreqFactor,
    original_max_position_embeddings: ropeScaling.originalMaxPositionEmbeddings,
    rope_type: 'llama3',
  };
  const plainHeadDim = config.headDim * config.heads === config.hiddenSize;
  const tokens = { bos_token_id: config.bosTokenId, eos_token_id: eos, pad_token_id: config.padTokenId };
  return {
    config: {
      architectures: [classNames[arch]],
      attention_dropout: 0,
      ...tokens,
      ...(arch === 'qwen2' && plainHeadDim ? {} : { head_dim: config.headDim }),
      hidden_act: 'silu',
      hidden_size: config.hiddenSize,
      initializer_range: 0.02,
      intermediate_size: config.intermediateSize,
      max_position_embeddings: config.maxPositionEmbeddings,
      model_type: arch,
      num_attention_heads: config.heads,
      num_hidden_layers: config.layers,
      num_key_value_heads: config.kvHeads,
      rms_norm_eps: config.rmsNormEps,
      rope_scaling: scaling,
      rope_theta: config.ropeTheta,
      tie_word_embeddings: config.tieWordEmbeddings,
      torch_dtype: config.dtype,
      transformers_version: '4.46.0',
      use_cache: true,
      vocab_size: config.vocabSize,
      ...(arch === 'qwen2' ? {} : { attention_bias: false }),
      ...(arch === 'llama'
        ? { mlp_bias: false }
        : { max_window_layers: config.layers, sliding_window: null, use_sliding_window: false }),
    },
    generationConfig: { ...tokens, transformers_version: '4.46.0' },
  };
}

/** A parameter's Hugging Face name and shape, row-major [out, in] for matrices. */
export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Every parameter of the model, in the order of the forward pass. Tied models have no `lm_head.weight`. */
export function parameterShapes(config: ModelConfig): ParameterShape[] {
  const { hiddenSize, headDim, intermediateSize, vocabSize } = config;
  const queryWidth = config.heads * headDim;
  const kvWidth = config.kvHeads * headDim;
  const list: ParameterShape[] = [{ name: 'model.embed_tokens.weight', shape: [vocabSize, hiddenSize] }];
  for (let layer = 0; layer < config.layers; layer++) {
    const add = (name: string, ...shape: number[]) =>
      list.push({ name: `model.layers.${layer}.${name}`, shape });
    add('input_layernorm.weight', hiddenSize);
    for (const [name, width] of [
      ['q', queryWidth],
      ['k', kvWidth],
      ['v', kvWidth],
    ] as const) {
      add(`self_attn.${name}_proj.weight`, width, hiddenSize);
      if (config.qkvBias) add(`self_attn.${name}_proj.bias`, width);
    }
    if (config.qkNorm) {
      add('self_attn.q_norm.weight', headDim);
      add('self_attn.k_norm.weight', headDim);
    }
    add('self_attn.o_proj.weight', hiddenSize, queryWidth);
    add('post_attention_layernorm.weight', hiddenSize);
    add('mlp.gate_proj.weight', intermediateSize, hiddenSize);
    add('mlp.up_proj.weight', intermediateSize, hiddenSize);
    add('mlp.down_proj.weight', hiddenSize, intermediateSize);
  }
  list.push({ name: 'model.norm.weight', shape: [hiddenSize] });
  if (!config.tieWordEmbeddings) list.push({ name: 'lm_head.weight', shape: [vocabSize, hiddenSize] });
  return list;
}

/** Number of trained values. */
export function parameterCount(config: ModelConfig): number {
  return parameterShapes(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}
