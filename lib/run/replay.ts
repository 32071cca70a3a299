/**
 * Replay: a recorded run computed once more from its beginning, without Python. The loop is the run's own (train/loop.ts); its
 * rollouts come from the record, sampled again and compared token by token; rewards, advantages and updates are computed anew and
 * compared with what was recorded, and the weights with every checkpoint that the run kept.
 *
 * Nothing in the run's directory is written. Evaluations are left out: nothing is learned from them.
 */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode, errorMessage, ToolgradError } from '../errors.ts';
import { packageVersion } from '../package.ts';
import { recordedTool } from '../tools/recorded.ts';
import { type OpenCritic, openCritic } from '../train/critic-setup.ts';
import { traceLedgers } from '../train/lengths.ts';
import { type Progress, runLoop, type TrainEvent } from '../train/loop.ts';
import { checkpointable, openReference } from '../train/lora.ts';
import { adamwOptions, openSetup, type Setup, type UserParts } from '../train/setup.ts';
import { coldStartEnd, otherBuild } from '../train/train.ts';
import { checkpointName, listCheckpoints, optimizerPath, readState, saveCheckpoint } from './checkpoint.ts';
import type { Config } from './config.ts';
import { openRunDirectory, type RunDirectory, readLines } from './directory.ts';
import { compareJson, type Difference } from './recorded.ts';
import { type RecordedSource, recordedSource } from './recorded-source.ts';
import { rlMetrics, rolloutRecord, sftMetrics } from './records.ts';
import { formatConfig, parseConfig } from './yaml.ts';

export interface ReplayOptions extends Pick<UserParts, 'tasks' | 'reward'> {
  /** Write what was computed as a run directory of its own. */
  readonly out?: string;
  /** `key=value` over the run's config: where its files are now, or how to compute. */
  readonly overrides?: readonly string[];
  readonly signal?: AbortSignal;
  /** After each step: how many steps there are, and the differences found in this one. */
  readonly onStep?: (at: Progress, differences: readonly Difference[]) => void;
}

export interface ReplayReport {
  /** Steps replayed, of all phases. */
  readonly steps: number;
  readonly trajectories: number;
  /** Tokens sampled again and calls answered from the record. */
  readonly tokens: number;
  readonly calls: number;
  /** Steps at which weights and optimizer were compared with a checkpoint, byte for byte. */
  readonly checkpoints: readonly number[];
  /** In the order found; empty: the replay is the run, to the bit. Of a trajectory the first one only. */
  readonly differences: readonly Difference[];
  /** Why bits may differ. */
  readonly warnings: readonly string[];
}

/** Ends the loop after the last recorded step. */
class Done extends Error {}

/** Fields of metrics.jsonl that a replay does not compute: times, and what depends on what was sampled but not trained on. */
const kNotReplayed: ReadonlySet<string> = new Set([
  'decode_steps',
  'computed_tokens',
  'sampled_tokens',
  'prefilled_again',
  'tool_error_rate',
  'generation_rounds',
  'questions',
  'groups_dropped',
  'groups_surplus',
  'groups_waiting',
  'parked',
  'stale_dropped',
]);
const isTime = (key: string) => /(^|_)seconds$|per_second$/.test(key);

/**
 * Replay the run in `path`. Differences are in the report; it rejects when the record cannot be read (ERR_RUN_MISSING,
 * ERR_RUN_FILE), with a ToolgradError of `train`, or with the signal's reason.
 */
