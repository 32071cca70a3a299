/**
 * The course of one trajectory while it runs: what the model wrote so far, the turn's parser, the tool call in flight, and
 * the tokens the next engine step must append. What drives it (rollout.ts, drive.ts) owns the cache; a course never touches it.
 *
 * State: `pending` holds the tokens for the next step; it is null while a call is in flight or due, and after the end.
 * A course may leave the cache at any token (`park`) and join again; one that left can be rebuilt from its `state`, which is its
 * ledger and its calls: everything else follows from the tokens.
 */
import type { SampleSeed } from '../model/engine.ts';
import type { ParseEvent, TurnParser } from '../text/formats/format.ts';
import type { ToolResult } from '../tools/tool.ts';
import { callId, programSeed, trajectoryName } from './call-names.ts';
import { Ledger, Origin } from './ledger.ts';
import type { RolloutOptions, RolloutPrompt } from './options.ts';
import { shownOutput } from './shorten.ts';
import type { CallRecord, Trajectory, TrajectoryEnd } from './trajectory.ts';

/** What a course needs of a rollout's options, and what only drive.ts knows to do. */
export interface CourseOptions
  extends Omit<RolloutOptions, 'cache' | 'concurrency' | 'signal' | 'onProgress'> {
  /** Attempts at a call that the tool itself fails, default 1: further ones are made when the course joins again. */
  readonly callAttempts?: number;
  /** Says instead of the clock whether a trajectory's time is up (a replay follows the record); `length`: its tokens so far. */
  readonly timeIsUp?: (seed: SampleSeed, length: number) => boolean;
}

/** What a course is rebuilt from. */
export interface CourseState {
  readonly ledger: Ledger;
  readonly calls: readonly CallRecord[];
  /** Wall clock it has used. */
  readonly seconds: number;
  /** Attempts at the call that is due which the tool itself failed. */
  readonly failures: number;
}

export interface Course {
  readonly options: CourseOptions;
  readonly prompt: RolloutPrompt;
  /** Its sequence of the cache; -1 while it is in none. */
  readonly seq: number;
  /** Every token so far; grows while the course runs. */
  readonly ledger: Ledger;
  readonly seed: SampleSeed;
  readonly pending: Int32Array | null;
  readonly ended: boolean;
  /** Tokens sampled since it was made or rebuilt. */
  readonly sampled: number;
  /** Calls that were answered, in order. */
  readonly calls: readonly CallRecord[];
  /** A call is in flight. */
  readonly calling: boolean;
  /** The tool itself failed the call that is due so many times; it is made again when the course joins. */
  readonly failures: number;
  /** Settles (never rejects) when the call in flight is over; already settled when there is none. */
  readonly toolDone: Promise<void>;
  /** What went wrong outside the model and its tool (our own fault): the rollout throws it. */
  readonly failure: unknown;
  /** Take the token sampled in the last step. */
  accept(token: number, logprob: number): void;
  /** Cancel a call in flight; `toolDone` settles when the tool has let go of it. */
  cancel(): void;
  /** It left the cache: its clock stands still. TypeError while a call is in flight. */
  park(): void;
  /** It is in sequence `seq`, which holds every token but the last: go on, or make the call that is due. */
  join(seq: number): void;
  state(): CourseState;
  finish(): Trajectory;
}

/** What is known of a call before its result. */
type MadeCall = Pick<CallRecord, 'turn' | 'code' | 'dropped' | 'repeated'>;

/** setTimeout takes no longer waits. */
const kLongestTimer = 2 ** 31 - 1;

/**
 * A course in sequence `seq`, which holds the prompt but its last token; with -1 it is in no cache and must join one first.
 * `from` rebuilds one that was parked. RangeError when it does not lead where it says: other prompt, format or tokenizer.
 */
