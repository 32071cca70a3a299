/**
 * Finds the interpreter that is to run programs, by asking it (`sandbox/probe.py`): its version, its packages, and what of the
 * file system it needs to read. The list is what a sandbox shows of this machine, so it holds the interpreter and the system's
 * libraries and nothing else.
 */
import { execFile } from 'node:child_process';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { packageRoot } from '../../package.ts';

export interface Interpreter {
  version: string;
  /** The true interpreter: shims and links resolved. */
  executable: string;
  /** Its own directories and files; programs are not to show these paths to the model. */
  ownPaths: string[];
  /** All that must be readable, links included. */
  readable: string[];
  /** Those of {@link knownModules} that it has. */
  modules: string[];
}

/** Packages that a template imports when they are there. */
export const knownModules = ['numpy', 'sympy'] as const;

/** Variables of the trainer that finding and loading the interpreter may need (pyenv, virtual environments). */
const passedOn = ['PATH', 'HOME', 'LANG', 'PYENV_ROOT', 'PYENV_VERSION', 'VIRTUAL_ENV', 'LD_LIBRARY_PATH'];

/** What every program needs besides the interpreter. No secrets lie here: all of it comes with packages of the system. */
const systemPaths = [
  ...['/lib', '/lib64', '/usr/lib', '/usr/lib64'],
  ...['/etc/ld.so.cache', '/etc/alternatives', '/usr/share/zoneinfo'],
];

/** What programs see of the environment, besides HOME and TMPDIR, which are their working directory. */
export const programEnvironment = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  LANG: 'C.UTF-8',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
  PYTHONHASHSEED: '0',
  OMP_NUM_THREADS: '1',
  OPENBLAS_NUM_THREADS: '1',
  MKL_NUM_THREADS: '1',
  CUDA_VISIBLE_DEVICES: '',
};

const kLongestChain = 16;

/** `path` and, while it is a link, what it points to. */
function chain(path: string): string[] {
  const links: string[] = [];
  for (let at = path; links.length < kLongestChain && existsSync(at); ) {
    links.push(at);
    if (!lstatSync(at).isSymbolicLink()) break;
    at = resolve(dirname(at), readlinkSync(at));
  }
  return links;
}

/** The paths without those that lie beneath another one, shortest first. */
export function readablePaths(paths: readonly string[]): string[] {
  const all = [...new Set([...systemPaths, ...paths].flatMap(chain))].sort((a, b) => a.length - b.length);
  const folders = all.filter((path) => lstatSync(path).isDirectory());
  return all.filter((path) => !folders.some((folder) => folder !== path && path.startsWith(`${folder}/`)));
}

interface Found {
  version: string;
  executable: string;
  prefixes: string[];
  paths: string[];
  modules: string[];
}

/** @throws {Error} if there is no such interpreter, or it is too old, or does not answer in time. */
export async function findInterpreter(python: string, seconds: number): Promise<Interpreter> {
  const environment: Record<string, string> = {};
  for (const name of passedOn) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  const probe = join(packageRoot, 'sandbox', 'probe.py');
  const output = await new Promise<string>((done, failed) => {
    execFile(
      python,
      ['-I', '-B', probe, ...knownModules],
      { env: environment, timeout: seconds * 1000, killSignal: 'SIGKILL', encoding: 'utf8' },
      (error, stdout, stderr) => {
        if (error === null && stdout.startsWith('{')) return done(stdout);
        const why =
          error === null
            ? 'it does not answer as one'
            : error.killed
              ? `it did not answer within ${seconds} s`
              : stderr.trim() !== ''
                ? `it said: ${stderr.trim().slice(-500)}`
                : `found none that can be started (${error.message})`;
        failed(
          new Error(
            `Python tool: expected a Python interpreter (3.8 or newer) at "${python}"; ${why}. ` +
              'Install one (Debian: apt-get install python3) or name it with the option "python"',
          ),
        );
      },
    );
  });
  const found = JSON.parse(output) as Found;
  const links = chain(found.executable);
  const executable = links.at(-1)!;
  const system = (prefix: string) => ['/', '/usr', '/usr/local'].includes(prefix);
  const libraries = found.paths.filter((path) => !path.endsWith('.so') && lstatSync(path).isDirectory());
  return {
    version: found.version,
    executable: found.executable,
    ownPaths: [...new Set([...libraries, ...links, ...found.prefixes.filter((p) => !system(p))])],
    readable: readablePaths([...found.paths, executable]),
    modules: found.modules,
  };
}
