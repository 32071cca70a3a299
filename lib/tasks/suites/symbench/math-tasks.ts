/**
 * SymBench's three tasks with a mathematical answer: geometry, counting and probability from MATH (Hendrycks et al. 2021), and
 * `gsm`, grade-school word problems with hard numbers. Answers are compared by `mathEqual`; where the published harness asked
 * a language model whether two answers are the same, exact arithmetic decides.
 */
import { rejected, type Verdict } from '../../answer.ts';
import { verifyMath } from '../../math/equal.ts';
import { kLongestAnswer, type SuiteQuestion, type SuiteTask } from '../suite.ts';
import { type GsmRecord, gsmVariations } from './gsm.ts';

function verify(question: SuiteQuestion, answer: string): Verdict {
  if (answer.length > kLongestAnswer) return rejected('the answer is too long');
  return verifyMath(question, answer);
}

/** The gsm task; with GSM8K records it also generates questions, variations of theirs. */
export function gsmTask(records: readonly GsmRecord[] = []): SuiteTask {
  const task: SuiteTask = {
    name: 'gsm',
    description: 'grade-school word problems with large numbers',
    metaKeys: [],
    verify,
  };
  return records.length === 0 ? task : { ...task, generate: gsmVariations(records) };
}

export const mathTasks: readonly SuiteTask[] = [
  {
    name: 'math_geometry',
    description: 'geometry problems of MATH',
    metaKeys: [],
    verify,
  },
  {
    name: 'math_counting_and_probability',
    description: 'counting and probability problems of MATH',
    metaKeys: [],
    verify,
  },
  gsmTask(),
];
