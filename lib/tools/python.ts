/**
 * The Python tool: runs a model's programs with the machine's own `python3`, one fresh interpreter per call.
 *
 * What it stops: programs that take too long, use too much memory, write too much, leave processes or files behind, read
 * the trainer's environment variables by accident, or hang the trainer. What it does NOT stop: it is not a security
 * boundary. A program runs as the user who trains; the network and every file of that user stay reachable, it can
 * signal the trainer, and it can start any number of processes until its time is over. See docs/python-tool.md.
 *
 * Invariants: the event loop never waits; a result with `infrastructure_error` says nothing about the program.
 */
import { availableParallelism } from 'node:os';
import { type Launcher, type LauncherReady, type LauncherReply, startLauncher } from './launcher.ts';
import { modelView, streamText } from './output.ts';
import { checkToolRequest, type Tool, type ToolRequest, type ToolResult, type ToolStatus } from './tool.ts';

/** Options of {@link openPythonTool}. */
export interface PythonToolOptions {
  /** The interpreter: a path or a name on PATH. Default `python3`. */
  python?: string;
  /** Programs that run at the same time. Default: the machine's cores. */
  workers?: number;
  /** Longest a call may wait for a free worker before it ends as `infrastructure_error`. Default 600. */
  queueSeconds?: number;
  /** Longest an interpreter may take to be ready, which is not charged to the program. Default 20. */
  startSeconds?: number;
  /** Longest the launcher may take beyond a call's limits to answer, and to end when closed, before it is killed. Default 20. */
  graceSeconds?: number;
  /** How often a launcher that died is replaced. Default 3. */
  restarts?: number;
  /** Where working directories are made. Default: the system's. */
  temporaryDirectory?: string;
}

/** A {@link Tool} with what `toolgrad doctor` shows of it. */
export interface PythonTool extends Tool {
  readonly version: string;
  readonly executable: string;
  /** Process id of the launcher, `null` while there is none. */
  readonly launcherPid: number | null;
}

interface Call {
  id: number;
  request: ToolRequest;
  finish(result: ToolResult): void;
  abort(): void;
  /** Owner's deadline: of the wait in the queue first, then of the launcher's answer. */
  timer: NodeJS.Timeout;
}

/** Bytes of output after which a program is stopped. */
export function hardOutputBytes(outputBytes: number): number {
  return Math.max(2 ** 20, 16 * outputBytes);
}

function infrastructure(request: ToolRequest, error: string): ToolResult {
  return {
    callId: request.callId,
    status: 'infrastructure_error',
    stdout: '',
    stderr: '',
    output: '',
    exitCode: null,
    signal: null,
    seconds: 0,
    cpuSeconds: 0,
    truncatedBytes: 0,
    error,
  };
}

/** Turns what the launcher measured into a result. */
function resultOf(
  request: ToolRequest,
  reply: LauncherReply,
  interpreter: readonly string[],
  startSeconds: number,
): ToolResult {
  if (reply.cause === 'failed') return infrastructure(request, reply.error);
  const stderr = streamText(reply.stderr);
  const broken = !reply.said.startsWith('S')
    ? reply.said.startsWith('X')
      ? `the interpreter could not be started: ${reply.said.slice(1)}`
      : reply.cause === 'deadline'
        ? `the interpreter was not ready within ${startSeconds} s`
        : `the interpreter ended before the program began (${reply.signal ?? `exit status ${reply.exitCode}`}): ${stderr.slice(-500)}`
    : reply.survivors > 0
      ? `${reply.survivors} processes of the call could not be killed`
      : undefined;
  if (broken !== undefined) return infrastructure(request, broken);
  const killed = reply.signal === 'SIGKILL' && reply.cause === 'exit'; // and not by the launcher
  const outOfTime = reply.signal === 'SIGXCPU' || (killed && reply.cpuSeconds > request.seconds + 1);
  const outOfMemory =
    reply.said.includes('M') ||
    (reply.signal === 'SIGABRT' && /bad_alloc|MemoryError/.test(stderr)) ||
    (killed && !outOfTime && reply.residentBytes > 0.75 * request.memoryBytes);
  let status: ToolStatus;
  if (outOfMemory) status = 'memory';
  else if (reply.cause === 'deadline' || outOfTime) status = 'timeout';
  else if (reply.cause === 'output') status = 'output_limit';
  else status = reply.exitCode === 0 ? 'ok' : 'exception';
  const ending = {
    status,
    exitCode: reply.exitCode,
    signal: reply.signal,
    seconds: request.seconds,
    memoryBytes: request.memoryBytes,
    hardBytes: hardOutputBytes(request.outputBytes),
  };
  const paths = { workdir: reply.workdir, interpreter };
  return {
    callId: request.callId,
    status,
    stdout: streamText(reply.stdout),
    stderr,
    output: modelView(reply.stdout, reply.stderr, ending, paths, request.outputBytes),
    exitCode: reply.exitCode,
    signal: reply.signal,
    seconds: reply.seconds,
    cpuSeconds: reply.cpuSeconds,
    truncatedBytes: reply.stdout.dropped + reply.stderr.dropped,
  };
}

