/**
 * The tokenizer inside a GGUF file, converted to a tokenizer.json: the same code then encodes, and a model loaded from GGUF
 * can be saved as a Hugging Face folder. Input is the metadata as a plain object with the keys of the file.
 *
 * Token types: 1 ordinary, 3 control (becomes special), 4 user-defined (added, not special), 5 unused; unused ids at the end
 * are padding of the embedding and left out. All tokens stay in the vocabulary, so every id survives the conversion.
 */
import { ToolgradError } from '../errors.ts';
import { wordPatterns } from './pre-tokenizer.ts';
import { buildTokenizer, type TemplateToken, type Tokenizer } from './tokenizer.ts';

const kOrdinary = 1;
const kControl = 3;
const kUserDefined = 4;
const kUnused = 5;

function failed(key: string, expected: string, found: string): ToolgradError {
  return new ToolgradError('ERR_TOKENIZER', `GGUF metadata: ${key}: expected ${expected} but found ${found}`);
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };

function splitThenBytes(pattern: string): object[] {
  return [
    { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    { ...byteLevel, use_regex: false },
  ];
}

interface Family {
  readonly preTokenizers: readonly object[];
  readonly normalizer: object | null;
  readonly ignoreMerges: boolean;
}

const gpt2: Family = {
  preTokenizers: [{ ...byteLevel, use_regex: true }],
  normalizer: null,
  ignoreMerges: false,
};
const smollm: Family = {
  ...gpt2,
  preTokenizers: [{ type: 'Digits', individual_digits: true }, ...gpt2.preTokenizers],
};
const qwen2: Family = {
  preTokenizers: splitThenBytes(wordPatterns.qwen2!),
  normalizer: { type: 'NFC' },
  ignoreMerges: false,
};
const llama3: Family = {
  preTokenizers: splitThenBytes(wordPatterns.llama3!),
  normalizer: null,
  ignoreMerges: true,
};

/** By `tokenizer.ggml.pre`. "default" says that the converter did not know the model: GPT-2's own rule is taken. */
const families = new Map<string, Family>([
  ['default', gpt2],
  ['gpt-2', gpt2],
  ['gpt2', gpt2],
  ['smollm', smollm],
  ['qwen2', qwen2],
  ['llama-bpe', llama3],
  ['llama3', llama3],
  ['llama-v3', llama3],
]);

/** Builds the tokenizer of a GGUF file from its metadata. Malformed or unsupported metadata is a ToolgradError ERR_TOKENIZER. */
export function tokenizerFromGguf(metadata: Readonly<Record<string, unknown>>): Tokenizer {
  const get = (name: string) => metadata[`tokenizer.${name}`];
  const text = (name: string): string | null => {
    const value = get(name);
    if (value === undefined) return null;
    if (typeof value !== 'string') throw failed(`tokenizer.${name}`, 'a text', typeof value);
    return value;
  };
  const model = text('ggml.model');
  if (model !== 'gpt2') throw failed('tokenizer.ggml.model', '"gpt2" (byte-level BPE)', shown(model));
  const pre = text('ggml.pre') ?? 'default';
  const family = families.get(pre);
  if (family === undefined) {
    throw failed('tokenizer.ggml.pre', `one of ${[...families.keys()].join(', ')}`, `"${pre}"`);
  }
  const tokens = stringList('tokenizer.ggml.tokens', get('ggml.tokens'));
  const merges = stringList('tokenizer.ggml.merges', get('ggml.merges'));
  const types = readTypes(get('ggml.token_type'), tokens.length);
  let size = tokens.length;
  while (size > 0 && types[size - 1] === kUnused) size--;

  const id = (name: string): number | null => {
    const value = get(name);
    if (value === undefined) return null;
    const number = typeof value === 'bigint' ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number >= size) {
      throw failed(`tokenizer.${name}`, `an id below ${size}`, String(value));
    }
    return number;
  };
  const templateTokens: { [name in TemplateToken]?: string } = {};
  const note = (name: TemplateToken, at: number | null) => {
    if (at !== null) templateTokens[name] = tokens[at]!;
  };
  note('bos_token', id('ggml.bos_token_id'));
  note('eos_token', id('ggml.eos_token_id'));
  note('pad_token', id('ggml.padding_token_id'));
  note('unk_token', id('ggml.unknown_token_id'));
  const eosIds = ['ggml.eos_token_id', 'ggml.eot_token_id', 'ggml.eom_token_id'].flatMap(
    (name) => id(name) ?? [],
  );
  const addBos = get('ggml.add_bos_token') === true;
  const chatTemplate = text('chat_template');

  const vocab: Record<string, number> = Object.create(null);
  const addedTokens: object[] = [];
  for (let i = 0; i < size; i++) {
    const token = tokens[i]!;
    if (token in vocab)
      throw failed('tokenizer.ggml.tokens', 'no token twice', `"${token}" at ${vocab[token]} and ${i}`);
    vocab[token] = i;
    const type = types[i]!;
    if (type !== kControl && type !== kUserDefined) continue;
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    addedTokens.push({ id: i, content: token, ...flags, special: type === kControl });
  }
  const tokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: family.normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: family.preTokenizers },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: family.ignoreMerges,
      vocab,
      merges: merges.map((merge) => merge.split(' ')),
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    clean_up_tokenization_spaces: false,
    add_bos_token: addBos,
    add_prefix_space: false,
    ...templateTokens,
    ...(chatTemplate === null ? {} : { chat_template: chatTemplate }),
  };
  return buildTokenizer({
    source: 'GGUF metadata',
    tokenizerJson,
    templateTokens,
    eosIds,
    chatTemplate,
    addBos,
    files: {
      'tokenizer.json': JSON.stringify(tokenizerJson),
      'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
    },
  });
}

function shown(value: string | null): string {
  return value === null ? 'nothing' : `"${value}"`;
}

function stringList(key: string, value: unknown): readonly string[] {
  if (!Array.isArray(value))
    throw failed(key, 'a list of texts', value === undefined ? 'nothing' : typeof value);
  const list: unknown[] = value;
  const wrong = list.findIndex((item) => typeof item !== 'string');
  if (wrong >= 0) throw failed(`${key}[${wrong}]`, 'a text', typeof list[wrong]);
  return value as readonly string[];
}

function readTypes(value: unknown, count: number): ArrayLike<number> {
  if (value === undefined) return new Uint8Array(count).fill(kOrdinary);
  if (!Array.isArray(value) && !ArrayBuffer.isView(value)) {
    throw failed('tokenizer.ggml.token_type', 'a list of numbers', typeof value);
  }
  const types = value as unknown as ArrayLike<number>;
  if (types.length !== count) {
    throw failed('tokenizer.ggml.token_type', `${count} entries, one per token`, String(types.length));
  }
  return types;
}
