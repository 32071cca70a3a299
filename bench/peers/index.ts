/**
 * `npm run bench -- --peers`: other engines beside ours in one run, in turns, on the same shapes. Peers are looked for and
 * never installed; one that is absent is named, with the reason. docs/performance.md says how to get each.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { availableMemory } from '../../lib/model/memory.ts';
import { defaultThreads, positiveInteger } from '../../lib/model/threads.ts';
import { call, root } from '../cuda-static/tools.ts';
import { describeMachine, multipliesBf16 } from '../machine.ts';
import { quantile } from '../measure.ts';
import { machineLines, time } from '../report.ts';
import { Absent } from './conversation.ts';
import { bytesOf, compareProduct, shapes, startEngines, stopEngines } from './gemm.ts';
import type { WeightType } from './gguf.ts';
import type { Timed } from './interleave.ts';
import { type Llama, openLlama, ourRunner, torchRunner, trlRunner } from './runners.ts';
import { disturbance, groupTable, memoryLine, productTable, workTable } from './tables.ts';
import { type ComparedWork, compareWork, describe, type Runner, type Work } from './work.ts';

export const usage = `npm run bench -- --peers [part …] [options]

  part           gemm: matrix products beside OpenBLAS, oneDNN and BLIS
                 training, decode: whole models beside PyTorch; in bfloat16, too, where the
                 processor multiplies it (avx512_bf16 or amx_bf16 in /proc/cpuinfo)
                 llama: prefill and decoding beside llama.cpp
                 grpo: a step of reinforcement learning beside TRL; minutes a round
                 (default: all but grpo)
  --runs N       rounds; in each, every engine has one turn (default 5)
  --threads N    threads of every engine (default TOOLGRAD_THREADS, else all processors)
  --quick        fewer and smaller cases: to see that it works
  --openblas PATH, --onednn PATH, --blis PATH
                 other files of these libraries than the usual ones
  --python PATH  an interpreter that has PyTorch (default python3)
  --llama PATH   llama.cpp's sources; --llama-libraries DIR, what was built of them (default PATH/build/bin)
  --json FILE    also write the seconds of every round
`;

const partNames = ['gemm', 'training', 'decode', 'llama', 'grpo'] as const;
/** Without names of parts: what takes minutes, not an hour. */
const usual: readonly string[] = partNames.filter((name) => name !== 'grpo');
type PartName = (typeof partNames)[number];

/** What a part found: for people, and for programs. */
interface Found {
  readonly text: string;
  readonly timed: readonly Timed[];
  readonly results: unknown;
  readonly skipped: readonly string[];
}

