import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { errorMessage } from '../lib/errors.ts';
import { renderTemplate } from '../lib/text/jinja.ts';
import { loadTokenizer, saveTokenizer } from '../lib/text/tokenizer-folder.ts';
import { tokenizerFromGguf } from '../lib/text/tokenizer-gguf.ts';
import { byteTokenizer, byteTokenizerJson } from './support/byte-tokenizer.ts';

test('malformed tokenizer files are refused, naming the file, the field, what was expected and what was found', (t) => {
  type Json = ReturnType<typeof byteTokenizerJson>;
  // A function changes the file, or returns another one.
  const broken: readonly [string, (json: Json) => unknown, RegExp][] = [
    ['not an object', () => [], /the file: expected a JSON object but found an array of 0/],
    [
      'no model',
      (json) => ({ ...json, model: undefined }),
      /model: expected a JSON object but found nothing/,
    ],
    [
      'another model',
      (json) => {
        json.model.type = 'Unigram';
      },
      /model\.type: expected "BPE"/,
    ],
    [
      'empty vocabulary',
      (json) => {
        json.model.vocab = {};
      },
      /model\.vocab: expected at least one/,
    ],
    [
      'negative id',
      (json) => {
        json.model.vocab.a = -1;
      },
      /model\.vocab\["a"\]: expected a whole number/,
    ],
    [
      'huge id',
      (json) => {
        json.model.vocab.a = 2 ** 31;
      },
      /model\.vocab\["a"\]: expected a whole number below/,
    ],
    [
      'id twice',
      (json) => {
        json.model.vocab.a = 1;
      },
      /expected an id of its own/,
    ],
    [
      'merges as text',
      (json) => {
        json.model.merges = 'a b';
      },
      /model\.merges: expected an array/,
    ],
    [
      'merge of three',
      (json) => {
        json.model.merges = ['a b c'];
      },
      /model\.merges\[0\]: expected two tokens/,
    ],
    [
      'merge of unknown tokens',
      (json) => {
        json.model.merges = ['q zz'];
      },
      /names "zz", which is not in the vocabulary/,
    ],
    [
      'random ids',
      (json) => {
        json.model.dropout = 0.1;
      },
      /model\.dropout: expected null/,
    ],
    [
      'added token without text',
      (json) => {
        json.added_tokens[0]!.content = '';
      },
      /added_tokens\[0\]\.content/,
    ],
    [
      'added token on a foreign id',
      (json) => {
        json.added_tokens[0]!.id = 5;
      },
      /added_tokens\[0\]\.id: expected an id of its own/,
    ],
    [
      'another decoder',
      (json) => {
        json.decoder = { type: 'Metaspace' };
      },
      /decoder: expected ByteLevel but found an object of type "Metaspace"/,
    ],
    [
      'no decoder',
      (json) => {
        json.decoder = null;
      },
      /decoder: expected a JSON object/,
    ],
    [
      'another pre-tokenizer',
      (json) => {
        json.pre_tokenizer = { type: 'Metaspace' };
      },
      /pre_tokenizer: expected Sequence, Split/,
    ],
    [
      'a broken pattern',
      (json) => {
        json.pre_tokenizer = split('(', json);
      },
      /the pre-tokenizer cannot be built/,
    ],
    [
      'a lower-casing normaliser',
      (json) => {
        json.normalizer = { type: 'Lowercase' };
      },
      /normalizer: expected null or one of NFC/,
    ],
  ];
  for (const [what, breakIt, message] of broken) {
    const error = t.throws(
      () => {
        const json = byteTokenizerJson();
        byteTokenizer(breakIt(json) ?? json);
      },
      undefined,
      what,
    );
    t.regex(errorMessage(error), message, what);
    t.true(errorMessage(error).startsWith('tokenizer.json: '), what);
  }
});

/** A pre-tokenizer with a regular expression of its own. */
function split(pattern: string, json: { pre_tokenizer: unknown }): unknown {
  const bytes = { ...(json.pre_tokenizer as object), use_regex: false };
  const own = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  return { type: 'Sequence', pretokenizers: [own, bytes] };
}

test('a pre-tokenizer pattern that backtracks for ever is stopped', (t) => {
  const json = byteTokenizerJson();
  json.pre_tokenizer = split('(?:a+)+b', json);
  const tokenizer = byteTokenizer(json);
  t.is(tokenizer.decode(tokenizer.encode('aab hello')), 'aab hello');
  const error = t.throws(() => tokenizer.encode('a'.repeat(60)), { code: 'ERR_TOKENIZER' });
  t.regex(errorMessage(error), /a regular expression of pre_tokenizer needs more than 2 s/);
});

