/**
 * One attempt: a teacher answers a question turn by turn, with real programs run in between, or rewrites a solution whose
 * programs are then run. What it came to is a function of the recorded replies and outputs alone.
 */
import { createHash } from 'node:crypto';
import { shorten } from '../rollout/shorten.ts';
import type { Question, Verdict } from '../tasks/task.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import type { Tool, ToolStatus } from '../tools/tool.ts';
import type { TraceTurn } from '../train/traces.ts';
import type { StyleName, Synthesis } from './config.ts';
import type { Progress, RunOutput } from './progress.ts';
import { judgeMessages, readVerdict, rewriteMessages, styledMessages } from './prompts.ts';
import { type Reply, type Teacher, TeacherFailure, type TurnRequest } from './teacher.ts';
import { markupProblem, readTurn, splitRewritten } from './turns.ts';

/** Why an attempt is not kept. The last two are decided when all attempts are there. */
export const dropReasons = [
  'wrong_answer',
  'no_answer',
  'malformed',
  'truncated',
  'too_many_calls',
  'execution_failed',
  'infrastructure',
  'judged_invalid',
  'no_code',
  'duplicate',
  'over_cap',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** What is to be attempted. */
export interface AttemptPlan {
  /** Names it in the progress file. */
  readonly id: string;
  readonly question: Question;
  readonly style: StyleName | 'rewrite';
  /** The text solution, for a rewriting. */
  readonly solution?: string;
}

/** What an attempt came to. */
export interface Attempt {
  readonly plan: AttemptPlan;
  readonly turns: readonly TraceTurn[];
  readonly statuses: readonly ToolStatus[];
  /** null: its answer is right. */
  readonly dropped: DropReason | null;
  /** What was wrong, in words. */
  readonly detail: string | null;
  /** Claimed outputs that were not what the program printed (rewriting). */
  readonly replaced: number;
}

export interface AttemptContext {
  readonly settings: Synthesis;
  readonly format: ToolFormat;
  readonly teacher: Teacher;
  readonly judge: Teacher | null;
  readonly tool: Tool;
  readonly progress: Progress;
  verify(question: Question, answer: string | null): Verdict;
  readonly signal?: AbortSignal;
}

/** Ends an attempt from inside. */
class Dropped extends Error {
  readonly reason: DropReason;
  constructor(reason: DropReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/** Makes the attempt, or takes from the progress what was made of it before. Throws what ends the whole run. */
export async function makeAttempt(plan: AttemptPlan, context: AttemptContext): Promise<Attempt> {
  const turns: TraceTurn[] = [];
  const statuses: ToolStatus[] = [];
  const attempt = { plan, turns, statuses };
  let replaced = 0;
  try {
    if (plan.style === 'rewrite') replaced = await rewrite(plan, turns, statuses, context);
    else await answer(plan, plan.style, turns, statuses, context);
    judgeTrace(plan.question, turns, statuses, context);
    return { ...attempt, replaced, dropped: null, detail: null };
  } catch (error) {
    context.signal?.throwIfAborted();
    if (error instanceof Dropped)
      return { ...attempt, replaced, dropped: error.reason, detail: error.message };
    if (error instanceof TeacherFailure)
      return { ...attempt, replaced, dropped: 'infrastructure', detail: error.message };
    throw error;
  }
}

async function answer(
  plan: AttemptPlan,
  style: StyleName,
  turns: TraceTurn[],
  statuses: ToolStatus[],
  context: AttemptContext,
): Promise<void> {
  const { format, settings, teacher } = context;
  const messages = styledMessages(format, style, plan.question.prompt, settings.instruction);
  for (let turn = 0; ; turn++) {
    const reply = await ask(plan, plan.id, turn, teacher, { messages, turns, style }, context);
    const { text, event } = readTurn(format, reply.text, reply.finish);
    switch (event.kind) {
      case 'answer':
        turns.push({ text });
        return;
      case 'text':
        throw reply.finish === 'length'
          ? new Dropped('truncated', 'a turn reached its token limit')
          : new Dropped('no_answer', 'the teacher ended its turn with neither a call nor an answer');
      case 'malformed':
        throw new Dropped('malformed', event.reason);
      case 'truncated':
        throw new Dropped('truncated', 'the token limit fell inside a call');
      case 'call': {
        if (turn === settings.max_calls)
          throw new Dropped('too_many_calls', `a call beyond the ${settings.max_calls}`);
        const { status, output } = await execute(plan, turn, event.code, context);
        statuses.push(status);
        turns.push({ text, toolOutput: output });
      }
    }
  }
}

/** Returns how many claimed outputs were replaced by another text. */
async function rewrite(
  plan: AttemptPlan,
  turns: TraceTurn[],
  statuses: ToolStatus[],
  context: AttemptContext,
): Promise<number> {
  const { format, teacher, judge } = context;
  const { question, solution = '' } = plan;
  if (judge !== null) {
    const messages = judgeMessages(question.prompt, question.answer, solution);
    const { text } = await ask(
      plan,
      `judge/${question.id}`,
      0,
      judge,
      { messages, turns: [], style: null },
      context,
    );
    const verdict = readVerdict(text);
    if (verdict !== true) {
      throw new Dropped(
        'judged_invalid',
        verdict === null ? 'the judge gave no verdict' : 'the judge says INVALID',
      );
    }
  }
  const messages = rewriteMessages(format, question.prompt, solution);
  const reply = await ask(plan, plan.id, 0, teacher, { messages, turns: [], style: null }, context);
  if (reply.finish === 'length') throw new Dropped('truncated', 'the rewriting reached its token limit');
  const pieces = splitRewritten(format, reply.text);
  if (typeof pieces === 'string') throw new Dropped('malformed', pieces);
  if (pieces.calls.length === 0) throw new Dropped('no_code', 'nothing was replaced by a program');
  let replaced = 0;
  for (const [turn, { text, code, claimed }] of pieces.calls.entries()) {
    const { status, output } = await execute(plan, turn, code, context);
    statuses.push(status);
    if (status !== 'ok') throw new Dropped('execution_failed', `call ${turn + 1} ended with ${status}`);
    if (output.trim() !== claimed) replaced += 1;
    turns.push({ text, toolOutput: output });
  }
  const { text, event } = readTurn(format, pieces.final, 'stop');
  turns.push({ text });
  if (event.kind === 'malformed') throw new Dropped('malformed', event.reason);
  if (event.kind !== 'answer') throw new Dropped('no_answer', 'the rewriting ends without an answer');
  return replaced;
}

/** Throws Dropped unless programs, markup and answer are as they must be. */
function judgeTrace(
  question: Question,
  turns: readonly TraceTurn[],
  statuses: readonly ToolStatus[],
  { format, verify }: AttemptContext,
): void {
  const problem = markupProblem(format, turns);
  if (problem !== null) throw new Dropped('malformed', problem);
  const given = format.answer(turns.map(({ text }) => text).join('\n'));
  if (given === null) throw new Dropped('no_answer', 'no answer could be read');
  const { correct, reason } = verify(question, given);
  if (!correct) throw new Dropped('wrong_answer', reason);
  // A failure that a later program repairs is worth showing; one that nothing follows is not.
  const last = statuses.at(-1);
  if (last !== undefined && last !== 'ok')
    throw new Dropped('execution_failed', `the last call ended with ${last}`);
}

async function ask(
  { question }: AttemptPlan,
  id: string,
  turn: number,
  teacher: Teacher,
  request: Pick<TurnRequest, 'messages' | 'turns' | 'style'>,
  { progress, settings, signal }: AttemptContext,
): Promise<Reply> {
  const known = progress.reply(id, turn);
  if (known !== undefined) return known;
  signal?.throwIfAborted();
  const seed = createHash('sha256').update(`${settings.seed}\n${id}\n${turn}`).digest().readUInt32BE(0) >>> 1;
  const { text, finish } = await teacher.ask({ ...request, question, seed }, signal);
  const reply = { text, finish };
  progress.addReply(id, turn, reply);
  return reply;
}

async function execute(
  { id }: AttemptPlan,
  turn: number,
  code: string,
  { progress, settings, tool, signal }: AttemptContext,
): Promise<RunOutput> {
  const known = progress.output(id, turn);
  if (known !== undefined) return known;
  const { seconds, memory_mb: memory, output_characters: characters } = settings.tool;
  const result = await tool.run(
    {
      callId: `${id}/${turn}`,
      code,
      seconds,
      memoryBytes: memory * 2 ** 20,
      outputBytes: 2 ** 20,
      fileBytes: 2 ** 24,
    },
    signal,
  );
  if (result.status === 'infrastructure_error') {
    throw new Dropped('infrastructure', `the tool failed: ${result.error ?? 'no reason given'}`);
  }
  const output = { status: result.status, output: shorten(result.output, characters) };
  progress.addOutput(id, turn, output);
  return output;
}
