/**
 * The kernels, each on the caller's buffers through kernels.*, timed on the engine thread (kernels.trace): the way from and to
 * JavaScript is not in it. Cases that are bound by memory go round several copies of what they read, twice the largest cache
 * in all, as a model's layers do.
 */
import type { ModelConfig } from '../lib/model/config.ts';
import * as kernels from '../lib/model/kernels.ts';
import { Tensor } from '../lib/model/tensor.ts';
import { type Case, noise, type Prepared } from './case.ts';
import { lastLevelCache } from './machine.ts';

type Floats = Tensor<'float32'>;

const floats = (...shape: number[]): Floats =>
  Tensor.from(noise(shape.reduce((product, size) => product * size, 1)), shape);
const ids = (count: number, below: number) =>
  Tensor.from(Int32Array.from({ length: count }, (_, i) => (i * 7919) % below));

/** Copies of `bytes` that do not fit into twice the caches (at least 1). */
const copiesOf = (bytes: number) => Math.max(1, Math.min(256, Math.ceil((2 * lastLevelCache()) / bytes)));

/** Times the ops that `op` runs, by the engine's clock. */
function timed(op: (run: number) => Promise<unknown>): Prepared {
  return {
    async run(run) {
      const { entries } = await kernels.trace(() => op(run + 1));
      return entries.reduce((sum, { seconds }) => sum + seconds, 0);
    },
  };
}

/** Forward, input gradient and weight gradient of one linear layer on M rows; bfloat16 weights. */
function gemm(N: number, K: number, M: number): Case[] {
  const size = `M ${M}, ${K} → ${N}`;
  const flops = 2 * M * N * K;
  const weightBytes = 2 * N * K;
  const copies = M <= 16 ? copiesOf(weightBytes) : 1;
  const packed = () => {
    const weight = floats(N, K);
    return Promise.all(
      Array.from({ length: copies }, () => kernels.packWeight({ weight, dtype: 'bfloat16' })),
    );
  };
  return [
    {
      name: 'gemm forward',
      size,
      flops,
      products: 'bfloat16',
      bytes: weightBytes + 4 * M * (N + K),
      async prepare() {
        const [x, y, weights] = [floats(M, K), Tensor.empty([M, N]), await packed()];
        return timed((run) => kernels.linear({ x, weight: weights[run % copies]!, y }));
      },
    },
    {
      name: 'gemm dX',
      size,
      flops,
      products: 'bfloat16',
      bytes: weightBytes + 4 * M * (N + K),
      async prepare() {
        const [dy, dx, weights] = [floats(M, N), Tensor.empty([M, K]), await packed()];
        return timed((run) => kernels.linearBackwardInput({ dy, weight: weights[run % copies]!, dx }));
      },
    },
    {
      name: 'gemm dW',
      size,
      flops,
      products: 'bfloat16',
      bytes: 8 * N * K + 4 * M * (N + K),
      async prepare() {
        const count = M <= 16 ? copiesOf(4 * N * K) : 1;
        const [x, dy] = [floats(M, K), floats(M, N)];
        const weight = Tensor.empty([N, K], 'bfloat16', 'panels');
        const dweights = Array.from({ length: count }, () => Tensor.empty([N, K], 'float32', 'panels'));
        return timed((run) =>
          kernels.linearBackwardWeight({ dy, x, weight, dweight: dweights[run % count]! }),
        );
      },
    },
  ];
}

