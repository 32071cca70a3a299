/**
 * Continuous batching over one KV cache, the part that `rollout` and the server share: groups queue, their members join when
 * pages are free (the prompt's pages are shared), step together, rest while their tool runs, and leave when they have ended.
 *
 * Invariants: first come, first served; the pages of a member's longest course are reserved before it joins, so a running
 * one never runs out of them; what a member is given depends on its own seed and tokens, never on its neighbours.
 * One page stays unreserved: the last prompt page of the one group that may have joined in part, which its members copied.
 * Nothing but `enqueue` may be called while `step` is under way.
 */
import type { KvCache, StepRow } from '../model/engine.ts';
import { type Course, type CourseOptions, createCourse } from './course.ts';
import type { RolloutPrompt } from './options.ts';

/** A prompt with its samples, in the queue or running. */
export interface BatchGroup {
  readonly prompt: RolloutPrompt;
  readonly options: CourseOptions;
  /** Pages of one member's longest course. */
  readonly pages: number;
  /** Sequence holding the prompt but its last token, once prefilled; freed when the last member has forked. */
  root: number | null;
  /** Samples that have joined. */
  joined: number;
}

/** Most members whose longest courses (of `pages` pages each) fit into the cache together. */
export function batchCapacity(cache: KvCache, pages: number): number {
  return Math.floor((cache.pagesTotal - 1) / pages);
}

export class ContinuousBatch {
  readonly #cache: KvCache;
  readonly #pageTokens: number;
  readonly #concurrency: number;
  readonly #queue: BatchGroup[] = [];
  readonly #active = new Map<Course, BatchGroup>();
  #reserved = 0;
  /** Seconds in engine steps, and the number of those that sampled. */
  engineSeconds = 0;
  decodeSteps = 0;

  constructor(cache: KvCache, pageTokens: number, concurrency = Number.POSITIVE_INFINITY) {
    this.#cache = cache;
    this.#pageTokens = pageTokens;
    this.#concurrency = concurrency;
  }

  /** What runs or waits for a tool, with its group, in the order of joining. */
  get active(): ReadonlyMap<Course, BatchGroup> {
    return this.#active;
  }

  /** Samples that have not joined yet. */
  get waiting(): number {
    return this.#queue.reduce((sum, group) => sum + group.prompt.samples - group.joined, 0);
  }

