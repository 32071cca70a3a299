/**
 * Matrix products beside OpenBLAS, oneDNN and BLIS in fp32 and oneDNN in bf16, each in a process of its own. Weights are laid
 * out once, as the engine does, ours and oneDNN's in bf16; "+ packing" lays them out anew for every product. All get fp32
 * numbers: with bf16 weights, rounding activations and gradients is part of the product.
 */
import type { WeightDtype } from '../../lib/model/engine.ts';
import { lastLevelCache } from '../machine.ts';
import { Absent, type Program, Subject } from './conversation.ts';
import { type Contender, type Timed, takeTurns } from './interleave.ts';

export type Form = 'forward' | 'dX' | 'dW';

/** A product of a linear layer: T rows, N outputs, K inputs. */
export interface Shape {
  readonly group: string;
  readonly form: Form;
  readonly T: number;
  readonly N: number;
  readonly K: number;
  /** Of a training step: the packing is timed, too. */
  readonly training: boolean;
}

/** What the product is of, and whether it counts the layout of its weights. */
interface Variant {
  readonly dtype: WeightDtype;
  readonly pack: boolean;
}

export interface TimedProduct extends Timed, Variant {}

export interface ComparedProduct extends Shape {
  readonly timed: readonly TimedProduct[];
}

/** [T, N, K] of the layers of SmolLM2-135M, Qwen2.5-0.5B and a model 256 wide. */
const forward: Readonly<Record<string, readonly (readonly [number, number, number])[]>> = {
  'M = 1': [
    [1, 896, 896],
    [1, 1536, 576],
    [1, 576, 1536],
    [1, 4864, 896],
    [1, 49152, 576],
  ],
  'M = 16': [
    [16, 1536, 576],
    [16, 576, 1536],
    [16, 896, 4864],
    [16, 49152, 576],
  ],
  'M ≥ 64': [
    [64, 1536, 576],
    [64, 576, 1536],
    [512, 576, 576],
    [512, 1536, 576],
    [512, 576, 1536],
    [1024, 256, 256],
    [2048, 2048, 2048],
    [2048, 49152, 576],
    [512, 151936, 896],
  ],
};

const gradients = [
  [512, 576, 576],
  [512, 576, 1536],
  [512, 1536, 576],
  [1024, 256, 256],
  [2048, 49152, 576],
  [512, 151936, 896],
] as const;

/** Weights above this many are left out by --quick. */
const QUICK_WEIGHTS = 5e6;

export function shapes(quick: boolean): Shape[] {
  const products: Shape[] = Object.entries(forward).flatMap(([group, list]) =>
    list.map(([T, N, K]) => ({ group, form: 'forward' as const, T, N, K, training: T >= 512 })),
  );
  for (const form of ['dX', 'dW'] as const)
    products.push(...gradients.map(([T, N, K]) => ({ group: form, form, T, N, K, training: form === 'dX' })));
  return products.filter(({ N, K }) => !quick || N * K < QUICK_WEIGHTS);
}

const ourVariants = [
  { label: 'ours fp32', dtype: 'float32', pack: false },
  { label: 'ours bf16', dtype: 'bfloat16', pack: false },
  { label: 'ours fp32 + packing', dtype: 'float32', pack: true },
  { label: 'ours bf16 + packing', dtype: 'bfloat16', pack: true },
] as const;

/** Seconds of one turn, which the program spends on repetitions of its own (so that takeTurns has none to add). */
const TURN = 0.1;

/** Few rows find their weights in memory, as in a model: twice the largest cache in all. */
export function copiesOf(shape: Shape, elementBytes: number): number {
  if (shape.T > 16) return 1;
  return Math.max(1, Math.min(512, Math.ceil((2 * lastLevelCache()) / (elementBytes * shape.N * shape.K))));
}

