/** An evaluation by several agents, agent by agent: attempts, verdicts, records, and the numbers of a report. */

import { evaluationRecord } from '../run/records.ts';
import type { Task } from '../tasks/task.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { type AgentName, agentTitles, attempts } from './agents.ts';
import type { AgentContext, AttemptOptions, IndexedQuestion } from './attempt.ts';
import { type Behaviour, type BehaviourRecord, type Judgements, measureBehaviour } from './behaviour.ts';
import { judged, taskOf } from './evaluate.ts';
import { countAttempts, type EvaluationSummaryTable, summarise } from './summary.ts';

/** One line of eval.jsonl: docs/metrics.md, and the agent that made it. */
export type AttemptRecord = BehaviourRecord & Readonly<Record<string, unknown>>;

export interface AgentReport {
  readonly agent: AgentName;
  readonly title: string;
  readonly scores: EvaluationSummaryTable;
  /** Share of attempts with a program that was run. */
  readonly call_share: number;
  readonly behaviour: Behaviour;
  /** Attempts lost to failures of the tool; they count in nothing else. */
  readonly lost: number;
  readonly seconds: number;
}

export interface ReportOptions extends AttemptOptions {
  /** The ks of pass@k; default by the number of attempts. */
  readonly ks?: readonly number[];
  /** Seed of the bootstrap. */
  readonly seed: number;
  /** Asked about the records, for what programs are for. */
  readonly judge?: (records: readonly BehaviourRecord[]) => Promise<Judgements>;
}

/** One agent's attempts at all questions, with their records. */
export async function report(
  agent: AgentName,
  questions: readonly IndexedQuestion[],
  tasks: ReadonlyMap<string, Task>,
  context: AgentContext,
  options: ReportOptions,
): Promise<{ report: AgentReport; records: AttemptRecord[] }> {
  const started = performance.now();
  const made = await attempts(agent, questions, context, options);
  const seconds = (performance.now() - started) / 1000;
  const items = made.map(({ trajectory, steering }) => ({ ...judged(trajectory, tasks), steering }));
  const records = items.map(({ steering, ...item }) =>
    attemptRecord(agent, item, steering, context.rollout.tokenizer),
  );
  const scored = items.filter(({ trajectory }) => trajectory.end !== 'infrastructure');
  if (scored.length === 0) {
    throw new RangeError(
      `eval: all ${items.length} attempts of ${agentTitles[agent]} were lost to failures of the tool`,
    );
  }
  const counts = countAttempts(
    scored.map(({ trajectory: { question }, correct }) => ({
      task: taskOf(question),
      question: question.id,
      right: correct,
    })),
  );
  const { seed, ks } = options;
  const judgements = options.judge === undefined ? undefined : await options.judge(records);
  const behaviour = measureBehaviour(records, judgements);
  return {
    report: {
      agent,
      title: agentTitles[agent],
      scores: summarise(counts, { seed, ...(ks === undefined ? {} : { ks }) }),
      call_share: behaviour.code_ratio,
      behaviour,
      lost: items.length - scored.length,
      seconds,
    },
    records,
  };
}

function attemptRecord(
  agent: AgentName,
  item: Parameters<typeof evaluationRecord>[0],
  steering: BehaviourRecord['steering'],
  tokenizer: Tokenizer,
): AttemptRecord {
  const record = evaluationRecord(item, tokenizer);
  // As it will be read from the file.
  const plain = JSON.parse(
    JSON.stringify({ agent, ...record, ...(steering === undefined ? {} : { steering }) }),
  ) as unknown;
  return plain as AttemptRecord;
}