export function createCourse(
  options: CourseOptions,
  prompt: RolloutPrompt,
  sample: number,
  seq: number,
  from?: CourseState,
): Course {
  const { tokenizer, format, limits, toolLimits, tool, model } = options;
  const seed: SampleSeed = { runSeed: options.runSeed, step: options.step, prompt: prompt.prompt, sample };
  const trajectory = trajectoryName(prompt.question.id, seed);
  const canceller = new AbortController();
  const ledger = new Ledger();
  ledger.appendPrompt(prompt.ids);
  const calls: CallRecord[] = [];
  const codes = new Set<string>();
  const texts: string[] = [];
  const turnStops = new Set(tokenizer.eosIds);

  let place = seq;
  /** Seconds used before `since`, from when the clock runs (null: it stands still). */
  let used = from?.seconds ?? 0;
  let since: number | null = seq < 0 ? null : performance.now();
  let pending: Int32Array | null = prompt.ids.subarray(prompt.ids.length - 1);
  let ended = false;
  let end: TrajectoryEnd = 'no_answer';
  let reason: string | null = null;
  let sampled = 0;
  let turn = 0;
  let turnTokens = 0;
  let parser: TurnParser = format.parser();
  let stream = tokenizer.stream();
  let turnText = '';
  let due: MadeCall | null = null;
  let failures = from?.failures ?? 0;
  let calling = false;
  let toolDone: Promise<void> = Promise.resolve();
  let failure: unknown = null;
  if (from !== undefined) rebuild(from);

  return {
    options,
    prompt,
    ledger,
    seed,
    calls,
    get seq() {
      return place;
    },
    get pending() {
      return pending;
    },
    get ended() {
      return ended;
    },
    get sampled() {
      return sampled;
    },
    get calling() {
      return calling;
    },
    get failures() {
      return failures;
    },
    get toolDone() {
      return toolDone;
    },
    get failure() {
      return failure;
    },
    accept,
    cancel() {
      canceller.abort(new Error('the rollout was abandoned'));
      endSession();
    },
    park() {
      if (calling) throw new TypeError('a course cannot leave the cache while its call is in flight');
      stopClock();
      place = -1;
    },
    join(where) {
      place = where;
      since = performance.now();
      if (ended) return;
      if (due === null) pending = ledger.ids.slice(-1);
      else makeCall(due);
    },
    state: () => ({ ledger, calls, seconds: elapsed(), failures }),
    finish: () => ({
      question: prompt.question,
      started: options.step,
      prompt: prompt.prompt,
      sample,
      ledger,
      calls,
      turns: turn + 1,
      end,
      reason,
      answer: end === 'answer' ? format.answer(texts.join('\n')) : null,
      text: texts.join('\n'),
      seconds: elapsed(),
    }),
  };

  function elapsed(): number {
    return used + (since === null ? 0 : (performance.now() - since) / 1000);
  }

  function endSession(): void {
    if (toolLimits.sessions === true) tool?.endSession?.(trajectory);
  }

  function stopClock(): void {
    used = elapsed();
    since = null;
  }

  /** Whether the trajectory's time is up, or will be within `margin` seconds. */
  function late(margin = 0): boolean {
    if (options.timeIsUp !== undefined) return options.timeIsUp(seed, ledger.length);
    return limits.seconds > 0 && elapsed() > limits.seconds - margin;
  }

  function accept(token: number, logprob: number): void {
    sampled += 1;
    ledger.appendPolicy(token, logprob, turn, model.version);
    const event = read(token);
    if (event !== null) return onEvent(event);
    const [firstLimit, laterLimit] = limits.turnTokens;
    if (turnTokens >= (turn === 0 ? firstLimit : laterLimit)) return cut('turn_length');
    if (ledger.length >= limits.totalTokens) return cut('total_length');
    if (late()) return stop('time_limit', null);
    pending = Int32Array.of(token);
  }

  /** Takes a token of the policy into the turn; an event ends the turn. */
  function read(token: number): ParseEvent | null {
    turnTokens += 1;
    const ends = turnStops.has(token);
    const text = ends ? stream.flush() : stream.push(token);
    turnText += text;
    const event = text === '' ? null : parser.push(text);
    return event === null && ends ? parser.end('eos') : event;
  }

  function nextTurn(): void {
    texts.push(turnText);
    turnText = '';
    turn += 1;
    turnTokens = 0;
    parser = format.parser();
    stream = tokenizer.stream();
  }

  /** A token limit fell; a call that was being written is not run. */
  function cut(limit: 'turn_length' | 'total_length'): void {
    const { kind } = parser.end('length');
    stop(limit, kind === 'truncated' ? 'the limit fell inside a call' : null);
  }

  function onEvent(event: ParseEvent): void {
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
        return call(event.code, event.repeated);
    }
  }

  function call(code: string, dropped: number): void {
    if (tool === null || calls.length >= limits.maxCalls) return stop('max_calls', null);
    if (turn + 1 >= limits.maxTurns) return stop('max_turns', null);
    pending = null;
    due = { turn, code, dropped, repeated: codes.has(code) };
    codes.add(code);
    makeCall(due);
  }

  function makeCall(made: MadeCall): void {
    const calledAt = performance.now();
    const left = Math.min(1000 * (limits.seconds - elapsed()), kLongestTimer);
    const timer = limits.seconds > 0 ? setTimeout(() => canceller.abort(), Math.max(0, left)) : undefined;
    const { seconds, wallSeconds, memoryBytes, outputBytes, fileBytes, sessions } = toolLimits;
    const id = callId(prompt.question.id, seed, calls.length);
    calling = true;
    toolDone = tool!
      .run(
        {
          ...{ callId: id, code: made.code, seconds, memoryBytes, outputBytes, fileBytes, trajectory },
          seed: programSeed(seed, calls.length),
          ...(wallSeconds === undefined ? {} : { wallSeconds }),
          ...(sessions === true ? { session: trajectory } : {}),
        },
        canceller.signal,
      )
      .then(
        (result) => {
          calling = false;
          onResult(result, made);
        },
        (error: unknown) => {
          calling = false;
          const took = (performance.now() - calledAt) / 1000;
          const message = error instanceof Error ? error.message : String(error);
          // The trajectory's time ran out while its program ran: the program's fault as much as a timeout is.
          if (!late(0.002)) return onToolFailure(made, took, message, message);
          calls.push({ ...made, status: 'timeout', output: null, seconds: took, error: message, failures });
          stop('time_limit', null);
        },
      )
      .catch((error: unknown) => {
        failure = error;
        stop('infrastructure', null);
      })
      .finally(() => clearTimeout(timer));
  }

  /** The tool itself failed. The call stays due while attempts are left, so that nothing that was written is lost. */
  function onToolFailure(made: MadeCall, seconds: number, error: string | null, why: string): void {
    if (failures + 1 < (options.callAttempts ?? 1)) {
      failures += 1;
      return;
    }
    calls.push({ ...made, status: 'infrastructure_error', output: null, seconds, error, failures });
    stop('infrastructure', why);
  }

  function onResult(result: ToolResult, made: MadeCall): void {
    if (typeof result?.output !== 'string' || typeof result.status !== 'string') {
      throw new TypeError(
        `rollout: expected the tool to give a result with a status and an output, found ${JSON.stringify(result)}`,
      );
    }
    const { status, seconds, error = null } = result;
    if (status === 'infrastructure_error') {
      return onToolFailure(made, seconds, error, error ?? 'the tool gave no reason');
    }
    const record = { ...made, status, seconds, error, failures };
    const output = shownOutput(result.output, toolLimits, tokenizer);
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
    const before = ledger.length;
    for (const { origin, ids } of segments) {
      if (origin === 'tool') ledger.appendTool(ids, made.turn, callIndex);
      else ledger.appendTemplate(ids, made.turn);
    }
    due = null;
    failures = 0;
    nextTurn();
    if (late()) return stop('time_limit', null);
    pending = ledger.ids.slice(before - 1);
  }

  /** Reads the tokens of a parked course again, up to where it stood; no token is sampled and no call is made. */
  function rebuild({ ledger: past, calls: answered }: CourseState): void {
    const { ids, origins, turns, calls: callOf, logprobs, versions, length } = past;
    const wrong = (t: number, why: string) =>
      new RangeError(`parked sample ${sample} of question ${prompt.question.id}, token ${t}: ${why}`);
    const start = prompt.ids.length;
    for (let t = 0; t < start; t++) {
      if (ids[t] !== prompt.ids[t]) throw wrong(t, `expected the prompt's ${prompt.ids[t]}, found ${ids[t]}`);
    }
    for (let t = start; t < length; ) {
      if (origins[t] !== Origin.policy) throw wrong(t, 'expected a token that the policy wrote');
      ledger.appendPolicy(ids[t]!, logprobs[t]!, turn, versions[t]!);
      const event = read(ids[t]!);
      t += 1;
      if (event === null) continue;
      if (event.kind !== 'call')
        throw wrong(t - 1, `the turn ends in ${event.kind}; expected a course under way`);
      const made = { turn, code: event.code, dropped: event.repeated, repeated: codes.has(event.code) };
      codes.add(event.code);
      const record = answered[calls.length];
      if (record === undefined && t === length) {
        due = made;
        pending = null;
        return;
      }
      if (record?.code !== event.code) throw wrong(t - 1, 'the call that ends here is not among its calls');
      calls.push(record);
      for (; t < length && origins[t] !== Origin.policy; t++) {
        if (origins[t] === Origin.tool) ledger.appendTool(ids.subarray(t, t + 1), turns[t]!, callOf[t]!);
        else ledger.appendTemplate(ids.subarray(t, t + 1), turns[t]!);
      }
      nextTurn();
    }
    if (calls.length !== answered.length) throw wrong(length, 'expected the output of another call');
  }

  function stop(how: TrajectoryEnd, why: string | null): void {
    if (turnText !== '') texts.push(turnText);
    turnText = '';
    pending = null;
    due = null;
    ended = true;
    end = how;
    reason = why;
    stopClock();
    endSession();
  }
}
