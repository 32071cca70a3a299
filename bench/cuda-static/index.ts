/** `npm run bench -- --cuda-static`: what is known of the GPU kernels without a GPU, as Markdown or JSON. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { record, recorded } from './coverage.ts';
import { page, summary } from './document.ts';
import { gatherReport } from './report.ts';
import { findDisassembler } from './sass.ts';
import { kernelTable, occupancyTable, pipeTable, rooflineTable, unreachedTable } from './tables.ts';
import { build, builtPtx, root } from './tools.ts';

export const usage = `npm run bench -- --cuda-static [options]

  --record   run the op tests and the engine's tests on the simulated GPU first, for coverage, conflicts and errors (minutes)
  --check    end with 1 when registers are spilled, a PTX line that no test reaches has no reason, or a reason no line
  --out      write docs/cuda-static.md
  --json     print one JSON object instead of the tables

Needs nvcc, ptxas and cmake. Instructions come from the machine code where NVIDIA's disassembler is found (TOOLGRAD_NVDISASM, or
nvdisasm on PATH), else from the PTX.
`;

export function main(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: {
      'cuda-static': { type: 'boolean' },
      record: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      out: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  build('native', ['cuda_bench']);
  build('sim', ['cudasim']);
  if (values.record) record();
  const ptx = builtPtx();
  const coverage = recorded(ptx);
  const report = gatherReport(ptx, findDisassembler(), coverage);
  if (values.out) writeFileSync(join(root, 'docs', 'cuda-static.md'), page(report));
  process.stdout.write(
    values.json
      ? `${JSON.stringify(report, null, 1)}\n`
      : `${[summary(report), kernelTable(report), occupancyTable(report), pipeTable(report), rooflineTable(report), unreachedTable(report)].join('\n\n')}\n`,
  );
  const faults = [...report.faults];
  if (values.check && coverage === null)
    faults.push('no coverage of these kernels was recorded: add --record');
  for (const fault of faults) process.stderr.write(`cuda-static: ${fault}\n`);
  return values.check && faults.length > 0 ? 1 : 0;
}
