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

const kHead = 5;

/** A frame under construction, in one buffer. */
class Writer {
  #content: Buffer;
  #size = kHead;

  /** `room`: bytes that are surely needed. */
  constructor(room: number) {
    this.#content = Buffer.allocUnsafe(kHead + room);
  }
  #take(bytes: number): number {
    const at = this.#size;
    this.#size += bytes;
    if (this.#size > this.#content.length) {
      const larger = Buffer.allocUnsafe(2 * this.#size);
      this.#content.copy(larger, 0, 0, at);
      this.#content = larger;
    }
    return at;
  }
  u32(value: number): this {
    const at = this.#take(4);
    this.#content.writeUInt32LE(value, at);
    return this;
  }
  /** A whole number below 2^53, in 8 bytes. */
  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }
  big(value: bigint): this {
    const at = this.#take(8);
    this.#content.writeBigUInt64LE(value, at);
    return this;
  }
  bytes(content: Uint8Array): this {
    this.u32(content.length);
    const at = this.#take(content.length);
    this.#content.set(content, at);
    return this;
  }
  text(content: string): this {
    const size = Buffer.byteLength(content);
    this.u32(size);
    const at = this.#take(size);
    this.#content.write(content, at, size, 'utf8');
    return this;
  }
  frame(kind: number): Buffer {
    this.#content.writeUInt32LE(this.#size - 4);
    this.#content.writeUInt8(kind, 4);
    return this.#content.subarray(0, this.#size);
  }
}

export function settingsFrame(settings: readonly (readonly [name: string, value: string])[]): Buffer {
  const writer = new Writer(4096);
  for (const [name, value] of settings) writer.text(`${name}=${value}`);
  return writer.frame(frameKinds.settings);
}

export function idFrame(kind: number, id: number): Buffer {
  return new Writer(8).u64(id).frame(kind);
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

const microseconds = (seconds: number) => Math.ceil(seconds * 1e6);

/** Of a run's fields of fixed size and the sizes of the others. */
const kRunFields = 108;

export function runFrame(run: RunFrame): Buffer {
  const code = codeBytes(run.code);
  const names = Object.keys(run.files);
  let files = 0;
  for (const name of names) files += 8 + Buffer.byteLength(name) + run.files[name]!.length;
  const writer = new Writer(kRunFields + code.length + files + Buffer.byteLength(run.stdin))
    .u64(run.id)
    .u64(run.session)
    .u32(run.continues ? 1 : 0)
    .u32(run.template)
    .u32(run.processes)
    .u64(microseconds(run.startSeconds))
    .u64(microseconds(run.cpuSeconds))
    .u64(microseconds(run.wallSeconds))
    .u64(run.memoryBytes)
    .u64(run.fileBytes)
    .u64(run.keptBytes)
    .u64(run.hardBytes)
    .big(run.seed)
    .bytes(code)
    .text(run.stdin)
    .u32(files);
  for (const name of names) writer.text(name).bytes(run.files[name]!);
  return writer.text(run.fetch.map((name) => `${name}\0`).join('')).frame(frameKinds.run);
}

/** Reads fields off a frame's body. */
class Reader {
  #at = 0;
  readonly #body: Buffer;
  constructor(body: Buffer) {
    this.#body = body;
  }
  u8(): number {
    return this.#body.readUInt8(this.#at++);
  }
  u32(): number {
    this.#at += 4;
    return this.#body.readUInt32LE(this.#at - 4);
  }
  u64(): number {
    return this.u32() + 2 ** 32 * this.u32();
  }
  bytes(): Buffer {
    const size = this.u32();
    if (size > this.#body.length - this.#at) throw new RangeError('a field goes beyond its frame');
    this.#at += size;
    return this.#body.subarray(this.#at - size, this.#at);
  }
  /** A copy: a view would keep the whole chunk that it came in. */
  copy(): Uint8Array {
    return new Uint8Array(this.bytes());
  }
  text(): string {
    return this.bytes().toString('utf8');
  }
}

function readStream(reader: Reader): KeptStream {
  const total = reader.u64();
  const head = reader.copy();
  const tail = reader.copy();
  return { head, dropped: total - head.length - tail.length, tail };
}

/** @throws {RangeError} if the body is not a result's. */
export function readResult(body: Buffer): ResultFrame {
  const reader = new Reader(body);
  const id = reader.u64();
  const cause = causes[reader.u8()];
  if (cause === undefined) throw new RangeError('a result has a cause that is not known');
  const flags = reader.u8();
  const result: ResultFrame = {
    id,
    cause,
    started: (flags & 1) !== 0,
    sessionEnded: (flags & 2) !== 0,
    starved: (flags & 4) !== 0,
    outOfMemory: (flags & 8) !== 0,
    status: reader.u32(),
    seconds: reader.u64() / 1e6,
    startSeconds: reader.u64() / 1e6,
    cpuSeconds: reader.u64() / 1e6,
    residentBytes: reader.u64(),
    stdout: readStream(reader),
    stderr: readStream(reader),
    workdir: reader.text(),
    error: reader.text(),
    files: new Map<number, Uint8Array>(),
  };
  for (let left = reader.u32(); left > 0; left--) {
    result.files.set(reader.u32(), reader.copy());
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
