/**
 * Model folders and files that are damaged or not supported, each made in a folder of its own from test/fixtures/tiny-qwen2,
 * with what the error must say. Used by test/model-files.test.ts and scripts/show-malformed-models.ts.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../lib/package.ts';
import {
  type GgufTensor,
  type GgufValue,
  ggufBytes,
  type SafetensorsTensor,
  safetensorsBytes,
} from './weight-writers.ts';

const tiny = join(packageRoot, 'test', 'fixtures', 'tiny-qwen2');

export interface MalformedModel {
  readonly name: string;
  readonly code: string;
  /** The message must match all of these. */
  readonly says: readonly RegExp[];
  /** Makes the model below `folder` and returns the path to open. */
  readonly make: (folder: string) => string;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The tensors of a safetensors file, in file order. */
export function readSafetensors(file: string): Map<string, SafetensorsTensor> {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, HeaderEntry>;
  delete header.__metadata__;
  const entries = Object.entries(header).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { dtype, shape, data: bytes.subarray(start + begin, start + end) }],
    ),
  );
}

/** A copy of the tiny model with its config keys and tensors changed (undefined removes a key). */
export function copyOfTinyModel(
  folder: string,
  changes: Readonly<Record<string, unknown>> = {},
  edit: (tensors: Map<string, SafetensorsTensor>) => void = () => {},
): string {
  mkdirSync(folder, { recursive: true });
  for (const name of ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tiny, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(tiny, 'config.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }));
  const tensors = readSafetensors(join(tiny, 'model.safetensors'));
  edit(tensors);
  writeFileSync(join(folder, 'model.safetensors'), safetensorsBytes(tensors));
  return folder;
}

/** The tiny model cut in two shards; `weightMap` may change the index. */
export function shardedTinyModel(
  folder: string,
  options: { readonly omit?: number; readonly weightMap?: (map: Record<string, string>) => void } = {},
): string {
  copyOfTinyModel(folder);
  const tensors = [...readSafetensors(join(folder, 'model.safetensors'))];
  const half = Math.floor(tensors.length / 2);
  const map: Record<string, string> = {};
  for (const [index, part] of [tensors.slice(0, half), tensors.slice(half)].entries()) {
    const file = `model-0000${index + 1}-of-00002.safetensors`;
    for (const [name] of part) map[name] = file;
    if (options.omit !== index + 1) writeFileSync(join(folder, file), safetensorsBytes(new Map(part)));
  }
  options.weightMap?.(map);
  writeFileSync(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: {}, weight_map: map }),
  );
  rmSync(join(folder, 'model.safetensors')); // with both, the single file would be read
  return folder;
}

/** A complete one-layer llama GGUF: width 4, one head, vocabulary 6. */
export function tinyGguf(): { metadata: Record<string, GgufValue>; tensors: GgufTensor[] } {
  const shapes: [string, ...number[]][] = [
    ['token_embd.weight', 6, 4],
    ['blk.0.attn_norm.weight', 4],
    ['blk.0.attn_q.weight', 4, 4],
    ['blk.0.attn_k.weight', 4, 4],
    ['blk.0.attn_v.weight', 4, 4],
    ['blk.0.attn_output.weight', 4, 4],
    ['blk.0.ffn_norm.weight', 4],
    ['blk.0.ffn_gate.weight', 8, 4],
    ['blk.0.ffn_up.weight', 8, 4],
    ['blk.0.ffn_down.weight', 4, 8],
    ['output_norm.weight', 4],
  ];
  return {
    metadata: {
      'general.architecture': 'llama',
      'llama.block_count': { u32: 1 },
      'llama.context_length': { u32: 64 },
      'llama.embedding_length': { u32: 4 },
      'llama.feed_forward_length': { u32: 8 },
      'llama.attention.head_count': { u32: 1 },
      'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
      'tokenizer.ggml.tokens': ['a', 'b', 'c', 'd', 'e', 'f'],
      'tokenizer.ggml.eos_token_id': { u32: 5 },
    },
    tensors: shapes.map(([name, ...shape]) => ({
      name,
      shape,
      type: 0,
      data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
    })),
  };
}

function writeGguf(folder: string, bytes: Uint8Array): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'model.gguf');
  writeFileSync(path, bytes);
  return path;
}

function changedGguf(folder: string, change: (parts: ReturnType<typeof tinyGguf>) => void): string {
  const parts = tinyGguf();
  change(parts);
  return writeGguf(folder, ggufBytes(parts.metadata, parts.tensors));
}

