/**
 * From the bytes a program wrote to the text a model reads: decoding, head and tail with a marker, traceback trimmed to
 * the program's own code, host paths hidden, control characters removed. Pure functions, shared by all backends.
 * Invariant: the same bytes and status give the same text, whatever the machine's paths and process ids are.
 */
import type { ToolStatus } from './tool.ts';

/** A stream of which only the first and the last bytes were kept. */
export interface KeptStream {
  head: Uint8Array;
  /** Bytes between head and tail that were not kept. */
  dropped: number;
  tail: Uint8Array;
}

/** Text shown in place of `bytes` missing bytes. */
export function omissionMarker(bytes: number): string {
  return `\n... [${bytes} bytes omitted] ...\n`;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** How many bytes at the end of `bytes` are the beginning of a UTF-8 character that is cut off. */
function cutOffAtEnd(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? back : 0;
    }
    if (byte < 0x80) return 0;
  }
  return 0;
}

/** How many bytes at the start of `bytes` continue a UTF-8 character that began before. */
function cutOffAtStart(bytes: Uint8Array): number {
  let count = 0;
  while (count < Math.min(3, bytes.length) && (bytes[count]! & 0xc0) === 0x80) count++;
  return count;
}

interface KeptText {
  head: string;
  dropped: number;
  tail: string;
}

function decode(stream: KeptStream): KeptText {
  if (stream.dropped === 0) {
    const { head, tail } = stream;
    const all = tail.length === 0 ? head : Buffer.concat([head, tail]);
    return { head: all.length === 0 ? '' : decoder.decode(all), dropped: 0, tail: '' };
  }
  const end = cutOffAtEnd(stream.head);
  const start = cutOffAtStart(stream.tail);
  return {
    head: decoder.decode(stream.head.subarray(0, stream.head.length - end)),
    dropped: stream.dropped + end + start,
    tail: decoder.decode(stream.tail.subarray(start)),
  };
}

function join(text: KeptText): string {
  return text.dropped === 0 ? text.head + text.tail : text.head + omissionMarker(text.dropped) + text.tail;
}

function textBytes({ head, tail }: KeptText): number {
  return Buffer.byteLength(head) + Buffer.byteLength(tail);
}

/** Shortens to at most `budget` UTF-8 bytes besides the marker, half from each end. */
function shorten(text: KeptText, budget: number): KeptText {
  if (textBytes(text) <= budget) return text;
  const head = Buffer.from(text.head);
  const tail = Buffer.from(text.tail);
  const source = text.dropped === 0 ? Buffer.concat([head, tail]) : head;
  const end = text.dropped === 0 ? source : tail;
  const tailSize = Math.min(Math.floor(budget / 2), end.length);
  const headSize = Math.min(budget - tailSize, text.dropped === 0 ? source.length - tailSize : head.length);
  const kept = {
    head: source.subarray(0, headSize),
    tail: end.subarray(end.length - tailSize),
    dropped: text.dropped + head.length + tail.length - headSize - tailSize,
  };
  return decode(kept);
}

/** The stream as text, with a marker where bytes are missing and U+FFFD for what is not UTF-8. */
export function streamText(stream: KeptStream): string {
  return join(decode(stream));
}

// Terminal sequences: CSI, OSC and the other string sequences (ended by BEL or ST), two-byte escapes.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const escapes = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\-~])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Removes terminal sequences, NUL and other control characters; line ends become `\n`. */
export function harmless(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(escapes, '').replace(controls, '');
}

/** Where the host shows through in a program's output. */
export interface HostPaths {
  /** The call's private working directory; shown as `/sandbox`. */
  workdir: string;
  /** Directories and files of the interpreter; shown as `<python>`. */
  interpreter: readonly string[];
}

function hidePaths(text: string, paths: HostPaths): string {
  if (!text.includes('/')) return text; // every path has one, being absolute
  let shown = text.replaceAll(paths.workdir, '/sandbox');
  for (const path of [...paths.interpreter].sort((a, b) => b.length - a.length)) {
    shown = shown.replaceAll(path, '<python>');
  }
  return shown;
}

const frameLine = /^ {2}File "([^"]*)", line \d+(, in .*)?$/;

