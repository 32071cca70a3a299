/**
 * What a tool format is: how a question is put, how a turn of the model is read while it is decoded, how the tool's output
 * comes back, and where the final answer is. Outcomes of malformed calls: docs/formats.md.
 */
import type { ChatMessage } from '../chat.ts';

/**
 * How a turn came out. A parser's events depend on the turn's text alone, never on how it was cut into tokens.
 * - `call`: a complete call; run `code`. `repeated` counts further calls in the same turn, which are dropped.
 * - `answer`: the turn ended with a final answer.
 * - `malformed`: the turn holds a call that cannot be run; nothing is executed.
 * - `truncated`: the token limit fell inside an open call; `partial` is its code so far (never run).
 * - `text`: the turn ended with neither.
 */
export type ParseEvent =
  | { readonly kind: 'call'; readonly code: string; readonly repeated: number }
  | { readonly kind: 'answer'; readonly answer: string }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'truncated'; readonly partial: string }
  | { readonly kind: 'text' };

/** Reads one assistant turn; make a fresh one for each turn. Total work is linear in the turn's length. */
export interface TurnParser {
  /**
   * Takes newly decoded text. An event ends the turn: the token that holds the end of the closing marker is the turn's last.
   * Text of that token behind the marker stays in the context and is otherwise ignored.
   */
  push(text: string): ParseEvent | null;
  /** The turn ended without an event from `push`: with an end-of-turn token, or at a token limit. */
  end(reason: 'eos' | 'length'): ParseEvent;
  /** Characters of the last pushed text that lie behind the marker that ended the turn; 0 before that. */
  readonly trailing: number;
}

/** Text that follows a call; `tool` text is encoded with added tokens off, `template` text with them on. */
export interface ToolSegment {
  readonly text: string;
  readonly origin: 'tool' | 'template';
}

export interface MessageOptions {
  /** The same task, to be answered without the tool. */
  readonly textOnly?: boolean;
  /** Replaces the preset's instruction, which stands before the question. */
  readonly instruction?: string;
}

export interface ToolFormat {
  readonly name: 'r1ci' | 'retool' | 'hermes';
  /** The prompt, as chat messages. */
  messages(question: string, options?: MessageOptions): ChatMessage[];
  parser(): TurnParser;
  /** What is appended after a call whose program gave `output`. `status` is that of the tool (`ok`, `timeout`, ...). */
  toolText(result: { readonly status: string; readonly output: string }): ToolSegment[];
  /** The final answer in text that the policy wrote, or null. Never pass tool output. */
  answer(text: string): string | null;
  /** Strings at which a foreign engine may stop generating; the parser is what decides. */
  readonly stopStrings: readonly string[];
  /** Whether the model itself ends a turn with a call by its end-of-turn token (hermes), or the call's marker ends it. */
  readonly callEndsTurn: boolean;
}

/** Base of the parsers: pieces of text go in, markers come out wherever the pieces were cut. */
export interface MarkerScanner {
  /** Adds text to what is to be scanned. */
  push(text: string): void;
  /**
   * Passes over text up to the first of the markers. Returns the marker, or null when all text was passed over except an
   * end that may be the beginning of a marker. `passed` receives the text before.
   */
  next(markers: RegExp, longest: number, passed: (text: string) => void): string | null;
  /** Characters not yet passed over. */
  rest(): string;
}

/** A scanner whose total work is linear in the text, for global expressions made of literal alternatives. */
export function markerScanner(): MarkerScanner {
  let text = '';
  let at = 0;
  return {
    push(more) {
      text = at < text.length ? text.slice(at) + more : more;
      at = 0;
    },
    next(markers, longest, passed) {
      markers.lastIndex = at;
      const found = markers.exec(text);
      if (found !== null) {
        if (found.index > at) passed(text.slice(at, found.index));
        at = found.index + found[0].length;
        return found[0];
      }
      const keep = Math.max(at, text.length - (longest - 1));
      if (keep > at) passed(text.slice(at, keep));
      at = keep;
      return null;
    },
    rest: () => text.slice(at),
  };
}

/** Text between the last opening marker and the closing marker after it: the last such pair, single pass; null if none. */
export function lastEnclosed(text: string, open: string, close: string): string | null {
  let found: string | null = null;
  let start = -1;
  let nextOpen = text.indexOf(open);
  let nextClose = text.indexOf(close);
  while (nextClose >= 0) {
    if (nextOpen >= 0 && nextOpen < nextClose) {
      start = nextOpen + open.length;
      nextOpen = text.indexOf(open, start);
      if (nextClose < start) nextClose = text.indexOf(close, start);
    } else {
      if (start >= 0) found = text.slice(start, nextClose);
      start = -1;
      nextClose = text.indexOf(close, nextClose + close.length);
    }
  }
  return found;
}

/** Content of the last complete `\boxed{...}`: braces balanced, `\{` and `\}` not counted; null if there is none. */
export function lastBoxed(text: string): string | null {
  const markers = /\\boxed\{|\\[{}]|[{}]/g;
  const open: number[] = [];
  let best: { start: number; end: number } | null = null;
  for (const found of text.matchAll(markers)) {
    const marker = found[0];
    if (marker === '{') open.push(-1);
    else if (marker.startsWith('\\boxed')) open.push(found.index + marker.length);
    else if (marker === '}') {
      const start = open.pop() ?? -1;
      if (start >= 0 && (best === null || start > best.start)) best = { start, end: found.index };
    }
  }
  return best === null ? null : text.slice(best.start, best.end);
}

/** A program's output as a block of whole lines: '' stays '', else it ends with one newline. */
export function wholeLines(output: string): string {
  return output === '' || output.endsWith('\n') ? output : `${output}\n`;
}

/** Trims an answer; an empty one is none. */
export function nonEmpty(answer: string | null): string | null {
  const trimmed = answer?.trim() ?? '';
  return trimmed === '' ? null : trimmed;
}

/** What a used-up parser says: a turn has one event. */
export function turnIsOver(): never {
  throw new TypeError('This turn has ended; make a new parser for the next turn');
}
