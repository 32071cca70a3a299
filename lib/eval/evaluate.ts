/** Evaluation: attempts at held-out questions, verified, and counted per task. The same rollout as in training, no learning. */
import type { SamplingParams } from '../model/engine.ts';
import type { RolloutOptions, RolloutPrompt } from '../rollout/options.ts';
import { rollout } from '../rollout/rollout.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import type { Question, Task } from '../tasks/task.ts';

export interface TaskScore {
  readonly task: string;
  readonly questions: number;
  /** Share of attempts that were right. */
  readonly accuracy: number;
}

export interface Evaluation {
  readonly questions: number;
  readonly samples: number;
  readonly accuracy: number;
  readonly tasks: readonly TaskScore[];
  /** Share of attempts with at least one call. */
  readonly callShare: number;
  readonly callsPerTrajectory: number;
  /** Attempts lost because the tool itself failed; they count in nothing else. */
  readonly lost: number;
  readonly seconds: number;
  readonly trajectories: readonly { readonly trajectory: Trajectory; readonly correct: boolean }[];
}

export interface EvaluationOptions extends Omit<RolloutOptions, 'sampling' | 'step'> {
  readonly sampling: SamplingParams;
  readonly samples: number;
}

/** Step number that keys evaluation's random numbers: no training step has it. */
export const evaluationStep = 0xffff_ffff;

/** Evaluate on prepared prompts (`samples` of each is replaced). */
export async function evaluate(
  prompts: readonly RolloutPrompt[],
  tasks: ReadonlyMap<string, Task>,
  options: EvaluationOptions,
): Promise<Evaluation> {
  const started = performance.now();
  const { trajectories } = await rollout(
    prompts.map((prompt) => ({ ...prompt, samples: options.samples })),
    { ...options, step: evaluationStep },
  );
  return gather(
    trajectories.map((trajectory) => judged(trajectory, tasks)),
    { questions: prompts.length, samples: options.samples, seconds: (performance.now() - started) / 1000 },
  );
}

/** A trajectory with its verdict; one lost to the tool is not right. */
export function judged(
  trajectory: Trajectory,
  tasks: ReadonlyMap<string, Task>,
): { readonly trajectory: Trajectory; readonly correct: boolean } {
  const lost = trajectory.end === 'infrastructure';
  return {
    trajectory,
    correct: !lost && isCorrect(trajectory.question, trajectory.answer, tasks),
  };
}

/** The counts of an evaluation. */
export function gather(
  attempts: Evaluation['trajectories'],
  { questions, samples, seconds }: Pick<Evaluation, 'questions' | 'samples' | 'seconds'>,
): Evaluation {
  const scored = attempts.filter(({ trajectory }) => trajectory.end !== 'infrastructure');
  const share = (items: typeof scored) =>
    items.filter(({ correct }) => correct).length / Math.max(1, items.length);
  const byTask = new Map<string, { readonly trajectory: Trajectory; readonly correct: boolean }[]>();
  for (const item of scored) {
    const name = taskOf(item.trajectory.question);
    byTask.set(name, [...(byTask.get(name) ?? []), item]);
  }
  return {
    questions,
    samples,
    accuracy: share(scored),
    tasks: [...byTask]
      .map(([task, items]) => ({
        task,
        questions: new Set(items.map(({ trajectory }) => trajectory.prompt)).size,
        accuracy: share(items),
      }))
      .sort((a, b) => a.task.localeCompare(b.task)),
    callShare:
      scored.filter(({ trajectory }) => trajectory.calls.length > 0).length / Math.max(1, scored.length),
    callsPerTrajectory:
      scored.reduce((sum, { trajectory }) => sum + trajectory.calls.length, 0) / Math.max(1, scored.length),
    lost: attempts.length - scored.length,
    seconds,
    trajectories: attempts,
  };
}

/** Under which name a question is counted: a file's rows may say which kind of task they are. */
export function taskOf({ task, meta }: Question): string {
  return typeof meta?.task === 'string' ? meta.task : task;
}

/** Whether the question's own task accepts the answer. */
export function isCorrect(
  question: Question,
  answer: string | null,
  tasks: ReadonlyMap<string, Task>,
): boolean {
  const task = tasks.get(question.task);
  if (task === undefined)
    throw new Error(`question ${question.id} belongs to task ${question.task}, which was not given`);
  return task.verify(question, answer).correct;
}
