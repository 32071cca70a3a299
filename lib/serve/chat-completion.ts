/**
 * One chat request: from its messages to a prompt, through the completions, to the objects of OpenAI's API. Streaming and not
 * differ only in who gets the pieces.
 */
import { randomBytes } from 'node:crypto';
import { errorMessage, ToolgradError } from '../errors.ts';
import { type ChatMessage, chatmlTemplate, plainTemplate, renderPrompt } from '../text/chat.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { ApiError, badField } from './api-error.ts';
import type { Completion, Completions } from './completions.ts';
import type { ChatRequest } from './request.ts';
import {
  type CallEvent,
  type CallReader,
  callReader,
  type FunctionCall,
  withoutToolRoles,
} from './tool-calls.ts';
import type { Piece, SaidToken } from './transcript.ts';

/** How messages become a prompt, and what the model's answers are. */
export interface ChatSettings {
  /** The model's name in the API. */
  readonly name: string;
  readonly tokenizer: Tokenizer;
  /** With the tool loop: the format, whose instruction is put before the first question. */
  readonly loopFormat: ToolFormat | null;
  /** Replaces that instruction; null = the format's own. */
  readonly instruction: string | null;
  readonly template: 'model' | 'chatml';
  /** Tokens of an answer when the request names none. */
  readonly defaultTokens: number;
}

/** A chunk's `choices[i].delta`. */
interface Delta {
  role?: 'assistant';
  content?: string;
  tool_calls?: readonly object[];
}

/** An answer as it is put together. */
interface Answer {
  text: string;
  readonly calls: { readonly id: string; readonly call: FunctionCall }[];
  readonly tokens: SaidToken[];
  readonly reader: CallReader | null;
}

/**
 * Answers `request`. With `request.stream` every chunk goes to `onChunk` and the result is null; else the result is the whole
 * completion. Throws ApiError for requests that cannot be answered.
 */
export async function chatCompletion(
  request: ChatRequest,
  settings: ChatSettings,
  completions: Completions,
  onChunk: (chunk: object) => void,
  signal?: AbortSignal,
): Promise<object | null> {
  const ids = promptOf(request, settings);
  const maxTokens = roomFor(ids.length, request.maxTokens, settings.defaultTokens, completions.contextTokens);
  const names = new Set(request.tools.map((tool) => tool.function.name));
  const answers: Answer[] = Array.from({ length: request.n }, () => ({
    text: '',
    calls: [],
    tokens: [],
    reader: names.size === 0 ? null : callReader(names, request.parallelToolCalls ? Infinity : 1),
  }));
  const head = {
    id: `chatcmpl-${randomBytes(12).toString('hex')}`,
    created: Math.floor(Date.now() / 1000),
    model: settings.name,
  };
  const { stream } = request;
  const chunk = (index: number, delta: Delta, tokens: readonly SaidToken[], finish: string | null): void => {
    if (!stream) return;
    const logprobs = request.logprobs ? { logprobs: logprobsOf(tokens, request) } : {};
    onChunk({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, ...logprobs, finish_reason: finish }],
      ...(request.includeUsage ? { usage: null } : {}),
    });
  };
  const say = (index: number, events: readonly CallEvent[], tokens: readonly SaidToken[]): void => {
    const answer = answers[index]!;
    answer.tokens.push(...tokens);
    let carried = tokens;
    for (const event of events) {
      if (event.kind === 'text') {
        answer.text += event.text;
        chunk(index, { content: event.text }, carried, null);
      } else {
        const id = `call_${randomBytes(12).toString('hex')}`;
        const call = { index: answer.calls.length, id, type: 'function', function: event.call };
        answer.calls.push({ id, call: event.call });
        chunk(index, { tool_calls: [call] }, carried, null);
      }
      carried = [];
    }
    if (carried.length > 0 && request.logprobs) chunk(index, {}, carried, null);
  };
  const onPiece = (index: number, { text, tokens }: Piece): void => {
    const { reader } = answers[index]!;
    const events: CallEvent[] =
      text === '' ? [] : reader === null ? [{ kind: 'text', text }] : reader.push(text);
    say(index, events, tokens);
  };
  const { temperature, topP, seed, stops, n } = request;
  const asked = { ids, n, temperature, topP, seed, maxTokens, stops };
  let begun = false;
  const begin = (): void => {
    if (begun) return;
    begun = true;
    for (let index = 0; index < n; index++) chunk(index, { role: 'assistant', content: '' }, [], null);
  };
  const done = await completions.complete(
    asked,
    (index, piece) => {
      begin();
      onPiece(index, piece);
    },
    signal,
  );
  begin();
  const usage = usageOf(ids.length, done);
  const choices = done.map((completion, index) => {
    const answer = answers[index]!;
    if (answer.reader !== null) say(index, answer.reader.end(), []);
    const finish = answer.calls.length > 0 && completion.finish === 'stop' ? 'tool_calls' : completion.finish;
    chunk(index, {}, [], finish);
    return choiceOf(answer, index, finish, completion, request, settings);
  });
  if (!stream) return { ...head, object: 'chat.completion', choices, usage };
  if (request.includeUsage) onChunk({ ...head, object: 'chat.completion.chunk', choices: [], usage });
  return null;
}

