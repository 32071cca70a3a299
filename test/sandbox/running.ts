/**
 * Runs attacks against a tool and judges them: by the attack's own rule, and by what no program may do to the world around it.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Tool, ToolRequest, ToolResult } from '../../lib/tools/tool.ts';
import { request } from '../support/tool.ts';
import { type Attack, type Context, type Outcome, withPrelude } from './attack.ts';
import { type Level, ordinaryUser } from './levels.ts';
import { startVictim } from './victim.ts';

/** A word in the environment of the trainer that no program may print; set before a tool is opened. */
export const trainerToken = `SECRET-${randomBytes(9).toString('hex')}`;
export const plantTrainerToken = (): void => {
  process.env.TOOLGRAD_TEST_TRAINER_SECRET = trainerToken;
};

/** A directory for everything of one run, open to other users. */
export function scratchDirectory(): { path: string; temporary(level: Level): string; remove(): void } {
  const root = mkdtempSync(path.join(tmpdir(), 'tga-'));
  chmodSync(root, 0o755);
  return {
    path: root,
    temporary(level) {
      const made = mkdtempSync(path.join(root, 't'));
      if (level.uid !== process.getuid?.()) chownSync(made, level.uid, level.uid);
      return made;
    },
    // Not by node:fs, which cannot remove what an attack may have left: paths that are too long.
    remove: () => void spawnSync('rm', ['-rf', root]),
  };
}

/** Processes whose name is `tag`, zombies too. */
export function named(tag: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd() === tag;
    } catch {
      return false; // it ended between the listing and the reading
    }
  });
}

/** Those of them that still run, without zombies. */
export const runningOf = (tag: string): string[] =>
  named(tag).filter((pid) => {
    try {
      return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return false; // it has ended
    }
  });

/** Processor seconds of a process so far, 0 when it is gone. */
export function processorOf(pid: string): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return 0; // it has ended
  }
}

/** Processor seconds so far of all processes of this name. */
export const processorSeconds = (tag: string): number =>
  named(tag).reduce((total, pid) => total + processorOf(pid), 0);

async function leftovers(tag: string): Promise<string[]> {
  const begin = performance.now();
  let found = named(tag);
  while (found.length > 0 && performance.now() - begin < 250) {
    await sleep(10); // a process that was killed takes a moment to be gone
    found = named(tag);
  }
  const states = found.map((pid) => {
    try {
      return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '?';
    } catch {
      return '-'; // gone after all
    }
  });
  return states.every((state) => state === '-')
    ? []
    : [`${found.length} processes left, in state ${states.join('')}`];
}

/** Why a result shows a success whatever its program was for. */
function faultsOf(result: ToolResult, request: ToolRequest, tokens: readonly string[]): string[] {
  const faults: string[] = [];
  const text = `${result.stdout}${result.stderr}${result.output}`;
  const files = Object.entries(result.files ?? {}).map(
    ([name, bytes]) => name + Buffer.from(bytes).toString('latin1'),
  );
  if (tokens.some((token) => text.includes(token) || files.some((file) => file.includes(token)))) {
    faults.push('a secret was printed or returned');
  }
  const wall = request.wallSeconds ?? 3 * request.seconds;
  if (result.seconds > wall + 2) {
    faults.push(`it took ${result.seconds.toFixed(1)} s where ${wall} s were allowed`);
  }
  if (result.callId !== request.callId) faults.push('the reply was that of another call');
  return faults;
}

/** Runs one attack with a victim of its own. */
export async function runAttack(
  attack: Attack,
  level: Level,
  tool: Tool,
  where: { scratch: string; temporary: string; control?: boolean },
): Promise<Outcome> {
  const tag = `tg${randomBytes(6).toString('hex')}`;
  const word = `DONE-${randomBytes(8).toString('hex')}`;
  const victim = await startVictim(level.python, level.uid, where.scratch, tag);
  const directory = mkdtempSync(path.join(where.scratch, 'd'));
  if (level.uid !== process.getuid?.()) chownSync(directory, level.uid, level.uid);
  const secrets = [...victim.tokens, trainerToken];
  const faults: string[] = [];
  try {
    const plain = async (code: string, changed: Partial<ToolRequest> = {}): Promise<ToolResult> => {
      const asked = request(code, { seconds: 5, ...changed });
      const result = await tool.run(asked);
      faults.push(...faultsOf(result, asked, secrets));
      if (result.status === 'infrastructure_error' && attack.ownErrors !== true) {
        faults.push(`infrastructure error: ${result.error}`);
      }
      return result;
    };
    const made = level.uid === ordinaryUser && process.getuid?.() === 0;
    const inserted = { ...victim.place, made, tag, word, trainer: process.pid, outside: directory };
    const context: Context = {
      level: level.name,
      control: where.control ?? false,
      tool,
      victim,
      directory,
      word,
      tag,
      temporary: where.temporary,
      plain,
      run: (body, changed) => plain(withPrelude(inserted, body), changed),
      hit: (...results) => results.some(({ stdout, stderr }) => `${stdout}${stderr}`.includes(word)),
    };
    const outcome = await attack.run(context);
    faults.push(...(await leftovers(tag)), ...(await victim.changes()));
    const after = await tool.run(request('print(6 * 7)', { seconds: 5, wallSeconds: 30 }));
    if (after.output !== '42\n') {
      faults.push(`the next call ended as ${after.status}: ${after.error ?? after.output.slice(0, 200)}`);
    }
    if (faults.length === 0) return outcome;
    const unique = [...new Set(faults)].join('; ').slice(0, 400);
    return { succeeded: true, what: outcome.succeeded ? `${outcome.what}; ${unique}` : unique };
  } finally {
    await victim.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
