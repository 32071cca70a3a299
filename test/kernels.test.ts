/**
 * kernels.* on the caller's own buffers: every op against a float64 definition (support/float64.ts), gradients against
 * finite differences of that definition. What happens when operands do not fit: kernel-calls.test.ts.
 */
import test, { type ExecutionContext } from 'ava';
import { errorCode } from '../lib/errors.ts';
import * as kernels from '../lib/model/kernels.ts';
import { Tensor } from '../lib/model/tensor.ts';
import * as reference from './support/float64.ts';
import { inner, normal, numericGradient, relativeError } from './support/float64.ts';

/** Passes when the norm-wise relative error is below `limit`; prints it. */
function close(
  t: ExecutionContext,
  name: string,
  found: reference.Numbers,
  expected: reference.Numbers,
  limit = 2e-6,
) {
  const error = relativeError(found, expected);
  t.log(`${name}: relative error ${error.toExponential(1)} (limit ${limit.toExponential(0)})`);
  t.true(error <= limit, `${name}: ${error}`);
}

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

test('linear adds bias and residual, for rows and panels, float32 and bfloat16', async (t) => {
  const [T, K, N] = [7, 37, 45];
  const x = tensor([T, K], 1);
  const weight = tensor([N, K], 2, 0.2);
  const bias = tensor([N], 3);
  const residual = tensor([T, N], 4);
  const y = await kernels.linear({ x, weight, bias, residual });
  t.deepEqual(y.shape, [T, N]);
  const expected = reference
    .linear(x.data, weight.data, K, bias.data)
    .map((value, i) => value + residual.data[i]!);
  close(t, 'float32', y.data, expected);

  const packed = await kernels.packWeight({ weight });
  t.is(packed.layout, 'panels');
  t.deepEqual(bits((await kernels.linear({ x, weight: packed, bias, residual })).data), bits(y.data));
  t.deepEqual((await kernels.unpackWeight({ packed })).data, weight.data);

  const rounded = weight.data.map(reference.toBfloat16);
  const read = x.data.map(reference.toBfloat16); // bfloat16 weights are multiplied by bfloat16 numbers
  const half = Tensor.from(Uint16Array.from(weight.data, reference.bfloat16Bits), [N, K]);
  const fromRows = await kernels.linear({ x, weight: half });
  const fromPanels = await kernels.linear({
    x,
    weight: await kernels.packWeight({ weight, dtype: 'bfloat16' }),
  });
  close(t, 'bfloat16', fromRows.data, reference.linear(read, rounded, K));
  t.deepEqual(bits(fromRows.data), bits(fromPanels.data));

  await kernels.linear({ x, weight, bias, residual, y: residual });
  t.deepEqual(bits(residual.data), bits(y.data));
});

test('linearBackward gives the gradients of linear, and adds to those of weight and bias', async (t) => {
  const [T, K, N] = [5, 21, 18];
  const x = tensor([T, K], 1);
  const weight = tensor([N, K], 2);
  const dy = tensor([T, N], 3);
  const loss = (a: reference.Numbers, w: reference.Numbers, b?: reference.Numbers) =>
    inner(reference.linear(a, w, K, b), dy.data);
  const dbias = Tensor.empty([N]);
  const { dx, dweight } = await kernels.linearBackward({ dy, x, weight, dbias });
  close(
    t,
    'dx',
    dx.data,
    numericGradient((v) => loss(v, weight.data), x.data),
  );
  close(
    t,
    'dweight',
    dweight.data,
    numericGradient((v) => loss(x.data, v), weight.data),
  );
  close(
    t,
    'dbias',
    dbias.data,
    numericGradient((v) => loss(x.data, weight.data, v), new Float64Array(N)),
  );

  const once = dweight.data.slice();
  const dxOnce = dx.data.slice();
  await kernels.linearBackward({ dy, x, weight, dx, dweight, dbias, accumulate: true });
  close(
    t,
    'dweight twice',
    dweight.data,
    once.map((value) => 2 * value),
  );
  close(
    t,
    'dx twice',
    dx.data,
    dxOnce.map((value) => 2 * value),
  );
  t.deepEqual((await kernels.linearBackwardInput({ dy, weight })).data, dxOnce);
  t.deepEqual((await kernels.linearBackwardWeight({ dy, x })).data, once);
  const inPanels = await kernels.linearBackward({ dy, x, weight: await kernels.packWeight({ weight }) });
  t.is(inPanels.dweight.layout, 'panels');
  t.deepEqual((await kernels.unpackWeight({ packed: inPanels.dweight })).data, once);
});

