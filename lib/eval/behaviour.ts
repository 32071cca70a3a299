/**
 * How a model uses its tool, from the records of rollouts/*.jsonl and eval/*.jsonl: ReTool's metrics (its section on cognitive
 * analysis, as far as its text defines them) and R1-Code-Interpreter's histogram of calls and error rates.
 *
 * Attempts lost to a failure of the tool are left out of everything. A share over nothing is null, never 0. Every definition
 * is in docs/evaluation.md.
 */

import { checksEarlier, type Purpose, purposeOf, purposes } from './purposes.ts';
import { mean } from './statistics.ts';

/** What is read of a record. */
export interface BehaviourRecord {
  readonly end: string;
  readonly correct: boolean;
  readonly turns: number;
  readonly seconds: number;
  readonly segments: readonly { readonly origin: string; readonly text: string }[];
  readonly calls: readonly {
    readonly code: string;
    readonly status: string;
    readonly output: string | null;
    readonly seconds: number;
  }[];
  readonly ledger: { readonly origin: readonly number[] };
  /** Of the agent `steer`: what the solver wrote in each turn. */
  readonly steering?: readonly { readonly tokens: number; readonly text: string }[];
}

export interface Behaviour {
  readonly attempts: number;
  /** Mean tokens that the model wrote, and with the tool's output. */
  readonly response_tokens: number;
  readonly response_tokens_with_tool: number;
  /** Share of responses with a program that was run. */
  readonly code_ratio: number;
  /** Mean lines of code of a response, over all responses; blank lines do not count. */
  readonly code_lines: number;
  /** Programs that ended with status ok, in all. */
  readonly passing_programs: number;
  /** Share of responses whose last program passed, of those with programs. */
  readonly last_pass_rate: { readonly right: number | null; readonly wrong: number | null };
  /** Mean position of the first program in its response: 0 at the beginning, 1 at the end. */
  readonly first_call_at: number | null;
  /** Programs by purpose. */
  readonly purposes: Readonly<Record<Purpose, number>>;
  /** Failed programs that a changed program followed which passed; and the share of responses with such a case. */
  readonly self_corrections: number;
  readonly self_correction_rate: number;
  /** Calls that check an earlier result; and the share of responses with such a call. */
  readonly self_checks: number;
  readonly self_check_rate: number;
  /** Responses by number of calls, from 0. */
  readonly call_histogram: readonly number[];
  readonly turns: number;
  /** Shares of calls. */
  readonly error_rate: number | null;
  readonly timeout_rate: number | null;
  /** Mean seconds of a response in its programs, and outside of them. */
  readonly tool_seconds: number;
  readonly generation_seconds: number;
}

/** What a judge said, by response and call; instead of the rules. */
export interface Judgements {
  purpose(record: number, call: number): Purpose;
  selfCheck(record: number, call: number): boolean;
}