export async function replay(path: string, options: ReplayOptions = {}): Promise<ReplayReport> {
  const config = readRunConfig(path, options.overrides ?? []);
  if (config.curriculum.regroup_every > 0 && config.rl.steps > 0) {
    throw new ToolgradError(
      'ERR_CONFIG',
      `${path} rated its questions anew while it ran (curriculum.regroup_every), which needs the tool: it cannot be replayed`,
    );
  }
  if (config.rollout.ahead && config.rl.steps > 0) {
    throw new ToolgradError(
      'ERR_CONFIG',
      `${path} sampled its batches while it trained (rollout.ahead), from weights of the step before: a replay samples with the weights of ` +
        'the step and cannot follow it',
    );
  }
  const metrics = recordedSteps(path);
  const tool = recordedTool(config.rollout.total_tokens);
  const setup = await openSetup(config, {
    ...(options.tasks ? { tasks: options.tasks } : {}),
    ...(options.reward ? { reward: options.reward } : {}),
    tool,
  });
  const differences: Difference[] = [];
  const out = options.out === undefined ? null : openRunDirectory(options.out, 'new');
  const temporary = mkdtempSync(join(tmpdir(), 'toolgrad-replay-'));
  try {
    out?.file('config.yaml', `# replay of ${path}\n${formatConfig({ ...config, run: options.out! })}`);
    const parts = {
      model: setup.model,
      cache: setup.cache,
      tokenizer: setup.tokenizer,
      format: setup.format,
      tool: config.text_only ? null : tool,
      limits: setup.limits,
      toolLimits: setup.toolLimits,
      runSeed: BigInt(config.seed),
      ...(options.signal ? { signal: options.signal } : {}),
    };
    const source = recordedSource(path, setup, parts, tool, metrics, (difference) =>
      differences.push(difference),
    );
    const policy = checkpointable(config, setup.model, setup.tokenizer);
    let critic: OpenCritic | null = null;
    const writer = {
      async save(folder: string) {
        await policy.save(folder);
        await critic?.save(folder);
      },
      saveOptimizer: policy.saveOptimizer,
    };
    const checkpoints: number[] = [];
    const last = Math.max(...metrics.keys());
    let steps = 0;
    let reported = 0;
    try {
      await runLoop(setup, traceLedgers(setup), {
        done: { sft: 0, rl: 0 },
        asked: 0,
        evaluated: new Set(),
        source,
        ...(options.signal ? { signal: options.signal } : {}),
        onEvent: (event) => compareStep(event, setup, source, metrics, differences, out),
        async onCheckpoint(at) {
          const folder = join(path, 'checkpoints', checkpointName(at.step));
          if (existsSync(folder)) {
            const own = await saveCheckpoint(out?.path ?? temporary, writer, stateOf(at, setup));
            differences.push(...compareCheckpoints(folder, own, at.step));
            checkpoints.push(at.step);
            if (out === null) rmSync(own, { recursive: true });
          }
          steps = at.step;
          options.onStep?.(at, differences.slice(reported));
          reported = differences.length;
          if (at.step === last) throw new Done();
        },
        openCritic: async () => {
          critic = await openCritic(config, setup.model, {
            start: coldStartEnd(config, path) ?? config.model.path,
            resumed: null,
            microBatchTokens: setup.microBatchTokens,
            adamw: adamwOptions(config, config.critic.lr),
          });
          return critic;
        },
        openReference: () => openReference(config, setup.model, coldStartEnd(config, path)),
      });
    } catch (error) {
      if (errorCode(error) === 'ERR_LOGPROB_GAP') {
        differences.push({
          step: steps + 1,
          trajectory: null,
          token: null,
          what: 'gap check',
          recorded: 'a log-prob that the weights do not give',
          replayed: errorMessage(error),
        });
      } else if (!(error instanceof Done)) throw error;
    } finally {
      (critic as OpenCritic | null)?.dispose();
    }
    return {
      steps,
      ...source.counts,
      calls: tool.answered,
      checkpoints,
      differences,
      warnings: buildWarnings(path, setup),
    };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
    out?.close();
    await setup.close();
  }
}

/** The run's config as the replay uses it: no evaluations. */
function readRunConfig(path: string, overrides: readonly string[]): Config {
  const file = join(path, 'config.yaml');
  if (!existsSync(file)) {
    throw new ToolgradError('ERR_RUN_MISSING', `${path} is not a run directory (config.yaml is not there)`);
  }
  const config = parseConfig(readFileSync(file, 'utf8'), file, overrides, { ownTasks: true });
  return { ...config, eval: { ...config.eval, questions: 0, every: 0, without_tool: false } };
}

/** The steps of metrics.jsonl, by number. */
function recordedSteps(path: string): Map<number, Readonly<Record<string, unknown>>> {
  const file = join(path, 'metrics.jsonl');
  const lines = existsSync(file) ? readLines(file) : [];
  const steps = lines.filter(({ kind }) => kind === 'sft' || kind === 'rl');
  if (steps.length === 0) {
    throw new ToolgradError(
      'ERR_RUN_FILE',
      `${file}: expected the steps of a run, found none: nothing to replay`,
    );
  }
  return new Map(steps.map((line) => [Number(line.step), line]));
}

