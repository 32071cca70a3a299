/**
 * A tokenizer from and to a Hugging Face folder: tokenizer.json and what lies beside it (tokenizer_config.json,
 * generation_config.json, config.json for the end-of-turn ids, chat_template.jinja). Files are kept as text, so that saving
 * writes the bytes that were read.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage, ToolgradError } from '../errors.ts';
import { buildTokenizer, type TemplateToken, type Tokenizer } from './tokenizer.ts';

const kMaxBytes = 256 * 2 ** 20;
const kSavedFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  'chat_template.jinja',
];
const kTemplateTokens: readonly TemplateToken[] = ['bos_token', 'eos_token', 'pad_token', 'unk_token'];

type Fields = { readonly [name: string]: unknown };

function failed(file: string, message: string, cause?: unknown): ToolgradError {
  return new ToolgradError('ERR_TOKENIZER', `${file}: ${message}`, { cause });
}

async function readText(file: string): Promise<string | null> {
  try {
    const { size } = await stat(file);
    if (size > kMaxBytes) throw failed(file, `expected at most ${kMaxBytes} bytes but found ${size}`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    if (error instanceof ToolgradError) throw error;
    throw failed(file, `cannot be read as UTF-8 text: ${errorMessage(error)}`, error);
  }
}

function parseObject(file: string, text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw failed(file, `expected JSON but found: ${errorMessage(error)}`, error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw failed(file, 'expected a JSON object');
  }
  return value as Fields;
}

/**
 * Loads the tokenizer of the Hugging Face folder `dir`. Only tokenizer.json is required. End-of-turn ids are those of
 * generation_config.json (else config.json) and the `eos_token` of tokenizer_config.json.
 *
 * Rejects with ToolgradError ERR_TOKENIZER, naming the file, what was expected and what was found.
 */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const names = [...kSavedFiles, 'config.json'];
  const texts = await Promise.all(names.map((name) => readText(join(dir, name))));
  const files = Object.fromEntries(names.map((name, i) => [name, texts[i] ?? null]));
  const at = (name: string) => join(dir, name);
  const text = files['tokenizer.json'];
  if (typeof text !== 'string') {
    throw failed(
      at('tokenizer.json'),
      'no such file: expected the tokenizer of a Hugging Face folder (for a GGUF file the tokenizer is inside it)',
    );
  }
  const optional = (name: string): Fields => {
    const found = files[name];
    return typeof found === 'string' ? parseObject(at(name), found) : {};
  };
  const config = optional('tokenizer_config.json');
  const templateTokens: { [name in TemplateToken]?: string } = {};
  for (const name of kTemplateTokens) {
    const token = tokenText(at('tokenizer_config.json'), name, config[name]);
    if (token !== null) templateTokens[name] = token;
  }
  const generation = optional('generation_config.json');
  const [eosFile, eos] =
    generation.eos_token_id !== undefined
      ? ['generation_config.json', generation.eos_token_id]
      : ['config.json', optional('config.json').eos_token_id];
  const tokenizer = buildTokenizer({
    source: at('tokenizer.json'),
    tokenizerJson: parseObject(at('tokenizer.json'), text),
    templateTokens,
    eosIds: readIds(at(eosFile), eos),
    chatTemplate:
      files['chat_template.jinja'] ?? chatTemplate(at('tokenizer_config.json'), config.chat_template),
    addBos: config.add_bos_token === true,
    files: Object.fromEntries(kSavedFiles.flatMap((name) => (files[name] ? [[name, files[name]]] : []))),
  });
  for (const name of kTemplateTokens) {
    const token = templateTokens[name];
    if (token !== undefined && tokenizer.tokenId(token) === undefined) {
      throw failed(at('tokenizer_config.json'), `${name}: "${token}" is not a token of tokenizer.json`);
    }
  }
  const beyond = tokenizer.eosIds.find((id) => id >= tokenizer.vocabSize);
  if (beyond !== undefined) {
    throw failed(
      at(eosFile),
      `eos_token_id: expected an id below ${tokenizer.vocabSize} but found ${beyond}`,
    );
  }
  return tokenizer;
}

/** Writes the tokenizer's files into the existing folder `dir`, so that transformers and `loadTokenizer` read them back. */
export async function saveTokenizer(tokenizer: Tokenizer, dir: string): Promise<void> {
  await Promise.all(Object.entries(tokenizer.files).map(([name, text]) => writeFile(join(dir, name), text)));
}

function tokenText(file: string, name: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const content: unknown = typeof value === 'object' ? (value as Fields).content : value;
  if (typeof content !== 'string') throw failed(file, `${name}: expected a text, an added token or null`);
  return content;
}

function readIds(file: string, value: unknown): number[] {
  if (value === undefined || value === null) return [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  return ids.map((id) => {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0) return id;
    throw failed(file, `eos_token_id: expected an id or a list of ids but found ${JSON.stringify(value)}`);
  });
}

/** A template is a text, or a list of named ones of which "default" is taken. */
function chatTemplate(file: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) {
    for (const entry of value as unknown[]) {
      const { name, template } = (entry ?? {}) as Fields;
      if (name === 'default' && typeof template === 'string') return template;
    }
  }
  throw failed(file, 'chat_template: expected a text, or a list with a template named "default"');
}
