/**
 * A queue that is fair over keys: `take` goes round the keys that have something waiting, and within a key it is first in,
 * first out. So a trajectory that asks for a hundred calls at once does not hold up one that asks for its first.
 * Every operation takes constant time, whatever waits. A wait may have a deadline, counted from `push`.
 * Invariant: an entry ends exactly once: taken, removed, expired or drained.
 */

/** Something that waits; what {@link FairQueue.remove} is given. */
export interface Waiting<T> {
  readonly item: T;
  readonly key: string;
}

/** What becomes of an entry that waits too long. */
export interface Deadline<T> {
  /** From now on; above 0, at most 2,147,483 (24 days). */
  readonly seconds: number;
  /** Told when they are over and the item was still waiting, which it then no longer is. */
  expired(item: T): void;
}

interface Entry<T> extends Waiting<T> {
  lane: Lane<T> | null;
  previous: Entry<T> | null;
  next: Entry<T> | null;
  timer: NodeJS.Timeout | null;
}

/** The entries of one key, and its place in the ring of keys. */
interface Lane<T> {
  readonly key: string;
  first: Entry<T> | null;
  last: Entry<T> | null;
  before: Lane<T>;
  after: Lane<T>;
}

export class FairQueue<T> {
  readonly #lanes = new Map<string, Lane<T>>();
  /** The lane whose turn it is; the one before it in the ring is the last. */
  #turn: Lane<T> | null = null;
  #size = 0;

  /** How many items wait. */
  get size(): number {
    return this.#size;
  }

  /** Of how many keys. */
  get keys(): number {
    return this.#lanes.size;
  }

  /**
   * Appends to the line of `key`; a key without one begins it behind all others.
   * @throws {RangeError} for a deadline that no timer can keep.
   */
  push(key: string, item: T, deadline?: Deadline<T>): Waiting<T> {
    if (deadline !== undefined && !(deadline.seconds > 0 && deadline.seconds <= 2_147_483)) {
      throw new RangeError(
        `queue: expected a deadline above 0 and up to 2147483 seconds, found ${deadline.seconds}`,
      );
    }
    const lane = this.#lanes.get(key) ?? this.#open(key);
    const entry: Entry<T> = { key, item, lane, previous: lane.last, next: null, timer: null };
    if (lane.last === null) lane.first = entry;
    else lane.last.next = entry;
    lane.last = entry;
    this.#size++;
    if (deadline !== undefined) {
      entry.timer = setTimeout(() => {
        this.remove(entry);
        deadline.expired(item);
      }, deadline.seconds * 1000);
    }
    return entry;
  }

  /** The next item in turn, which no longer waits; undefined when none does. */
  take(): T | undefined {
    const lane = this.#turn;
    if (lane === null) return undefined;
    const entry = lane.first!;
    this.#turn = lane.after;
    this.remove(entry);
    return entry.item;
  }

  /** Ends the wait of an entry; false when it had ended before. */
  remove(waiting: Waiting<T>): boolean {
    const entry = waiting as Entry<T>;
    const { lane, previous, next } = entry;
    if (lane === null || this.#lanes.get(lane.key) !== lane) return false;
    if (previous === null) lane.first = next;
    else previous.next = next;
    if (next === null) lane.last = previous;
    else next.previous = previous;
    entry.lane = null;
    if (entry.timer !== null) clearTimeout(entry.timer);
    this.#size--;
    if (lane.first === null) this.#close(lane);
    return true;
  }

  /** Ends every wait; the items in the order in which `take` would have given them. */
  drain(): T[] {
    const items: T[] = [];
    while (this.#size > 0) items.push(this.take()!);
    return items;
  }

  #open(key: string): Lane<T> {
    const turn = this.#turn;
    const lane = { key, first: null, last: null } as Lane<T>;
    lane.before = turn?.before ?? lane;
    lane.after = turn ?? lane;
    lane.before.after = lane;
    lane.after.before = lane;
    this.#turn ??= lane;
    this.#lanes.set(key, lane);
    return lane;
  }

  #close(lane: Lane<T>): void {
    this.#lanes.delete(lane.key);
    lane.before.after = lane.after;
    lane.after.before = lane.before;
    if (this.#turn === lane) this.#turn = lane.after === lane ? null : lane.after;
  }
}
