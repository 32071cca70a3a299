/** The page docs/cuda-static.md: the tables with what a reader needs to judge them. */
import type { StaticReport } from './report.ts';
import {
  bytesTable,
  kernelTable,
  loopTable,
  occupancyTable,
  pipeTable,
  rooflineTable,
  unreachedTable,
} from './tables.ts';

/** What a terminal and the page both say first. */
export function summary(report: StaticReport): string {
  const { kernels, unreached, disassembler } = report;
  const spills = kernels.reduce(
    (sum, { targets }) => sum + targets.reduce((all, { assembled }) => all + assembled.spills, 0),
    0,
  );
  const lines = kernels.reduce((sum, one) => sum + one.lines, 0);
  const ran = unreached === null ? null : lines - unreached.reduce((sum, one) => sum + one.lines.length, 0);
  return [
    `${kernels.length} kernels, ${spills} bytes of spilled registers on any target.`,
    ran === null
      ? 'Coverage was not recorded.'
      : `${ran} of ${lines} PTX lines ran in the op tests and the engine's tests on the simulated GPU.`,
    disassembler === null
      ? 'Instructions are those of the PTX: no disassembler was found (TOOLGRAD_NVDISASM, or nvdisasm on PATH).'
      : `Instructions are those of the machine code (SASS), by nvdisasm ${disassembler.version}.`,
  ].join(' ');
}

export function page(report: StaticReport): string {
  return `# GPU kernels without a GPU

Written by \`npm run bench -- --cuda-static --record --out\`. **Nothing on this page was measured on a GPU.** Registers, spills and
instructions are the assembler's; lines, bytes, conflicts and errors are those of the kernels' PTX on the [simulated device](../sim/README.md);
what is *predicted* is an upper bound or an interval from a model that no measurement has calibrated, and may be off by a factor of two.
\`npm run bench -- --cuda\` fills the *measured* column on a GPU ([how](cuda.md#on-a-real-gpu)).

${summary(report)}

## Kernels

Spills are summed over the five targets. An error without unit is in the words of the test that prints it; u is (terms) 2⁻²⁴ Σ|ab|, after
operands were rounded. Conflict factor: wavefronts of shared memory for each request, 1 is none. *Predicted* is the most that the kernel
can reach: T of the tensor cores' peak on the data sheet, from the pipe model of its loop below; B of the bandwidth, from
its instructions against its bytes on the simulated device. What bounds it stands behind.

${kernelTable(report)}

## Occupancy

From registers, shared memory and the architecture's limits; the formula agrees with NVIDIA's cuda_occupancy.h
([test](../test/cuda-static.test.ts)).

${occupancyTable(report)}

## The loops on the tensor cores

Clocks that one turn of the loop keeps each pipe of a multiprocessor busy, with all warps of a block: the longest bounds it.
Issue is 4 instructions a clock, special functions 16 lanes, shared memory 128 bytes, tensor cores the data sheet's rate
(H100: what mma.sync reaches of it). Masks that only the last turn needs are counted in every turn.

${pipeTable(report)}

## Innermost loops on sm_80

Instructions of one turn of a warp, and the bytes a full warp moves.

${loopTable(report)}

## Bytes against the minimum

Every op once in small sizes on the simulated device. The minimum reads each operand and writes each result once. Design is what
the op moves in all with casts and scratch; requested are 32-byte sectors asked for, by all blocks: a tile of a product reads its
operands again for each neighbour, which the L2 cache answers. mma / minimum is the padding of tiles and masks.

${bytesTable(report.counted)}

## Roofline

Roofline: the larger of bytes over bandwidth and flops over the data sheet's peak. *Predicted*: the larger of the design's bytes over
the bandwidth and the loops' bound on the busiest multiprocessor, over the efficiency that public kernels of the kind reach (products 0.75 to 0.95,
attention 0.65 to 0.85, its gradient 0.55 to 0.7, decoding 0.7 to 0.85, streaming 0.85 to 0.92), and 2 to 4 µs for each launch. A streaming op is the sum of its
kernels: whole sectors over the bandwidth, over 64 bytes a clock of the multiprocessors that have a block ("few blocks"), or the PTX instructions of the small run
scaled by bytes; what grows faster than its bytes (the gradient of the embedding looks through T² / 2 ids) is predicted too fast, and so are ops so small that
latencies count. GPUs and sources: [gpus.ts](../bench/cuda-static/gpus.ts).

${rooflineTable(report)}

## PTX lines that no test reaches

${unreachedTable(report)}
`;
}
