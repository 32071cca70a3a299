/** Tests of the GPU backend, which run on whatever TOOLGRAD_LIBCUDA names: `npm run test:cuda`. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { Device } from '../../lib/model/device.ts';

/** A test of the GPU backend; without a driver it passes and says that it was skipped. */
export function onGpu(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  test(title, async (t) => {
    if (process.env.TOOLGRAD_LIBCUDA) return run(t);
    t.log('skipped: TOOLGRAD_LIBCUDA names no driver; `npm run test:cuda` runs this on the simulated device');
    t.pass();
  });
}

/** The same for what only the simulated device can be told to do: another order of its work, failures. */
export function onSimulatedGpu(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  onGpu(title, async (t) => {
    if ((await Device.open('cuda')).description.includes('(cudasim)')) return run(t);
    t.log('skipped: the driver of TOOLGRAD_LIBCUDA is not the simulated device');
    t.pass();
  });
}

/** What test/support/cuda-program.ts prints in a process of its own, with the simulator set by `environment`. */
export async function inProcess(
  program: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ code: number | null; output: string; errors: string }> {
  const file = fileURLToPath(new URL('cuda-program.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import=tsx', file, program], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output, errors };
}
