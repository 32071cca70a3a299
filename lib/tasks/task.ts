/**
 * Tasks: sources of questions with a strict verifier.
 *
 * Splits are disjoint by construction: a question's *content* (its operands in canonical order, not its wording) is
 * hashed, and the hash alone says whether it belongs to 'train' or 'heldout'. Tasks made by the same generator share the
 * hash, whatever their names and ranges, so the held-out questions of one are never training questions of another.
 * A question is plain JSON data: it may be stored and verified later.
 */
import { createHash } from 'node:crypto';
import { screenAnswer, type Verdict } from './answer.ts';
import { createRandom, type Random } from './random.ts';

export type { Verdict } from './answer.ts';

/** 'train' holds about 4/5 of all question contents, 'heldout' the rest. */
export type Split = 'train' | 'heldout';

/** One question: equal contents have equal ids. */
export interface Question {
  /** Generator and content hash, e.g. `gcd-3f9c01ab77de`. */
  id: string;
  /** The name of the task that asked. */
  task: string;
  /** The text shown to the model, without any instruction about tools or answer markers. */
  prompt: string;
  /** The canonical answer. */
  answer: string;
  /** What the task needs to verify the answer or write a solution; plain JSON values. */
  meta?: Readonly<Record<string, unknown>>;
}

/** A source of questions that can check answers. */
export interface Task {
  readonly name: string;
  readonly description: string;
  /** A question of the split, drawn with the given random stream. Throws RangeError when the split has none. */
  question(random: Random, split: Split): Question;
  /** Whether an extracted answer is right. Never throws for any answer; throws TypeError for another task's question. */
  verify(question: Question, answer: string | null): Verdict;
  /** A short Python 3 script that prints exactly the answer and a newline; variants are different ways to write it. */
  solution?(question: Question, variant?: number): string;
}

/** A task with generated questions and a Python solution for each. */
export interface ProceduralTask extends Task {
  /** How many different phrasings `solution` knows; a variant is taken modulo this. */
  readonly variants: number;
  solution(question: Question, variant?: number): string;
}

/** A task over a fixed list of questions (see `loadJsonlTask`). */
export interface FixedTask extends Task {
  /** The questions of a split in file order. */
  items(split: Split): readonly Question[];
}

/** What one draw of a generator yields; `I` is the instance kept as the question's `meta`. */
export interface Draw<I> {
  /** The content that makes two questions the same, in canonical order: operands, never wording. */
  content: string;
  instance: I;
  /** The wordings; one is chosen at random. */
  prompts: readonly string[];
  answer: string;
}

/** Describes a procedural task to `proceduralTask`. */
export interface Generator<I extends Record<string, unknown>> {
  /** The generator's name: tasks that share it share splits and ids. */
  generator: string;
  /** The task's name; the generator's name by default. */
  name?: string | undefined;
  description: string;
  /** Draws an instance; undefined means "unsuitable, draw again". */
  draw(random: Random): Draw<I> | undefined;
  /** Compares an answer that has passed the general rules with the expected one. */
  compare: (expected: string, answer: string, instance: I) => Verdict;
  /** The longest answer that is read, in characters; default max(64, 2 * expected + 16). */
  maxAnswerLength?: number;
  /** One function per variant of the solution. */
  solutions: ReadonlyArray<(instance: I) => string>;
}

const kDrawLimit = 20_000;
const kHeldoutShare = 5;

/** SHA-256 of a question's content, from which its id and split follow. */
function contentHash(generator: string, content: string): Buffer {
  return createHash('sha256').update(`${generator}\n${content}`).digest();
}

/** The id and the split that a question's content decides. */
export function placeContent(generator: string, content: string): { id: string; split: Split } {
  const hash = contentHash(generator, content);
  return {
    id: `${generator}-${hash.toString('hex', 0, 6)}`,
    split: hash.readUInt32BE(8) % kHeldoutShare === 0 ? 'heldout' : 'train',
  };
}

