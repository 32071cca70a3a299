/** The bytes between the trainer and the supervisor (sandbox/frames.h): what goes out, what is understood, what is refused. */
import test from 'ava';
import {
  frameKinds,
  frameReader,
  idFrame,
  type RunFrame,
  readResult,
  runFrame,
} from '../lib/tools/sandbox/frames.ts';
import { maximumCodeLength, maximumFilesBytes } from '../lib/tools/tool.ts';

const le = (value: number | bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n));
const sized = (bytes: Uint8Array | string): number[] => {
  const content = [...Buffer.from(bytes)];
  return [...le(content.length, 4), ...content];
};
const framed = (kind: number, body: number[]): Buffer =>
  Buffer.from([...le(body.length + 1, 4), kind, ...body]);

const run: RunFrame = {
  id: 2 ** 53 - 1,
  session: 2 ** 32,
  continues: true,
  template: 1,
  processes: 7,
  startSeconds: 20,
  cpuSeconds: 86_400,
  wallSeconds: 0.0000011,
  memoryBytes: 2 ** 50 + 3,
  fileBytes: 2 ** 32 - 1,
  keptBytes: 64,
  hardBytes: 2 ** 20,
  seed: 2n ** 64n - 1n,
  code: 'print("é𝄞")',
  stdin: 'ü\n',
  files: { 'a/ö.bin': Uint8Array.of(0, 255), 'a/empty': new Uint8Array(0) },
  fetch: ['x', 'y/z'],
};

test('a run is laid out field by field, numbers above 32 bits and texts beyond ASCII included', (t) => {
  const files = [...sized('a/ö.bin'), ...sized(Uint8Array.of(0, 255)), ...sized('a/empty'), ...sized('')];
  const expected = framed(frameKinds.run, [
    ...[...le(run.id, 8), ...le(run.session, 8), ...le(1, 4), ...le(1, 4), ...le(7, 4)],
    ...[...le(20_000_000, 8), ...le(86_400_000_000, 8), ...le(2, 8)],
    ...[...le(2 ** 50 + 3, 8), ...le(2 ** 32 - 1, 8), ...le(64, 8), ...le(2 ** 20, 8), ...le(run.seed, 8)],
    ...[...sized(run.code), ...sized(run.stdin), ...sized(Uint8Array.from(files)), ...sized('x\0y/z\0')],
  ]);
  t.deepEqual(runFrame(run), expected);
  t.deepEqual(idFrame(frameKinds.cancel, 2 ** 40 + 1), framed(frameKinds.cancel, le(2 ** 40 + 1, 8)));
  const lone = runFrame({ ...run, code: 'x\ud800y' });
  t.true(lone.includes(Buffer.from([0x78, 0xed, 0xa0, 0x80, 0x79])), 'a lone surrogate is not valid UTF-8');
});

const result = [
  ...[...le(2 ** 52 + 5, 8), 2, 1 | 4, ...le(0x89, 4)],
  ...[...le(3_000_000, 8), ...le(5, 8), ...le(2 ** 33, 8), ...le(2 ** 34, 8)],
  ...[...le(10, 8), ...sized('abc'), ...sized('xyz')],
  ...[...le(0, 8), ...sized(''), ...sized('')],
  ...[...sized('/sandbox'), ...sized('')],
  ...[...le(1, 4), ...le(1, 4), ...sized('out')],
];

test('the largest request that is accepted fits into a frame', (t) => {
  const names = 2 * 256 * 1024; // of files, and of those to fetch
  t.true(2 * 3 * maximumCodeLength + maximumFilesBytes + names < 2 ** 28);
});

test('a result is read field by field, and keeps nothing of the chunk that it came in', (t) => {
  const body = Buffer.from(result);
  const read = readResult(body);
  body.fill(0);
  t.deepEqual(read, {
    ...{
      id: 2 ** 52 + 5,
      cause: 'wall',
      started: true,
      sessionEnded: false,
      starved: true,
      outOfMemory: false,
    },
    ...{ status: 0x89, seconds: 3, startSeconds: 5e-6, cpuSeconds: 2 ** 33 / 1e6, residentBytes: 2 ** 34 },
    stdout: {
      head: new Uint8Array(Buffer.from('abc')),
      dropped: 4,
      tail: new Uint8Array(Buffer.from('xyz')),
    },
    stderr: { head: new Uint8Array(0), dropped: 0, tail: new Uint8Array(0) },
    ...{ workdir: '/sandbox', error: '' },
    files: new Map([[1, new Uint8Array(Buffer.from('out'))]]),
  });
});

test('a result that is cut off anywhere, or has an unknown cause, is a RangeError', (t) => {
  for (let size = 0; size < result.length; size++) {
    t.throws(
      () => readResult(Buffer.from(result.slice(0, size))),
      { instanceOf: RangeError },
      `${size} bytes`,
    );
  }
  t.throws(() => readResult(Buffer.from(result.with(8, 200))), { message: /cause that is not known/ });
});

test('frames are found in a stream however it is cut', (t) => {
  const stream = Buffer.concat([idFrame(3, 1), runFrame(run), idFrame(4, 2)]);
  for (const step of [1, 2, 3, 7, 64, stream.length]) {
    const found: [number, number][] = [];
    const read = frameReader((kind, body) => found.push([kind, body.length]));
    for (let at = 0; at < stream.length; at += step) read(stream.subarray(at, at + step));
    t.deepEqual(found, [
      [3, 8],
      [2, runFrame(run).length - 5],
      [4, 8],
    ]);
  }
  const read = frameReader(() => t.fail());
  t.throws(() => read(Buffer.from([0, 0, 0, 0, 1])), {
    message: /expected a frame of 1 to \d+ bytes, found 0/,
  });
});
