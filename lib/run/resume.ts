/**
 * What it takes to go on with a run: the same config, and a directory without what came after the checkpoint. A resumed run
 * is the same run, so keys that decide what is computed cannot change; those that only say how, or how long, can.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import type { Config } from './config.ts';
import { readLines, writeAtomically } from './directory.ts';
import { parseConfig } from './yaml.ts';

/** Sections and keys that may differ between the attempts of one run. */
const kFree: ReadonlySet<string> = new Set([
  'run',
  'model.threads',
  'rl.steps',
  'rollout.kv_memory_mb',
  'tool.workers',
  'optim.micro_batch_tokens',
  'optim.recompute',
  'eval.every',
  'checkpoint.every',
  'checkpoint.keep_last',
]);

/**
 * Compares `config` with the one the run in `path` was started with. Returns a line for each difference that is allowed;
 * throws ERR_CONFIG naming those that are not.
 */
export function compareWithRun(path: string, config: Config): string[] {
  const file = join(path, 'config.yaml');
  // It was checked when the run began; its tasks may be the program's own.
  const before = flattenConfig(parseConfig(readFileSync(file, 'utf8'), file, [], { ownTasks: true }));
  const now = flattenConfig(config);
  const changed = [...now].filter(([key, value]) => before.get(key) !== value);
  const line = ([key, value]: [string, string]) => `${key}: ${before.get(key)} before, ${value} now`;
  const other = changed.filter(([key]) => !kFree.has(key));
  if (other.length > 0) {
    throw new ToolgradError(
      'ERR_CONFIG',
      `${path} was started with another config, and a resumed run is the same run:\n` +
        `${other.map((change) => `  ${line(change)}\n`).join('')}` +
        `go on with ${file}, or start another run with run=<other path>`,
    );
  }
  return changed.filter(([key]) => key !== 'run').map(line);
}

/** A config as `section.key` and the value in JSON. */
export function flattenConfig(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return new Map([[path, JSON.stringify(value)]]);
  }
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [
      ...flattenConfig(inner, path === '' ? key : `${path}.${key}`),
    ]),
  );
}

/**
 * Removes what the run wrote after step `step`, which it will write again: records of metrics.jsonl (with a torn last line),
 * rollouts, evaluations, and checkpoints that were not finished.
 */
export function dropAfter(path: string, step: number): void {
  const metrics = join(path, 'metrics.jsonl');
  if (existsSync(metrics)) {
    const kept = readLines(metrics).filter(
      (record) => typeof record.step === 'number' && record.step <= step,
    );
    writeAtomically(metrics, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
  }
  for (const [folder, stale] of [
    ['rollouts', (name: string) => Number.parseInt(name, 10) > step],
    ['eval', (name: string) => Number.parseInt(name, 10) > step],
    ['curriculum', (name: string) => Number.parseInt(name, 10) > step],
    ['checkpoints', (name: string) => name.includes('.tmp-')],
  ] as const) {
    if (!existsSync(join(path, folder))) continue;
    for (const name of readdirSync(join(path, folder))) {
      if (stale(name)) rmSync(join(path, folder, name), { recursive: true, force: true });
    }
  }
}
