/**
 * What the report asks of other programs: the kernels' PTX, the assembler, the disassembler, and cuda_bench, which is built here.
 * Everything lies under build-cuda/; assembled kernels are kept there until their PTX changes.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Disassembler, disassemble } from './sass.ts';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const work = join(root, 'build-cuda');
export const simulatedDriver = join(work, 'sim', 'driver', 'libcuda.so.1');

/** A program that must succeed; its output. `quiet` false shows it as it comes. */
export function call(program: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): string {
  const done = spawnSync(program, args, {
    ...{ cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, ...environment } },
  });
  if (done.error !== undefined) throw new Error(`${program}: ${done.error.message}`);
  if (done.status !== 0) {
    const said = `${done.stdout}\n${done.stderr}`.trim().split('\n').slice(-30).join('\n');
    throw new Error(`${program} ${args.slice(0, 4).join(' ')} ended with ${done.status}:\n${said}`);
  }
  return done.stdout;
}

function works(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Builds targets of one of the two CMake projects below build-cuda/. */
export function build(project: 'native' | 'sim', targets: readonly string[]): void {
  const source = project === 'sim' ? 'sim' : '.';
  const options = project === 'sim' ? [] : ['-DTOOLGRAD_CUDA=ON', '-DTOOLGRAD_BENCH=ON'];
  const folder = join(work, project);
  const generator = works('ninja') ? ['-G', 'Ninja'] : [];
  call('cmake', ['-S', source, '-B', folder, ...generator, ...options]);
  call('cmake', ['--build', folder, '-j', String(availableParallelism()), '--target', ...targets]);
}

export function cudaBench(args: readonly string[], environment: NodeJS.ProcessEnv = {}): unknown[] {
  return call(join(work, 'native', 'cuda_bench'), args, environment)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}

/** name of the .cu file -> PTX. */
export function readPtxFolder(folder: string): Map<string, string> {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.ptx')) : [];
  if (names.length === 0)
    throw new Error(
      `Expected the kernels' PTX in ${folder} but it was built without nvcc: install the CUDA toolkit`,
    );
  return new Map(names.sort().map((name) => [name.slice(0, -4), readFileSync(join(folder, name), 'utf8')]));
}

/** The kernels as build('native') made them. */
export function builtPtx(): Map<string, string> {
  return readPtxFolder(join(work, 'native', 'ptx'));
}

/** One name for all of the PTX, whatever folder it was built in: coverage of other texts is not theirs. */
export function ptxHash(texts: ReadonlyMap<string, string>): string {
  const hash = createHash('sha256');
  for (const [name, text] of texts) {
    const anywhere = text.replace(/^\s*\.file\s.*$/gm, '').replace(/_GLOBAL__N__[0-9a-f]+_/g, '');
    hash.update(`${name}\n${anywhere}`);
  }
  return hash.digest('hex').slice(0, 16);
}

export interface Assembled {
  readonly registers: number;
  readonly spills: number;
  /** Static shared memory, bytes. */
  readonly shared: number;
}

function readLog(log: string): Map<string, Assembled> {
  const found = new Map<string, Assembled>();
  let entry = '';
  let spills = 0;
  for (const line of log.split('\n')) {
    entry = /Compiling entry function '(\w+)'/.exec(line)?.[1] ?? entry;
    const spilled = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (spilled !== null) spills = Number(spilled[1]) + Number(spilled[2]);
    const used = /Used (\d+) registers/.exec(line);
    if (used === null) continue;
    const shared = Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0);
    found.set(entry, { registers: Number(used[1]), spills, shared });
  }
  return found;
}

function machineCode(stem: string, disassembler: Disassembler): string {
  const file = `${stem}.${disassembler.version}.sass`;
  if (!existsSync(file)) writeFileSync(file, disassemble(disassembler, `${stem}.cubin`));
  return readFileSync(file, 'utf8');
}

/** entry -> what ptxas says of it, and the machine code where there is a disassembler. */
export function assemble(
  module: string,
  text: string,
  sm: number,
  disassembler: Disassembler | null,
): { facts: Map<string, Assembled>; sass: string | null } {
  const folder = join(work, 'static');
  mkdirSync(folder, { recursive: true });
  const stem = join(
    folder,
    `${module}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}.sm_${sm}`,
  );
  if (!existsSync(`${stem}.log`)) {
    writeFileSync(`${stem}.ptx`, text);
    const done = spawnSync('ptxas', ['-v', `-arch=sm_${sm}`, '-o', `${stem}.cubin`, `${stem}.ptx`], {
      encoding: 'utf8',
    });
    if (done.status !== 0)
      throw new Error(
        `ptxas -arch=sm_${sm}, ${module}: ${done.stderr || done.error?.message || 'no answer'}`,
      );
    writeFileSync(`${stem}.log`, done.stderr);
  }
  return {
    facts: readLog(readFileSync(`${stem}.log`, 'utf8')),
    sass: disassembler === null ? null : machineCode(stem, disassembler),
  };
}
