/** `toolgrad show <run> [step]`: what a run did, and the trajectories of one step, in the terminal. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { checkpointName } from '../run/checkpoint.ts';
import { readLines } from '../run/directory.ts';
import { percent, table } from '../view/format.ts';
import { type TrajectoryRecord, transcript } from '../view/transcript.ts';

interface ShowFlags {
  eval?: boolean;
  limit: string;
  wrong?: boolean;
}

export function showCommand(program: Command): void {
  program
    .command('show')
    .description("show a run's metrics, or the trajectories of one step")
    .argument('<run>', 'run directory')
    .argument('[step]', 'step whose trajectories to show')
    .option('--eval', 'the evaluation at that step instead of its rollouts')
    .option('--wrong', 'only wrong answers')
    .option('--limit <n>', 'trajectories to show', '4')
    .addHelpText('after', '\nExample:\n  toolgrad show runs/demo 45 --wrong --limit 2')
    .action((run: string, step: string | undefined, flags: ShowFlags) => {
      if (!existsSync(join(run, 'config.yaml'))) {
        throw new ToolgradError(
          'ERR_RUN_MISSING',
          `${run} is not a run directory (config.yaml is not there)`,
        );
      }
      process.stdout.write(step === undefined ? overview(run) : trajectories(run, step, flags));
    });
}

function overview(run: string): string {
  const file = join(run, 'metrics.jsonl');
  const records = existsSync(file) ? readLines(file) : [];
  const number = (value: unknown, digits: number) =>
    typeof value === 'number' ? value.toFixed(digits) : '-';
  const share = (value: unknown) => (typeof value === 'number' ? percent(value) : '-');
  const sft = records.filter((record) => record.kind === 'sft');
  const rl = records.filter((record) => record.kind === 'rl');
  const parts: string[] = [];
  if (sft.length > 0) {
    parts.push(
      table(
        ['sft step', 'loss', 'grad', 'seconds'],
        thin(sft).map((r) => [
          String(r.step),
          number(r.loss, 3),
          number(r.grad_norm, 2),
          number(r.seconds, 1),
        ]),
      ),
    );
  }
  if (rl.length > 0) {
    parts.push(
      table(
        ['rl step', 'reward', 'solved', 'call', 'tool errors', 'gap', 'dead', 'entropy', 'grad', 'seconds'],
        thin(rl).map((r) => [
          String(r.step),
          number(r.reward, 2),
          share(r.solved),
          share(r.call_share),
          share(r.tool_error_rate),
          String(r.logprob_gap),
          String(r.dead_groups),
          number(r.entropy, 2),
          number(r.grad_norm, 2),
          number(r.seconds, 1),
        ]),
      ),
    );
  }
  const evaluations = records.filter((record) => record.kind === 'evaluation');
  if (evaluations.length > 0) {
    parts.push(
      table(
        ['evaluation', 'step', 'right', 'call Python'],
        evaluations.map((r) => [String(r.name), String(r.step), share(r.accuracy), share(r.call_share)]),
      ),
    );
  }
  return parts.length === 0 ? 'no step is done yet\n' : `${parts.join('\n\n')}\n`;
}

/** At most 30 rows: first, last and evenly spaced ones between. */
function thin<T>(records: readonly T[]): T[] {
  const most = 30;
  if (records.length <= most) return [...records];
  return Array.from(
    { length: most },
    (_, i) => records[Math.round((i * (records.length - 1)) / (most - 1))]!,
  );
}

function trajectories(run: string, step: string, flags: ShowFlags): string {
  const limit = Number(flags.limit);
  if (!/^\d+$/.test(step) || !Number.isInteger(limit) || limit < 1) {
    throw new ToolgradError(
      'ERR_USAGE',
      `expected a step number and a limit of 1 or more, found step ${step}, limit ${flags.limit}`,
    );
  }
  const folder = join(run, flags.eval === true ? 'eval' : 'rollouts');
  const file = join(folder, `${checkpointName(Number(step))}.jsonl`);
  if (!existsSync(file)) {
    const known = readdirSync(folder).map((name) => name.replace(/\.jsonl$/, ''));
    throw new ToolgradError(
      'ERR_USAGE',
      `${file} is not there; ${folder} has ${known.length === 0 ? 'nothing' : known.join(', ')}`,
    );
  }
  const records = readLines(file) as unknown as TrajectoryRecord[];
  const chosen = records.filter((record) => flags.wrong !== true || !record.correct).slice(0, limit);
  return chosen.length === 0 ? 'no such trajectory\n' : `${chosen.map(transcript).join('\n\n')}\n`;
}
