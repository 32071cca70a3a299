/**
 * `train`: a run from config to finished run directory. It opens (or resumes) the directory, sets everything up, runs the
 * loop, and turns the loop's events into files. What is printed is up to `onEvent`.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { errorMessage, ToolgradError } from '../errors.ts';
import type { Evaluation } from '../eval/evaluate.ts';
import { packageVersion } from '../package.ts';
import type { Ledger } from '../rollout/ledger.ts';
import {
  checkpointName,
  listCheckpoints,
  optimizerPath,
  pruneCheckpoints,
  type RunState,
  readAhead,
  readParked,
  readState,
  saveCheckpoint,
} from '../run/checkpoint.ts';
import type { Config } from '../run/config.ts';
import { checkRunDirectory, openRunDirectory, type RunDirectory, readLines } from '../run/directory.ts';
import { describeEnvironment, uncommittedChanges } from '../run/environment.ts';
import { modelCard } from '../run/model-card.ts';
import { evaluationRecord, rlMetrics, rolloutRecord, sftMetrics } from '../run/records.ts';
import { compareWithRun, dropAfter } from '../run/resume.ts';
import { formatConfig } from '../run/yaml.ts';
import { unsafeMark } from '../tools/sandbox/level.ts';
import { type OpenCritic, openCritic } from './critic-setup.ts';
import { latestRatings } from './curriculum.ts';
import { checkPrompts, traceLedgers } from './lengths.ts';
import { evaluationKey, type Progress, runLoop, type TrainEvent } from './loop.ts';
import { checkpointable, openReference } from './lora.ts';
import type { RolloutSource, Waiting } from './rollout-source.ts';
import { adamwOptions, openSetup, type Setup, type UserParts } from './setup.ts';

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
  if (config.sft.steps + config.rl.steps === 0) {
    throw new ToolgradError('ERR_CONFIG', 'nothing to train: sft.steps and rl.steps are both 0');
  }
  // Everything that can be refused is refused before the run directory is touched.
  checkRunDirectory(config.run, mode);
  const changes = mode === 'resume' ? compareWithRun(config.run, config) : [];
  // A run that was stopped before its first checkpoint goes on from its beginning.
  const resumed = mode === 'resume' ? (listCheckpoints(config.run).at(-1) ?? null) : null;
  const state = resumed === null ? null : readState(resumed);
  const setup = await openSetup(config, options, resumed ?? undefined);
  let directory: RunDirectory | null = null;
  try {
    checkPrompts(setup);
    const traces = traceLedgers(setup);
    if (resumed !== null) await setup.model.loadOptimizer(optimizerPath(resumed));
    directory = openRunDirectory(config.run, mode, state?.step ?? 0);
    if (mode === 'resume') dropAfter(directory.path, state?.step ?? 0);
    describeRun(directory, setup, options.commandLine);
    for (const message of [...changes, ...otherBuild(state, setup)]) {
      directory.log(`warning: ${message}`);
      options.onEvent?.({ kind: 'warning', message });
    }
    return await runIn(directory, setup, traces, state, resumed, options);
  } catch (error) {
    directory?.log(`failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    throw error;
  } finally {
    directory?.close();
    await setup.close();
  }
}

/** The files that say what is run, on and with what. */
function describeRun(directory: RunDirectory, setup: Setup, commandLine: string | undefined): void {
  const { model, tool, config } = setup;
  const environment = {
    ...describeEnvironment(),
    kernels: model.isa,
    threads: model.threads,
    microBatchTokens: setup.microBatchTokens,
    recompute: model.recompute,
    tool: tool.describe,
    sandbox: tool.level ?? null,
  };
  directory.file('config.yaml', configText(config, commandLine));
  directory.file('env.json', `${JSON.stringify(environment, null, 2)}\n`);
  const changes = uncommittedChanges();
  if (changes !== null) directory.file('code.diff', changes);
  const started = commandLine ?? 'started by a program';
  if (tool.level?.safe === false) directory.markLog(`${unsafeMark} `);
  directory.log(`attempt ${directory.attempt}, toolgrad ${packageVersion}, ${started}`);
}

/** Why a resumed run may differ in bits from one that was never interrupted. */
export function otherBuild(state: RunState | null, setup: Pick<Setup, 'model'>): string[] {
  if (state === null) return [];
  const other = (what: string, before: string, now: string) =>
    before === now
      ? []
      : [`the checkpoint was written with ${what} ${before}, this is ${now}: bits may differ`];
  return [
    ...other('kernels', state.isa, setup.model.isa),
    ...other('toolgrad', state.version, packageVersion),
  ];
}

/** The last whole step: what its checkpoint is made of. */
interface StepDone {
  readonly at: Progress;
  readonly version: number;
  readonly waiting: () => Promise<Waiting>;
}

