/**
 * Turns whose calls are malformed, truncated or repeated, with what must come of each. The table of docs/formats.md is made
 * from this list (`npx tsx scripts/show-malformed-calls.ts`), and a test runs the real parsers over it.
 */
import { formats, type ParseEvent, type ToolFormat } from '../../lib/text/formats/index.ts';

export interface MalformedCall {
  readonly format: ToolFormat['name'];
  readonly what: string;
  readonly turn: string;
  readonly end: 'eos' | 'length';
  readonly expected: ParseEvent;
}

const malformed = (reason: string): ParseEvent => ({ kind: 'malformed', reason });

export const malformedCalls: readonly MalformedCall[] = [
  {
    format: 'r1ci',
    what: 'fence never closed',
    turn: '```python\nprint(1)\n',
    end: 'eos',
    expected: malformed('the turn ended inside a fence'),
  },
  {
    format: 'r1ci',
    what: 'token limit inside the script',
    turn: '```python\nprint(1',
    end: 'length',
    expected: { kind: 'truncated', partial: 'print(1' },
  },
  {
    format: 'r1ci',
    what: 'another language',
    turn: '```json\n{"a": 1}\n```',
    end: 'eos',
    expected: malformed('the fence is tagged "json"; expected ```python'),
  },
  {
    format: 'r1ci',
    what: 'fence without a tag',
    turn: '```\nprint(1)\n```',
    end: 'eos',
    expected: malformed('the fence has no tag; expected ```python'),
  },
  {
    format: 'r1ci',
    what: 'everything on one line',
    turn: '```python print(1)```',
    end: 'eos',
    expected: malformed('the fence closes on the line it opens on'),
  },
  {
    format: 'r1ci',
    what: 'empty script',
    turn: '```python\n \n```',
    end: 'eos',
    expected: malformed('the script is empty'),
  },
  {
    format: 'r1ci',
    what: 'three backticks inside the script',
    turn: '```python\nprint("```")\n```',
    end: 'eos',
    expected: { kind: 'call', code: 'print("', repeated: 0 },
  },
  {
    format: 'retool',
    what: 'no fence',
    turn: '<code>print(1)</code>',
    end: 'eos',
    expected: malformed('no ```python fence inside <code>'),
  },
  {
    format: 'retool',
    what: 'closing tag alone',
    turn: 'so 1+1=2</code>',
    end: 'eos',
    expected: malformed('</code> without <code>'),
  },
  {
    format: 'retool',
    what: 'tag never closed',
    turn: '<code>\n```python\nprint(1)\n```\n',
    end: 'eos',
    expected: malformed('the turn ended inside <code>'),
  },
  {
    format: 'retool',
    what: 'fence not closed, tag closed',
    turn: '<code>\n```python\nprint(1)\n</code>',
    end: 'eos',
    expected: { kind: 'call', code: 'print(1)', repeated: 0 },
  },
  {
    format: 'retool',
    what: 'two scripts in one block',
    turn: '<code>\n```python\nprint(1)\n```\n```python\nprint(2)\n```\n</code>',
    end: 'eos',
    expected: { kind: 'call', code: 'print(2)', repeated: 1 },
  },
  {
    format: 'hermes',
    what: 'broken JSON',
    turn: '<tool_call>\n{"name": "code_interpreter", "arguments": {"code": "print(1)"\n</tool_call>',
    end: 'eos',
    expected: malformed('the call is not valid JSON'),
  },
  {
    format: 'hermes',
    what: 'line end inside a JSON text',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": {"code": "a\nb"}}</tool_call>',
    end: 'eos',
    expected: malformed('the call is not valid JSON'),
  },
  {
    format: 'hermes',
    what: 'a list',
    turn: '<tool_call>[1]</tool_call>',
    end: 'eos',
    expected: malformed('the call is no JSON object'),
  },
  {
    format: 'hermes',
    what: 'unknown tool',
    turn: '<tool_call>{"name": "search", "arguments": {"code": "1"}}</tool_call>',
    end: 'eos',
    expected: malformed('unknown tool "search"; expected "code_interpreter"'),
  },
  {
    format: 'hermes',
    what: 'no name',
    turn: '<tool_call>{"arguments": {"code": "1"}}</tool_call>',
    end: 'eos',
    expected: malformed('the call has no name'),
  },
  {
    format: 'hermes',
    what: 'arguments as text',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": "{\\"code\\": \\"1\\"}"}</tool_call>',
    end: 'eos',
    expected: malformed('arguments is no JSON object'),
  },
  {
    format: 'hermes',
    what: 'argument missing',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": {}}</tool_call>',
    end: 'eos',
    expected: malformed('the argument code is missing'),
  },
  {
    format: 'hermes',
    what: 'argument of another type',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": {"code": 1}}</tool_call>',
    end: 'eos',
    expected: malformed('the argument code is no text'),
  },
  {
    format: 'hermes',
    what: 'an argument that raises a limit',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": {"code": "1", "timeout": 1e9}}</tool_call>',
    end: 'eos',
    expected: malformed('unknown argument "timeout"'),
  },
  {
    format: 'hermes',
    what: 'empty script',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": {"code": "```python\\n```"}}</tool_call>',
    end: 'eos',
    expected: malformed('the script is empty'),
  },
  {
    format: 'hermes',
    what: 'tag never closed',
    turn: '<tool_call>{"name": "code_interpreter", "arguments": {"code": "print(1)"}}',
    end: 'eos',
    expected: malformed('the turn ended inside <tool_call>'),
  },
  {
    format: 'hermes',
    what: 'token limit inside the call',
    turn: '<tool_call>{"name": "code_in',
    end: 'length',
    expected: { kind: 'truncated', partial: '{"name": "code_in' },
  },
  {
    format: 'hermes',
    what: 'two calls',
    turn:
      '<tool_call>{"name": "code_interpreter", "arguments": {"code": "print(1)"}}</tool_call>\n' +
      '<tool_call>{"name": "code_interpreter", "arguments": {"code": "print(2)"}}</tool_call>',
    end: 'eos',
    expected: { kind: 'call', code: 'print(1)', repeated: 1 },
  },
  {
    format: 'hermes',
    what: 'a broken call, then a good one',
    turn: '<tool_call>{</tool_call><tool_call>{"name": "code_interpreter", "arguments": {"code": "print(2)"}}</tool_call>',
    end: 'eos',
    expected: { kind: 'call', code: 'print(2)', repeated: 1 },
  },
];

