/**
 * Cold-start traces: question, model turns and tool outputs that show how to answer with or without Python.
 *
 * A trace holds raw pieces only: `text` is what the model writes in a turn (in the loss), `toolOutput` is the bare standard
 * output of the program (not in the loss). Wrapping the output, ending turns and masking belong to the format that turns a
 * trace into tokens. Outputs are not obtained by running Python: a task's solution prints exactly the known answer.
 */
import { DataError, type JsonlRow, questionOfRow, readJsonl } from '../tasks/jsonl.ts';
import { createRandom } from '../tasks/random.ts';
import { placeContent, type Question, questions, type Split, type Task } from '../tasks/task.ts';

/** One turn of the model, and the output of the program it called, if it called one. */
export interface TraceTurn {
  text: string;
  toolOutput?: string;
}

/** A worked example: 'code' traces call Python, 'bare' ones answer at once. */
export interface Trace {
  question: Question;
  turns: TraceTurn[];
  style: 'code' | 'bare';
}

/** How a format writes a call, a final answer after a call, and an answer without a call. */
export interface TraceFormat {
  call(code: string): string;
  answer(answer: string): string;
  bare(answer: string): string;
}

/** The three preset formats; the text is what the model writes, without end-of-turn tokens. */
export const traceFormats = {
  r1ci: {
    call: (code) => `\`\`\`python\n${code}\n\`\`\``,
    answer: (answer) => `<<<${answer}>>>`,
    bare: (answer) => `The answer is ${answer}.\n<<<${answer}>>>`,
  },
  retool: {
    call: (code) => `<code>\n\`\`\`python\n${code}\n\`\`\`\n</code>`,
    answer: (answer) => `<answer>\n\\boxed{${answer}}\n</answer>`,
    bare: (answer) => `The answer is ${answer}.\n<answer>\n\\boxed{${answer}}\n</answer>`,
  },
  hermes: {
    call: (code) =>
      `<tool_call>\n${JSON.stringify({ name: 'code_interpreter', arguments: { code } })}\n</tool_call>`,
    answer: (answer) => `The answer is \\boxed{${answer}}.`,
    bare: (answer) => `The answer is \\boxed{${answer}}.`,
  },
} as const satisfies Record<string, TraceFormat>;

/** Writes the trace of one question: with the given program, or bare when `code` is undefined. */
export function writeTrace(question: Question, code: string | undefined, format: TraceFormat): Trace {
  if (code === undefined) {
    return { question, turns: [{ text: format.bare(question.answer) }], style: 'bare' };
  }
  return {
    question,
    turns: [
      { text: format.call(code), toolOutput: `${question.answer}\n` },
      { text: format.answer(question.answer) },
    ],
    style: 'code',
  };
}

/** Options of `makeTraces`. */
export interface TraceOptions {
  /** Number of traces; they go round the tasks. */
  count: number;
  seed: number;
  /** Share of 'code' traces, 0 to 1; default 1. Exactly round(share * count) are. */
  codeShare?: number;
  format?: TraceFormat;
  split?: Split;
  /** Ids of questions that must not appear, e.g. those kept for RL. */
  exclude?: ReadonlySet<string>;
}

const kTraceStream = 0x7472_6163;

/**
 * Makes traces from tasks with solutions, the same for the same arguments, in random order.
 *
 * Use the ids of the returned questions as `exclude` when drawing questions for RL, so that the two do not meet.
 * Throws TypeError for a task without solutions, RangeError for a count or share out of range or too few questions.
 */
