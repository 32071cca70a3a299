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

/** What a run writes at the top of its directory. */
const kOwnFiles = [
  'config.yaml',
  'env.json',
  'metrics.jsonl',
  'rollouts',
  'eval',
  'checkpoints',
  'logs',
  'README.md',
];

/** Throws ERR_RUN_EXISTS or ERR_RUN_MISSING when the directory cannot be opened in this mode; changes nothing. */
export function checkRunDirectory(path: string, mode: RunMode): void {
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
  if (!used && existsSync(root) && !isEmptyFolder(root)) {
    throw new ToolgradError(
      'ERR_RUN_EXISTS',
      `run directory ${path} is not empty and not a run; choose another with run=<path>`,
    );
  }
}

function isEmptyFolder(path: string): boolean {
  return statSync(path).isDirectory() && readdirSync(path).length === 0;
}

/**
 * Open a run directory. `new` refuses one that holds a run; `resume` needs one; `clean` removes the run's own files first.
 * A directory that holds something else is never touched.
 */
export function openRunDirectory(path: string, mode: RunMode): RunDirectory {
  checkRunDirectory(path, mode);
  const root = resolve(path);
  if (mode === 'clean') {
    for (const name of kOwnFiles) rmSync(join(root, name), { recursive: true, force: true });
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
