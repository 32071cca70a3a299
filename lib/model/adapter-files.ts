/**
 * Adapters on disk in PEFT's layout: adapter_config.json and adapter_model.safetensors under PEFT's tensor names.
 *
 * What is not computed here (dropout in training, biases, DoRA, other modules saved whole, ranks by layer) is refused by key,
 * value and file, never ignored; so is any key this version does not know, unless its value switches it off.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { native } from '../native.ts';
import type { ModelConfig } from './config.ts';
import {
  booleanField,
  configError,
  type Fields,
  field,
  integerField,
  isRecord,
  numberField,
  readJsonObject,
  shown,
  unsupported,
} from './fields.ts';
import { adapterShapes, type Lora, type LoraTarget, loraTargets, maxLoraRank } from './lora.ts';

export const adapterConfigName = 'adapter_config.json';
export const adapterWeightName = 'adapter_model.safetensors';
const kMaxConfigBytes = 2 ** 20;

/** An adapter whose config was read; its tensors are checked against a model by `checkAdapterTensors`. */
export interface AdapterSource {
  readonly path: string;
  readonly weightFile: string;
  readonly lora: Lora;
  /** `base_model_name_or_path`: a folder, a file, or a name on a hub; null when the config has none. */
  readonly base: string | null;
  /** `lora_dropout` of the training that made it. */
  readonly dropout: number;
}

/** Whether `path` is a folder with an adapter and no model of its own. */
export function isAdapterFolder(path: string): boolean {
  return existsSync(join(path, adapterConfigName)) && !existsSync(join(path, 'config.json'));
}

/** Keys that say nothing about what is computed from the weights in the file. */
const kInformation: ReadonlySet<string> = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'eva_config',
  'inference_mode',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
]);
/** Keys that are read. */
const kRead: ReadonlySet<string> = new Set([
  'bias',
  'init_lora_weights',
  'lora_alpha',
  'lora_dropout',
  'peft_type',
  'r',
  'target_modules',
  'task_type',
  'use_rslora',
]);

const kRemedies: Readonly<Record<string, string>> = {
  modules_to_save: 'no module saved whole (only the adapter is trained)',
  use_dora: 'false (DoRA is not computed)',
  rank_pattern: 'one rank, r, for all layers',
  alpha_pattern: 'one lora_alpha for all layers',
  layers_to_transform: 'an adapter in every layer',
  fan_in_fan_out: 'false (the models here have none)',
};

function isNeutral(value: unknown): boolean {
  if (value === null || value === false || value === '') return true;
  return Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0;
}

/**
 * Read and check the config of the adapter in `folder`. Throws ToolgradError: ERR_FILE_NOT_FOUND, ERR_MODEL_CONFIG (a key,
 * its value, what is expected), ERR_MODEL_FILES (no weights in safetensors).
 */
export function openAdapter(folder: string): AdapterSource {
  const label = join(folder, adapterConfigName);
  const config: Fields = { label, values: readJsonObject(label, kMaxConfigBytes) };
  const text = (key: string, expected: string, fallback?: string) => {
    const value = field(config, key) ?? fallback;
    if (value !== expected) throw unsupported(config, key, value ?? null, `"${expected}"`);
  };
  text('peft_type', 'LORA');
  text('task_type', 'CAUSAL_LM', 'CAUSAL_LM');
  text('bias', 'none', 'none');
  // These change the base's weights at the start, so the file alone does not say what is computed.
  const initial = field(config, 'init_lora_weights') ?? true;
  if (typeof initial !== 'boolean' && initial !== 'gaussian' && initial !== 'eva' && initial !== 'orthogonal')
    throw unsupported(config, 'init_lora_weights', initial, 'true, false, "gaussian", "eva" or "orthogonal"');
  for (const [key, value] of Object.entries(config.values)) {
    if (kInformation.has(key) || kRead.has(key) || isNeutral(value)) continue;
    throw unsupported(config, key, value, kRemedies[key] ?? 'it to be absent, null or false');
  }
  const base = field(config, 'base_model_name_or_path') ?? null;
  if (base !== null && typeof base !== 'string')
    throw configError(label, `expected a string for "base_model_name_or_path" but found ${shown(base)}`);
  const weightFile = join(folder, adapterWeightName);
  if (!existsSync(weightFile)) {
    const old = existsSync(join(folder, 'adapter_model.bin'));
    throw new ToolgradError(
      'ERR_MODEL_FILES',
      `${folder}: expected ${adapterWeightName} but found ${old ? 'adapter_model.bin: convert it to safetensors' : 'none'}`,
    );
  }
  return {
    path: folder,
    weightFile,
    base,
    dropout: numberField(config, 'lora_dropout', 0, 1, 0),
    lora: {
      rank: integerField(config, 'r', 1, maxLoraRank),
      alpha: numberField(config, 'lora_alpha', Number.MIN_VALUE, Number.MAX_VALUE),
      targets: readTargets(config),
      rslora: booleanField(config, 'use_rslora', false),
    },
  };
}

function readTargets(config: Fields): LoraTarget[] {
  const value = field(config, 'target_modules');
  if (value === 'all-linear') return [...loraTargets];
  const what = `"all-linear" or a list of names out of ${loraTargets.join(', ')}`;
  if (!Array.isArray(value) || value.length === 0)
    throw unsupported(config, 'target_modules', value ?? null, what);
  const names: unknown[] = value;
  for (const name of names) {
    if ((loraTargets as readonly unknown[]).includes(name)) continue;
    throw unsupported(config, 'target_modules', name, what);
  }
  return loraTargets.filter((name) => names.includes(name));
}

/**
 * Checks the tensors of an adapter against the model it is for: all there, none besides, shapes and types right. Throws
 * ERR_MODEL_FILES naming file and tensor, ERR_WEIGHT_FILE when the file is damaged.
 */
export function checkAdapterTensors({ weightFile, lora }: AdapterSource, config: ModelConfig): void {
  const wrong = (message: string) => new ToolgradError('ERR_MODEL_FILES', `${weightFile}: ${message}`);
  const found = new Map(
    native()
      .inspectWeights(weightFile)
      .tensors.map((tensor) => [tensor.name, tensor]),
  );
  for (const { name, shape } of adapterShapes(config, lora)) {
    const tensor = found.get(name);
    const expected = `expected tensor "${name}" [${shape.join(', ')}]`;
    if (tensor === undefined) throw wrong(`${expected} by adapter and base but it is missing`);
    if (tensor.shape.join() !== shape.join())
      throw wrong(`${expected} by adapter and base but found [${tensor.shape.join(', ')}]`);
    if (!tensor.readable) throw wrong(`${expected} as F32, F16 or BF16 but found ${tensor.dtype}`);
    found.delete(name);
  }
  const [extra] = found.keys();
  if (extra !== undefined)
    throw wrong(
      `found tensor "${extra}", which ${adapterConfigName} and this base have no place for: is it the adapter of another model?`,
    );
}

/** The text of adapter_config.json, with the keys that every version of PEFT knows. */
export function adapterConfigText(lora: Lora, base: string | null): string {
  const config = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: lora.rank,
    rank_pattern: {},
    revision: null,
    target_modules: [...lora.targets].sort(),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: lora.rslora,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
