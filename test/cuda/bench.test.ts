/** `npm run bench -- --cuda --simulated` goes the way that a real GPU goes, with counters in the place of times. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../lib/package.ts';
import { onSimulatedGpu } from '../support/cuda.ts';

onSimulatedGpu(
  'the GPU bench counts every case on the simulated device and runs conformance there',
  async (t) => {
    if (!existsSync(join(packageRoot, 'build-cuda', 'native', 'cuda_bench'))) {
      t.log('skipped: cuda_bench is not built; `npm run bench -- --cuda --simulated` builds it');
      t.pass();
      return;
    }
    t.timeout(600_000, 'what changed since the last build is built first');
    const args = ['--cuda', '--simulated', '--only', 'conformance,times', '--json'];
    const child = spawn(process.execPath, ['--import=tsx', 'bench/index.ts', ...args], {
      ...{ cwd: packageRoot, stdio: ['ignore', 'pipe', 'pipe'] },
    });
    let output = '';
    let errors = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    t.is(code, 0, errors);
    const { device, parts, results } = JSON.parse(output) as {
      device: { simulated: boolean };
      parts: { name: string; state: string; said: string }[];
      results: { op: string; total: { warp_instructions: number } }[];
    };
    t.true(device.simulated);
    t.like(parts[0]!, { name: 'conformance', state: 'passed' });
    t.regex(parts[0]!.said, / 0 differ in 0 forms/);
    t.true(results.length > 100);
    t.deepEqual(
      results.filter(({ total }) => !(total.warp_instructions > 0)).map(({ op }) => op),
      [],
    );
  },
);
