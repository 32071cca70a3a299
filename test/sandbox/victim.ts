/**
 * The victim of an attack: a process of the same user with secrets, files, listeners and signal handlers of its own. It tells
 * of everything that could have been done to it; what differs from the beginning is what an attack did.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** What a program is told of the victim. */
export interface VictimPlace {
  pid: number;
  uid: number;
  directory: string;
  secret: string;
  reward: string;
  /** A symbolic link whose target holds the token. */
  link: string;
  unix: string;
  unixDatagram: string;
  key: number;
  held: number;
  tokenAddress: number;
  tokenLength: number;
  flagAddress: number;
  tcp: number;
  tcp6: number | null;
  udp: number;
  udp6: number | null;
}

export interface Victim {
  readonly place: VictimPlace;
  /** Words that no program may print. */
  readonly tokens: readonly string[];
  /** What was done to it, in words. */
  changes(): Promise<string[]>;
  stop(): Promise<void>;
}

// By its text: a checkout can be where only its owner can read.
const program = readFileSync(new URL('./victim.py', import.meta.url), 'utf8');

type State = Record<string, unknown>;

function differences(before: State, after: State): string[] {
  return Object.keys(after).flatMap((field) => {
    const [old, now] = [before[field], after[field]];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    if (typeof now !== 'object' || now === null || Array.isArray(now)) {
      return [`${field} of the victim: ${JSON.stringify(old)} -> ${JSON.stringify(now)}`];
    }
    const [parts, later] = [old as State, now as State];
    return [...new Set([...Object.keys(parts), ...Object.keys(later)])]
      .filter((name) => JSON.stringify(parts[name]) !== JSON.stringify(later[name]))
      .map(
        (name) =>
          `${name}: ${JSON.stringify(parts[name]) ?? 'absent'} -> ${JSON.stringify(later[name]) ?? 'gone'}`,
      );
  });
}

/** Starts a victim with its files beneath `scratch`. */
export async function startVictim(
  python: string,
  uid: number,
  scratch: string,
  tag: string,
): Promise<Victim> {
  const directory = mkdtempSync(path.join(scratch, 'v'));
  const other = uid !== process.getuid?.();
  if (other) chownSync(directory, uid, uid);
  const [token, name] = [
    `SECRET-${randomBytes(9).toString('hex')}`,
    `SECRET-${randomBytes(9).toString('hex')}`,
  ];

  const child = spawn(python, ['-I', '-c', program, directory, tag, token, name], {
    env: { PATH: process.env.PATH, TOOLGRAD_TEST_SECRET: token },
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: '/',
    ...(other ? { uid, gid: uid } : {}),
  });
  const gone = new Promise<null>((resolve) => child.once('close', () => resolve(null)));
  child.stdin.on('error', () => {}); // it died: the answer that does not come says so
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<State | null> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, 20_000, null);
    });
    const line = await Promise.race([lines.next(), gone, late]);
    clearTimeout(timer);
    return line === null || line.done ? null : (JSON.parse(line.value) as State);
  };
  const ask = (command: string): Promise<State | null> => {
    child.stdin.write(`${command}\n`);
    return answer();
  };
  const place = (await answer()) as VictimPlace | null;
  const before = place === null ? null : await ask('state');
  if (place === null || before === null) {
    child.kill('SIGKILL');
    throw new Error(`victim: expected ${python} to start as user ${uid}, it ended (${child.exitCode})`);
  }
  return {
    place,
    tokens: [token, name],
    async changes() {
      const after = await ask('state');
      return after === null ? ['the victim died or hangs'] : differences(before, after);
    },
    async stop() {
      await ask('clean');
      child.kill('SIGKILL');
      await gone;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
