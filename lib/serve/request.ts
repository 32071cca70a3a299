/**
 * The body of POST /v1/chat/completions, checked: what OpenAI's API defines and this server can do. A field that would change
 * the answer and is not supported is an error that names it; fields that cannot change it (`user`, `metadata`, ...) pass.
 */
import { z } from 'zod';
import type { ChatMessage } from '../text/chat.ts';
import { ApiError, badField } from './api-error.ts';

/** Most answers to one request, and most and longest stop strings. */
const kMostChoices = 128;
const kMostStops = 16;
const kLongestStop = 256;

const textParts = z.array(z.strictObject({ type: z.literal('text'), text: z.string() }));
const content = z.union([z.string(), textParts]);
const toolCall = z.looseObject({
  id: z.string(),
  type: z.literal('function').optional(),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});
const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.enum(['system', 'developer', 'user']), content }),
  z.looseObject({
    role: z.literal('assistant'),
    content: content.nullish(),
    tool_calls: z.array(toolCall).nullish(),
  }),
  z.looseObject({ role: z.literal('tool'), content, tool_call_id: z.string().optional() }),
]);
const tool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: z.string().regex(/^[\w-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -'),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
  }),
});

const schema = z.strictObject({
  model: z.string(),
  messages: z.array(message).min(1),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  n: z.int().min(1).max(kMostChoices).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z.unknown().optional(),
  presence_penalty: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  // These cannot change the answer.
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
  service_tier: z.unknown().optional(),
  safety_identifier: z.unknown().optional(),
  prompt_cache_key: z.unknown().optional(),
});

type Body = z.output<typeof schema>;

/** A checked request. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly temperature: number;
  readonly topP: number;
  /** null: the server's default. */
  readonly maxTokens: number | null;
  /** null: a random one. */
  readonly seed: bigint | null;
  readonly stops: readonly string[];
  readonly n: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly logprobs: boolean;
  readonly topLogprobs: 0 | 1;
  /** Functions the model may call; empty when it may not. */
  readonly tools: readonly z.output<typeof tool>[];
  readonly parallelToolCalls: boolean;
}

/** Checks the parsed body. Throws ApiError 400 that names the field, what was expected and what was found. */
export function readRequest(body: unknown): ChatRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ApiError(400, 'Expected the body to be a JSON object');
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw explain(parsed.error.issues[0]!, body);
  const fields = parsed.data;
  refuseUnsupported(fields);
  const { max_tokens: old, max_completion_tokens: now } = fields;
  if (old != null && now != null && old !== now) {
    throw badField('max_tokens', `differs from max_completion_tokens (${now}); give one of them`);
  }
  const temperature = fields.temperature ?? 1;
  return {
    model: fields.model,
    messages: fields.messages.map(chatMessage),
    temperature,
    topP: fields.top_p ?? 1,
    maxTokens: now ?? old ?? null,
    seed: fields.seed == null ? null : BigInt.asUintN(64, BigInt(fields.seed)),
    stops: stopsOf(fields.stop ?? []),
    n: fields.n ?? 1,
    stream: fields.stream ?? false,
    includeUsage: fields.stream_options?.include_usage ?? false,
    logprobs: fields.logprobs ?? false,
    topLogprobs: topLogprobs(fields, temperature),
    tools: fields.tool_choice === 'none' ? [] : (fields.tools ?? []),
    parallelToolCalls: fields.parallel_tool_calls ?? true,
  };
}

function refuseUnsupported(fields: Body): void {
  const refuse = (name: string, message: string) => {
    throw badField(name, message, 'unsupported_parameter');
  };
  if (fields.presence_penalty) refuse('presence_penalty', 'is not supported; leave it out');
  if (fields.frequency_penalty) refuse('frequency_penalty', 'is not supported; leave it out');
  if (Object.keys(fields.logit_bias ?? {}).length > 0) refuse('logit_bias', 'is not supported; leave it out');
  const choice = fields.tool_choice;
  if (choice != null && choice !== 'auto' && choice !== 'none') {
    refuse('tool_choice', 'expected auto or none: a call cannot be forced here');
  }
  const kind = (fields.response_format as { type?: unknown } | null | undefined)?.type;
  if (fields.response_format != null && kind !== 'text') {
    refuse('response_format', 'expected { "type": "text" }: the form of an answer cannot be forced here');
  }
  if (fields.stream_options != null && fields.stream !== true) {
    throw badField('stream_options', 'is allowed with stream: true only');
  }
}

function topLogprobs(fields: Body, temperature: number): 0 | 1 {
  const asked = fields.top_logprobs ?? 0;
  if (asked === 0) return 0;
  if (fields.logprobs !== true) throw badField('top_logprobs', 'needs logprobs: true');
  // The engine keeps the log-prob of the token it chose; only of a greedy choice is that the likeliest one.
  if (asked > 1 || temperature > 0) {
    throw badField(
      'top_logprobs',
      `expected 0, or 1 with temperature 0, found ${asked} with temperature ${temperature}`,
      'unsupported_parameter',
    );
  }
  return 1;
}

function stopsOf(stop: string | readonly string[]): string[] {
  const stops = typeof stop === 'string' ? [stop] : [...stop];
  if (stops.length > kMostStops) {
    throw badField('stop', `expected at most ${kMostStops} texts, found ${stops.length}`);
  }
  for (const text of stops) {
    if (text === '' || text.length > kLongestStop) {
      throw badField(
        'stop',
        `expected texts of 1 to ${kLongestStop} characters, found one of ${text.length}`,
      );
    }
  }
  return stops;
}

/** A message as the chat templates know it. */
function chatMessage(from: Body['messages'][number], index: number): ChatMessage {
  const text =
    from.content == null || typeof from.content === 'string'
      ? (from.content ?? null)
      : from.content.map((part) => part.text).join('');
  if (from.role === 'developer') return { role: 'system', content: text };
  if (from.role !== 'assistant') return { role: from.role, content: text };
  const calls = from.tool_calls ?? [];
  if (calls.length === 0) {
    if (text === null)
      throw badField(`messages.${index}.content`, 'expected a text, or tool_calls beside it');
    return { role: 'assistant', content: text };
  }
  return {
    role: 'assistant',
    content: text,
    tool_calls: calls.map((call, i) => ({
      type: 'function',
      function: { name: call.function.name, arguments: argumentsOf(call.function.arguments, index, i) },
    })),
  };
}

/** Templates want the object where the API has its JSON text. */
function argumentsOf(text: string, message: number, call: number): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    throw badField(
      `messages.${message}.tool_calls.${call}.function.arguments`,
      'expected the text of a JSON object',
    );
  }
}

function explain(issue: z.core.$ZodIssue, body: object): ApiError {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const name = [...issue.path, issue.keys[0]!].join('.');
    return badField(name, 'is not a parameter of this server', 'unknown_parameter');
  }
  const found = issue.path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key],
    body,
  );
  if (found === undefined) return badField(path, 'required, but not given', 'missing_required_parameter');
  const shown = JSON.stringify(found) ?? String(found);
  return badField(
    path,
    `${expectation(issue)}, found ${shown.length > 80 ? `${shown.slice(0, 80)}...` : shown}`,
  );
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${issue.expected}`;
    case 'invalid_value':
      return `expected one of ${issue.values.join(', ')}`;
    case 'too_small':
      return `expected ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return `expected at most ${issue.maximum}`;
    case 'invalid_union':
      return issue.path.at(-1) === 'role'
        ? 'expected one of system, developer, user, assistant, tool'
        : 'expected a text or a list of texts (parts of type text)';
    default:
      return issue.message;
  }
}
