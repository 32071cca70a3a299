/**
 * What the tests of rollouts and training share: the tiny model, a format whose calls a random model makes often, and a tool
 * whose answers and delays the test chooses.
 */
import { fileURLToPath } from 'node:url';
import { planMemory } from '../../lib/model/memory.ts';
import type { Model } from '../../lib/model/model.ts';
import { type ModelAndTokenizer, openModel } from '../../lib/model/open.ts';
import type { RolloutOptions, RolloutPrompt } from '../../lib/rollout/options.ts';
import type { RolloutLimits, ToolLimits } from '../../lib/rollout/trajectory.ts';
import type { ParseEvent, ToolFormat } from '../../lib/text/formats/format.ts';
import { r1ci } from '../../lib/text/formats/index.ts';
import type { Tokenizer } from '../../lib/text/tokenizer.ts';
import type { Tool, ToolRequest, ToolResult } from '../../lib/tools/tool.ts';

export const tinyFolder = fileURLToPath(new URL('../fixtures/tiny-qwen2', import.meta.url));

/** The tiny model with random weights and its tokenizer. */
export function openTiny(options: Parameters<typeof openModel>[1] = {}): Promise<ModelAndTokenizer> {
  return openModel(tinyFolder, { threads: 2, ...options });
}

/** Pages for `tokens` tokens of one sequence. */
export function pagesFor(model: Model, tokens: number): number {
  return Math.ceil(tokens / planMemory(model.config, model.dtype, model.trainable).kvPageTokens);
}

/**
 * A format that reads calls where `find` sees one in the turn's text so far: a model that writes random text makes calls with
 * it. Output and prompt are those of r1ci.
 */
export function findingFormat(
  find: (text: string, pieces: number) => ParseEvent | null,
  output: ToolFormat['toolText'] = r1ci.toolText,
): ToolFormat {
  return {
    ...r1ci,
    toolText: output,
    parser() {
      let text = '';
      let pieces = 0;
      return {
        trailing: 0,
        push(more) {
          text += more;
          pieces += 1;
          return find(text, pieces);
        },
        end: (reason) => (reason === 'length' ? { kind: 'truncated', partial: text } : { kind: 'text' }),
      };
    },
    answer: (text) => text,
  };
}

/** Calls when the turn holds a letter from a to e: the program prints the text's length to the 7th power. */
export const letterFormat = findingFormat((text) =>
  /[a-e]/.test(text) ? { kind: 'call', code: `print(${Buffer.byteLength(text)} ** 7)`, repeated: 0 } : null,
);

export interface ScriptedTool extends Tool {
  readonly requests: readonly ToolRequest[];
  /** Most calls that were open at once. */
  readonly peak: number;
}

/** A tool that answers what `reply` says, after `delay` milliseconds (0: at once). */
export function scriptedTool(
  reply: (request: ToolRequest, serial: number) => string | Partial<ToolResult>,
  delay: (serial: number) => number = () => 0,
): ScriptedTool {
  const requests: ToolRequest[] = [];
  let open = 0;
  let peak = 0;
  return {
    requests,
    get peak() {
      return peak;
    },
    describe: 'a script',
    async run(request, signal) {
      const serial = requests.push(request) - 1;
      open += 1;
      peak = Math.max(peak, open);
      const wait = delay(serial);
      if (wait > 0) {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(resolve, wait);
          signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(signal.reason);
          });
        });
      }
      open -= 1;
      const said = reply(request, serial);
      return {
        callId: request.callId,
        status: 'ok',
        stdout: '',
        stderr: '',
        output: typeof said === 'string' ? said : '',
        exitCode: 0,
        signal: null,
        seconds: wait / 1000,
        cpuSeconds: 0,
        truncatedBytes: 0,
        ...(typeof said === 'string' ? {} : said),
      };
    },
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

/** What `letterFormat`'s programs print, without running them. */
export const letterTool = (delay?: (serial: number) => number): ScriptedTool =>
  scriptedTool(({ code }) => `${Number(/\d+/.exec(code)![0]) ** 7}\n`, delay);

/** `count` prompts of `samples` samples each, of different lengths. */
export function promptsOf(tokenizer: Tokenizer, count: number, samples: number): RolloutPrompt[] {
  return Array.from({ length: count }, (_, prompt) => ({
    question: { id: `q-${prompt}`, task: 'test', prompt: '', answer: '' },
    ids: tokenizer.encodeTemplate(
      `<|im_start|>user\n${'What is 17 times 23? '.repeat(prompt + 1)}<|im_end|>\n`,
    ),
    prompt,
    samples,
  }));
}

export const wideLimits: RolloutLimits = {
  maxCalls: 3,
  maxTurns: 4,
  turnTokens: [40, 30],
  totalTokens: 192,
  seconds: 0,
};

export const toolLimits: ToolLimits = {
  seconds: 10,
  memoryBytes: 512 * 2 ** 20,
  outputBytes: 65_536,
  fileBytes: 2 ** 20,
  outputCharacters: 200,
};

/** Options of a rollout with the letter format; the cache has room for `courses` trajectories of `limits.totalTokens`. */
export function rolloutOptions(
  { model, tokenizer }: ModelAndTokenizer,
  changed: Partial<RolloutOptions> & { tool: Tool | null },
  courses = 64,
): RolloutOptions {
  const limits = changed.limits ?? wideLimits;
  return {
    model,
    cache: changed.cache ?? model.openKvCache(courses * (pagesFor(model, limits.totalTokens) + 2)),
    tokenizer,
    format: letterFormat,
    limits,
    toolLimits,
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0 },
    runSeed: 7n,
    step: 0,
    ...changed,
  };
}
