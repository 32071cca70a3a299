/** The settings of `toolgrad synthesize`: every key, its default and its limits. Unknown keys and combinations that cannot work are errors. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Conflict, parseSettings } from '../run/yaml.ts';
import { answerModes } from '../tasks/answer.ts';

const count = z.int().min(1);
const countOrNone = z.int().min(0);

const teacherSchema = z.strictObject({
  kind: z
    .enum(['endpoint', 'local', 'procedural'])
    .describe("an OpenAI-compatible endpoint, a model's path, or the tasks' own solutions"),
  url: z.string().nullable().default(null).describe('endpoint: up to and without /chat/completions'),
  model: z.string().nullable().default(null).describe("endpoint: the model's name there"),
  api_key_env: z
    .string()
    .nullable()
    .default(null)
    .describe('endpoint: environment variable that holds the key; none is sent without it'),
  seconds: z.number().positive().default(120).describe('endpoint: longest wait for an answer'),
  retries: countOrNone.default(4).describe('endpoint: further tries after a failure that may pass'),
  pause_ms: countOrNone.default(1000).describe('endpoint: pause before the first of them, doubled each time'),
  path: z.string().nullable().default(null).describe('local: Hugging Face folder or GGUF file'),
  dtype: z.enum(['bfloat16', 'float32']).default('bfloat16').describe('local: weights and KV cache'),
  threads: countOrNone.default(0).describe('local: engine threads; 0 = one per core'),
  kv_memory_mb: countOrNone.default(0).describe('local: KV cache in MiB; 0 = a quarter of the free memory'),
  chat_template: z.enum(['model', 'chatml']).default('model').describe('local'),
  temperature: z.number().min(0).max(2).default(0.7),
  top_p: z.number().gt(0).max(1).default(1),
  max_tokens: count.default(1024).describe('of one turn'),
  concurrency: count.default(8).describe('attempts at once'),
});

export const synthesisSchema = z.strictObject({
  out: z.string().min(1).describe('folder of the results'),
  mode: z
    .enum(['traces', 'rewrite'])
    .default('traces')
    .describe('the teacher answers questions, or rewrites text solutions'),
  seed: countOrNone.default(0).describe('chooses questions, seeds of requests, and what is kept'),
  format: z.enum(['r1ci', 'retool', 'hermes']).default('r1ci').describe('how calls and answers are written'),
  instruction: z
    .string()
    .nullable()
    .default(null)
    .describe("replaces the format's instruction before the question"),
  teacher: teacherSchema,
  judge: teacherSchema
    .nullable()
    .default(null)
    .describe('rewrite: a model that sorts out invalid solutions first'),
  tasks: z
    .strictObject({
      names: z.array(z.string()).default([]).describe('tasks (docs/tasks.md)'),
      files: z.array(z.string()).default([]).describe('JSONL or CSV files of questions'),
      answers: z.enum(answerModes).default('auto').describe('how answers of these files are compared'),
    })
    .prefault({}),
  questions: z
    .strictObject({
      ask: count.default(100).describe('questions of each task for the teacher'),
      rl: countOrNone.default(100).describe('questions of each task kept for RL, never asked'),
      unsolved_to_rl: z.boolean().default(true).describe('questions without a kept trace go to RL, too'),
    })
    .prefault({}),
  styles: z
    .strictObject({
      free: countOrNone.default(1).describe("attempts with the format's own prompt"),
      text_code: countOrNone.default(1).describe('attempts that reason in text first, then verify with code'),
      code_text: countOrNone.default(1).describe('attempts that begin with code, then reason'),
    })
    .prefault({}),
  keep: z
    .strictObject({
      per_task: count.default(70).describe('most traces of a task'),
      multi_turn_weight: z
        .number()
        .positive()
        .default(3)
        .describe('how much likelier a trace of several turns is kept than one of a single turn'),
    })
    .prefault({}),
  rewrite: z
    .strictObject({
      solutions: z.string().nullable().default(null).describe('JSONL file of { question, answer, solution }'),
      answers: z.enum(answerModes).default('auto').describe('how answers are compared'),
      attempts: count.default(1).describe('rewritings of each solution'),
    })
    .prefault({}),
  max_calls: count.default(6).describe('calls of an attempt'),
  tool: z
    .strictObject({
      seconds: z.number().min(0.001).max(86_400).default(5).describe('processor time of a call'),
      memory_mb: z.int().min(64).default(512).describe('memory of a process in MiB'),
      output_characters: count.default(2000).describe('output that is shown; head and tail are kept'),
      workers: countOrNone.max(1024).default(0).describe('calls at once; 0 = one per core'),
      python: z.string().nullable().default(null).describe('interpreter; default: python3 on PATH'),
      unsafe: z
        .boolean()
        .default(false)
        .describe('run programs even where the sandbox does not hold; docs/python-sandbox.md'),
    })
    .prefault({}),
});

export type Synthesis = z.output<typeof synthesisSchema>;
export type TeacherSettings = z.output<typeof teacherSchema>;
export type StyleName = keyof Synthesis['styles'];

/** Parse and check; `source` names the text in messages. Throws ToolgradError ERR_CONFIG. */
export function parseSynthesis(text: string, source: string, overrides: readonly string[] = []): Synthesis {
  return parseSettings(synthesisSchema, text, source, overrides, conflicts);
}

