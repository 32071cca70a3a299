/**
 * A run directory: the files of one run, never shared between runs. Text files are append-only JSON lines; a line is written
 * whole or not at all by one write call. See docs/run-directory.md for every file.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { ToolgradError } from '../errors.ts';

export interface RunDirectory {
  readonly path: string;
  /** 1 for the first start, one more for each resume. */
  readonly attempt: number;
  /** Append one record to metrics.jsonl. */
  metrics(record: Readonly<Record<string, unknown>>): void;
  /** Write a whole file of JSON lines (rollouts of a step, an evaluation); replaces it atomically. */
  lines(name: string, records: Iterable<Readonly<Record<string, unknown>>>): void;
  /** Write a whole text file atomically. */
  file(name: string, text: string): void;
  /** Append a line to this attempt's log. */
  log(line: string): void;
}

export type RunMode = 'new' | 'resume' | 'clean';

/**
 * Open a run directory. `new` refuses one that holds a run; `resume` needs one; `clean` removes the run's own files first.
 * With `resume`, metrics after step `keepUntil` are dropped: the resumed run writes them again.
 */
export function openRunDirectory(path: string, mode: RunMode): RunDirectory {
  const root = resolve(path);
  const used = existsSync(join(root, 'config.yaml'));
  if (mode === 'new' && used) {
    throw new ToolgradError(
      'ERR_RUN_EXISTS',
      `run directory ${path} already holds a run; add --resume to continue it, --clean to start over, or run=<other path>`,
    );
  }
  if (mode === 'new' && existsSync(root) && readdirSync(root).length > 0) {
    throw new ToolgradError(
      'ERR_RUN_EXISTS',
      `run directory ${path} is not empty and not a run; choose another with run=<path>`,
    );
  }
  if (mode === 'resume' && !used) {
    throw new ToolgradError(
      'ERR_RUN_MISSING',
      `run directory ${path} holds no run to resume (config.yaml is not there)`,
    );
  }
  if (mode === 'clean' && used) {
    for (const name of [
      'config.yaml',
      'env.json',
      'metrics.jsonl',
      'rollouts',
      'eval',
      'checkpoints',
      'logs',
      'README.md',
    ]) {
      rmSync(join(root, name), { recursive: true, force: true });
    }
  }
  for (const folder of ['', 'rollouts', 'eval', 'checkpoints', 'logs'])
    mkdirSync(join(root, folder), { recursive: true });
  const attempt = readdirSync(join(root, 'logs')).length + 1;
  const logPath = join(root, 'logs', `attempt-${attempt}.log`);
  writeFileSync(logPath, '');
  const metricsPath = join(root, 'metrics.jsonl');
  return {
    path: root,
    attempt,
    metrics: (record) => appendFileSync(metricsPath, `${JSON.stringify(record)}\n`),
    lines(name, records) {
      let text = '';
      for (const record of records) text += `${JSON.stringify(record)}\n`;
      writeAtomically(join(root, name), text);
    },
    file: (name, text) => writeAtomically(join(root, name), text),
    log: (line) => appendFileSync(logPath, `${line}\n`),
  };
}

/** Drop the records of metrics.jsonl after optimizer step `step`; a torn last line is dropped too. */
export function trimMetrics(path: string, step: number): void {
  const file = join(path, 'metrics.jsonl');
  if (!existsSync(file)) return;
  const kept = readLines(file).filter((record) => typeof record.step === 'number' && record.step <= step);
  writeAtomically(file, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
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
  const descriptor = openSync(temporary, 'w');
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
}
