/**
 * The course of one trajectory while it runs: what the model wrote so far, the turn's parser, the tool call in flight, and
 * the tokens the next engine step must append. `rollout` drives it; it never touches the cache.
 *
 * State: `pending` holds the tokens for the next step; it is null while a tool runs and after the end.
 */
import type { SampleSeed } from '../model/engine.ts';
import type { ParseEvent, TurnParser } from '../text/formats/format.ts';
import type { ToolResult } from '../tools/tool.ts';
import { Ledger } from './ledger.ts';
import type { RolloutOptions, RolloutPrompt } from './options.ts';
import { shorten } from './shorten.ts';
import type { CallRecord, Trajectory, TrajectoryEnd } from './trajectory.ts';

/** What a course needs of a rollout's options. */
export type CourseOptions = Omit<RolloutOptions, 'cache' | 'concurrency' | 'signal' | 'onProgress'>;

export interface Course {
  readonly seq: number;
  /** Every token so far; grows while the course runs. */
  readonly ledger: Ledger;
  readonly seed: SampleSeed;
  readonly pending: Int32Array | null;
  readonly ended: boolean;
  readonly sampled: number;
  /** Settles (never rejects) when the call in flight is over; already settled when there is none. */
  readonly toolDone: Promise<void>;
  /** What went wrong outside the model and its tool (our own fault): the rollout throws it. */
  readonly failure: unknown;
  /** Take the token sampled in the last step. */
  accept(token: number, logprob: number): void;
  /** Cancel a call in flight; `toolDone` settles when the tool has let go of it. */
  cancel(): void;
  finish(): Trajectory;
}

/** What is known of a call before its result. */
type MadeCall = Pick<CallRecord, 'turn' | 'code' | 'dropped' | 'repeated'>;

/** setTimeout takes no longer waits. */
const kLongestTimer = 2 ** 31 - 1;