function conflicts(settings: Synthesis): Conflict[] {
  const found: Conflict[] = [];
  const { teacher, judge, mode, tasks, rewrite, styles } = settings;
  const check = (name: string, { kind, url, model, path }: TeacherSettings) => {
    const wants = (key: string, value: string | null) => {
      if (value === null) found.push({ path: [name, key], message: `required with kind ${kind}` });
    };
    if (kind === 'endpoint') {
      wants('url', url);
      wants('model', model);
      if (url !== null && !/^https?:\/\//.test(url))
        found.push({ path: [name, 'url'], message: `expected an http(s) URL, found ${JSON.stringify(url)}` });
    }
    if (kind === 'local') wants('path', path);
  };
  check('teacher', teacher);
  if (judge !== null) {
    check('judge', judge);
    if (mode !== 'rewrite') found.push({ path: ['judge'], message: 'is asked in mode rewrite only' });
    if (judge.kind === 'procedural')
      found.push({ path: ['judge', 'kind'], message: 'solutions cannot judge: expected endpoint or local' });
  }
  if (mode === 'traces') {
    if (tasks.names.length + tasks.files.length === 0)
      found.push({ path: ['tasks'], message: 'expected names or files of tasks to ask, found none' });
    if (styles.free + styles.text_code + styles.code_text === 0)
      found.push({ path: ['styles'], message: 'expected at least one attempt, found none' });
  } else {
    if (rewrite.solutions === null)
      found.push({ path: ['rewrite', 'solutions'], message: 'required in mode rewrite' });
    if (teacher.kind === 'procedural')
      found.push({
        path: ['teacher', 'kind'],
        message: 'solutions cannot rewrite: expected endpoint or local',
      });
  }
  return found;
}

/** What decides what is asked and answered; a run goes on only where this is the same. Keys: names of settings. */
export function identity(settings: Synthesis): Record<string, string> {
  const asks = ({
    kind,
    url,
    model,
    path,
    temperature,
    top_p,
    max_tokens,
    dtype,
    chat_template,
  }: TeacherSettings) => ({
    kind,
    url,
    model,
    path,
    temperature,
    top_p,
    max_tokens,
    dtype,
    chat_template,
  });
  const {
    mode,
    seed,
    format,
    instruction,
    teacher,
    judge,
    tasks,
    questions,
    styles,
    rewrite,
    max_calls,
    tool,
  } = settings;
  const parts = {
    mode,
    seed,
    format,
    instruction,
    teacher: asks(teacher),
    judge: judge === null ? null : asks(judge),
    ...(mode === 'traces'
      ? { tasks, questions: { ask: questions.ask, rl: questions.rl }, styles, max_calls }
      : { rewrite }),
    tool: { seconds: tool.seconds, memory_mb: tool.memory_mb, output_characters: tool.output_characters },
  };
  return Object.fromEntries(
    Object.entries(parts).map(([key, value]) => [
      key,
      createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16),
    ]),
  );
}
