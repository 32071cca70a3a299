/**
 * The curriculum of R1-Code-Interpreter: questions rated by how often attempts at them succeed, grouped by improvement potential
 * 4 p (1 - p), and asked in cumulative stages: stage s asks the questions of groups 1 to s.
 *
 * Ratings are integers, k right of N attempts, and groups are decided by integers: 4 k (N - k) / N^2 >= b / 100 is
 * 400 k (N - k) >= b N^2, so 16 of 20 is in the group of 4 of 20, which floats would miss. Which questions a step asks is a
 * function of ratings, seed, step and position alone: a resumed run asks the same ones.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { readLines } from '../run/directory.ts';
import { createRandom } from '../tasks/random.ts';
import type { Question } from '../tasks/task.ts';

/** Right answers out of attempts. */
export interface Tally {
  readonly attempts: number;
  readonly right: number;
}

/** One question's rating, as a line of a curriculum file holds it (docs/curriculum.md). */
export interface Rating extends Tally {
  readonly question: Question;
  /** Share of right attempts. */
  readonly p: number;
  /** 4 p (1 - p). */
  readonly potential: number;
  /** 1 = the most potential. */
  readonly group: number;
  /** Attempts by agent. */
  readonly agents: Readonly<Record<string, Tally>>;
}

/** Least potential of groups 1 to 3 in hundredths; the rest is group 4. */
export const potentialBounds = [64, 48, 32] as const;
export const groupCount = potentialBounds.length + 1;

/** The group of a question with k right of N attempts: by potential, in integers. RangeError for impossible counts. */
export function potentialGroup({ attempts, right }: Tally): number {
  if (
    !(
      Number.isInteger(attempts) &&
      Number.isInteger(right) &&
      attempts >= 1 &&
      right >= 0 &&
      right <= attempts
    )
  ) {
    throw new RangeError(
      `curriculum: expected right of attempts with 0 <= right <= attempts, found ${right} of ${attempts}`,
    );
  }
  const spread = 400 * right * (attempts - right);
  const group = potentialBounds.findIndex((bound) => spread >= bound * attempts * attempts);
  return group < 0 ? groupCount : group + 1;
}

/** The rating of a question from its attempts by agent. RangeError when there was none. */
export function rate(question: Question, agents: Readonly<Record<string, Tally>>): Rating {
  const tallies = Object.values(agents);
  const attempts = tallies.reduce((sum, tally) => sum + tally.attempts, 0);
  const right = tallies.reduce((sum, tally) => sum + tally.right, 0);
  const group = potentialGroup({ attempts, right });
  const p = right / attempts;
  return {
    question,
    attempts,
    right,
    p,
    potential: (4 * right * (attempts - right)) / (attempts * attempts),
    group,
    agents,
  };
}

/** How stages are made: by potential, by accuracy (easiest first, parts of equal size), or not at all. */
export type CurriculumOrder = 'potential' | 'difficulty' | 'flat';

export interface CurriculumOptions {
  readonly order: CurriculumOrder;
  readonly stages: number;
  readonly stepsPerStage: number;
  readonly seed: number;
}

/** What a run asks of its rated questions. */
export interface Curriculum {
  /** From 0. */
  stageOf(step: number): number;
  /** The questions of a stage, in the order of the ratings. */
  questionsOf(stage: number): readonly Question[];
  /** `count` questions for RL step `step`; `position`: training questions asked before. */
  training(position: number, count: number, step: number): readonly Question[];
}

/** Stages over rated questions. RangeError when there are none. */
export function makeCurriculum(ratings: readonly Rating[], options: CurriculumOptions): Curriculum {
  const { order, stages, stepsPerStage, seed } = options;
  if (ratings.length === 0)
    throw new RangeError('curriculum: expected at least one rated question, found none');
  const groups = stageGroups(ratings, order, stages);
  const pools = Array.from({ length: stages }, (_, stage) => {
    // Where the groups so far are empty the next one is asked already: a step needs questions.
    const least = Math.min(...groups);
    const last = Math.max(stage + 1, least);
    return ratings.filter((_, i) => groups[i]! <= last).map(({ question }) => question);
  });
  const orders = new Map<string, readonly Question[]>();
  const passOf = (stage: number, pass: number): readonly Question[] => {
    const key = `${stage}/${pass}`;
    let shuffled = orders.get(key);
    if (shuffled === undefined) {
      shuffled = createRandom(seed, [0x6375_7272, stage, pass]).shuffle(pools[stage]!);
      orders.clear(); // a step needs one pass, seldom two
      orders.set(key, shuffled);
    }
    return shuffled;
  };
  const stageOf = (step: number) =>
    order === 'flat' ? stages - 1 : Math.min(stages - 1, Math.floor(step / stepsPerStage));
  return {
    stageOf,
    questionsOf: (stage) => pools[stage]!,
    training(position, count, step) {
      const stage = stageOf(step);
      const size = pools[stage]!.length;
      return Array.from({ length: count }, (_, i) => {
        const at = position + i;
        return passOf(stage, Math.floor(at / size))[at % size]!;
      });
    },
  };
}

