/**
 * The Python tool: runs a model's programs with the machine's own `python3` in a sandbox that a hostile program does not
 * leave (docs/python-sandbox.md). Here: options, the level that was verified, the queue, sessions, retries. The sandbox itself is in
 * `sandbox/`, its process is driven by `sandbox/supervisor.ts`.
 *
 * Invariants: the event loop never waits; a result with `infrastructure_error` says nothing about the program; a sandbox that does not
 * hold is refused unless the caller says otherwise.
 */
import { availableParallelism, totalmem } from 'node:os';
import { errorMessage } from '../errors.ts';
import { FairQueue, type Waiting } from './queue.ts';
import type { ResultFrame, RunFrame } from './sandbox/frames.ts';
import { findInterpreter, type Interpreter } from './sandbox/interpreter.ts';
import { describeLayers, type SandboxLevel } from './sandbox/level.ts';
import { openLevel, type SandboxTesting } from './sandbox/open.ts';
import { hardOutputBytes, infrastructure, outcome, wallSeconds } from './sandbox/outcome.ts';
import { Sessions } from './sandbox/sessions.ts';
import type { Supervisor } from './sandbox/supervisor.ts';
import { checkToolRequest, type Tool, type ToolRequest, type ToolResult } from './tool.ts';

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
  /** Longest the supervisor may take beyond a call's limits to answer, and to end when closed, before it is killed. Default 20. */
  graceSeconds?: number;
  /** How often a supervisor that died is replaced. Default 3. */
  restarts?: number;
  /** How often a call is made again after a failure that is not its own. Default 2. */
  retries?: number;
  /** Where working directories are made if there are no namespaces. Default: the system's. */
  temporaryDirectory?: string;
  /** Memory of all programs together, where a control group can be made. Default: half of the machine's. */
  totalMemoryBytes?: number;
  /** Runs programs even where the sandbox does not hold. Default false. */
  unsafe?: boolean;
  /** For tests of the sandbox: layers to leave out, a container's filter, another user. */
  testing?: SandboxTesting;
}

/** A {@link Tool} with what `toolgrad doctor` shows of it. */
export interface PythonTool extends Tool {
  readonly version: string;
  readonly executable: string;
  /** The isolation as it was verified by attacks when the tool was opened. */
  readonly level: SandboxLevel;
  /** Process id of the supervisor, `null` while there is none. */
  readonly supervisorPid: number | null;
  endSession(session: string): void;
}

interface Call {
  id: number;
  request: ToolRequest;
  finish(result: ToolResult): void;
  abort(): void;
  waiting: Waiting<Call> | null;
  attempts: number;
  /** Owner's deadline of the supervisor's answer. */
  timer: NodeJS.Timeout | null;
}

