/** A model together with its tokenizer, from one path. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { loadTokenizer } from '../text/tokenizer-folder.ts';
import { tokenizerFromGguf } from '../text/tokenizer-gguf.ts';
import { type AdapterSource, adapterConfigName, isAdapterFolder, openAdapter } from './adapter-files.ts';
import { openModelFiles } from './files.ts';
import { loadModel, type Model, type ModelOptions } from './model.ts';

export interface ModelAndTokenizer {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
}

export interface OpenOptions extends ModelOptions {
  /** The model below the adapter in `path`; default: the one its adapter_config.json names. */
  readonly base?: string | null;
}

/**
 * Load the model and the tokenizer of a Hugging Face folder or GGUF file. The folder of a LoRA adapter gives its base with the
 * adapter, and the tokenizer of the base. Errors: those of `openModelFiles`, `openAdapter`, `loadModel` and `loadTokenizer`;
 * ERR_MODEL_FILES when the folder has no tokenizer or the adapter's base is not found.
 */
export async function openModel(path: string, options: OpenOptions = {}): Promise<ModelAndTokenizer> {
  const { base = null, ...rest } = options;
  const adapter = isAdapterFolder(path) ? openAdapter(path) : null;
  if (adapter === null && base !== null) {
    throw new ToolgradError(
      'ERR_MODEL_FILES',
      `${path}: a base (${base}) belongs to an adapter, and expected ${adapterConfigName} in this folder but found none`,
    );
  }
  const files = openModelFiles(adapter === null ? path : adapterBase(adapter, base));
  if (files.tokenizer === null) {
    throw new ToolgradError(
      'ERR_MODEL_FILES',
      `${files.path}: expected a tokenizer.json beside the weights, found none`,
    );
  }
  const tokenizer =
    files.tokenizer.kind === 'hf'
      ? await loadTokenizer(files.tokenizer.folder)
      : tokenizerFromGguf(files.tokenizer.metadata);
  const model = await loadModel(files, { ...(adapter === null ? {} : { lora: adapter.lora }), ...rest });
  try {
    if (adapter !== null) await model.loadAdapter(path);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return { model, tokenizer };
}

/**
 * Where the base of an adapter is: `given`, else what its config names, as a path from here or from the adapter's folder.
 * ERR_MODEL_FILES when it is neither; a name on a hub is not downloaded.
 */
export function adapterBase({ path, base }: AdapterSource, given: string | null = null): string {
  if (given !== null) return given;
  const places = base === null ? [] : [base, join(path, base), join(dirname(path), base)];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new ToolgradError(
    'ERR_MODEL_FILES',
    `${join(path, adapterConfigName)}: expected the path of the base model for "base_model_name_or_path" but found ` +
      `${JSON.stringify(base)}, which is not here: give its path (--base, model.base)`,
  );
}