/** Bytes that all engines together hold for a product. */
export function bytesOf(shape: Shape, engines: number): number {
  const { form, T, N, K } = shape;
  const [left, right] = [T * (form === 'forward' ? K : N), form === 'dW' ? T * K : N * K];
  const result = form === 'dW' ? N * K : T * (form === 'forward' ? N : K);
  const held = left + (form === 'dW' ? 1 : copiesOf(shape, 4)) * right + result;
  // What an engine is given is there twice while it prepares; three keep the weights that they pack, two the rounded operands.
  return 4 * (engines * held + (left + right) + (shape.training ? 3 * right : 0)) + 2 * 2 * (left + right);
}

export type LibraryName = 'openblas' | 'onednn' | 'blis';

/** What gemm_peers calls them, and the library that each is in. OpenBLAS as distributions build it has no bf16, BLIS none at all. */
const peers: readonly (Variant & { readonly engine: string; readonly library: LibraryName })[] = [
  { engine: 'openblas', library: 'openblas', dtype: 'float32', pack: false },
  { engine: 'onednn', library: 'onednn', dtype: 'float32', pack: false },
  { engine: 'blis', library: 'blis', dtype: 'float32', pack: false },
  { engine: 'onednn-bf16', library: 'onednn', dtype: 'bfloat16', pack: false },
  { engine: 'onednn-bf16', library: 'onednn', dtype: 'bfloat16', pack: true },
];

interface Engine extends Variant {
  readonly subject: Subject;
  readonly label: string;
  readonly ours: boolean;
}

export interface Engines {
  readonly all: readonly Engine[];
  readonly absent: readonly string[];
}

function program(executable: string, engine: string, threads: number, library?: string): Program {
  const environment: NodeJS.ProcessEnv = {
    OMP_NUM_THREADS: String(threads),
    OPENBLAS_NUM_THREADS: String(threads),
    BLIS_NUM_THREADS: String(threads),
    OPENBLAS_CORETYPE: undefined,
  };
  const args = [engine, String(threads), ...(library === undefined ? [] : [library])];
  return { command: executable, args, environment };
}

/** Starts ours and every library that is here, once for each variant; `paths` names other files than the usual ones. */
export async function startEngines(
  executable: string,
  threads: number,
  paths: Readonly<Partial<Record<LibraryName, string>>>,
): Promise<Engines> {
  const all: Engine[] = [];
  const absent: string[] = [];
  try {
    for (const variant of ourVariants) {
      const subject = await Subject.start(program(executable, 'ours', threads));
      all.push({ subject, ours: true, ...variant });
    }
    for (const { engine, library, dtype, pack } of peers) {
      try {
        const subject = await Subject.start(program(executable, engine, threads, paths[library]));
        const label = pack ? `${subject.name} + packing` : subject.name;
        all.push({ subject, ours: false, label, dtype, pack });
      } catch (error) {
        if (!(error instanceof Absent)) throw error;
        if (!pack) absent.push(`${engine}: not compared with, ${error.message}`);
      }
    }
  } catch (error) {
    await stopEngines({ all, absent });
    throw error;
  }
  return { all, absent };
}

export async function stopEngines({ all }: Engines): Promise<void> {
  await Promise.all(all.map(({ subject }) => subject.close()));
}

/** Times one product with every engine; the layout of weights is counted, too, where training makes one. */
export async function compareProduct(
  { all }: Engines,
  shape: Shape,
  rounds: number,
): Promise<ComparedProduct> {
  const { form, T, N, K, training } = shape;
  const engines = all.filter(({ pack }) => training || !pack);
  const contenders = engines.map(({ subject, label, ours, dtype, pack }): Contender => {
    const copies = copiesOf(shape, dtype === 'float32' ? 4 : 2);
    const prepare = `prepare ${form} ${T} ${N} ${K} ${dtype} ${Number(pack)} ${copies}`;
    return { subject, label, ours, prepare, run: `run ${TURN}` };
  });
  const timed = await takeTurns(contenders, rounds);
  return {
    ...shape,
    timed: timed.map((one, i) => ({ ...one, dtype: engines[i]!.dtype, pack: engines[i]!.pack })),
  };
}
