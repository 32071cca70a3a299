/**
 * Byte-level BPE: the merge step, over integer symbols, and the byte table that decodes.
 *
 * A word is a pre-token in GPT-2's printable alphabet (one character per UTF-8 byte). Merging always takes the pair of
 * lowest rank, leftmost first, as the Rust `tokenizers` library does; cost O(n log n) in the length of the word, with small
 * constants (20,000 equal letters: milliseconds). A byte that the vocabulary lacks is dropped, as the Rust library drops it.
 * Memory: one hash table of the merges and one flat byte array of the vocabulary; words up to 48 bytes are cached.
 */

const kCachedWords = 32_768;
const kCachedLength = 48;
const kShortWord = 24;

/** GPT-2's reversible map from byte to printable character: [256] characters, all below U+0144. */
export const byteCharacters: readonly string[] = (() => {
  const characters: string[] = [];
  let extra = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    characters.push(String.fromCharCode(printable ? byte : extra++));
  }
  return characters;
})();

const byteOfCharacter: Int16Array = (() => {
  const bytes = new Int16Array(512).fill(-1);
  byteCharacters.forEach((character, byte) => {
    bytes[character.charCodeAt(0)] = byte;
  });
  return bytes;
})();

/** The merges as a hash table: (left id, right id) -> rank; rank -> id of the product. */
interface MergeTable {
  readonly rank: (left: number, right: number) => number;
  readonly product: Int32Array;
}

function mergeTable(left: Int32Array, right: Int32Array, product: Int32Array): MergeTable {
  let size = 16;
  while (size < left.length * 2) size *= 2;
  const slots = new Int32Array(size).fill(-1);
  const place = (a: number, b: number) => {
    let slot = (Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b)) & (size - 1);
    slot = (slot ^ (slot >>> 7)) & (size - 1);
    for (;;) {
      const found = slots[slot]!;
      if (found < 0 || (left[found] === a && right[found] === b)) return slot;
      slot = (slot + 1) & (size - 1);
    }
  };
  for (let i = 0; i < left.length; i++) slots[place(left[i]!, right[i]!)] = i; // a repeated pair: the last one counts
  return { rank: (a, b) => slots[place(a, b)]!, product };
}

/** Merges words into ids. */
export interface BytePairEncoder {
  /** Appends the ids of `word` (a pre-token in the byte alphabet) to `ids`. */
  encodeWord(word: string, ids: number[]): void;
  /** Bytes (0..255) that no text can be encoded with, because the vocabulary lacks them. */
  readonly missingBytes: readonly number[];
}

/**
 * Builds the encoder. `merges` are pairs of tokens in the byte alphabet, best first; every part and product must be in
 * `vocab` (else a RangeError). With `wholeWords` (`ignore_merges`) a word that is in the vocabulary is taken as it is.
 * Tokens of `unreachable` are never produced: merges that would make them are left out.
 */
export function bytePairEncoder(
  vocab: ReadonlyMap<string, number>,
  merges: Iterable<readonly [string, string]>,
  options: { wholeWords: boolean; unreachable: ReadonlySet<string> },
): BytePairEncoder {
  const left: number[] = [];
  const right: number[] = [];
  const product: number[] = [];
  let index = 0;
  for (const [a, b] of merges) {
    const ids = [vocab.get(a), vocab.get(b), vocab.get(a + b)];
    const lost = [a, b, a + b].find((_, i) => ids[i] === undefined);
    if (lost !== undefined) {
      throw new RangeError(`merge ${index} ("${a}" "${b}") names "${lost}", which is not in the vocabulary`);
    }
    index++;
    if (options.unreachable.has(a + b)) continue;
    left.push(ids[0]!);
    right.push(ids[1]!);
    product.push(ids[2]!);
  }
  const table = mergeTable(Int32Array.from(left), Int32Array.from(right), Int32Array.from(product));
  const symbolOfCharacter = new Int32Array(512).fill(-1);
  const missingBytes: number[] = [];
  byteCharacters.forEach((character, byte) => {
    const id = vocab.get(character);
    if (id === undefined) missingBytes.push(byte);
    else symbolOfCharacter[character.charCodeAt(0)] = id;
  });

  const cache = new Map<string, readonly number[]>();

  const merged = (word: string): number[] => {
    if (options.wholeWords && !options.unreachable.has(word)) {
      const whole = vocab.get(word);
      if (whole !== undefined) return [whole];
    }
    const symbols: number[] = [];
    for (let i = 0; i < word.length; i++) {
      const id = symbolOfCharacter[word.charCodeAt(i)] ?? -1;
      if (id >= 0) symbols.push(id);
    }
    return symbols.length <= kShortWord ? mergeShort(symbols, table) : mergeLong(symbols, table);
  };

  return {
    missingBytes,
    encodeWord(word, ids) {
      let found = cache.get(word);
      if (found === undefined) {
        found = merged(word);
        if (word.length <= kCachedLength) {
          if (cache.size >= kCachedWords) cache.clear();
          cache.set(word, found);
        }
      }
      for (const id of found) ids.push(id);
    },
  };
}