/** What the real parser makes of a turn that comes in `pieces`. */
export function parseTurn(
  format: ToolFormat['name'],
  pieces: Iterable<string>,
  end: 'eos' | 'length',
): ParseEvent {
  const parser = formats[format].parser();
  for (const piece of pieces) {
    const event = parser.push(piece);
    if (event !== null) return event;
  }
  return parser.end(end);
}

/** An outcome in words, as in the table. */
export function outcomeText(event: ParseEvent): string {
  switch (event.kind) {
    case 'call':
      return `run ${JSON.stringify(event.code)}${event.repeated > 0 ? `, ${event.repeated} dropped` : ''}`;
    case 'answer':
      return `answer ${JSON.stringify(event.answer)}`;
    case 'malformed':
      return `malformed: ${event.reason}`;
    case 'truncated':
      return `truncated: ${JSON.stringify(event.partial)}`;
    case 'text':
      return 'text';
  }
}

/** The table of docs/formats.md, from the real parsers; in its code spans ⏎ is a newline. */
export function malformedCallsTable(): string {
  const span = (text: string) => `\`\` ${text.replaceAll('\n', '⏎')} \`\``;
  const rows = malformedCalls.map(({ format, what, turn, end }) => {
    return `| ${format} | ${what} | ${span(turn)} | ${end} | ${span(outcomeText(parseTurn(format, [turn], end)))} |`;
  });
  return ['| format | what | turn | ended by | outcome |', '|---|---|---|---|---|', ...rows].join('\n');
}
