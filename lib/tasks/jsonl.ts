/**
 * Questions from JSONL files: one JSON object per line with a question and its answer.
 *
 * The question is in exactly one of `question`, `prompt`, `problem`, `input`; the answer in exactly one of `answer`,
 * `output`, `target`. An answer that ends in a line `#### 42` (GSM8K) is the text after the marker. Other fields (`id`,
 * `code`, `task`, ...) are kept in `meta`. Every defect is an error with file and line; nothing is skipped but blank lines.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type AnswerMode, accepted, answerModes, rejected, trimBlanks, type Verdict } from './answer.ts';
import { verifyMath } from './math/equal.ts';
import { parseNumber, verifyNumber } from './number.ts';
import { type FixedTask, placeContent, type Question, requireOwnQuestion, type Split } from './task.ts';

const kQuestionFields = ['question', 'prompt', 'problem', 'input'];
const kAnswerFields = ['answer', 'output', 'target'];

/** One row of a data file: a line of JSONL, a record of CSV. */
export interface JsonlRow {
  /** Number of the line it starts on, from 1. */
  line: number;
  fields: Readonly<Record<string, unknown>>;
}

/** A defect of a data file; the message starts with `path:line:`. */
export class DataError extends Error {
  override readonly name = 'DataError';
  readonly path: string;
  /** Line number from 1; 0 when the file as a whole is meant. */
  readonly line: number;
  constructor(path: string, line: number, message: string, options?: ErrorOptions) {
    super(`${path}:${line === 0 ? '' : `${line}:`} ${message}`, options);
    this.path = path;
    this.line = line;
  }
}

/** A short form of a value for an error message. */
export function excerpt(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** The text of a data file. Throws DataError for a file that cannot be read or is not UTF-8. */
export async function readTextFile(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new DataError(path, 0, `cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new DataError(path, 0, 'is not UTF-8 text; save it as UTF-8', { cause: error });
  }
}

/** Reads a JSONL file of objects. Throws DataError for a file that cannot be read, is empty, or has a malformed line. */
export async function readJsonl(path: string): Promise<JsonlRow[]> {
  const rows: JsonlRow[] = [];
  for (const [index, content] of (await readTextFile(path)).split('\n').entries()) {
    const line = index + 1;
    if (content.trim() === '') continue;
    let fields: unknown;
    try {
      fields = JSON.parse(content);
    } catch (error) {
      throw new DataError(path, line, `expected one JSON object per line: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
      throw new DataError(path, line, `expected a JSON object, found ${excerpt(fields)}`);
    }
    rows.push({ line, fields: fields as Record<string, unknown> });
  }
  if (rows.length === 0) {
    throw new DataError(path, 0, 'has no lines; expected one JSON object per line');
  }
  return rows;
}

/** The field of a row that goes by one of several names. */
function fieldOf(path: string, { line, fields }: JsonlRow, names: readonly string[]): [string, unknown] {
  const present = names.filter((name) => Object.hasOwn(fields, name));
  if (present.length !== 1) {
    const found =
      present.length === 0 ? `found ${Object.keys(fields).join(', ')}` : `found ${present.join(' and ')}`;
    throw new DataError(path, line, `expected exactly one of the fields ${names.join(', ')}; ${found}`);
  }
  return [present[0]!, fields[present[0]!]];
}

/** The question text and the final answer of a row; throws DataError when one is missing, empty or of a wrong type. */
export function questionOfRow(path: string, row: JsonlRow): { prompt: string; answer: string } {
  const { line } = row;
  const [questionField, prompt] = fieldOf(path, row, kQuestionFields);
  if (typeof prompt !== 'string' || prompt.trim() === '') {
    throw new DataError(
      path,
      line,
      `expected ${questionField} to be a non-empty text, found ${excerpt(prompt)}`,
    );
  }
  const [answerField, given] = fieldOf(path, row, kAnswerFields);
  if (typeof given === 'number' && Number.isInteger(given) && !Number.isSafeInteger(given)) {
    throw new DataError(path, line, `${answerField} is beyond 2^53 and was rounded; write it as a string`);
  }
  if (typeof given !== 'string' && typeof given !== 'number') {
    throw new DataError(
      path,
      line,
      `expected ${answerField} to be a text or a number, found ${excerpt(given)}`,
    );
  }
  const text = trimBlanks(String(given));
  const lastLine = text.slice(text.lastIndexOf('\n') + 1);
  const answer = lastLine.startsWith('####') ? trimBlanks(lastLine.slice(4)) : text;
  if (answer === '')
    throw new DataError(path, line, `expected ${answerField} to hold an answer, found ${excerpt(given)}`);
  return { prompt, answer };
}

/** Options of `loadJsonlTask` and `loadCsvTask`. */
export interface JsonlOptions {
  /** The task's name; default the file's name without its ending. */
  name?: string;
  /**
   * Where the questions belong: 'hash' (default) sends a fifth of them, chosen by their text, to the held-out split;
   * 'train' or 'heldout' puts all of them there.
   */
  split?: 'hash' | Split;
  /** A second file with the held-out questions; the first is then all training. Overlap is an error. */
  heldoutPath?: string;
  /**
   * How answers are compared: 'number' by the rules of `verifyNumber` (every expected answer must be a number), 'math' by those
   * of `verifyMath`, 'text' exactly but for blanks around, 'strict_box' as verl's strict box mode (character for character),
   * 'auto' (default) by number where the expected answer is one and exactly elsewhere.
   */
  answers?: AnswerMode;
  /** Only the first `limit` questions of each file. */
  limit?: number;
}

