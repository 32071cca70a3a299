/** What `--cuda` runs before it times: the simulator's conformance suite, the op tests and the engine's tests, on the driver at hand. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { engineTests } from '../cuda-static/coverage.ts';
import { root, work } from '../cuda-static/tools.ts';

export interface Part {
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'left out';
  readonly seconds: number;
  /** The line that counts, or what went wrong. */
  readonly said: string;
}

/** The op tests; cuda_abi compares headers and needs no GPU. */
export function opTests(): string[] {
  return readdirSync(join(root, 'test', 'native'))
    .filter((name) => /^cuda_\w+_test\.cc$/.test(name) && name !== 'cuda_abi_test.cc')
    .map((name) => `test_${name.replace(/_test\.cc$/, '')}`);
}

function run(
  name: string,
  program: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
  milliseconds: number,
  line: (output: string) => string,
): Part {
  if (milliseconds < 1000) return { name, state: 'left out', seconds: 0, said: 'time was up' };
  const began = performance.now();
  const done = spawnSync(program, args, {
    ...{ cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, timeout: Math.floor(milliseconds) },
    env: { ...process.env, ...environment },
  });
  const seconds = (performance.now() - began) / 1000;
  const output = `${done.stdout ?? ''}\n${done.stderr ?? ''}`;
  if (done.error !== undefined && 'code' in done.error && done.error.code === 'ETIMEDOUT')
    return { name, state: 'left out', seconds, said: 'stopped: time was up' };
  if (done.status === 0) return { name, state: 'passed', seconds, said: line(output) };
  const bad = output.split('\n').filter((text) => /FAILED|not ok|✘|rror/.test(text));
  return {
    name,
    state: 'failed',
    seconds,
    said: [...bad.slice(0, 8), done.error?.message ?? ''].join('\n').trim(),
  };
}

const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length;

/** `left` gives the milliseconds that are left; called before each part. */
export function runParts(
  which: readonly string[],
  environment: NodeJS.ProcessEnv,
  left: () => number,
  tell: (part: Part) => void,
): Part[] {
  const parts: Part[] = [];
  const add = (part: Part) => {
    parts.push(part);
    tell(part);
  };
  if (which.includes('conformance')) {
    const program = join(work, 'sim', 'test', 'sim_conformance');
    const last = (output: string) => output.trim().split('\n').at(-1) ?? '';
    add(run('conformance', program, [], environment, left(), last));
  }
  if (which.includes('ops')) {
    for (const test of opTests()) {
      const checks = (output: string) => `${count(output, /^ok /gm)} checks`;
      add(run(test, join(work, 'native', test), [], environment, left(), checks));
    }
  }
  if (which.includes('engine')) {
    const ava = join(root, 'node_modules', '.bin', 'ava');
    const tests = (output: string) => `${count(output, /^ok /gm)} tests`;
    add(run('engine', ava, ['--tap', ...engineTests], environment, left(), tests));
  }
  return parts;
}
