/** `toolgrad serve <model>`: the model behind OpenAI's chat completions API, on this machine. */
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { errorMessage, ToolgradError } from '../errors.ts';
import { isLoopback } from '../serve/http.ts';
import { openAnswering } from '../serve/open.ts';
import { openServer } from '../serve/server.ts';
import { formats, type ToolFormat } from '../text/formats/index.ts';
import { parameters } from '../view/format.ts';
import { unsafeOption } from './unsafe.ts';

interface ServeFlags {
  unsafeSandbox?: boolean;
  host: string;
  port: string;
  name?: string;
  dtype: string;
  threads: string;
  kvMemory?: string;
  context?: string;
  queue: string;
  tokens: string;
  apiKeyEnv?: string;
  toolLoop?: boolean;
  format: string;
  instruction?: string;
  chatTemplate: string;
  maxCalls: string;
  toolSeconds: string;
  toolMemory: string;
  workers?: string;
  python?: string;
  grace: string;
}

const kMegabyte = 1024 * 1024;

export function serveCommand(program: Command): void {
  program
    .command('serve')
    .description("a model behind OpenAI's chat completions API, on this machine")
    .argument('<model>', 'Hugging Face folder, GGUF file, or checkpoint of a run')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', '0 = any free one', '8000')
    .option('--name <name>', "the model's name in the API; default: the last part of its path")
    .option('--api-key-env <variable>', 'environment variable with the key that callers must bring')
    .option(
      '--tool-loop',
      'run the Python programs that the model writes, and let it go on with their output',
    )
    .option('--format <format>', 'r1ci, retool or hermes: how the model calls Python in the loop', 'r1ci')
    .option(
      '--instruction <text>',
      "in the loop: replaces the format's instruction before the first question",
    )
    .option('--chat-template <template>', 'model (its own) or chatml', 'model')
    .option('--max-calls <n>', 'in the loop: calls of an answer', '8')
    .option('--tool-seconds <s>', 'in the loop: wall clock of a call', '5')
    .option('--tool-memory <mb>', 'in the loop: memory of a process in MiB', '512')
    .option('--workers <n>', 'in the loop: calls at once; default: one per core')
    .option('--python <path>', 'in the loop: interpreter; default: python3 on PATH')
    .option('--tokens <n>', 'longest answer when a request names none', '1024')
    .option('--context <n>', 'prompt and answer together; default: what model and cache can take')
    .option('--kv-memory <mb>', 'KV cache in MiB; default: a quarter of the free memory')
    .option('--queue <n>', 'answers that may wait; more get status 429', '256')
    .option('--threads <n>', 'engine threads; 0 = one per core', '0')
    .option('--dtype <dtype>', 'bfloat16 or float32', 'bfloat16')
    .option(...unsafeOption)
    .option('--grace <s>', 'seconds that running answers get when the server is stopped', '10')
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad serve runs/demo/checkpoints/000200 --tool-loop --instruction ""',
    )
    .action((model: string, flags: ServeFlags) => serve(model, flags));
}

async function serve(path: string, flags: ServeFlags): Promise<void> {
  const whole = (name: string, text: string, low: number, high: number): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= low && value <= high) return value;
    throw new ToolgradError(
      'ERR_USAGE',
      `--${name}: expected a whole number from ${low} to ${high}, found ${text}`,
    );
  };
  const seconds = (name: string, text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && value > 0 && value <= 86_400) return value;
    throw new ToolgradError(
      'ERR_USAGE',
      `--${name}: expected seconds above 0 and up to 86400, found ${text}`,
    );
  };
  const oneOf = <T extends string>(name: string, text: string, known: readonly T[]): T => {
    if ((known as readonly string[]).includes(text)) return text as T;
    throw new ToolgradError('ERR_USAGE', `--${name}: expected ${known.join(', ')}, found ${text}`);
  };
  const optional = (name: string, text: string | undefined, low: number, high: number) =>
    text === undefined ? undefined : whole(name, text, low, high);
  const apiKey = flags.apiKeyEnv === undefined ? null : (process.env[flags.apiKeyEnv] ?? '');
  if (apiKey === '') {
    throw new ToolgradError(
      'ERR_USAGE',
      `--api-key-env: the environment variable ${flags.apiKeyEnv} is not set`,
    );
  }
  const format = oneOf('format', flags.format, Object.keys(formats) as ToolFormat['name'][]);
  const template = oneOf('chat-template', flags.chatTemplate, ['model', 'chatml']);
  const port = whole('port', flags.port, 0, 65_535);
  const grace = whole('grace', flags.grace, 0, 3600);
  const defaultTokens = whole('tokens', flags.tokens, 1, 1e7);
  const threads = whole('threads', flags.threads, 0, 1024);
  const context = optional('context', flags.context, 2, 1e8);
  const kvMemoryMb = optional('kv-memory', flags.kvMemory, 1, 1e8);
  const workers = optional('workers', flags.workers, 1, 1024);
  const maxCalls = whole('max-calls', flags.maxCalls, 1, 1000);
  const limits = {
    maxCalls,
    maxTurns: maxCalls + 1,
    seconds: 0,
    tool: {
      seconds: seconds('tool-seconds', flags.toolSeconds),
      memoryBytes: whole('tool-memory', flags.toolMemory, 64, 1e8) * kMegabyte,
      outputBytes: kMegabyte,
      fileBytes: 16 * kMegabyte,
      outputCharacters: 2000,
    },
  };
  const name = flags.name ?? basename(resolve(path)).replace(/\.gguf$/, '');
  const answering = await openAnswering({
    path,
    dtype: oneOf('dtype', flags.dtype, ['bfloat16', 'float32']),
    ...(threads === 0 ? {} : { threads }),
    ...(kvMemoryMb === undefined ? {} : { kvMemoryMb }),
    ...(context === undefined ? {} : { contextTokens: context }),
    queue: whole('queue', flags.queue, 1, 1e6),
    format,
    loop:
      flags.toolLoop === true
        ? {
            limits,
            ...(workers === undefined ? {} : { workers }),
            ...(flags.python === undefined ? {} : { python: flags.python }),
            unsafe: flags.unsafeSandbox === true,
          }
        : null,
  });
  const { model, tokenizer, completions, tool } = answering;
  try {
    const server = await openServer({
      completions,
      chat: {
        name,
        tokenizer,
        loopFormat: flags.toolLoop === true ? answering.format : null,
        instruction: flags.instruction ?? null,
        template,
        defaultTokens,
      },
      host: flags.host,
      port,
      apiKey,
      onError: (error) => process.stderr.write(`toolgrad: ${errorMessage(error)}\n`),
    });
    const reach = isLoopback(flags.host)
      ? 'this machine only'
      : 'OTHER MACHINES CAN REACH IT (no encryption)';
    process.stdout.write(
      `model  ${name}: ${parameters(model.parameterCount)} parameters, ${model.dtype}, ` +
        `${completions.contextTokens} tokens of context\n` +
        `tool   ${tool === null ? 'off: calls are left to the caller' : `${format}, ${tool.describe}`}\n` +
        `serving ${server.url} (${reach}${apiKey === null ? ', no key' : ''}); Ctrl-C stops\n`,
    );
    await stopAsked(grace);
    await server.close(grace);
  } finally {
    await answering.close();
  }
}

/** Settles at the first Ctrl-C or SIGTERM; the second one ends the process at once. */
function stopAsked(grace: number): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (): void => {
      if (asked) process.exit(130);
      asked = true;
      process.stderr.write(
        `\ntoolgrad: stopping; running answers get ${grace} s to end (again to stop at once)\n`,
      );
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
