/** What a run ran on and with: env.json of the run directory, and the `doctor` command. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, freemem, release, totalmem, type } from 'node:os';
import { packageRoot, packageVersion } from '../package.ts';

export interface Environment {
  readonly toolgrad: string;
  readonly commit: string | null;
  readonly dirty: boolean | null;
  readonly node: string;
  readonly system: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly freeBytes: number;
}

export function describeEnvironment(): Environment {
  const commit = git(['rev-parse', 'HEAD']);
  return {
    toolgrad: packageVersion,
    commit,
    dirty: commit === null ? null : git(['status', '--porcelain']) !== '',
    node: process.version,
    system: `${type()} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    freeBytes: freemem(),
  };
}

/** The package's uncommitted changes as a patch; null where there are none, or no checkout. New files are named, not shown. */
export function uncommittedChanges(): string | null {
  const status = git(['status', '--porcelain']);
  if (status === null || status === '') return null;
  const untracked = status.split('\n').filter((line) => line.startsWith('??'));
  const names = untracked.map((line) => `# not in git: ${line.slice(3)}\n`).join('');
  return `${names}${git(['diff', 'HEAD']) ?? ''}\n`;
}

/** null where the package is not a git checkout (installed from npm) or git is not there. */
function git(args: readonly string[]): string | null {
  try {
    return execFileSync('git', [...args], {
      cwd: packageRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 * 1024 * 1024,
    }).trim();
  } catch {
    return null;
  }
}
