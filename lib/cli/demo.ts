/**
 * `toolgrad demo`: a small model learns to call Python, on a plain CPU, in a few minutes. It is an ordinary run: the config
 * is assets/demo.yaml, the base model assets/demo-base; nothing here is special to the demo but what is shown at the end.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { packageRoot } from '../package.ts';
import { checkpointName } from '../run/checkpoint.ts';
import { readLines } from '../run/directory.ts';
import { duration, styled } from '../view/format.ts';
import { evaluationTable } from '../view/progress.ts';
import { type TrajectoryRecord, transcript } from '../view/transcript.ts';
import { invocation, shortPath } from './invocation.ts';
import { readConfig, trainOnConsole } from './train.ts';
import { unsafeOption, unsafeOverride } from './unsafe.ts';

export function demoCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('demo')
    .description('watch a small model learn to call Python (a few minutes on two CPU cores)')
    .argument('[overrides...]', 'key=value, for example seed=3')
    .option(...unsafeOption)
    .addHelpText('after', '\nExample:\n  toolgrad demo seed=3')
    .action(async (overrides: string[], flags: { unsafeSandbox?: boolean }) => {
      exit(await demo([...overrides, ...unsafeOverride(flags)]));
    });
}

async function demo(overrides: readonly string[]): Promise<number> {
  const started = performance.now();
  const asset = (name: string) => shortPath(join(packageRoot, 'assets', name));
  const config = readConfig(asset('demo.yaml'), [
    `model.path=${JSON.stringify(asset('demo-base'))}`,
    `run=${freeRunName()}`,
    ...overrides,
  ]);
  if (config.sft.steps === 0 || config.rl.steps === 0 || config.eval.questions === 0) {
    throw new ToolgradError(
      'ERR_USAGE',
      'the demo compares SFT with RL: expected sft.steps, rl.steps and eval.questions above 0',
    );
  }
  const { result, code } = await trainOnConsole(config, ['demo', ...overrides], 'new');
  if (code !== 0) return code;
  const steps = config.sft.steps + config.rl.steps;
  for (const [title, step] of [
    ['before training', 0],
    ['after SFT', config.sft.steps],
    ['after RL', steps],
  ] as const) {
    const first = readLines(
      join(result.path, 'eval', `${checkpointName(step)}.jsonl`),
    )[0] as unknown as TrajectoryRecord;
    process.stdout.write(
      `\n${styled('cyan', `the first held-out question, ${title}`)}\n${transcript(first)}\n`,
    );
  }
  process.stdout.write(`\n${evaluationTable(result.evaluations)}\n\n`);
  const of = (name: string) => result.evaluations.find((evaluation) => evaluation.name === name)!.accuracy;
  const gain = Math.round(100 * (of('after RL') - of('after SFT')));
  process.stdout.write(
    `RL changed the share of right answers by ${gain >= 0 ? '+' : ''}${gain} points over SFT, ${duration((performance.now() - started) / 1000)} in all\n` +
      `run directory: ${result.path}\n` +
      `look into it:  ${invocation(['show', shortPath(result.path), String(steps)])}\n`,
  );
  return 0;
}

/** runs/demo, or with a number behind it when that is taken: the demo never touches an earlier run. */
function freeRunName(): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? 'runs/demo' : `runs/demo-${n}`;
    if (!existsSync(name)) return name;
  }
}
