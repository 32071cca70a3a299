/**
 * Decoding steps replayed as graphs: the same tokens and log-probs to the bit as launch by launch, and really replayed, by
 * the simulated device's count of calls.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inProcess, onSimulatedGpu } from '../support/cuda.ts';
import { temporaryFolder } from '../support/runs.ts';

interface Report {
  readonly calls: Readonly<Record<string, number>>;
  readonly defects: readonly string[];
  readonly faults: readonly string[];
  readonly failed_calls: readonly string[];
}

onSimulatedGpu('decoding steps replayed as graphs have the bits of those launched one by one', async (t) => {
  const folder = temporaryFolder();
  try {
    const outputs = new Set<string>();
    for (const [graphs, seed] of [
      ['0', '0'],
      ['1', '0'],
      ['1', '1'],
      ['1', '2'],
    ] as const) {
      const file = join(folder.path, `${graphs}-${seed}.json`);
      const run = await inProcess('decoding', {
        TOOLGRAD_CUDA_GRAPHS: graphs,
        CUDASIM_SEED: seed,
        CUDASIM_REPORT: file,
      });
      t.is(run.code, 0, run.errors);
      outputs.add(run.output);
      const { calls, defects, faults, failed_calls } = JSON.parse(readFileSync(file, 'utf8')) as Report;
      t.deepEqual([defects, faults, failed_calls], [[], [], []]);
      const [launched, replayed] = [calls.cuLaunchKernel ?? 0, calls.cuGraphLaunch ?? 0];
      t.log(`graphs ${graphs}, seed ${seed}: ${launched} launches, ${replayed} launches of graphs`);
      t.true(graphs === '0' ? replayed === 0 : replayed >= 15, `${replayed} of 32 steps came from graphs`);
    }
    t.is(outputs.size, 1);
    t.regex([...outputs][0]!, /^[0-9a-f]{64}\n$/);
  } finally {
    folder.remove();
  }
});
