/**
 * Which lines of the kernels' PTX ran in the tests on the simulated GPU, and why the others did not.
 *
 * `record` runs the tests with the simulator's coverage and report files and keeps them in build-cuda/coverage, with the hash of the
 * PTX that they are about. A line that no test reaches needs a reason in unreached.json, found by kernel, source file and the
 * text of the source line; more such lines than the reason speaks of, or a reason that nothing needs, is a fault.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Said } from './errors.ts';
import { readPtx } from './ptx.ts';
import { build, builtPtx, call, ptxHash, readPtxFolder, root, simulatedDriver, work } from './tools.ts';

const folder = join(work, 'coverage');
/** The engine's tests on a GPU; the third file of test/cuda/ runs the bench, which is no test of a kernel. */
export const engineTests = ['test/cuda/engine.test.ts', 'test/cuda/golden.test.ts'];

interface Counters {
  readonly shared_requests: number;
  readonly shared_wavefronts: number;
}
type CoverageFile = Readonly<Record<string, { readonly counts: Readonly<Record<string, number>> }>>;

export interface Coverage {
  /** entry -> PTX lines that ran. */
  readonly ran: ReadonlyMap<string, ReadonlySet<number>>;
  /** entry -> wavefronts of shared memory for each request, 1 is no conflict. */
  readonly conflicts: ReadonlyMap<string, number>;
  /** What the op tests say that holds: "attention forward …", with its number where it has one. */
  readonly said: readonly Said[];
}

export interface Unreached {
  readonly kernel: string;
  /** Of the source line the PTX comes from. */
  readonly file: string;
  readonly text: string;
  readonly lines: readonly number[];
  readonly reason: string | null;
}

interface Reason {
  readonly kernels: readonly string[];
  readonly file: string;
  readonly text: string;
  /** The most PTX lines of one kernel that this is the reason for. */
  readonly lines: number;
  readonly reason: string;
}

/** Runs the op tests and the engine's tests. Minutes. */
export function record(): void {
  const tests = readdirSync(join(root, 'test', 'native'))
    .filter((name) => /^cuda_\w+_test\.cc$/.test(name) && name !== 'cuda_abi_test.cc')
    .map((name) => `test_${name.replace(/_test\.cc$/, '')}`);
  build('sim', ['cudasim']);
  build('native', tests);
  const ptx = builtPtx();
  const shipped = readPtxFolder(join(root, 'build', 'ptx'));
  if (ptxHash(shipped) !== ptxHash(ptx))
    throw new Error('Expected the same PTX in the addon and in build-cuda/native; build both with one nvcc');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const environment = {
    TOOLGRAD_LIBCUDA: simulatedDriver,
    CUDASIM_COVERAGE: join(folder, 'lines-%p.json'),
    CUDASIM_REPORT: join(folder, 'report-%p.json'),
  };
  const said = tests.map((test) => call(join(work, 'native', test), [], environment));
  call(join(root, 'node_modules', '.bin', 'ava'), engineTests, environment);
  writeFileSync(join(folder, 'tests.log.txt'), said.join('\n'));
  writeFileSync(join(folder, 'ptx'), ptxHash(ptx));
}

function filesOf<T>(prefix: string): T[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T);
}

/** What was recorded for this PTX; null when nothing was. */
export function recorded(ptx: ReadonlyMap<string, string>): Coverage | null {
  const stamp = join(folder, 'ptx');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== ptxHash(ptx)) return null;
  const ran = new Map<string, Set<number>>();
  for (const file of filesOf<CoverageFile>('lines-')) {
    for (const [entry, { counts }] of Object.entries(file)) {
      const lines = ran.get(entry) ?? new Set();
      for (const line of Object.keys(counts)) lines.add(Number(line));
      ran.set(entry, lines);
    }
  }
  const sums = new Map<string, [number, number]>();
  for (const { kernels = {} } of filesOf<{ kernels?: Record<string, Counters> }>('report-')) {
    for (const [entry, counters] of Object.entries(kernels)) {
      const [wavefronts, requests] = sums.get(entry) ?? [0, 0];
      sums.set(entry, [wavefronts + counters.shared_wavefronts, requests + counters.shared_requests]);
    }
  }
  const conflicts = [...sums].flatMap(([entry, [wavefronts, requests]]) =>
    requests === 0 ? [] : [[entry, wavefronts / requests] as const],
  );
  const sentences = readFileSync(join(folder, 'tests.log.txt'), 'utf8').matchAll(
    /^ok +(.*?)(?:: worst ([^,]+), bound .*)?$/gm,
  );
  return {
    ran,
    conflicts: new Map(conflicts),
    said: [...sentences].map((found) => ({
      what: found[1]!,
      worst: found[2] === undefined ? null : Number(found[2]),
    })),
  };
}

function sourceLine(place: string): { file: string; text: string } {
  const [file, line] = place.split(':') as [string, string | undefined];
  const path = [join(root, 'cuda', 'kernels', file), join(root, 'binding', 'engine', file)].find(existsSync);
  const text =
    path === undefined ? '' : (readFileSync(path, 'utf8').split('\n')[Number(line) - 1] ?? '').trim();
  return { file, text };
}

/** The PTX lines that did not run, by kernel and source line, with their reasons. */
export function unreached(ptx: ReadonlyMap<string, string>, { ran }: Coverage): Unreached[] {
  const reasons = readReasons();
  const found = new Map<string, { kernel: string; file: string; text: string; lines: number[] }>();
  for (const kernel of [...ptx.values()].flatMap(readPtx)) {
    for (const { line } of kernel.instructions) {
      if (ran.get(kernel.entry)?.has(line)) continue;
      const { file, text } = sourceLine(kernel.sources.get(line) ?? '');
      const key = [kernel.entry, file, text].join('\n');
      const group = found.get(key) ?? { kernel: kernel.entry, file, text, lines: [] };
      found.set(key, group);
      group.lines.push(line);
    }
  }
  return [...found.values()].map((group) => ({
    ...group,
    reason:
      reasons.find((reason) => covers(reason, group) && group.lines.length <= reason.lines)?.reason ?? null,
  }));
}

function readReasons(): Reason[] {
  const path = new URL('unreached.json', import.meta.url);
  return JSON.parse(readFileSync(path, 'utf8')) as Reason[];
}

function covers(reason: Reason, group: { kernel: string; file: string; text: string }): boolean {
  return reason.kernels.includes(group.kernel) && reason.file === group.file && reason.text === group.text;
}

/** What is wrong: lines without a reason, reasons without a line. */
export function coverageFaults(groups: readonly Unreached[]): string[] {
  const missing = groups
    .filter(({ reason }) => reason === null)
    .map(
      ({ kernel, file, text, lines }) =>
        `${kernel}: ${lines.length} PTX lines of ${file} "${text}" are reached by no test (${lines.slice(0, 5).join(', ')}${lines.length > 5 ? ' …' : ''})`,
    );
  const idle = readReasons().flatMap((reason) =>
    reason.kernels
      .filter((kernel) => !groups.some((group) => covers({ ...reason, kernels: [kernel] }, group)))
      .map(
        (kernel) =>
          `${kernel}: unreached.json has a reason for ${reason.file} "${reason.text}", but all of it runs`,
      ),
  );
  return [...missing, ...idle];
}
