/**
 * Published sets of questions, loaded from files given by path: AIME, DAPO-Math-17k, MATH, GPQA-Diamond. None is shipped.
 * GSM8K needs no loader of its own: `loadJsonlTask` reads its `#### 42`.
 *
 * Run on the real data: AIME 2024 and 2025 as JSONL. DAPO-Math-17k, MATH in the layouts of its hub copies and GPQA-Diamond
 * were only run on fixtures in the published layout, because the data itself was out of reach.
 */

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { rejected, trimBlanks, type Verdict } from '../answer.ts';
import { readCsv } from '../csv.ts';
import { DataError, excerpt, type JsonlRow, questionOfRow, readJsonl } from '../jsonl.ts';
import { createRandom } from '../random.ts';
import { type FixedTask, placeContent, type Question, requireOwnQuestion, type Split } from '../task.ts';
import { boxedAnswer, type MathOptions, unwrapAnswer, verifyMath } from './equal.ts';

/** Options of the loaders. */
export interface DatasetOptions extends MathOptions {
  /** The task's name; default that of the set. */
  readonly name?: string;
  /** Where the questions belong: all in one split, or 'hash': a fifth held out, chosen by the text of the question. */
  readonly split?: 'hash' | Split;
  /** Only the first `limit` different questions. */
  readonly limit?: number;
}

/** What a row says. */
interface Found {
  readonly prompt: string;
  readonly answer: string;
  readonly id?: string;
  readonly meta?: Readonly<Record<string, unknown>>;
}

interface Plan {
  readonly set: string;
  readonly split: 'hash' | Split;
  readonly verify: (question: Question, answer: string | null) => Verdict;
}

function textOf(path: string, { line, fields }: JsonlRow, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value.trim() !== '') return value;
  const others = Object.keys(fields).join(', ');
  throw new DataError(path, line, `expected a text in ${name}, found ${excerpt(value)} among ${others}`);
}

/** Puts the rows into splits: repeated questions once, those repeated with another answer not at all. */
function datasetTask(
  path: string,
  rows: Iterable<[JsonlRow, Found]>,
  plan: Plan,
  options: DatasetOptions,
): FixedTask {
  const { limit = Number.POSITIVE_INFINITY } = options;
  if (limit !== Number.POSITIVE_INFINITY && !(Number.isInteger(limit) && limit > 0)) {
    throw new RangeError(`${plan.set}: expected limit to be an integer > 0, found ${limit}`);
  }
  const split = options.split ?? plan.split;
  if (!['hash', 'train', 'heldout'].includes(split)) {
    throw new TypeError(`${plan.set}: expected split to be hash, train or heldout, found ${excerpt(split)}`);
  }
  const name = options.name ?? plan.set;
  const kept = new Map<string, Question & { readonly place: Split }>();
  const contradictory = new Set<string>();
  const ids = new Map<string, number>();
  let repeated = 0;
  for (const [row, { prompt, answer, id, meta }] of rows) {
    const content = trimBlanks(prompt);
    const key = createHash('sha256').update(content).digest('base64');
    const same = kept.get(key);
    if (same !== undefined) {
      if (same.answer === answer) repeated += 1;
      else contradictory.add(key);
      continue;
    }
    if (kept.size === limit) break;
    const hashed = placeContent(name, content);
    if (id !== undefined && ids.has(id)) {
      throw new DataError(path, row.line, `duplicate id ${excerpt(id)}, already used in line ${ids.get(id)}`);
    }
    if (id !== undefined) ids.set(id, row.line);
    kept.set(key, {
      id: id === undefined ? hashed.id : `${name}-${id}`,
      task: name,
      prompt,
      answer,
      meta: meta ?? {},
      place: split === 'hash' ? hashed.split : split,
    });
  }
  for (const key of contradictory) kept.delete(key);
  const items: Record<Split, Question[]> = { train: [], heldout: [] };
  for (const { place, ...question } of kept.values()) items[place].push(question);
  const leftOut = [
    ...(repeated === 0 ? [] : [`${repeated} repeated rows`]),
    ...(contradictory.size === 0 ? [] : [`${contradictory.size} questions with two answers`]),
  ];
  return {
    name,
    description: `${kept.size} questions of ${basename(path)}${leftOut.length === 0 ? '' : `, without ${leftOut.join(' and ')}`}`,
    items: (wanted) => items[wanted],
    question(random, wanted) {
      if (items[wanted].length === 0) {
        throw new RangeError(
          `task ${name}: the ${wanted} split is empty; choose another with the option split`,
        );
      }
      return random.choice(items[wanted]);
    },
    verify(question, answer) {
      requireOwnQuestion(name, question);
      return plan.verify(question, answer);
    },
  };
}

