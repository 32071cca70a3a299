/**
 * Reads machine code as nvdisasm -c prints it: one `.text.<entry>` section a kernel, labels `.L_x_3:`, instructions
 * an offset in a comment, then `@!P0 BRA `(.L_x_3) ;`. The disassembler is TOOLGRAD_NVDISASM, or nvdisasm on PATH.
 */
import { spawnSync } from 'node:child_process';
import type { Instruction, Kernel } from './program.ts';

export interface Disassembler {
  readonly path: string;
  readonly version: string;
}

export function findDisassembler(): Disassembler | null {
  const path = process.env.TOOLGRAD_NVDISASM || 'nvdisasm';
  const done = spawnSync(path, ['--version'], { encoding: 'utf8' });
  if (done.status !== 0) {
    if (process.env.TOOLGRAD_NVDISASM === undefined) return null;
    throw new Error(`TOOLGRAD_NVDISASM: expected NVIDIA's disassembler but ${path} does not run`);
  }
  return { path, version: /release ([\d.]+)/.exec(done.stdout)?.[1] ?? 'unknown' };
}

export function disassemble({ path }: Disassembler, cubin: string): string {
  const done = spawnSync(path, ['-c', cubin], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`${path} -c ${cubin}: ${done.stderr || done.error?.message}`);
  return done.stdout;
}

const SECTION = /^\s*\.section\s+\.text\.(\w+)/;
const LABEL = /^(\.L_x_\d+):/;
const INSTRUCTION = /^\s*\/\*([0-9a-f]+)\*\/\s+(?:(@!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*);/;

export function readSass(text: string): Kernel[] {
  const kernels: { entry: string; instructions: Instruction[]; labels: Map<string, number> }[] = [];
  let open: (typeof kernels)[number] | null = null;
  for (const [i, line] of text.split('\n').entries()) {
    const section = SECTION.exec(line);
    if (section !== null) {
      open = { entry: section[1]!, instructions: [], labels: new Map() };
      kernels.push(open);
      continue;
    }
    if (/^\s*\.section\s/.test(line)) open = null;
    if (open === null) continue;
    const label = LABEL.exec(line);
    if (label !== null) open.labels.set(label[1]!, open.instructions.length);
    const found = INSTRUCTION.exec(line);
    if (found === null) continue;
    // `@!PT LDS RZ, [RZ]` never happens: it only takes a slot.
    const [opcode, operands] = [found[2] === '@!PT' ? 'NOP' : found[3]!, found[4]!.trim()];
    const base = opcode.replace(/\..*/, '');
    // `BRA.U UP0, `(.L)` and `BRA P1, `(.L)` have their condition among the operands; BRA.DIV too.
    const conditional = found[2] !== undefined || (base === 'BRA' && operands.includes(','));
    open.instructions.push({
      opcode,
      operands,
      line: i + 1,
      target: base === 'BRA' ? (/`\((\.L_x_\d+)\)/.exec(operands)?.[1] ?? null) : null,
      continues: conditional || !['BRA', 'BRX', 'EXIT', 'RET', 'JMP'].includes(base),
    });
  }
  return kernels;
}