test('embedding looks rows up, and its gradient adds rows in token order', async (t) => {
  const [V, C] = [50, 11];
  const table = tensor([V, C], 1);
  const ids = Tensor.from(Int32Array.of(3, 49, 3, 0, 17, 3));
  const expected = Array.from(ids.data).flatMap((id) =>
    Array.from(table.data.subarray(id * C, (id + 1) * C)),
  );
  const packed = await kernels.packWeight({ weight: table });
  for (const from of [table, packed]) {
    t.deepEqual(Array.from((await kernels.embedding({ ids, table: from })).data), expected);
  }
  const dx = tensor([6, C], 2);
  const dtable = Tensor.from(new Float32Array(V * C).fill(0.5), [V, C]);
  const panels = await kernels.packWeight({ weight: dtable });
  await kernels.embeddingBackward({ ids, dx, dtable });
  const sums = new Float32Array(V * C).fill(0.5);
  for (const [i, id] of ids.data.entries()) {
    for (let c = 0; c < C; c++) sums[id * C + c]! += dx.data[i * C + c]!;
  }
  t.deepEqual(dtable.data, sums);
  await kernels.embeddingBackward({ ids, dx, dtable: panels });
  t.deepEqual((await kernels.unpackWeight({ packed: panels })).data, sums);
  const outside = Tensor.from(Int32Array.of(3, 50));
  const error = await t.throwsAsync(kernels.embedding({ ids: outside, table }));
  t.is(error?.message, 'embedding: expected ids from 0 to 49 but entry 1 is 50');
});

test('rmsNorm and its gradients, over rows and over heads', async (t) => {
  for (const shape of [
    [5, 40],
    [3, 4, 16],
    [1, 1],
  ]) {
    const C = shape.at(-1)!;
    const x = tensor(shape, 1);
    const weight = tensor([C], 2);
    const dy = tensor(shape, 3);
    const eps = 1e-5;
    const { y, rstd } = await kernels.rmsNorm({ x, weight, eps });
    close(t, `y ${shape}`, y.data, reference.rmsNorm(x.data, weight.data, eps));
    t.deepEqual(rstd.shape, shape.slice(0, -1));
    const { dx, dweight } = await kernels.rmsNormBackward({ dy, x, weight, rstd });
    const loss = (a: reference.Numbers, w: reference.Numbers) => inner(reference.rmsNorm(a, w, eps), dy.data);
    // A row of one number is normalised to its sign: the gradient is almost 0, a difference of equal numbers.
    if (C > 1)
      close(
        t,
        'dx',
        dx.data,
        numericGradient((v) => loss(v, weight.data), x.data),
        1e-5,
      );
    close(
      t,
      'dweight',
      dweight.data,
      numericGradient((v) => loss(x.data, v), weight.data),
      1e-5,
    );
  }
});

test('rope rotates pairs of each head in place, and ropeBackward rotates back', async (t) => {
  const [T, H, D] = [4, 3, 10];
  const positions = Tensor.from(Int32Array.of(0, 5, 1000, 3));
  const x = tensor([T, H, D], 1);
  const before = x.data.slice();
  t.is(await kernels.rope({ x, positions, theta: 50000 }), x);
  close(t, 'rope', x.data, reference.rope(before, positions.data, H, D, 50000));
  await kernels.ropeBackward({ x, positions, theta: 50000 });
  close(t, 'back', x.data, before);
  const llama3 = {
    type: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 64,
  } as const;
  const scaled = Tensor.from(before.slice(), [T, H, D]);
  await kernels.rope({ x: scaled, positions, scaling: llama3 });
  const unscaled = reference.rope(before, positions.data, H, D, 10000);
  t.true(relativeError(scaled.data.subarray(H * D, 2 * H * D), unscaled.subarray(H * D, 2 * H * D)) > 0.1);
});

