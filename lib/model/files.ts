/**
 * A model on disk, checked before anything is loaded: a Hugging Face folder (config.json with model.safetensors or shards) or
 * a GGUF file, alone or as the only one in a folder.
 *
 * What `openModelFiles` returns is complete: the config is supported, every parameter is in one of the files with the shape
 * the config demands and in a type that can be read. Only headers are read. Names in files never lead out of the folder.
 */
import { existsSync, readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, errorMessage, ToolgradError } from '../errors.ts';
import { native, type TensorInfo, type WeightFileInfo } from '../native.ts';
import { type ModelConfig, parameterShapes, parseHfConfig } from './config.ts';
import { configError, field, isRecord, readJsonObject, shown } from './fields.ts';
import { parseGgufConfig } from './gguf-config.ts';

/** Where the tokenizer of a model is: files beside the weights, or the metadata of the GGUF file. */
export type TokenizerSource =
  | { readonly kind: 'hf'; readonly folder: string }
  | { readonly kind: 'gguf'; readonly metadata: Readonly<Record<string, unknown>> };

/** A model whose files were found, parsed and agree with each other. */
export interface ModelSource {
  readonly kind: 'hf' | 'gguf';
  /** The folder or file that was asked for. */
  readonly path: string;
  readonly config: ModelConfig;
  /** Files to hand to the native loader together. */
  readonly weightFiles: readonly string[];
  /** Parameter (Hugging Face name) to the file in `weightFiles` that holds it. */
  readonly index: ReadonlyMap<string, string>;
  /** Tensors in the files that the model does not use, by their own names. */
  readonly extraTensors: readonly string[];
  /** null when the folder has no tokenizer.json. */
  readonly tokenizer: TokenizerSource | null;
}

const kMaxConfigBytes = 2 ** 20;
const kMaxIndexBytes = 2 ** 26;
const kIndexName = 'model.safetensors.index.json';

function modelError(path: string, message: string): ToolgradError {
  return new ToolgradError('ERR_MODEL_FILES', `${path}: ${message}`);
}

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const absent = errorCode(cause) === 'ENOENT' || errorCode(cause) === 'ENOTDIR';
    throw new ToolgradError(
      absent ? 'ERR_FILE_NOT_FOUND' : 'ERR_FILE_IO',
      absent
        ? `${path}: expected a Hugging Face folder or a .gguf file but there is nothing`
        : `${path}: cannot read: ${errorMessage(cause)}`,
      { cause },
    );
  }
}

interface Located extends TensorInfo {
  readonly file: string;
}

/** Compares what the files hold with what the config demands. */
function matchTensors(
  path: string,
  config: ModelConfig,
  found: ReadonlyMap<string, Located>,
): ReadonlyMap<string, string> {
  const index = new Map<string, string>();
  const missing: string[] = [];
  for (const { name, shape } of parameterShapes(config)) {
    const tensor = found.get(name);
    if (tensor === undefined) {
      missing.push(`"${name}" [${shape.join(', ')}]`);
      continue;
    }
    if (tensor.shape.join() !== shape.join())
      throw modelError(
        tensor.file,
        `tensor "${tensor.name}": expected shape [${shape.join(', ')}] from the config but found [${tensor.shape.join(', ')}]`,
      );
    if (!tensor.readable)
      throw modelError(
        tensor.file,
        `tensor "${tensor.name}" is stored as ${tensor.dtype}; expected F32, F16 or BF16, or in GGUF also Q8_0, Q4_0, ` +
          'Q4_1 or Q6_K: convert or requantise the model',
      );
    index.set(name, tensor.file);
  }
  if (missing.length > 0) {
    const others = missing.length > 1 ? ` (and ${missing.length - 1} more)` : '';
    throw modelError(path, `expected tensor ${missing[0]} but it is missing${others}`);
  }
  return index;
}

/** File names of the shards, from the index; each must be a plain name in the folder. */
function readShardMap(indexPath: string): Map<string, string> {
  const label = indexPath;
  const map = field({ label, values: readJsonObject(indexPath, kMaxIndexBytes) }, 'weight_map');
  if (!isRecord(map)) throw configError(label, `expected an object for "weight_map" but found ${shown(map)}`);
  const shards = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[^/\\\0]+\.safetensors$/.test(file))
      throw configError(
        label,
        `expected the name of a .safetensors file in the folder for "${name}" but found ${shown(file)}`,
      );
    shards.set(name, file);
  }
  if (shards.size === 0)
    throw configError(label, 'expected at least one tensor in "weight_map" but it is empty');
  return shards;
}

function inspectSafetensors(file: string): WeightFileInfo {
  const info = native().inspectWeights(file);
  if (info.format !== 'safetensors')
    throw modelError(file, `expected a safetensors file but found ${info.format}`);
  return info;
}

interface Inspected {
  readonly weightFiles: string[];
  readonly found: Map<string, Located>;
}

