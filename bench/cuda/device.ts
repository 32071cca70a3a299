/** The GPU at hand as the predictions see it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { architectureOf, furtherGpus, type Gpu, gpus } from '../cuda-static/gpus.ts';
import { root, work } from '../cuda-static/tools.ts';

export interface DeviceFacts {
  readonly name: string;
  readonly sm: number;
  readonly multiprocessors: number;
  readonly memory: number;
  readonly driver: string;
  readonly library: string;
  readonly simulated: boolean;
  readonly clock_khz: number;
  readonly memory_clock_khz: number;
  readonly bus_bits: number;
  readonly l2_bytes: number;
}

/** The first GPU; where there is none, the sentence that says why. */
export function findDevice(environment: NodeJS.ProcessEnv): DeviceFacts | string {
  const done = spawnSync(join(work, 'native', 'cuda_bench'), ['device'], {
    ...{ cwd: root, encoding: 'utf8', env: { ...process.env, ...environment } },
  });
  if (done.status === 0) return JSON.parse(done.stdout) as DeviceFacts;
  return (done.stderr || done.error?.message || 'cuda_bench says nothing')
    .trim()
    .replace(/^cuda_bench: /, '');
}

/** Null is a GPU that may be used; else why not. */
export function refusal(found: DeviceFacts | string, simulated: boolean): string | null {
  if (typeof found === 'string') return `there is no GPU to measure on: ${found}`;
  if (found.simulated === simulated) return null;
  return simulated
    ? `--simulated: ${found.library} is a real driver`
    : `${found.library} is the simulated device, which has no times; name a real driver, or add --simulated`;
}

/** Its own numbers of multiprocessors and clock, its bandwidth from the data sheet, or from its bus where we know none. */
export function gpuOf(facts: DeviceFacts): { gpu: Gpu; source: string } {
  const known = [...gpus, ...furtherGpus].find(({ name }) => facts.name.includes(name));
  const bus = (2 * facts.memory_clock_khz * 1000 * facts.bus_bits) / 8;
  const bandwidth = known?.bandwidth ?? bus;
  if (!(bandwidth > 0) || !(facts.clock_khz > 0))
    throw new Error(
      `${facts.name}: its clocks and bandwidth are in no table here and the driver does not tell them; add it to bench/cuda-static/gpus.ts`,
    );
  const { name, multiprocessors } = facts;
  return {
    gpu: { name, sm: architectureOf(facts.sm).sm, multiprocessors, clock: facts.clock_khz * 1000, bandwidth },
    source:
      known === undefined ? "the driver's bus width and memory clock" : `the data sheet of ${known.name}`,
  };
}

/** Clocks and power as nvidia-smi has them; null without it. */
export function clocks(): string | null {
  const done = spawnSync(
    'nvidia-smi',
    [
      '--query-gpu=clocks.sm,clocks.max.sm,clocks.mem,power.limit,driver_version',
      '--format=csv,noheader',
      '-i',
      '0',
    ],
    { encoding: 'utf8' },
  );
  return done.status === 0 ? done.stdout.trim() : null;
}
