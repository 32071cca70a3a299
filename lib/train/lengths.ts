/**
 * What a run will put before the model, encoded before the first step: a text that cannot fit stops the run at its
 * beginning, not hours later. Limits are rollout.total_tokens and what the model takes.
 */
import { ToolgradError } from '../errors.ts';
import type { Ledger } from '../rollout/ledger.ts';
import type { Question } from '../tasks/task.ts';
import type { Setup } from './setup.ts';
import { traceLedger } from './sft.ts';

/** The cold start's traces as ledgers, in the plan's order. ERR_TOO_LONG names a trace that does not fit. */
export function traceLedgers(setup: Setup): Ledger[] {
  const { plan, tokenizer, format, limits } = setup;
  return plan.traces.map((trace) => {
    const ledger = traceLedger(setup.prompt(trace.question, 0, 1).ids, trace, tokenizer, format);
    if (ledger.length <= limits.totalTokens) return ledger;
    throw tooLong(
      `the trace of question ${trace.question.id} has ${ledger.length} tokens`,
      limits.totalTokens,
      'shorten it',
    );
  });
}

/** Checks every prompt of RL and evaluation. ERR_TOO_LONG names a question that leaves no room for an answer. */
export function checkPrompts(setup: Setup): void {
  const { plan, config } = setup;
  checkQuestions(setup, asked(setup), config.text_only);
  checkQuestions(setup, plan.heldout, config.text_only);
  if (config.eval.without_tool) checkQuestions(setup, plan.heldout, true);
}

/** Training questions that a run may ask: those that it reaches, or with a curriculum any. */
function asked({ plan, config }: Setup): readonly Question[] {
  const { file, regroup_every: every } = config.curriculum;
  if (file !== null || every > 0) return plan.pool;
  return plan.pool.slice(0, config.rl.steps * config.rl.prompts);
}

function checkQuestions(setup: Setup, questions: readonly Question[], textOnly: boolean): void {
  const [first] = questions;
  if (first === undefined) return;
  const { totalTokens } = setup.limits;
  const tokens = (question: Question) => setup.prompt(question, 0, 1, textOnly).ids.length;
  const around = tokens({ ...first, prompt: '' });
  for (const question of questions) {
    // Rendering a template takes a millisecond or two. A byte makes at most one token, so most questions need none of it.
    if (around + 2 * Buffer.byteLength(question.prompt) < totalTokens) continue;
    const count = tokens(question);
    if (count < totalTokens) continue;
    throw tooLong(`the prompt of question ${question.id} has ${count} tokens`, totalTokens, 'leave it out');
  }
}

function tooLong(found: string, totalTokens: number, remedy: string): ToolgradError {
  return new ToolgradError(
    'ERR_TOO_LONG',
    `${found}, rollout.total_tokens is ${totalTokens}: raise that or ${remedy}`,
  );
}
