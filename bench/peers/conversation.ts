/**
 * A subject of the comparison: a process that computes when it is asked to, and sleeps while another's turn is timed. It says
 * on its first line who it is; then each line in gets one JSON object out, {"error": …} where the request failed. A process
 * that ends with 77 before that is absent: the reason is on its standard error.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
}

/** Why a peer is not compared with; printed in its place. */
export class Absent extends Error {}

const ABSENT_STATUS = 77;
/** Of Linux, in /proc, a second. */
const CLOCK_TICKS = 100;

type Answer = Readonly<Record<string, unknown>>;

/** A number that an answer must have. */
export function numberIn(answer: Answer, key: string): number {
  const value = answer[key];
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new Error(`expected a number for ${key} in the answer ${JSON.stringify(answer)}`);
  return value;
}

function parse(line: string, command: string): Answer {
  try {
    const answer: unknown = JSON.parse(line);
    if (typeof answer === 'object' && answer !== null) return answer as Answer;
  } catch {
    // said below: what matters is the line
  }
  throw new Error(`${command}: expected a line of JSON but it said: ${line}`);
}

export class Subject {
  readonly name: string;
  readonly detail: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #said: () => string;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, said: () => string, hello: Answer) {
    this.#child = child;
    this.#lines = lines;
    this.#said = said;
    this.name = String(hello.name);
    this.detail = String(hello.detail);
  }

  /** Starts the program and waits until it has said who it is. Rejects with Absent where it cannot be had here. */
  static async start({ command, args, environment = {} }: Program): Promise<Subject> {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-4000);
    });
    child.stdin.on('error', () => undefined); // it has ended: the missing answer tells
    const ended = new Promise<string>((resolve, reject) => {
      child.once('error', (error) => reject(new Absent(`${command}: ${error.message}`)));
      child.once('close', (code, signal) => {
        const said = stderr.trim() || 'it said nothing';
        if (code === ABSENT_STATUS) reject(new Absent(said));
        else resolve(`${command} ended with ${signal ?? code}: ${said}`);
      });
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await Promise.race([lines.next(), ended.then((said) => Promise.reject(new Error(said)))]);
    // The output may end a moment before the exit status is known.
    if (first.done) throw new Error(await ended);
    ended.catch(() => undefined); // from here on the end is seen as an answer that does not come
    return new Subject(child, lines, () => stderr.trim(), parse(first.value, command));
  }

  async ask(request: string): Promise<Answer> {
    this.#child.stdin?.write(`${request}\n`);
    const line = await this.#lines.next();
    if (line.done)
      throw new Error(`${this.name} ended during "${request}": ${this.#said() || 'it said nothing'}`);
    const answer = parse(line.value, this.name);
    if (answer.error !== undefined) throw new Error(`${this.name}, "${request}": ${String(answer.error)}`);
    return answer;
  }

  /** Seconds of processor time that the process has used, all threads; null where there is no /proc. */
  cpuSeconds(): number | null {
    let text: string;
    try {
      text = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    } catch {
      return null;
    }
    // After the name, which may have spaces: state is the first field, user and system time are the 12th and 13th.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  }

  /** Ends the process by closing its input; one that is still there after that is killed. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = new Promise<void>((resolve) => this.#child.once('close', () => resolve()));
    this.#child.stdin?.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await closed;
    clearTimeout(late);
  }
}
