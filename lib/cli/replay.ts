/** `toolgrad replay <run> [key=value ...]`: a recorded run computed once more without Python, and compared to the bit. */
import type { Command } from 'commander';
import type { Difference } from '../run/recorded.ts';
import { replay } from '../run/replay.ts';
import { interruptible } from './interrupt.ts';

interface ReplayFlags {
  out?: string;
}

/** Differences printed; the others follow from them as a rule. */
const kMost = 20;

export function replayCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('replay')
    .description(
      'compute a recorded run once more, without Python, and compare every token, reward and weight',
    )
    .argument('<run>', 'run directory')
    .argument('[overrides...]', 'key=value, for example model.path=./model where the base model has moved')
    .option('--out <folder>', 'write what was computed as a run directory')
    .addHelpText('after', '\nExample:\n  toolgrad replay runs/demo')
    .action(async (run: string, overrides: string[], flags: ReplayFlags) => {
      const report = await interruptible('nothing is kept', (signal) =>
        replay(run, {
          overrides,
          signal,
          ...(flags.out === undefined ? {} : { out: flags.out }),
          onStep: (at, differences) => {
            // Long cold starts print about twenty lines.
            const quiet = at.phase === 'sft' && at.phaseStep % Math.ceil(at.phaseSteps / 20) !== 0;
            if (quiet && differences.length === 0) return;
            const found = differences.length === 0 ? 'the same' : `${differences.length} differences`;
            process.stdout.write(`step ${at.step}/${at.steps}  ${at.phase} ${at.phaseStep}  ${found}\n`);
          },
        }),
      );
      const { steps, trajectories, tokens, calls, checkpoints, differences, warnings } = report;
      for (const warning of warnings) process.stdout.write(`warning: ${warning}\n`);
      process.stdout.write(
        `\n${steps} steps: ${trajectories} trajectories, ${tokens} tokens sampled again, ${calls} calls answered from the record\n` +
          `weights compared at ${checkpoints.length === 0 ? 'no checkpoint' : `step ${checkpoints.join(', ')}`}\n`,
      );
      if (differences.length === 0) {
        process.stdout.write(
          'the replay is the run: every token, log-prob, reward and byte of the weights is the same\n',
        );
        return exit(0);
      }
      process.stdout.write(`first difference: ${describe(differences[0]!)}\n`);
      for (const difference of differences.slice(1, kMost))
        process.stdout.write(`then: ${describe(difference)}\n`);
      if (differences.length > kMost) process.stdout.write(`and ${differences.length - kMost} more\n`);
      exit(1);
    });
}

function describe({ step, trajectory, token, what, recorded, replayed }: Difference): string {
  const place = [
    `step ${step}`,
    ...(trajectory === null
      ? []
      : [`sample ${trajectory.sample} of prompt ${trajectory.prompt} (question ${trajectory.question})`]),
    ...(token === null ? [] : [`token ${token}`]),
  ];
  return `${place.join(', ')}: ${what}: recorded ${recorded}, replayed ${replayed}`;
}
