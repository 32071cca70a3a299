/**
 * TensorBoard event files: a run's metrics as scalars, for whoever watches many runs in one place.
 *
 * Format: TFRecord framing (length, masked CRC-32C of the length, data, masked CRC-32C of the data) around protocol buffers
 * `Event` (tensorflow/core/util/event.proto), of which this writes version, scalar summaries and session starts. A session
 * start at step s makes TensorBoard forget what an earlier attempt wrote from s on.
 */
import { appendFileSync } from 'node:fs';

/** Writes one event file. Each call appends whole records. */
export interface EventFile {
  /** Scalars of one step: numbers by tag; other values are left out. */
  scalars(step: number, values: Readonly<Record<string, unknown>>, prefix: string): void;
}

/** Start an event file at `path` for an attempt that goes on after `step` steps. */
export function createEventFile(path: string, step: number, now: () => number = Date.now): EventFile {
  const append = (events: readonly Uint8Array[]) => appendFileSync(path, Buffer.concat(events.map(record)));
  append([
    Buffer.concat([double(1, now() / 1000), bytes(3, Buffer.from('brain.Event:2'))]),
    Buffer.concat([double(1, now() / 1000), varint(2, step + 1), bytes(7, varint(1, 1))]),
  ]);
  return {
    scalars(at, values, prefix) {
      const entries = Object.entries(values).flatMap(([name, value]) =>
        typeof value === 'number' ? [bytes(1, scalar(`${prefix}/${name}`, value))] : [],
      );
      if (entries.length === 0) return;
      append([Buffer.concat([double(1, now() / 1000), varint(2, at), bytes(5, Buffer.concat(entries))])]);
    },
  };
}

/** Summary.Value: tag and simple_value. */
function scalar(tag: string, value: number): Buffer {
  const data = Buffer.alloc(5);
  data[0] = (2 << 3) | 5;
  data.writeFloatLE(value, 1);
  return Buffer.concat([bytes(1, Buffer.from(tag)), data]);
}

function record(data: Uint8Array): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc(data));
  return Buffer.concat([head, data, tail]);
}

function varintBytes(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) | 128);
  }
}

function varint(field: number, value: number): Buffer {
  return Buffer.from([(field << 3) | 0, ...varintBytes(value)]);
}

function bytes(field: number, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varintBytes(data.length)]), data]);
}

function double(field: number, value: number): Buffer {
  const data = Buffer.alloc(9);
  data[0] = (field << 3) | 1;
  data.writeDoubleLE(value, 1);
  return data;
}

const kTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C (Castagnoli), reflected. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ kTable[(crc ^ byte) & 255]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** As TFRecord stores it, so that a checksum of checksums is no special case. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
