/**
 * Which sessions there are: the number by which the supervisor knows each, whether its interpreter is there, and the programs
 * that wait for the one before them. A session's programs run one at a time, in the order in which they were given.
 */

/** Interpreters that are kept; beyond that the one unused for longest is ended. */
const kMostKept = 1024;

interface Session<T> {
  readonly number: number;
  /** The supervisor has, or had, its interpreter. */
  opened: boolean;
  current: T | null;
  readonly waiting: T[];
}

export class Sessions<T> {
  /** In order of last use. */
  readonly #all = new Map<string, Session<T>>();
  #serial = 0;

  /** A program comes: true if it need not wait for another of its session. */
  enter(name: string, call: T): boolean {
    let session = this.#all.get(name);
    if (session === undefined) {
      session = { number: ++this.#serial, opened: false, current: null, waiting: [] };
      this.#all.set(name, session);
    }
    if (session.current === null) {
      session.current = call;
      return true;
    }
    session.waiting.push(call);
    return false;
  }

  /** A program is about to run: what the supervisor is told. `end` ends another session, if there are too many. */
  begin(name: string, end: (session: number) => void): { session: number; continues: boolean } {
    const session = this.#all.get(name)!;
    const continues = session.opened;
    session.opened = true;
    this.#all.delete(name);
    this.#all.set(name, session);
    let kept = 0;
    for (const other of this.#all.values()) kept += other.opened ? 1 : 0;
    for (const other of kept > kMostKept ? this.#all.values() : []) {
      if (!other.opened || other.current !== null) continue;
      end(other.number); // its next program is told that the session is lost
      break;
    }
    return { session: session.number, continues };
  }

  /** Its interpreter is gone: the next program begins another. */
  lost(name: string): void {
    const session = this.#all.get(name);
    if (session !== undefined) session.opened = false;
  }

  /** A program has ended: the one that comes after it. */
  next(name: string, ended: T): T | undefined {
    const session = this.#all.get(name);
    if (session === undefined || session.current !== ended) return undefined;
    session.current = session.waiting.shift() ?? null;
    return session.current ?? undefined;
  }

  /** A program that waits will not run. */
  forget(name: string, call: T): void {
    const waiting = this.#all.get(name)?.waiting;
    const place = waiting?.indexOf(call) ?? -1;
    if (place >= 0) waiting!.splice(place, 1);
  }

  /** Ends a session; its number if the supervisor has to know. */
  end(name: string): number | null {
    const session = this.#all.get(name);
    if (session === undefined) return null;
    if (session.current === null) this.#all.delete(name);
    const known = session.opened;
    session.opened = false;
    return known ? session.number : null;
  }

  /** All programs that wait for another one; they no longer do. */
  drain(): T[] {
    return [...this.#all.values()].flatMap(({ waiting }) => waiting.splice(0));
  }
}