/**
 * Drops from every traceback the frames that are not the program's own (those of files with an absolute path, of frozen
 * and of internal modules), and shortens other absolute file names to their last part.
 */
export function trimTraceback(text: string): string {
  if (text === '') return text;
  const kept: string[] = [];
  let skipping = false;
  for (const line of text.split('\n')) {
    const match = frameLine.exec(line);
    if (match) {
      const [, file, inFunction] = match;
      const foreign = /^(?:\/|<frozen |<python>|<[^>]* internals>)/.test(file!);
      skipping = foreign && inFunction !== undefined;
      if (!skipping) kept.push(foreign ? line.replace(file!, file!.replace(/^.*\//, '')) : line);
    } else if (skipping && (line.startsWith('    ') || line.startsWith('  [Previous line repeated'))) {
      // source line and marks of a dropped frame
    } else {
      skipping = false;
      kept.push(line.replace(/^(?:\/|<python>\/)\S*\/([^/\s]+\.py:\d+: \w*Warning: )/, '$1'));
    }
  }
  return kept.join('\n');
}

/** How a program ended, as far as its text shows it. */
export interface Ending {
  status: ToolStatus;
  exitCode: number | null;
  signal: string | null;
  /** Of the clock that ran out. */
  seconds: number;
  memoryBytes: number;
  /** Bytes of output after which a program is stopped. */
  hardBytes: number;
  /** Bytes that its files may have together. */
  fileBytes: number;
  /** The session went with the program. */
  sessionEnded: boolean;
}

/** One line for an ending that the program's own output does not explain; empty if it does. */
function endingLine(ending: Ending, stderr: string): string {
  const line = reasonLine(ending, stderr);
  const lost = ending.sessionEnded && ending.status !== 'session_lost';
  return lost
    ? `${line}${line === '' ? '' : '\n'}The session has ended with it: its variables are lost`
    : line;
}

function reasonLine(ending: Ending, stderr: string): string {
  switch (ending.status) {
    case 'timeout':
      return `TimeoutError: the program was stopped after ${ending.seconds} s`;
    case 'memory':
      return /MemoryError|Cannot allocate memory/.test(stderr)
        ? ''
        : `MemoryError: the program needed more than ${Math.floor(ending.memoryBytes / 2 ** 20)} MiB`;
    case 'output_limit':
      return `OutputLimitError: the program was stopped because it wrote more than ${ending.hardBytes} bytes`;
    case 'quota':
      return `OSError: the program was stopped because it wrote more than ${ending.fileBytes} bytes of files, or too many files`;
    case 'session_lost':
      return "The program was not run: the session's interpreter has ended and its variables are lost";
    case 'exception':
      if (ending.signal !== null) return `The program was ended by signal ${ending.signal}`;
      return stderr.trim() === '' ? `The program ended with exit status ${ending.exitCode}` : '';
    default:
      return '';
  }
}

/**
 * What the model reads after a call: stdout, then the trimmed stderr, then one line if the ending needs one. At most
 * `budget` bytes besides that line and the markers; stderr, which says what went wrong, keeps at least half if both are
 * too long. Empty for `infrastructure_error`.
 */
export function modelView(
  stdout: KeptStream,
  stderr: KeptStream,
  ending: Ending,
  paths: HostPaths,
  budget: number,
): string {
  if (ending.status === 'infrastructure_error') return '';
  const clean = (stream: KeptStream, trim: (text: string) => string): KeptText => {
    const { head, dropped, tail } = decode(stream);
    return {
      head: trim(hidePaths(harmless(head), paths)),
      dropped,
      tail: trim(hidePaths(harmless(tail), paths)),
    };
  };
  let out = clean(stdout, (text) => text);
  let err = clean(stderr, trimTraceback);
  err = shorten(err, Math.max(Math.floor(budget / 2), budget - textBytes(out)));
  out = shorten(out, budget - Math.min(textBytes(err), budget));
  const errors = join(err);
  const parts = [join(out), errors, endingLine(ending, errors)].filter((part) => part !== '');
  return parts.reduce(
    (text, part) => (text === '' || text.endsWith('\n') ? text + part : `${text}\n${part}`),
    '',
  );
}
