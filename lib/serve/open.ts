/**
 * A model opened for answering: the tool's launcher first (it must be forked before the process grows), then model, tokenizer,
 * KV cache and completions. Closing gives all of it back, in the opposite order.
 */
import { ToolgradError } from '../errors.ts';
import type { WeightDtype } from '../model/engine.ts';
import type { Model } from '../model/model.ts';
import { openModel } from '../model/open.ts';
import { checkFormat, formats, type ToolFormat } from '../text/formats/index.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { openPythonTool, type PythonTool } from '../tools/python.ts';
import { type Completions, type LoopLimits, startCompletions } from './completions.ts';

export interface AnsweringOptions {
  readonly path: string;
  readonly dtype?: WeightDtype;
  /** Engine threads; default: one per core. */
  readonly threads?: number;
  /** KV cache in MiB; default: a quarter of the free memory, at most 64 longest answers. */
  readonly kvMemoryMb?: number;
  /** Prompt and answer together; default: what the model and the cache can take. */
  readonly contextTokens?: number;
  /** Most answers that may wait; default 256. */
  readonly queue?: number;
  readonly format: ToolFormat['name'];
  /** Run the model's programs, within these limits; null: answers are plain text. */
  readonly loop: {
    readonly limits: LoopLimits;
    readonly python?: string;
    readonly workers?: number;
    readonly unsafe?: boolean;
  } | null;
}

export interface Answering {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly completions: Completions;
  readonly format: ToolFormat;
  readonly tool: PythonTool | null;
  close(): Promise<void>;
}

const kMegabyte = 1024 * 1024;
const kMostAtOnce = 64;

/** Opens a model for answering. Errors: those of openPythonTool and openModel; ERR_USAGE for a context that has no room. */
export async function openAnswering(options: AnsweringOptions): Promise<Answering> {
  const { path, loop, queue = 256 } = options;
  const format = formats[options.format];
  const tool =
    loop === null
      ? null
      : await openPythonTool({
          ...(loop.python === undefined ? {} : { python: loop.python }),
          ...(loop.workers === undefined ? {} : { workers: loop.workers }),
          unsafe: loop.unsafe === true,
        });
  try {
    const { model, tokenizer } = await openModel(path, {
      ...(options.dtype === undefined ? {} : { dtype: options.dtype }),
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    try {
      if (loop !== null) checkFormat(format, tokenizer);
      const { kvPageTokens, kvBytesPerPage } = model.memory;
      const most = model.config.maxPositionEmbeddings;
      const memory =
        options.kvMemoryMb === undefined ? (await model.memoryLeft()) / 4 : options.kvMemoryMb * kMegabyte;
      const wanted = kMostAtOnce * Math.ceil(most / kvPageTokens) + 1;
      const pages = Math.min(wanted, Math.floor(memory / kvBytesPerPage));
      const room = Math.min(most, (pages - 1) * kvPageTokens);
      const contextTokens = options.contextTokens ?? room;
      if (contextTokens > room || contextTokens < 2) {
        throw new ToolgradError(
          'ERR_USAGE',
          `expected a context of 2 to ${room} tokens (the model takes ${most}, the KV cache holds ` +
            `${Math.max(0, pages - 1) * kvPageTokens}), found ${contextTokens}`,
        );
      }
      const cache = model.openKvCache(pages);
      const completions = startCompletions({
        model,
        cache,
        tokenizer,
        format,
        loop: loop === null || tool === null ? null : { tool, limits: loop.limits },
        contextTokens,
        queue,
      });
      return {
        model,
        tokenizer,
        completions,
        format,
        tool,
        async close() {
          await completions.close();
          cache.dispose();
          model.dispose();
          await tool?.close();
        },
      };
    } catch (error) {
      model.dispose();
      throw error;
    }
  } catch (error) {
    await tool?.close();
    throw error;
  }
}