export function makeTraces(tasks: readonly Task[], options: TraceOptions): Trace[] {
  const { count, seed, codeShare = 1, format = traceFormats.r1ci, split = 'train', exclude } = options;
  if (tasks.length === 0) throw new RangeError('makeTraces: expected at least one task, found none');
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`makeTraces: expected a count that is an integer >= 0, found ${count}`);
  }
  if (!(codeShare >= 0 && codeShare <= 1)) {
    throw new RangeError(`makeTraces: expected codeShare from 0 to 1, found ${codeShare}`);
  }
  const random = createRandom(seed, [kTraceStream]);
  const taken = new Set(exclude);
  const drawn: { task: Task; question: Question }[] = [];
  for (const [index, task] of tasks.entries()) {
    const share = Math.floor(count / tasks.length) + (index < count % tasks.length ? 1 : 0);
    for (const question of questions(task, split, share, seed, { exclude: taken })) {
      taken.add(question.id);
      drawn.push({ task, question });
    }
  }
  const coded = Math.round(codeShare * count);
  const isCoded = random.shuffle(drawn.map((_, i) => i < coded));
  const traces = drawn.map(({ task, question }, i) => {
    if (!isCoded[i]) return writeTrace(question, undefined, format);
    if (task.solution === undefined) {
      throw new TypeError(
        `makeTraces: task ${task.name} has no solutions; its file needs a code field in every line`,
      );
    }
    return writeTrace(question, task.solution(question, random.uint32()), format);
  });
  return random.shuffle(traces);
}

/** The turns of a row that holds them itself: `turns: [{ text, toolOutput? }]`. */
function givenTurns(path: string, { line, fields }: JsonlRow): TraceTurn[] {
  const { turns } = fields;
  if (!Array.isArray(turns) || turns.length === 0) {
    throw new DataError(path, line, 'expected turns to be a non-empty list of { text, toolOutput? }');
  }
  return turns.map((turn: unknown, index) => {
    const { text, toolOutput } = (turn ?? {}) as { text?: unknown; toolOutput?: unknown };
    if (typeof text !== 'string' || (toolOutput !== undefined && typeof toolOutput !== 'string')) {
      throw new DataError(path, line, `expected turn ${index + 1} to be { text, toolOutput? } with texts`);
    }
    return toolOutput === undefined ? { text } : { text, toolOutput };
  });
}

/** Options of `loadTraces`. */
export interface LoadTracesOptions {
  /** How calls and answers are written; default r1ci. */
  format?: TraceFormat;
  /** The task's name in the questions where a line has no `task`; default 'traces'. */
  task?: string;
}

/**
 * Reads traces from a JSONL file. A line is either `{ question, answer, code?, style?, task? }`, where style is `code`, `bare`
 * or `text` (the same as bare) and defaults to `code` if there is code, or `{ question, answer, turns }` with the turns
 * written out. An `id` is kept: by it a generated question is known in another wording. Throws DataError naming file and line.
 */
export async function loadTraces(path: string, options: LoadTracesOptions = {}): Promise<Trace[]> {
  const { format = traceFormats.r1ci, task: defaultTask = 'traces' } = options;
  return (await readJsonl(path)).map((row) => {
    const { line, fields } = row;
    const { prompt, answer } = questionOfRow(path, row);
    const { task = defaultTask, code, style = code === undefined ? 'bare' : 'code' } = fields;
    if (typeof task !== 'string') throw new DataError(path, line, 'expected task to be a text');
    const id = typeof fields.id === 'string' ? fields.id : placeContent(task, prompt).id;
    const question: Question = { id, task, prompt, answer };
    if (fields.turns !== undefined) {
      const turns = givenTurns(path, row);
      return {
        question,
        turns,
        style: turns.some((turn) => turn.toolOutput !== undefined) ? 'code' : 'bare',
      };
    }
    if (style !== 'code' && style !== 'bare' && style !== 'text') {
      throw new DataError(
        path,
        line,
        `expected style to be code, bare or text, found ${JSON.stringify(style)}`,
      );
    }
    if (style !== 'code') return writeTrace(question, undefined, format);
    if (typeof code !== 'string' || code.trim() === '') {
      throw new DataError(path, line, 'expected code to be a non-empty text for a trace of style code');
    }
    return writeTrace({ ...question, meta: { code } }, code, format);
  });
}
