/** `toolgrad chat <model>`: talk to a model, one message a line. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import type { KvCache, StepRow } from '../model/engine.ts';
import type { Model } from '../model/model.ts';
import { openModel } from '../model/open.ts';
import type { ChatMessage } from '../text/chat.ts';
import { renderPrompt } from '../text/chat.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { styled } from '../view/format.ts';

interface ChatFlags {
  temperature: string;
  topP: string;
  tokens: string;
  seed: string;
  dtype: string;
  base?: string;
  system?: string;
}

export function chatCommand(program: Command): void {
  program
    .command('chat')
    .description('talk to a model in the terminal, or pipe one message a line')
    .argument('<model>', 'Hugging Face folder, GGUF file, LoRA adapter, or checkpoint of a run')
    .option('--temperature <t>', '0 = always the likeliest token', '0')
    .option('--top-p <p>', 'sample from the likeliest tokens that make up this share', '1')
    .option('--tokens <n>', 'longest answer', '256')
    .option('--seed <n>', 'seed for sampling', '0')
    .option('--dtype <dtype>', 'bfloat16 or float32', 'bfloat16')
    .option('--base <model>', 'model below an adapter, instead of the one its config names')
    .option('--system <text>', 'system message')
    .addHelpText('after', '\nExample:\n  toolgrad chat ./SmolLM2-135M-Instruct')
    .action((model: string, flags: ChatFlags) => chat(model, flags));
}

async function chat(path: string, flags: ChatFlags): Promise<void> {
  const number = (name: string, text: string, low: number, high: number) => {
    const value = Number(text);
    if (!(text.trim() !== '' && value >= low && value <= high)) {
      throw new ToolgradError(
        'ERR_USAGE',
        `--${name}: expected a number from ${low} to ${high}, found ${text}`,
      );
    }
    return value;
  };
  const whole = (name: string, text: string, low: number, high: number) => {
    const value = number(name, text, low, high);
    if (Number.isInteger(value)) return value;
    throw new ToolgradError('ERR_USAGE', `--${name}: expected a whole number, found ${text}`);
  };
  const limit = whole('tokens', flags.tokens, 1, 1e6);
  const sampling = {
    temperature: number('temperature', flags.temperature, 0, 100),
    topK: 0,
    topP: number('top-p', flags.topP, 0, 1),
    minP: 0,
    runSeed: BigInt(whole('seed', flags.seed, 0, Number.MAX_SAFE_INTEGER)),
    step: 0,
    prompt: 0,
    sample: 0,
  };
  if (flags.dtype !== 'bfloat16' && flags.dtype !== 'float32') {
    throw new ToolgradError('ERR_USAGE', `--dtype: expected bfloat16 or float32, found ${flags.dtype}`);
  }
  const { model, tokenizer } = await openModel(path, { dtype: flags.dtype, base: flags.base ?? null });
  try {
    // Models that take a hundred thousand tokens get what fits into a quarter of the memory.
    const { kvPageTokens, kvBytesPerPage } = model.memory;
    const most = Math.ceil(model.config.maxPositionEmbeddings / kvPageTokens);
    const pages = Math.max(1, Math.min(most, Math.floor((await model.memoryLeft()) / 4 / kvBytesPerPage)));
    using cache = model.openKvCache(pages);
    const lines = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: process.stdin.isTTY === true,
    });
    const prompt = styled('cyan', '> ');
    const messages: ChatMessage[] =
      flags.system === undefined ? [] : [{ role: 'system', content: flags.system }];
    if (process.stdin.isTTY === true)
      process.stdout.write(`${path}; an empty line or Ctrl-D ends\n${prompt}`);
    for await (const line of lines) {
      if (line.trim() === '') break;
      if (process.stdin.isTTY !== true) process.stdout.write(`${prompt}${line}\n`);
      messages.push({ role: 'user', content: line });
      const started = performance.now();
      const { text, tokens } = await answer(model, cache, tokenizer, messages, sampling, limit);
      messages.push({ role: 'assistant', content: text });
      const rate = (1000 * tokens) / (performance.now() - started);
      process.stdout.write(`\n${styled('dim', `[${tokens} tokens, ${rate.toFixed(0)} tok/s]`)}\n`);
      if (process.stdin.isTTY === true) process.stdout.write(prompt);
    }
    lines.close();
  } finally {
    model.dispose();
  }
}

/** One answer, written to the terminal as it comes. The conversation is rendered and prefilled anew for each answer. */
async function answer(
  model: Model,
  cache: KvCache,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  sampling: NonNullable<StepRow['sample']>,
  limit: number,
): Promise<{ text: string; tokens: number }> {
  const ids = renderPrompt(tokenizer, messages);
  const room = Math.min(model.config.maxPositionEmbeddings, cache.pagesTotal * model.memory.kvPageTokens);
  const most = Math.min(limit, room - ids.length);
  if (most < 1) {
    throw new ToolgradError(
      'ERR_USAGE',
      `the conversation has ${ids.length} tokens, there is room for ${room}`,
    );
  }
  cache.clear();
  const seq = cache.add();
  const stream = tokenizer.stream();
  let next = ids;
  let text = '';
  let tokens = 0;
  while (tokens < most) {
    const step = await cache.step([{ seq, tokens: next, sample: sampling }]);
    const token = step.tokens[0]!;
    tokens += 1;
    if (tokenizer.eosIds.includes(token)) break;
    const piece = stream.push(token);
    process.stdout.write(piece);
    text += piece;
    next = Int32Array.of(token);
  }
  const rest = stream.flush();
  process.stdout.write(rest);
  return { text: text + rest, tokens };
}
