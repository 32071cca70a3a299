/**
 * Checkpoints: a folder in Hugging Face layout (transformers, vLLM and llama.cpp's converter load it as it is) with, beside
 * it, what resuming needs: optimizer/ (fp32 masters and moments), state.json, of partial rollouts parked.jsonl, and ahead.jsonl of
 * a batch that was sampled ahead. Written under a temporary name, synced, renamed: a checkpoint that exists is whole.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import type { ParkedRecord } from '../rollout/parked.ts';
import type { AheadRecord } from '../train/rollout-source.ts';
import { readLines, writeAtomically } from './directory.ts';

/** Where a run stands: everything else follows from the config and these numbers. */
export interface RunState {
  readonly phase: 'sft' | 'rl';
  /** Steps of this phase that are done. */
  readonly phaseStep: number;
  /** Steps of all phases that are done. */
  readonly step: number;
  /** Training questions asked so far. */
  readonly asked: number;
  /** Kernel build that wrote it: another one may round differently. */
  readonly isa: string;
  readonly version: string;
}

/** What can write itself in Hugging Face layout and write its optimizer. */
export interface Checkpointable {
  save(folder: string): Promise<void>;
  saveOptimizer(path: string): Promise<void>;
}

const kParked = 'parked.jsonl';
const kAhead = 'ahead.jsonl';

export function checkpointName(step: number): string {
  return String(step).padStart(6, '0');
}

/**
 * Write the checkpoint of `state` under `runPath`/checkpoints, replacing one of the same step. Returns its folder. `parked`: what
 * partial rollouts left open, null without them. `ahead`: the batch that was sampled ahead, `none` when there is none, null for a
 * run that does not sample ahead.
 */
export async function saveCheckpoint(
  runPath: string,
  model: Checkpointable,
  state: RunState,
  parked: readonly ParkedRecord[] | null = null,
  ahead: AheadRecord | 'none' | null = null,
): Promise<string> {
  const folder = join(runPath, 'checkpoints', checkpointName(state.step));
  const temporary = `${folder}.tmp-${process.pid}`;
  const replaced = `${temporary}-replaced`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(join(temporary, 'optimizer'), { recursive: true });
  try {
    await model.save(temporary);
    await model.saveOptimizer(join(temporary, 'optimizer', 'optimizer.safetensors'));
    const write = (name: string, records: readonly object[]) =>
      writeAtomically(join(temporary, name), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    if (parked !== null) write(kParked, parked);
    if (ahead === 'none') write(kAhead, [{ step: null }]);
    else if (ahead !== null) {
      const { trajectories, ...batch } = ahead;
      write(kAhead, [{ ...batch, trajectories: trajectories.length }, ...trajectories]);
    }
    writeAtomically(join(temporary, 'state.json'), `${JSON.stringify(state, null, 2)}\n`);
    // Renamed away first: whenever the process dies, a whole checkpoint of this step is there under one of the names.
    if (existsSync(folder)) renameSync(folder, replaced);
    renameSync(temporary, folder);
    rmSync(replaced, { recursive: true, force: true });
    syncFolder(join(runPath, 'checkpoints'));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  return folder;
}

/** Makes renames inside a folder last through a power cut. */
function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Folders of whole checkpoints under `runPath`, oldest first. */
export function listCheckpoints(runPath: string): string[] {
  const root = join(runPath, 'checkpoints');
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => /^\d{6}$/.test(name))
    .sort()
    .map((name) => join(root, name));
}

export function optimizerPath(checkpoint: string): string {
  return join(checkpoint, 'optimizer', 'optimizer.safetensors');
}

/** state.json of a checkpoint; throws ERR_CHECKPOINT when it is not one. */
export function readState(checkpoint: string): RunState {
  const file = join(checkpoint, 'state.json');
  let state: Partial<RunState>;
  try {
    state = JSON.parse(readFileSync(file, 'utf8')) as Partial<RunState>;
  } catch (cause) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${file}: expected the state of a checkpoint, found none that can be read`,
      { cause },
    );
  }
  const { phase, phaseStep, step, asked, isa, version } = state;
  if ((phase !== 'sft' && phase !== 'rl') || ![phaseStep, step, asked].every(Number.isInteger)) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${file}: expected phase, phaseStep, step and asked, found ${JSON.stringify(state)}`,
    );
  }
  const counts = { phaseStep: phaseStep!, step: step!, asked: asked! };
  return { phase, ...counts, isa: String(isa), version: String(version) };
}

/** parked.jsonl of a checkpoint of partial rollouts; throws ERR_CHECKPOINT when it is not there. */
export function readParked(checkpoint: string): ParkedRecord[] {
  const file = join(checkpoint, kParked);
  if (existsSync(file)) return readLines(file) as unknown as ParkedRecord[];
  throw new ToolgradError(
    'ERR_CHECKPOINT',
    `${file}: expected the trajectories that were parked, found no such file; go on from a checkpoint that has it`,
  );
}

/**
 * ahead.jsonl of a checkpoint: the batch that was sampled ahead, null when it says that there is none. Throws ERR_CHECKPOINT when it
 * is not there, begins with something else, or is cut off.
 */
export function readAhead(checkpoint: string): AheadRecord | null {
  const file = join(checkpoint, kAhead);
  if (!existsSync(file)) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${file}: expected the batch that was sampled ahead, found no such file; go on from a checkpoint that has it`,
    );
  }
  const [batch, ...trajectories] = readLines(file);
  if (batch?.step === null) return null;
  if (batch === undefined || !Number.isInteger(batch.step)) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${file}: expected a first line with the step of the batch, found ${JSON.stringify(batch ?? null).slice(0, 80)}`,
    );
  }
  if (batch.trajectories !== trajectories.length) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${file}: expected the ${batch.trajectories} trajectories that its first line announces, found ${trajectories.length}`,
    );
  }
  return { ...batch, trajectories } as unknown as AheadRecord;
}

/** Remove the oldest checkpoints beyond `keep`; `spare` (the end of the cold start, which KL refers to) stays. */
export function pruneCheckpoints(runPath: string, keep: number, spare: readonly number[]): void {
  const spared = new Set(spare.map(checkpointName));
  const folders = listCheckpoints(runPath).filter((folder) => !spared.has(folder.slice(-6)));
  for (const folder of folders.slice(0, Math.max(0, folders.length - keep))) {
    rmSync(folder, { recursive: true, force: true });
  }
}
