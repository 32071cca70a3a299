/**
 * The tokenizer: text to ids and back, for byte-level BPE models (Qwen, SmolLM2, Llama 3, GPT-2 kin).
 *
 * `@huggingface/tokenizers` reads the tokenizer.json's normaliser and pre-tokenizer; merging is bpe.ts. Text is trusted in
 * three steps (TextTrust): what a tool or a user wrote can never become an added token such as `<|im_end|>`. No method
 * adds a token by itself (no BOS), none truncates. decode(encode(x)) is the normalised x (Qwen: NFC).
 * Memory: one vocabulary map, one merge table and one byte table per tokenizer; safe to share.
 */
import { errorMessage, ToolgradError } from '../errors.ts';
import { type AddedToken, addedTokenMatcher, type TokenMatch } from './added-tokens.ts';
import { type BytePairEncoder, bytePairEncoder, byteTable } from './bpe.ts';
import { type Pipeline, pipeline } from './pre-tokenizer.ts';
import { type CheckedTokenizerJson, checkTokenizerJson } from './tokenizer-json.ts';

export type { AddedToken } from './added-tokens.ts';

/**
 * Which added tokens a text may contain: `none` (tool output, questions: everything is plain text), `model` (what a model
 * writes itself: the added tokens not marked special, such as Qwen's `<tool_call>`), `template` (all of them).
 */
export type TextTrust = 'none' | 'model' | 'template';

/** A piece of a text that is encoded as a whole. */
export interface TextPart {
  readonly text: string;
  readonly trust: TextTrust;
}

/** Ids, and for each the index of the part that holds its first byte. */
export interface EncodedParts {
  readonly ids: Int32Array;
  readonly part: Int32Array;
}

/** Turns ids into text as they come. */
export interface TextStream {
  /** The text that became complete with this id: '' while a character still lacks bytes. */
  push(id: number): string;
  /** What is left: U+FFFD if the last character never became complete, else ''. */
  flush(): string;
}

export interface DecodeOptions {
  /** Leave out tokens marked special (default false: they are shown as their text). */
  readonly skipSpecial?: boolean;
}

/** Names of the tokens a chat template may ask for, as in tokenizer_config.json. */
export type TemplateToken = 'bos_token' | 'eos_token' | 'pad_token' | 'unk_token';

export interface Tokenizer {
  /** Greatest id + 1, added tokens included; a model's embedding often has more rows. */
  readonly vocabSize: number;
  /** Ids that end a turn, without repetition; empty if the files name none. */
  readonly eosIds: readonly number[];
  readonly bosId: number | null;
  readonly padId: number | null;
  /** Every added token by its text. */
  readonly addedTokens: ReadonlyMap<string, AddedToken>;
  /** bos_token, eos_token, ... as the chat template sees them; a name is absent where the files have none. */
  readonly templateTokens: { readonly [name in TemplateToken]?: string };
  /** The model's Jinja chat template, or null (chat.ts then uses a documented plain one). */
  readonly chatTemplate: string | null;
  /** Whether a text without chat template starts with the BOS token. */
  readonly addBos: boolean;
  /** Bytes that no token spells; characters with such a byte are dropped (SmolLM2: some control characters). */
  readonly missingBytes: readonly number[];
  /** Text of tokenizer.json, tokenizer_config.json and the like, by file name, for `saveTokenizer`. */
  readonly files: { readonly [name: string]: string };
  /** Encodes untrusted text: added tokens are off, `<|im_end|>` in the text stays text. */
  encode(text: string): Int32Array;
  /** Encodes text as the model itself would write it (SFT traces): `<tool_call>` is one token, `<|im_end|>` stays text. */
  encodeModelText(text: string): Int32Array;
  /** Encodes text made by our own template: every added token is recognised. */
  encodeTemplate(text: string): Int32Array;
  /**
   * Encodes the concatenation of `parts` in one go, so that merges across their borders are those of the whole text; an
   * added token is recognised only where it lies inside text that is trusted enough. Adjacent parts of equal trust count
   * as one text for that.
   */
  encodeParts(parts: readonly TextPart[]): EncodedParts;
  /** Text of `ids`; broken UTF-8 becomes U+FFFD, ids without a token (padding rows) become ''. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** An incremental decoder: the pushed texts and the flush join to `decode` of the same ids. */
  stream(options?: DecodeOptions): TextStream;
  /** Id of a token by its spelling in the file (added tokens by their text), or undefined. */
  tokenId(token: string): number | undefined;
}

/** What a tokenizer is made of, besides the tokenizer.json itself. */
export interface TokenizerParts {
  /** Named in errors: a path, or "GGUF metadata". */
  readonly source: string;
  readonly tokenizerJson: unknown;
  readonly templateTokens: { readonly [name in TemplateToken]?: string };
  readonly eosIds: readonly number[];
  readonly chatTemplate: string | null;
  readonly addBos: boolean;
  readonly files: { readonly [name: string]: string };
}

