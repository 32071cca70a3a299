/** `toolgrad train <config.yaml> [key=value ...]` and its dry run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { type ModelConfig, parameterCount } from '../model/config.ts';
import { Device, resolveDevice } from '../model/device.ts';
import { availableMemory } from '../model/memory.ts';
import { configWithoutWeights } from '../model/shape.ts';
import type { Config } from '../run/config.ts';
import { placement } from '../run/placement.ts';
import { formatConfig, parseConfig } from '../run/yaml.ts';
import { planFromShape, type RunPlan, residentBesides, setupPlan } from '../train/memory.ts';
import { openSetup, toolLimits } from '../train/setup.ts';
import { type TrainResult, train } from '../train/train.ts';
import { bytes, parameters } from '../view/format.ts';
import { evaluationTable, runView } from '../view/progress.ts';
import { interruptible } from './interrupt.ts';
import { invocation, shortPath } from './invocation.ts';
import { unsafeOption, unsafeOverride } from './unsafe.ts';

interface TrainFlags {
  resume?: boolean;
  clean?: boolean;
  dryRun?: boolean;
  unsafeSandbox?: boolean;
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
    .option(...unsafeOption)
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad train examples/smollm2-135m.yaml model.path=./SmolLM2-135M-Instruct rl.steps=20',
    )
    .action(async (path: string, overrides: string[], flags: TrainFlags) => {
      const config = readConfig(path, [...overrides, ...unsafeOverride(flags)]);
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
    writePlan(config, setup.model.parameterCount, setupPlan(setup), residentBesides(setup));
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

/** The memory that a model of this config would lie in: bytes, whose they are, and whether a GPU's. */
async function roomFor(config: Config): Promise<readonly [number, string, boolean]> {
  const { device } = placement(config.model);
  const { ordinal } = await resolveDevice(device);
  if (ordinal === null) return [availableMemory(), 'memory that this machine has left', false];
  const gpu = (await Device.list())[ordinal]!;
  return [gpu.memoryBytes, `memory of cuda:${ordinal}, ${gpu.name}`, true];
}

/** The dry run of a model of which only config.json is here: what it would take, and whether this machine has it. */
async function planOnly(config: Config, shape: ModelConfig): Promise<void> {
  const [available, where, onGpu] = await roomFor(config);
  const plan = onGpu ? planFromShape(config, shape, null) : planFromShape(config, shape);
  writePlan(config, parameterCount(shape), plan, null);
  const needed = plan.totalBytes;
  process.stdout.write(
    `\n${config.model.path} holds config.json and no weights (${parameters(parameterCount(shape))} parameters): this is the plan alone.\n` +
      `It ${needed > available ? 'does not fit' : 'fits'} into the ${bytes(available)} of ${where}.\n`,
  );
}

/** `besides`: bytes that this process has resident besides the plan; null where that says nothing. */
function writePlan(config: Config, count: number, plan: RunPlan, besides: number | null): void {
  const line = (name: string, text: string) =>
    process.stdout.write(`${name.padEnd(72)} ${text.padStart(10)}\n`);
  process.stdout.write(`# resolved config\n${formatConfig(config)}\n# memory plan\n`);
  for (const [name, size] of plan.lines) line(name, bytes(size));
  if (besides !== null) {
    line('this process besides, as it is now', bytes(besides));
    line('peak resident', bytes(plan.totalBytes + besides));
  }
  process.stdout.write('\n');
  line('held per parameter', `${(plan.heldBytes / count).toFixed(2)} B`);
  line('activations per token of a micro-batch', bytes(plan.bytesPerToken));
  line('KV cache per token', bytes(plan.kvBytesPerToken));
}