function checkedOptions(options: PythonToolOptions): Required<Omit<PythonToolOptions, 'temporaryDirectory'>> {
  const chosen = {
    python: options.python ?? 'python3',
    workers: options.workers ?? availableParallelism(),
    queueSeconds: options.queueSeconds ?? 600,
    startSeconds: options.startSeconds ?? 20,
    graceSeconds: options.graceSeconds ?? 20,
    restarts: options.restarts ?? 3,
  };
  if (typeof chosen.python !== 'string' || chosen.python === '') {
    throw new TypeError(
      `Python tool: expected the name or path of an interpreter for python, found ${chosen.python}`,
    );
  }
  if (!Number.isInteger(chosen.workers) || chosen.workers < 1 || chosen.workers > 1024) {
    throw new RangeError(
      `Python tool: expected an integer from 1 to 1024 for workers, found ${chosen.workers}`,
    );
  }
  if (!Number.isInteger(chosen.restarts) || chosen.restarts < 0) {
    throw new RangeError(`Python tool: expected an integer from 0 for restarts, found ${chosen.restarts}`);
  }
  for (const field of ['queueSeconds', 'startSeconds', 'graceSeconds'] as const) {
    if (!(chosen[field] > 0 && chosen[field] <= 86_400)) {
      throw new RangeError(
        `Python tool: expected seconds above 0 and up to 86400 for ${field}, found ${chosen[field]}`,
      );
    }
  }
  return chosen;
}

/**
 * Opens the Python tool. Call it before the model is loaded: it starts the launcher process, and starting a process
 * from one that holds gigabytes stalls it for tens of milliseconds.
 * @throws {TypeError | RangeError} for malformed options.
 * @throws {Error} on Windows, or when there is no usable interpreter.
 * @example
 * await using tool = await openPythonTool({ workers: 2 });
 * const limits = { seconds: 10, memoryBytes: 2 ** 29, outputBytes: 4096, fileBytes: 2 ** 20 };
 * const { status, output } = await tool.run({ callId: 'a', code: 'print(2**64)', ...limits });
 */
