/**
 * From chat messages to prompt ids, with the model's own Jinja template. A conversation is rendered once, for its prompt;
 * later turns are appended as ids (templates such as Qwen3's rewrite history).
 *
 * Text inside messages cannot become control tokens. Before rendering, every added token spelled in a message is replaced by a
 * private-use character; after rendering those places are encoded as plain text and everything else with the template's trust.
 * The rendered text is encoded as a whole, so merges across borders are those of the reference; when no message spells an added
 * token (the ordinary case) the ids are exactly those of the rendered text. What counts per role:
 *   user, tool          every added token stays text (`<|im_end|>`, and also Qwen's `<tool_call>`)
 *   system, assistant   tokens marked special stay text; `<tool_call>`, `<think>` are what the author or model means
 */
import { renderTemplate } from './jinja.ts';
import type { TextPart, Tokenizer } from './tokenizer.ts';

/** One message. `content` is null for an assistant message that only calls tools. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string | null;
  /** Function calls in the form the templates know: `{ type: 'function', function: { name, arguments: {...} } }`. */
  readonly tool_calls?: readonly unknown[];
  readonly name?: string;
}

export interface ChatOptions {
  /** JSON schemas of functions, for templates that show them. */
  readonly tools?: readonly unknown[];
  /** End with the header of an assistant turn (default true). */
  readonly addGenerationPrompt?: boolean;
  /** Used instead of the model's template: `chatmlTemplate`, or Jinja text of your own. */
  readonly template?: string;
  /** What `strftime_now` answers; default a fixed day, so that prompts do not change overnight. */
  readonly day?: Date;
}

/** ChatML without a default system message. */
export const chatmlTemplate: string =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * What a model without chat template gets: sections headed `### System`, `### User`, `### Assistant`, `### Tool`; an assistant's
 * text ends with the end-of-text token, the whole starts with BOS if the tokenizer asks for it.
 */
export const plainTemplate: string =
  "{{ bos_token if add_bos else '' }}{% for message in messages %}" +
  "{% if message.tool_calls %}{{ raise_exception('this model has no chat template, so messages with tool_calls cannot be rendered') }}{% endif %}" +
  "{{ '### ' + message.role | capitalize + '\\n' + message.content }}" +
  "{{ eos_token if message.role == 'assistant' and eos_token else '' }}{{ '\\n\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '### Assistant\\n' }}{% endif %}";

const kRoles = ['system', 'user', 'assistant', 'tool'];
const kPrivateUse = { first: 0xe000, last: 0xf8ff } as const;

/**
 * The conversation as text, exactly as the template writes it (what `apply_chat_template(tokenize=False)` of transformers
 * gives). For display and tests; ids come from `renderPrompt`.
 */
export function renderText(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): string {
  checkMessages(messages);
  return render(tokenizer, messages, options.tools ?? null, options);
}

/** Ids of the conversation, ready to be a ledger's prompt; template failures are ToolgradError ERR_CHAT_TEMPLATE. */
export function renderPrompt(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): Int32Array {
  checkMessages(messages);
  const shield = createShield(tokenizer, [messages, options.tools, options.template]);
  const shielded = messages.map(({ role, ...rest }) => ({
    role,
    ...(shield.cover(rest, role === 'user' || role === 'tool') as Omit<ChatMessage, 'role'>),
  }));
  const tools = options.tools === undefined ? null : (shield.cover(options.tools, false) as unknown[]);
  const text = render(tokenizer, shielded, tools, options);
  return shield.used() ? tokenizer.encodeParts(shield.uncover(text)).ids : tokenizer.encodeTemplate(text);
}

function checkMessages(messages: readonly ChatMessage[]): void {
  if (messages.length === 0) throw new TypeError('Expected at least one message but received none');
  for (const [i, { role, content }] of messages.entries()) {
    if (!kRoles.includes(role)) {
      throw new TypeError(
        `message ${i}: expected role ${kRoles.join(', ')} but received ${JSON.stringify(role)}`,
      );
    }
    if (typeof content !== 'string' && content !== null) {
      throw new TypeError(
        `message ${i}: expected content to be a text or null but received ${typeof content}`,
      );
    }
  }
}

function render(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  tools: readonly unknown[] | null,
  { addGenerationPrompt = true, template, day }: ChatOptions,
): string {
  const chosen = template ?? tokenizer.chatTemplate ?? plainTemplate;
  const variables = {
    messages,
    tools,
    add_generation_prompt: addGenerationPrompt,
    add_bos: tokenizer.addBos && tokenizer.templateTokens.bos_token !== undefined,
    ...tokenizer.templateTokens,
  };
  return renderTemplate(chosen, variables, day);
}

/** Hides added tokens spelled in messages from the template's text, and finds the places again. */
interface Shield {
  /** A copy of a JSON value in which covered tokens are private-use characters; `all`: also tokens not marked special. */
  cover(value: unknown, all: boolean): unknown;
  /** Whether anything was covered. */
  used(): boolean;
  /** The rendered text with the covered tokens as untrusted parts. */
  uncover(text: string): TextPart[];
}

function createShield(tokenizer: Tokenizer, all: unknown): Shield {
  const taken = JSON.stringify(all) + (tokenizer.chatTemplate ?? '');
  const codes = new Map<string, string>();
  const spelled = new Map<string, string>();
  let next: number = kPrivateUse.first;
  const codeOf = (token: string): string => {
    const known = codes.get(token);
    if (known !== undefined) return known;
    while (next <= kPrivateUse.last && taken.includes(String.fromCharCode(next))) next++;
    if (next > kPrivateUse.last) {
      throw new RangeError('The messages spell more different added tokens than can be told apart (6,400)');
    }
    const code = String.fromCharCode(next++);
    codes.set(token, code);
    spelled.set(code, token);
    return code;
  };
  const tokens = [...tokenizer.addedTokens.values()].sort((a, b) => b.content.length - a.content.length);
  const every = alternatives(tokens.map((token) => token.content).filter((content) => content.trim() !== ''));
  const special = alternatives(tokens.filter((token) => token.special).map((token) => token.content));
  const cover = (value: unknown, pattern: RegExp | null): unknown => {
    if (pattern === null) return value;
    if (typeof value === 'string') return value.replace(pattern, codeOf);
    if (Array.isArray(value)) return value.map((item) => cover(item, pattern));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name.replace(pattern, codeOf), cover(item, pattern)]),
    );
  };
  return {
    cover: (value, all) => cover(value, all ? every : special),
    used: () => codes.size > 0,
    uncover(text) {
      const parts: TextPart[] = [];
      let start = 0;
      for (let i = 0; i < text.length; i++) {
        const token = spelled.get(text[i]!);
        if (token === undefined) continue;
        if (i > start) parts.push({ text: text.slice(start, i), trust: 'template' });
        parts.push({ text: token, trust: 'none' });
        start = i + 1;
      }
      if (start < text.length) parts.push({ text: text.slice(start), trust: 'template' });
      return parts;
    },
  };
}

function alternatives(texts: readonly string[]): RegExp | null {
  if (texts.length === 0) return null;
  return new RegExp(texts.map((text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|'), 'g');
}
