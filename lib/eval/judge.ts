/**
 * A language model behind an endpoint as the judge of what programs are for and whether they check an earlier result, as ReTool
 * did it, instead of the rules of purposes.ts. Verdicts on answers never come from here. A reply that cannot be read falls back
 * to the rules and is counted, so that a judge that does not understand the question shows.
 */

import { shorten } from '../rollout/shorten.ts';
import type { ChatMessage } from '../text/chat.ts';
import { lastEnclosed } from '../text/formats/format.ts';
import type { BehaviourRecord, Judgements } from './behaviour.ts';
import type { ChatEndpoint } from './endpoint.ts';
import { checksEarlier, type Purpose, purposeOf, purposes } from './purposes.ts';

/** Judgements, with how many programs were judged and for how many the rules stood in. */
export interface JudgedCalls extends Judgements {
  readonly judged: number;
  readonly unreadable: number;
}

const kCharacters = 3000;

/** Ask about every program of the records. */
export async function judgeCalls(
  records: readonly BehaviourRecord[],
  endpoint: ChatEndpoint,
  signal?: AbortSignal,
): Promise<JudgedCalls> {
  const places = records.flatMap(({ calls }, record) => calls.map((_, call) => ({ record, call })));
  const replies = await endpoint.complete(
    places.map(({ record, call }) => judgeMessages(records[record]!, call)),
    signal,
  );
  const read = new Map<string, { purpose: Purpose; checks: boolean }>();
  let unreadable = 0;
  for (const [i, { record, call }] of places.entries()) {
    const { calls } = records[record]!;
    const found = readJudgement(replies[i]!);
    if (found === null) unreadable += 1;
    const rule = () => ({ purpose: purposeOf(calls[call]!.code), checks: checksEarlier(calls, call) });
    read.set(`${record}/${call}`, found ?? rule());
  }
  return {
    judged: places.length,
    unreadable,
    purpose: (record, call) => read.get(`${record}/${call}`)!.purpose,
    // The first program of a response has nothing to check.
    selfCheck: (record, call) => call > 0 && read.get(`${record}/${call}`)!.checks,
  };
}

function judgeMessages({ segments, calls }: BehaviourRecord, index: number): ChatMessage[] {
  const question = segments.find(({ origin }) => origin === 'prompt')?.text ?? '';
  const before = calls
    .slice(0, index)
    .map(
      ({ code, output }, i) =>
        `Program ${i + 1}:\n${shorten(code, kCharacters)}\nIts output:\n${output ?? ''}\n`,
    );
  const content = [
    'Below are a question and the programs that a solver ran for it. Say two things about the LAST program.',
    `1. Its purpose, one of: ${purposes.join(', ')}.`,
    '2. Whether it checks a result that an earlier program or the reasoning already had (yes) or works out something new (no).',
    'End with one line of the form <<<purpose; yes>>> or <<<purpose; no>>>.',
    '',
    `Question:\n${shorten(question, kCharacters)}`,
    ...before,
    `Last program:\n${shorten(calls[index]!.code, kCharacters)}`,
  ].join('\n');
  return [{ role: 'user', content }];
}

function readJudgement(reply: string): { purpose: Purpose; checks: boolean } | null {
  const [name = '', checks = ''] = (lastEnclosed(reply, '<<<', '>>>') ?? '').toLowerCase().split(';');
  const purpose = purposes.find((known) => known === name.trim());
  const yes = checks.trim() === 'yes';
  return purpose === undefined || !(yes || checks.trim() === 'no') ? null : { purpose, checks: yes };
}
