/**
 * What the engine does while something is measured beside it, all through the public API. A load runs from start() to stop(),
 * which resolves when nothing of it is left and tells how much was done.
 */
import { join } from 'node:path';
import {
  createModel,
  formats,
  type Model,
  openModel,
  openPythonTool,
  type RolloutOptions,
  type RolloutPrompt,
  rollout,
  type Tool,
  type ToolFormat,
} from '../../lib/index.ts';
import { packageRoot } from '../../lib/package.ts';
import { sizes } from '../case.ts';

/** How much was done of what. */
export interface Done {
  readonly count: number;
  /** Seconds of the rollout's waits in which nothing but tools was waited for; 0 for other loads. */
  readonly waited: number;
}

export interface Load {
  readonly name: string;
  /** What `count` counts; null where nothing runs. */
  readonly unit: string | null;
  start(): { stop(): Promise<Done> };
}

const config = sizes.demo!;
const BATCH = 8;
const PROMPT = 64;
const [SEQUENCES, LENGTH] = [4, 128];
/** Letters that the model writes before it calls. */
const PIECES = 8;

/** Repeats `once` until it is stopped. */
function repeating(name: string, unit: string, once: () => Promise<void>): Load {
  return {
    name,
    unit,
    start() {
      let stopped = false;
      let count = 0;
      const ended = (async () => {
        for (; !stopped; count++) await once();
      })();
      return {
        async stop() {
          stopped = true;
          await ended;
          return { count, waited: 0 };
        },
      };
    },
  };
}

const nothing: Load = {
  name: 'nothing runs',
  unit: null,
  start: () => ({ stop: async () => ({ count: 0, waited: 0 }) }),
};

function decoding(model: Model): Load {
  const cache = model.openKvCache(BATCH * (config.maxPositionEmbeddings / model.memory.kvPageTokens + 2));
  const prompt = Int32Array.from({ length: PROMPT }, (_, i) => (i * 7919 + 13) % config.vocabSize);
  let rows: { seq: number; next: Int32Array }[] = [];
  let length = config.maxPositionEmbeddings;
  return repeating(`decodes, batch ${BATCH}`, 'steps/s', async () => {
    if (length === config.maxPositionEmbeddings) {
      cache.clear();
      rows = Array.from({ length: BATCH }, () => ({ seq: cache.add(), next: Int32Array.of(5) }));
      await cache.step(rows.map(({ seq }) => ({ seq, tokens: prompt, sample: null })));
      length = PROMPT;
    }
    const place = { runSeed: 1n, step: 0, prompt: 0 };
    const { tokens } = await cache.step(
      rows.map(({ seq, next }, sample) => ({
        seq,
        tokens: next,
        sample: { temperature: 1, topK: 0, topP: 1, minP: 0, ...place, sample },
      })),
    );
    for (const [i, row] of rows.entries()) row.next = Int32Array.of(tokens[i]!);
    length += 1;
  });
}

