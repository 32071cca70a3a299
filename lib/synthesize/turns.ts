/**
 * A teacher's text as turns: where a turn ends, what it calls, and whether its markup is sound. Nothing that a teacher claims to
 * be a program's output ever becomes part of a trace.
 */
import type { ChatMessage } from '../text/chat.ts';
import type { ParseEvent, ToolFormat } from '../text/formats/format.ts';
import type { TraceTurn } from '../train/traces.ts';

/** One turn of a teacher, cut where its format ends it. */
export interface ReadTurn {
  readonly text: string;
  readonly event: ParseEvent;
}

/** Reads the first turn in `text`; `finish` is the API's reason. Two calls in one turn are malformed here. */
export function readTurn(format: ToolFormat, text: string, finish: string): ReadTurn {
  const parser = format.parser();
  const event = parser.push(text);
  const cut = event === null ? text : text.slice(0, text.length - parser.trailing);
  const read = event ?? parser.end(finish === 'length' ? 'length' : 'eos');
  if (read.kind === 'call' && read.repeated > 0) {
    return { text: cut.trim(), event: { kind: 'malformed', reason: 'more than one call in a turn' } };
  }
  return { text: cut.trim(), event: read };
}

/** A program's output as the message that follows the turn that called it. */
export function outputMessage(format: ToolFormat, output: string): ChatMessage {
  const text = format
    .toolText({ status: 'ok', output })
    .map((segment) =>
      segment.origin === 'tool'
        ? segment.text
        : segment.text.replace(/<\|im_start\|>\w+\n|<\|im_end\|>\n?/g, ''),
    )
    .join('');
  return { role: 'user', content: text.trim() };
}

/** Texts at which a teacher that goes on to invent the output may be stopped. */
export function outputMarks(format: ToolFormat): string[] {
  return [kMarks[format.name].output[0]];
}

interface Marks {
  /** Where a call begins. */
  readonly call: string;
  /** Around claimed outputs; the first may stand before the second, which opens. */
  readonly output: readonly [first: string, ...rest: string[]];
  readonly claimed: RegExp;
  /** Texts that only calls, outputs and answers may contain. */
  readonly reserved: readonly string[];
  /** What opens an answer, as a whole text has it once. */
  readonly answer: readonly string[];
}

const kMarks: Readonly<Record<ToolFormat['name'], Marks>> = {
  r1ci: {
    call: '```python',
    output: ['Code Execution Results:', '<output>', '</output>'],
    claimed: /^\s*Code Execution Results:\s*<output>([\s\S]*?)<\/output>/,
    reserved: ['```', 'Code Execution Results:', '<output>', '</output>'],
    answer: ['<<<', '>>>'],
  },
  retool: {
    call: '<code>',
    output: ['<interpreter>', '</interpreter>'],
    claimed: /^\s*<interpreter>([\s\S]*?)<\/interpreter>/,
    reserved: ['<code>', '</code>', '<interpreter>', '</interpreter>'],
    answer: ['<answer>', '</answer>', '\\boxed{'],
  },
  hermes: {
    call: '<tool_call>',
    output: ['<tool_response>', '</tool_response>'],
    claimed: /^\s*<tool_response>([\s\S]*?)<\/tool_response>/,
    reserved: ['<tool_call>', '</tool_call>', '<tool_response>', '</tool_response>'],
    answer: ['\\boxed{'],
  },
};

/**
 * What is wrong with the markup of a trace's turns, or null: marks outside calls, an answer before the last turn, none or more
 * than one in it.
 */
export function markupProblem(format: ToolFormat, turns: readonly TraceTurn[]): string | null {
  const marks = kMarks[format.name];
  for (const [index, { text, toolOutput }] of turns.entries()) {
    const last = index === turns.length - 1;
    if ((toolOutput === undefined) !== last) {
      return last ? 'the last turn is a call' : `turn ${index + 1} calls nothing, but is not the last`;
    }
    const start = toolOutput === undefined ? -1 : text.indexOf(marks.call);
    const prose = start < 0 ? text : text.slice(0, start);
    const stray = marks.reserved.find((mark) => prose.includes(mark));
    if (stray !== undefined) return `${stray} outside a call, in turn ${index + 1}`;
    for (const mark of marks.answer) {
      const found = prose.split(mark).length - 1;
      if (found !== (last ? 1 : 0)) {
        return last
          ? `expected one ${mark} in the last turn, found ${found}`
          : `${mark} before the last turn, in turn ${index + 1}`;
      }
    }
  }
  return null;
}

/** A rewritten solution, in pieces: each call with its code and the output that the teacher claims. */
export interface Rewritten {
  readonly calls: readonly { readonly text: string; readonly code: string; readonly claimed: string }[];
  readonly final: string;
}

/** Splits a rewritten solution; a text says what is wrong with it. */
export function splitRewritten(format: ToolFormat, whole: string): Rewritten | string {
  const { claimed } = kMarks[format.name];
  const calls: { text: string; code: string; claimed: string }[] = [];
  let rest = whole.trim();
  for (;;) {
    const end = callEnd(format, rest);
    if (end < 0) break;
    const { text, event } = readTurn(format, rest.slice(0, end), 'stop');
    if (event.kind !== 'call') {
      return `call ${calls.length + 1}: ${event.kind === 'malformed' ? event.reason : 'cannot be read'}`;
    }
    rest = rest.slice(end);
    const output = claimed.exec(rest);
    if (output === null) return `call ${calls.length + 1} is not followed by its output`;
    calls.push({ text, code: event.code, claimed: output[1]!.trim() });
    rest = rest.slice(output[0].length);
  }
  return { calls, final: rest.trim() };
}

/** Where the first call of `text` ends, or -1. */
function callEnd(format: ToolFormat, text: string): number {
  if (format.callEndsTurn) {
    const close = text.indexOf('</tool_call>');
    return close < 0 ? -1 : close + '</tool_call>'.length;
  }
  const parser = format.parser();
  return parser.push(text) === null ? -1 : text.length - parser.trailing;
}