function attentionCases(config: ModelConfig, tokens: number, batches: readonly number[]): Case[] {
  const { heads: H, kvHeads: G, headDim: D } = config;
  const pairs = (H * tokens * (tokens + 1)) / 2;
  const size = `T ${tokens}, heads ${H}/${G}, D ${D}`;
  const io = 4 * tokens * D * (2 * H + 2 * G);
  const inputs = () => ({ q: floats(tokens, H, D), k: floats(tokens, G, D), v: floats(tokens, G, D) });
  const kvDtype = 'bfloat16' as const;
  const cases: Case[] = [
    {
      name: 'attention prefill',
      size,
      flops: 4 * D * pairs,
      bytes: io,
      async prepare() {
        const operands = { ...inputs(), out: Tensor.empty([tokens, H, D]), kvDtype };
        return timed(() => kernels.attention(operands));
      },
    },
    {
      name: 'attention backward',
      size,
      flops: 10 * D * pairs,
      bytes: 2 * io,
      async prepare() {
        const operands = { ...inputs(), kvDtype };
        const forward = await kernels.attention(operands);
        const { dq, dk, dv } = { dq: operands.q, dk: operands.k, dv: operands.v };
        const outputs = {
          dq: Tensor.empty(dq.shape),
          dk: Tensor.empty(dk.shape),
          dv: Tensor.empty(dv.shape),
        };
        const dout = floats(tokens, H, D);
        return timed(() => kernels.attentionBackward({ ...operands, ...forward, ...outputs, dout }));
      },
    },
  ];
  for (const batch of batches) {
    const pagesEach = Math.ceil(tokens / kernels.KV_PAGE_TOKENS);
    const bytes = 2 * 2 * batch * tokens * G * D;
    cases.push({
      name: 'attention decode',
      size: `batch ${batch}, ${tokens} keys, heads ${H}/${G}`,
      flops: 4 * D * H * batch * tokens,
      bytes,
      async prepare() {
        const pages = batch * pagesEach;
        const layers = Array.from({ length: copiesOf(bytes) }, () => ({
          keys: Tensor.empty([pages, G, D, kernels.KV_PAGE_TOKENS], 'bfloat16'),
          values: Tensor.empty([pages, G, kernels.KV_PAGE_TOKENS, D], 'bfloat16'),
        }));
        const index = (length: number, value: (i: number) => number) =>
          Tensor.from(Int32Array.from({ length }, (_, i) => value(i)));
        const map = {
          kvLengths: index(batch, () => tokens),
          pageStarts: index(batch, (s) => s * pagesEach),
          pageTable: index(pages, (i) => i),
        };
        const fill = { k: floats(batch * tokens, G, D), v: floats(batch * tokens, G, D) };
        for (const layer of layers) {
          const queryStarts = index(batch + 1, (s) => s * tokens);
          await kernels.kvWrite({ ...fill, ...layer, ...map, queryStarts });
        }
        const [q, out] = [floats(batch, H, D), Tensor.empty([batch, H, D])];
        const queryStarts = index(batch + 1, (s) => s);
        return timed((run) =>
          kernels.pagedAttention({ q, out, ...layers[run % layers.length]!, ...map, queryStarts }),
        );
      },
    });
  }
  return cases;
}

/** Ops that do little with each number: rows enough to leave the caches. */
function rowCases(config: ModelConfig): Case[] {
  const { hiddenSize: C, intermediateSize: F, heads: H, headDim: D } = config;
  const rows = (bytesPerRow: number) =>
    Math.ceil(Math.min(1 << 28, Math.max(1 << 24, 2 * lastLevelCache())) / bytesPerRow);
  const [normRows, gluRows, ropeRows] = [rows(8 * C), rows(12 * F), rows(4 * H * D)];
  return [
    {
      name: 'rms_norm forward',
      size: `${normRows} × ${C}`,
      flops: 4 * normRows * C,
      bytes: 8 * normRows * C,
      async prepare() {
        const operands = { x: floats(normRows, C), weight: floats(C), y: Tensor.empty([normRows, C]) };
        return timed(() => kernels.rmsNorm(operands));
      },
    },
    {
      name: 'rms_norm backward',
      size: `${normRows} × ${C}`,
      flops: 10 * normRows * C,
      bytes: 12 * normRows * C,
      async prepare() {
        const [x, weight, dy] = [floats(normRows, C), floats(C), floats(normRows, C)];
        const { rstd } = await kernels.rmsNorm({ x, weight });
        const outputs = { dx: Tensor.empty([normRows, C]), dweight: Tensor.empty([C]) };
        return timed(() => kernels.rmsNormBackward({ dy, x, weight, rstd, ...outputs }));
      },
    },
    {
      name: 'swiglu forward',
      size: `${gluRows} × ${F}`,
      flops: 20 * gluRows * F,
      bytes: 12 * gluRows * F,
      async prepare() {
        const operands = {
          gate: floats(gluRows, F),
          up: floats(gluRows, F),
          act: Tensor.empty([gluRows, F]),
        };
        return timed(() => kernels.swiglu(operands));
      },
    },
    {
      name: 'swiglu backward',
      size: `${gluRows} × ${F}`,
      flops: 30 * gluRows * F,
      bytes: 20 * gluRows * F,
      async prepare() {
        const [gate, up, dact] = [floats(gluRows, F), floats(gluRows, F), floats(gluRows, F)];
        const outputs = { dgate: Tensor.empty([gluRows, F]), dup: Tensor.empty([gluRows, F]) };
        return timed(() => kernels.swigluBackward({ dact, gate, up, ...outputs }));
      },
    },
    {
      name: 'rope',
      size: `${ropeRows} × ${H} × ${D}`,
      flops: 3 * ropeRows * H * D,
      bytes: 8 * ropeRows * H * D,
      async prepare() {
        const operands = { x: floats(ropeRows, H, D), positions: ids(ropeRows, 1024) };
        return timed(() => kernels.rope(operands));
      },
    },
  ];
}

