/**
 * Trains the demo's byte-level BPE tokenizer and writes it as a Hugging Face tokenizer.json: 256 bytes, the ChatML special
 * tokens, and as many merges as fit. Digits stand alone, words are cut by GPT-2's rule (ByteLevel with its own regex).
 * Ties between equally frequent pairs are broken by the pair's ids, so the result depends on the corpus alone.
 */

const kGpt2Words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's reversible map from a byte to a printable character. */
function byteCharacters(): string[] {
  const characters: string[] = new Array(256);
  let extra = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
    characters[byte] = String.fromCodePoint(printable ? byte : 256 + extra++);
  }
  return characters;
}

export interface TrainedTokenizer {
  readonly tokenizer: Record<string, unknown>;
  readonly vocabSize: number;
}

/** Learn merges from `documents` until the vocabulary (specials first after the bytes) has `vocabSize` entries. */
export function trainTokenizer(
  documents: Iterable<string>,
  vocabSize: number,
  specialTokens: readonly string[],
): TrainedTokenizer {
  const characters = byteCharacters();
  const words = new Map<string, number>();
  for (const document of documents) {
    for (const part of document.split(/(\d)/)) {
      if (part === '') continue;
      for (const word of /^\d$/.test(part) ? [part] : (part.match(kGpt2Words) ?? [])) {
        words.set(word, (words.get(word) ?? 0) + 1);
      }
    }
  }
  const encoder = new TextEncoder();
  const symbols = [...words].map(([word, count]) => ({
    pieces: [...encoder.encode(word)].map((byte) => characters[byte]!),
    count,
  }));
  const vocab = new Map<string, number>();
  for (const character of [...characters].sort()) vocab.set(character, vocab.size);
  const merges: [string, string][] = [];
  while (vocab.size + specialTokens.length < vocabSize) {
    const counts = new Map<string, number>();
    for (const { pieces, count } of symbols) {
      for (let i = 0; i + 1 < pieces.length; i++) {
        const pair = `${pieces[i]} ${pieces[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    }
    let best: string | null = null;
    let bestCount = 1;
    for (const [pair, count] of counts) {
      if (count > bestCount || (count === bestCount && best !== null && pair < best)) {
        best = pair;
        bestCount = count;
      }
    }
    if (best === null) break;
    const [left, right] = best.split(' ') as [string, string];
    merges.push([left, right]);
    vocab.set(left + right, vocab.size);
    for (const symbol of symbols) {
      const { pieces } = symbol;
      for (let i = 0; i + 1 < pieces.length; i++) {
        if (pieces[i] === left && pieces[i + 1] === right) pieces.splice(i, 2, left + right);
      }
    }
  }
  const firstSpecial = vocab.size;
  const addedTokens = specialTokens.map((content, i) => ({
    id: firstSpecial + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens,
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocab),
      merges,
    },
  };
  return { tokenizer, vocabSize: firstSpecial + specialTokens.length };
}
