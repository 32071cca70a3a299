/**
 * Questions of the SymBench task gsm. Its own questions (GSM-Hard) are not part of the data it is made from, so they are made
 * anew: variations of GSM8K questions (Cobbe et al. 2021, MIT licence), one of each, with a number of four to seven digits.
 */
import { createRandom } from '../../lib/tasks/random.ts';
import type { SuiteQuestion } from '../../lib/tasks/suites/suite.ts';
import { type GsmRecord, gsmVariations } from '../../lib/tasks/suites/symbench/gsm.ts';
import { placeContent } from '../../lib/tasks/task.ts';

const kTriesEach = 20;

/**
 * One variation of each record that has one, until there are `count`; the same records, count and seed give the same questions.
 */
export function gsmQuestions(records: readonly GsmRecord[], count: number, seed: number): SuiteQuestion[] {
  const questions: SuiteQuestion[] = [];
  for (const [i, record] of createRandom(seed).shuffle(records).entries()) {
    if (questions.length === count) break;
    const draw = gsmVariations([record]);
    for (let attempt = 0; attempt < kTriesEach; attempt++) {
      const variation = draw(createRandom(seed, [i, attempt]));
      if (variation === undefined) continue;
      const { content, prompts, answer, instance } = variation;
      questions.push({
        id: placeContent('symbench/gsm', content).id,
        prompt: prompts[0]!,
        answer,
        meta: instance,
      });
      break;
    }
  }
  return questions;
}
