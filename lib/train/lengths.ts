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
  const { plan, config, limits } = setup;
  const check = (question: Question, textOnly: boolean): void => {
    const { length } = setup.prompt(question, 0, 1, textOnly).ids;
    if (length < limits.totalTokens) return;
    throw tooLong(
      `the prompt of question ${question.id} has ${length} tokens`,
      limits.totalTokens,
      'leave it out',
    );
  };
  for (const question of plan.pool.slice(0, config.rl.steps * config.rl.prompts)) check(question, false);
  for (const question of plan.heldout) {
    check(question, false);
    if (config.eval.without_tool) check(question, true);
  }
}

function tooLong(found: string, totalTokens: number, remedy: string): ToolgradError {
  return new ToolgradError(
    'ERR_TOO_LONG',
    `${found}, rollout.total_tokens is ${totalTokens}: raise that or ${remedy}`,
  );
}
