/**
 * Recorded trajectories (lines of rollouts/*.jsonl) read back, and compared with what a replay made of them: token by token, then
 * everything else. A comparison gives the first difference.
 */
import { ToolgradError } from '../errors.ts';
import { Ledger, Origin } from '../rollout/ledger.ts';
import type { CallRecord, Trajectory, TrajectoryEnd } from '../rollout/trajectory.ts';
import type { Question } from '../tasks/task.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

export interface Recorded {
  /** The step of all phases in whose file it is. */
  readonly step: number;
  readonly json: Readonly<Record<string, unknown>>;
  readonly trajectory: Trajectory;
}

/** Where a replay and the record part. */
export interface Difference {
  /** Steps of all phases, this one included. */
  readonly step: number;
  readonly trajectory: { readonly question: string; readonly prompt: number; readonly sample: number } | null;
  /** Index in the trajectory's ledger, prompt included. */
  readonly token: number | null;
  /** What differs: a column of the ledger, a field of a record, a file. */
  readonly what: string;
  readonly recorded: string;
  readonly replayed: string;
}

/** What a token comparison found. */
export type TokenDifference = Pick<Difference, 'token' | 'what' | 'recorded' | 'replayed'>;

/** Reads a line of rollouts/<step>.jsonl. ERR_RUN_FILE when it is not one. */
export function readRecorded(
  json: Record<string, unknown>,
  step: number,
  place: string,
  tokenizer: Tokenizer,
): Recorded {
  try {
    const numbers = ['prompt', 'sample', 'started', 'turns', 'seconds'] as const;
    for (const name of numbers) {
      if (typeof json[name] !== 'number')
        throw new TypeError(`expected a number for ${name}, found ${JSON.stringify(json[name])}`);
    }
    const [prompt, sample, started, turns, seconds] = numbers.map((name) => json[name] as number);
    const ledger = Ledger.fromJSON(json.ledger);
    const trajectory: Trajectory = {
      question: json.question as Question,
      started: started!,
      prompt: prompt!,
      sample: sample!,
      ledger,
      calls: json.calls as CallRecord[],
      turns: turns!,
      end: json.end as TrajectoryEnd,
      reason: json.reason as string | null,
      answer: json.answer as string | null,
      text: policyText(ledger, tokenizer),
      seconds: seconds!,
    };
    return { step, json, trajectory };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ToolgradError('ERR_RUN_FILE', `${place}: expected a recorded trajectory: ${why}`, { cause });
  }
}

/** What the policy wrote as a course reports it: turns joined by newlines, without the tokens that end them. */
function policyText(ledger: Ledger, tokenizer: Tokenizer): string {
  const { ids, origins, turns, length } = ledger;
  const texts: string[] = [];
  for (let start = 0; start < length; ) {
    let end = start + 1;
    while (end < length && origins[end] === origins[start] && turns[end] === turns[start]) end += 1;
    const last = tokenizer.eosIds.includes(ids[end - 1]!) ? end - 1 : end;
    if (origins[start] === Origin.policy) texts.push(tokenizer.decode(ids.subarray(start, last)));
    start = end;
  }
  if (texts.at(-1) === '') texts.pop();
  return texts.join('\n');
}

const kColumns = ['ids', 'origins', 'turns', 'calls', 'versions'] as const;
const kNames = { ids: 'id', origins: 'origin', turns: 'turn', calls: 'call', versions: 'version' };

/** The first token from `from` to `to` - 1 whose id, origin, turn, call or version differs; null when all are the same. */
export function compareTokens(
  recorded: Ledger,
  replayed: Ledger,
  from: number,
  to: number,
  tokenizer: Tokenizer,
): TokenDifference | null {
  const columns = kColumns.map((name) => ({ name, recorded: recorded[name], replayed: replayed[name] }));
  const show = (name: string, value: number | undefined) =>
    value === undefined
      ? 'no token'
      : name === 'ids'
        ? `${value} ${JSON.stringify(tokenizer.decode([value]))}`
        : String(value);
  for (let t = from; t < to; t++) {
    for (const column of columns) {
      if (column.recorded[t] === column.replayed[t]) continue;
      return {
        token: t,
        what: kNames[column.name],
        recorded: show(column.name, column.recorded[t]),
        replayed: show(column.name, column.replayed[t]),
      };
    }
  }
  return null;
}

/** The first token whose log-prob is not the same float32. */
export function compareLogprobs(
  recorded: Ledger,
  replayed: Ledger,
  from: number,
  to: number,
): TokenDifference | null {
  const [before, now] = [recorded.logprobs, replayed.logprobs];
  for (let t = from; t < to; t++) {
    if (before[t] === now[t]) continue;
    return { token: t, what: 'logprob', recorded: String(before[t]), replayed: String(now[t]) };
  }
  return null;
}

/**
 * The first value in which two JSON values differ, by its path; null when there is none. Keys for which `skip` is true are left
 * out, at every depth.
 */
export function compareJson(
  recorded: unknown,
  replayed: unknown,
  skip: (key: string) => boolean,
  path = '',
): Pick<Difference, 'what' | 'recorded' | 'replayed'> | null {
  const bothObjects = [recorded, replayed].every((value) => typeof value === 'object' && value !== null);
  if (!bothObjects || Array.isArray(recorded) !== Array.isArray(replayed)) {
    if (Object.is(recorded, replayed)) return null;
    return {
      what: path,
      recorded: JSON.stringify(recorded) ?? 'nothing',
      replayed: JSON.stringify(replayed) ?? 'nothing',
    };
  }
  const [before, now] = [recorded, replayed] as Record<string, unknown>[];
  for (const key of new Set([...Object.keys(before!), ...Object.keys(now!)])) {
    if (skip(key)) continue;
    const found = compareJson(before![key], now![key], skip, path === '' ? key : `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}
