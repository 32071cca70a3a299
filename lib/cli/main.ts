#!/usr/bin/env node
/**
 * The command line: arguments to functions, errors to messages and exit codes.
 * 0 done, 1 failure, 2 bad usage or config, 130 interrupted (after a checkpoint).
 */
import { Command, CommanderError } from 'commander';
import { errorCode, errorMessage } from '../errors.ts';
import { packageVersion } from '../package.ts';
import { chatCommand } from './chat.ts';
import { compareCommand } from './compare.ts';
import { curriculumCommand } from './curriculum.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { evalCommand } from './eval.ts';
import { Interrupted } from './interrupt.ts';
import { mergeCommand } from './merge.ts';
import { replayCommand } from './replay.ts';
import { sandboxCommand } from './sandbox.ts';
import { serveCommand } from './serve.ts';
import { showCommand } from './show.ts';
import { sweepCommand } from './sweep.ts';
import { synthesizeCommand } from './synthesize.ts';
import { tasksCommand } from './tasks.ts';
import { trainCommand } from './train.ts';

/** Codes of errors that are the user's to mend before anything ran. */
const kUsageCodes: ReadonlySet<string> = new Set([
  'ERR_CONFIG',
  'ERR_USAGE',
  'ERR_RUN_EXISTS',
  'ERR_RUN_MISSING',
  'ERR_CURRICULUM',
]);

async function main(): Promise<number> {
  const program = new Command('toolgrad')
    .description('Train language models to use a Python interpreter.')
    .version(packageVersion)
    .showSuggestionAfterError(true)
    .exitOverride();
  let code = 0;
  const commands = [
    demoCommand,
    trainCommand,
    sweepCommand,
    evalCommand,
    compareCommand,
    curriculumCommand,
    chatCommand,
    mergeCommand,
    serveCommand,
    sandboxCommand,
    synthesizeCommand,
    showCommand,
    tasksCommand,
    replayCommand,
    doctorCommand,
  ];
  for (const add of commands) {
    add(program, (exitCode) => {
      code = exitCode;
    });
  }
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(process.argv);
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Interrupted) return 130;
    process.stderr.write(`toolgrad: ${errorMessage(error)}\n`);
    if (process.env.TOOLGRAD_DEBUG !== undefined && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
    const usage =
      kUsageCodes.has(errorCode(error) ?? '') || error instanceof RangeError || error instanceof TypeError;
    return usage ? 2 : 1;
  }
}

// A reader that went away (`| head`) is no reason to lose a run: its directory has everything.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await main();