const kOptionNames = ['name', 'split', 'heldoutPath', 'answers', 'limit'];

/**
 * A task over the questions of a JSONL file: `{question, answer}`, GSM8K (`#### 42`), AIME (`{input, output}`), or any mix
 * of the field names above. Throws DataError naming file and line; TypeError for wrong options.
 */
export function loadJsonlTask(path: string, options: JsonlOptions = {}): Promise<FixedTask> {
  return loadRowsTask('loadJsonlTask', readJsonl, path, options);
}

/** A task over the rows of files that `read` reads; `caller` is the public function, for error messages. */
export async function loadRowsTask(
  caller: string,
  read: (path: string) => Promise<readonly JsonlRow[]>,
  path: string,
  options: JsonlOptions,
): Promise<FixedTask> {
  const { heldoutPath, answers = 'auto', limit = Number.POSITIVE_INFINITY } = options;
  const split = options.split ?? (heldoutPath === undefined ? 'hash' : 'train');
  const name = options.name ?? basename(path).replace(/\.(?:jsonl|csv)$/, '');
  for (const key of Object.keys(options)) {
    if (!kOptionNames.includes(key)) {
      throw new TypeError(
        `${caller}: unknown option ${JSON.stringify(key)}; it has ${kOptionNames.join(', ')}`,
      );
    }
  }
  if (!['hash', 'train', 'heldout'].includes(split)) {
    throw new TypeError(`${caller}: expected split to be hash, train or heldout, found ${excerpt(split)}`);
  }
  if (!answerModes.includes(answers)) {
    throw new TypeError(
      `${caller}: expected answers to be one of ${answerModes.join(', ')}, found ${excerpt(answers)}`,
    );
  }
  if (heldoutPath !== undefined && split !== 'train') {
    throw new TypeError(
      `${caller}: with heldoutPath the first file is all training; leave out split: ${split}`,
    );
  }
  if (limit !== Number.POSITIVE_INFINITY && !(Number.isInteger(limit) && limit > 0)) {
    throw new RangeError(`${caller}: expected limit to be an integer > 0, found ${limit}`);
  }

  const items: Record<Split, Question[]> = { train: [], heldout: [] };
  const placeOfId = new Map<string, string>();
  const placeOfText = new Map<string, string>();

  async function load(file: string, placement: 'hash' | Split): Promise<void> {
    for (const row of (await read(file)).slice(0, limit)) {
      const { prompt, answer } = questionOfRow(file, row);
      if (answers === 'number' && parseNumber(answer) === undefined) {
        throw new DataError(
          file,
          row.line,
          `expected a number as the answer, found ${excerpt(answer)}; use answers: text`,
        );
      }
      const hashed = placeContent(name, trimBlanks(prompt));
      const given = row.fields.id;
      if (given !== undefined && typeof given !== 'string' && typeof given !== 'number') {
        throw new DataError(file, row.line, `expected id to be a text or a number, found ${excerpt(given)}`);
      }
      const id = given === undefined ? hashed.id : `${name}-${given}`;
      const text = createHash('sha256').update(trimBlanks(prompt)).digest('base64');
      const place = `${file}:${row.line}`;
      const sameId = placeOfId.get(id);
      const sameText = placeOfText.get(text);
      if (sameText !== undefined) {
        throw new DataError(file, row.line, `the question is the same as that of ${sameText}; remove one`);
      }
      if (sameId !== undefined) {
        throw new DataError(file, row.line, `duplicate id ${excerpt(given)}, already used in ${sameId}`);
      }
      placeOfId.set(id, place);
      placeOfText.set(text, place);
      const meta = Object.fromEntries(
        Object.entries(row.fields).filter(
          ([key]) => !kQuestionFields.includes(key) && !kAnswerFields.includes(key) && key !== 'id',
        ),
      );
      items[placement === 'hash' ? hashed.split : placement].push({ id, task: name, prompt, answer, meta });
    }
  }

  await load(path, split);
  if (heldoutPath !== undefined) await load(heldoutPath, 'heldout');

  const hasCode = [...items.train, ...items.heldout].every((item) => typeof item.meta?.code === 'string');
  return {
    name,
    description: `questions of ${basename(path)}`,
    items: (wanted) => items[wanted],
    question(random, wanted) {
      if (items[wanted].length === 0) {
        throw new RangeError(`task ${name}: the ${wanted} split is empty; set split or heldoutPath`);
      }
      return random.choice(items[wanted]);
    },
    verify(question, answer) {
      requireOwnQuestion(name, question);
      return verifyAnswer(question, answer, answers);
    },
    ...(hasCode ? { solution: (question: Question) => String(question.meta?.code) } : {}),
  };
}

/** Compares as `JsonlOptions.answers` says. */
function verifyAnswer(question: Question, answer: string | null, mode: AnswerMode): Verdict {
  const expected = question.answer;
  if (mode === 'math') return verifyMath(question, answer);
  if (mode === 'strict_box') return verifyMath(question, answer, { strictBox: 'verl-content' });
  if (mode !== 'text' && parseNumber(expected) !== undefined) return verifyNumber(expected, answer);
  if (typeof answer !== 'string') return rejected('no answer');
  if (answer.length > 2 * expected.length + 64) return rejected('the answer is too long');
  return trimBlanks(answer) === trimBlanks(expected) ? accepted : rejected('a different text');
}
