/**
 * Function calls of the Hermes convention in a model's text: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` is read
 * while it is written, and messages of earlier calls are put into the prompt of a model whose template knows no tools.
 *
 * Nothing is lost: what is no well-formed call of an offered function stays text.
 */
import type { ChatMessage } from '../text/chat.ts';
import { markerScanner } from '../text/formats/format.ts';
import { toolSystemMessage } from '../text/formats/hermes.ts';

/** One call; `arguments` is JSON text, as the API has it. */
export interface FunctionCall {
  readonly name: string;
  readonly arguments: string;
}

/** What a piece of the model's text turned out to be. */
export type CallEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'call'; readonly call: FunctionCall };

/** Reads the text of one answer as it comes. */
export interface CallReader {
  push(text: string): CallEvent[];
  /** The text is over. */
  end(): CallEvent[];
}

const kOpen = '<tool_call>';
const kClose = '</tool_call>';

/** `names`: the functions on offer; calls beyond the first `most` are dropped. */
export function callReader(names: ReadonlySet<string>, most: number): CallReader {
  const scanner = markerScanner();
  let body: string[] | null = null;
  let calls = 0;
  /** Blanks between text and call belong to neither: they are kept back until more text comes. */
  let blanks = '';
  const events: CallEvent[] = [];
  const say = (text: string): void => {
    const whole = blanks + text;
    const kept = whole.trimEnd();
    blanks = whole.slice(kept.length);
    if (kept !== '') events.push({ kind: 'text', text: kept });
  };
  const close = (text: string): void => {
    const call = readCall(text, names);
    if (call === null) return say(`${kOpen}${text}${kClose}`);
    blanks = '';
    calls += 1;
    if (calls <= most) events.push({ kind: 'call', call });
  };
  const taken = (): CallEvent[] => events.splice(0);
  return {
    push(text) {
      scanner.push(text);
      for (;;) {
        if (body === null) {
          if (scanner.next(/<tool_call>/g, kOpen.length, say) === null) return taken();
          body = [];
        } else {
          const inside = body;
          if (scanner.next(/<\/tool_call>/g, kClose.length, (passed) => inside.push(passed)) === null)
            return taken();
          body = null;
          close(inside.join(''));
        }
      }
    },
    end() {
      if (body !== null) say(kOpen + body.join(''));
      say(scanner.rest());
      if (blanks !== '' && calls === 0) events.push({ kind: 'text', text: blanks });
      blanks = '';
      body = null;
      return taken();
    },
  };
}

function readCall(text: string, names: ReadonlySet<string>): FunctionCall | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { name, arguments: given = {} } = value as { name?: unknown; arguments?: unknown };
  if (typeof name !== 'string' || !names.has(name)) return null;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return null;
  return { name, arguments: JSON.stringify(given) };
}

/**
 * The conversation for a template that knows no tools: the functions in the system message, calls as the model writes them,
 * answers as `<tool_response>` of the user. The same texts as the Hermes format is trained on.
 */
export function withoutToolRoles(messages: readonly ChatMessage[], tools: readonly unknown[]): ChatMessage[] {
  const [first] = messages;
  const intro = first?.role === 'system' ? (first.content ?? '') : '';
  const rest = first?.role === 'system' ? messages.slice(1) : messages;
  const plain: ChatMessage[] =
    tools.length > 0
      ? [{ role: 'system', content: toolSystemMessage(intro, tools).trimStart() }]
      : messages.slice(0, messages.length - rest.length);
  for (const { role, content, tool_calls: calls } of rest) {
    if (role === 'tool') {
      const text = `<tool_response>\n${(content ?? '').replace(/\n$/, '')}\n</tool_response>`;
      const last = plain.at(-1);
      // Answers to calls of one turn share a message, as in the templates that know tools.
      if (last?.role === 'user' && last.content?.endsWith('</tool_response>') === true) {
        plain[plain.length - 1] = { role: 'user', content: `${last.content}\n${text}` };
      } else plain.push({ role: 'user', content: text });
      continue;
    }
    const written = (calls ?? []).map((call) => {
      const { name, arguments: given } = (call as { function: { name: string; arguments: unknown } })
        .function;
      return `${kOpen}\n${JSON.stringify({ name, arguments: given })}\n${kClose}`;
    });
    plain.push({ role, content: [...(content ? [content] : []), ...written].join('\n') });
  }
  return plain;
}
