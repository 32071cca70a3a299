/**
 * The trainer's end of the supervisor process (`sandbox/supervisor.c`): starts it, exchanges frames with it, notices its
 * death. Policy (queue, restarts, statuses) is in `python.ts`.
 * Invariants: nothing here waits for a program; the supervisor's handles never keep the event loop alive, so a trainer that
 * forgets `close()` can end, and everything below ends with it.
 */
import { existsSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../errors.ts';
import { buildCommand, native } from '../../native.ts';
import { packageRoot } from '../../package.ts';
import {
  frameKinds,
  frameReader,
  idFrame,
  type ResultFrame,
  type RunFrame,
  readResult,
  runFrame,
  settingsFrame,
} from './frames.ts';
import { type Interpreter, programEnvironment } from './interpreter.ts';

/** What can keep a program from the machine, each for itself; in the order of the bits that stand for them. */
export const layerNames = ['namespaces', 'landlock', 'seccomp', 'rlimits'] as const;
export type Layer = (typeof layerNames)[number];

/** What the supervisor says of itself once it is up. */
export interface SupervisorReady {
  pid: number;
  /** The kernel's Landlock version, or minus the error number that asking gave. */
  landlockAbi: number;
  /** User id of the programs. */
  user: number;
  /** Whether a control group bounds all programs together, and what it bounds or why there is none. */
  cgroup: boolean;
  cgroupText: string;
}

/** How a supervisor is started and whom it tells. */
export interface SupervisorOptions {
  interpreter: Interpreter;
  layers: readonly Layer[];
  /** Modules of each template, with commas between. */
  templates: readonly string[];
  temporaryDirectory?: string;
  /** Memory of all programs together, where a control group can be made. */
  totalMemoryBytes: number;
  /** For tests: a Docker-like filter over everything, and another user. */
  container?: boolean;
  user?: number;
  /** Deadline for it to be up. */
  startSeconds: number;
  onResult(result: ResultFrame): void;
  /** Called once when the process is gone, for whatever reason, after the last result; says why. */
  onExit(reason: string): void;
}

/** A running supervisor. */
export interface Supervisor {
  readonly ready: SupervisorReady;
  run(run: RunFrame): void;
  cancel(id: number): void;
  endSession(session: number): void;
  /** Ends it, by force if it does not end within `seconds`; resolves when the process is gone. */
  stop(seconds: number): Promise<void>;
}

/**
 * Where the two native parts are: beside the addon that was built here, or among the prebuilt ones. TOOLGRAD_SANDBOX names another
 * folder: a build with sanitizers, whose reports lie beside it, is tested in this way.
 */
function nativeParts(): { supervisor: string; library: string } {
  const chosen = process.env.TOOLGRAD_SANDBOX;
  const folders =
    chosen !== undefined && chosen !== ''
      ? [resolvePath(chosen)]
      : [
          join(packageRoot, 'build', 'Release'),
          join(packageRoot, 'prebuilds', `${process.platform}-${process.arch}`),
        ];
  for (const folder of folders) {
    const supervisor = join(folder, 'toolgrad-sandbox');
    const library = join(folder, 'toolgrad-sandbox.so');
    if (existsSync(supervisor) && existsSync(library)) return { supervisor, library };
  }
  throw new Error(
    `Python tool: expected toolgrad-sandbox and toolgrad-sandbox.so in ${folders.join(' or ')}, found none. ` +
      `Build them: ${buildCommand(packageRoot)}`,
  );
}

function settings(options: SupervisorOptions, library: string): [string, string][] {
  const { interpreter, layers, templates, temporaryDirectory, container, user } = options;
  const bits = layerNames.reduce((sum, name, i) => sum + (layers.includes(name) ? 2 ** i : 0), 0);
  return [
    ['python', interpreter.executable],
    ['library', library],
    ['bootstrap', join(packageRoot, 'sandbox', 'template.py')],
    ['temporary', temporaryDirectory ?? tmpdir()],
    ['layers', String(bits)],
    ['budget', String(options.totalMemoryBytes)],
    ...interpreter.readable.map((path): [string, string] => ['read', path]),
    ...Object.entries(programEnvironment).map(([name, value]): [string, string] => [
      'environment',
      `${name}=${value}`,
    ]),
    ...templates.map((modules): [string, string] => ['template', modules]),
    ...(container ? [['container', '1'] as [string, string]] : []),
    ...(user === undefined ? [] : [['user', String(user)] as [string, string]]),
  ];
}

/** How the process `pid` ended, which is its parent's to ask; it has been killed. */
async function endOf(pid: number): Promise<string> {
  for (let waited = 0; waited < 2000; waited += 2) {
    const status = native().reapProcess(pid);
    if (status !== null) {
      const signal = status & 0x7f;
      return signal === 0
        ? `it ended with exit status ${(status >> 8) & 0xff}`
        : `it was ended by signal ${signal}`;
    }
    await sleep(2);
  }
  return 'it closed its connection and cannot be ended';
}

/**
 * Starts the supervisor and waits until it is up. The process is started without a fork of this one (posix_spawn), which
 * would stall a trainer that holds gigabytes.
 * @throws {Error} if it cannot be started or a template cannot; the message is the supervisor's.
 */
export function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const { supervisor: path, library } = nativeParts();
  return new Promise((resolve, reject) => {
    const { pid, control, errors: errorsFd } = native().spawnProcess(path);
    const socket = new Socket({ fd: control });
    const errorStream = new Socket({ fd: errorsFd, readable: true, writable: false });
    const hold = (on: boolean): void => {
      for (const stream of [socket, errorStream]) stream[on ? 'ref' : 'unref']();
    };
    let errors = '';
    let told = '';
    let up = false;
    let gone = false;
    const exits: (() => void)[] = [];
    const kill = (): void => {
      if (!gone) process.kill(pid, 'SIGKILL');
    };
    const timer = setTimeout(() => {
      told = `it was not ready within ${options.startSeconds} s`;
      kill();
    }, options.startSeconds * 1000);

    const supervisor = (ready: SupervisorReady): Supervisor => ({
      ready,
      run: (run) => void socket.write(runFrame(run)),
      cancel: (id) => void socket.write(idFrame(frameKinds.cancel, id)),
      endSession: (session) => void socket.write(idFrame(frameKinds.endSession, session)),
      stop: (seconds) =>
        new Promise((done) => {
          if (gone) return done();
          hold(true);
          const force = setTimeout(kill, seconds * 1000);
          exits.push(() => {
            clearTimeout(force);
            done();
          });
          socket.end();
        }),
    });

    const read = frameReader((kind, body) => {
      if (kind === frameKinds.ready) {
        up = true;
        clearTimeout(timer);
        hold(false);
        resolve(supervisor(JSON.parse(body.toString('utf8')) as SupervisorReady));
      } else if (kind === frameKinds.failed) {
        told = body.toString('utf8');
      } else if (kind === frameKinds.result) {
        options.onResult(readResult(body));
      }
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        told = String(error);
        kill();
      }
    });
    errorStream.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString('utf8')).slice(-4096);
    });
    errorStream.on('error', (error) => {
      errors += `\n${error.message}`;
    });
    // A broken connection shows up here first; its end, which always follows, is what is acted upon.
    socket.on('error', (error) => {
      errors += `\n${error.message}`;
    });
    const ended = async (): Promise<void> => {
      clearTimeout(timer);
      kill(); // gone already, but for a process that closed its connection and went on
      const end = await endOf(pid).catch(errorMessage);
      gone = true;
      errorStream.destroy();
      const last = errors.trim().slice(-800);
      const reason = `${told === '' ? end : told}${last === '' ? '' : `: ${last}`}`;
      for (const tell of exits) tell();
      if (up) options.onExit(reason);
      else reject(new Error(reason));
    };
    socket.on('close', () => void ended());
    socket.write(settingsFrame(settings(options, library)));
  });
}
