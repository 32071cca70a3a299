/** `toolgrad train <config.yaml> [key=value ...]` and its dry run. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import type { Config } from '../run/config.ts';
import { formatConfig, parseConfig } from '../run/yaml.ts';
import { openSetup, toolLimits } from '../train/setup.ts';
import { train } from '../train/train.ts';
import { bytes } from '../view/format.ts';
import { evaluationTable, runView } from '../view/progress.ts';
import { interruptible } from './interrupt.ts';

interface TrainFlags {
  resume?: boolean;
  clean?: boolean;
  dryRun?: boolean;
}

export function trainCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('train')
    .description('train as a YAML config says')
    .argument('<config>', 'YAML file (see examples/ and docs/config.md)')
    .argument('[overrides...]', 'key=value, for example rl.steps=20 model.path=./model')
    .option('--dry-run', 'print the resolved config, the memory plan and one tool call, then stop')
    .option('--resume', 'continue the run in its directory from its last checkpoint')
    .option('--clean', "remove the run directory's files first")
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad train examples/smollm2-135m.yaml model.path=./SmolLM2-135M-Instruct rl.steps=20',
    )
    .action(async (path: string, overrides: string[], flags: TrainFlags) => {
      const config = readConfig(path, overrides);
      if (flags.dryRun === true) return dryRun(config);
      if (flags.resume === true && flags.clean === true) {
        throw new ToolgradError(
          'ERR_USAGE',
          '--resume continues a run and --clean removes it: give one of them',
        );
      }
      const commandLine = `toolgrad train ${path}${overrides.length > 0 ? ` ${overrides.join(' ')}` : ''}`;
      exit(
        await runAndReport(
          config,
          commandLine,
          flags.resume === true ? 'resume' : flags.clean === true ? 'clean' : 'new',
        ),
      );
    });
}

export function readConfig(path: string, overrides: readonly string[]): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ToolgradError('ERR_USAGE', `cannot read config ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return parseConfig(text, path, overrides);
}

/** Train with lines on the console; returns the exit code. */
async function runAndReport(
  config: Config,
  commandLine: string,
  mode: 'new' | 'resume' | 'clean',
): Promise<number> {
  const view = runView();
  const result = await interruptible((signal) =>
    train(config, {
      mode,
      commandLine,
      signal,
      onStart: (setup, directory) => view.start(setup, directory.path),
      onEvent: (event) => view.event(event),
    }),
  ).finally(() => view.end());
  if (result.interrupted) {
    const again = `${commandLine} --resume`;
    process.stdout.write(
      result.checkpoint === null
        ? `interrupted before the first step was done; start again with --clean\n`
        : `interrupted; checkpoint ${result.checkpoint}\ngo on with: ${again}\n`,
    );
    return 130;
  }
  if (result.evaluations.length > 0) process.stdout.write(`\n${evaluationTable(result.evaluations)}\n`);
  process.stdout.write(`\nrun directory: ${result.path}\nmodel: ${result.checkpoint}\n`);
  return 0;
}

async function dryRun(config: Config): Promise<void> {
  const setup = await openSetup(config);
  try {
    const { model, cache, microBatchTokens } = setup;
    const { memory } = model;
    const activations = memory.activationBytesPerToken * microBatchTokens + memory.activationBytesFixed;
    const kv = cache.pagesTotal * memory.kvBytesPerPage;
    const total =
      memory.weightBytes + memory.masterBytes + memory.momentBytes + memory.gradientBytes + activations + kv;
    process.stdout.write(`# resolved config\n${formatConfig(config)}\n# memory plan\n`);
    for (const [name, count] of [
      ['weights', memory.weightBytes],
      ['fp32 masters', memory.masterBytes],
      ['moments', memory.momentBytes],
      ['gradients', memory.gradientBytes],
      [`activations (${microBatchTokens} tokens a micro-batch)`, activations],
      [`KV cache (${cache.pagesTotal} pages of ${memory.kvPageTokens} tokens)`, kv],
      ['total', total],
    ] as const) {
      process.stdout.write(`${name.padEnd(44)} ${bytes(count).padStart(10)}\n`);
    }
    const result = await setup.tool.run({
      callId: 'dry-run',
      code: 'import sys\nprint(sys.version.split()[0], 6 * 7)',
      ...toolLimits(config),
    });
    process.stdout.write(
      `\n# one tool call\n${setup.tool.describe}\nstatus ${result.status}, ${(1000 * result.seconds).toFixed(0)} ms, output: ${result.output}\n`,
    );
  } finally {
    await setup.close();
  }
}
