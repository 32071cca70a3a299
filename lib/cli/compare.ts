/** `toolgrad compare RUN...`: runs and evaluations side by side, as a Markdown page with plots. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { groupRuns, readCompared } from '../run/comparison.ts';
import { writeAtomically } from '../run/directory.ts';
import { comparisonPage, comparisonPlots } from '../view/comparison.ts';

export function compareCommand(program: Command): void {
  program
    .command('compare')
    .description('put runs and evaluations side by side: tables, and plots with intervals over seeds')
    .argument('<runs...>', 'run directories, and folders that toolgrad eval --out wrote')
    .option('--out <folder>', 'write comparison.md and its SVG plots there (default: print the tables)')
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad compare runs/masked runs/masked-2 runs/unmasked --out comparison',
    )
    .action((paths: string[], { out }: { out?: string }) => compareRuns(paths, out));
}

/** Tables of the runs on standard output; with `out` as a page with plots in that folder. ERR_USAGE when it cannot be made. */
export function compareRuns(paths: readonly string[], out: string | undefined): void {
  const groups = groupRuns(paths.flatMap(readCompared));
  if (out === undefined) {
    process.stdout.write(comparisonPage(groups, []));
    return;
  }
  if (!existsSync(dirname(out))) {
    throw new ToolgradError('ERR_USAGE', `--out ${out}: there is no folder ${dirname(out)}`);
  }
  const plots = comparisonPlots(groups);
  mkdirSync(out, { recursive: true });
  for (const { name, svg } of plots) writeAtomically(join(out, `${name}.svg`), svg);
  writeAtomically(join(out, 'comparison.md'), comparisonPage(groups, plots));
  process.stdout.write(`${join(out, 'comparison.md')}: ${groups.length} columns, ${plots.length} plots\n`);
}