/** The metrics of a list of records. RangeError when there is none that counts. */
export function measureBehaviour(records: readonly BehaviourRecord[], judged?: Judgements): Behaviour {
  const kept = records
    .map((record, index) => ({ record, index }))
    .filter(({ record }) => record.end !== 'infrastructure');
  if (kept.length === 0) throw new RangeError('behaviour: expected at least one attempt, found none');
  const average = (value: (record: BehaviourRecord) => number) =>
    mean(kept.map(({ record }) => value(record)));
  const counts = Object.fromEntries(purposes.map((name) => [name, 0])) as Record<Purpose, number>;
  const histogram: number[] = [];
  let corrections = 0;
  let corrected = 0;
  let checks = 0;
  let checked = 0;
  for (const { record, index } of kept) {
    const { calls } = record;
    while (histogram.length <= calls.length) histogram.push(0);
    histogram[calls.length]! += 1;
    for (const [c, call] of calls.entries()) {
      counts[judged?.purpose(index, c) ?? purposeOf(call.code)] += 1;
    }
    const repaired = selfCorrections(calls);
    corrections += repaired;
    if (repaired > 0) corrected += 1;
    const checking = calls.filter((_, c) => judged?.selfCheck(index, c) ?? checksEarlier(calls, c)).length;
    checks += checking;
    if (checking > 0) checked += 1;
  }
  const calls = kept.flatMap(({ record }) => record.calls);
  const share = (status: (status: string) => boolean) =>
    calls.length === 0 ? null : calls.filter((call) => status(call.status)).length / calls.length;
  const lastPassed = (right: boolean) => {
    const withCode = kept.filter(({ record }) => record.correct === right && record.calls.length > 0);
    return withCode.length === 0
      ? null
      : mean(withCode.map(({ record }) => (record.calls.at(-1)!.status === 'ok' ? 1 : 0)));
  };
  const positions = kept.flatMap(({ record }) => firstCallAt(record) ?? []);
  return {
    attempts: kept.length,
    response_tokens: average((record) => policyTokens(record)),
    response_tokens_with_tool: average(
      (record) => policyTokens(record) + tokensOf(record, 2) + tokensOf(record, 3),
    ),
    code_ratio: average((record) => (record.calls.length > 0 ? 1 : 0)),
    code_lines: average((record) => record.calls.reduce((sum, { code }) => sum + codeLines(code), 0)),
    passing_programs: calls.filter(({ status }) => status === 'ok').length,
    last_pass_rate: { right: lastPassed(true), wrong: lastPassed(false) },
    first_call_at: positions.length === 0 ? null : mean(positions),
    purposes: counts,
    self_corrections: corrections,
    self_correction_rate: corrected / kept.length,
    self_checks: checks,
    self_check_rate: checked / kept.length,
    call_histogram: histogram,
    turns: average(({ turns }) => turns),
    error_rate: share((status) => status !== 'ok'),
    timeout_rate: share((status) => status === 'timeout'),
    tool_seconds: average((record) => toolSeconds(record)),
    generation_seconds: average((record) => Math.max(0, record.seconds - toolSeconds(record))),
  };
}

/** Failed programs that are followed by another one which differs and passes: each pair of neighbours is one case. */
export function selfCorrections(
  calls: readonly { readonly code: string; readonly status: string }[],
): number {
  return calls.filter((call, i) => {
    const next = calls[i + 1];
    return call.status !== 'ok' && next?.status === 'ok' && next.code !== call.code;
  }).length;
}

/**
 * Where the first program begins, as a share of the response's characters (tool output included); null without a program, or
 * when it cannot be found in the text.
 */
export function firstCallAt(record: BehaviourRecord): number | null {
  const [first] = record.calls;
  if (first === undefined) return null;
  const response =
    record.steering?.map(({ text }) => text).join('\n') ??
    record.segments
      .filter(({ origin }) => origin !== 'prompt')
      .map(({ text }) => text)
      .join('');
  // In a function call the program is a JSON text.
  for (const spelled of [first.code, JSON.stringify(first.code).slice(1, -1)]) {
    const at = response.indexOf(spelled);
    if (at >= 0) return at / response.length;
  }
  return null;
}

/** Lines of a program that hold anything. */
export function codeLines(code: string): number {
  return code.split('\n').filter((line) => line.trim() !== '').length;
}

function policyTokens(record: BehaviourRecord): number {
  return record.steering?.reduce((sum, { tokens }) => sum + tokens, 0) ?? tokensOf(record, 1);
}

/** Tokens of one origin (as in ledger.origin's runs). */
function tokensOf({ ledger }: BehaviourRecord, origin: number): number {
  let count = 0;
  for (let i = 0; i + 1 < ledger.origin.length; i += 2) {
    if (ledger.origin[i] === origin) count += ledger.origin[i + 1]!;
  }
  return count;
}

function toolSeconds(record: BehaviourRecord): number {
  return record.calls.reduce((sum, call) => sum + call.seconds, 0);
}
