/**
 * `train`: a run from config to finished run directory. It opens (or resumes) the directory, sets everything up, runs the
 * loop, and turns the loop's events into files. What is printed is up to `onEvent`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import type { Evaluation } from '../eval/evaluate.ts';
import { loadModel } from '../model/model.ts';
import { packageVersion } from '../package.ts';
import {
  checkpointName,
  listCheckpoints,
  optimizerPath,
  pruneCheckpoints,
  readState,
  saveCheckpoint,
} from '../run/checkpoint.ts';
import type { Config } from '../run/config.ts';
import { openRunDirectory, type RunDirectory, readLines, trimMetrics } from '../run/directory.ts';
import { describeEnvironment } from '../run/environment.ts';
import { evaluationRecord, rlMetrics, rolloutRecord, sftMetrics } from '../run/records.ts';
import { formatConfig } from '../run/yaml.ts';
import { type Progress, runLoop, type TrainEvent } from './loop.ts';
import { openSetup, type Setup, type UserParts } from './setup.ts';

export interface TrainOptions extends UserParts {
  readonly mode?: 'new' | 'resume' | 'clean';
  /** Written into config.yaml as a comment. */
  readonly commandLine?: string;
  readonly signal?: AbortSignal;
  /** After everything is open, before the first step. */
  readonly onStart?: (setup: Setup, directory: RunDirectory) => void;
  readonly onEvent?: (event: TrainEvent) => void;
}

export interface EvaluationSummary {
  readonly name: string;
  readonly step: number;
  readonly accuracy: number;
  readonly tasks: Evaluation['tasks'];
  readonly callShare: number;
  readonly questions: number;
}

export interface TrainResult {
  readonly path: string;
  /** Aborted by the signal: the last whole step is in `checkpoint`, from which `resume` goes on. */
  readonly interrupted: boolean;
  readonly checkpoint: string | null;
  readonly evaluations: readonly EvaluationSummary[];
}

