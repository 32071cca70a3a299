/**
 * The four ways of answering that R1-Code-Interpreter compares and whose accuracies its curriculum is made of, as data over
 * the rollout of lib/rollout:
 *
 *   text    All Text: reasoning only; a call is not run and ends the attempt
 *   code    All Code: reasoning, then exactly one program; what it prints is the answer
 *   agent   Code Agent: the format's own loop of calls, as in training
 *   steer   CodeSteer: a guide decides turn by turn whether text or code is next, and when to stop (steer.ts)
 *
 * The authors' prompts are not public: these are reconstructions in our own words.
 */
import { rollout } from '../rollout/rollout.ts';
import {
  type AgentContext,
  type Attempt,
  type AttemptOptions,
  type IndexedQuestion,
  mapLimited,
  rolloutOptions,
  signalForMany,
} from './attempt.ts';
import { codeMessages, runOnce } from './program.ts';
import { steer } from './steer.ts';

export const agentNames = ['text', 'code', 'agent', 'steer'] as const;
export type AgentName = (typeof agentNames)[number];

export const agentTitles: Readonly<Record<AgentName, string>> = {
  text: 'All Text',
  code: 'All Code',
  agent: 'Code Agent',
  steer: 'CodeSteer',
};

/** Every question's attempts by one agent, in the order of questions, then samples. */
export async function attempts(
  agent: AgentName,
  questions: readonly IndexedQuestion[],
  context: AgentContext,
  options: AttemptOptions,
): Promise<Attempt[]> {
  if (agent === 'steer') return steer(questions, context, options);
  const prompts = questions.map(({ question, index }) => ({
    question,
    prompt: index,
    samples: options.samples,
    ids:
      agent === 'code'
        ? context.render(codeMessages(context.rollout.format, question.prompt, context.instruction))
        : context.prompt(question, index, 1, agent === 'text').ids,
  }));
  const { trajectories } = await rollout(prompts, {
    ...rolloutOptions(context, options),
    ...(agent === 'agent' ? {} : { tool: null }),
  });
  if (agent !== 'code') return trajectories.map((trajectory) => ({ trajectory }));
  const signal = signalForMany(options.signal);
  const ran = await mapLimited(trajectories, (trajectory) => runOnce(trajectory, context, signal));
  return ran.map((trajectory) => ({ trajectory }));
}