  /** Put a prompt's samples in the queue. RangeError when one of them could never join. */
  enqueue(prompt: RolloutPrompt, options: CourseOptions): BatchGroup {
    const pages = Math.ceil(options.limits.totalTokens / this.#pageTokens);
    if (batchCapacity(this.#cache, pages) < 1) {
      throw new RangeError(
        `${options.limits.totalTokens} tokens need ${pages + 1} KV pages of ${this.#pageTokens} tokens, ` +
          `the cache has ${this.#cache.pagesTotal}`,
      );
    }
    const group: BatchGroup = { prompt, options, pages, root: null, joined: 0 };
    if (prompt.samples > 0) this.#queue.push(group);
    return group;
  }

  /** Let waiting samples join, prefilling the prompts of groups that are new. Returns those that joined. */
  async admit(): Promise<Course[]> {
    const joining: { group: BatchGroup; sample: number }[] = [];
    while (this.#queue.length > 0 && this.#active.size + joining.length < this.#concurrency) {
      const group = this.#queue[0]!;
      if (this.#reserved + group.pages > this.#cache.pagesTotal - 1) break;
      this.#reserved += group.pages;
      joining.push({ group, sample: group.joined++ });
      if (group.joined === group.prompt.samples) this.#queue.shift();
    }
    const prefill: StepRow[] = [];
    for (const { group } of joining) {
      if (group.root !== null) continue;
      group.root = this.#cache.add();
      const shared = group.prompt.ids.subarray(0, group.prompt.ids.length - 1);
      if (shared.length > 0) prefill.push({ seq: group.root, tokens: shared, sample: null });
    }
    if (prefill.length > 0) await this.#engine(prefill);
    return joining.map(({ group, sample }) => {
      const seq = this.#cache.fork(group.root!);
      if (sample === group.prompt.samples - 1) this.#cache.free(group.root!);
      const course = createCourse(group.options, group.prompt, sample, seq);
      this.#active.set(course, group);
      return course;
    });
  }

  /**
   * Let courses that are in no cache join, in order, as long as there is room: all their tokens but the last are prefilled, the
   * prompt of those that have just begun once for all. Returns those that joined.
   */
  async rejoin(courses: readonly Course[]): Promise<Course[]> {
    const joining: { course: Course; group: BatchGroup; seq: number }[] = [];
    const roots = new Map<RolloutPrompt, number>();
    const prefill: StepRow[] = [];
    const fill = (course: Course): number => {
      const seq = this.#cache.add();
      const tokens = course.ledger.ids.slice(0, -1);
      if (tokens.length > 0) prefill.push({ seq, tokens, sample: null });
      return seq;
    };
    for (const course of courses) {
      const { prompt, options } = course;
      const pages = Math.ceil(options.limits.totalTokens / this.#pageTokens);
      const room = this.#reserved + pages <= this.#cache.pagesTotal - 1;
      if (!room || this.#active.size + joining.length >= this.#concurrency) break;
      this.#reserved += pages;
      const group: BatchGroup = { prompt, options, pages, root: null, joined: prompt.samples };
      const begun = course.ledger.length > prompt.ids.length;
      if (!begun && !roots.has(prompt)) roots.set(prompt, fill(course));
      joining.push({ course, group, seq: begun ? fill(course) : -1 });
    }
    if (prefill.length > 0) await this.#engine(prefill);
    for (const { course, group, seq } of joining) {
      this.#active.set(course, group);
      course.join(seq < 0 ? this.#cache.fork(roots.get(course.prompt)!) : seq);
    }
    for (const root of roots.values()) this.#cache.free(root);
    return joining.map(({ course }) => course);
  }

  /**
   * One engine step for everything that has tokens to append and `may` go on. Returns how many that were; 0: all others wait for
   * their tools.
   */
  async step(may: (course: Course) => boolean = () => true): Promise<number> {
    const running = [...this.#active].filter(([course]) => course.pending !== null && may(course));
    if (running.length === 0) return 0;
    const rows: StepRow[] = running.map(([course, { options }]) => ({
      seq: course.seq,
      tokens: course.pending!,
      sample: { ...options.sampling, ...course.seed },
    }));
    const { tokens, logprobs } = await this.#engine(rows);
    this.decodeSteps += 1;
    for (const [row, [course]] of running.entries()) course.accept(tokens[row]!, logprobs[row]!);
    return running.length;
  }

  /** Settles when a call in flight is over (at once when there is none). */
  async toolDone(): Promise<void> {
    const calling = [...this.#active.keys()].filter((course) => course.calling);
    if (calling.length > 0) await Promise.race(calling.map((course) => course.toolDone));
  }

  /** Take out what has ended, and return it; its pages are free for others. */
  settle(): Course[] {
    const ended = [...this.#active.keys()].filter((course) => course.ended);
    for (const course of ended) this.remove(course);
    return ended;
  }

  /** Take out one course, ended or not; a call in flight is the caller's to cancel. */
  remove(course: Course): void {
    const group = this.#active.get(course);
    if (group === undefined) return;
    this.#active.delete(course);
    this.#reserved -= group.pages;
    this.#cache.free(course.seq);
  }

  /** Take what has not joined yet of a group out of the queue. */
  withdraw(group: BatchGroup): void {
    const place = this.#queue.indexOf(group);
    if (place < 0) return;
    this.#queue.splice(place, 1);
    if (group.root !== null) this.#cache.free(group.root);
  }

  /** Forget everything and empty the cache: after an engine failure, or at the end. */
  clear(): void {
    this.#queue.length = 0;
    this.#active.clear();
    this.#reserved = 0;
    this.#cache.clear();
  }

  async #engine(rows: readonly StepRow[]) {
    const started = performance.now();
    const result = await this.#cache.step(rows);
    this.engineSeconds += (performance.now() - started) / 1000;
    return result;
  }
}
