/**
 * Checks a tokenizer.json before anything is built from it, and reads it into maps. The file is treated as input from the
 * network: every field that is used is checked, sizes are limited, and an error names the file, the field, what was expected
 * and what was found. Only byte-level BPE is accepted (Qwen, SmolLM2, Llama 3, GPT-2 kin).
 *
 * Two parts are rewritten so that `@huggingface/tokenizers` treats them as the Rust library does: `Digits` becomes a split at
 * \p{N} (the JavaScript one knows only 0-9) and ByteLevel's built-in word rule becomes the same rule as a split.
 */
import { ToolgradError } from '../errors.ts';
import type { AddedToken } from './added-tokens.ts';
import { byteCharacters } from './bpe.ts';
import { wordPatterns } from './pre-tokenizer.ts';

const kMaxIds = 1 << 21;
const kMaxMerges = 1 << 22;
const kMaxAddedTokens = 1 << 16;
const kMaxAddedLength = 1024;
const kMaxPatternLength = 10_000;
const kMaxStages = 64;
const kUnicodeForms = ['NFC', 'NFD', 'NFKC', 'NFKD'];

/** A tokenizer.json that can be built. */
export interface CheckedTokenizerJson {
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly added: ReadonlyMap<string, AddedToken>;
  /** Greatest id + 1. */
  readonly vocabSize: number;
  readonly ignoreMerges: boolean;
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  readonly patterns: readonly string[];
}

type Fields = { readonly [name: string]: unknown };

/** Reads `json`; anything malformed or unsupported is a ToolgradError ERR_TOKENIZER that starts with `source`. */
export function checkTokenizerJson(json: unknown, source: string): CheckedTokenizerJson {
  const check = checker(source);
  const root = check.fields('the file', json);
  const model = check.fields('model', root.model);
  if (model.type !== 'BPE' && !(model.type === undefined && Array.isArray(model.merges))) {
    check.fail('model.type', '"BPE" (toolgrad reads byte-level BPE tokenizers)', model.type);
  }
  for (const name of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model[name] !== undefined && model[name] !== null && model[name] !== '') {
      check.fail(`model.${name}`, 'null or "" (byte-level BPE)', model[name]);
    }
  }
  if (model.byte_fallback === true) check.fail('model.byte_fallback', 'false (byte-level BPE)', true);
  if (typeof model.dropout === 'number' && model.dropout !== 0) {
    check.fail('model.dropout', 'null (ids must not be random)', model.dropout);
  }
  const vocab = readVocab(check, model.vocab);
  const merges = readMerges(check, model.merges);
  const added = readAddedTokens(check, root.added_tokens ?? [], vocab);
  let vocabSize = 0;
  for (const id of vocab.values()) vocabSize = Math.max(vocabSize, id + 1);
  for (const token of added.values()) vocabSize = Math.max(vocabSize, token.id + 1);
  if (!byteCharacters.some((character) => vocab.has(character))) {
    check.fail('model.vocab', 'the characters of the byte alphabet ("!", "Ġ", ...)', 'none of them');
  }
  checkDecoder(check, root.decoder);
  const patterns: string[] = [];
  const stages: object[] = [];
  readPreTokenizer(check, root.pre_tokenizer, 'pre_tokenizer', { stages, patterns });
  const last = stages.at(-1) as Fields | undefined;
  if (last?.type !== 'ByteLevel') {
    check.fail('pre_tokenizer', 'ByteLevel, or a Sequence that ends with ByteLevel', root.pre_tokenizer);
  }
  return {
    vocab,
    merges,
    added,
    vocabSize,
    ignoreMerges: model.ignore_merges === true,
    normalizer: readNormalizer(check, root.normalizer),
    preTokenizer: { type: 'Sequence', pretokenizers: stages },
    patterns,
  };
}

interface Checker {
  fail(field: string, expected: string, found: unknown): never;
  fields(field: string, value: unknown): Fields;
}

function checker(source: string): Checker {
  const fail: Checker['fail'] = (field, expected, found) => {
    throw new ToolgradError(
      'ERR_TOKENIZER',
      `${source}: ${field}: expected ${expected} but found ${shown(found)}`,
    );
  };
  return {
    fail,
    fields(field, value) {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
      return fail(field, 'a JSON object', value);
    },
  };
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) {
    const { type } = value as Fields;
    return typeof type === 'string' ? `an object of type "${type.slice(0, 40)}"` : 'an object';
  }
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function readVocab(check: Checker, value: unknown): Map<string, number> {
  const entries = Object.entries(check.fields('model.vocab', value));
  if (entries.length === 0) check.fail('model.vocab', 'at least one token', 'none');
  if (entries.length > kMaxIds) check.fail('model.vocab', `at most ${kMaxIds} tokens`, entries.length);
  const vocab = new Map<string, number>();
  const owner: (string | undefined)[] = [];
  for (const [token, id] of entries) {
    if (!isTokenId(id)) check.fail(`model.vocab[${shown(token)}]`, `a whole number below ${kMaxIds}`, id);
    if (owner[id] !== undefined) {
      check.fail(`model.vocab[${shown(token)}]`, `an id of its own`, `${id}, the id of ${shown(owner[id])}`);
    }
    owner[id] = token;
    vocab.set(token, id);
  }
  return vocab;
}

function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < kMaxIds;
}

function readMerges(check: Checker, value: unknown): [string, string][] {
  if (!Array.isArray(value)) return check.fail('model.merges', 'an array', value);
  if (value.length > kMaxMerges) check.fail('model.merges', `at most ${kMaxMerges} merges`, value.length);
  return value.map((merge: unknown, i): [string, string] => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (Array.isArray(pair) && pair.length === 2) {
      const [a, b] = pair as unknown[];
      if (typeof a === 'string' && typeof b === 'string') return [a, b];
    }
    return check.fail(`model.merges[${i}]`, 'two tokens ("a b" or ["a", "b"])', merge);
  });
}