test('swiglu and its gradients, in place too', async (t) => {
  const [gate, up, dact] = [tensor([6, 19], 1), tensor([6, 19], 2), tensor([6, 19], 3)];
  const act = await kernels.swiglu({ gate, up });
  close(t, 'act', act.data, reference.swiglu(gate.data, up.data));
  const { dgate, dup } = await kernels.swigluBackward({ dact, gate, up });
  const loss = (g: reference.Numbers, u: reference.Numbers) => inner(reference.swiglu(g, u), dact.data);
  close(
    t,
    'dgate',
    dgate.data,
    numericGradient((v) => loss(v, up.data), gate.data),
  );
  close(
    t,
    'dup',
    dup.data,
    numericGradient((v) => loss(gate.data, v), up.data),
  );
  await kernels.swigluBackward({ dact, gate, up, dgate: gate, dup: up });
  t.deepEqual([gate.data, up.data], [dgate.data, dup.data]);
});

test('attention of packed sequences and its gradients', async (t) => {
  const [H, G, D] = [6, 2, 12];
  const starts = Int32Array.of(0, 1, 38, 42);
  const T = 42;
  const [q, k, v] = [tensor([T, H, D], 1), tensor([T, G, D], 2), tensor([T, G, D], 3)];
  const seqStarts = Tensor.from(starts);
  const shape = { starts, H, G, D };
  const { out, lse } = await kernels.attention({ q, k, v, seqStarts });
  close(t, 'out', out.data, reference.attention(q.data, k.data, v.data, shape));
  const dout = tensor([T, H, D], 4);
  const { dq, dk, dv } = await kernels.attentionBackward({ dout, q, k, v, out, lse, seqStarts });
  const loss = (a: reference.Numbers, b: reference.Numbers, c: reference.Numbers) =>
    inner(reference.attention(a, b, c, shape), dout.data);
  // Every 23rd number: differences of all of them would take a while.
  const some = (gradient: reference.Numbers) => Array.from(gradient).filter((_, i) => i % 23 === 0);
  const part = (data: Float32Array, f: (all: Float64Array) => number) =>
    numericGradient(
      (few) => f(Float64Array.from(data, (x, i) => (i % 23 === 0 ? few[i / 23]! : x))),
      some(data),
    );
  close(
    t,
    'dq',
    some(dq.data),
    part(q.data, (x) => loss(x, k.data, v.data)),
    1e-5,
  );
  close(
    t,
    'dk',
    some(dk.data),
    part(k.data, (x) => loss(q.data, x, v.data)),
    1e-5,
  );
  close(
    t,
    'dv',
    some(dv.data),
    part(v.data, (x) => loss(q.data, k.data, x)),
    1e-5,
  );

  const alone = await kernels.attention({
    q: Tensor.from(q.data.slice(H * D, 38 * H * D), [37, H, D]),
    k: Tensor.from(k.data.slice(G * D, 38 * G * D), [37, G, D]),
    v: Tensor.from(v.data.slice(G * D, 38 * G * D), [37, G, D]),
  });
  t.deepEqual(bits(alone.out.data), bits(out.data.slice(H * D, 38 * H * D)));
});

test('decoding over pages gives the bits of attention over the whole sequence', async (t) => {
  const [T, H, G, D] = [70, 4, 2, 16];
  const [q, k, v] = [tensor([T, H, D], 1), tensor([T, G, D], 2), tensor([T, G, D], 3)];
  for (const kvDtype of ['float32', 'bfloat16'] as const) {
    const { out } = await kernels.attention({ q, k, v, kvDtype });
    const keys = Tensor.empty([5, G, D, kernels.KV_PAGE_TOKENS], kvDtype);
    const values = Tensor.empty([5, G, kernels.KV_PAGE_TOKENS, D], kvDtype);
    const pageTable = Tensor.from(Int32Array.of(4, 0, 2));
    const pageStarts = Tensor.from(Int32Array.of(0));
    for (const [from, to] of [
      [0, 40],
      [40, 41],
      [41, 64],
      [64, 65],
      [65, 70],
    ] as const) {
      const rows = (x: Tensor<'float32'>, heads: number) =>
        Tensor.from(x.data.slice(from * heads * D, to * heads * D), [to - from, heads, D]);
      const queryStarts = Tensor.from(Int32Array.of(0, to - from));
      const kvLengths = Tensor.from(Int32Array.of(to));
      const pages = { keys, values, queryStarts, kvLengths, pageStarts, pageTable };
      await kernels.kvWrite({ k: rows(k, G), v: rows(v, G), ...pages });
      const step = await kernels.pagedAttention({ q: rows(q, H), ...pages });
      t.deepEqual(bits(step.out.data), bits(out.data.slice(from * H * D, to * H * D)), `${kvDtype} ${from}`);
    }
    const broken = { keys, values, queryStarts: Tensor.from(Int32Array.of(0, 1)), pageStarts };
    const one = Tensor.from(q.data.slice(0, H * D), [1, H, D]);
    for (const [kvLengths, table, message] of [
      [97, [4, 0, 2], /sequence 0 of 97 tokens needs pageTable up to entry 3 but it has 3 entries/],
      [70, [4, 0, 5], /expected pageTable from 0 to 4 but entry 2 is 5/],
      [0, [4, 0, 2], /expected kvLengths from 1 to/],
    ] as const) {
      const call = kernels.pagedAttention({
        q: one,
        ...broken,
        kvLengths: Tensor.from(Int32Array.of(kvLengths)),
        pageTable: Tensor.from(Int32Array.from(table)),
      });
      t.is(errorCode(await t.throwsAsync(call, { message })), 'ERR_OUT_OF_RANGE');
    }
  }
});

