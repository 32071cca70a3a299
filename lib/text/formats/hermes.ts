/**
 * The Hermes function-calling format, as verl's ReTool recipe uses it: `<tool_call>` around JSON calls `code_interpreter` with
 * the argument `code`, the output comes back as `<tool_response>` in a ChatML user turn, `\boxed{...}` is the answer.
 *
 * The model ends its turn itself (end-of-turn token), then the turn's calls are read: the first well-formed one is run, all
 * others count as repeated. A turn cut by a limit is never run. A ```python fence around the code is taken off, as verl's tool
 * does; verl's wrapping of the last line in print() is not copied (it breaks assignments and indented lines).
 */
import {
  lastBoxed,
  markerScanner,
  nonEmpty,
  type ParseEvent,
  type ToolFormat,
  type TurnParser,
  turnIsOver,
} from './format.ts';

const kToolName = 'code_interpreter';

/** The JSON schema of the tool, as chat templates with `tools` expect it. */
export const codeInterpreterSchema = {
  type: 'function',
  function: {
    name: kToolName,
    description: 'Runs a complete Python script and returns what it prints, or its error.',
    parameters: {
      type: 'object',
      properties: { code: { type: 'string', description: 'The Python script.' } },
      required: ['code'],
    },
  },
} as const;

/**
 * The system message that tells a model about its tools, in the words of the Hermes convention (the same text that Qwen2.5's
 * template makes of `tools`), so that it serves models whose template knows no tools.
 */
export function toolSystemMessage(intro: string, tools: readonly unknown[]): string {
  return (
    `${intro}\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n` +
    `You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n` +
    `${tools.map((tool) => pythonJson(tool)).join('\n')}\n</tools>\n\n` +
    `For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n` +
    `<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>`
  );
}

const kIntro = 'You solve problems step by step and use the code interpreter where computing helps.';
const kTextIntro = 'You solve problems step by step, without running any code.';
const kReminder = '\nPut the final answer in \\boxed{}.';
const kOpen = '<tool_call>';
const kClose = '</tool_call>';
const kOpenTag = /<tool_call>/g;
const kCloseTag = /<\/tool_call>/g;

export const hermes: ToolFormat = {
  name: 'hermes',
  stopStrings: [],
  callEndsTurn: true,
  messages(question, { textOnly = false, instruction } = {}) {
    const system = textOnly ? kTextIntro : toolSystemMessage(kIntro, [codeInterpreterSchema]);
    return [
      { role: 'system', content: system },
      { role: 'user', content: instruction === undefined ? question + kReminder : instruction + question },
    ];
  },
  parser: () => hermesParser(),
  toolText: ({ output }) => [
    { text: '\n<|im_start|>user\n<tool_response>\n', origin: 'template' },
    // Without its last newline, so that encoding the parts one by one gives the ids of the whole.
    { text: output.replace(/\n$/, ''), origin: 'tool' },
    { text: '\n</tool_response><|im_end|>\n<|im_start|>assistant\n', origin: 'template' },
  ],
  answer: (text) => nonEmpty(lastBoxed(outsideCalls(text))),
};

function hermesParser(): TurnParser {
  const scanner = markerScanner();
  const prose: string[] = [];
  const calls: string[] = [];
  let body: string[] = [];
  let state: 'prose' | 'call' | 'over' = 'prose';
  const over = (event: ParseEvent): ParseEvent => {
    state = 'over';
    return event;
  };
  return {
    trailing: 0,
    push(text) {
      if (state === 'over') turnIsOver();
      scanner.push(text);
      for (;;) {
        if (state === 'prose') {
          if (scanner.next(kOpenTag, kOpen.length, (passed) => prose.push(passed)) === null) return null;
          state = 'call';
        } else {
          if (scanner.next(kCloseTag, kClose.length, (passed) => body.push(passed)) === null) return null;
          calls.push(body.join(''));
          body = [];
          state = 'prose';
        }
      }
    },
    end(reason) {
      if (state === 'over') turnIsOver();
      const open = state === 'call';
      const rest = scanner.rest();
      const partial = open ? body.join('') + rest : calls.at(-1);
      if (partial !== undefined && reason === 'length') return over({ kind: 'truncated', partial });
      if (calls.length > 0) return over(firstWellFormed(calls, open ? 1 : 0));
      if (open) return over({ kind: 'malformed', reason: 'the turn ended inside <tool_call>' });
      const answer = nonEmpty(lastBoxed(prose.join('') + rest));
      return over(answer === null ? { kind: 'text' } : { kind: 'answer', answer });
    },
  };
}

function firstWellFormed(calls: readonly string[], open: number): ParseEvent {
  let first: ParseEvent | null = null;
  for (const call of calls) {
    const read = readCall(call);
    if (read.kind === 'call') return { ...read, repeated: calls.length - 1 + open };
    first ??= read;
  }
  return first!;
}

type CallOrMalformed = Extract<ParseEvent, { kind: 'call' | 'malformed' }>;

function readCall(body: string): CallOrMalformed {
  const malformed = (reason: string): CallOrMalformed => ({ kind: 'malformed', reason });
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return malformed('the call is not valid JSON'); // the engine's own message differs between Node versions
  }
  if (!isObject(value)) return malformed('the call is no JSON object');
  const { name, arguments: given } = value;
  if (typeof name !== 'string') return malformed('the call has no name');
  if (name !== kToolName) {
    return malformed(`unknown tool ${JSON.stringify(name.slice(0, 40))}; expected "${kToolName}"`);
  }
  if (!isObject(given)) return malformed('arguments is no JSON object');
  const extra = Object.keys(given).find((key) => key !== 'code');
  if (extra !== undefined) return malformed(`unknown argument ${JSON.stringify(extra.slice(0, 40))}`);
  if (!('code' in given)) return malformed('the argument code is missing');
  if (typeof given.code !== 'string') return malformed('the argument code is no text');
  const code = withoutFence(given.code);
  if (code.trim() === '') return malformed('the script is empty');
  return { kind: 'call', code, repeated: 0 };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Code without the markdown fence some models put around it. */
function withoutFence(code: string): string {
  const trimmed = code.trim();
  const lineEnd = trimmed.indexOf('\n');
  if (lineEnd < 0 || !trimmed.endsWith('```')) return code;
  if (!/^```(?:python|py)?\s*$/.test(trimmed.slice(0, lineEnd))) return code;
  return trimmed.slice(lineEnd + 1, -3).replace(/\r?\n$/, '');
}

/** The text with every call taken out; an unclosed one reaches to the end. */
function outsideCalls(text: string): string {
  return text
    .split(kOpen)
    .map((part, i) => {
      if (i === 0) return part;
      const close = part.indexOf(kClose);
      return close < 0 ? '' : part.slice(close + kClose.length);
    })
    .join('\n');
}

/** JSON with Python's separators (", " and ": "), as json.dumps writes it. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonJson(item)}`);
  return `{${fields.join(', ')}}`;
}
