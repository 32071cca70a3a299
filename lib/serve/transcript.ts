/**
 * An answer's text while its trajectory grows: new tokens of the ledger become text once, in order; the model's end-of-turn
 * tokens and the template's turn headers are left out, tool output is shown where it stands.
 *
 * Text that may be the beginning of a stop string is kept back; after a stop string nothing more is said.
 */
import { type Ledger, Origin } from '../rollout/ledger.ts';
import type { ParseEvent, ToolFormat, TurnParser } from '../text/formats/format.ts';
import type { TextStream, Tokenizer } from '../text/tokenizer.ts';

/** One sampled token, for `logprobs`. */
export interface SaidToken {
  readonly text: string;
  readonly logprob: number;
}

/** What is new. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly SaidToken[];
}

export interface Transcript {
  /** Everything said since the last call; `ended`: no token will follow. */
  take(ledger: Ledger, ended: boolean): Piece;
}

export function createTranscript(
  tokenizer: Tokenizer,
  stops: readonly string[],
  promptTokens: number,
): Transcript {
  const ends = new Set(tokenizer.eosIds);
  let at = promptTokens;
  let stream: TextStream = tokenizer.stream({ skipSpecial: true });
  let turn = 0;
  /** Text of the model that is not said yet, because a stop string may begin in it. */
  let kept = '';
  let stopped = false;

  return {
    take(ledger, ended) {
      const tokens: SaidToken[] = [];
      let text = '';
      const { ids, origins, turns, logprobs, length } = ledger;
      while (at < length && !stopped) {
        const origin = origins[at]!;
        if (origin !== Origin.policy) {
          text += release(stream.flush());
          const start = at;
          while (at < length && origins[at] === origin) at++;
          const other = tokenizer.decode(ids.subarray(start, at));
          text += origin === Origin.template ? other.replace(kTurnGlue, '') : other;
          continue;
        }
        if (turns[at] !== turn) {
          turn = turns[at]!;
          stream = tokenizer.stream({ skipSpecial: true });
        }
        const id = ids[at]!;
        if (!ends.has(id)) {
          tokens.push({ text: tokenizer.decode([id]), logprob: logprobs[at]! });
          text += say(stream.push(id));
        }
        at += 1;
      }
      if (ended && !stopped) text += release(stream.flush());
      return { text, tokens };
    },
  };

  /** The part of the model's text that can be said. */
  function say(more: string): string {
    kept += more;
    const stop = firstStop(kept, stops);
    if (stop >= 0) {
      stopped = true;
      const said = kept.slice(0, stop);
      kept = '';
      return said;
    }
    const hold = heldBack(kept, stops);
    const said = kept.slice(0, kept.length - hold);
    kept = kept.slice(kept.length - hold);
    return said;
  }

  /** The turn is over: no stop string can be completed any more. */
  function release(rest: string): string {
    const said = say(rest) + (stopped ? '' : kept);
    kept = '';
    return said;
  }
}

/** Ends and headers of turns in a template's text; the rest (`<tool_response>`, `Code Execution Results:`) is shown. */
const kTurnGlue = /<\|im_start\|>\w+\n|<\|im_end\|>\n?/g;

/** Where the first stop string begins, or -1. */
function firstStop(text: string, stops: readonly string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
  return found.length === 0 ? -1 : Math.min(...found);
}

/** Characters at the end of `text` that may begin a stop string. */
function heldBack(text: string, stops: readonly string[]): number {
  let most = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > most; length--) {
      if (text.endsWith(stop.slice(0, length))) {
        most = length;
        break;
      }
    }
  }
  return most;
}

/** The format with parsers that also end a turn at a stop string, as neither call nor answer. */
export function stoppingAt(format: ToolFormat, stops: readonly string[]): ToolFormat {
  if (stops.length === 0) return format;
  const longest = Math.max(...stops.map((stop) => stop.length));
  return {
    ...format,
    parser(): TurnParser {
      const inner = format.parser();
      let tail = '';
      return {
        get trailing() {
          return inner.trailing;
        },
        push(text): ParseEvent | null {
          tail = (tail + text).slice(-(longest + text.length));
          if (firstStop(tail, stops) >= 0) return { kind: 'text' };
          return inner.push(text);
        },
        end: (reason) => inner.end(reason),
      };
    },
  };
}

/** A format for plain conversation: a turn ends where the model ends it, and nothing in it is a call. */
export function plainFormat(base: ToolFormat): ToolFormat {
  return {
    ...base,
    parser: (): TurnParser => ({ trailing: 0, push: () => null, end: () => ({ kind: 'text' }) }),
    answer: () => null,
  };
}
