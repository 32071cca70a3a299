/** A model together with its tokenizer, from one path. */
import { ToolgradError } from '../errors.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { loadTokenizer } from '../text/tokenizer-folder.ts';
import { tokenizerFromGguf } from '../text/tokenizer-gguf.ts';
import { openModelFiles } from './files.ts';
import { loadModel, type Model, type ModelOptions } from './model.ts';

export interface ModelAndTokenizer {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
}

/**
 * Load the model and the tokenizer of a Hugging Face folder or GGUF file. Errors: those of `openModelFiles`, `loadModel` and
 * `loadTokenizer`; ERR_MODEL_FILES when the folder has no tokenizer.
 */
export async function openModel(path: string, options: ModelOptions = {}): Promise<ModelAndTokenizer> {
  const files = openModelFiles(path);
  if (files.tokenizer === null) {
    throw new ToolgradError(
      'ERR_MODEL_FILES',
      `${path}: expected a tokenizer.json beside the weights, found none`,
    );
  }
  const tokenizer =
    files.tokenizer.kind === 'hf'
      ? await loadTokenizer(files.tokenizer.folder)
      : tokenizerFromGguf(files.tokenizer.metadata);
  return { model: await loadModel(files, options), tokenizer };
}