test('lossHead gives log-probs and entropies, its gradients follow, and masked rows cost nothing', async (t) => {
  const [R, C, V] = [6, 13, 300];
  const hidden = tensor([R, C], 1);
  const weight = tensor([V, C], 2);
  const labels = Tensor.from(Int32Array.of(0, 299, -1, 255, 256, -100));
  const temperature = 0.7;
  const kept = [0, 1, 3, 4];
  const { logprobs, entropies, lse } = await kernels.lossHead({ hidden, weight, labels, temperature });
  const pick = (values: reference.Numbers, width = 1) =>
    kept.flatMap((r) => Array.from(values).slice(r * width, (r + 1) * width));
  const expected = (h: reference.Numbers, w: reference.Numbers) =>
    reference.distribution(reference.linear(pick(h, C), w, C), pick(labels.data), temperature);
  const wanted = expected(hidden.data, weight.data);
  close(t, 'logprobs', pick(logprobs.data), wanted.logprobs);
  close(t, 'entropies', pick(entropies.data), wanted.entropies);
  t.deepEqual([logprobs.data[2], entropies.data[2], lse.data[5], logprobs.data[5]], [0, 0, 0, 0]);

  const [dLogprobs, dEntropies] = [tensor([R], 3), tensor([R], 4)];
  const inputs = { hidden, weight, labels, temperature, lse, entropies };
  const { dhidden, dweight } = await kernels.lossHeadBackward({ ...inputs, dLogprobs, dEntropies });
  const loss = (h: reference.Numbers, w: reference.Numbers) => {
    const { logprobs: lp, entropies: ent } = expected(h, w);
    return inner(lp, pick(dLogprobs.data)) + inner(ent, pick(dEntropies.data));
  };
  close(
    t,
    'dhidden',
    dhidden.data,
    numericGradient((x) => loss(x, weight.data), hidden.data),
    1e-5,
  );
  close(
    t,
    'dweight',
    dweight.data,
    numericGradient((x) => loss(hidden.data, x), weight.data),
    1e-5,
  );
  t.deepEqual(Array.from(dhidden.data.slice(2 * C, 3 * C)), new Array(C).fill(0));
  const packed = await kernels.packWeight({ weight });
  const again = await kernels.lossHeadBackward({ ...inputs, weight: packed, dLogprobs, dEntropies });
  t.deepEqual((await kernels.unpackWeight({ packed: again.dweight })).data, dweight.data);
  const outside = Tensor.from(Int32Array.of(0, 300, 1, 1, 1, 1));
  await t.throwsAsync(kernels.lossHead({ hidden, weight, labels: outside }), {
    message: 'lossHead: expected labels below 300 (negative: not wanted) but entry 1 is 300',
  });
  const noEntropy = await kernels.lossHeadBackward({ ...inputs, dLogprobs });
  t.true(relativeError(noEntropy.dhidden.data, dhidden.data) > 0.1);
});

