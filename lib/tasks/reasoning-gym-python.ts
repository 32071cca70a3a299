/**
 * Any generator of the Python package reasoning-gym (open-thought, Apache-2.0) as an endless task, where the user's Python has
 * it. Questions and scores are the package's own; an answer is right when its score is exactly 1.
 *
 * One long-lived worker process (`reasoning-gym-worker.py`) in a process group of its own answers one request at a time, each
 * with a deadline; whatever does not answer is killed with its group and started again. It is not the sandboxed tool: it runs
 * with the user's rights and packages, and some of the package's scorers evaluate the answer as Python (sympy's `parse_expr`).
 * Nor are the scorers all strict (`game_of_life_halting` accepts any text); the suite tasks have verifiers of their own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { errorCode, ToolgradError } from '../errors.ts';
import { rejected, type Verdict } from './answer.ts';
import { placeContent, type Question, requireOwnQuestion } from './task.ts';

/** Options of `openReasoningGym`. */
export interface ReasoningGymOptions {
  /** The name of a generator, e.g. `gcd`. */
  readonly generator: string;
  /** Options of the generator (`min_num`, ...); `seed` and `size` are not among them. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** An integer from 0 to 2^32 - 1; the same seed gives the same questions. Default 0. */
  readonly seed?: number;
  /** The interpreter that has the package; default `python3`. */
  readonly python?: string;
  /** The worker's environment; default that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Deadline for starting Python and loading the package, in seconds; default 120. */
  readonly startSeconds?: number;
  /** Deadline for one question; default 60. */
  readonly questionSeconds?: number;
  /** Deadline for scoring one answer; default 10. */
  readonly scoreSeconds?: number;
  /** Address space of the worker in bytes, where the system can limit it; default 4 GiB. */
  readonly memoryBytes?: number;
}

/** A generator of reasoning-gym. */
export interface ReasoningGym {
  /** `reasoning-gym-python/<generator>`. */
  readonly name: string;
  /** The package's version. */
  readonly version: string;
  /** Question number `index` (an integer >= 0); there is no last one. */
  question(index: number): Promise<Question>;
  /** Whether the package's scorer gives the answer to a question from `question` a score of exactly 1. */
  score(question: Question, answer: string | null): Promise<Verdict>;
  /** Ends the worker with its process group. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

type Reply = Readonly<Record<string, unknown>>;

const kWorker = fileURLToPath(new URL('./reasoning-gym-worker.py', import.meta.url));
const kLongestAnswer = 65_536;
const kMostErrorText = 4_000;

/** A request was not answered in time. */
class Overdue extends Error {}

/** One process, from its start to its end. */
interface Worker {
  request(message: object, seconds: number): Promise<Reply>;
  kill(): Promise<void>;
}

/** Lets the event loop end while the worker is idle. */
function hold(child: ChildProcess, on: boolean): void {
  const change = on ? 'ref' : 'unref';
  child[change]();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket | null)?.[change]();
}

