/** What instructions do: the classes that the report counts, and the bytes that a warp moves with them. */
import type { Instruction } from './program.ts';

export const classes = [
  ...['tensor', 'ldmatrix', 'async copy', 'global load', 'global store', 'shared load', 'shared store'],
  ...[
    'local',
    'atomic',
    'special',
    'shuffle',
    'fma',
    'alu',
    'convert',
    'move',
    'uniform',
    'barrier',
    'wait',
    'branch',
  ],
] as const;
export type Class = (typeof classes)[number];

export interface Mix {
  /** Warp instructions. */
  readonly issue: number;
  readonly counts: Readonly<Record<Class, number>>;
  /** Bytes that a full warp reads or writes of shared and of global memory. */
  readonly sharedBytes: number;
  readonly globalBytes: number;
}

interface Meaning {
  readonly kind: Class;
  readonly bytes: number;
}

const LANES = 32;
const simple = (kind: Class): Meaning => ({ kind, bytes: 0 });

function ptxWidth(opcode: string): number {
  const vector = Number(/\.v([24])/.exec(opcode)?.[1] ?? 1);
  const bits = Number(/\.[bsuf](8|16|32|64|128)$/.exec(opcode)?.[1] ?? 32);
  return (vector * bits * LANES) / 8;
}

function ptxMeaning({ opcode, operands }: Instruction): Meaning {
  const [base, second] = opcode.split('.') as [string, string | undefined];
  const space = /\.(global|shared|local|param|const)\b/.exec(opcode)?.[1];
  if (base === 'mma') return simple('tensor');
  if (base === 'ldmatrix')
    return { kind: 'ldmatrix', bytes: Number(/\.x([124])/.exec(opcode)?.[1] ?? 1) * 128 };
  if (base === 'cp') {
    if (second !== 'async' || !space) return simple('wait');
    return { kind: 'async copy', bytes: Number(/,\s*(4|8|16)\b/.exec(operands)?.[1] ?? 16) * LANES };
  }
  if (base === 'ld' || base === 'st') {
    if (space === 'param' || space === 'const') return simple('move');
    const bytes = ptxWidth(opcode);
    if (space === 'local') return { kind: 'local', bytes };
    const load = base === 'ld';
    if (space === 'shared') return { kind: load ? 'shared load' : 'shared store', bytes };
    return { kind: load ? 'global load' : 'global store', bytes };
  }
  if (base === 'atom' || base === 'red') return simple('atomic');
  if (/^(ex2|lg2|rcp|rsqrt|sqrt|sin|cos|tanh)$/.test(base)) return simple('special');
  if (/^(shfl|vote|match|redux|activemask)$/.test(base)) return simple('shuffle');
  if (/^(bar|barrier)$/.test(base)) return simple('barrier');
  if (/^(membar|fence)$/.test(base)) return simple('wait');
  if (/^(bra|ret|exit|trap|call)$/.test(base)) return simple('branch');
  if (base === 'cvt') return simple('convert');
  if (/^(mov|cvta|selp)$/.test(base)) return simple('move');
  if (/^(add|sub|mul|fma|div|mad)$/.test(base) && /\.(f16x2|bf16x2|f16|bf16|f32|f64)$/.test(opcode))
    return simple('fma');
  return simple('alu');
}

function sassWidth(opcode: string): number {
  const bits = /\.(8|16|64|128)\b/.exec(opcode)?.[1] ?? /\.[US](8|16)\b/.exec(opcode)?.[1];
  return ((bits === undefined ? 32 : Number(bits)) * LANES) / 8;
}

const sassKinds: readonly [RegExp, Class][] = [
  [/^(HMMA|IMMA|BMMA|DMMA|QMMA|OMMA)$/, 'tensor'],
  [/^(ATOM|ATOMG|ATOMS|RED|REDG)$/, 'atomic'],
  [/^MUFU$/, 'special'],
  [/^(SHFL|VOTE|VOTEU|MATCH|REDUX|CREDUX)$/, 'shuffle'],
  [/^(BAR|B2R|WARPSYNC)$/, 'barrier'],
  [/^(DEPBAR|LDGDEPBAR|MEMBAR|FENCE|ERRBAR|CCTL|NANOSLEEP)$/, 'wait'],
  [/^(BRA|BRX|JMP|EXIT|RET|CALL|BSSY|BSYNC|BREAK|BMOV|YIELD|NOP|BPT)$/, 'branch'],
  [/^(F2F|F2FP|F2I|F2IP|I2F|I2FP|I2I|FRND|I2IP)$/, 'convert'],
  [/^(MOV|S2R|CS2R|LDC|P2R|R2P|R2UR|S2UR|PLOP3|MOVM)$/, 'move'],
  [/^(FADD|FADD2|FMUL|FMUL2|FFMA|FFMA2|IMAD|HADD2|HMUL2|HFMA2|DADD|DMUL|DFMA)$/, 'fma'],
];

function sassMeaning({ opcode }: Instruction): Meaning {
  const base = opcode.replace(/\..*/, '');
  if (base === 'LDSM') return { kind: 'ldmatrix', bytes: Number(/\.([124])$/.exec(opcode)?.[1] ?? 1) * 128 };
  if (base === 'LDGSTS') return { kind: 'async copy', bytes: sassWidth(opcode) };
  if (base === 'LDG') return { kind: 'global load', bytes: sassWidth(opcode) };
  if (base === 'STG') return { kind: 'global store', bytes: sassWidth(opcode) };
  if (base === 'LDS') return { kind: 'shared load', bytes: sassWidth(opcode) };
  if (base === 'STS') return { kind: 'shared store', bytes: sassWidth(opcode) };
  if (base === 'LDL' || base === 'STL') return { kind: 'local', bytes: sassWidth(opcode) };
  if (/^IMAD\.MOV/.test(opcode)) return simple('move');
  const kind = sassKinds.find(([pattern]) => pattern.test(base))?.[1];
  if (kind !== undefined) return simple(kind);
  return simple(/^U/.test(base) || base === 'LDCU' ? 'uniform' : 'alu');
}

export function mixOf(instructions: readonly Instruction[], language: 'ptx' | 'sass'): Mix {
  const counts = Object.fromEntries(classes.map((kind) => [kind, 0])) as Record<Class, number>;
  let [sharedBytes, globalBytes] = [0, 0];
  for (const instruction of instructions) {
    const { kind, bytes } = language === 'ptx' ? ptxMeaning(instruction) : sassMeaning(instruction);
    counts[kind]++;
    if (/^(ldmatrix|async copy|shared)/.test(kind)) sharedBytes += bytes;
    if (/^(async copy|global)/.test(kind)) globalBytes += bytes;
  }
  return { issue: instructions.length, counts, sharedBytes, globalBytes };
}
