/**
 * The frames between the trainer and the supervisor, as `sandbox/frames.h` has them: u32 size, u8 kind, fields; little-endian;
 * texts and bytes as u32 size and content.
 */
import type { KeptStream } from '../output.ts';

export const frameKinds = {
  settings: 1,
  run: 2,
  cancel: 3,
  endSession: 4,
  ready: 16,
  result: 17,
  failed: 18,
};

/** Why a program ended, by number in a frame. */
export const causes = [
  'exit',
  'processor',
  'wall',
  'output',
  'quota',
  'cancelled',
  'failed',
  'session_lost',
] as const;

/** One call as the supervisor gets it; times in seconds. */
export interface RunFrame {
  id: number;
  /** 0: none. */
  session: number;
  /** The session was there before. */
  continues: boolean;
  template: number;
  processes: number;
  startSeconds: number;
  cpuSeconds: number;
  wallSeconds: number;
  memoryBytes: number;
  fileBytes: number;
  keptBytes: number;
  hardBytes: number;
  seed: bigint;
  code: string;
  stdin: string;
  files: Readonly<Record<string, Uint8Array>>;
  fetch: readonly string[];
}

/** What became of it. */
export interface ResultFrame {
  id: number;
  cause: (typeof causes)[number];
  started: boolean;
  sessionEnded: boolean;
  starved: boolean;
  /** The kernel killed it because memory ran out. */
  outOfMemory: boolean;
  /** As waitpid gives it. */
  status: number;
  /** From the program's beginning. */
  seconds: number;
  /** Until then. */
  startSeconds: number;
  cpuSeconds: number;
  residentBytes: number;
  stdout: KeptStream;
  stderr: KeptStream;
  /** The working directory as the program saw it. */
  workdir: string;
  error: string;
  /** By place in `fetch`. */
  files: Map<number, Uint8Array>;
}

const maximumFrame = 2 ** 28;

/** A frame under construction. */
class Writer {
  readonly #parts: Buffer[] = [];
  number(value: number | bigint, bytes: 1 | 4 | 8): this {
    const part = Buffer.alloc(bytes);
    if (bytes === 8) part.writeBigUInt64LE(BigInt(value));
    else part.writeUIntLE(Number(value), 0, bytes);
    this.#parts.push(part);
    return this;
  }
  bytes(content: Uint8Array): this {
    this.number(content.length, 4);
    this.#parts.push(Buffer.from(content.buffer, content.byteOffset, content.byteLength));
    return this;
  }
  text(content: string): this {
    return this.bytes(Buffer.from(content, 'utf8'));
  }
  get content(): Buffer {
    return Buffer.concat(this.#parts);
  }
  frame(kind: number): Buffer {
    const size = 1 + this.#parts.reduce((sum, part) => sum + part.length, 0);
    const head = Buffer.alloc(5);
    head.writeUInt32LE(size);
    head.writeUInt8(kind, 4);
    return Buffer.concat([head, ...this.#parts]);
  }
}

export function settingsFrame(settings: readonly (readonly [name: string, value: string])[]): Buffer {
  const writer = new Writer();
  for (const [name, value] of settings) writer.text(`${name}=${value}`);
  return writer.frame(frameKinds.settings);
}

export function idFrame(kind: number, id: number): Buffer {
  return new Writer().number(id, 8).frame(kind);
}

/** A lone surrogate has no UTF-8; it becomes what Python calls invalid, so that the program fails and nothing else does. */
function codeBytes(code: string): Buffer {
  if (!/\p{Surrogate}/u.test(code)) return Buffer.from(code, 'utf8');
  return Buffer.concat(
    code
      .split(/(\p{Surrogate})/u)
      .map((part, i) => (i % 2 === 0 ? Buffer.from(part, 'utf8') : Buffer.from([0xed, 0xa0, 0x80]))),
  );
}

export function runFrame(run: RunFrame): Buffer {
  const microseconds = (seconds: number) => Math.ceil(seconds * 1e6);
  const files = new Writer();
  for (const [name, content] of Object.entries(run.files)) files.text(name).bytes(content);
  return new Writer()
    .number(run.id, 8)
    .number(run.session, 8)
    .number(run.continues ? 1 : 0, 4)
    .number(run.template, 4)
    .number(run.processes, 4)
    .number(microseconds(run.startSeconds), 8)
    .number(microseconds(run.cpuSeconds), 8)
    .number(microseconds(run.wallSeconds), 8)
    .number(run.memoryBytes, 8)
    .number(run.fileBytes, 8)
    .number(run.keptBytes, 8)
    .number(run.hardBytes, 8)
    .number(run.seed, 8)
    .bytes(codeBytes(run.code))
    .text(run.stdin)
    .bytes(files.content)
    .text(run.fetch.map((name) => `${name}\0`).join(''))
    .frame(frameKinds.run);
}

/** Reads fields off a frame's body. */
class Reader {
  #at = 0;
  readonly #body: Buffer;
  constructor(body: Buffer) {
    this.#body = body;
  }
  number(bytes: 1 | 4 | 8): number {
    this.#at += bytes;
    const from = this.#at - bytes;
    return bytes === 8 ? Number(this.#body.readBigUInt64LE(from)) : this.#body.readUIntLE(from, bytes);
  }
  bytes(): Buffer {
    const size = this.number(4);
    if (size > this.#body.length - this.#at) throw new RangeError('a field goes beyond its frame');
    this.#at += size;
    return this.#body.subarray(this.#at - size, this.#at);
  }
  text(): string {
    return this.bytes().toString('utf8');
  }
}

function readStream(reader: Reader): KeptStream {
  const total = reader.number(8);
  // Copies: a view would keep the whole chunk that it came in.
  const head = Uint8Array.from(reader.bytes());
  const tail = Uint8Array.from(reader.bytes());
  return { head, dropped: total - head.length - tail.length, tail };
}

/** @throws {RangeError} if the body is not a result's. */
export function readResult(body: Buffer): ResultFrame {
  const reader = new Reader(body);
  const id = reader.number(8);
  const cause = causes[reader.number(1)];
  if (cause === undefined) throw new RangeError('a result has a cause that is not known');
  const flags = reader.number(1);
  const result = {
    ...{ id, cause, started: (flags & 1) !== 0, sessionEnded: (flags & 2) !== 0, starved: (flags & 4) !== 0 },
    outOfMemory: (flags & 8) !== 0,
    status: reader.number(4),
    seconds: reader.number(8) / 1e6,
    startSeconds: reader.number(8) / 1e6,
    cpuSeconds: reader.number(8) / 1e6,
    residentBytes: reader.number(8),
    stdout: readStream(reader),
    stderr: readStream(reader),
    workdir: reader.text(),
    error: reader.text(),
    files: new Map<number, Uint8Array>(),
  };
  for (let left = reader.number(4); left > 0; left--) {
    result.files.set(reader.number(4), Uint8Array.from(reader.bytes()));
  }
  return result;
}

/** Splits a byte stream into frames; calls `take` for each. */
export function frameReader(take: (kind: number, body: Buffer) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let size = 0;
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    for (;;) {
      if (size < 5) return;
      if (chunks[0]!.length < 5) chunks = [Buffer.concat(chunks)];
      const length = chunks[0]!.readUInt32LE(0);
      if (length < 1 || length > maximumFrame)
        throw new RangeError(`expected a frame of 1 to ${maximumFrame} bytes, found ${length}`);
      if (size < 4 + length) return;
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      chunks = [all.subarray(4 + length)];
      size -= 4 + length;
      take(all.readUInt8(4), all.subarray(5, 4 + length));
    }
  };
}