test('policyLoss follows PPO with clipping, and its gradient is that of its value', async (t) => {
  const logprobs = Tensor.from(Float32Array.of(-1, -2, -0.5, -3, -1));
  const oldLogprobs = Tensor.from(Float32Array.of(-1.5, -1.9, -0.6, -3, -1));
  const advantages = Tensor.from(Float32Array.of(1, 1, -1, -2, 1));
  const weight = Tensor.from(Float32Array.of(0.25, 0.25, 0.25, 0.25, 0));
  const loss = { kind: 'ppo_clip', clipLow: 0.2, clipHigh: 0.28 } as const;
  const result = await kernels.policyLoss({ logprobs, oldLogprobs, advantages, weight, loss });
  const value = (lp: reference.Numbers) => {
    let sum = 0;
    for (let i = 0; i < 4; i++) {
      const ratio = Math.exp(lp[i]! - oldLogprobs.data[i]!);
      const clipped = Math.min(Math.max(ratio, 0.8), 1.28);
      sum -= 0.25 * Math.min(ratio * advantages.data[i]!, clipped * advantages.data[i]!);
    }
    return sum;
  };
  t.true(Math.abs(result.loss - value(logprobs.data)) < 1e-7);
  close(t, 'dLogprobs', result.dLogprobs.data, numericGradient(value, logprobs.data));
  t.like(result, { tokens: 4, clipHighCount: 1, clipLowCount: 0 });
  t.false('logprobs' in result);

  const seqStarts = Tensor.from(Int32Array.of(0, 2, 5));
  const refLogprobs = Tensor.from(Float32Array.of(-1, -1, -1, -1, -1));
  const entropies = Tensor.from(new Float32Array(5).fill(2));
  const sequence = await kernels.policyLoss({
    ...{ logprobs, oldLogprobs, advantages, weight, seqStarts, refLogprobs, entropies },
    loss: { kind: 'gspo', kl: 'k3', klCoef: 0.1, entropyCoef: 0.01 },
  });
  t.is(sequence.dEntropies.data[0], Math.fround(-0.0025));
  t.true(sequence.klLoss > 0);
  const missing = await t.throwsAsync(kernels.policyLoss({ logprobs, weight, loss }));
  t.regex(missing?.message ?? '', /^policyLoss: policy_loss: advantage is required/);
  const bad = Tensor.from(Float32Array.of(1, Number.NaN, 1, 1, 1));
  const nan = kernels.policyLoss({ logprobs, oldLogprobs, advantages: bad, weight, loss });
  t.is(errorCode(await t.throwsAsync(nan, { message: /advantage of token 1 is NaN/ })), 'ERR_NOT_FINITE');
  t.throws(() => void kernels.policyLoss({ logprobs, weight, loss: { kind: 'ppo' as 'gspo' } }), {
    message: /one of cross_entropy, reinforce/,
  });
});

test('groupAdvantages: equal rewards and groups of one are dead, NaN is an error that names the trajectory', (t) => {
  const options = { kind: 'grpo', std: 'sample', eps: 1e-4 } as const;
  const all = (n: number) => new Uint8Array(n).fill(1);
  const thirds = new Float32Array(7).fill(1 / 3);
  t.deepEqual(kernels.groupAdvantages(thirds, all(7), 7, options), {
    advantages: new Float32Array(7),
    deadGroups: 1,
  });
  t.is(kernels.groupAdvantages(Float32Array.of(5), all(1), 1, options).deadGroups, 1);
  const two = kernels.groupAdvantages(Float32Array.of(1, 0, 3, 9), Uint8Array.of(1, 1, 1, 0), 2, options);
  const scaled = Math.fround(0.5 / (Math.SQRT1_2 + 1e-4));
  t.deepEqual(Array.from(two.advantages), [scaled, -scaled, 0, 0]);
  t.is(two.deadGroups, 1);
  const rloo = kernels.groupAdvantages(Float32Array.of(1, 0, 0), all(3), 3, {
    kind: 'rloo',
    std: 'none',
    eps: 0,
  });
  t.deepEqual(Array.from(rloo.advantages), [1, -0.5, -0.5]);
  const nan = Float32Array.of(1, 0, Number.NaN, 0);
  const error = t.throws(() => kernels.groupAdvantages(nan, all(4), 2, options), {
    message: /reward of trajectory 2 \(group 1, sample 0\) is NaN/,
  });
  t.is(errorCode(error), 'ERR_NOT_FINITE');
});

