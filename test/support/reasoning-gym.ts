/**
 * Reasoning-Gym's frozen questions as toolgrad's questions, with the scores that the Python package gave to answers: the
 * whole lists beside a checkout (../shared/data), two questions a task in test/fixtures/suites.
 */
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { SuiteQuestion, SuiteTask } from '../../lib/tasks/suites/suite.ts';
import { exampleAnswer } from '../../scripts/questions/example-answers.ts';
import { sharedLines } from './suites.ts';

/** An answer and the score of the package's `score_answer`: a number in [0, 1], or the message of what it raised. */
export interface ScoredAnswer {
  readonly kind: string;
  readonly answer: string | null;
  readonly score: number | string;
}

export interface ScoredQuestion {
  readonly question: SuiteQuestion;
  /** Empty for all but the first 24 questions of a task. */
  readonly scored: readonly ScoredAnswer[];
}

/** A deliberate difference from the package: answers of these kinds may be judged otherwise. */
export interface Difference {
  readonly task: string;
  readonly kinds: readonly string[];
  readonly reason: string;
}

/**
 * A line of ../shared/data/reasoning-gym/<task>.jsonl. `meta` keeps only what the verifier says it reads. Where the package
 * states no answer of its own (graph_color), an example of a right one is the canonical answer; undefined if there is none.
 */
export function questionOf(
  record: Record<string, unknown>,
  metaKeys: readonly string[],
): ScoredQuestion | undefined {
  const { id, question: prompt, answer, metadata, scored = [] } = record;
  const all = metadata as Record<string, unknown>;
  const meta = Object.fromEntries(metaKeys.filter((key) => key in all).map((key) => [key, all[key]]));
  const canonical = answer === null ? exampleAnswer(record) : answer;
  if (canonical === undefined) return undefined;
  if (typeof id !== 'string' || typeof prompt !== 'string' || typeof canonical !== 'string') {
    throw new TypeError(`expected a record with id, question and answer, found ${JSON.stringify(record)}`);
  }
  return { question: { id, prompt, answer: canonical, meta }, scored: scored as ScoredAnswer[] };
}

/** All questions of a task from ../shared/data that have an answer; check `sharedData` first. */
export function sharedQuestions(task: SuiteTask): ScoredQuestion[] {
  const records = sharedLines(`reasoning-gym/${task.name}.jsonl`);
  return records.flatMap((record) => questionOf(record, task.metaKeys) ?? []);
}

/** What scripts/questions/reasoning-gym-fixture.ts wrote: questions by task. */
export function fixtureQuestions(name: string): Readonly<Record<string, readonly ScoredQuestion[]>> {
  return JSON.parse(readFileSync(new URL(`../fixtures/suites/${name}`, import.meta.url), 'utf8'));
}

/**
 * Compares a verifier's verdicts with the package's at "score = 1" on every scored answer, and its own canonical answers.
 * Fails for a difference that is not listed and for a listed kind that does not occur. A missing answer (null) is rejected
 * before a verifier is asked.
 */
export function checkAgreement(
  t: ExecutionContext,
  task: SuiteTask,
  questions: readonly ScoredQuestion[],
  differences: readonly Difference[],
): void {
  const listed = new Set(differences.filter((d) => d.task === task.name).flatMap((d) => d.kinds));
  const occurring = new Set<string>();
  let examples = 0;
  let agreeing = 0;
  for (const { question, scored } of questions) {
    t.true(
      task.verify({ meta: {}, ...question }, question.answer).correct,
      `${question.id}: canonical answer`,
    );
    for (const { kind, answer, score } of scored) {
      examples += 1;
      const correct = answer !== null && task.verify({ meta: {}, ...question }, answer).correct;
      if (correct === (score === 1)) {
        agreeing += 1;
        continue;
      }
      occurring.add(kind);
      t.true(
        listed.has(kind),
        `${question.id}: ${kind} ${JSON.stringify(answer)} has score ${score} in the package, here it is ${correct}`,
      );
    }
  }
  for (const kind of listed) {
    t.true(occurring.has(kind), `${task.name}: the listed difference ${kind} does not occur`);
  }
  const judged = examples - agreeing;
  t.log(
    `${task.name}: agreement ${agreeing} of ${examples}, differences listed ${judged}${judged > 0 ? ` (${[...occurring].join(', ')})` : ''}`,
  );
}
