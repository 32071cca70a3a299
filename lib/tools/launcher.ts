/**
 * The trainer's end of the launcher process (`launcher.py`): starts it, exchanges length-prefixed JSON frames with it,
 * notices its death. Policy (queue, restarts, statuses) is in `python.ts`.
 * Invariants: nothing here waits for a child; the launcher's handles never keep the event loop alive, so a trainer that
 * forgets `close()` can end, and the launcher ends with it. It gets an allow-listed environment only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { KeptStream } from './output.ts';

/** What the launcher says of itself once it is up. */
export interface LauncherReady {
  pid: number;
  version: string;
  /** The true interpreter, shims resolved. */
  executable: string;
  /** The interpreter's own files and directories. */
  paths: string[];
  temporary: string;
  /** `subreaper` where processes that leave their group are found and killed too (Linux), else `process group`. */
  supervision: string;
}

/** One call as the launcher gets it. `id` is the launcher's own numbering. */
export interface LauncherCall {
  id: number;
  code: string;
  seconds: number;
  startSeconds: number;
  memoryBytes: number;
  outputBytes: number;
  hardBytes: number;
  fileBytes: number;
}

/** What became of a call: `failed` and `cancelled` carry no outcome. */
export type LauncherReply =
  | { id: number; cause: 'failed'; error: string }
  | {
      id: number;
      cause: 'exit' | 'deadline' | 'output' | 'cancelled';
      /** `S` once the interpreter was ready, `M` after it when memory ran out, `X...` if it could not be started. */
      said: string;
      exitCode: number | null;
      signal: string | null;
      seconds: number;
      cpuSeconds: number;
      residentBytes: number;
      stdout: KeptStream;
      stderr: KeptStream;
      /** Descendants that could not be killed. */
      survivors: number;
      workdir: string;
    };

/** A running launcher. */
export interface Launcher {
  readonly ready: LauncherReady;
  run(call: LauncherCall): void;
  cancel(id: number): void;
  /** Ends it, by force if it does not end within `seconds`; resolves when the process is gone. */
  stop(seconds: number): Promise<void>;
}

/** How a launcher is started and whom it tells. */
export interface LauncherOptions {
  python: string;
  temporaryDirectory?: string;
  /** Deadline for it to be up. */
  startSeconds: number;
  onReply(reply: LauncherReply): void;
  /** Called once when the process is gone, for whatever reason, after the last reply; says why. */
  onExit(reason: string): void;
}

/** What programs see of the environment, besides HOME and TMPDIR, which are their working directory. */
const programEnvironment = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
  PYTHONHASHSEED: '0',
  OMP_NUM_THREADS: '1',
  OPENBLAS_NUM_THREADS: '1',
  MKL_NUM_THREADS: '1',
};

/** Variables of the trainer that finding and loading the interpreter may need (pyenv, virtual environments). */
const passedOn = ['PATH', 'HOME', 'LANG', 'PYENV_ROOT', 'PYENV_VERSION', 'VIRTUAL_ENV', 'LD_LIBRARY_PATH'];

const maximumFrame = 2 ** 28;

function frame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/** Splits a byte stream into frames; calls `take` for each. */
function frameReader(take: (message: unknown) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let size = 0;
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    for (;;) {
      if (size < 4) return;
      if (chunks[0]!.length < 4) chunks = [Buffer.concat(chunks)];
      const length = chunks[0]!.readUInt32BE(0);
      if (length > maximumFrame)
        throw new Error(`expected a frame of at most ${maximumFrame} bytes, found ${length}`);
      if (size < 4 + length) return;
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      chunks = [all.subarray(4 + length)];
      size -= 4 + length;
      take(JSON.parse(all.toString('utf8', 4, 4 + length)));
    }
  };
}

/** Streams cross as Latin-1 text, one character per byte. */
function bytesOf(stream: { head: string; dropped: number; tail: string }): KeptStream {
  return {
    head: Buffer.from(stream.head, 'latin1'),
    dropped: stream.dropped,
    tail: Buffer.from(stream.tail, 'latin1'),
  };
}

/** Makes the launcher's handles keep the event loop alive, or not. */
function hold(child: ChildProcess, on: boolean): void {
  const change = on ? 'ref' : 'unref';
  child[change]();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket | null)?.[change]();
}

/**
 * Starts the launcher and waits until it is up.
 * @throws {Error} if there is no such interpreter, it is too old, or it does not answer in time.
 */
export function startLauncher(options: LauncherOptions): Promise<Launcher> {
  const { python, startSeconds } = options;
  const settings = {
    bootstrap: fileURLToPath(new URL('./bootstrap.py', import.meta.url)),
    temporary: options.temporaryDirectory ?? tmpdir(),
    environment: programEnvironment,
  };
  const environment: Record<string, string> = {};
  for (const name of passedOn) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  const script = fileURLToPath(new URL('./launcher.py', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(python, ['-I', '-S', script, JSON.stringify(settings)], {
      env: environment,
      detached: true, // a session of its own: Ctrl-C is for the trainer, which decides what to do with running calls
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    hold(child, false);
    let errors = '';
    let gone = false;
    let up = false;
    const exits: (() => void)[] = [];
    const fail = (reason: string): void => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      if (!up) {
        reject(
          new Error(
            `Python tool: expected a Python interpreter (3.8 or newer) at "${python}"; ${reason}. ` +
              'Install one (Debian: apt-get install python3) or name it with the option "python"',
          ),
        );
      }
    };
    const timer = setTimeout(() => fail(`it did not answer within ${startSeconds} s`), startSeconds * 1000);
    const lastErrors = (): string => (errors.trim() === '' ? '' : `: ${errors.trim().slice(-500)}`);
    const ended = (reason: string): void => {
      if (gone) return;
      gone = true;
      fail(`${reason}${lastErrors()}`);
      for (const tell of exits) tell();
      if (up) options.onExit(`${reason}${lastErrors()}`);
    };

    const launcher = (ready: LauncherReady): Launcher => ({
      ready,
      run: (call) => void child.stdin.write(frame({ op: 'run', ...call })),
      cancel: (id) => void child.stdin.write(frame({ op: 'cancel', id })),
      stop: (seconds) =>
        new Promise((done) => {
          if (gone) return done();
          hold(child, true);
          const force = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
          exits.push(() => {
            clearTimeout(force);
            done();
          });
          child.stdin.end();
        }),
    });

    const read = frameReader((message) => {
      const { op, ...body } = message as { op: string };
      if (op === 'ready') {
        up = true;
        clearTimeout(timer);
        resolve(launcher(body as unknown as LauncherReady));
        return;
      }
      const reply = body as unknown as LauncherReply;
      if (reply.cause !== 'failed') {
        reply.stdout = bytesOf(reply.stdout as unknown as Parameters<typeof bytesOf>[0]);
        reply.stderr = bytesOf(reply.stderr as unknown as Parameters<typeof bytesOf>[0]);
      }
      options.onReply(reply);
    });
    child.stdout.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        errors += `\n${String(error)}`;
        child.kill('SIGKILL');
      }
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString('utf8')).slice(-4096);
    });
    // Broken pipes show up here first; the end of the process, which always follows, is what is acted upon.
    child.stdin.on('error', (error) => {
      errors += `\n${error.message}`;
    });
    child.on('error', (error) => ended(`found none that can be started (${error.message})`));
    child.on('close', (code, signal) => ended(`it ended with ${signal ?? `exit status ${code}`}`));
  });
}
