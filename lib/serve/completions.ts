/**
 * Completions of many callers over one KV cache: requests join the running batch as they come (lib/rollout/continuous-batch.ts)
 * and leave it when they have ended or their caller has gone.
 *
 * Invariants: one loop steps the engine; callers only queue, and ask to be taken out between two steps. The text of a request
 * depends on its prompt, seed and settings alone, not on what runs beside it. Memory: each request reserves the pages of its
 * longest course when it joins; the queue is bounded.
 */
import { randomBytes } from 'node:crypto';
import type { EngineModel, KvCache } from '../model/engine.ts';
import { type BatchGroup, ContinuousBatch } from '../rollout/continuous-batch.ts';
import type { Course } from '../rollout/course.ts';
import type { CallRecord, ToolLimits, TrajectoryEnd } from '../rollout/trajectory.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { Tool } from '../tools/tool.ts';
import { ApiError } from './api-error.ts';
import { createTranscript, type Piece, plainFormat, stoppingAt, type Transcript } from './transcript.ts';

/** How a loop over the tool is bounded. */
export interface LoopLimits {
  readonly maxCalls: number;
  readonly maxTurns: number;
  /** Wall clock of one answer; 0 = none. */
  readonly seconds: number;
  readonly tool: ToolLimits;
}

export interface CompletionsOptions {
  readonly model: EngineModel;
  readonly cache: KvCache;
  readonly tokenizer: Tokenizer;
  readonly format: ToolFormat;
  /** Runs the model's programs; null: answers are plain text. */
  readonly loop: { readonly tool: Tool; readonly limits: LoopLimits } | null;
  /** Prompt and answer together. */
  readonly contextTokens: number;
  /** Most answers that may wait. */
  readonly queue: number;
}

export interface CompletionRequest {
  readonly ids: Int32Array;
  readonly n: number;
  readonly temperature: number;
  readonly topP: number;
  /** null: a random one. */
  readonly seed: bigint | null;
  /** New tokens, tool output included. */
  readonly maxTokens: number;
  readonly stops: readonly string[];
  /** The answer also ends where a turn of this format ends; without the tool loop only. */
  readonly turnOf?: ToolFormat;
}

/** One finished answer. */
export interface Completion {
  readonly finish: 'stop' | 'length';
  readonly end: TrajectoryEnd;
  readonly calls: readonly CallRecord[];
  /** Tokens after the prompt, tool output included. */
  readonly tokens: number;
}

export interface Completions {
  readonly contextTokens: number;
  readonly active: number;
  readonly waiting: number;
  /**
   * Answers a request; `onPiece` gets every piece of text in order. Rejects with ApiError 429 when the queue is full, with the
   * signal's reason when aborted.
   */
  complete(
    request: CompletionRequest,
    onPiece: (index: number, piece: Piece) => void,
    signal?: AbortSignal,
  ): Promise<Completion[]>;
  /** Ends what runs (its callers get ApiError 503) and settles when nothing is left. */
  close(): Promise<void>;
}

/** A request in the queue or running. */
interface Job {
  readonly group: BatchGroup;
  readonly courses: Map<Course, Transcript>;
  readonly done: Completion[];
  readonly request: CompletionRequest;
  readonly onPiece: (index: number, piece: Piece) => void;
  resolve(completions: Completion[]): void;
  reject(error: unknown): void;
  /** Set when the caller has gone, or everything is being ended. */
  dropped: boolean;
}

const kLengthEnds: ReadonlySet<TrajectoryEnd> = new Set([
  'turn_length',
  'total_length',
  'overflow',
  'max_calls',
  'max_turns',
  'time_limit',
]);