/** The stage, from 1, in which each question comes in. */
function stageGroups(ratings: readonly Rating[], order: CurriculumOrder, stages: number): number[] {
  if (order === 'flat') return ratings.map(() => 1);
  if (order === 'potential') return ratings.map((rating) => Math.min(potentialGroup(rating), stages));
  const easiestFirst = ratings
    .map((rating, index) => ({ rating, index }))
    // k / N against k' / N' in integers; equals stay in the file's order.
    .sort(
      (a, b) => b.rating.right * a.rating.attempts - a.rating.right * b.rating.attempts || a.index - b.index,
    );
  const groups: number[] = new Array(ratings.length).fill(1);
  for (const [rank, { index }] of easiestFirst.entries()) {
    groups[index] = 1 + Math.floor((rank * stages) / ratings.length);
  }
  return groups;
}

/** Questions in groups 1, 2, ... */
export function groupSizes(ratings: readonly Rating[]): number[] {
  const sizes: number[] = new Array(groupCount).fill(0);
  for (const { group } of ratings) sizes[group - 1]! += 1;
  return sizes;
}

/** Reads a curriculum file. ERR_CURRICULUM names the line that is not a rating, or whose numbers do not agree. */
export function loadRatings(path: string): Rating[] {
  if (!existsSync(path)) {
    throw new ToolgradError('ERR_CURRICULUM', `${path} is not there; make it with toolgrad curriculum`);
  }
  const seen = new Set<string>();
  const ratings = readLines(path).map((line, i) => {
    const rating = readRating(line, `${path}:${i + 1}`);
    if (seen.has(rating.question.id)) {
      throw new ToolgradError(
        'ERR_CURRICULUM',
        `${path}:${i + 1}: question ${rating.question.id} is there twice`,
      );
    }
    seen.add(rating.question.id);
    return rating;
  });
  if (ratings.length === 0) throw new ToolgradError('ERR_CURRICULUM', `${path} holds no rated question`);
  return ratings;
}

function readRating(line: Readonly<Record<string, unknown>>, place: string): Rating {
  const wrong = (what: string) => new ToolgradError('ERR_CURRICULUM', `${place}: ${what}`);
  const { question, agents, attempts, right, group } = line;
  const fields = question as Partial<Question> | null | undefined;
  const texts = [fields?.id, fields?.task, fields?.prompt, fields?.answer];
  if (texts.some((text) => typeof text !== 'string')) {
    throw wrong('expected question with id, task, prompt and answer; make the file with toolgrad curriculum');
  }
  if (typeof agents !== 'object' || agents === null) throw wrong('expected agents with the attempts of each');
  let rating: Rating;
  try {
    rating = rate(question as Question, agents as Record<string, Tally>);
  } catch (cause) {
    throw new ToolgradError('ERR_CURRICULUM', `${place}: ${(cause as Error).message}`, { cause });
  }
  for (const [name, found, counted] of [
    ['attempts', attempts, rating.attempts],
    ['right', right, rating.right],
    ['group', group, rating.group],
  ] as const) {
    if (found !== counted)
      throw wrong(`expected ${name} to be ${counted}, as its agents add up, found ${found}`);
  }
  return rating;
}

/** The latest ratings that a run wrote into its `curriculum/` at or before `step` steps, with the step. */
export function latestRatings(run: string, step: number): { step: number; ratings: Rating[] } | null {
  const folder = join(run, 'curriculum');
  if (!existsSync(folder)) return null;
  const steps = readdirSync(folder)
    .map((name) => Number.parseInt(name, 10))
    .filter((at) => at <= step)
    .sort((a, b) => a - b);
  const last = steps.at(-1);
  if (last === undefined) return null;
  return { step: last, ratings: loadRatings(join(folder, `${String(last).padStart(6, '0')}.jsonl`)) };
}
