/** The key-value pairs of a GGUF file, read by a few lines of TypeScript so that tests of the tokenizer need no native code. */
import { closeSync, openSync, readSync } from 'node:fs';

/** Reads the metadata of the file; it must lie in the first 16 MiB. */
export function ggufMetadata(file: string): Record<string, unknown> {
  const bytes = Buffer.alloc(16 * 2 ** 20);
  const fd = openSync(file, 'r');
  const size = readSync(fd, bytes, 0, bytes.length, 0);
  closeSync(fd);
  if (bytes.toString('latin1', 0, 4) !== 'GGUF') throw new Error(`${file}: not a GGUF file`);
  let at = 24;
  const take = (count: number) => {
    at += count;
    if (at > size) throw new Error(`${file}: metadata beyond ${size} bytes`);
    return at - count;
  };
  const text = () => {
    const length = Number(bytes.readBigUInt64LE(take(8)));
    const start = take(length);
    return bytes.toString('utf8', start, start + length);
  };
  const readers: Record<number, () => unknown> = {
    0: () => bytes.readUInt8(take(1)),
    1: () => bytes.readInt8(take(1)),
    2: () => bytes.readUInt16LE(take(2)),
    3: () => bytes.readInt16LE(take(2)),
    4: () => bytes.readUInt32LE(take(4)),
    5: () => bytes.readInt32LE(take(4)),
    6: () => bytes.readFloatLE(take(4)),
    7: () => bytes.readUInt8(take(1)) !== 0,
    8: text,
    9: () => {
      const type = bytes.readUInt32LE(take(4));
      const count = Number(bytes.readBigUInt64LE(take(8)));
      return Array.from({ length: count }, () => value(type));
    },
    10: () => bytes.readBigUInt64LE(take(8)),
    11: () => bytes.readBigInt64LE(take(8)),
    12: () => bytes.readDoubleLE(take(8)),
  };
  const value = (type: number): unknown => {
    const read = readers[type];
    if (read === undefined) throw new Error(`${file}: unknown metadata type ${type}`);
    return read();
  };
  const count = Number(bytes.readBigUInt64LE(16));
  const metadata: Record<string, unknown> = {};
  for (let i = 0; i < count; i++) {
    const key = text();
    metadata[key] = value(bytes.readUInt32LE(take(4)));
  }
  return metadata;
}