export function startCompletions(options: CompletionsOptions): Completions {
  const { model, cache, tokenizer, loop, contextTokens } = options;
  const batch = new ContinuousBatch(cache, model.memory.kvPageTokens);
  const jobs = new Map<BatchGroup, Job>();
  /** Calls of dropped courses that have not let go yet. */
  const leaving = new Set<Promise<void>>();
  let closing = false;
  let wake: () => void = () => {};
  let woken: Promise<void> = Promise.resolve();
  const rearm = (): void => {
    woken = new Promise((resolve) => {
      wake = resolve;
    });
  };
  rearm();
  const ended = run();

  return {
    contextTokens,
    get active() {
      return batch.active.size;
    },
    get waiting() {
      return batch.waiting;
    },
    complete,
    async close() {
      closing = true;
      wake();
      await ended;
      await Promise.all(leaving);
    },
  };

  async function complete(
    request: CompletionRequest,
    onPiece: Job['onPiece'],
    signal?: AbortSignal,
  ): Promise<Completion[]> {
    signal?.throwIfAborted();
    if (closing) throw new ApiError(503, 'The server is shutting down');
    const { waiting } = batch;
    if (waiting > 0 && waiting + request.n > options.queue) {
      throw new ApiError(429, `${waiting} answers are waiting already; try again later`, {
        code: 'queue_full',
      });
    }
    let abort: () => void = () => {};
    try {
      return await new Promise<Completion[]>((resolve, reject) => {
        const group = enqueue(request);
        const job: Job = {
          group,
          courses: new Map(),
          done: [],
          request,
          onPiece,
          resolve,
          reject,
          dropped: false,
        };
        jobs.set(group, job);
        abort = () => {
          job.dropped = true;
          reject(signal!.reason);
          wake();
        };
        signal?.addEventListener('abort', abort);
        wake();
      });
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  function enqueue(request: CompletionRequest): BatchGroup {
    const { ids, n, temperature, topP, maxTokens, stops } = request;
    const totalTokens = Math.min(contextTokens, ids.length + maxTokens);
    const base = loop === null ? (request.turnOf ?? plainFormat(options.format)) : options.format;
    const limits = loop?.limits;
    return batch.enqueue(
      { question: { id: 'request', task: 'chat', prompt: '', answer: '' }, ids, prompt: 0, samples: n },
      {
        model,
        tokenizer,
        format: stoppingAt(base, stops),
        tool: loop?.tool ?? null,
        limits: {
          maxCalls: limits?.maxCalls ?? 0,
          maxTurns: limits?.maxTurns ?? 1,
          turnTokens: [maxTokens, maxTokens],
          totalTokens,
          seconds: limits?.seconds ?? 0,
        },
        toolLimits: limits?.tool ?? kNoTool,
        sampling: { temperature, topK: 0, topP, minP: 0 },
        runSeed: request.seed ?? randomBytes(8).readBigUInt64LE(),
        step: 0,
      },
    );
  }

  /** The loop: until closed, step what runs; sleep where there is nothing to do. */
  async function run(): Promise<void> {
    while (!closing) {
      rearm();
      for (const job of [...jobs.values()]) if (job.dropped) drop(job);
      if (jobs.size === 0) {
        await woken;
        continue;
      }
      try {
        for (const course of await batch.admit()) {
          const group = batch.active.get(course)!;
          const { request, courses } = jobs.get(group)!;
          courses.set(course, createTranscript(tokenizer, request.stops, request.ids.length));
        }
        const stepped = await batch.step();
        if (stepped === 0 && batch.active.size > 0) await Promise.race([batch.toolDone(), woken]);
      } catch (error) {
        // The engine failed: what was running is lost, what comes later may still work.
        for (const job of [...jobs.values()]) {
          job.reject(error);
          drop(job);
        }
        batch.clear();
        continue;
      }
      deliver();
    }
    const error = new ApiError(503, 'The server was shut down before the answer was complete');
    for (const job of [...jobs.values()]) {
      job.reject(error);
      drop(job);
    }
    batch.clear();
  }

  /** Hand out new text, and what has ended. */
  function deliver(): void {
    const over = new Set(batch.settle());
    for (const job of [...jobs.values()]) {
      if (job.dropped) continue;
      try {
        for (const [course, transcript] of job.courses) {
          const piece = transcript.take(course.ledger, course.ended);
          const index = course.seed.sample;
          if (piece.text !== '' || piece.tokens.length > 0) job.onPiece(index, piece);
          if (!over.has(course)) continue;
          job.courses.delete(course);
          job.done[index] = completionOf(course, job.request);
        }
      } catch (error) {
        job.reject(error);
        drop(job);
        continue;
      }
      const { n } = job.request;
      if (job.group.joined < n || job.courses.size > 0) continue;
      jobs.delete(job.group);
      job.resolve(job.done);
    }
  }

  function completionOf(course: Course, { ids, turnOf }: CompletionRequest): Completion {
    if (course.failure !== null) throw course.failure;
    const { end, reason, calls } = course.finish();
    if (end === 'infrastructure') throw new ApiError(500, `The tool failed: ${reason ?? 'no reason given'}`);
    return {
      // A turn that ends with a call has come to its end, though there is nothing here to run it.
      finish: kLengthEnds.has(end) && !(turnOf !== undefined && end === 'max_calls') ? 'length' : 'stop',
      end,
      calls,
      tokens: course.ledger.length - ids.length,
    };
  }

  /** Take a job out, wherever it is; its programs are killed. */
  function drop(job: Job): void {
    jobs.delete(job.group);
    batch.withdraw(job.group);
    for (const course of job.courses.keys()) {
      course.cancel();
      batch.remove(course);
      const gone = course.toolDone.finally(() => leaving.delete(gone));
      leaving.add(gone);
    }
  }
}

/** Never used: without the tool nothing is called. */
const kNoTool: ToolLimits = {
  seconds: 1,
  memoryBytes: 2 ** 26,
  outputBytes: 64,
  fileBytes: 0,
  outputCharacters: 0,
};
