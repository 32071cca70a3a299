/** `toolgrad sandbox serve`: the Python tool behind SandboxFusion's HTTP API, on this machine. */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { errorMessage, ToolgradError } from '../errors.ts';
import { isLoopback } from '../serve/http.ts';
import { openSandboxServer } from '../serve/sandbox-server.ts';
import { openPythonTool } from '../tools/python.ts';
import { interruptible } from './interrupt.ts';
import { unsafeOption } from './unsafe.ts';

interface ServeFlags {
  unsafeSandbox?: boolean;
  host: string;
  port: string;
  expose?: boolean;
  apiKeyEnv?: string;
  runTimeout: string;
  memory: string;
  output: string;
  files: string;
  body: string;
  workers?: string;
  queue: string;
  python?: string;
  grace: string;
}

const kMegabyte = 2 ** 20;

export function sandboxCommand(program: Command): void {
  const sandbox = program.command('sandbox').description('the Python tool as a service');
  sandbox
    .command('serve')
    .description("run programs for others on this machine: SandboxFusion's POST /run_code, for Python")
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', '0 = any free one', '8080')
    .option(
      '--expose',
      'allow a --host beyond this machine: whoever reaches the port can then run programs here, and nothing is encrypted',
    )
    .option('--api-key-env <variable>', 'environment variable with the key that callers must bring')
    .option('--run-timeout <s>', 'longest run_timeout that a caller gets', '60')
    .option('--memory <mb>', 'largest memory_limit_MB that a caller gets, and the default', '512')
    .option('--output <mb>', 'kept of each output stream, in MiB', '1')
    .option('--files <mb>', 'largest file, and all files of a call together, in MiB', '16')
    .option('--body <mb>', 'largest request, in MiB', '16')
    .option('--workers <n>', 'programs at once; default: one per core')
    .option('--queue <n>', 'calls that may wait; more get status 503', '256')
    .option('--python <path>', 'interpreter; default: python3 on PATH')
    .option(...unsafeOption)
    .option('--grace <s>', 'seconds that running programs get when the server is stopped', '10')
    .addHelpText('after', '\nExample:\n  toolgrad sandbox serve --port 8080 --workers 8')
    .action((flags: ServeFlags) => serve(flags));
}

/** The number that a flag holds. @throws {ToolgradError} ERR_USAGE */
function numberOf(flag: string, text: string, low: number, high: number, whole = true): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= low && value <= high && (!whole || Number.isInteger(value)))
    return value;
  const kind = whole ? 'a whole number' : 'seconds';
  throw new ToolgradError(
    'ERR_USAGE',
    `--${flag}: expected ${kind} from ${low} to ${high}, found ${JSON.stringify(text)}`,
  );
}

async function serve(flags: ServeFlags): Promise<void> {
  const apiKey = flags.apiKeyEnv === undefined ? null : (process.env[flags.apiKeyEnv] ?? '');
  if (apiKey === '') {
    throw new ToolgradError(
      'ERR_USAGE',
      `--api-key-env: the environment variable ${flags.apiKeyEnv} is not set`,
    );
  }
  if (!isLoopback(flags.host) && flags.expose !== true) {
    throw new ToolgradError(
      'ERR_USAGE',
      `--host ${flags.host} reaches beyond this machine, and whoever reaches the port can run programs here, unencrypted; ` +
        'if that is meant, add --expose (and --api-key-env)',
    );
  }
  const limits = {
    seconds: numberOf('run-timeout', flags.runTimeout, 0.001, 86_400, false),
    memoryBytes: numberOf('memory', flags.memory, 64, 1e8) * kMegabyte,
    outputBytes: numberOf('output', flags.output, 1, 64) * kMegabyte,
    fileBytes: numberOf('files', flags.files, 0, 1e6) * kMegabyte,
  };
  const bodyBytes = numberOf('body', flags.body, 1, 512) * kMegabyte;
  const port = numberOf('port', flags.port, 0, 65_535);
  const grace = numberOf('grace', flags.grace, 0, 3600);
  const queue = numberOf('queue', flags.queue, 0, 1e6);
  const workers =
    flags.workers === undefined
      ? Math.min(1024, availableParallelism())
      : numberOf('workers', flags.workers, 1, 1024);
  await using tool = await openPythonTool({
    workers,
    ...(flags.python === undefined ? {} : { python: flags.python }),
    unsafe: flags.unsafeSandbox === true,
  });
  const server = await openSandboxServer({
    tool,
    host: flags.host,
    port,
    exposed: flags.expose === true,
    apiKey,
    limits,
    bodyBytes,
    workers,
    queue,
    onError: (error) => process.stderr.write(`toolgrad: ${errorMessage(error)}\n`),
  });
  const reach = isLoopback(flags.host)
    ? 'this machine only'
    : 'OTHER MACHINES CAN RUN PROGRAMS HERE (no encryption)';
  process.stdout.write(
    `tool    ${tool.describe}\n` +
      `limits  ${limits.seconds} s, ${flags.memory} MiB of memory, ${flags.output} MiB of output, ${flags.files} MiB of files; ${queue} calls may wait\n` +
      `serving ${server.url}/run_code (${reach}${apiKey === null ? ', no key' : ''}); Ctrl-C stops\n`,
  );
  await interruptible(`running programs get ${grace} s to end`, async (signal) => {
    await once(signal, 'abort');
    await server.close(grace);
  });
}
