/**
 * The published tasks by name, ready for use: `openSuiteTask('bbh/navigate')`.
 *
 * Verifiers are loaded and questions read when a task is opened, no sooner. Every question is in one of three sets that do
 * not meet (sets.ts). A task with a generator fills up sets that are too small, always with the same questions, and draws
 * without end for training; its evaluation questions are generated only where the published ones are too few.
 */
import { createHash } from 'node:crypto';
import { rejected } from '../answer.ts';
import { createRandom, type Random } from '../random.ts';
import { type FixedTask, placeContent, type Question, requireOwnQuestion, type Split } from '../task.ts';
import { questionManifest, readQuestionFile } from './question-files.ts';
import { kSmallestSet, type SetName, setNames, setOfGenerated } from './sets.ts';
import { namedSplits, splitEntries, suiteTaskNames } from './split.ts';
import { kLongestAnswer, type SuiteQuestion, type SuiteTask } from './suite.ts';
import type { GsmRecord } from './symbench/gsm.ts';
import { suiteVerifiers } from './verifiers.ts';

export { type SetName, setNames } from './sets.ts';
export { namedSplits, type SplitEntry, splitEntries, suiteTaskNames } from './split.ts';

/** The questions of a task in three lists that do not meet. */
export type SuiteSets = Readonly<Record<SetName, readonly Question[]>>;

/** A published task. */
export interface PublishedTask extends FixedTask {
  /** Whether `question` and `draw` go on beyond the questions in the sets. */
  readonly endless: boolean;
  sets(): SuiteSets;
  /**
   * `count` different questions of a set, the same for the same seed; fewer where the set has no more and is not endless.
   * `exclude` holds ids that must not be drawn.
   */
  draw(set: SetName, count: number, seed: number, exclude?: ReadonlySet<string>): Question[];
}

/** What a generator fills its sets up to. */
const kFilled: Readonly<Record<SetName, number>> = { coldStart: 100, training: 200, evaluation: 50 };
const kDrawLimit = 20_000;
const kFillSeed = 0;