/** Starts the process and waits until it has loaded the package; `spawned` gets the worker before that, to be killed. */
async function startWorker(
  options: Required<ReasoningGymOptions>,
  spawned: (worker: Worker) => void,
): Promise<Worker> {
  const { python } = options;
  const child = spawn(python, [kWorker, String(options.memoryBytes)], {
    env: { PYTHONHASHSEED: '0', ...options.env }, // some generators go through sets of texts
    detached: true, // a process group of its own, killed as one
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  let received = '';
  let failure: Error | undefined;
  let settle: ((reply: Reply | Error) => void) | undefined;
  const answer = (reply: Reply | Error): void => {
    const waiting = settle;
    settle = undefined;
    waiting?.(reply);
  };
  const gone = new Promise<void>((resolve) => {
    const ended = (error: Error): void => {
      failure ??= error;
      answer(failure);
      resolve();
    };
    child.on('error', (error) =>
      ended(
        new ToolgradError(
          'ERR_PYTHON_MISSING',
          `reasoning-gym: expected a Python interpreter at "${python}", found none that can be started (${error.message}); ` +
            'install Python 3.10 or newer or name it with the option python',
          { cause: error },
        ),
      ),
    );
    child.on('close', (code, signal) => {
      const why = errors.trim() === '' ? '' : `: ${errors.trim().slice(-500)}`;
      const how = signal === null ? `exit status ${code}` : signal;
      ended(
        new ToolgradError('ERR_WORKER_DIED', `reasoning-gym: the worker process ended with ${how}${why}`),
      );
    });
  });
  child.stdout.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    const end = received.indexOf('\n');
    if (end < 0) return;
    const line = received.slice(0, end);
    received = received.slice(end + 1);
    try {
      answer(JSON.parse(line) as Reply);
    } catch (error) {
      // Something else than the worker wrote to its pipe: whoever asked discards the process.
      const message = 'reasoning-gym: the worker wrote what is no reply';
      answer(new ToolgradError('ERR_WORKER_DIED', message, { cause: error }));
    }
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-kMostErrorText);
  });
  // A broken pipe: the end of the process follows and says more.
  child.stdin.on('error', (error) => {
    errors += error.message;
  });

  const kill = async (): Promise<void> => {
    hold(child, true); // until its end has been seen
    if (failure === undefined && child.pid !== undefined) {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        child.kill('SIGKILL'); // the group is gone already
      }
    }
    await gone;
  };
  const reply = async (seconds: number): Promise<Reply> => {
    if (failure !== undefined) throw failure;
    hold(child, true);
    let timer: NodeJS.Timeout | undefined;
    try {
      const result = await new Promise<Reply | Error>((resolve) => {
        settle = resolve;
        timer = setTimeout(() => answer(new Overdue()), seconds * 1000);
      });
      if (result instanceof Error) throw result;
      return result;
    } finally {
      clearTimeout(timer);
      hold(child, false);
    }
  };

  const worker: Worker = {
    request(message, seconds) {
      if (failure === undefined) child.stdin.write(`${JSON.stringify(message)}\n`);
      return reply(seconds);
    },
    kill,
  };
  spawned(worker);
  try {
    const ready = await reply(options.startSeconds);
    if (ready.refused === 'missing') {
      throw new ToolgradError(
        'ERR_REASONING_GYM_MISSING',
        `reasoning-gym: the package cannot be imported: ${String(ready.message)}; install it with ` +
          `\`${python} -m pip install reasoning-gym\` (Python 3.10 or newer), or name another interpreter with the option python`,
      );
    }
  } catch (error) {
    await kill();
    if (!(error instanceof Overdue)) throw error;
    const message = `reasoning-gym: the worker did not start within ${options.startSeconds} s; raise startSeconds`;
    throw new ToolgradError('ERR_WORKER_TIMEOUT', message);
  }
  return worker;
}

const kCodes: Readonly<Record<string, string>> = {
  generator: 'ERR_UNKNOWN_GENERATOR',
  config: 'ERR_GENERATOR_CONFIG',
};

function checked(reply: Reply): Reply {
  if (reply.refused === undefined) return reply;
  const code = kCodes[String(reply.refused)] ?? 'ERR_REASONING_GYM';
  throw new ToolgradError(code, `reasoning-gym: ${String(reply.message)}`);
}

const kDefaults = {
  python: 'python3',
  config: {},
  seed: 0,
  startSeconds: 120,
  questionSeconds: 60,
  scoreSeconds: 10,
  memoryBytes: 4 * 2 ** 30,
} as const satisfies Partial<ReasoningGymOptions>;

const kOptionNames = ['generator', 'env', ...Object.keys(kDefaults)];

function checkOptions(options: Required<ReasoningGymOptions>): void {
  const fail = (name: string, expected: string, value: unknown): never => {
    throw new TypeError(
      `openReasoningGym: expected ${name} to be ${expected}, found ${JSON.stringify(value)}`,
    );
  };
  const { generator, config, seed, python } = options;
  for (const name of Object.keys(options)) {
    if (!kOptionNames.includes(name)) {
      throw new TypeError(
        `openReasoningGym: unknown option ${JSON.stringify(name)}; it has ${kOptionNames.join(', ')}`,
      );
    }
  }
  if (typeof generator !== 'string' || generator === '')
    fail('generator', 'the name of a generator', generator);
  if (typeof python !== 'string' || python === '') fail('python', 'the path of an interpreter', python);
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    fail('config', 'an object', config);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    fail('seed', 'an integer from 0 to 2^32 - 1', seed);
  }
  for (const name of ['startSeconds', 'questionSeconds', 'scoreSeconds', 'memoryBytes'] as const) {
    const value = options[name];
    if (!Number.isFinite(value) || value <= 0) fail(name, 'a number > 0', value);
  }
}

/**
 * Opens a generator of the Python package reasoning-gym.
 *
 * Rejects with ToolgradError: `ERR_PYTHON_MISSING`, `ERR_REASONING_GYM_MISSING` (the message has the pip command),
 * `ERR_UNKNOWN_GENERATOR` (with the nearest names), `ERR_GENERATOR_CONFIG`, `ERR_WORKER_TIMEOUT`, `ERR_WORKER_DIED`. A worker
 * that was killed or died is started again by the next request. An answer whose scorer takes longer than `scoreSeconds` is
 * rejected with a verdict that says so.
 */
