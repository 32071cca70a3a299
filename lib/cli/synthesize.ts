/** `toolgrad synthesize`: cold-start traces from a teacher; reviewing them by hand; checking that SFT and RL do not meet. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { errorMessage, ToolgradError } from '../errors.ts';
import { parseSynthesis, type Synthesis } from '../synthesize/config.ts';
import { checkDisjoint } from '../synthesize/results.ts';
import { applyReview, writeReview } from '../synthesize/review.ts';
import { synthesize } from '../synthesize/synthesize.ts';
import { interruptible } from './interrupt.ts';

export function synthesizeCommand(program: Command): void {
  const command = program
    .command('synthesize')
    .description('make cold-start traces: a teacher answers, programs run, only right answers are kept')
    .argument('[config]', 'YAML file (docs/synthesize.md); without it every key is given as key=value')
    .argument('[overrides...]', 'key=value, for example out=cold teacher.kind=procedural tasks.names=[gcd]')
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad synthesize out=cold teacher.kind=procedural tasks.names=[demo/sum,demo/gcd]' +
        '\n  toolgrad synthesize review solutions.jsonl review.jsonl',
    )
    .action((config: string | undefined, overrides: string[]) => run(readSettings(config, overrides)));
  command
    .command('review')
    .description('copy a JSONL file with `keep: null` in each line, for a person to write true or false')
    .argument('<file>', 'solutions or traces')
    .argument('<review>', 'the copy; must not be there yet')
    .action(async (file: string, review: string) => {
      const lines = await writeReview(file, review);
      process.stdout.write(`${lines} lines to decide: ${review}\n`);
    });
  command
    .command('accept')
    .description('read a review back: write the lines with `keep: true`')
    .argument('<review>', 'as a person has edited it')
    .argument('<out>', 'the lines that are kept')
    .action(async (review: string, out: string) => {
      const { kept, dropped } = await applyReview(review, out);
      process.stdout.write(`${kept} lines kept, ${dropped} dropped: ${out}\n`);
    });
  command
    .command('check')
    .description('check that no question is in both sft.jsonl and rl.jsonl')
    .argument('<folder>', 'folder of a synthesis')
    .action(async (folder: string) => {
      const { sft, rl } = await checkDisjoint(folder);
      process.stdout.write(`${sft} traces and ${rl} questions for RL share no question\n`);
    });
}

function readSettings(first: string | undefined, rest: readonly string[]): Synthesis {
  if (first === undefined || (first.includes('=') && !existsSync(first))) {
    return parseSynthesis('', 'synthesize', first === undefined ? rest : [first, ...rest]);
  }
  let text: string;
  try {
    text = readFileSync(first, 'utf8');
  } catch (cause) {
    throw new ToolgradError('ERR_USAGE', `cannot read config ${first}: ${errorMessage(cause)}`, { cause });
  }
  return parseSynthesis(text, first, rest);
}

async function run(settings: Synthesis): Promise<void> {
  const terminal = process.stdout.isTTY === true;
  let shown = 0;
  const report = await interruptible('what was answered is kept; the same command goes on', (signal) =>
    synthesize(settings, {
      signal,
      onProgress({ done, total, right, remembered }) {
        if (done === 0) {
          const known = remembered === 0 ? '' : `, ${remembered} replies are there already`;
          process.stdout.write(`${total} attempts${known}\n`);
          return;
        }
        const now = Date.now();
        if (done < total && now - shown < (terminal ? 200 : 10_000)) return;
        shown = now;
        process.stdout.write(
          `${terminal ? '\r' : ''}${done}/${total}  right ${right}${terminal && done < total ? '' : '\n'}`,
        );
      },
    }),
  );
  const reasons = Object.entries(report.all.dropped).filter(([, count]) => count > 0);
  process.stdout.write(
    `${report.traces} traces of ${report.tracedQuestions} questions kept, ${report.rl} questions for RL\n` +
      (reasons.length === 0
        ? ''
        : `dropped: ${reasons.map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`).join(', ')}\n`) +
      `results: ${settings.out} (report: ${join(settings.out, 'report.md')})\n`,
  );
}
