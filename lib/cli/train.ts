/** `toolgrad train <config.yaml> [key=value ...]` and its dry run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { type ModelConfig, parameterCount } from '../model/config.ts';
import { Device, resolveDevice } from '../model/device.ts';
import { availableMemory } from '../model/model.ts';
import { configWithoutWeights } from '../model/shape.ts';
import type { Config } from '../run/config.ts';
import { placement } from '../run/placement.ts';
import { formatConfig, parseConfig } from '../run/yaml.ts';
import { criticMemory, memoryPlan, planFromShape } from '../train/memory.ts';
import { openSetup, toolLimits } from '../train/setup.ts';
import { type TrainResult, train } from '../train/train.ts';
import { bytes, parameters } from '../view/format.ts';
import { evaluationTable, runView } from '../view/progress.ts';
import { interruptible } from './interrupt.ts';
import { invocation, shortPath } from './invocation.ts';

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
      const mode = flags.resume === true ? 'resume' : flags.clean === true ? 'clean' : 'new';
      exit(await runAndReport(config, ['train', path, ...overrides], mode));
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
  args: readonly string[],
  mode: 'new' | 'resume' | 'clean',
): Promise<number> {
  const { result, code } = await trainOnConsole(config, args, mode);
  if (code !== 0) return code;
  if (result.evaluations.length > 0) process.stdout.write(`\n${evaluationTable(result.evaluations)}\n`);
  process.stdout.write(`\nrun directory: ${result.path}\nmodel: ${result.checkpoint}\n`);
  return 0;
}

/** Trains, showing the run; when it is interrupted, says how to go on and returns code 130. */
export async function trainOnConsole(
  config: Config,
  args: readonly string[],
  mode: 'new' | 'resume' | 'clean',
): Promise<{ result: TrainResult; code: number }> {
  const view = runView();
  const result = await interruptible('the steps done are being saved', (signal) =>
    train(config, {
      mode,
      commandLine: ['toolgrad', ...args].join(' '),
      signal,
      onStart: (setup, directory) => view.start(setup, directory.path),
      onEvent: (event) => view.event(event),
    }),
  ).finally(() => view.end());
  if (!result.interrupted) return { result, code: 0 };
  const again = invocation(['train', shortPath(join(result.path, 'config.yaml')), '--resume']);
  process.stdout.write(
    `interrupted; ${result.checkpoint === null ? 'no step was done yet' : `checkpoint ${result.checkpoint}`}\n` +
      `go on with: ${again}\n`,
  );
  return { result, code: 130 };
}

async function dryRun(config: Config): Promise<void> {
  const shape = configWithoutWeights(config.model.path);
  if (shape !== null) return planOnly(config, shape);
  const setup = await openSetup(config);
  try {
    const { model, cache, microBatchTokens } = setup;
    const critic = criticMemory(config, model.config);
    writePlan(config, memoryPlan(config, model.memory, cache.pagesTotal, microBatchTokens, critic));
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

/** The memory that a model of this config would lie in: bytes, and whose they are. */
async function roomFor(config: Config): Promise<readonly [number, string]> {
  const { device } = placement(config.model);
  const { ordinal } = await resolveDevice(device);
  if (ordinal === null) return [availableMemory(), 'memory that this machine has left'];
  const gpu = (await Device.list())[ordinal]!;
  return [gpu.memoryBytes, `memory of cuda:${ordinal}, ${gpu.name}`];
}

/** The dry run of a model of which only config.json is here: what it would take, and whether this machine has it. */
async function planOnly(config: Config, shape: ModelConfig): Promise<void> {
  const plan = planFromShape(config, shape);
  writePlan(config, plan);
  const needed = plan.at(-1)![1];
  const [available, where] = await roomFor(config);
  process.stdout.write(
    `\n${config.model.path} holds config.json and no weights (${parameters(parameterCount(shape))} parameters): this is the plan alone.\n` +
      `It ${needed > available ? 'does not fit' : 'fits'} into the ${bytes(available)} of ${where}.\n`,
  );
}

function writePlan(config: Config, plan: readonly (readonly [string, number])[]): void {
  process.stdout.write(`# resolved config\n${formatConfig(config)}\n# memory plan\n`);
  for (const [name, count] of plan) {
    process.stdout.write(`${name.padEnd(56)} ${bytes(count).padStart(10)}\n`);
  }
}
