/**
 * The token ledger of a trajectory: every token that was ever in its context, in order, with where it came from.
 *
 * Invariants, checked on every append and on reading a file: append-only (only the mask can be cleared afterwards); a token
 * that the policy did not write has mask 0, log-prob 0 and version -1; a policy token's log-prob is finite and at most 0.
 * Ids are stored as they were sampled or encoded once, and never encoded again from text.
 * Memory: 19 bytes a token, in arrays that double; the getters are views that later appends may leave behind.
 */
import type { Tokenizer } from '../text/tokenizer.ts';

/** Where a token comes from: the question, the sampling policy, a tool's output, or the chat template's glue. */
export const Origin = { prompt: 0, policy: 1, tool: 2, template: 3 } as const;
export type Origin = (typeof Origin)[keyof typeof Origin];

/** A ledger in JSON. Runs are flat lists `[value, count, value, count, ...]`. */
export interface LedgerJson {
  readonly ids: readonly number[];
  /** Runs of 0 prompt, 1 policy, 2 tool, 3 template. */
  readonly origin: readonly number[];
  /** Runs; -1 before the first turn. */
  readonly turn: readonly number[];
  /** Runs; index of the call whose result the token belongs to, -1 for none. */
  readonly call: readonly number[];
  /** Runs; number of updates the policy had seen when it wrote the token, -1 for tokens it did not write. */
  readonly version: readonly number[];
  /** Runs of 1 (in the loss) and 0. */
  readonly mask: readonly number[];
  /** One number per *policy* token, in order: short decimals that round to the very float32 that was recorded. */
  readonly logprob: readonly number[];
}

const kFirstCapacity = 256;

interface Columns {
  ids: Int32Array;
  origins: Uint8Array;
  turns: Int32Array;
  calls: Int32Array;
  logprobs: Float32Array;
  versions: Int32Array;
  mask: Uint8Array;
}

function columns(capacity: number): Columns {
  return {
    ids: new Int32Array(capacity),
    origins: new Uint8Array(capacity),
    turns: new Int32Array(capacity),
    calls: new Int32Array(capacity),
    logprobs: new Float32Array(capacity),
    versions: new Int32Array(capacity),
    mask: new Uint8Array(capacity),
  };
}

/** A growing, append-only list of tokens; every array below has one entry per token ([length]). */
export class Ledger {
  #length = 0;
  #columns: Columns = columns(kFirstCapacity);

  /** Number of tokens. */
  get length(): number {
    return this.#length;
  }
  /** Token ids. */
  get ids(): Int32Array {
    return this.#columns.ids.subarray(0, this.#length);
  }
  /** One of `Origin` per token. */
  get origins(): Uint8Array {
    return this.#columns.origins.subarray(0, this.#length);
  }
  /** Assistant turn, from 0; a tool's output has the turn of its call; -1 for the prompt. */
  get turns(): Int32Array {
    return this.#columns.turns.subarray(0, this.#length);
  }
  /** Index of the call whose result the token is, or -1. */
  get calls(): Int32Array {
    return this.#columns.calls.subarray(0, this.#length);
  }
  /** Log-prob of the token given all before it, as recorded while sampling (nats); 0 where the policy did not write it. */
  get logprobs(): Float32Array {
    return this.#columns.logprobs.subarray(0, this.#length);
  }
  /** Policy version that wrote the token, or -1. */
  get versions(): Int32Array {
    return this.#columns.versions.subarray(0, this.#length);
  }
  /** 1 = in the loss. */
  get mask(): Uint8Array {
    return this.#columns.mask.subarray(0, this.#length);
  }

  /** Appends the prompt. TypeError if anything was appended before. */
  appendPrompt(ids: ArrayLike<number>): void {
    if (this.#length > 0) {
      throw new TypeError(`the prompt must come first, but the ledger already has ${this.#length} tokens`);
    }
    this.#appendOther(ids, Origin.prompt, -1, -1);
  }