function readAddedTokens(
  check: Checker,
  value: unknown,
  vocab: ReadonlyMap<string, number>,
): Map<string, AddedToken> {
  if (!Array.isArray(value)) return check.fail('added_tokens', 'an array', value);
  if (value.length > kMaxAddedTokens)
    check.fail('added_tokens', `at most ${kMaxAddedTokens} tokens`, value.length);
  const owner = new Map([...vocab].map(([token, id]) => [id, token]));
  const added = new Map<string, AddedToken>();
  const list: unknown[] = value;
  for (const [i, entry] of list.entries()) {
    const at = `added_tokens[${i}]`;
    const fields = check.fields(at, entry);
    const { content, id } = fields;
    if (typeof content !== 'string' || content === '' || content.length > kMaxAddedLength) {
      check.fail(`${at}.content`, `a text of 1 to ${kMaxAddedLength} characters`, content);
    }
    if (!isTokenId(id)) check.fail(`${at}.id`, `a whole number below ${kMaxIds}`, id);
    const inVocab = vocab.get(content);
    if (inVocab !== undefined && inVocab !== id)
      check.fail(`${at}.id`, `${inVocab}, its id in model.vocab`, id);
    if (owner.get(id) !== undefined && owner.get(id) !== content) {
      check.fail(`${at}.id`, 'an id of its own', `${id}, the id of ${shown(owner.get(id))}`);
    }
    owner.set(id, content);
    added.set(content, {
      content,
      id,
      special: fields.special === true,
      singleWord: fields.single_word === true,
      lstrip: fields.lstrip === true,
      rstrip: fields.rstrip === true,
    });
  }
  return added;
}

/** The decoder must be ByteLevel, alone or as the one stage of a Sequence that changes text. */
function checkDecoder(check: Checker, value: unknown): void {
  const decoder = check.fields('decoder', value);
  if (decoder.type === 'ByteLevel') return;
  const stages: unknown = decoder.type === 'Sequence' ? decoder.decoders : null;
  if (Array.isArray(stages)) {
    const types = stages.map((stage: unknown) => check.fields('decoder.decoders', stage).type);
    if (types.includes('ByteLevel') && types.every((type) => type === 'ByteLevel' || type === 'Fuse')) return;
  }
  check.fail('decoder', 'ByteLevel', value);
}

function readNormalizer(check: Checker, value: unknown): object | null {
  if (value === undefined || value === null) return null;
  const forms: object[] = [];
  const visit = (part: unknown) => {
    const fields = check.fields('normalizer', part);
    if (typeof fields.type === 'string' && kUnicodeForms.includes(fields.type)) {
      forms.push({ type: fields.type });
    } else if (fields.type === 'Sequence' && Array.isArray(fields.normalizers) && forms.length < kMaxStages) {
      for (const inner of fields.normalizers) visit(inner);
    } else {
      check.fail('normalizer', `null or one of ${kUnicodeForms.join(', ')}`, part);
    }
  };
  visit(value);
  return forms.length === 0 ? null : { type: 'Sequence', normalizers: forms };
}

interface Stages {
  readonly stages: object[];
  readonly patterns: string[];
}

function readPreTokenizer(check: Checker, value: unknown, at: string, into: Stages): void {
  const part = check.fields(at, value);
  if (into.stages.length >= kMaxStages) check.fail('pre_tokenizer', `at most ${kMaxStages} stages`, 'more');
  if (part.type === 'Sequence' && Array.isArray(part.pretokenizers)) {
    if (at.length > 200) check.fail('pre_tokenizer', 'no deeply nested Sequence', 'one');
    part.pretokenizers.forEach((inner: unknown, i) => {
      readPreTokenizer(check, inner, `${at}.pretokenizers[${i}]`, into);
    });
  } else if (part.type === 'ByteLevel') {
    if (part.add_prefix_space === true) {
      check.fail(`${at}.add_prefix_space`, 'false (text must not gain a space)', true);
    }
    if (part.use_regex !== false) pushSplit(into, wordPatterns.gpt2!);
    into.stages.push({ type: 'ByteLevel', add_prefix_space: false, use_regex: false });
  } else if (part.type === 'Digits') {
    pushSplit(into, part.individual_digits === true ? '\\p{N}' : '\\p{N}+');
  } else if (part.type === 'Split') {
    into.stages.push(readSplit(check, part, at, into.patterns));
  } else {
    check.fail(at, 'Sequence, Split, Digits or ByteLevel', value);
  }
}

function pushSplit({ stages }: Stages, pattern: string): void {
  stages.push({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false });
}

function readSplit(check: Checker, part: Fields, at: string, patterns: string[]): object {
  const { Regex: regex, String: literal } = check.fields(`${at}.pattern`, part.pattern);
  const pattern = regex ?? literal;
  if (typeof pattern !== 'string' || pattern === '' || pattern.length > kMaxPatternLength) {
    check.fail(`${at}.pattern`, `Regex or String of 1 to ${kMaxPatternLength} characters`, pattern);
  }
  if (typeof regex === 'string') patterns.push(regex);
  const inverted = part.invert === true;
  // "Removed" drops what it matches; with invert that is what lies between matches (nothing, for the GPT-2 rule).
  if (part.behavior !== 'Isolated' && !(part.behavior === 'Removed' && inverted)) {
    check.fail(`${at}.behavior`, '"Isolated" (or "Removed" with invert)', part.behavior);
  }
  return { type: 'Split', pattern: part.pattern, behavior: part.behavior, invert: inverted };
}