export function createCourse(
  options: CourseOptions,
  prompt: RolloutPrompt,
  sample: number,
  seq: number,
): Course {
  const { tokenizer, format, limits, toolLimits, tool, model } = options;
  const started = performance.now();
  const deadline = limits.seconds > 0 ? started + limits.seconds * 1000 : Number.POSITIVE_INFINITY;
  const canceller = new AbortController();
  const ledger = new Ledger();
  ledger.appendPrompt(prompt.ids);
  const calls: CallRecord[] = [];
  const codes = new Set<string>();
  const texts: string[] = [];
  const turnStops = new Set(tokenizer.eosIds);

  let pending: Int32Array | null = prompt.ids.subarray(prompt.ids.length - 1);
  let ended = false;
  let end: TrajectoryEnd = 'no_answer';
  let reason: string | null = null;
  let endedAt = started;
  let sampled = 0;
  let turn = 0;
  let turnTokens = 0;
  let parser: TurnParser = format.parser();
  let stream = tokenizer.stream();
  let turnText = '';
  let toolDone: Promise<void> = Promise.resolve();
  let failure: unknown = null;

  return {
    seq,
    ledger,
    seed: { runSeed: options.runSeed, step: options.step, prompt: prompt.prompt, sample },
    get pending() {
      return pending;
    },
    get ended() {
      return ended;
    },
    get sampled() {
      return sampled;
    },
    get toolDone() {
      return toolDone;
    },
    get failure() {
      return failure;
    },
    accept,
    cancel: () => canceller.abort(new Error('the rollout was abandoned')),
    finish: () => ({
      question: prompt.question,
      prompt: prompt.prompt,
      sample,
      ledger,
      calls,
      turns: turn + 1,
      end,
      reason,
      answer: end === 'answer' ? format.answer(texts.join('\n')) : null,
      text: texts.join('\n'),
      seconds: (endedAt - started) / 1000,
    }),
  };

  function accept(token: number, logprob: number): void {
    sampled += 1;
    turnTokens += 1;
    ledger.appendPolicy(token, logprob, turn, model.version);
    let event: ParseEvent | null;
    const [firstLimit, laterLimit] = limits.turnTokens;
    if (turnStops.has(token)) {
      const rest = stream.flush();
      turnText += rest;
      event = (rest === '' ? null : parser.push(rest)) ?? parser.end('eos');
    } else {
      const text = stream.push(token);
      turnText += text;
      event = text === '' ? null : parser.push(text);
      if (event === null && turnTokens >= (turn === 0 ? firstLimit : laterLimit)) return cut('turn_length');
      if (event === null && ledger.length >= limits.totalTokens) return cut('total_length');
    }
    if (event !== null) return onEvent(event, token);
    if (performance.now() > deadline) return stop('time_limit', null);
    pending = Int32Array.of(token);
  }

  /** A token limit fell; a call that was being written is not run. */
  function cut(limit: 'turn_length' | 'total_length'): void {
    const { kind } = parser.end('length');
    stop(limit, kind === 'truncated' ? 'the limit fell inside a call' : null);
  }

  function onEvent(event: ParseEvent, lastToken: number): void {
    switch (event.kind) {
      case 'answer':
        return stop('answer', null);
      case 'text':
        return stop('no_answer', null);
      case 'malformed':
        return stop('malformed', event.reason);
      case 'truncated':
        return stop('malformed', 'the turn ended inside a call');
      case 'call':
        return call(event.code, event.repeated, lastToken);
    }
  }

  function call(code: string, dropped: number, lastToken: number): void {
    if (tool === null || calls.length >= limits.maxCalls) return stop('max_calls', null);
    if (turn + 1 >= limits.maxTurns) return stop('max_turns', null);
    pending = null;
    const made = { turn, code, dropped, repeated: codes.has(code) };
    codes.add(code);
    const calledAt = performance.now();
    const left = Math.min(deadline - calledAt, kLongestTimer);
    const timer = limits.seconds > 0 ? setTimeout(() => canceller.abort(), Math.max(0, left)) : undefined;
    const { seconds, memoryBytes, outputBytes, fileBytes } = toolLimits;
    const callId = `${prompt.question.id}/${sample}/${calls.length}`;
    toolDone = tool
      .run({ callId, code, seconds, memoryBytes, outputBytes, fileBytes }, canceller.signal)
      .then(
        (result) => onResult(result, made, lastToken),
        (error: unknown) => {
          const took = (performance.now() - calledAt) / 1000;
          const message = error instanceof Error ? error.message : String(error);
          // The trajectory's time ran out while its program ran: the program's fault as much as a timeout is.
          const late = performance.now() > deadline - 2;
          const status = late ? 'timeout' : 'infrastructure_error';
          calls.push({ ...made, status, output: null, seconds: took, error: message });
          stop(late ? 'time_limit' : 'infrastructure', late ? null : message);
        },
      )
      .catch((error: unknown) => {
        failure = error;
        stop('infrastructure', null);
      })
      .finally(() => clearTimeout(timer));
  }

  function onResult(result: ToolResult, made: MadeCall, lastToken: number): void {
    if (typeof result?.output !== 'string' || typeof result.status !== 'string') {
      throw new TypeError(
        `rollout: expected the tool to give a result with a status and an output, found ${JSON.stringify(result)}`,
      );
    }
    const { status, seconds, error = null } = result;
    const record = { ...made, status, seconds, error };
    if (status === 'infrastructure_error') {
      calls.push({ ...record, output: null });
      return stop('infrastructure', error ?? 'the tool gave no reason');
    }
    const output = shorten(result.output, toolLimits.outputCharacters);
    const segments = format.toolText({ status, output }).map((segment) => ({
      origin: segment.origin,
      ids:
        segment.origin === 'tool' ? tokenizer.encode(segment.text) : tokenizer.encodeTemplate(segment.text),
    }));
    const added = segments.reduce((sum, segment) => sum + segment.ids.length, 0);
    if (ledger.length + added >= limits.totalTokens) {
      calls.push({ ...record, output: null });
      return stop('overflow', null);
    }
    const callIndex = calls.length;
    calls.push({ ...record, output });
    const next = new Int32Array(1 + added);
    next[0] = lastToken;
    let at = 1;
    for (const { origin, ids } of segments) {
      if (origin === 'tool') ledger.appendTool(ids, made.turn, callIndex);
      else ledger.appendTemplate(ids, made.turn);
      next.set(ids, at);
      at += ids.length;
    }
    texts.push(turnText);
    turnText = '';
    turn += 1;
    turnTokens = 0;
    parser = format.parser();
    stream = tokenizer.stream();
    if (performance.now() > deadline) return stop('time_limit', null);
    pending = next;
  }

  function stop(how: TrajectoryEnd, why: string | null): void {
    if (turnText !== '') texts.push(turnText);
    turnText = '';
    pending = null;
    ended = true;
    end = how;
    reason = why;
    endedAt = performance.now();
  }
}