  /**
   * Appends one token the policy wrote, with the log-prob recorded while sampling it (finite, at most 0; given tokens that
   * nobody sampled, as in SFT traces, have 0) and the version of the weights. A log-prob of -0 is kept as 0.
   */
  appendPolicy(id: number, logprob: number, turn: number, version: number): void {
    checkId(id);
    checkWhole('turn', turn);
    checkWhole('version', version);
    if (!(Number.isFinite(logprob) && logprob <= 0)) {
      throw new RangeError(
        `Expected the log-prob of token ${id} (position ${this.#length}) to be finite and at most 0 but received ${logprob}`,
      );
    }
    const at = this.#grow(1);
    const { ids, origins, turns, calls, logprobs, versions, mask } = this.#columns;
    ids[at] = id;
    origins[at] = Origin.policy;
    turns[at] = turn;
    calls[at] = -1;
    logprobs[at] = logprob === 0 ? 0 : logprob;
    versions[at] = version;
    mask[at] = 1;
  }

  /** Appends what call number `call` (from 0), made in `turn`, gave back. */
  appendTool(ids: ArrayLike<number>, turn: number, call: number): void {
    checkWhole('turn', turn);
    checkWhole('call', call);
    this.#appendOther(ids, Origin.tool, turn, call);
  }

  /** Appends glue of the chat template that follows `turn`. */
  appendTemplate(ids: ArrayLike<number>, turn: number): void {
    checkWhole('turn', turn);
    this.#appendOther(ids, Origin.template, turn, -1);
  }

  /** Takes tokens start to end - 1 out of the loss (a truncated tail, say). */
  excludeFromLoss(start: number, end: number = this.#length): void {
    if (
      !(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= this.#length)
    ) {
      throw new RangeError(`Expected a range within 0..${this.#length} but received ${start}..${end}`);
    }
    this.#columns.mask.fill(0, start, end);
  }

  /** What the policy wrote, one text per turn; decoded from the recorded ids, special tokens shown as text. */
  policyTurns(tokenizer: Pick<Tokenizer, 'decode'>): string[] {
    const { ids, origins, turns } = this;
    const texts: string[] = [];
    for (let start = 0; start < this.#length; ) {
      let end = start + 1;
      while (end < this.#length && origins[end] === origins[start] && turns[end] === turns[start]) end++;
      if (origins[start] === Origin.policy) texts.push(tokenizer.decode(ids.subarray(start, end)));
      start = end;
    }
    return texts;
  }

  /** What the policy wrote, turns joined by newlines: the only text an answer may be extracted from. */
  policyText(tokenizer: Pick<Tokenizer, 'decode'>): string {
    return this.policyTurns(tokenizer).join('\n');
  }

  /** A compact JSON value that `fromJSON` reads back exactly, every log-prob to the bit. */
  toJSON(): LedgerJson {
    const { ids, origins, turns, calls, versions, mask, logprobs } = this;
    const policy: number[] = [];
    for (let t = 0; t < this.#length; t++) {
      if (origins[t] === Origin.policy) policy.push(shortDecimal(logprobs[t]!));
    }
    return {
      ids: Array.from(ids),
      origin: runs(origins),
      turn: runs(turns),
      call: runs(calls),
      version: runs(versions),
      mask: runs(mask),
      logprob: policy,
    };
  }

  /** Reads what `toJSON` made. A value that breaks an invariant is a TypeError or RangeError that names the field. */
  static fromJSON(json: unknown): Ledger {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new TypeError(
        `Expected a ledger (a JSON object) but received ${json === null ? 'null' : typeof json}`,
      );
    }
    const fields = json as Readonly<Record<string, unknown>>;
    const ids = numberList('ids', fields.ids);
    const expand = (name: string) => expandRuns(name, numberList(name, fields[name]), ids.length);
    const [origin, turn, call, version, mask] = ['origin', 'turn', 'call', 'version', 'mask'].map(expand);
    const policy = numberList('logprob', fields.logprob);
    const ledger = new Ledger();
    let next = 0;
    for (let t = 0; t < ids.length; t++) {
      const from = origin![t]!;
      if (from === Origin.policy) {
        if (next >= policy.length) {
          throw new RangeError(
            `ledger: logprob: expected one per policy token but found only ${policy.length}`,
          );
        }
        ledger.appendPolicy(ids[t]!, Math.fround(policy[next++]!), turn![t]!, version![t]!);
        if (mask![t] === 0) ledger.excludeFromLoss(t);
      } else if (from === Origin.prompt || from === Origin.tool || from === Origin.template) {
        ledger.#appendOther([ids[t]!], from, turn![t]!, call![t]!);
      } else {
        throw new RangeError(`ledger: origin: expected 0, 1, 2 or 3 but found ${from} at token ${t}`);
      }
      const kept = ledger.#columns;
      if (kept.mask[t] !== mask![t] || kept.calls[t] !== call![t] || kept.versions[t] !== version![t]) {
        throw new RangeError(
          `ledger: token ${t} (origin ${from}) cannot have mask ${mask![t]}, call ${call![t]} and version ${version![t]}`,
        );
      }
    }
    if (next !== policy.length) {
      throw new RangeError(
        `ledger: logprob: expected ${next} (one per policy token) but found ${policy.length}`,
      );
    }
    return ledger;
  }

  #appendOther(added: ArrayLike<number>, origin: Origin, turn: number, call: number): void {
    for (let i = 0; i < added.length; i++) checkId(added[i]!);
    const start = this.#grow(added.length);
    const end = start + added.length;
    const { ids, origins, turns, calls, versions } = this.#columns;
    ids.set(added, start);
    origins.fill(origin, start, end);
    turns.fill(turn, start, end);
    calls.fill(call, start, end);
    versions.fill(-1, start, end);
  }