test('a folder loads with its end-of-turn ids and template, saves the same bytes, and says what is wrong with it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-tokenizer-'));
  const copy = mkdtempSync(join(tmpdir(), 'toolgrad-tokenizer-'));
  const write = (name: string, value: unknown) =>
    writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  const fails = async (message: RegExp) => {
    const error = await t.throwsAsync(loadTokenizer(folder), { code: 'ERR_TOKENIZER', message });
    t.true(errorMessage(error).startsWith(folder));
  };
  try {
    await fails(/tokenizer\.json: no such file/);
    write('tokenizer.json', '{"model": ');
    await fails(/tokenizer\.json: expected JSON/);
    const json = byteTokenizerJson();
    write('tokenizer.json', json);
    t.deepEqual([...(await loadTokenizer(folder)).eosIds], []);
    const end = json.added_tokens[2]!.id;
    write('config.json', { eos_token_id: 3 });
    t.deepEqual([...(await loadTokenizer(folder)).eosIds], [3]);
    write('generation_config.json', { eos_token_id: [end, 4] });
    write('tokenizer_config.json', {
      eos_token: { content: '<|im_end|>' },
      pad_token: '<|endoftext|>',
      chat_template: [
        { name: 'tool_use', template: 'x' },
        { name: 'default', template: 'from the config' },
      ],
      add_bos_token: true,
    });
    const first = await loadTokenizer(folder);
    t.deepEqual([...first.eosIds], [end, 4]);
    t.is(first.padId, end - 2);
    t.true(first.addBos);
    t.is(first.chatTemplate, 'from the config');
    write('chat_template.jinja', 'from its own file');
    const second = await loadTokenizer(folder);
    t.is(second.chatTemplate, 'from its own file');
    await saveTokenizer(second, copy);
    for (const name of [
      'tokenizer.json',
      'tokenizer_config.json',
      'generation_config.json',
      'chat_template.jinja',
    ]) {
      t.deepEqual(readFileSync(join(copy, name)), readFileSync(join(folder, name)), name);
    }
    write('generation_config.json', { eos_token_id: 'two' });
    await fails(/generation_config\.json: eos_token_id: expected an id/);
    write('generation_config.json', { eos_token_id: 10_000 });
    await fails(/eos_token_id: expected an id below/);
    write('generation_config.json', {});
    write('tokenizer_config.json', { eos_token: '<|nowhere|>' });
    await fails(/eos_token: "<\|nowhere\|>" is not a token/);
    writeFileSync(join(folder, 'tokenizer.json'), Buffer.from([0x7b, 0xff, 0x7d]));
    await fails(/cannot be read as UTF-8/);
  } finally {
    rmSync(folder, { recursive: true });
    rmSync(copy, { recursive: true });
  }
});

test('malformed GGUF tokenizer metadata is refused, naming the key', (t) => {
  const json = byteTokenizerJson();
  const tokens = Object.keys(json.model.vocab);
  const good: Record<string, unknown> = {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'smollm',
    'tokenizer.ggml.tokens': [...tokens, '<|im_end|>', '[PAD1]'],
    'tokenizer.ggml.merges': (json.model.merges as string[][]).map((pair) => pair.join(' ')),
    'tokenizer.ggml.token_type': Int32Array.from([...tokens.map(() => 1), 3, 5]),
    'tokenizer.ggml.eos_token_id': BigInt(tokens.length),
  };
  const tokenizer = tokenizerFromGguf(good);
  t.is(tokenizer.vocabSize, tokens.length + 1, 'the unused id at the end is padding');
  t.deepEqual([...tokenizer.eosIds], [tokens.length]);
  t.is(tokenizer.decode(tokenizer.encodeTemplate('hello 12<|im_end|>')), 'hello 12<|im_end|>');
  const broken: readonly [Record<string, unknown>, RegExp][] = [
    [{ 'tokenizer.ggml.model': 'llama' }, /tokenizer\.ggml\.model: expected "gpt2"/],
    [{ 'tokenizer.ggml.pre': 'tekken' }, /tokenizer\.ggml\.pre: expected one of/],
    [{ 'tokenizer.ggml.tokens': 'abc' }, /tokenizer\.ggml\.tokens: expected a list/],
    [{ 'tokenizer.ggml.tokens': [...tokens, 1, 2] }, /tokens\[\d+\]: expected a text but found number/],
    [{ 'tokenizer.ggml.tokens': [...tokens, 'a', '[PAD1]'] }, /expected no token twice/],
    [{ 'tokenizer.ggml.merges': undefined }, /tokenizer\.ggml\.merges: expected a list/],
    [{ 'tokenizer.ggml.token_type': [1] }, /token_type: expected \d+ entries/],
    [{ 'tokenizer.ggml.eos_token_id': 10_000 }, /eos_token_id: expected an id below/],
    [{ 'tokenizer.chat_template': 5 }, /chat_template: expected a text/],
  ];
  for (const [change, message] of broken) {
    t.throws(() => tokenizerFromGguf({ ...good, ...change }), { code: 'ERR_TOKENIZER', message });
  }
});

test('hostile chat templates end in an error, in bounded time, and see no host objects', (t) => {
  const hostile: readonly [string, RegExp][] = [
    ['{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}', /within 2 s/],
    ['{% for i in range(10000000000) %}x{% endfor %}', /range\(\)/],
    [
      '{% set n = namespace(s="x") %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}',
      /./,
    ],
    [`{{${'('.repeat(50_000)}1${')'.repeat(50_000)}}}`, /./],
    ['{% if %}', /./],
    ['{{ raise_exception("no system message") }}', /no system message/],
    ['x'.repeat((1 << 20) + 1), /at most/],
  ];
  for (const [template, message] of hostile) {
    t.throws(() => renderTemplate(template, { messages: [] }), { code: 'ERR_CHAT_TEMPLATE', message });
  }
  t.is(renderTemplate('{{ messages["constructor"] }}{{ process }}{{ globalThis }}', { messages: [] }), '');
  t.is(renderTemplate('{{ strftime_now("%d %b %Y") }}', {}), '26 Jul 2024');
  t.is(renderTemplate('{{ strftime_now("%A %B %H:%M") }}', {}, new Date(0)), 'Thursday January 00:00');
});
