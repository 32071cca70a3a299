/**
 * The progress file of a synthesis: everything that teachers said and programs printed, one JSON line each, appended as it
 * comes. A run that was killed reads it and asks nothing again; a last line that was cut off is dropped.
 *
 * The first line names the settings: a file of other settings is refused, because its answers are those of other questions.
 */
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { ToolgradError } from '../errors.ts';
import { readLines } from '../run/directory.ts';
import type { ToolStatus } from '../tools/tool.ts';
import type { Reply } from './teacher.ts';

/** What a program came to. */
export interface RunOutput {
  readonly status: ToolStatus;
  /** As it is shown: shortened. */
  readonly output: string;
}

export interface Progress {
  /** Replies that the file held when it was opened. */
  readonly found: number;
  reply(attempt: string, turn: number): Reply | undefined;
  output(attempt: string, turn: number): RunOutput | undefined;
  addReply(attempt: string, turn: number, reply: Reply): void;
  addOutput(attempt: string, turn: number, output: RunOutput): void;
}

/** Opens the file, or makes it. Throws ERR_RUN_EXISTS when it belongs to other settings, naming them. */
export function openProgress(path: string, settings: Readonly<Record<string, string>>): Progress {
  const replies = new Map<string, Reply>();
  const outputs = new Map<string, RunOutput>();
  const keyOf = (attempt: string, turn: number) => `${attempt} ${turn}`;
  if (existsSync(path)) {
    const bytes = readFileSync(path);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    if (whole < bytes.length) truncateSync(path, whole);
  }
  const [header, ...rows] = existsSync(path) ? readLines(path) : [];
  if (header === undefined) {
    writeFileSync(path, `${JSON.stringify({ kind: 'settings', settings })}\n`, { flush: true });
  } else {
    checkSettings(path, header, settings);
    for (const row of rows) {
      const key = keyOf(String(row.attempt), Number(row.turn));
      if (row.kind === 'reply') replies.set(key, { text: String(row.text), finish: String(row.finish) });
      else if (row.kind === 'output')
        outputs.set(key, { status: row.status as ToolStatus, output: String(row.output) });
      else throw new ToolgradError('ERR_RUN_FILE', `${path}: unknown kind ${JSON.stringify(row.kind)}`);
    }
  }
  const add = (row: object): void => appendFileSync(path, `${JSON.stringify(row)}\n`);
  return {
    found: replies.size,
    reply: (attempt, turn) => replies.get(keyOf(attempt, turn)),
    output: (attempt, turn) => outputs.get(keyOf(attempt, turn)),
    addReply(attempt, turn, reply) {
      add({ kind: 'reply', attempt, turn, ...reply });
      replies.set(keyOf(attempt, turn), reply);
    },
    addOutput(attempt, turn, output) {
      add({ kind: 'output', attempt, turn, ...output });
      outputs.set(keyOf(attempt, turn), output);
    },
  };
}

function checkSettings(
  path: string,
  header: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, string>>,
): void {
  const before = (header.kind === 'settings' ? header.settings : {}) as Record<string, string>;
  const names = [...new Set([...Object.keys(before), ...Object.keys(settings)])];
  const changed = names.filter((name) => before[name] !== settings[name]);
  if (changed.length === 0) return;
  throw new ToolgradError(
    'ERR_RUN_EXISTS',
    `${path} holds what was asked with other settings (${changed.join(', ')} changed); set out to another folder, or ` +
      'remove this one',
  );
}
