/**
 * Who writes the traces: an OpenAI-compatible endpoint, a local model on the engine that `serve` uses, or the tasks' own
 * solutions. A teacher writes one turn at a time; running programs and judging answers is not its business.
 */
import { ToolgradError } from '../errors.ts';
import { askEndpoint, type EndpointOptions, EndpointRefusal } from '../eval/endpoint.ts';
import { type Answering, openAnswering } from '../serve/open.ts';
import type { Question, Task } from '../tasks/task.ts';
import { type ChatMessage, chatmlTemplate, renderPrompt } from '../text/chat.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import { traceLedger } from '../train/sft.ts';
import { type TraceTurn, traceFormats } from '../train/traces.ts';
import type { StyleName, TeacherSettings } from './config.ts';
import { outputMarks, outputMessage } from './turns.ts';

/** What is asked for: the next turn after those that are there. */
export interface TurnRequest {
  /** The conversation up to the first turn. */
  readonly messages: readonly ChatMessage[];
  /** Turns so far, each with its program's real output. */
  readonly turns: readonly TraceTurn[];
  readonly question: Question;
  /** null: a rewriting or a judgement, which is one turn without end at a call. */
  readonly style: StyleName | null;
  readonly seed: number;
}

/** A turn as it was written, and the API's reason for its end. */
export interface Reply {
  readonly text: string;
  readonly finish: string;
}

/** Writes turns. `ask` rejects with TeacherFailure where another attempt may go better; with other errors where none will. */
export interface Teacher {
  readonly describe: string;
  ask(request: TurnRequest, signal?: AbortSignal): Promise<Reply>;
  close(): Promise<void>;
}

/** The teacher could not be asked, through no fault of its answer. */
export class TeacherFailure extends Error {
  override readonly name = 'TeacherFailure';
}

/** Statuses that say that no request of this kind will succeed. */
const kHopeless: ReadonlySet<number> = new Set([401, 403, 404, 405]);

/** Opens the teacher of `settings`; `tasks` are asked for solutions by a procedural one. */
export async function openTeacher(
  settings: TeacherSettings,
  format: ToolFormat,
  tasks: ReadonlyMap<string, Task>,
): Promise<Teacher> {
  switch (settings.kind) {
    case 'endpoint':
      return endpointTeacher(settings, format);
    case 'local':
      return localTeacher(settings, format);
    case 'procedural':
      return proceduralTeacher(format, tasks);
  }
}

function endpointTeacher(settings: TeacherSettings, format: ToolFormat): Teacher {
  const { url, model, api_key_env: keyName } = settings;
  if (url === null || model === null)
    throw new ToolgradError('ERR_CONFIG', 'teacher: url and model are required with kind endpoint');
  const apiKey = keyName === null ? null : process.env[keyName];
  if (apiKey === undefined || apiKey === '') {
    throw new ToolgradError(
      'ERR_CONFIG',
      `teacher.api_key_env: the environment variable ${keyName} is not set`,
    );
  }
  const options: EndpointOptions = {
    url,
    model,
    apiKey,
    temperature: settings.temperature,
    maxTokens: settings.max_tokens,
    seconds: settings.seconds,
    retries: settings.retries,
    pause: settings.pause_ms,
  };
  return {
    describe: `${model} at ${url}`,
    async ask({ messages, turns, style, seed }, signal) {
      const conversation = [...messages];
      for (const { text, toolOutput } of turns) {
        conversation.push({ role: 'assistant', content: text });
        if (toolOutput !== undefined) conversation.push(outputMessage(format, toolOutput));
      }
      const stop = style === null ? {} : { stop: outputMarks(format) };
      try {
        return await askEndpoint(options, conversation, { seed, top_p: settings.top_p, ...stop }, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const refusal = error instanceof EndpointRefusal;
        const failure = error instanceof ToolgradError && error.code === 'ERR_ENDPOINT';
        if (!failure || (refusal && kHopeless.has(error.status))) throw error;
        throw new TeacherFailure(error.message, { cause: error });
      }
    },
    close: async () => {},
  };
}

/** The conversation goes on as raw tokens, exactly as in a rollout: what a model trained here has learned. */
async function localTeacher(settings: TeacherSettings, format: ToolFormat): Promise<Teacher> {
  const { path, threads, kv_memory_mb: kvMemoryMb } = settings;
  if (path === null) throw new ToolgradError('ERR_CONFIG', 'teacher: path is required with kind local');
  const answering: Answering = await openAnswering({
    path,
    dtype: settings.dtype,
    ...(threads === 0 ? {} : { threads }),
    ...(kvMemoryMb === 0 ? {} : { kvMemoryMb }),
    queue: 1_000_000,
    format: format.name,
    loop: null,
  });
  const { tokenizer, completions } = answering;
  const template = settings.chat_template === 'chatml' ? { template: chatmlTemplate } : {};
  return {
    describe: `local model ${path}`,
    async ask({ messages, turns, question, style, seed }, signal) {
      const prompt = renderPrompt(tokenizer, messages, template);
      const trace = { question, turns: [...turns], style: 'code' as const };
      const ids = turns.length === 0 ? prompt : traceLedger(prompt, trace, tokenizer, format).ids.slice();
      const room = completions.contextTokens - ids.length;
      if (room < 1) return { text: '', finish: 'length' };
      let text = '';
      const [done] = await completions.complete(
        {
          ids,
          n: 1,
          temperature: settings.temperature,
          topP: settings.top_p,
          seed: BigInt(seed),
          maxTokens: Math.min(settings.max_tokens, room),
          stops: style === null ? [] : outputMarks(format),
          ...(style === null ? {} : { turnOf: format }),
        },
        (_, piece) => {
          text += piece.text;
        },
        signal,
      );
      return { text, finish: done!.finish };
    },
    close: () => answering.close(),
  };
}

/** Writes the task's own solution, then what it printed; the prose around them is the style's. */
function proceduralTeacher(format: ToolFormat, tasks: ReadonlyMap<string, Task>): Teacher {
  const written = traceFormats[format.name];
  return {
    describe: "the tasks' own solutions",
    async ask({ turns, question, style, seed }) {
      const last = turns.at(-1);
      if (last === undefined) {
        const task = tasks.get(question.task);
        if (task?.solution === undefined) {
          throw new ToolgradError(
            'ERR_CONFIG',
            `teacher: task ${question.task} has no solutions; ask an endpoint or a local model`,
          );
        }
        const call = written.call(task.solution(question, seed));
        const before = style === 'text_code' ? 'The result should be exact, so a program computes it.\n' : '';
        return { text: before + call, finish: 'stop' };
      }
      const answer = written.answer((last.toolOutput ?? '').trim());
      const before =
        style === 'code_text' ? 'The program has printed the result, which answers the question.\n' : '';
      return { text: before + answer, finish: 'stop' };
    },
    close: async () => {},
  };
}
