/**
 * The published suites that R1-Code-Interpreter trains and tests on: 27 BBH, 33 SymBench and 84 Reasoning-Gym tasks, named
 * `bbh/navigate`, `symbench/game24`, `reasoning-gym/gcd`.
 *
 * Here stands what a task of a suite must provide: a verifier, and where the published questions are too few for disjoint
 * sets, a generator. Questions lie in a package of their own (`toolgrad-questions`), verifiers and generators in this one.
 * A verifier is binary, strict and total: for any answer of at most `kLongestAnswer` characters it gives a verdict within
 * 50 ms, never throws, and never evaluates the answer as code. Longer answers are rejected before it is asked.
 */
import type { Verdict } from '../answer.ts';
import type { Random } from '../random.ts';
import type { Draw, Question } from '../task.ts';

export const suiteNames = ['bbh', 'symbench', 'reasoning-gym'] as const;
export type SuiteName = (typeof suiteNames)[number];

/** The longest answer that is read, in UTF-16 units. */
export const kLongestAnswer = 65_536;

/** What is stored of a question: the rest (`task`) follows from where it is stored. */
export type SuiteQuestion = Pick<Question, 'id' | 'prompt' | 'answer' | 'meta'>;

/** One task of a suite. `M` is the question's `meta`: what the verifier needs besides the canonical answer. */
export interface SuiteTask<M = Readonly<Record<string, unknown>>> {
  /** Without the suite's name: `navigate`. */
  readonly name: string;
  /** One line for `toolgrad tasks list`. */
  readonly description: string;
  /** The keys of `meta` that `verify` reads: the package of questions stores these and no others. */
  readonly metaKeys: readonly string[];
  /** Whether `answer` (at most kLongestAnswer characters, as extracted from its markers, not trimmed) is right. */
  verify(question: SuiteQuestion & { readonly meta: M }, answer: string): Verdict;
  /** Questions from the task's rules, where the published ones are too few; undefined = unsuitable, draw again. */
  generate?(random: Random): Draw<M & Record<string, unknown>> | undefined;
}
