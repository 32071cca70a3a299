/** All Code's half of an attempt: the prompt that asks for one program, and the one run of it. */
import { shownOutput } from '../rollout/shorten.ts';
import type { CallRecord, Trajectory } from '../rollout/trajectory.ts';
import type { ChatMessage } from '../text/chat.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import { codeInterpreterSchema, toolSystemMessage } from '../text/formats/hermes.ts';
import type { AgentContext } from './attempt.ts';

/** How a program is written in a format, for prompts. */
export function programSyntax(format: ToolFormat): string {
  switch (format.name) {
    case 'r1ci':
      return 'Open the program with ```python and close it with ```.';
    case 'retool':
      return 'Write the program between <code> and </code>, inside a fence that opens with ```python.';
    case 'hermes':
      return 'Pass the program to the code_interpreter function.';
  }
}

/** The prompt of All Code (reconstruction). */
export function codeMessages(
  format: ToolFormat,
  question: string,
  instruction: string | null,
): ChatMessage[] {
  const head =
    instruction ??
    'Answer the question below with a program. Think about how to compute the answer first, then write exactly one complete ' +
      `Python program whose printed output is the final answer and nothing else. ${programSyntax(format)} ` +
      'Stop when the program is written: it is run once, and what it prints is taken as your answer.\n\nQuestion: ';
  const user: ChatMessage = { role: 'user', content: head + question };
  if (format.name !== 'hermes') return [user];
  return [
    {
      role: 'system',
      content: toolSystemMessage('You solve problems by writing one program.', [codeInterpreterSchema]),
    },
    user,
  ];
}

/**
 * Runs the program that a trajectory (sampled without a tool) ended with; what it prints is the answer. The format's answer
 * markers may be printed too. The output is not part of the ledger, because the model never saw it.
 */
export async function runOnce(
  trajectory: Trajectory,
  context: AgentContext,
  signal: AbortSignal | undefined,
): Promise<Trajectory> {
  const { tool, format, toolLimits, tokenizer } = context.rollout;
  if (tool === null) throw new TypeError('the agent code needs a tool: it runs a program');
  const parser = format.parser();
  const event = trajectory.end === 'max_calls' ? (parser.push(trajectory.text) ?? parser.end('eos')) : null;
  if (event?.kind !== 'call') {
    // An answer in words is no program; a limit or a malformed call ended the attempt as it is.
    const none = trajectory.end === 'answer' || trajectory.end === 'no_answer';
    return none
      ? { ...trajectory, end: 'no_answer', reason: 'no program was written', answer: null }
      : { ...trajectory, answer: null };
  }
  const { seconds, wallSeconds, memoryBytes, outputBytes, fileBytes } = toolLimits;
  const callId = `${trajectory.question.id}/${trajectory.sample}/program`;
  const result = await tool.run(
    {
      ...{ callId, code: event.code, seconds, memoryBytes, outputBytes, fileBytes },
      ...(wallSeconds === undefined ? {} : { wallSeconds }),
    },
    signal,
  );
  const call: CallRecord = {
    turn: trajectory.turns - 1,
    code: event.code,
    status: result.status,
    output: shownOutput(result.output, toolLimits, tokenizer),
    seconds: result.seconds,
    dropped: event.repeated,
    repeated: false,
    failures: 0,
    error: result.error ?? null,
  };
  const calls = [...trajectory.calls, call];
  if (result.status === 'infrastructure_error') {
    const reason = result.error ?? 'the tool gave no reason';
    return { ...trajectory, calls, end: 'infrastructure', reason, answer: null };
  }
  const printed = result.stdout.trim();
  if (result.status !== 'ok' || printed === '') {
    const reason = result.status === 'ok' ? 'the program printed nothing' : `the program: ${result.status}`;
    return { ...trajectory, calls, end: 'no_answer', reason, answer: null };
  }
  return { ...trajectory, calls, end: 'answer', reason: null, answer: format.answer(printed) ?? printed };
}