function training(model: Model): Load {
  const count = SEQUENCES * LENGTH;
  const batch = {
    tokens: Int32Array.from({ length: count }, (_, i) => (i * 7919 + 13) % config.vocabSize),
    seqStarts: Int32Array.from({ length: SEQUENCES + 1 }, (_, s) => s * LENGTH),
    temperature: 1,
    weight: Float32Array.from({ length: count }, (_, i) => (i % LENGTH === 0 ? 0 : 1 / count)),
  };
  const loss = { clipLow: 0, clipHigh: 0, dualClip: 0, kl: 'none', klCoef: 0, entropyCoef: 0 } as const;
  const adamw = { lr: 1e-5, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  return repeating(`trains, ${SEQUENCES} × ${LENGTH} tokens`, 'steps/s', async () => {
    await model.accumulate(batch, { kind: 'cross_entropy', ...loss });
    await model.update(adamw);
  });
}

/** Whatever the model writes, it calls after a few pieces of text: what is measured does not hang on what it has learnt. */
function callingFormat(code: string): ToolFormat {
  return {
    ...formats.r1ci,
    parser() {
      let pieces = 0;
      return {
        trailing: 0,
        push: () => (++pieces === PIECES ? { kind: 'call', code, repeated: 0 } : null),
        end: () => ({ kind: 'text' }),
      };
    },
  };
}

/** Rollouts that wait for real programs most of the time. */
function calling(
  name: string,
  code: string,
  shared: Omit<RolloutOptions, 'format'>,
  prompts: RolloutPrompt[],
): Load {
  const format = callingFormat(code);
  return {
    name,
    unit: 'calls/s',
    start() {
      const stopping = new AbortController();
      let count = 0;
      let waited = 0;
      let since: number | null = null;
      const onToolWait = (waiting: boolean) => {
        if (since !== null) waited += (performance.now() - since) / 1000;
        since = waiting ? performance.now() : null;
      };
      const tool: Tool = {
        ...shared.tool!,
        async run(request, signal) {
          const result = await shared.tool!.run(request, signal);
          if (result.status !== 'ok')
            throw new Error(`a program of the bench ended as ${result.status}: ${result.stderr}`);
          count += 1;
          called();
          return result;
        },
      };
      const { signal } = stopping;
      let called = () => {};
      const first = new Promise<void>((resolve) => {
        called = resolve;
      });
      const ended = (async () => {
        for (let step = 0; !signal.aborted; step++)
          await rollout(prompts, { ...shared, format, tool, step, onToolWait, signal });
      })().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      ended.catch(() => undefined); // stop() tells
      return {
        async stop() {
          await Promise.race([first, ended]); // less than one call is no rate, on however busy a machine
          stopping.abort();
          await ended;
          onToolWait(false);
          return { count, waited };
        },
      };
    },
  };
}

/** 0.3 s that need no processor, and about as much that needs one. */
const sleeps = 'import time\ntime.sleep(0.3)';
export const computes = 'n = 0\nfor i in range(4_000_000):\n    n += i & 7';

export interface Loads extends AsyncDisposable {
  readonly all: readonly Load[];
  readonly nothing: Load;
  readonly decodes: Load;
  readonly trains: Load;
  readonly toolsSleep: Load;
  readonly tool: Tool;
  /** The interpreter that the tool starts, shims resolved. */
  readonly python: string;
}

export async function openLoads(threads: number): Promise<Loads> {
  const tool = await openPythonTool(); // before the models: starting a process from a large one takes longer
  const trained = await createModel(config, { trainable: true, threads, seed: 1n });
  const decoded = await createModel(config, { threads, seed: 1n });
  const { model, tokenizer } = await openModel(join(packageRoot, 'assets', 'demo-base'), { threads });
  const samples = 4;
  const totalTokens = 512;
  const prompts = [
    {
      question: { id: 'bench', task: 'bench', prompt: '', answer: '' },
      ids: tokenizer.encode('What is 17 times 23?'),
      prompt: 0,
      samples,
    },
  ];
  const shared = {
    model,
    cache: model.openKvCache(samples * (totalTokens / model.memory.kvPageTokens + 2)),
    tokenizer,
    tool,
    limits: { maxCalls: 20, maxTurns: 21, turnTokens: [16, 16], totalTokens, seconds: 0 } as const,
    toolLimits: {
      seconds: 20,
      memoryBytes: 2 ** 29,
      outputBytes: 4096,
      fileBytes: 2 ** 20,
      outputCharacters: 200,
    },
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0 },
    runSeed: 1n,
    step: 0,
  };
  const [decodes, trains] = [decoding(decoded), training(trained)];
  const toolsSleep = calling('rollout, tools sleep', sleeps, shared, prompts);
  const toolsCompute = calling('rollout, tools compute', computes, shared, prompts);
  return {
    all: [nothing, decodes, trains, toolsSleep, toolsCompute],
    ...{ nothing, decodes, trains, toolsSleep, tool },
    python: tool.executable,
    async [Symbol.asyncDispose]() {
      for (const one of [trained, decoded, model]) one.dispose();
      await tool.close();
    },
  };
}