function inspectShards(folder: string): Inspected {
  const shards = readShardMap(join(folder, kIndexName));
  const names = [...new Set(shards.values())].sort();
  const found = new Map<string, Located>();
  for (const name of names) {
    const file = join(folder, name);
    if (!existsSync(file)) {
      const users = [...shards].filter(([, shard]) => shard === name).map(([tensor]) => tensor);
      throw modelError(
        folder,
        `expected the shard ${name}, named in ${kIndexName} for "${users[0]}" and ${users.length - 1} more, but it is missing: ` +
          'download it again',
      );
    }
    for (const tensor of inspectSafetensors(file).tensors) {
      const twin = found.get(tensor.name);
      if (twin !== undefined)
        throw modelError(folder, `tensor "${tensor.name}" is in both ${twin.file} and ${file}`);
      found.set(tensor.name, { ...tensor, file });
    }
  }
  for (const [tensor, shard] of shards) {
    const file = found.get(tensor)?.file;
    if (file !== join(folder, shard))
      throw modelError(
        folder,
        `expected tensor "${tensor}" in ${shard}, where ${kIndexName} puts it, but ${file === undefined ? 'no shard has it' : `it is in ${file}`}`,
      );
  }
  return { weightFiles: names.map((name) => join(folder, name)), found };
}

function inspectFolder(folder: string): Inspected {
  const single = join(folder, 'model.safetensors');
  if (existsSync(single)) {
    const found = new Map(
      inspectSafetensors(single).tensors.map((tensor) => [tensor.name, { ...tensor, file: single }]),
    );
    return { weightFiles: [single], found };
  }
  if (existsSync(join(folder, kIndexName))) return inspectShards(folder);
  const old = readdirSync(folder).find(
    (name) => name.endsWith('.bin') || name.endsWith('.pt') || name.endsWith('.pth'),
  );
  throw modelError(
    folder,
    `expected model.safetensors or ${kIndexName} but found ${old === undefined ? 'neither' : `${old}: convert it to safetensors`}`,
  );
}

function openHfFolder(folder: string): ModelSource {
  const configPath = join(folder, 'config.json');
  const generationPath = join(folder, 'generation_config.json');
  const generation = existsSync(generationPath) ? readJsonObject(generationPath, kMaxConfigBytes) : null;
  const config = parseHfConfig(readJsonObject(configPath, kMaxConfigBytes), generation, configPath);
  const { weightFiles, found } = inspectFolder(folder);
  const index = matchTensors(folder, config, found);
  return {
    kind: 'hf',
    path: folder,
    config,
    weightFiles,
    index,
    extraTensors: [...found.keys()].filter((name) => !index.has(name)),
    tokenizer: existsSync(join(folder, 'tokenizer.json')) ? { kind: 'hf', folder } : null,
  };
}

function openGguf(path: string, file: string): ModelSource {
  const info = native().inspectWeights(file);
  if (info.format !== 'gguf')
    throw modelError(
      file,
      'expected a GGUF file but found safetensors: give the folder that holds config.json',
    );
  const config = parseGgufConfig(info, () => native().readTensor(file, 'rope_freqs.weight'), file);
  const found = new Map<string, Located>();
  for (const tensor of info.tensors)
    if (tensor.hfName !== null) found.set(tensor.hfName, { ...tensor, file });
  const index = matchTensors(file, config, found);
  const used = new Set([...index.keys()].map((name) => found.get(name)?.name));
  if (config.ropeScaling !== null) used.add('rope_freqs.weight');
  return {
    kind: 'gguf',
    path,
    config,
    weightFiles: [file],
    index,
    extraTensors: info.tensors.map(({ name }) => name).filter((name) => !used.has(name)),
    tokenizer: { kind: 'gguf', metadata: info.metadata },
  };
}

/**
 * Find and check the model at `path`. Throws ToolgradError: ERR_FILE_NOT_FOUND or ERR_FILE_IO; ERR_MODEL_CONFIG (a key of the
 * config); ERR_MODEL_FILES (a file or tensor is missing, of a wrong shape or type); ERR_WEIGHT_FILE (a damaged file). Each
 * message names the file.
 */
export function openModelFiles(path: string): ModelSource {
  if (!statOf(path).isDirectory()) return openGguf(path, path);
  if (existsSync(join(path, 'config.json'))) return openHfFolder(path);
  const names = readdirSync(path)
    .filter((name) => name.toLowerCase().endsWith('.gguf'))
    .sort();
  const [only] = names;
  if (only !== undefined && names.length === 1) return openGguf(path, join(path, only));
  throw modelError(
    path,
    names.length === 0
      ? 'expected config.json (a Hugging Face folder) or one .gguf file but found neither'
      : `expected one .gguf file but found ${names.length} (${names.join(', ')}): give the path of one`,
  );
}