/** Makes a task from a generator; the file header of this module says how splits are kept apart. */
export function proceduralTask<I extends Record<string, unknown>>(spec: Generator<I>): ProceduralTask {
  const name = spec.name ?? spec.generator;

  function instanceOf(question: Question): I {
    requireOwnQuestion(name, question);
    if (question.meta === undefined) {
      throw new TypeError(
        `task ${name}: question ${question.id} has no meta; pass the question as the task returned it`,
      );
    }
    return question.meta as I;
  }

  return {
    name,
    description: spec.description,
    variants: spec.solutions.length,
    question(random, split) {
      for (let attempt = 0; attempt < kDrawLimit; attempt++) {
        const draw = spec.draw(random);
        if (draw === undefined) continue;
        const place = placeContent(spec.generator, draw.content);
        if (place.split !== split) continue;
        const prompt = random.choice(draw.prompts);
        return { id: place.id, task: name, prompt, answer: draw.answer, meta: draw.instance };
      }
      throw new RangeError(
        `task ${name}: no question of the ${split} split in ${kDrawLimit} draws; widen the task's ranges`,
      );
    },
    verify(question, answer) {
      const instance = instanceOf(question);
      const limit = spec.maxAnswerLength ?? Math.max(64, 2 * question.answer.length + 16);
      const screened = screenAnswer(answer, limit);
      if (typeof screened !== 'string') return screened;
      return spec.compare(question.answer, screened, instance);
    },
    solution(question, variant = 0) {
      if (!Number.isInteger(variant) || variant < 0) {
        throw new RangeError(`task ${name}: expected a variant that is an integer >= 0, found ${variant}`);
      }
      return spec.solutions[variant % spec.solutions.length]!(instanceOf(question));
    },
  };
}

/** Throws TypeError unless the question was asked by the named task. */
export function requireOwnQuestion(name: string, question: Question): void {
  if (question.task !== name) {
    throw new TypeError(
      `task ${name}: question ${question.id} belongs to task ${question.task}; verify it with that task`,
    );
  }
}

/** Whether a task has a fixed list of questions. */
export function isFixedTask(task: Task): task is FixedTask {
  return 'items' in task;
}

/** Options of `questions`. */
export interface QuestionsOptions {
  /** Ids that must not be drawn, e.g. those of the cold-start traces when drawing questions for RL. */
  exclude?: ReadonlySet<string>;
  /** For tasks over a file: 'shuffled' (by the seed, default) or 'file'. Generated questions have no file order. */
  order?: 'shuffled' | 'file';
}

/**
 * `count` different questions of a split; the same arguments give the same questions.
 *
 * Throws RangeError when the task's ranges or file do not hold that many.
 */
export function questions(
  task: Task,
  split: Split,
  count: number,
  seed: number,
  options: QuestionsOptions = {},
): Question[] {
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`questions: expected a count that is an integer >= 0, found ${count}`);
  }
  const taskWord = createHash('sha256').update(task.name).digest().readUInt32BE(0);
  const splitWord = split === 'train' ? 0 : 1;
  if (isFixedTask(task)) {
    const items = task.items(split).filter((item) => !options.exclude?.has(item.id));
    if (items.length < count) {
      throw new RangeError(
        `questions: task ${task.name} has ${items.length} ${split} questions, ${count} were asked for`,
      );
    }
    const ordered =
      options.order === 'file' ? items : createRandom(seed, [taskWord, splitWord]).shuffle(items);
    return ordered.slice(0, count);
  }
  const found: Question[] = [];
  const seen = new Set<string>();
  const limit = 50 * count + 1000;
  for (let attempt = 0; found.length < count; attempt++) {
    if (attempt === limit) {
      throw new RangeError(
        `questions: only ${found.length} different ${split} questions of task ${task.name} in ${limit} draws, ` +
          `${count} were asked for; widen the task's ranges or ask for fewer`,
      );
    }
    const question = task.question(createRandom(seed, [taskWord, splitWord, attempt]), split);
    if (seen.has(question.id) || options.exclude?.has(question.id)) continue;
    seen.add(question.id);
    found.push(question);
  }
  return found;
}