  /** Makes room for `count` more tokens and returns the position of the first. */
  #grow(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > this.#columns.ids.length) {
      const larger = columns(Math.max(needed, this.#columns.ids.length * 2));
      for (const name of Object.keys(larger) as (keyof Columns)[]) {
        larger[name].set(this.#columns[name].subarray(0, start));
      }
      this.#columns = larger;
    }
    this.#length = needed;
    return start;
  }
}

function checkId(id: number): void {
  if (!(Number.isInteger(id) && id >= 0 && id < 2 ** 31)) {
    throw new RangeError(`Expected a token id (a whole number, 0 or more) but received ${id}`);
  }
}

function checkWhole(name: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 31)) {
    throw new RangeError(`Expected ${name} to be a whole number, 0 or more, but received ${value}`);
  }
}

/** The shortest of 7 to 9 digits that rounds to the float32 `value`. */
function shortDecimal(value: number): number {
  for (const digits of [7, 8]) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

function runs(values: ArrayLike<number>): number[] {
  const list: number[] = [];
  for (let i = 0; i < values.length; ) {
    let end = i + 1;
    while (end < values.length && values[end] === values[i]) end++;
    list.push(values[i]!, end - i);
    i = end;
  }
  return list;
}

function expandRuns(name: string, list: readonly number[], length: number): Int32Array {
  const values = new Int32Array(length);
  let end = 0;
  for (let i = 0; i + 1 < list.length; i += 2) {
    const [value, count] = [list[i]!, list[i + 1]!];
    if (
      !(
        Number.isInteger(value) &&
        value >= -1 &&
        Number.isInteger(count) &&
        count > 0 &&
        end + count <= length
      )
    ) {
      throw new RangeError(
        `ledger: ${name}: run ${i / 2} (${value}, ${count}) does not fit ${length} tokens`,
      );
    }
    values.fill(value, end, end + count);
    end += count;
  }
  if (end !== length || list.length % 2 === 1) {
    throw new RangeError(`ledger: ${name}: expected runs for ${length} tokens but found them for ${end}`);
  }
  return values;
}

function numberList(name: string, value: unknown): readonly number[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'number')) {
    throw new TypeError(`ledger: ${name}: expected a list of numbers`);
  }
  return value;
}