export async function openReasoningGym(given: ReasoningGymOptions): Promise<ReasoningGym> {
  const options: Required<ReasoningGymOptions> = { ...kDefaults, env: process.env, ...given };
  checkOptions(options);
  const { generator, config, seed } = options;
  const name = `reasoning-gym-python/${generator}`;
  let worker: Worker | undefined;
  let version = '';
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();

  const discard = async (): Promise<void> => {
    const old = worker;
    worker = undefined;
    await old?.kill();
  };

  const overdue = (what: string, option: 'startSeconds' | 'questionSeconds'): ToolgradError =>
    new ToolgradError(
      'ERR_WORKER_TIMEOUT',
      `${name}: ${what} took longer than ${options[option]} s; raise ${option}`,
    );

  async function startedWorker(): Promise<Worker> {
    if (worker !== undefined) return worker;
    const fresh = await startWorker(options, (started) => {
      worker = started;
    });
    const message = { op: 'open', generator, config, seed };
    try {
      version = String(checked(await fresh.request(message, options.startSeconds)).version);
    } catch (error) {
      throw error instanceof Overdue ? overdue('making the generator', 'startSeconds') : error;
    }
    return fresh;
  }

  /** Sends a request to the worker, which is started if there is none; one that fails is not used again. */
  async function ask(message: object, seconds: number): Promise<Reply> {
    if (closed) throw new ToolgradError('ERR_DISPOSED', `${name} is closed`);
    try {
      return await (await startedWorker()).request(message, seconds);
    } catch (error) {
      await discard();
      if (closed) throw new ToolgradError('ERR_DISPOSED', `${name} was closed during a request`);
      throw error;
    }
  }

  /** The question of an index. A worker that died while it was idle is noticed here, and replaced once. */
  async function entry(index: number, again = true): Promise<Reply> {
    try {
      return checked(await ask({ op: 'question', index }, options.questionSeconds));
    } catch (error) {
      if (again && errorCode(error) === 'ERR_WORKER_DIED') return entry(index, false);
      throw error instanceof Overdue ? overdue(`question ${index}`, 'questionSeconds') : error;
    }
  }

  /** One request at a time, in the order asked. */
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = queue.then(run);
    queue = result.catch(() => undefined);
    return result;
  }

  const close = async (): Promise<void> => {
    closed = true;
    await discard();
    await queue;
  };

  /** One attempt at scoring an answer; a worker that was started again makes the question first, which is not the scorer's time. */
  async function scoreOnce(index: number, question: Question, answer: string): Promise<Verdict | 'died'> {
    if ((await entry(index)).question !== question.prompt) {
      const message = `${name}: question ${index} is another one now than ${question.id}; was config or seed changed?`;
      throw new ToolgradError('ERR_REASONING_GYM', message);
    }
    try {
      const reply = checked(await ask({ op: 'score', index, answer }, options.scoreSeconds));
      if (typeof reply.raised === 'string') return rejected(`the scorer raised ${reply.raised}`);
      return { correct: reply.score === 1, reason: `the scorer gave ${String(reply.score)}` };
    } catch (error) {
      if (error instanceof Overdue) {
        return rejected(`the scorer took longer than ${options.scoreSeconds} s`);
      }
      if (errorCode(error) === 'ERR_WORKER_DIED') return 'died';
      throw error;
    }
  }

  const gym = {
    question(index: number): Promise<Question> {
      if (!Number.isSafeInteger(index) || index < 0) {
        throw new RangeError(`${name}: expected an index that is an integer >= 0, found ${index}`);
      }
      return inTurn(async () => {
        const reply = await entry(index);
        const prompt = String(reply.question);
        const { id } = placeContent(name, prompt);
        return { id, task: name, prompt, answer: String(reply.answer), meta: { index } };
      });
    },
    score(question: Question, answer: string | null): Promise<Verdict> {
      requireOwnQuestion(name, question);
      const index = question.meta?.index;
      if (typeof index !== 'number') {
        throw new TypeError(
          `${name}: question ${question.id} has no meta.index; pass it as question() gave it`,
        );
      }
      return inTurn(async () => {
        if (typeof answer !== 'string') return rejected('no answer');
        if (answer.length > kLongestAnswer) {
          return rejected(`the answer has ${answer.length} characters, at most ${kLongestAnswer} are read`);
        }
        // A scorer that ends its process twice does so because of the answer.
        const first = await scoreOnce(index, question, answer);
        const verdict = first === 'died' ? await scoreOnce(index, question, answer) : first;
        return verdict === 'died' ? rejected('the process of the scorer ended') : verdict;
      });
    },
  };

  // The generator and its options are checked now, by its first question.
  await gym.question(0).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return { name, version, ...gym, close, [Symbol.asyncDispose]: close };
}