export function readOptions(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      peers: { type: 'boolean' },
      runs: { type: 'string', default: '5' },
      threads: { type: 'string' },
      quick: { type: 'boolean', default: false },
      openblas: { type: 'string' },
      onednn: { type: 'string' },
      blis: { type: 'string' },
      python: { type: 'string', default: 'python3' },
      llama: { type: 'string' },
      'llama-libraries': { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.find((name) => !partNames.some((part) => part === name));
  if (unknown !== undefined)
    throw new RangeError(`expected parts of ${partNames.join(', ')} but received ${unknown}`);
  const parts = partNames.filter((part) => (positionals.length === 0 ? usual : positionals).includes(part));
  const { openblas, onednn, blis, ...others } = values;
  const paths = {
    ...(openblas === undefined ? {} : { openblas }),
    ...(onednn === undefined ? {} : { onednn }),
    ...(blis === undefined ? {} : { blis }),
  };
  const rounds = positiveInteger(Number(values.runs), '--runs');
  const threads =
    values.threads === undefined ? defaultThreads() : positiveInteger(Number(values.threads), '--threads');
  return { ...others, paths, rounds, threads, parts };
}

type Options = ReturnType<typeof readOptions>;

/** To standard error: the tables are what is kept. */
const tell = (text: string) => process.stderr.write(`${text}\n`);

/** Builds the native program that times matrix products. */
export function buildGemmPeers(): string {
  const folder = join(root, 'build-bench');
  call('cmake', [
    ...['-S', '.', '-B', folder, '-DTOOLGRAD_TESTS=OFF', '-DTOOLGRAD_BENCH=ON', '-DTOOLGRAD_CUDA=OFF'],
  ]);
  call('cmake', ['--build', folder, '-j', '--target', 'gemm_peers']);
  return join(folder, 'gemm_peers');
}

async function gemm({ threads, paths, rounds, quick }: Options): Promise<Found> {
  tell('building gemm_peers …');
  const engines = await startEngines(buildGemmPeers(), threads, paths);
  try {
    const products = [];
    const skipped = [...engines.absent];
    for (const shape of shapes(quick)) {
      const name = `gemm ${shape.form} T ${shape.T}, N ${shape.N}, K ${shape.K}`;
      const [needed, available] = [bytesOf(shape, engines.all.length), availableMemory()];
      if (needed > 0.9 * available) {
        const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
        skipped.push(`${name}: not run, it needs ${gib(needed)} of memory, ${gib(available)} are available`);
        continue;
      }
      tell(`${name} …`);
      products.push(await compareProduct(engines, shape, rounds));
    }
    const who = engines.all
      .filter(({ ours, pack }) => !ours && !pack)
      .map(({ subject }) => `${subject.name}: ${subject.detail}`);
    const text = [
      ...who,
      '',
      productTable(products),
      '',
      groupTable(products),
      '',
      memoryLine(products),
    ].join('\n');
    const timed = products.flatMap((product) => product.timed);
    return { text, timed, results: { engines: who, products }, skipped };
  } finally {
    await stopEngines(engines);
  }
}

const dtypes = ['float32', 'bfloat16'] as const;
const CONTEXT = 512;
const decodes: readonly Work[] = [1, 16].map((batch) => ({ kind: 'decode', batch, prompt: 32, steps: 32 }));
const prefill: Work = { kind: 'prefill', length: CONTEXT };

/** Every work of every size with its runners, one after the other. */
async function compareAll(
  { rounds }: Options,
  works: readonly { size: string; work: Work; runners: () => readonly Runner[] }[],
): Promise<Found> {
  const [compared, details, skipped] = [[] as ComparedWork[], new Set<string>(), new Set<string>()];
  for (const { size, work, runners } of works) {
    tell(`${describe(size, work).name} …`);
    const one = await compareWork(size, work, runners(), rounds);
    compared.push(one.compared);
    for (const { label, seconds } of one.compared.timed) tell(`  ${label}: ${time(quantile(seconds, 0.5))}`);
    for (const detail of one.details) details.add(detail);
    for (const reason of one.skipped) skipped.add(reason);
  }
  const text = [...details, ...(details.size === 0 ? [] : ['']), workTable(compared)].join('\n');
  const timed = compared.flatMap((one) => one.timed);
  return { text, timed, results: { engines: [...details], works: compared }, skipped: [...skipped] };
}

async function besideTorch(options: Options, works: readonly Work[]): Promise<Found> {
  const { quick, threads, python } = options;
  const bf16 = multipliesBf16();
  const runners = (size: string, { kind }: Work) => [
    ...dtypes.map((dtype) => ourRunner(size, dtype, threads)),
    ...(kind === 'train' ? [ourRunner(size, 'bfloat16', threads, 'selective')] : []),
    ...dtypes
      .filter((dtype) => dtype === 'float32' || bf16)
      .map((dtype) => torchRunner(python, size, dtype, threads)),
  ];
  const chosen = quick ? ['small'] : ['small', 'smollm2'];
  const found = await compareAll(
    options,
    chosen.flatMap((size) => works.map((work) => ({ size, work, runners: () => runners(size, work) }))),
  );
  const slow = 'PyTorch bf16: not compared with, this processor has neither avx512_bf16 nor amx_bf16';
  return bf16 ? found : { ...found, skipped: [...found.skipped, slow] };
}

/** The types of llama.cpp's files; a model of half a billion weights is compared in 16 bits only. */
const llamaTypes: Readonly<Record<string, readonly WeightType[]>> = {
  small: ['F32', 'F16', 'BF16'],
  smollm2: ['F32', 'F16', 'BF16'],
  'qwen2.5': ['F16', 'BF16'],
};

async function besideLlama(options: Options): Promise<Found> {
  let llama: Llama;
  try {
    llama = openLlama(options.llama, options['llama-libraries']);
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    return { text: 'Nothing was compared.', timed: [], results: null, skipped: [error.message] };
  }
  try {
    const { quick, threads } = options;
    const runners = (size: string) => [
      ...dtypes
        .filter((dtype) => dtype === 'bfloat16' || llamaTypes[size]!.includes('F32'))
        .map((dtype) => ourRunner(size, dtype, threads)),
      ...llamaTypes[size]!.map((type) => llama.runner(size, type, threads)),
    ];
    const chosen = quick ? ['small'] : Object.keys(llamaTypes);
    return await compareAll(
      options,
      chosen.flatMap((size) =>
        [prefill, ...decodes].map((work) => ({ size, work, runners: () => runners(size) })),
      ),
    );
  } finally {
    llama.dispose();
  }
}

function besideTrl(options: Options): Promise<Found> {
  const { quick, threads, python } = options;
  const size = quick ? 'small' : 'smollm2';
  const work: Work = quick
    ? { kind: 'grpo', prompts: 2, group: 4, prompt: 30, tokens: 16 }
    : { kind: 'grpo', prompts: 4, group: 8, prompt: 30, tokens: 96 };
  const runners = () => [
    ...dtypes.map((dtype) => ourRunner(size, dtype, threads)),
    trlRunner(python, size, threads),
  ];
  return compareAll(options, [{ size, work, runners }]);
}

const runPart: Readonly<Record<PartName, (options: Options) => Promise<Found>>> = {
  gemm,
  training: (options) => besideTorch(options, [{ kind: 'train', sequences: 4, length: 256 }]),
  decode: (options) => besideTorch(options, [prefill, ...decodes]),
  llama: besideLlama,
  grpo: besideTrl,
};

const PEAK_RUNS = 10;

export async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)); // with its exit handlers
  const machine = await describeMachine(options.threads, PEAK_RUNS);
  process.stdout.write(
    `${machineLines(machine)}\n${options.rounds} round${options.rounds === 1 ? '' : 's'}, every engine in each; a ratio is ours over the peer in speed, round by round: median (p10 – p90)\n`,
  );
  const found: Partial<Record<PartName, unknown>> = {};
  for (const part of options.parts) {
    const { text, timed, results, skipped } = await runPart[part](options);
    found[part] = { results, skipped };
    process.stdout.write(`\n## ${part}\n\n${text}\n`);
    const noise = disturbance(timed);
    for (const line of [...skipped, ...(noise === null ? [] : [noise])]) process.stdout.write(`\n${line}\n`);
    // After each part: a run that is ended early has what it found.
    if (options.json !== undefined) {
      const { rounds, json } = options;
      writeFileSync(json, `${JSON.stringify({ machine, rounds, ...found }, null, 2)}\n`);
    }
  }
  return 0;
}