function choiceOf(
  { text, calls, tokens }: Answer,
  index: number,
  finish: string,
  completion: Completion,
  request: ChatRequest,
  settings: ChatSettings,
): object {
  const toolCalls = calls.map(({ id, call }) => ({ id, type: 'function', function: call }));
  const loop = settings.loopFormat !== null;
  return {
    index,
    message: {
      role: 'assistant',
      content: text === '' && toolCalls.length > 0 ? null : text,
      refusal: null,
      ...(toolCalls.length > 0 ? { tool_calls: toolCalls } : {}),
    },
    logprobs: request.logprobs ? logprobsOf(tokens, request) : null,
    finish_reason: finish,
    // Not of OpenAI's API: how the loop ended and what its calls came to.
    ...(loop
      ? {
          toolgrad: {
            end: completion.end,
            calls: completion.calls.map(({ status, seconds }) => ({ status, seconds })),
          },
        }
      : {}),
  };
}

function usageOf(promptTokens: number, done: readonly Completion[]): object {
  const completion = done.reduce((sum, { tokens }) => sum + tokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completion,
    total_tokens: promptTokens + completion,
  };
}

function logprobsOf(tokens: readonly SaidToken[], { topLogprobs }: ChatRequest): object {
  return {
    content: tokens.map(({ text, logprob }) => {
      const token = { token: text, logprob, bytes: [...Buffer.from(text)] };
      return { ...token, top_logprobs: topLogprobs === 1 ? [token] : [] };
    }),
    refusal: null,
  };
}

/** Tokens the answer may have. Throws ApiError 400 when the context has no room for them. */
function roomFor(prompt: number, asked: number | null, preset: number, context: number): number {
  const room = context - prompt;
  if (room >= (asked ?? 1)) return asked ?? Math.min(preset, room);
  throw new ApiError(
    400,
    `This model's context holds ${context} tokens, but ${prompt + (asked ?? 1)} were asked for ` +
      `(${prompt} in the messages, ${asked ?? 'at least 1'} in the completion)`,
    { param: 'messages', code: 'context_length_exceeded' },
  );
}

function promptOf(request: ChatRequest, settings: ChatSettings): Int32Array {
  const { tokenizer, loopFormat } = settings;
  if (loopFormat !== null && request.tools.length > 0) {
    const message = 'this server runs the tool itself (--tool-loop); leave tools out, or start it without';
    throw badField('tools', message, 'unsupported_parameter');
  }
  const template =
    settings.template === 'chatml' ? chatmlTemplate : (tokenizer.chatTemplate ?? plainTemplate);
  const asked =
    loopFormat === null
      ? request.messages
      : withInstruction(request.messages, loopFormat, settings.instruction);
  const knowsTools = /\btools\b/.test(template);
  const messages = knowsTools ? asked : withoutToolRoles(asked, request.tools);
  const tools = knowsTools && request.tools.length > 0 ? { tools: request.tools } : {};
  let ids: Int32Array;
  try {
    ids = renderPrompt(tokenizer, messages, { template, ...tools });
  } catch (error) {
    const refused =
      (error instanceof ToolgradError && error.code === 'ERR_CHAT_TEMPLATE') || error instanceof RangeError;
    if (!refused) throw error;
    throw badField('messages', errorMessage(error));
  }
  if (ids.length === 0)
    throw badField('messages', 'expected messages that make at least one token, found none');
  return ids;
}

/**
 * The messages with the first question put as in training: the format's own messages in its place, a system message of the
 * request's joined to the format's.
 */
function withInstruction(
  messages: readonly ChatMessage[],
  format: ToolFormat,
  instruction: string | null,
): ChatMessage[] {
  const at = messages.findIndex(({ role }) => role === 'user');
  if (at < 0) return [...messages];
  const put = format.messages(messages[at]!.content ?? '', instruction === null ? {} : { instruction });
  const before = messages.slice(0, at);
  const [system, ...question] = put;
  const joined: ChatMessage[] =
    system?.role === 'system'
      ? [
          { role: 'system', content: [...before.map(({ content }) => content), system.content].join('\n\n') },
          ...question,
        ]
      : [...before, ...put];
  return [...joined, ...messages.slice(at + 1)];
}