function checkedOptions(options: PythonToolOptions) {
  const chosen = {
    python: options.python ?? 'python3',
    workers: options.workers ?? availableParallelism(),
    queueSeconds: options.queueSeconds ?? 600,
    startSeconds: options.startSeconds ?? 20,
    graceSeconds: options.graceSeconds ?? 20,
    restarts: options.restarts ?? 3,
    retries: options.retries ?? 2,
    totalMemoryBytes: options.totalMemoryBytes ?? Math.floor(totalmem() / 2),
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
  for (const field of ['restarts', 'retries', 'totalMemoryBytes'] as const) {
    if (!Number.isInteger(chosen[field]) || chosen[field] < 0) {
      throw new RangeError(`Python tool: expected an integer from 0 for ${field}, found ${chosen[field]}`);
    }
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

/** Programs that name a package get the template that has it; a session may import it later. */
function templateOf(request: ToolRequest, { modules }: Interpreter): number {
  if (modules.length === 0) return 0;
  return request.session !== undefined || modules.some((name) => request.code.includes(name)) ? 1 : 0;
}

/**
 * Opens the Python tool. Call it before the model is loaded, so that the sandbox is there before the memory is used.
 * @throws {TypeError | RangeError} for malformed options.
 * @throws {Error} on systems other than Linux, when there is no usable interpreter, or when the sandbox would not hold.
 * @example
 * await using tool = await openPythonTool({ workers: 2 });
 * const limits = { seconds: 10, memoryBytes: 2 ** 29, outputBytes: 4096, fileBytes: 2 ** 20 };
 * const { status, output } = await tool.run({ callId: 'a', code: 'print(2**64)', ...limits });
 */
export async function openPythonTool(options: PythonToolOptions = {}): Promise<PythonTool> {
  const chosen = checkedOptions(options);
  const { python, workers, queueSeconds, startSeconds, graceSeconds, restarts, retries } = chosen;
  if (process.platform !== 'linux') {
    throw new Error(
      `Python tool: expected Linux, found ${process.platform}, where there is no sandbox that holds. Run programs elsewhere: ` +
        '`toolgrad sandbox serve` on a Linux machine, and its address as `tool.url` (docs/sandbox-serve.md)',
    );
  }
  const interpreter = await findInterpreter(python, startSeconds);
  const queue = new FairQueue<Call>();
  const running = new Map<number, Call>();
  const sessions = new Sessions<Call>();
  let supervisor: Supervisor | null = null;
  let starting: Promise<void> | null = null;
  let deaths = 0;
  let lastDeath = '';
  let serial = 0;
  let closing: Promise<void> | null = null;

  const onResult = (result: ResultFrame): void => {
    const call = running.get(result.id);
    if (call === undefined) return; // its owner's deadline has passed; the supervisor is being replaced
    running.delete(result.id);
    if (call.timer !== null) clearTimeout(call.timer);
    const { request } = call;
    if (result.sessionEnded && request.session !== undefined) sessions.lost(request.session);
    if (result.cause === 'failed' || result.starved) {
      again(call, result.starved ? 'the machine was too busy to run the program' : result.error);
    } else if (result.cause === 'cancelled') {
      call.finish(infrastructure(request, 'the session was ended while its program ran'));
    } else {
      call.finish(outcome(request, result, interpreter.ownPaths));
    }
    pump();
  };

  const onExit = (reason: string, mine: Supervisor): void => {
    if (supervisor === mine) supervisor = null;
    if (closing === null) {
      deaths++;
      lastDeath = reason;
    }
    const lost = [...running.values()];
    running.clear();
    for (const call of lost) {
      if (call.timer !== null) clearTimeout(call.timer);
      if (closing === null) again(call, `the supervisor died: ${reason}`);
      else call.finish(infrastructure(call.request, 'the tool was closed'));
    }
    pump();
  };

  /** A failure that is not the program's: once more while attempts are left, unless state may be gone. */
  const again = (call: Call, why: string): void => {
    if (call.attempts > retries || call.request.session !== undefined || closing !== null) {
      return call.finish(infrastructure(call.request, why));
    }
    enqueue(call);
  };

  const enqueue = (call: Call): void => {
    const { request } = call;
    const key = request.trajectory ?? request.session ?? '';
    call.waiting = queue.push(key, call, {
      seconds: queueSeconds,
      expired: () =>
        call.finish(infrastructure(request, `queue: no worker was free within ${queueSeconds} s`)),
    });
  };

  const open = () =>
    openLevel({
      interpreter,
      startSeconds,
      totalMemoryBytes: chosen.totalMemoryBytes,
      ...(options.temporaryDirectory === undefined ? {} : { temporaryDirectory: options.temporaryDirectory }),
      ...(options.testing === undefined ? {} : { testing: options.testing }),
      onResult,
      onExit,
    });

  /** Replaces a supervisor that died, if it may be; the calls that wait go on then. */
  const restart = (): void => {
    if (deaths > restarts) {
      const why = `the supervisor died ${deaths} times and is not replaced again; last: ${lastDeath}`;
      for (const call of queue.drain()) call.finish(infrastructure(call.request, why));
      return;
    }
    starting = open()
      .then(async (opened) => {
        if (opened.level.name === level.name) {
          supervisor = opened.supervisor;
          return;
        }
        await opened.supervisor.stop(graceSeconds);
        throw new Error(`the sandbox held as ${level.name} and holds as ${opened.level.name} now`);
      })
      .catch((error: unknown) => {
        deaths++;
        lastDeath = errorMessage(error);
      })
      .then(() => {
        starting = null;
        pump();
      });
  };

  const start = (call: Call, owner: Supervisor): void => {
    const { request } = call;
    call.waiting = null;
    call.attempts += 1;
    call.id = ++serial;
    running.set(call.id, call);
    const wall = wallSeconds(request);
    const patience = startSeconds + wall + graceSeconds;
    call.timer = setTimeout(() => {
      // Every call bounds itself, so this means that the supervisor hangs: all its calls are lost.
      call.finish(infrastructure(request, `the supervisor did not answer within ${patience} s`));
      running.delete(call.id);
      void owner.stop(0);
    }, patience * 1000);
    const frame: RunFrame = {
      id: call.id,
      ...(request.session === undefined
        ? { session: 0, continues: false }
        : sessions.begin(request.session, (number) => owner.endSession(number))),
      template: templateOf(request, interpreter),
      processes: request.processes ?? 0,
      startSeconds,
      cpuSeconds: request.seconds,
      wallSeconds: wall,
      memoryBytes: request.memoryBytes,
      fileBytes: request.fileBytes,
      keptBytes: request.outputBytes,
      hardBytes: hardOutputBytes(request.outputBytes),
      seed: request.seed ?? 0n,
      code: request.code,
      stdin: request.stdin ?? '',
      files: request.files ?? {},
      fetch: request.fetch ?? [],
    };
    owner.run(frame);
  };

  /** Hands queued calls to free workers, replacing a dead supervisor first. */
  const pump = (): void => {
    if (closing !== null || queue.size === 0 || starting !== null) return;
    if (supervisor === null) return restart();
    while (running.size < workers && queue.size > 0) start(queue.take()!, supervisor);
  };

  const run = (request: ToolRequest, signal?: AbortSignal): Promise<ToolResult> => {
    checkToolRequest(request);
    if ((request.processes ?? 0) > 0 && !level.layers.some((l) => l.layer === 'namespaces' && l.works)) {
      throw new RangeError('tool request: expected 0 for processes, which need namespaces (toolgrad doctor)');
    }
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        const error = new Error(`tool call ${request.callId} was aborted`, { cause: signal?.reason });
        reject(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }));
      };
      if (signal?.aborted) return aborted();
      if (closing !== null) return resolve(infrastructure(request, 'the tool is closed'));
      const { session } = request;
      const call: Call = {
        id: 0,
        request: { ...request },
        waiting: null,
        attempts: 0,
        timer: null,
        finish(result) {
          if (call.timer !== null) clearTimeout(call.timer);
          signal?.removeEventListener('abort', call.abort);
          resolve(result);
          // The next program of the session may begin.
          const next = session === undefined ? undefined : sessions.next(session, call);
          if (next !== undefined) enqueue(next);
        },
        abort() {
          aborted();
          call.attempts = retries + 1;
          // Its worker is free again when the supervisor says that all is killed.
          if (running.has(call.id)) supervisor?.cancel(call.id);
          else if (call.waiting !== null && queue.remove(call.waiting))
            call.finish(infrastructure(request, ''));
          else if (session !== undefined) sessions.forget(session, call);
        },
      };
      signal?.addEventListener('abort', call.abort, { once: true });
      if (session === undefined || sessions.enter(session, call)) enqueue(call);
      pump();
    });
  };

  const endSession = (session: string): void => {
    const number = sessions.end(session);
    if (number !== null) supervisor?.endSession(number);
  };

  const close = (): Promise<void> => {
    closing ??= (async () => {
      for (const call of [...queue.drain(), ...sessions.drain()]) {
        call.finish(infrastructure(call.request, 'the tool was closed'));
      }
      await starting;
      await supervisor?.stop(graceSeconds);
    })();
    return closing;
  };

  const first = await open();
  const { level } = first;
  supervisor = first.supervisor;
  if (!level.safe && options.unsafe !== true) {
    await supervisor.stop(graceSeconds);
    throw new Error(
      'Python tool: expected a sandbox of seccomp, rlimits and Landlock or namespaces, found one that does not hold:\n' +
        `${describeLayers(level)
          .map((line) => `  ${line}\n`)
          .join('')}` +
        'Use a newer kernel (5.13), a remote sandbox (tool.url), or accept the danger: --unsafe-sandbox, option `unsafe`',
    );
  }
  return {
    version: interpreter.version,
    executable: interpreter.executable,
    level,
    get supervisorPid() {
      return supervisor?.ready.pid ?? null;
    },
    describe: `Python ${interpreter.version} (${interpreter.executable}), ${workers} at a time, ${level.safe ? 'sandbox' : 'UNSAFE SANDBOX'} ${level.name}`,
    run,
    endSession,
    close,
    [Symbol.asyncDispose]: close,
  };
}