/** Compares a step with its line in metrics.jsonl, and its trajectories with theirs. */
function compareStep(
  event: TrainEvent,
  setup: Setup,
  source: RecordedSource,
  metrics: ReadonlyMap<number, Readonly<Record<string, unknown>>>,
  differences: Difference[],
  out: RunDirectory | null,
): void {
  if (event.kind !== 'sft' && event.kind !== 'rl') return;
  const { step } = event.at;
  const line =
    event.kind === 'sft' ? sftMetrics(event.at, event.report, event.lr) : rlMetrics(event.at, event.report);
  if (event.kind === 'rl') {
    const { scored, update } = event.report;
    const records = scored.map((item, i) => rolloutRecord(item, update, i, setup.tokenizer));
    out?.lines(join('rollouts', `${checkpointName(step)}.jsonl`), records);
    for (const [i, { json, trajectory }] of source.records(step).entries()) {
      // Tokens were compared already, and the texts of segments are theirs.
      const skip = (key: string) => key === 'ledger' || key === 'segments' || isTime(key);
      const found = compareJson(json, plain(records[i]), skip);
      if (found === null) continue;
      const { question, prompt, sample } = trajectory;
      differences.push({
        step,
        trajectory: { question: question.id, prompt, sample },
        token: null,
        ...found,
      });
    }
  }
  out?.metrics(line);
  const found = compareJson(metrics.get(step), plain(line), (key) => isTime(key) || kNotReplayed.has(key));
  if (found !== null)
    differences.push({ step, trajectory: null, token: null, ...found, what: `metrics: ${found.what}` });
}

/** A value as JSON keeps it. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function stateOf(at: Progress, { model }: Setup) {
  const { phase, phaseStep, step, asked } = at;
  return { phase, phaseStep, step, asked, isa: model.isa, version: packageVersion };
}

/** Weights and optimizer of two checkpoints, byte for byte. */
function compareCheckpoints(recorded: string, replayed: string, step: number): Difference[] {
  // Whatever the recorded checkpoint holds: a whole model or an adapter, with or without a critic.
  const weights = [
    'model.safetensors',
    'adapter_model.safetensors',
    'value_head.safetensors',
    join('critic', 'model.safetensors'),
    join('critic', 'value_head.safetensors'),
    join('critic', 'optimizer.safetensors'),
  ].filter((name) => existsSync(join(recorded, name)));
  const files = [
    ...weights.map((name) => [name, join(recorded, name), join(replayed, name)] as const),
    ['optimizer.safetensors', optimizerPath(recorded), optimizerPath(replayed)] as const,
  ];
  return files.flatMap(([name, before, now]) => {
    const what = `checkpoint ${checkpointName(step)}, ${name}`;
    const at = firstByte(before, now);
    if (at === null) return [];
    const tensor = tensorAt(before, at);
    const found = (file: string) => `${statSync(file).size} bytes${tensor}`;
    return [
      {
        step,
        trajectory: null,
        token: null,
        what: `${what}, byte ${at}`,
        recorded: found(before),
        replayed: found(now),
      },
    ];
  });
}

const kChunk = 1 << 20;

/** The first byte in which two files differ; null when there is none. */
function firstByte(a: string, b: string): number | null {
  const [first, second] = [openSync(a, 'r'), openSync(b, 'r')];
  try {
    const [left, right] = [Buffer.alloc(kChunk), Buffer.alloc(kChunk)];
    for (let at = 0; ; ) {
      const [n, m] = [readSync(first, left, 0, kChunk, at), readSync(second, right, 0, kChunk, at)];
      const shared = Math.min(n, m);
      if (left.compare(right, 0, shared, 0, shared) !== 0) {
        for (let i = 0; i < shared; i++) if (left[i] !== right[i]) return at + i;
      }
      if (n !== m) return at + shared;
      if (n === 0) return null;
      at += n;
    }
  } finally {
    closeSync(first);
    closeSync(second);
  }
}

/** Says which tensor of a safetensors file holds byte `at`. */
function tensorAt(file: string, at: number): string {
  const descriptor = openSync(file, 'r');
  try {
    const size = Buffer.alloc(8);
    readSync(descriptor, size, 0, 8, 0);
    const header = Buffer.alloc(Number(size.readBigUInt64LE()));
    readSync(descriptor, header, 0, header.length, 8);
    const start = 8 + header.length;
    if (at < start) return ', in the header';
    const tensors = JSON.parse(header.toString('utf8')) as Record<
      string,
      { data_offsets?: [number, number] }
    >;
    const found = Object.entries(tensors).find(
      ([, { data_offsets: range }]) => range !== undefined && at - start >= range[0] && at - start < range[1],
    );
    return found === undefined ? '' : `, in ${found[0]}`;
  } finally {
    closeSync(descriptor);
  }
}

function buildWarnings(path: string, setup: Setup): string[] {
  const checkpoint = listCheckpoints(path).at(-1);
  return checkpoint === undefined ? [] : otherBuild(readState(checkpoint), setup);
}