async function runIn(
  directory: RunDirectory,
  setup: Setup,
  traces: readonly Ledger[],
  state: RunState | null,
  resumed: string | null,
  options: TrainOptions,
): Promise<TrainResult> {
  const { config } = setup;
  const policy = checkpointable(config, setup.model, setup.tokenizer);
  let critic: OpenCritic | null = null;
  const writer = {
    async save(folder: string) {
      await policy.save(folder);
      await critic?.save(folder);
    },
    saveOptimizer: policy.saveOptimizer,
  };
  const evaluations = recordedEvaluations(directory.path);
  options.onStart?.(setup, directory);
  let saved: { at: number; folder: string } | null =
    resumed === null || state === null ? null : { at: state.step, folder: resumed };
  let last: StepDone | null = null;
  let source: RolloutSource | null = null;
  const partial = config.rollout.step_tokens > 0;
  const save = async ({ at, waiting }: StepDone): Promise<void> => {
    const runState: RunState = {
      phase: at.phase,
      phaseStep: at.phaseStep,
      step: at.step,
      asked: at.asked,
      isa: setup.model.isa,
      version: packageVersion,
    };
    const rl = at.phase === 'rl';
    const { parked, ahead, lost } = await waiting();
    if (lost !== undefined) {
      const message =
        `RL step ${at.phaseStep + 1} has no batch, because sampling it failed: a resumed run samples it with the weights of this ` +
        `checkpoint; ${errorMessage(lost)}`;
      directory.log(`warning: ${message}`);
      options.onEvent?.({ kind: 'warning', message });
    }
    const folder = await saveCheckpoint(
      directory.path,
      writer,
      runState,
      partial && rl ? parked : null,
      config.rollout.ahead && rl ? (ahead ?? 'none') : null,
    );
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
    await runLoop(setup, traces, {
      done: {
        sft: state === null ? 0 : state.phase === 'sft' ? state.phaseStep : config.sft.steps,
        rl: state?.phase === 'rl' ? state.phaseStep : 0,
      },
      asked: state?.phase === 'rl' ? state.asked : 0,
      rated: latestRatings(directory.path, state?.step ?? 0),
      waiting: {
        parked: partial && state?.phase === 'rl' && resumed !== null ? readParked(resumed) : [],
        ahead: config.rollout.ahead && state?.phase === 'rl' && resumed !== null ? readAhead(resumed) : null,
      },
      onSource(opened) {
        source = opened;
      },
      evaluated: new Set(evaluations.map(({ name, step }) => evaluationKey(name, step))),
      ...(options.signal ? { signal: options.signal } : {}),
      onEvent(event) {
        record(directory, setup, event, evaluations);
        options.onEvent?.(event);
      },
      async onCheckpoint(at, waiting) {
        last = { at, version: setup.model.version, waiting };
        const due = config.checkpoint.every > 0 && at.step % config.checkpoint.every === 0;
        if (due || at.phaseStep === at.phaseSteps) await save(last);
      },
      openCritic: async () => {
        critic = await openCritic(config, setup.model, {
          start: coldStartEnd(config, directory.path) ?? config.model.path,
          resumed: state?.phase === 'rl' ? resumed : null,
          microBatchTokens: setup.microBatchTokens,
          adamw: adamwOptions(config, config.critic.lr),
        });
        return critic;
      },
      openReference: () => openReference(config, setup.model, coldStartEnd(config, directory.path)),
    });
  } catch (error) {
    interrupted = options.signal?.aborted === true && error === options.signal.reason;
    const done = last as StepDone | null;
    const unsaved = done !== null && saved?.at !== done.at.step;
    // Whatever ended the run, the steps that were done are kept; weights in the middle of a step are not.
    if (unsaved && setup.model.version === done.version) await save(done);
    if (!interrupted) throw error;
    directory.log('interrupted');
  } finally {
    await (source as RolloutSource | null)?.close?.();
    (critic as OpenCritic | null)?.dispose();
  }
  const checkpoint = (saved as { folder: string } | null)?.folder ?? null;
  const facts = {
    checkpoint: checkpoint === null ? null : relative(directory.path, checkpoint),
    evaluations,
    stepsDone: (last as { at: Progress } | null)?.at.step ?? state?.step ?? 0,
    interrupted,
  };
  directory.file('README.md', modelCard(config, facts));
  return { path: directory.path, interrupted, checkpoint, evaluations };
}

function record(
  directory: RunDirectory,
  setup: Setup,
  event: TrainEvent,
  evaluations: EvaluationSummary[],
): void {
  switch (event.kind) {
    case 'rollout':
    case 'warning':
      return;
    case 'curriculum':
      return directory.lines(
        join('curriculum', `${checkpointName(event.step)}.jsonl`),
        event.ratings.map((rating) => ({ ...rating })),
      );
    case 'sft':
      return directory.metrics(sftMetrics(event.at, event.report, event.lr));
    case 'rl':
      directory.lines(
        join('rollouts', `${checkpointName(event.at.step)}.jsonl`),
        event.report.scored.map((scored, i) =>
          rolloutRecord(scored, event.report.update, i, setup.tokenizer),
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

/** The evaluations in metrics.jsonl: none in a new run, those up to the checkpoint in a resumed one. */
function recordedEvaluations(path: string): EvaluationSummary[] {
  if (!existsSync(join(path, 'metrics.jsonl'))) return [];
  return readLines(join(path, 'metrics.jsonl'))
    .filter(({ kind }) => kind === 'evaluation')
    .map((line) => ({
      name: String(line.name),
      step: Number(line.step),
      accuracy: Number(line.accuracy),
      tasks: line.tasks as Evaluation['tasks'],
      callShare: Number(line.call_share),
      questions: Number(line.questions),
    }));
}

/** The checkpoint at the end of the cold start; null without one. */
export function coldStartEnd(config: Config, path: string): string | null {
  return config.sft.steps > 0 ? join(path, 'checkpoints', checkpointName(config.sft.steps)) : null;
}

function configText(config: Config, commandLine: string | undefined): string {
  return `# toolgrad ${packageVersion}${commandLine === undefined ? '' : `\n# ${commandLine}`}\n${formatConfig(config)}`;
}