function rewriteWeights(folder: string, rewrite: (bytes: Buffer) => Buffer): string {
  const file = join(copyOfTinyModel(folder), 'model.safetensors');
  writeFileSync(file, rewrite(readFileSync(file)));
  return folder;
}

function change(
  tensors: Map<string, SafetensorsTensor>,
  name: string,
  fields: Partial<SafetensorsTensor>,
): void {
  tensors.set(name, { ...tensors.get(name)!, ...fields });
}

const kUp = 'model.layers.1.mlp.up_proj.weight';
const kGate = 'model.layers.0.mlp.gate_proj.weight';

export const malformedModels: readonly MalformedModel[] = [
  {
    name: 'truncated safetensors',
    code: 'ERR_WEIGHT_FILE',
    says: [/model\.safetensors: tensor ".*": bytes \d+ to \d+ lie beyond the \d+ bytes/, /truncated/],
    make: (folder) => rewriteWeights(folder, (bytes) => bytes.subarray(0, bytes.length - 100)),
  },
  {
    name: 'header length beyond the file',
    code: 'ERR_WEIGHT_FILE',
    says: [/header of 99999999 bytes does not fit the file/],
    make: (folder) =>
      rewriteWeights(folder, (bytes) => {
        bytes.writeBigUInt64LE(99_999_999n);
        return bytes;
      }),
  },
  {
    name: 'a web page instead of weights',
    code: 'ERR_WEIGHT_FILE',
    says: [/header length \d+ is above the limit of 100000000 bytes: not a safetensors file/],
    make: (folder) =>
      rewriteWeights(folder, () => Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>')),
  },
  {
    name: 'overlapping tensors',
    code: 'ERR_WEIGHT_FILE',
    says: [/tensors "model\.layers\.0\.input_layernorm\.weight" and "model\.embed_tokens\.weight" overlap/],
    make: (folder) =>
      copyOfTinyModel(folder, {}, (tensors) =>
        change(tensors, 'model.layers.0.input_layernorm.weight', { offsets: [0, 64] }),
      ),
  },
  {
    name: 'dtype that does not fit the bytes',
    code: 'ERR_WEIGHT_FILE',
    says: [/tensor "model\.norm\.weight": F32 \[32\] needs 32 x 4 bytes, but data_offsets give 64/],
    make: (folder) =>
      copyOfTinyModel(folder, {}, (tensors) => change(tensors, 'model.norm.weight', { dtype: 'F32' })),
  },
  {
    name: 'weights stored as integers',
    code: 'ERR_MODEL_FILES',
    says: [/tensor "model\.norm\.weight" is stored as I16; expected F32, F16 or BF16/],
    make: (folder) =>
      copyOfTinyModel(folder, {}, (tensors) => change(tensors, 'model.norm.weight', { dtype: 'I16' })),
  },
  {
    name: 'missing tensor',
    code: 'ERR_MODEL_FILES',
    says: [/expected tensor "model\.layers\.1\.mlp\.up_proj\.weight" \[80, 32\] but it is missing$/],
    make: (folder) => copyOfTinyModel(folder, {}, (tensors) => tensors.delete(kUp)),
  },
  {
    name: 'wrong shape',
    code: 'ERR_MODEL_FILES',
    says: [
      /tensor "model\.layers\.0\.mlp\.gate_proj\.weight": expected shape \[80, 32\] from the config but found \[32, 80\]/,
    ],
    make: (folder) => copyOfTinyModel(folder, {}, (tensors) => change(tensors, kGate, { shape: [32, 80] })),
  },
  {
    name: 'missing shard',
    code: 'ERR_MODEL_FILES',
    says: [/expected the shard model-00002-of-00002\.safetensors, named in model\.safetensors\.index\.json/],
    make: (folder) => shardedTinyModel(folder, { omit: 2 }),
  },
  {
    name: 'shard path that leaves the folder',
    code: 'ERR_MODEL_CONFIG',
    says: [
      /expected the name of a \.safetensors file in the folder for "model\.norm\.weight"/,
      /\.\.\/secret\.safetensors/,
    ],
    make: (folder) =>
      shardedTinyModel(folder, {
        weightMap: (map) => {
          map['model.norm.weight'] = '../secret.safetensors';
        },
      }),
  },
  {
    name: 'index that names the wrong shard',
    code: 'ERR_MODEL_FILES',
    says: [/expected tensor "model\.norm\.weight" in model-00001-of-00002\.safetensors/],
    make: (folder) =>
      shardedTinyModel(folder, {
        weightMap: (map) => {
          map['model.norm.weight'] = 'model-00001-of-00002.safetensors';
        },
      }),
  },
  {
    name: 'config that is not JSON',
    code: 'ERR_MODEL_CONFIG',
    says: [/config\.json: expected valid JSON/],
    make: (folder) => {
      writeFileSync(join(copyOfTinyModel(folder), 'config.json'), '{"model_type": "qwen2", ');
      return folder;
    },
  },
  {
    name: 'config value of a wrong type',
    code: 'ERR_MODEL_CONFIG',
    says: [/config\.json: expected an integer from 1 to \d+ for "hidden_size" but found "32"/],
    make: (folder) => copyOfTinyModel(folder, { hidden_size: '32' }),
  },
  {
    name: 'unsupported architecture',
    code: 'ERR_MODEL_CONFIG',
    says: [/"model_type" is "mistral", which is not supported; expected "qwen2" or "qwen3" or "llama"/],
    make: (folder) => copyOfTinyModel(folder, { model_type: 'mistral' }),
  },
  {
    name: 'unsupported RoPE scaling',
    code: 'ERR_MODEL_CONFIG',
    says: [/rope_scaling: "type" is "yarn", which is not supported; expected "default" or "llama3"/],
    make: (folder) => copyOfTinyModel(folder, { rope_scaling: { type: 'yarn', factor: 4 } }),
  },
  {
    name: 'quantised checkpoint',
    code: 'ERR_MODEL_CONFIG',
    says: [/"quantization_config" is \{"quant_method":"awq"\}, which is not supported/],
    make: (folder) => copyOfTinyModel(folder, { quantization_config: { quant_method: 'awq' } }),
  },
  {
    name: 'truncated GGUF',
    code: 'ERR_WEIGHT_FILE',
    says: [
      /model\.gguf: tensor "output_norm\.weight": 16 bytes at offset \d+ lie beyond the \d+ bytes of data/,
    ],
    make: (folder) => {
      const { metadata, tensors } = tinyGguf();
      return writeGguf(folder, ggufBytes(metadata, tensors).subarray(0, -20));
    },
  },
  {
    name: 'GGUF with absurd counts',
    code: 'ERR_WEIGHT_FILE',
    says: [/claims 1152921504606846976 tensors and 9 metadata pairs, which \d+ bytes cannot hold/],
    make: (folder) => {
      const { metadata, tensors } = tinyGguf();
      return writeGguf(folder, ggufBytes(metadata, tensors, { tensors: 2n ** 60n }));
    },
  },
  {
    name: 'GGUF with an unsupported quantisation',
    code: 'ERR_MODEL_FILES',
    says: [/tensor "blk\.0\.ffn_up\.weight" is stored as type 250; expected F32/],
    make: (folder) =>
      changedGguf(folder, ({ tensors }) => {
        const at = tensors.findIndex(({ name }) => name === 'blk.0.ffn_up.weight');
        tensors[at] = { ...tensors[at]!, type: 250 };
      }),
  },
  {
    name: 'GGUF of another architecture',
    code: 'ERR_MODEL_CONFIG',
    says: [/"general\.architecture" is "gemma3", which is not supported/],
    make: (folder) =>
      changedGguf(folder, ({ metadata }) => {
        metadata['general.architecture'] = 'gemma3';
      }),
  },
  {
    name: 'GGUF without one of its tensors',
    code: 'ERR_MODEL_FILES',
    says: [/expected tensor "model\.layers\.0\.self_attn\.k_proj\.weight" \[4, 4\] but it is missing/],
    make: (folder) =>
      changedGguf(folder, ({ tensors }) => {
        tensors.splice(3, 1);
      }),
  },
  {
    name: 'empty folder',
    code: 'ERR_MODEL_FILES',
    says: [/expected config\.json \(a Hugging Face folder\) or one \.gguf file but found neither/],
    make: (folder) => {
      mkdirSync(folder, { recursive: true });
      return folder;
    },
  },
  {
    name: 'nothing at the path',
    code: 'ERR_FILE_NOT_FOUND',
    says: [/expected a Hugging Face folder or a \.gguf file but there is nothing/],
    make: (folder) => join(folder, 'no-model'),
  },
];
