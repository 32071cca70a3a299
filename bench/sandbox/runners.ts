/**
 * What runs programs in this bench: a process for each by Node's own spawn, the same in bubblewrap, and our sandbox at two levels, with
 * and without sessions. All get the same interpreter and the same environment; every answer is compared.
 */
import { spawn, spawnSync } from 'node:child_process';
import { openPythonTool, type PythonTool, type PythonToolOptions } from '../../lib/tools/python.ts';
import {
  findInterpreter,
  type Interpreter,
  programEnvironment,
} from '../../lib/tools/sandbox/interpreter.ts';
import { type LeanInterpreter, makeLeanInterpreter } from './interpreter.ts';

/** Programs at the same time. */
export const lanes = 2;

export interface Program {
  readonly name: string;
  readonly code: string;
  readonly output: string;
  /** Package that it needs, if any. */
  readonly needs: string | null;
}

export const nothing: Program = { name: 'pass', code: 'pass', output: '', needs: null };
export const small: Program = {
  name: 'small',
  code: 'print(sum(i * i for i in range(1000)))',
  output: '332833500\n',
  needs: null,
};
export const programs: readonly Program[] = [
  small,
  {
    name: 'numpy',
    code: 'import numpy as np; print(np.arange(1000).sum())',
    output: '499500\n',
    needs: 'numpy',
  },
  {
    name: 'sympy',
    code: "from sympy import solve, symbols\nx = symbols('x')\nprint(solve(x**2 - 5*x + 6, x))",
    output: '[2, 3]\n',
    needs: 'sympy',
  },
];

export interface Runner {
  readonly name: string;
  /** How many times as fast as a spawn it is to be, by name of the program. */
  readonly goals: Readonly<Record<string, number>>;
  /** What the program wrote; rejects if it failed. Calls of one lane come one after the other. */
  run(code: string, lane: number): Promise<string>;
}

export interface Runners extends AsyncDisposable {
  /** The first is what the others are compared with. */
  readonly all: readonly Runner[];
  readonly interpreter: Interpreter;
  /** What is not measured here, and why. */
  readonly absent: readonly string[];
}

/** Runs one program and ends it well, or rejects. */
export async function checked({ run, name }: Runner, program: Program, lane: number): Promise<void> {
  const output = await run(program.code, lane);
  if (output === program.output) return;
  throw new Error(`${name}: expected ${JSON.stringify(program.output)}, found ${JSON.stringify(output)}`);
}

function capture(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: programEnvironment });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command} ended with ${signal ?? code}: ${stderr.slice(-500)}`));
    });
  });
}

function bubblewrapArguments(interpreter: Interpreter, lean: LeanInterpreter): string[] {
  return [
    ...['--unshare-all', '--die-with-parent', '--new-session', '--proc', '/proc', '--dev', '/dev'],
    ...['--tmpfs', '/tmp', '--chdir', '/tmp'],
    ...[...interpreter.readable, lean.folder].flatMap((path) => ['--ro-bind', path, path]),
  ];
}

const limits = { seconds: 20, memoryBytes: 2 ** 30, outputBytes: 4096, fileBytes: 2 ** 20 };

function ours(tool: PythonTool, level: string, sessions: boolean, goals: Record<string, number>): Runner {
  return {
    name: `ours, ${level}, ${sessions ? 'a session for each lane' : 'stateless'}`,
    goals,
    async run(code, lane) {
      const session = sessions ? { session: `lane ${lane}` } : {};
      const result = await tool.run({ callId: 'bench', code, ...limits, ...session });
      if (result.status === 'ok') return result.stdout;
      throw new Error(`a program ended as ${result.status}: ${result.error ?? result.stderr}`);
    },
  };
}

/** The goals of issue 7. */
const portableGoals = { small: 3, numpy: 8 };
const fullGoals = { small: 2.5, numpy: 8 };

export async function openRunners(options: PythonToolOptions = {}): Promise<Runners> {
  const interpreter = await findInterpreter(options.python ?? 'python3', 20);
  const lean = makeLeanInterpreter(interpreter.executable);
  const { executable } = lean;
  const absent: string[] = [];
  const all: Runner[] = [
    { name: 'spawn python3 -I', goals: {}, run: (code) => capture(executable, ['-I', '-c', code]) },
  ];
  const wrapped = [...bubblewrapArguments(interpreter, lean), executable, '-I', '-c'];
  const probe = spawnSync('bwrap', [...wrapped, 'pass'], {
    encoding: 'utf8',
    env: { ...programEnvironment },
  });
  if (probe.status === 0) {
    all.push({ name: 'spawn bwrap', goals: {}, run: (code) => capture('bwrap', [...wrapped, code]) });
  } else {
    absent.push(`bwrap: ${probe.error?.message ?? probe.stderr.trim()}`);
  }
  const tools: PythonTool[] = [];
  const open = async (wanted: string, testing: PythonToolOptions['testing']): Promise<PythonTool | null> => {
    const tool = await openPythonTool({ ...options, workers: lanes, ...(testing && { testing }) });
    tools.push(tool);
    if (tool.level.name === wanted) return tool;
    absent.push(`ours, ${wanted}: the sandbox is ${tool.level.name} here`);
    return null;
  };
  const portable = await open('landlock+seccomp+rlimits', { without: ['namespaces'] });
  if (portable !== null) all.push(ours(portable, 'landlock+seccomp+rlimits', false, portableGoals));
  const full = await open('namespaces+landlock+seccomp+rlimits', undefined);
  if (full !== null) {
    all.push(ours(full, 'with namespaces', false, fullGoals), ours(full, 'with namespaces', true, {}));
  }
  return {
    ...{ all, interpreter, absent },
    async [Symbol.asyncDispose]() {
      lean.remove();
      for (const tool of tools) await tool.close();
    },
  };
}
