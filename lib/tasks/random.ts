/**
 * Counter-based random numbers for data: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 *
 * A generator is a pure function of (seed, stream): it never touches global state, so the questions a task draws
 * do not depend on the order in which tasks, prompts or samples are visited. The 64-bit seed is the Philox key;
 * the three stream words are counter words 1 to 3; counter word 0 counts blocks of four 32-bit outputs.
 */

/** A stream of random numbers; every method advances it. */
export interface Random {
  /** The next 32 random bits as an unsigned integer. */
  uint32(): number;
  /** A uniform integer in [low, high], both inclusive; exact (rejection, no modulo bias). Throws RangeError on bad bounds. */
  integer(low: number, high: number): number;
  /** A uniform number in [0, 1) with 53 random bits. */
  unit(): number;
  /** A uniform element of a non-empty list. */
  choice<T>(items: readonly T[]): T;
  /** A new list with the items in uniformly random order (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[];
  /** `count` different elements of the list, in random order. */
  sample<T>(items: readonly T[], count: number): T[];
}

const kMultiplier0 = 0xd2511f53;
const kMultiplier1 = 0xcd9e8d57;
const kWeyl0 = 0x9e3779b9;
const kWeyl1 = 0xbb67ae85;
const kRounds = 10;
const kTwo32 = 2 ** 32;

/** The high 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle % 0x10000) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One Philox4x32-10 block: four 32-bit outputs for a 128-bit counter and a 64-bit key (32-bit words, low word first).
 *
 * `philox4x32([0, 0, 0, 0], [0, 0])` is `[0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]`.
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < kRounds; round++) {
    const high0 = multiplyHigh(kMultiplier0, x0);
    const low0 = Math.imul(kMultiplier0, x0) >>> 0;
    const high1 = multiplyHigh(kMultiplier1, x2);
    const low1 = Math.imul(kMultiplier1, x2) >>> 0;
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x1 = low1;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x3 = low0;
    k0 = (k0 + kWeyl0) >>> 0;
    k1 = (k1 + kWeyl1) >>> 0;
  }
  return [x0, x1, x2, x3];
}

/**
 * A random stream for a seed (a safe integer >= 0) and up to three stream words (unsigned 32-bit integers, e.g.
 * task, split, attempt). Throws RangeError when one of them is out of range.
 */
export function createRandom(seed: number, stream: readonly number[] = []): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(
      `createRandom: expected a seed that is an integer from 0 to 2^53 - 1, found ${seed}`,
    );
  }
  if (stream.length > 3) {
    throw new RangeError(`createRandom: expected at most 3 stream words, found ${stream.length}`);
  }
  for (const word of stream) {
    if (!Number.isInteger(word) || word < 0 || word >= kTwo32) {
      throw new RangeError(
        `createRandom: expected stream words that are integers from 0 to 2^32 - 1, found ${word}`,
      );
    }
  }
  const key: [number, number] = [seed >>> 0, Math.floor(seed / kTwo32)];
  const [word1 = 0, word2 = 0, word3 = 0] = stream;
  let block = 0;
  let outputs: readonly number[] = [];
  let used = 4;

  function uint32(): number {
    if (used === 4) {
      outputs = philox4x32([block, word1, word2, word3], key);
      block += 1;
      used = 0;
    }
    const output = outputs[used]!;
    used += 1;
    return output;
  }

  function bits53(): number {
    const high = uint32() >>> 11;
    return high * kTwo32 + uint32();
  }

  function integer(low: number, high: number): number {
    if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low > high) {
      throw new RangeError(`integer: expected safe integers low <= high, found low ${low} and high ${high}`);
    }
    const span = high - low + 1;
    if (!Number.isSafeInteger(span)) {
      throw new RangeError(`integer: expected a range of fewer than 2^53 values, found ${low} to ${high}`);
    }
    const source = span <= kTwo32 ? kTwo32 : 2 ** 53;
    const limit = source - (source % span);
    for (;;) {
      const bits = span <= kTwo32 ? uint32() : bits53();
      if (bits < limit) return low + (bits % span);
    }
  }

  function shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let last = result.length - 1; last > 0; last--) {
      const other = integer(0, last);
      [result[last], result[other]] = [result[other]!, result[last]!];
    }
    return result;
  }

  return {
    uint32,
    integer,
    unit: () => bits53() / 2 ** 53,
    choice<T>(items: readonly T[]): T {
      if (items.length === 0) throw new RangeError('choice: expected a non-empty list, found an empty one');
      return items[integer(0, items.length - 1)]!;
    },
    shuffle,
    sample<T>(items: readonly T[], count: number): T[] {
      if (!Number.isInteger(count) || count < 0 || count > items.length) {
        throw new RangeError(`sample: expected a count from 0 to ${items.length}, found ${count}`);
      }
      return shuffle(items).slice(0, count);
    },
  };
}