function* found(rows: readonly JsonlRow[], read: (row: JsonlRow) => Found): Iterable<[JsonlRow, Found]> {
  for (const row of rows) yield [row, read(row)];
}

const mathVerifier =
  ({ strictBox = false, workedOut = true }: DatasetOptions) =>
  (question: Question, answer: string | null): Verdict =>
    verifyMath(question, answer, { strictBox, workedOut });

/**
 * AIME from JSONL (`input`/`output`, `problem`/`answer` or any names of `loadJsonlTask`): answers are integers from 0 to 999.
 * All questions are held out, for evaluation.
 */
export async function loadAime(path: string, options: DatasetOptions = {}): Promise<FixedTask> {
  const rows = await readJsonl(path);
  const read = (row: JsonlRow): Found => {
    const { prompt, answer } = questionOfRow(path, row);
    if (!/^[0-9]{1,3}$/.test(answer)) {
      throw new DataError(path, row.line, `expected an integer from 0 to 999, found ${excerpt(answer)}`);
    }
    return { prompt, answer };
  };
  const plan: Plan = { set: 'aime', split: 'heldout', verify: mathVerifier(options) };
  return datasetTask(path, found(rows, read), plan, options);
}

/** The lines that DAPO-Math-17k puts around every problem; the answer format brings its own. */
const kDapoFrame =
  /^Solve the following math problem step by step\. The last line of your response should be of the form Answer: \$Answer \(without quotes\) where \$Answer is the answer to the problem\.\n\n([\s\S]*)\n\nRemember to put your answer on its own line after "Answer:"\.\s*$/;

/**
 * DAPO-Math-17k (ByteDance Seed and Tsinghua AIR 2025) from JSONL of its published columns:
 * `{"prompt": [{"role": "user", "content": ...}], "reward_model": {"ground_truth": "34", ...}, "extra_info": {"index": ...}}`.
 *
 * The published file repeats every question a hundred times; repeated ones are kept once, those with two answers not at all, and
 * the task's description says how many. Write the JSONL from a copy without repetitions: the file is read as a whole. The
 * instruction around each problem asks for a line `Answer: ...` and is taken off. All questions are training questions.
 */
export async function loadDapoMath(path: string, options: DatasetOptions = {}): Promise<FixedTask> {
  const rows = await readJsonl(path);
  const read = (row: JsonlRow): Found => {
    const { line, fields } = row;
    const fail = (expected: string, value: unknown): never => {
      throw new DataError(path, line, `expected ${expected}, found ${excerpt(value)}`);
    };
    const messages = fields.prompt;
    if (!Array.isArray(messages) || messages.length !== 1) {
      return fail('prompt to be a list of one message', messages);
    }
    const message = messages[0] as { role?: unknown; content?: unknown } | null;
    const content = message?.content;
    if (message?.role !== 'user' || typeof content !== 'string' || content.trim() === '') {
      return fail('a message of the user with a text', message);
    }
    const model = fields.reward_model as { ground_truth?: unknown } | null | undefined;
    const truth = model?.ground_truth;
    if (typeof truth !== 'string' || truth.trim() === '')
      return fail('a text in reward_model.ground_truth', model);
    const info = fields.extra_info as { index?: unknown } | null | undefined;
    const prompt = kDapoFrame.exec(content)?.[1] ?? content;
    return {
      prompt,
      answer: trimBlanks(truth),
      meta: info?.index === undefined ? {} : { index: info.index },
    };
  };
  const plan: Plan = { set: 'dapo-math', split: 'train', verify: mathVerifier(options) };
  return datasetTask(path, found(rows, read), plan, options);
}

