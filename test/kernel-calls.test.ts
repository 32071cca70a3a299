/**
 * How kernels.* are called: operands that do not fit, order, memory that is disposed or transferred, threads, and the example
 * that embeds them.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { errorCode } from '../lib/errors.ts';
import * as kernels from '../lib/model/kernels.ts';
import { Tensor } from '../lib/model/tensor.ts';
import { packageRoot } from '../lib/package.ts';
import { normal } from './support/float64.ts';

const tensor = (count: number[], seed: number, std = 1) =>
  Tensor.from(
    normal(
      count.reduce((a, b) => a * b, 1),
      seed,
      std,
    ),
    count,
  );
const bits = (values: Float32Array) => Array.from(new Uint32Array(values.slice().buffer));

test('operands that do not fit throw at once, naming op, operands, expectation and finding', (t) => {
  const x = tensor([2, 3], 1);
  const ids = Tensor.from(Int32Array.of(1));
  const cases: [() => unknown, string, string][] = [
    [
      () => kernels.linear({ x, weight: tensor([4, 5], 1) }),
      'ERR_SHAPE_MISMATCH',
      'linear: x [2,3] and weight [4,5] do not agree: K is 3 in x and 5 in weight',
    ],
    [
      () => kernels.linear({ x, weight: tensor([4, 3], 1), y: tensor([2, 5], 1) }),
      'ERR_SHAPE_MISMATCH',
      'linear: weight [4,3] and y [2,5] do not agree: N is 4 in weight and 5 in y',
    ],
    [
      () => kernels.linear({ x, weight: tensor([3], 1) }),
      'ERR_SHAPE_MISMATCH',
      'linear: expected weight [N,K] but found [3]',
    ],
    [
      () => kernels.linear({ x, weight: Tensor.empty([0, 3]) }),
      'ERR_SHAPE_MISMATCH',
      'linear: expected N of 1 or more but found weight [0,3]',
    ],
    [
      () => kernels.rmsNorm({ x: tensor([3], 1), weight: tensor([3], 1) }),
      'ERR_SHAPE_MISMATCH',
      'rmsNorm: expected x […,T,C] but found [3]',
    ],
    [
      () => kernels.rope({ x: tensor([1, 1, 3], 1), positions: ids }),
      'ERR_SHAPE_MISMATCH',
      'rope: expected an even D (pairs are rotated) but found x [1,1,3]',
    ],
    [
      () => kernels.attention({ q: tensor([1, 3, 2], 1), k: tensor([1, 2, 2], 1), v: tensor([1, 2, 2], 1) }),
      'ERR_SHAPE_MISMATCH',
      'attention: expected q heads that are a multiple of the 2 key/value heads but found q [1,3,2]',
    ],
    [
      () => kernels.linear({ x: ids as unknown as typeof x, weight: x }),
      'ERR_DTYPE_MISMATCH',
      'linear: expected float32 for x but found int32 [1]',
    ],
    [
      () => kernels.embedding({ ids: x as unknown as typeof ids, table: x }),
      'ERR_DTYPE_MISMATCH',
      'embedding: expected int32 for ids but found float32 [2,3]',
    ],
    [
      () => kernels.swiglu({ gate: Tensor.empty([2, 3], 'float32', 'panels'), up: x }),
      'ERR_DTYPE_MISMATCH',
      'swiglu: expected rows for gate but found packed panels; unpackWeight makes rows of them',
    ],
    [
      () => kernels.rmsNorm({ x, weight: tensor([3], 1), y: Tensor.from(x.data.subarray(3), [1, 3]) }),
      'ERR_SHAPE_MISMATCH',
      'rmsNorm: x [2,3] and y [1,3] do not agree: T is 2 in x and 1 in y',
    ],
    [
      () => kernels.swiglu({ gate: x, up: x, act: x }),
      'ERR_OVERLAP',
      'swiglu: act overlaps the memory of gate; this op needs memory of its own for act',
    ],
    [
      () => Tensor.from(new Float32Array(3), [2, 2]),
      'ERR_SHAPE_MISMATCH',
      'Tensor.from: shape [2,2] needs 4 elements but the array has 3',
    ],
    [() => Tensor.empty([2, -1]), 'ERR_SHAPE_MISMATCH', 'Expected dimensions of 0 or more but found [2,-1]'],
  ];
  for (const [run, code, message] of cases) {
    const error = t.throws(() => void run());
    t.is(error?.message, message);
    t.is(errorCode(error), code);
  }
  t.throws(() => void kernels.linear({ x: new Float32Array(3) as unknown as typeof x, weight: x }), {
    instanceOf: TypeError,
    message: 'linear: expected a Tensor for x but received object; wrap typed arrays with Tensor.from',
  });
  for (const [value, name] of [
    [new Float64Array(1), 'Float64Array'],
    [[1], 'object'],
    [undefined, 'undefined'],
  ] as const) {
    t.throws(() => Tensor.from(value as unknown as Float32Array), {
      instanceOf: TypeError,
      message: `Tensor.from: expected a Float32Array, Uint16Array (bfloat16), Int32Array or Uint8Array but received ${name}`,
    });
  }
  const elsewhere = runInNewContext('Float32Array.of(1, 2)') as Float32Array;
  t.is(Tensor.from(elsewhere).dtype, 'float32');
});

test('tensors of no rows are fine, tensors of one are too', async (t) => {
  const none = Tensor.empty([0, 3]);
  const weight = tensor([2, 3], 1);
  t.deepEqual((await kernels.linear({ x: none, weight })).shape, [0, 2]);
  const { dx, dweight } = await kernels.linearBackward({ dy: Tensor.empty([0, 2]), x: none, weight });
  t.deepEqual([dx.size, Array.from(dweight.data)], [0, [0, 0, 0, 0, 0, 0]]);
  const noIds = Tensor.from(new Int32Array(0));
  t.is((await kernels.embedding({ ids: noIds, table: weight })).size, 0);
  t.is((await kernels.lossHead({ hidden: none, weight, labels: noIds })).logprobs.size, 0);
  t.is(
    (
      await kernels.attention({
        q: Tensor.empty([0, 1, 2]),
        k: Tensor.empty([0, 1, 2]),
        v: Tensor.empty([0, 1, 2]),
        seqStarts: Tensor.from(Int32Array.of(0)),
      })
    ).out.size,
    0,
  );
  t.is(
    (
      await kernels.policyLoss({
        logprobs: Tensor.empty([0]),
        weight: Tensor.empty([0]),
        loss: { kind: 'cross_entropy' },
      })
    ).tokens,
    0,
  );
  const one = await kernels.lossHead({
    hidden: tensor([1, 1], 1),
    weight: tensor([1, 1], 2),
    labels: Tensor.from(Int32Array.of(0)),
  });
  t.deepEqual([one.logprobs.data[0], one.entropies.data[0]], [0, 0]);
});

test('ops run in the order of the calls: one may use the output of another that has not settled', async (t) => {
  const x = tensor([64, 256], 1);
  const weight = tensor([256, 256], 2, 1 / 16);
  const y = Tensor.empty([64, 256]);
  const z = Tensor.empty([64, 256]);
  const settled: string[] = [];
  const calls = [
    kernels.linear({ x, weight, y }).then(() => settled.push('first')),
    kernels.linear({ x: y, weight, y: z }).then(() => settled.push('second')),
    kernels
      .rope({ x: Tensor.from(z.data, [64, 4, 64]), positions: Tensor.from(new Int32Array(64).fill(-1)) })
      .catch((error: Error) => settled.push(error.message)),
    kernels.linear({ x: z, weight, y }).then(() => settled.push('last')),
  ];
  await Promise.all(calls);
  t.deepEqual(settled, [
    'first',
    'second',
    'rope: expected positions from 0 to 16777215 but entry 0 is -1',
    'last',
  ]);
  const first = await kernels.linear({ x, weight });
  const second = await kernels.linear({ x: first, weight });
  t.deepEqual(z.data, second.data);
  t.deepEqual(y.data, (await kernels.linear({ x: second, weight })).data);
});

test('a tensor wraps its array without a copy; a disposed or detached one is refused; in flight both are safe', async (t) => {
  const array = Float32Array.of(1, 2);
  const x = Tensor.from(array, [1, 2]);
  t.is(x.data, array);
  const weight = Tensor.from(Float32Array.of(1, 1, 2, 0), [2, 2]);
  const y = Tensor.empty([1, 2]);
  const view = y.data;
  const running = kernels.linear({ x, weight, y });
  y.dispose();
  y.dispose();
  x.dispose();
  t.is(await running, y);
  t.deepEqual(Array.from(view), [3, 2]);
  t.is(errorCode(t.throws(() => y.data)), 'ERR_DISPOSED');
  t.is(
    errorCode(
      t.throws(() => void kernels.linear({ x, weight }), { message: /linear: expected a live tensor for x/ }),
    ),
    'ERR_DISPOSED',
  );

  const moved = Tensor.from(new Float32Array(2), [1, 2]);
  structuredClone(moved.data, { transfer: [moved.data.buffer as ArrayBuffer] });
  t.is(
    errorCode(t.throws(() => void kernels.linear({ x: moved, weight }), { message: /transferred away/ })),
    'ERR_DETACHED',
  );
  const late = Tensor.from(new Float32Array(2), [1, 2]);
  const call = kernels.linear({ x: late, weight });
  const holder = structuredClone(late.data, { transfer: [late.data.buffer as ArrayBuffer] });
  t.is(
    errorCode(
      await t.throwsAsync(call, { message: /ArrayBuffer of x was transferred away while the op ran/ }),
    ),
    'ERR_DETACHED',
  );
  t.is(holder.length, 2);

  const shared = new Float32Array(new SharedArrayBuffer(8)).fill(1);
  t.deepEqual(Array.from((await kernels.linear({ x: Tensor.from(shared, [1, 2]), weight })).data), [2, 2]);
  const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer;
  t.throws(() => Tensor.from(new Float32Array(new Resizable(8, { maxByteLength: 16 }))), {
    message: /resizable/,
  });
});

test.serial('the number of threads changes no bit, and a trace names the ops that ran', async (t) => {
  const x = tensor([50, 300], 1);
  const weight = tensor([700, 300], 2);
  const labels = Tensor.from(Int32Array.from({ length: 50 }, (_, i) => i * 13));
  const found: unknown[] = [];
  for (const threads of [1, 3]) {
    t.is((await kernels.setThreads(threads)).threads, threads);
    const { result, entries } = await kernels.trace(async () => {
      const head = await kernels.lossHead({ hidden: x, weight, labels });
      const grads = await kernels.linearBackward({ dy: await kernels.linear({ x, weight }), x, weight });
      return [head.logprobs, head.entropies, grads.dx, grads.dweight].map(({ data }) => bits(data));
    });
    found.push(result);
    t.deepEqual(
      entries.map(({ op }) => op),
      ['lossHead', 'linear', 'linearBackward'],
    );
    t.true(entries.every(({ seconds }) => seconds > 0));
  }
  t.deepEqual(found[0], found[1]);
  t.regex((await kernels.backend()).name, /^cpu-(avx512bf16|avx512|avx2|portable)$/);
});

test('examples/embedding.ts learns', (t) => {
  const program = join(packageRoot, 'examples', 'embedding.ts');
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--import=tsx', program], {
    encoding: 'utf8',
  });
  t.is(status, 0, stderr);
  t.log(stdout);
  const rewards = Array.from(stdout.matchAll(/reward ([\d.]+)/g), ([, reward]) => Number(reward));
  t.true(rewards[0]! < 0.1 && rewards.at(-1)! > 0.6, stdout);
});