/** Train as `config` says. Rejects with a ToolgradError when the run cannot start or go on; see TrainResult for an abort. */
export async function train(config: Config, options: TrainOptions = {}): Promise<TrainResult> {
  const mode = options.mode ?? 'new';
  const directory = openRunDirectory(config.run, mode);
  const resumed = mode === 'resume' ? lastCheckpoint(directory.path) : null;
  const state = resumed === null ? null : readState(resumed);
  if (state !== null) trimMetrics(directory.path, state.step);
  const environment = describeEnvironment();
  directory.file('config.yaml', configText(config, options.commandLine));
  directory.file('env.json', `${JSON.stringify(environment, null, 2)}\n`);
  directory.log(
    `attempt ${directory.attempt}, toolgrad ${packageVersion}, ${options.commandLine ?? 'started by a program'}`,
  );

  const setup = await openSetup(config, options, resumed ?? undefined);
  try {
    if (resumed !== null && state !== null) {
      await setup.model.loadOptimizer(optimizerPath(resumed));
      if (state.isa !== setup.model.isa) {
        directory.log(
          `warning: the checkpoint was written with ${state.isa}, this is ${setup.model.isa}: bits may differ`,
        );
      }
    }
    const evaluations = state === null ? [] : recordedEvaluations(directory.path, state.step);
    options.onStart?.(setup, directory);
    let saved: { at: number; folder: string } | null =
      resumed === null || state === null ? null : { at: state.step, folder: resumed };
    let last: Progress | null = null;
    const save = async (at: Progress): Promise<void> => {
      const folder = await saveCheckpoint(directory.path, checkpointable(setup), {
        phase: at.phase,
        phaseStep: at.phaseStep,
        step: at.step,
        isa: setup.model.isa,
        version: packageVersion,
      });
      saved = { at: at.step, folder };
      directory.log(`checkpoint ${folder}`);
      pruneCheckpoints(
        directory.path,
        config.checkpoint.keep_last,
        config.sft.steps > 0 ? [config.sft.steps] : [],
      );
    };
    let interrupted = false;
    try {
      await runLoop(setup, {
        done: {
          sft: state === null ? 0 : state.phase === 'sft' ? state.phaseStep : config.sft.steps,
          rl: state?.phase === 'rl' ? state.phaseStep : 0,
        },
        evaluated: new Set(evaluations.map(({ name }) => name)),
        ...(options.signal ? { signal: options.signal } : {}),
        onEvent(event) {
          record(directory, setup, event, evaluations);
          options.onEvent?.(event);
        },
        async onCheckpoint(at) {
          last = at;
          const due = config.checkpoint.every > 0 && at.step % config.checkpoint.every === 0;
          if (due || at.phaseStep === at.phaseSteps) await save(at);
        },
        openReference: async () =>
          loadModel(referencePath(config, directory.path), { dtype: config.model.dtype }),
      });
    } catch (error) {
      if (options.signal?.aborted !== true) throw error;
      interrupted = true;
      const done = last as Progress | null;
      if (done !== null && saved?.at !== done.step) await save(done);
      directory.log('interrupted');
    }
    return {
      path: directory.path,
      interrupted,
      checkpoint: (saved as { folder: string } | null)?.folder ?? null,
      evaluations,
    };
  } catch (error) {
    directory.log(`failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    throw error;
  } finally {
    await setup.close();
  }
}

function record(
  directory: RunDirectory,
  setup: Setup,
  event: TrainEvent,
  evaluations: EvaluationSummary[],
): void {
  switch (event.kind) {
    case 'rollout':
      return;
    case 'sft':
      return directory.metrics(sftMetrics(event.at, event.report, event.lr));
    case 'rl':
      directory.lines(
        join('rollouts', `${checkpointName(event.at.step)}.jsonl`),
        event.report.scored.map((scored, i) =>
          rolloutRecord(scored, event.report.grpo.advantages[i]!, setup.tokenizer),
        ),
      );
      return directory.metrics(rlMetrics(event.at, event.report));
    case 'evaluation': {
      const { name, step, evaluation } = event;
      const { accuracy, tasks, callShare, questions } = evaluation;
      evaluations.push({ name, step, accuracy, tasks, callShare, questions });
      directory.lines(
        join('eval', `${checkpointName(step)}${name.endsWith('no tool') ? '-no-tool' : ''}.jsonl`),
        evaluation.trajectories.map((item) => evaluationRecord(item, setup.tokenizer)),
      );
      return directory.metrics({
        kind: 'evaluation',
        name,
        step,
        accuracy,
        tasks,
        call_share: callShare,
        calls_per_trajectory: evaluation.callsPerTrajectory,
        questions,
        samples: evaluation.samples,
        lost: evaluation.lost,
        seconds: evaluation.seconds,
      });
    }
  }
}

function recordedEvaluations(path: string, step: number): EvaluationSummary[] {
  if (!existsSync(join(path, 'metrics.jsonl'))) return [];
  return readLines(join(path, 'metrics.jsonl')).flatMap((line) =>
    line.kind === 'evaluation' && Number(line.step) <= step
      ? [
          {
            name: String(line.name),
            step: Number(line.step),
            accuracy: Number(line.accuracy),
            tasks: line.tasks as Evaluation['tasks'],
            callShare: Number(line.call_share),
            questions: Number(line.questions),
          },
        ]
      : [],
  );
}

function lastCheckpoint(path: string): string {
  const last = listCheckpoints(path).at(-1);
  if (last === undefined) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${path} holds no checkpoint to resume from; start over with --clean`,
    );
  }
  return last;
}

/** The weights RL started from: the end of the cold start, or the base model. */
function referencePath(config: Config, path: string): string {
  return config.sft.steps > 0
    ? join(path, 'checkpoints', checkpointName(config.sft.steps))
    : config.model.path;
}

function checkpointable(setup: Setup) {
  return {
    save: (folder: string) => setup.model.save(folder, setup.tokenizer.files),
    saveOptimizer: (path: string) => setup.model.saveOptimizer(path),
  };
}

function configText(config: Config, commandLine: string | undefined): string {
  return `# toolgrad ${packageVersion}${commandLine === undefined ? '' : `\n# ${commandLine}`}\n${formatConfig(config)}`;
}
