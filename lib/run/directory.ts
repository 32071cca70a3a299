/**
 * A run directory: the files of one run, never shared between runs. Text files are append-only JSON lines; a line is written
 * whole or not at all by one write call. See docs/run-directory.md for every file.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { checkLock, lockName, takeLock } from './lock.ts';
import { createEventFile } from './tensorboard.ts';

export interface RunDirectory {
  readonly path: string;
  /** 1 for the first start, one more for each resume. */
  readonly attempt: number;
  /** Append one record to metrics.jsonl, and its numbers to this attempt's TensorBoard file. */
  metrics(record: Readonly<Record<string, unknown>>): void;
  /** Write a whole file of JSON lines (rollouts of a step, an evaluation); replaces it atomically. */
  lines(name: string, records: Iterable<Readonly<Record<string, unknown>>>): void;
  /** Write a whole text file atomically. */
  file(name: string, text: string): void;
  /** Append a line to this attempt's log. */
  log(line: string): void;
  /** From now on every line of the log begins with `words`. */
  markLog(words: string): void;
  /** Give the directory's lock back. */
  close(): void;
}

export type RunMode = 'new' | 'resume' | 'clean';

/** What a run writes at the top of its directory. */
const kOwnFiles = [
  'config.yaml',
  'env.json',
  'code.diff',
  'metrics.jsonl',
  'rollouts',
  'eval',
  'curriculum',
  'checkpoints',
  'logs',
  'tb',
  'README.md',
];

/** Throws ERR_RUN_EXISTS, ERR_RUN_MISSING or ERR_RUN_LOCKED when the directory cannot be opened in this mode; changes nothing. `locked`: the caller holds the lock. */
export function checkRunDirectory(path: string, mode: RunMode, locked = false): void {
  const root = resolve(path);
  const used = existsSync(join(root, 'config.yaml'));
  if (mode === 'new' && used) {
    throw new ToolgradError(
      'ERR_RUN_EXISTS',
      `run directory ${path} already holds a run; add --resume to continue it, --clean to start over, or run=<other path>`,
    );
  }
  if (mode === 'resume' && !used) {
    throw new ToolgradError(
      'ERR_RUN_MISSING',
      `run directory ${path} holds no run to resume (config.yaml is not there)`,
    );
  }
  if (!used && existsSync(root) && !holdsNothing(root)) {
    throw new ToolgradError(
      'ERR_RUN_EXISTS',
      `run directory ${path} is not empty and not a run; choose another with run=<path>`,
    );
  }
  if (!locked) checkLock(root);
}

/** Empty, or left by a trainer that was killed before it wrote its config. */
function holdsNothing(path: string): boolean {
  return statSync(path).isDirectory() && readdirSync(path).every((name) => name === lockName);
}

/**
 * Open a run directory. `new` refuses one that holds a run; `resume` needs one; `clean` removes the run's own files first.
 * A directory that holds something else is never touched. The directory is locked until close(); `step` is the number of
 * steps that are done.
 */
export function openRunDirectory(path: string, mode: RunMode, step = 0): RunDirectory {
  const root = resolve(path);
  checkRunDirectory(path, mode);
  mkdirSync(root, { recursive: true });
  const close = takeLock(root);
  try {
    // Looked at again: another trainer may have come and gone since.
    checkRunDirectory(path, mode, true);
    if (mode === 'clean') {
      for (const name of kOwnFiles) rmSync(join(root, name), { recursive: true, force: true });
    }
    return { ...writer(root, step), close };
  } catch (error) {
    close();
    throw error;
  }
}

function writer(root: string, step: number): Omit<RunDirectory, 'close'> {
  for (const folder of ['rollouts', 'eval', 'checkpoints', 'logs', 'tb'])
    mkdirSync(join(root, folder), { recursive: true });
  const attempt = readdirSync(join(root, 'logs')).length + 1;
  const logPath = join(root, 'logs', `attempt-${attempt}.log`);
  writeFileSync(logPath, '');
  let mark = '';
  const metricsPath = join(root, 'metrics.jsonl');
  const events = createEventFile(join(root, 'tb', `events.out.tfevents.${eventStamp(attempt)}`), step);
  return {
    path: root,
    attempt,
    metrics(record) {
      appendFileSync(metricsPath, `${JSON.stringify(record)}\n`);
      const { kind, name, step: at, ...values } = record;
      const prefix = kind === 'evaluation' && String(name).endsWith('no tool') ? 'evaluation-no-tool' : kind;
      events.scalars(Number(at), values, String(prefix));
    },
    lines(name, records) {
      let text = '';
      for (const record of records) text += `${JSON.stringify(record)}\n`;
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeAtomically(join(root, name), text);
    },
    file: (name, text) => writeAtomically(join(root, name), text),
    log: (line) => appendFileSync(logPath, `${mark}${line}\n`),
    markLog: (words) => {
      mark = words;
    },
  };
}

/** TensorBoard reads files in the order of their names: seconds since 1970, then the attempt. */
function eventStamp(attempt: number): string {
  return `${Math.floor(Date.now() / 1000)}.attempt-${attempt}`;
}

/** The records of a JSON-lines file; a last line without newline (a write that was cut off) is ignored. */
export function readLines(file: string): Record<string, unknown>[] {
  const text = readFileSync(file, 'utf8');
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.flatMap((line, index) => {
    if (line === '') return [];
    try {
      return [JSON.parse(line) as Record<string, unknown>];
    } catch (cause) {
      throw new ToolgradError(
        'ERR_RUN_FILE',
        `${file}:${index + 1}: expected a JSON object, found ${line.slice(0, 80)}`,
        {
          cause,
        },
      );
    }
  });
}

/** Write to a temporary name, sync, rename: a reader sees the old file or the new one. */
export function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    writeFileSync(temporary, text, { flush: true });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