export async function openPythonTool(options: PythonToolOptions = {}): Promise<PythonTool> {
  const { python, workers, queueSeconds, startSeconds, graceSeconds, restarts } = checkedOptions(options);
  if (process.platform === 'win32') {
    throw new Error(
      'Python tool: expected Linux or macOS, found Windows, which has no process groups or resource limits; ' +
        'run toolgrad inside WSL 2',
    );
  }
  const queue: Call[] = [];
  const running = new Map<number, Call>();
  let launcher: Launcher | null = null;
  let starting: Promise<void> | null = null;
  let deaths = 0;
  let lastDeath = '';
  let serial = 0;
  let closing: Promise<void> | null = null;

  const start = async (): Promise<LauncherReady> => {
    let mine: Launcher | null = null;
    mine = await startLauncher({
      python,
      startSeconds,
      ...(options.temporaryDirectory === undefined ? {} : { temporaryDirectory: options.temporaryDirectory }),
      onReply(reply) {
        const call = running.get(reply.id);
        if (call === undefined) return; // its owner's deadline has passed; the launcher is being replaced
        running.delete(reply.id);
        call.finish(resultOf(call.request, reply, first.paths, startSeconds));
        pump();
      },
      onExit(reason) {
        if (launcher === mine) launcher = null;
        if (closing === null) {
          deaths++;
          lastDeath = reason;
        }
        const lost = [...running.values()];
        running.clear();
        drop(lost, closing === null ? `the launcher died: ${reason}` : 'the tool was closed');
        pump();
      },
    });
    launcher = mine;
    return mine.ready;
  };

  const drop = (calls: Call[], error: string): void => {
    for (const call of calls) call.finish(infrastructure(call.request, error));
  };

  /** Hands queued calls to free workers, replacing a dead launcher first. */
  const pump = (): void => {
    if (closing !== null || queue.length === 0 || starting !== null) return;
    if (launcher === null) {
      if (deaths > restarts) {
        drop(
          queue.splice(0),
          `the launcher died ${deaths} times and is not replaced again; last: ${lastDeath}`,
        );
        return;
      }
      starting = start()
        .catch((error: unknown) => {
          deaths++;
          lastDeath = error instanceof Error ? error.message : String(error);
        })
        .then(() => {
          starting = null;
          pump();
        });
      return;
    }
    while (running.size < workers && queue.length > 0) {
      const call = queue.shift()!;
      clearTimeout(call.timer);
      running.set(call.id, call);
      const { seconds, memoryBytes, outputBytes, fileBytes, code } = call.request;
      const patience = startSeconds + seconds + graceSeconds;
      const owner = launcher;
      call.timer = setTimeout(() => {
        // Every call bounds itself, so this means that the launcher hangs: all its calls are lost.
        call.finish(infrastructure(call.request, `the launcher did not answer within ${patience} s`));
        running.delete(call.id);
        void owner.stop(0);
      }, patience * 1000);
      const hardBytes = hardOutputBytes(outputBytes);
      owner.run({ id: call.id, code, seconds, startSeconds, memoryBytes, outputBytes, hardBytes, fileBytes });
    }
  };

  const run = (request: ToolRequest, signal?: AbortSignal): Promise<ToolResult> => {
    checkToolRequest(request);
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        const error = new Error(`tool call ${request.callId} was aborted`, { cause: signal?.reason });
        reject(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }));
      };
      if (signal?.aborted) return aborted();
      if (closing !== null) return resolve(infrastructure(request, 'the tool is closed'));
      const call: Call = {
        id: ++serial,
        request: { ...request },
        finish(result) {
          clearTimeout(call.timer);
          signal?.removeEventListener('abort', call.abort);
          resolve(result);
        },
        abort() {
          const place = queue.indexOf(call);
          if (place >= 0) {
            queue.splice(place, 1);
            clearTimeout(call.timer);
          } else {
            launcher?.cancel(call.id); // its worker is free again when the launcher says that all is killed
          }
          aborted();
        },
        timer: setTimeout(() => {
          queue.splice(queue.indexOf(call), 1);
          call.finish(infrastructure(request, `queue: no worker was free within ${queueSeconds} s`));
        }, queueSeconds * 1000),
      };
      signal?.addEventListener('abort', call.abort, { once: true });
      queue.push(call);
      pump();
    });
  };

  const close = (): Promise<void> => {
    closing ??= (async () => {
      drop(queue.splice(0), 'the tool was closed');
      await starting;
      await launcher?.stop(graceSeconds);
    })();
    return closing;
  };

  const first = await start();
  return {
    version: first.version,
    executable: first.executable,
    get launcherPid() {
      return launcher?.ready.pid ?? null;
    },
    describe:
      `Python ${first.version} (${first.executable}), ${workers} at a time, process group and resource limits, ` +
      `${first.supervision} supervision; not a sandbox: the network and this user's files stay reachable`,
    run,
    close,
    [Symbol.asyncDispose]: close,
  };
}