function headCases(config: ModelConfig, R: number): Case[] {
  const { hiddenSize: C, vocabSize: V } = config;
  const size = `${R} rows, V ${V}, C ${C}`;
  const inputs = async () => {
    const weight = await kernels.packWeight({ weight: floats(V, C), dtype: 'bfloat16' });
    return { hidden: floats(R, C), weight, labels: ids(R, V) };
  };
  return [
    {
      name: 'loss head forward',
      size,
      flops: 2 * R * V * C,
      products: 'bfloat16',
      bytes: 2 * V * C + 4 * R * C,
      async prepare() {
        const operands = await inputs();
        return timed(() => kernels.lossHead(operands));
      },
    },
    {
      name: 'loss head backward',
      size,
      flops: 6 * R * V * C,
      products: 'bfloat16',
      bytes: 10 * V * C + 8 * R * C,
      async prepare() {
        const operands = await inputs();
        const { lse, entropies } = await kernels.lossHead(operands);
        const dLogprobs = floats(R);
        const outputs = { dhidden: Tensor.empty([R, C]), dweight: Tensor.empty([V, C], 'float32', 'panels') };
        return timed(() => kernels.lossHeadBackward({ ...operands, lse, entropies, dLogprobs, ...outputs }));
      },
    },
  ];
}

function samplingCases(config: ModelConfig): Case[] {
  const V = config.vocabSize;
  return [1, 32].flatMap((R) =>
    [
      { kind: 'temperature', options: { temperature: 0.8 } },
      { kind: 'top-p 0.9', options: { temperature: 0.8, topP: 0.9 } },
    ].map(
      ({ kind, options }): Case => ({
        name: 'sample',
        size: `${R} × ${V}, ${kind}`,
        flops: 6 * R * V,
        bytes: 4 * R * V,
        async prepare() {
          const rows = floats(R, V);
          const logits = Array.from({ length: copiesOf(4 * R * V) }, () =>
            Tensor.from(
              rows.data.map((x) => 10 * x),
              [R, V],
            ),
          );
          const keys = Array.from({ length: R }, (_, prompt) => ({
            runSeed: 1n,
            step: 0,
            prompt,
            sample: 0,
            position: 0,
          }));
          return timed((run) => kernels.sample({ logits: logits[run % logits.length]!, keys, ...options }));
        },
      }),
    ),
  );
}

function optimizerCases(n: number): Case[] {
  return [
    {
      name: 'adamw',
      size: `${n / 2 ** 20} Mi weights, bfloat16 copy`,
      flops: 15 * n,
      bytes: 30 * n,
      async prepare() {
        const operands = {
          master: floats(n),
          m: Tensor.empty([n]),
          v: Tensor.empty([n]),
          grad: floats(n),
          weight: Tensor.empty([n], 'bfloat16'),
        };
        return timed((run) => kernels.adamw({ ...operands, lr: 1e-4, step: run + 1 }));
      },
    },
    {
      name: 'global norm',
      size: `${(4 * n) / 2 ** 20} Mi numbers`,
      flops: 8 * n,
      bytes: 16 * n,
      async prepare() {
        const tensors = [floats(4 * n)];
        return timed(() => kernels.globalNorm({ tensors }));
      },
    },
  ];
}

/** All kernel cases for one model shape; `quick` keeps one or two of each. */
export function kernelCases(config: ModelConfig, quick: boolean): Case[] {
  const { hiddenSize: C, intermediateSize: F } = config;
  const large = config.vocabSize > 4096;
  const rows = quick ? [1, 64] : [1, 8, 16, 64, 512];
  const shapes: readonly (readonly [number, number])[] = [
    [C, C],
    [F, C],
    [C, F],
  ];
  return [
    ...(quick ? shapes.slice(1, 2) : shapes).flatMap(([N, K]) => rows.flatMap((M) => gemm(N, K, M))),
    ...(quick || !large ? [] : rows.flatMap((M) => gemm(2048, 2048, M))),
    ...attentionCases(config, quick ? 256 : 512, quick ? [8] : [1, 8, 32]),
    ...(large || quick ? rowCases(config) : []),
    ...headCases(config, large ? 256 : 512),
    ...(large || quick ? samplingCases(config) : []),
    ...(large || quick ? optimizerCases(1 << 22) : []),
  ];
}
