/**
 * From text to words in the byte alphabet: the normaliser and pre-tokenizer of a tokenizer.json, as
 * `@huggingface/tokenizers` reads them. A regular expression comes from a file: the patterns of the known model families run
 * freely (they are linear), any other one runs under a deadline, so that a hostile pattern ends in an error and not in a hang.
 */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { errorCode, errorMessage, ToolgradError } from '../errors.ts';
import { withDeadline } from './deadline.ts';

const kSeconds = 2;

/** GPT-2's word rule as the model families wrote it down; digits singly (Qwen), in threes (Llama 3), or in runs. */
export const wordPatterns: { readonly [family: string]: string } = {
  qwen2:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  llama3:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  gpt2: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
};

/** The parts of a checked tokenizer.json that this file reads. */
export interface PipelineSource {
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  /** Regular expressions found in the pre-tokenizer. */
  readonly patterns: readonly string[];
}

/** Text to words. */
export interface Pipeline {
  /** The normalised text. */
  normalise(text: string): string;
  /** Words of a text without added tokens; each character stands for one UTF-8 byte of the normalised text. */
  words(text: string): readonly string[];
}

/** Builds the pipeline; a part the library cannot build is a ToolgradError ERR_TOKENIZER naming `source`. */
export function pipeline(json: PipelineSource, source: string): Pipeline {
  const known = new Set(Object.values(wordPatterns));
  const guarded = json.patterns.some((pattern) => !known.has(pattern));
  let parts: HuggingFaceTokenizer;
  try {
    // The library gets an empty model: merging and added tokens are ours.
    parts = new HuggingFaceTokenizer(
      {
        added_tokens: [],
        normalizer: json.normalizer,
        pre_tokenizer: json.preTokenizer,
        post_processor: null,
        decoder: null,
        model: { type: 'BPE', vocab: {}, merges: [] },
      },
      {},
    );
  } catch (error) {
    throw new ToolgradError(
      'ERR_TOKENIZER',
      `${source}: the pre-tokenizer cannot be built: ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
  const { normalizer, pre_tokenizer: preTokenizer } = parts;
  if (preTokenizer === null) throw new ToolgradError('ERR_TOKENIZER', `${source}: pre_tokenizer is missing`);
  const normalise = (text: string) => (normalizer === null ? text : normalizer.normalize(text));
  const words = (text: string) => (text === '' ? [] : preTokenizer.pre_tokenize(normalise(text)));
  return {
    normalise,
    words: guarded ? (text) => underDeadline(source, text, () => words(text)) : words,
  };
}

function underDeadline<T>(source: string, text: string, work: () => T): T {
  try {
    return withDeadline(kSeconds, 'splitting', work);
  } catch (error) {
    if (errorCode(error) !== 'ERR_DEADLINE') throw error;
    throw new ToolgradError(
      'ERR_TOKENIZER',
      `${source}: a regular expression of pre_tokenizer needs more than ${kSeconds} s for a text of ${text.length} characters; expected one that runs in linear time`,
      { cause: error },
    );
  }
}