test('sample draws by key, whatever the batch, and reports the log-prob of lossHead', async (t) => {
  const [R, V] = [40, 300];
  const logits = tensor([R, V], 1, 2);
  const key = (prompt: number) => ({ runSeed: 2n ** 63n, step: 1, prompt, sample: 2, position: 9 });
  const keys = Array.from({ length: R }, (_, r) => key(r));
  const { tokens, logprobs } = await kernels.sample({ logits, keys, temperature: 0.8 });
  const { logprobs: expected } = reference.distribution(logits.data, tokens.data, 0.8);
  close(t, 'logprobs', logprobs.data, expected);
  t.true(new Set(tokens.data).size > 5);
  const one = await kernels.sample({
    logits: Tensor.from(logits.data.slice(7 * V, 8 * V), [1, V]),
    keys: [key(7)],
    temperature: 0.8,
  });
  t.deepEqual([one.tokens.data[0], one.logprobs.data[0]], [tokens.data[7], logprobs.data[7]]);

  const best = Array.from({ length: R }, (_, r) => {
    const row = Array.from(logits.data.subarray(r * V, (r + 1) * V));
    return row.indexOf(Math.max(...row));
  });
  t.deepEqual(Array.from((await kernels.sample({ logits, keys, temperature: 0 })).tokens.data), best);
  for (const filter of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
    t.deepEqual(Array.from((await kernels.sample({ logits, keys, ...filter })).tokens.data), best);
  }
  t.throws(() => void kernels.sample({ logits, keys, topP: 1.5 }), {
    message: /number above 0 and up to 1 \(off\) for topP\[0\]/,
  });
  t.throws(() => void kernels.sample({ logits, keys: keys.slice(1) }), {
    message: /BigUint64Array of length 40 for seeds/,
  });
  logits.data[5 * V] = Number.NaN;
  await t.throwsAsync(kernels.sample({ logits, keys }), { message: /logits of row 5 hold NaN/ });
});

test('adamw is AdamW, on rows and on panels, and rounds its compute copy', async (t) => {
  const shape = [5, 9];
  const grads = [tensor(shape, 2), tensor(shape, 3)];
  const master = tensor(shape, 1);
  const expected = Float64Array.from(master.data);
  const weight = Tensor.empty(shape, 'bfloat16');
  const [m, v] = [Tensor.empty(shape), Tensor.empty(shape)];
  const panels = await kernels.packWeight({ weight: master });
  const [pm, pv] = [Tensor.empty(shape, 'float32', 'panels'), Tensor.empty(shape, 'float32', 'panels')];
  const options = { lr: 0.01, weightDecay: 0.1, gradScale: 0.5 };
  const [first, second] = [new Float64Array(45), new Float64Array(45)];
  for (const [i, grad] of grads.entries()) {
    const step = i + 1;
    await kernels.adamw({ master, m, v, grad, weight, ...options, step });
    await kernels.adamw({
      master: panels,
      m: pm,
      v: pv,
      grad: await kernels.packWeight({ weight: grad }),
      ...options,
      step,
    });
    for (let j = 0; j < 45; j++) {
      const g = 0.5 * grad.data[j]!;
      first[j] = 0.9 * first[j]! + 0.1 * g;
      second[j] = 0.999 * second[j]! + 0.001 * g * g;
      const update = first[j]! / (1 - 0.9 ** step) / (Math.sqrt(second[j]! / (1 - 0.999 ** step)) + 1e-8);
      expected[j] = expected[j]! * (1 - 0.01 * 0.1) - 0.01 * update;
    }
  }
  close(t, 'master', master.data, expected, 1e-6);
  t.deepEqual((await kernels.unpackWeight({ packed: panels })).data, master.data);
  t.deepEqual(weight.data, Uint16Array.from(master.data, reference.bfloat16Bits));
  t.throws(() => void kernels.adamw({ master, m, v, grad: panels, ...options, step: 1 }), {
    message: 'adamw: master [5,9] and grad [5,9] in panels do not agree',
  });
  t.throws(() => void kernels.adamw({ master, m, v, grad: grads[0]!, ...options, step: 0 }), {
    message: /positive integer for step/,
  });
});

test('globalNorm runs over all tensors, in double', async (t) => {
  const tensors = [Tensor.from(Float32Array.of(3, 0)), Tensor.from(Float32Array.of(4)), Tensor.empty([0])];
  t.is(await kernels.globalNorm({ tensors }), 5);
  t.is(await kernels.globalNorm({ tensors: [Tensor.from(Float32Array.of(1e30))] }), Math.fround(1e30));
  t.is(await kernels.globalNorm({ tensors: [Tensor.from(Float32Array.of(Number.NaN))] }), Number.NaN);
});
