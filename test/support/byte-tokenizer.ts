/**
 * A tiny byte-level tokenizer for tests: 256 bytes, a few merges, ChatML tokens, and `<tool_call>` as Qwen has it (added, not
 * special). Needs no files.
 */
import { byteCharacters } from '../../lib/text/bpe.ts';
import { buildTokenizer, type Tokenizer } from '../../lib/text/tokenizer.ts';

/** A fresh tokenizer.json object; tests may break it. */
export function byteTokenizerJson() {
  const vocab: Record<string, number> = {};
  for (const character of byteCharacters) vocab[character] = Object.keys(vocab).length;
  const merges = [
    ['a', 'a'],
    ['aa', 'aa'],
    ['l', 'l'],
    ['h', 'e'],
    ['he', 'll'],
    ['hell', 'o'],
    ['Ġ', 'hello'],
    ['<', '|'],
    ['|', '>'],
    ['Ċ', 'Ċ'],
  ];
  for (const [a, b] of merges) vocab[`${a}${b}`] = Object.keys(vocab).length;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const added = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<tool_call>', '</tool_call>'];
  const first = Object.keys(vocab).length;
  return {
    version: '1.0',
    truncation: null as unknown,
    padding: null as unknown,
    added_tokens: added.map((content, i) => ({ id: first + i, content, ...flags, special: i < 3 })) as {
      id: number;
      content: string;
      special: boolean;
    }[],
    normalizer: { type: 'NFC' } as unknown,
    pre_tokenizer: {
      type: 'ByteLevel',
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    } as unknown,
    post_processor: null as unknown,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true } as unknown,
    model: {
      type: 'BPE' as unknown,
      dropout: null as unknown,
      ignore_merges: false,
      vocab,
      merges: merges as unknown,
    },
  };
}

/** The tokenizer of `json`, with ChatML's end of turn and the given chat template. */
export function byteTokenizer(
  json: unknown = byteTokenizerJson(),
  options: { chatTemplate?: string; addBos?: boolean } = {},
): Tokenizer {
  return buildTokenizer({
    source: 'tokenizer.json',
    tokenizerJson: json,
    templateTokens: { bos_token: '<|endoftext|>', eos_token: '<|im_end|>' },
    eosIds: [],
    chatTemplate: options.chatTemplate ?? null,
    addBos: options.addBos ?? false,
    files: { 'tokenizer.json': JSON.stringify(json) },
  });
}
