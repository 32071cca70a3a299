/** Reads the PTX that ships, as nvcc wrote it: the instructions of every entry, and where in the sources they come from. */
import type { Instruction, Kernel } from './program.ts';

export interface PtxKernel extends Kernel {
  /** Threads of a block and blocks that are to fit, as the kernel promises the assembler. */
  readonly threads: number;
  readonly blocks: number;
  /** PTX line -> "attention_forward.cu:57". */
  readonly sources: ReadonlyMap<number, string>;
}

const ENTRY = /^\.visible \.entry (\w+)\(/;
const LABEL = /^(\$\w+):/;
const INSTRUCTION = /^(@!?%p\d+\s+)?([a-z][\w.:]*)\s*([^;]*);/;
const LOCATION = /^\.loc\s+(\d+)\s+(\d+)/;
const FILE = /^\.file\s+(\d+)\s+"([^"]+)"/;

function instruction(guard: string, opcode: string, operands: string, line: number): Instruction {
  const jumps = /^bra\b/.test(opcode);
  const ends = /^(bra|ret|exit|trap)\b/.test(opcode);
  return { opcode, operands, line, target: jumps ? operands.trim() : null, continues: !ends || guard !== '' };
}

export function readPtx(text: string): PtxKernel[] {
  const kernels: PtxKernel[] = [];
  const lines = text.split('\n');
  const files = new Map(
    lines.flatMap((line) => {
      const file = FILE.exec(line.trim());
      return file === null ? [] : [[file[1]!, file[2]!.replace(/^.*\//, '')] as const];
    }),
  );
  let open: {
    entry: string;
    threads: number;
    blocks: number;
    instructions: Instruction[];
    labels: Map<string, number>;
    sources: Map<number, string>;
    source: string;
    inside: boolean;
  } | null = null;
  for (const [i, raw] of lines.entries()) {
    const line = raw.trim();
    const entry = ENTRY.exec(line);
    if (entry !== null) {
      open = {
        ...{
          entry: entry[1]!,
          threads: 0,
          blocks: 1,
          instructions: [],
          labels: new Map(),
          sources: new Map(),
        },
        ...{ source: '', inside: false },
      };
      continue;
    }
    if (open === null) continue;
    open.threads = Number(/^\.maxntid (\d+)/.exec(line)?.[1] ?? open.threads);
    open.blocks = Number(/^\.minnctapersm (\d+)/.exec(line)?.[1] ?? open.blocks);
    if (raw === '{') open.inside = true;
    if (raw === '}') {
      kernels.push(open);
      open = null;
      continue;
    }
    if (!open.inside) continue;
    const location = LOCATION.exec(line);
    if (location !== null) open.source = `${files.get(location[1]!) ?? location[1]}:${location[2]}`;
    const label = LABEL.exec(line);
    if (label !== null) open.labels.set(label[1]!, open.instructions.length);
    const found = INSTRUCTION.exec(line);
    if (found === null) continue;
    open.instructions.push(instruction(found[1] ?? '', found[2]!, found[3]!, i + 1));
    open.sources.set(i + 1, open.source);
  }
  return kernels;
}