/** The published tasks that a name in a config stands for: one, a pattern with `*`, or a named split; undefined for other names. */
export function expandSuiteName(name: string): readonly string[] | undefined {
  if (Object.hasOwn(namedSplits, name)) return namedSplits[name];
  if (suiteTaskNames.includes(name)) return [name];
  if (!name.includes('*')) return undefined;
  const pieces = name.split('*').map((piece) => piece.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  const pattern = new RegExp(`^${pieces.join('.*')}$`);
  const found = suiteTaskNames.filter((known) => pattern.test(known));
  return found.length === 0 ? undefined : found;
}

/** Whether a task is a published one. */
export function isPublishedTask(task: object): task is PublishedTask {
  return 'sets' in task && 'draw' in task && 'endless' in task;
}

/** The three sets of a published task. */
export async function suiteSets(name: string): Promise<SuiteSets> {
  return (await openSuiteTask(name)).sets();
}

/** The suite's verifier (and generator) of a task by its full name. Throws RangeError for a name that is none of the 144. */
export async function suiteVerifier(name: string): Promise<SuiteTask> {
  const entry = splitEntries.find((other) => other.name === name);
  const task =
    entry === undefined
      ? undefined
      : (await suiteVerifiers(entry.suite)).get(name.slice(entry.suite.length + 1));
  if (task === undefined) {
    throw new RangeError(
      `expected a published task like bbh/navigate, found ${JSON.stringify(name)}; toolgrad tasks list shows them all`,
    );
  }
  if (name !== 'symbench/gsm') return task;
  const { gsmTask } = await import('./symbench/math-tasks.ts');
  return gsmTask(readQuestionFile('gsm8k/train') as unknown as GsmRecord[]);
}

/** The stored questions of a task by set: a file lists the sets one after the other, and the manifest says how many are in each. */
function storedSets(name: string): Readonly<Record<SetName, Question[]>> {
  const lines = readQuestionFile(name) as unknown as SuiteQuestion[];
  const sizes = questionManifest().files[name]?.sets;
  const sets: Record<SetName, Question[]> = { coldStart: [], training: [], evaluation: [] };
  let start = 0;
  for (const set of setNames) {
    const end = start + (sizes?.[set] ?? 0);
    sets[set] = lines
      .slice(start, end)
      .map(({ id, prompt, answer, meta = {} }) => ({ id, task: name, prompt, answer, meta }));
    start = end;
  }
  return sets;
}

const opened = new Map<string, Promise<PublishedTask>>();

/**
 * Opens a published task, once: later calls give the same one. Throws RangeError for an unknown name, ERR_QUESTIONS_MISSING where the package of questions is not
 * installed, ERR_QUESTIONS_BROKEN where it is damaged.
 */
export async function openSuiteTask(name: string): Promise<PublishedTask> {
  const known = opened.get(name);
  if (known !== undefined) return known;
  const opening = makePublishedTask(name);
  opened.set(name, opening);
  // What could not be opened may be there at the next call.
  opening.catch(() => opened.delete(name));
  return opening;
}

async function makePublishedTask(name: string): Promise<PublishedTask> {
  const task = await suiteVerifier(name);
  const stored = storedSets(name);
  const placeOfStored = new Map(
    setNames.flatMap((set) => stored[set].map(({ id }): [string, SetName] => [id, set])),
  );
  if (placeOfStored.size === 0 && task.generate === undefined) {
    throw new RangeError(`${name}: the installed package of questions has none of this task`);
  }
  const endless = task.generate !== undefined;
  const evaluationIsStored = !endless || stored.evaluation.length >= kSmallestSet;

  /** One draw of the generator, with the set that it belongs to; undefined = unsuitable, or not to be used. */
  function generated(random: Random): { question: Question; set: SetName } | undefined {
    const drawn = task.generate?.(random);
    if (drawn === undefined) return undefined;
    const { id } = placeContent(name, drawn.content);
    const set = placeOfStored.get(id) ?? setOfGenerated(name, id);
    if (set === 'evaluation' && evaluationIsStored) return undefined;
    const { answer, instance: meta } = drawn;
    return { question: { id, task: name, prompt: random.choice(drawn.prompts), answer, meta }, set };
  }

  function failed(set: string): RangeError {
    return new RangeError(`${name}: the generator gave no new question for ${set} in ${kDrawLimit} draws`);
  }

  let filled: SuiteSets | undefined;
  function sets(): SuiteSets {
    if (filled !== undefined) return filled;
    const lists = { ...stored };
    if (endless) {
      for (const set of setNames) lists[set] = [...stored[set]];
      const seen = new Set(placeOfStored.keys());
      const open = (set: SetName) =>
        !(set === 'evaluation' && evaluationIsStored) && lists[set].length < kFilled[set];
      for (let attempt = 0; setNames.some(open); attempt++) {
        if (attempt === kDrawLimit) throw failed('its sets');
        const found = generated(createRandom(kFillSeed, [attempt]));
        if (found === undefined || seen.has(found.question.id) || !open(found.set)) continue;
        seen.add(found.question.id);
        lists[found.set].push(found.question);
      }
    }
    filled = lists;
    return filled;
  }

  const items = (split: Split): readonly Question[] =>
    split === 'heldout' ? sets().evaluation : [...sets().coldStart, ...sets().training];

  return {
    name,
    description: task.description,
    endless,
    sets,
    items,
    question(random, split) {
      if (!endless || (split === 'heldout' && evaluationIsStored)) return random.choice(items(split));
      for (let attempt = 0; attempt < kDrawLimit; attempt++) {
        const found = generated(random);
        if (found !== undefined && (found.set === 'evaluation') === (split === 'heldout')) {
          return found.question;
        }
      }
      throw failed(split);
    },
    draw(set, count, seed, exclude = new Set()) {
      const word = createHash('sha256').update(`${name}\n${set}`).digest().readUInt32BE(0);
      const listed = sets()[set].filter(({ id }) => !exclude.has(id));
      const found = createRandom(seed, [word]).shuffle(listed).slice(0, count);
      if (!endless || (set === 'evaluation' && evaluationIsStored)) return found;
      const seen = new Set([...exclude, ...found.map(({ id }) => id)]);
      for (let attempt = 0, idle = 0; found.length < count; attempt++, idle++) {
        if (idle === kDrawLimit) throw failed(set);
        const next = generated(createRandom(seed, [word, 1, attempt]));
        if (next?.set !== set || seen.has(next.question.id)) continue;
        seen.add(next.question.id);
        found.push(next.question);
        idle = 0;
      }
      return found;
    },
    verify(question, answer) {
      requireOwnQuestion(name, question);
      if (typeof answer !== 'string') return rejected('no answer');
      if (answer.length > kLongestAnswer) {
        return rejected(`the answer has ${answer.length} characters, at most ${kLongestAnswer} are read`);
      }
      return task.verify({ ...question, meta: question.meta ?? {} }, answer);
    },
  };
}
