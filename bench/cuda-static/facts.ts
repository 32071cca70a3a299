/** Gathers what is known of every kernel without running it on a GPU, from the assembler, the disassembler and the simulated device. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Coverage } from './coverage.ts';
import { errorOf } from './errors.ts';
import { type Architecture, architectures } from './gpus.ts';
import type { Mix } from './mix.ts';
import { type Occupancy, occupancy } from './occupancy.ts';
import { innerLoops, type LoopModel, mainLoop, modelOf } from './pipes.ts';
import type { Kernel } from './program.ts';
import { readPtx } from './ptx.ts';
import { type Disassembler, readSass } from './sass.ts';
import { type Assembled, assemble, cudaBench, root } from './tools.ts';

interface ManifestLine {
  readonly module: string;
  readonly entry: string;
  readonly threads: number;
  readonly shared: number;
}

/** Of one kernel on one architecture. */
export interface Target {
  readonly sm: number;
  readonly assembled: Assembled;
  readonly occupancy: Occupancy;
  /** The loop on the tensor cores; null where there is none. */
  readonly loop: LoopModel | null;
  readonly inner: readonly Mix[];
}

export interface KernelFacts extends ManifestLine {
  readonly sourceLines: number;
  readonly targets: readonly Target[];
  readonly lines: number;
  /** Null without a recording. */
  readonly ran: number | null;
  readonly conflicts: number | null;
  readonly error: string | null;
}

export type Language = 'sass' | 'ptx';

function targetOf(
  kernel: ManifestLine,
  architecture: Architecture,
  assembled: Assembled,
  code: Kernel,
  language: Language,
): Target {
  const loop = mainLoop(code, language);
  const { threads } = kernel;
  const shared = assembled.shared + kernel.shared;
  return {
    ...{ sm: architecture.sm, assembled },
    occupancy: occupancy({ threads, registers: assembled.registers, shared }, architecture),
    loop: loop === null ? null : modelOf(loop, threads / 32, architecture, language),
    inner: innerLoops(code, language),
  };
}

/** The kernels in the order of the manifest. Every one must be in the PTX with the same number of threads, and no other. */
export function gatherFacts(
  ptx: ReadonlyMap<string, string>,
  disassembler: Disassembler | null,
  coverage: Coverage | null,
  targets: readonly Architecture[] = architectures,
): KernelFacts[] {
  const language: Language = disassembler === null ? 'ptx' : 'sass';
  const manifest = cudaBench(['manifest']) as ManifestLine[];
  const facts: KernelFacts[] = [];
  for (const [module, text] of ptx) {
    const source = readFileSync(join(root, 'cuda', 'kernels', `${module}.cu`), 'utf8');
    const assembled = targets.map((one) => assemble(module, text, one.sm, disassembler));
    const machine = assembled.map(({ sass }) => (sass === null ? [] : readSass(sass)));
    for (const kernel of readPtx(text)) {
      const { entry } = kernel;
      const known = manifest.find((one) => one.module === module && one.entry === entry);
      if (known === undefined || known.threads !== kernel.threads)
        throw new Error(
          `${module}.cu: ${entry} with ${kernel.threads} threads is not what cuda/manifest.h says`,
        );
      const lines = new Set(kernel.instructions.map(({ line }) => line));
      const ran = coverage?.ran.get(entry) ?? new Set();
      facts.push({
        ...known,
        sourceLines: source.split('\n').length - 1,
        targets: targets.map((architecture, i) => {
          const facts = assembled[i]!.facts.get(entry);
          const code = language === 'ptx' ? kernel : machine[i]!.find((one) => one.entry === entry);
          if (facts === undefined || code === undefined)
            throw new Error(
              `${entry}: the assembler or the disassembler says nothing of it for sm_${architecture.sm}`,
            );
          return targetOf(known, architecture, facts, code, language);
        }),
        lines: lines.size,
        ran: coverage === null ? null : [...lines].filter((line) => ran.has(line)).length,
        conflicts: coverage?.conflicts.get(entry) ?? null,
        error: coverage === null ? null : errorOf(entry, coverage.said),
      });
    }
  }
  const absent = manifest.filter(({ entry }) => !facts.some((fact) => fact.entry === entry));
  if (absent.length > 0) throw new Error(`${absent.map(({ entry }) => entry).join(', ')}: in no PTX`);
  return facts;
}
