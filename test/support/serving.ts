/**
 * A served model for tests: the tiny one with more context and a template that knows tools, trained by heart on two
 * conversations, so that a real model makes the calls that the tests need.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openModel } from '../../lib/model/open.ts';
import { Ledger } from '../../lib/rollout/ledger.ts';
import type { LoopLimits } from '../../lib/serve/completions.ts';
import { type AnsweringOptions, openAnswering } from '../../lib/serve/open.ts';
import { openServer, type RunningServer, type ServerOptions } from '../../lib/serve/server.ts';
import { type ChatMessage, renderPrompt } from '../../lib/text/chat.ts';
import { formats } from '../../lib/text/formats/index.ts';
import type { Tokenizer } from '../../lib/text/tokenizer.ts';
import { sftStep, traceLedger } from '../../lib/train/sft.ts';
import { tinyFolder } from './rollouts.ts';

/** Knows tools, calls and their answers, in few characters. */
const kTemplate =
  "{% if tools %}{{ '<|im_start|>system\\nTools:' }}{% for tool in tools %}{{ ' ' + tool.function.name }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}" +
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') }}" +
  "{% for call in message.tool_calls or [] %}{{ '<tool_call>\\n' + (call.function | tojson) + '\\n</tool_call>' }}{% endfor %}" +
  "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** What the model has learned to answer with a program. */
export const product = {
  question: 'What is 123 * 457?',
  code: 'print(123 * 457)',
  output: '56211\n',
  answer: '56211',
};

/** What it has learned to answer with a function call. */
export const addTool = {
  type: 'function',
  function: {
    name: 'add',
    description: 'Adds two numbers.',
    parameters: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
  },
} as const;
export const addQuestion = 'Add 2 and 3.';
export const addReply = 'The sum is 5.';
const addCall = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>';

/** Writes the trained model to `folder`; `template: false` leaves out the tools. */
export async function writeCaller(folder: string): Promise<void> {
  cpSync(tinyFolder, folder, { recursive: true });
  edit(join(folder, 'config.json'), { max_position_embeddings: 2048 });
  edit(join(folder, 'tokenizer_config.json'), { chat_template: kTemplate });
  const { model, tokenizer } = await openModel(folder, { threads: 2, trainable: true });
  const user: ChatMessage = { role: 'user', content: addQuestion };
  const called: ChatMessage[] = [
    user,
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ type: 'function', function: { name: 'add', arguments: { a: 2, b: 3 } } }],
    },
    { role: 'tool', content: '5' },
  ];
  const tools = [addTool];
  const program = `\`\`\`python\n${product.code}\n\`\`\``;
  const conversation: ChatMessage[] = [
    { role: 'user', content: product.question },
    { role: 'assistant', content: program },
    { role: 'user', content: `Code Execution Results:\n${product.output.trim()}` },
  ];
  const ledgers = [
    answered(tokenizer, renderPrompt(tokenizer, conversation), `<<<${product.answer}>>>`),
    traceLedger(
      renderPrompt(tokenizer, formats.r1ci.messages(product.question, { instruction: '' })),
      {
        question: { id: 'product', task: 'test', prompt: product.question, answer: product.answer },
        turns: [{ text: program, toolOutput: product.output }, { text: `<<<${product.answer}>>>` }],
        style: 'code',
      },
      tokenizer,
      formats.r1ci,
    ),
    answered(tokenizer, renderPrompt(tokenizer, [user], { tools }), addCall),
    answered(tokenizer, renderPrompt(tokenizer, called, { tools }), addReply),
  ];
  const adamw = { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  for (let step = 0; step < 120; step++) {
    await sftStep(model, ledgers, { adamw, reduction: 'token_mean', microBatchTokens: 4096 });
  }
  await model.save(folder, tokenizer.files);
  model.dispose();
}

function answered(tokenizer: Tokenizer, prompt: Int32Array, text: string): Ledger {
  const ledger = new Ledger();
  ledger.appendPrompt(prompt);
  for (const id of tokenizer.encodeModelText(text)) ledger.appendPolicy(id, 0, 0, 0);
  ledger.appendPolicy(tokenizer.eosIds[0]!, 0, 0, 0);
  return ledger;
}

function edit(path: string, changed: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changed }));
}

export const loopLimits: LoopLimits = {
  maxCalls: 3,
  maxTurns: 4,
  seconds: 0,
  tool: {
    seconds: 20,
    memoryBytes: 256 * 2 ** 20,
    outputBytes: 65_536,
    fileBytes: 2 ** 20,
    outputCharacters: 200,
  },
};

export interface Serving extends RunningServer {
  /** Answers under way and waiting. */
  load(): { active: number; waiting: number };
  /** Stops at once, and frees the model. */
  stop(): Promise<void>;
}

/** The model in `folder` behind a server on a free port, named `tiny`. */
export async function serveModel(
  folder: string,
  answering: Partial<AnsweringOptions> = {},
  server: Partial<ServerOptions> = {},
): Promise<Serving> {
  const opened = await openAnswering({
    path: folder,
    threads: 2,
    kvMemoryMb: 16,
    format: 'r1ci',
    loop: null,
    ...answering,
  });
  const running = await openServer({
    completions: opened.completions,
    chat: {
      name: 'tiny',
      tokenizer: opened.tokenizer,
      loopFormat: opened.tool === null ? null : opened.format,
      instruction: '',
      template: 'model',
      defaultTokens: 128,
    },
    ...server,
  });
  return {
    ...running,
    load: () => ({ active: opened.completions.active, waiting: opened.completions.waiting }),
    async stop() {
      await running.close(0);
      await opened.close();
    },
  };
}