/**
 * MATH (Hendrycks et al. 2021) from JSONL: `{problem, solution, level, type}`, where the answer is the last box of the solution,
 * or `{problem, solution, answer, subject, level, unique_id}` as in MATH-500. A fifth of the questions is held out.
 */
export async function loadMath(path: string, options: DatasetOptions = {}): Promise<FixedTask> {
  const rows = await readJsonl(path);
  const read = (row: JsonlRow): Found => {
    const prompt = textOf(path, row, 'problem');
    const { solution, answer: given, ...rest } = row.fields;
    const answer =
      given === undefined ? boxedAnswer(textOf(path, row, 'solution')) : textOf(path, row, 'answer');
    if (answer === undefined || answer === '') {
      throw new DataError(
        path,
        row.line,
        `expected a \\boxed{...} that is closed in solution, found ${excerpt(solution)}`,
      );
    }
    const kept = ['level', 'type', 'subject', 'unique_id'].filter((name) => rest[name] !== undefined);
    return {
      prompt,
      answer: trimBlanks(answer),
      meta: Object.fromEntries(kept.map((name) => [name, rest[name]])),
    };
  };
  const plan: Plan = { set: 'math', split: 'hash', verify: mathVerifier(options) };
  return datasetTask(path, found(rows, read), plan, options);
}

const kLetters = 'ABCD';

/** A letter alone: `B`, `(B)`, `B.`, `B)`, `\text{B}`, in a box or not, of either case. */
export function verifyLetter(expected: string, answer: string | null): Verdict {
  if (typeof answer !== 'string') return rejected('no answer');
  if (answer.length > 200) return rejected('the answer is too long');
  const text = unwrapAnswer(answer).replace(/^\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}$/, '$1');
  const letter = /^(?:\(([A-Za-z])\)|([A-Za-z])[).:]?)$/.exec(trimBlanks(text));
  const found = (letter?.[1] ?? letter?.[2])?.toUpperCase();
  if (found === undefined) return rejected('not one letter');
  return found === expected ? { correct: true, reason: 'the right option' } : rejected('another option');
}

/**
 * GPQA-Diamond (Rein et al. 2023) from its CSV: the columns `Question`, `Correct Answer`, `Incorrect Answer 1` to `3`, and where
 * there `Record ID`, `Subdomain`, `High-level domain`. The four options are put in an order that `seed` (default 0) and the
 * question decide; the answer is the letter of the right one. All questions are held out, for evaluation.
 */
export async function loadGpqa(
  path: string,
  options: Omit<DatasetOptions, keyof MathOptions> & { readonly seed?: number } = {},
): Promise<FixedTask> {
  const rows = await readCsv(path);
  const { seed = 0 } = options;
  const read = (row: JsonlRow): Found => {
    const question = textOf(path, row, 'Question').trim();
    const right = textOf(path, row, 'Correct Answer').trim();
    const wrong = [1, 2, 3].map((i) => textOf(path, row, `Incorrect Answer ${i}`).trim());
    if (new Set([right, ...wrong]).size < 4) {
      throw new DataError(path, row.line, 'expected four different options, found two that are the same');
    }
    const word = createHash('sha256').update(question).digest().readUInt32BE(0);
    const shuffled = createRandom(seed, [word]).shuffle([right, ...wrong]);
    const lines = shuffled.map((option, i) => `(${kLetters[i]}) ${option}`);
    const id = row.fields['Record ID'];
    const kept = ['Subdomain', 'High-level domain'].filter((name) => typeof row.fields[name] === 'string');
    return {
      prompt: `${question}\n\n${lines.join('\n')}\n\nAnswer with the letter of the right option.`,
      answer: kLetters[shuffled.indexOf(right)]!,
      ...(typeof id === 'string' && id.trim() !== '' ? { id: id.trim() } : {}),
      meta: Object.fromEntries(kept.map((name) => [name, row.fields[name]])),
    };
  };
  const plan: Plan = {
    set: 'gpqa-diamond',
    split: 'heldout',
    verify: (question, answer) => verifyLetter(question.answer, answer),
  };
  return datasetTask(path, found(rows, read), plan, options);
}
