/**
 * `npm run bench -- --cuda`: one command for a real GPU. It builds what it needs, runs the conformance suite and the tests there, and
 * times every op at the sizes of the static report, beside what was predicted. No new part begins when its minutes are over.
 *
 * With --simulated the same way is gone on the simulated device, with small sizes and counters in the place of times.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { countCases, countedModels } from '../cuda-static/counted.ts';
import { gatherFacts } from '../cuda-static/facts.ts';
import { architectureOf, peakFlops } from '../cuda-static/gpus.ts';
import { models, predictCases } from '../cuda-static/report.ts';
import { findDisassembler } from '../cuda-static/sass.ts';
import { build, builtPtx, cudaBench, root, simulatedDriver, work } from '../cuda-static/tools.ts';
import { clocks, type DeviceFacts, findDevice, gpuOf, refusal } from './device.ts';
import { opTests, type Part, runParts } from './parts.ts';
import { countedTable, type Measured, measuredTable, type TimedCase } from './tables.ts';

export const usage = `npm run bench -- --cuda [options]

  --minutes N    how long it may take after the builds (default 8); what there was no time for is named
  --only LIST    of conformance,ops,engine,times (default: all)
  --out          write docs/cuda-measured.md
  --json         print one JSON object instead of the tables
  --simulated    on the simulated device: small sizes, counters, no times

Needs nvcc, cmake and a GPU of compute capability 8.0 or later (TOOLGRAD_LIBCUDA names another driver than libcuda.so.1).
`;

const partNames = ['conformance', 'ops', 'engine', 'times'];
/** Of the minutes, what the tests leave for timing. */
const TIMES_SHARE = 0.35;
/** For a last case that takes long, and for printing. */
const RESERVE_MS = 15_000;

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      cuda: { type: 'boolean' },
      minutes: { type: 'string', default: '8' },
      only: { type: 'string', default: partNames.join(',') },
      out: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      simulated: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0))
    throw new RangeError(`--minutes: expected a positive number but received ${values.minutes}`);
  const only = values.only.split(',');
  const unknown = only.find((name) => !partNames.includes(name));
  if (unknown !== undefined)
    throw new RangeError(`--only: expected names of ${partNames.join(', ')} but received ${unknown}`);
  return { ...values, minutes, only };
}

function measure(facts: DeviceFacts, seconds: number): Measured[] {
  const { gpu } = gpuOf(facts);
  const kernels = gatherFacts(builtPtx(), findDisassembler(), null, [architectureOf(facts.sm)]);
  const predicted = predictCases(gpu, kernels, []);
  const timed = cudaBench(['time', String(Math.max(1, seconds)), ...models]) as TimedCase[];
  return timed.map((item) => {
    const same = predicted.find(
      (one) =>
        one.item.model === item.model &&
        one.item.op === item.op &&
        one.item.phase === item.phase &&
        one.item.size === item.size,
    );
    if (same === undefined) throw new Error(`${item.op}, ${item.size}: timed but not planned`);
    return { item, prediction: same.prediction, peak: peakFlops(gpu), bandwidth: gpu.bandwidth };
  });
}

function headline(facts: DeviceFacts): string {
  const gibibytes = (facts.memory / 2 ** 30).toFixed(1);
  const what = `${facts.name}: compute capability ${(facts.sm / 10).toFixed(1)}, ${facts.multiprocessors} multiprocessors, ${gibibytes} GiB, CUDA ${facts.driver} (${facts.library})`;
  if (facts.simulated) return what;
  return [
    what,
    `SM clock, its maximum, memory clock, power limit, driver: ${clocks() ?? 'unknown, there is no nvidia-smi'}`,
    `Bandwidth of the predictions: ${gpuOf(facts).source}`,
  ].join('\n');
}

export function main(args: string[]): number {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const tell = (text: string) => process.stderr.write(`${text}\n`);
  const { simulated, only } = options;
  const environment: NodeJS.ProcessEnv = simulated ? { TOOLGRAD_LIBCUDA: simulatedDriver } : {};

  tell('building …');
  build('native', ['cuda_bench', ...(only.includes('ops') ? opTests() : [])]);
  if (simulated) build('sim', ['cudasim']);
  const found = findDevice(environment);
  const reason = refusal(found, simulated);
  if (reason !== null || typeof found === 'string') {
    tell(`bench --cuda: ${reason}`);
    return 1;
  }
  if (only.includes('conformance')) build('sim', ['sim_conformance']);
  // What a first run has to build would leave no time for the rest.
  const built = performance.now();
  const left = () => built + 60_000 * options.minutes - RESERVE_MS - performance.now();
  tell(headline(found));

  // Named to the tests as well: where a driver is named, they do not skip.
  const driver = { TOOLGRAD_LIBCUDA: found.library };
  const forTimes = only.includes('times') && !simulated ? TIMES_SHARE * 60_000 * options.minutes : 0;
  const parts = runParts(
    only,
    driver,
    () => left() - forTimes,
    (part) => tell(partLine(part)),
  );
  const text: string[] = [];
  let results: unknown = [];
  if (only.includes('times')) {
    if (simulated) {
      const counted = countCases(countedModels);
      results = counted;
      text.push(countedTable(counted));
    } else {
      const measured = measure(found, left() / 1000);
      results = measured;
      text.push(measuredTable(measured));
    }
  }
  const page = [headline(found), parts.map(partLine).join('\n'), ...text]
    .filter((one) => one !== '')
    .join('\n\n');
  writeFileSync(join(work, 'cuda-bench.json'), JSON.stringify({ device: found, parts, results }, null, 1));
  if (options.out && !simulated)
    writeFileSync(join(root, 'docs', 'cuda-measured.md'), `# GPU kernels, measured\n\n${page}\n`);
  process.stdout.write(options.json ? `${JSON.stringify({ device: found, parts, results })}\n` : `${page}\n`);
  tell(`${((performance.now() - built) / 1000).toFixed(0)} s after the builds`);
  return parts.some(({ state }) => state === 'failed') ? 1 : 0;
}

function partLine({ name, state, seconds, said }: Part): string {
  return `${name}: ${state}, ${seconds.toFixed(1)} s${said === '' ? '' : `: ${said}`}`;
}