/** Builds a tokenizer; a malformed tokenizer.json is a ToolgradError ERR_TOKENIZER naming `source` and the field. */
export function buildTokenizer(from: TokenizerParts): Tokenizer {
  const json = checkTokenizerJson(from.tokenizerJson, from.source);
  const { vocab, added } = json;
  const unreachable = new Set([...added.values()].filter((token) => isMarkup(token)).map((t) => t.content));
  const merges = buildMerges(json, unreachable, from.source);
  const table = byteTable(vocab, added, json.vocabSize);
  const special = new Set([...added.values()].filter((token) => token.special).map((token) => token.id));
  const split = pipeline(json, from.source);
  const matchers = {
    none: addedTokenMatcher([...added.values()].filter((token) => !isMarkup(token))),
    model: addedTokenMatcher([...added.values()].filter((token) => !token.special || !isMarkup(token))),
    template: addedTokenMatcher([...added.values()]),
  };
  const encodeWord = merges.encodeWord;

  const encodeWhole = (text: string, trust: TextTrust): Int32Array => {
    const ids: number[] = [];
    let at = 0;
    for (const match of matchers[trust](text)) {
      for (const word of split.words(text.slice(at, match.start))) encodeWord(word, ids);
      ids.push(match.id);
      at = match.end;
    }
    for (const word of split.words(at === 0 ? text : text.slice(at))) encodeWord(word, ids);
    return Int32Array.from(ids);
  };

  const tokenId = (token: string) => added.get(token)?.id ?? vocab.get(token);
  const templateId = (name: TemplateToken) => {
    const token = from.templateTokens[name];
    return token === undefined ? null : (tokenId(token) ?? null);
  };
  const bytesOf = (id: number, skipSpecial: boolean): Uint8Array => {
    if (!Number.isInteger(id) || id < 0) {
      throw new RangeError(`Expected a token id (a whole number, 0 or more) but received ${id}`);
    }
    if (id >= json.vocabSize || (skipSpecial && special.has(id))) return new Uint8Array(0);
    return table.bytes.subarray(table.starts[id]!, table.starts[id + 1]!);
  };

  return {
    vocabSize: json.vocabSize,
    eosIds: [...new Set([...from.eosIds, templateId('eos_token')])].filter((id) => id !== null),
    bosId: templateId('bos_token'),
    padId: templateId('pad_token'),
    addedTokens: added,
    templateTokens: from.templateTokens,
    chatTemplate: from.chatTemplate,
    addBos: from.addBos,
    missingBytes: merges.missingBytes,
    files: from.files,
    encode: (text) => encodeWhole(text, 'none'),
    encodeModelText: (text) => encodeWhole(text, 'model'),
    encodeTemplate: (text) => encodeWhole(text, 'template'),
    encodeParts: (parts) =>
      encodeParts(parts, {
        matchers,
        split,
        encodeWord,
        byteLength: (id) => table.starts[id + 1]! - table.starts[id]!,
      }),
    decode(ids, { skipSpecial = false } = {}) {
      let size = 0;
      for (let i = 0; i < ids.length; i++) size += bytesOf(ids[i]!, skipSpecial).length;
      const bytes = new Uint8Array(size);
      let end = 0;
      for (let i = 0; i < ids.length; i++) {
        const spelled = bytesOf(ids[i]!, skipSpecial);
        bytes.set(spelled, end);
        end += spelled.length;
      }
      return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    },
    stream({ skipSpecial = false } = {}) {
      const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      return {
        push: (id) => decoder.decode(bytesOf(id, skipSpecial), { stream: true }),
        flush: () => decoder.decode(),
      };
    },
    tokenId,
  };
}

function buildMerges(
  { vocab, merges, ignoreMerges }: CheckedTokenizerJson,
  unreachable: ReadonlySet<string>,
  source: string,
): BytePairEncoder {
  try {
    return bytePairEncoder(vocab, merges, { wholeWords: ignoreMerges, unreachable });
  } catch (error) {
    throw new ToolgradError('ERR_TOKENIZER', `${source}: model.merges: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/**
 * Added tokens that must stay text in untrusted input: all but runs of blanks, which some vocabularies add as ordinary
 * tokens (those remain on, or the ids of plain text would change).
 */
function isMarkup(token: AddedToken): boolean {
  return token.content.trim() !== '';
}

interface PartEncoder {
  readonly matchers: { readonly [trust in TextTrust]: (text: string) => TokenMatch[] };
  readonly split: Pipeline;
  readonly encodeWord: (word: string, ids: number[]) => void;
  readonly byteLength: (id: number) => number;
}

function encodeParts(
  parts: readonly TextPart[],
  { matchers, split, encodeWord, byteLength }: PartEncoder,
): EncodedParts {
  const whole = parts.map((part) => part.text).join('');
  const matches: TokenMatch[] = [];
  const starts: number[] = [];
  let position = 0;
  for (let i = 0; i < parts.length; ) {
    let run = '';
    const first = i;
    for (; i < parts.length && parts[i]!.trust === parts[first]!.trust; i++) {
      starts.push(position + run.length);
      run += parts[i]!.text;
    }
    for (const match of matchers[parts[first]!.trust](run)) {
      matches.push({ id: match.id, start: match.start + position, end: match.end + position });
    }
    position += run.length;
  }
  const ids: number[] = [];
  const part: number[] = [];
  let current = 0;
  const partAt = (offset: number) => {
    while (current + 1 < parts.length && starts[current + 1]! <= offset) current++;
    return current;
  };
  const section = (start: number, end: number) => {
    if (start === end) return;
    const text = whole.slice(start, end);
    partAt(start);
    // Byte offsets, in the normalised text, at which the section passes to a further part.
    const borders: number[] = [];
    for (let i = current + 1; i < parts.length && starts[i]! < end; i++) {
      borders.push(Buffer.byteLength(split.normalise(whole.slice(start, starts[i]!))));
    }
    const base = current;
    let byte = 0;
    let passed = 0;
    for (const word of split.words(text)) {
      const before = ids.length;
      encodeWord(word, ids);
      let within = byte;
      for (let i = before; i < ids.length; i++) {
        while (passed < borders.length && borders[passed]! <= within) passed++;
        part.push(base + passed);
        within += byteLength(ids[i]!);
      }
      byte += word.length;
    }
  };
  let at = 0;
  for (const match of matches) {
    section(at, match.start);
    ids.push(match.id);
    part.push(partAt(match.start));
    at = match.end;
  }
  section(at, whole.length);
  return { ids: Int32Array.from(ids), part: Int32Array.from(part) };
}