/** Repeated scan for the best pair: quadratic, and the fastest way for a few symbols. */
function mergeShort(symbols: number[], table: MergeTable): number[] {
  for (;;) {
    let best = -1;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = table.rank(symbols[i]!, symbols[i + 1]!);
      if (rank >= 0 && rank < bestRank) {
        best = i;
        bestRank = rank;
      }
    }
    if (best < 0) return symbols;
    symbols.splice(best, 2, table.product[bestRank]!);
  }
}

/** A heap of (rank, position) over a linked list of symbols; entries that no longer hold are skipped when they surface. */
function mergeLong(symbols: number[], table: MergeTable): number[] {
  const n = symbols.length;
  const symbol = Int32Array.from(symbols);
  const next = Int32Array.from(symbols, (_, i) => (i + 1 < n ? i + 1 : -1));
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const heap = minHeap();
  const offer = (at: number) => {
    const after = next[at]!;
    if (after < 0) return;
    const rank = table.rank(symbol[at]!, symbol[after]!);
    if (rank >= 0) heap.push(rank * 2 ** 31 + at);
  };
  for (let i = 0; i + 1 < n; i++) offer(i);
  for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
    const rank = Math.floor(key / 2 ** 31);
    const at = key % 2 ** 31;
    const after = next[at]!;
    if (symbol[at]! < 0 || after < 0 || table.rank(symbol[at]!, symbol[after]!) !== rank) continue;
    symbol[at] = table.product[rank]!;
    symbol[after] = -1;
    const beyond = next[after]!;
    next[at] = beyond;
    if (beyond >= 0) previous[beyond] = at;
    if (previous[at]! >= 0) offer(previous[at]!);
    offer(at);
  }
  const result: number[] = [];
  for (let i = 0; i >= 0; i = next[i]!) result.push(symbol[i]!);
  return result;
}

/** A binary heap of numbers, smallest first. */
function minHeap(): { push(key: number): void; pop(): number | undefined } {
  const keys: number[] = [];
  return {
    push(key) {
      let at = keys.length;
      keys.push(key);
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (keys[parent]! <= key) break;
        keys[at] = keys[parent]!;
        at = parent;
      }
      keys[at] = key;
    },
    pop() {
      const top = keys[0];
      const last = keys.pop();
      if (last === undefined || keys.length === 0) return top;
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= keys.length) break;
        if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++;
        if (keys[child]! >= last) break;
        keys[at] = keys[child]!;
        at = child;
      }
      keys[at] = last;
      return top;
    },
  };
}

/** The bytes of every id, in one flat array: id i is bytes[starts[i]] to bytes[starts[i + 1]]. */
export interface ByteTable {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
}

/**
 * The byte table of a vocabulary: ordinary tokens are read in the byte alphabet (a token with a character outside it stands
 * for its own UTF-8 text), `added` tokens stand for their text. Ids without a token have no bytes.
 */
export function byteTable(
  vocab: ReadonlyMap<string, number>,
  added: ReadonlyMap<string, { readonly id: number }>,
  vocabSize: number,
): ByteTable {
  const tokens: (string | undefined)[] = new Array(vocabSize);
  for (const [token, id] of vocab) tokens[id] = token;
  const literal = new Set<number>();
  for (const [token, { id }] of added) {
    tokens[id] = token;
    literal.add(id);
  }
  const encoder = new TextEncoder();
  const starts = new Int32Array(vocabSize + 1);
  let bytes = new Uint8Array(vocabSize * 8);
  let end = 0;
  for (let id = 0; id < vocabSize; id++) {
    const token = tokens[id] ?? '';
    const spelled = (literal.has(id) ? null : bytesOfToken(token)) ?? encoder.encode(token);
    if (end + spelled.length > bytes.length) {
      const larger = new Uint8Array((end + spelled.length) * 2);
      larger.set(bytes.subarray(0, end));
      bytes = larger;
    }
    bytes.set(spelled, end);
    end += spelled.length;
    starts[id + 1] = end;
  }
  return { bytes: bytes.slice(0, end), starts };
}

function bytesOfToken(token: string): Uint8Array | null {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter[token.charCodeAt(i)] ?? -1;
    if (byte < 0) return null;
    bytes[i] = byte;
  }
  return bytes;
}
