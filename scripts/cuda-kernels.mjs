#!/usr/bin/env node
// The table of the GPU kernels: file, lines, registers, spills and shared memory of every entry point on each target, from the
// assembler; and, with --coverage and --reports, how much of its PTX ran on the simulated GPU and its bank-conflict factor.
//
//   export TOOLGRAD_LIBCUDA=build-cuda/sim/driver/libcuda.so.1
//   export CUDASIM_COVERAGE=/tmp/cov/c-%p.json CUDASIM_REPORT=/tmp/cov/r-%p.json   # then run tests; %p is the process
//   node scripts/cuda-kernels.mjs [--ptx build-cuda/native/ptx] [--coverage /tmp/cov] [--reports /tmp/cov]
//
// Static facts only: nothing here is a time. Needs ptxas.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    ptx: { type: 'string', default: 'build-cuda/native/ptx' },
    coverage: { type: 'string' },
    reports: { type: 'string' },
  },
});
const targets = [80, 86, 89, 90, 120];

/** entry -> {registers, spills, shared} of one module on one target. */
function assemble(file, sm) {
  const done = spawnSync('ptxas', ['-v', `-arch=sm_${sm}`, '-o', '/dev/null', file], { encoding: 'utf8' });
  if (done.status !== 0)
    throw new Error(`ptxas -arch=sm_${sm} ${file}: ${done.stderr || done.error?.message}`);
  const found = new Map();
  let entry = '';
  for (const line of done.stderr.split('\n')) {
    entry = /Compiling entry function '(\w+)'/.exec(line)?.[1] ?? entry;
    const spills = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (spills) found.set(entry, { spills: Number(spills[1]) + Number(spills[2]), registers: 0, shared: 0 });
    const used = /Used (\d+) registers/.exec(line);
    if (used) {
      found.get(entry).registers = Number(used[1]);
      found.get(entry).shared = Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0);
    }
  }
  return found;
}

function jsonFiles(folder, prefix) {
  if (folder === undefined) return [];
  const names = readdirSync(folder).filter((name) => name.startsWith(prefix) && name.endsWith('.json'));
  return names.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
}

/** entry -> [lines that ran, lines there are], over all files. */
function coverage() {
  const ran = new Map();
  const all = new Map();
  for (const file of jsonFiles(values.coverage, 'c-')) {
    for (const [entry, { counts, lines }] of Object.entries(file)) {
      const reached = ran.get(entry) ?? new Set();
      for (const line of Object.keys(counts)) reached.add(line);
      ran.set(entry, reached);
      all.set(entry, lines);
    }
  }
  return new Map([...all].map(([entry, lines]) => [entry, [ran.get(entry).size, lines]]));
}

/** entry -> bank-conflict factor: wavefronts per request of shared memory. */
function conflicts() {
  const sums = new Map();
  for (const { kernels = {} } of jsonFiles(values.reports, 'r-')) {
    for (const [entry, counters] of Object.entries(kernels)) {
      const sum = sums.get(entry) ?? [0, 0];
      sums.set(entry, [sum[0] + counters.shared_wavefronts, sum[1] + counters.shared_requests]);
    }
  }
  return sums;
}

const [covered, factors] = [coverage(), conflicts()];
console.log(
  `| kernel | file, lines | registers on sm_${targets.join(' / ')} | spills | static shared | PTX lines run | conflict factor |`,
);
console.log('|---|---|--:|--:|--:|--:|--:|');
for (const name of readdirSync(values.ptx).filter((file) => file.endsWith('.ptx'))) {
  const module = name.slice(0, -4);
  const lines = readFileSync(join('cuda', 'kernels', `${module}.cu`), 'utf8').split('\n').length - 1;
  const perTarget = targets.map((sm) => assemble(join(values.ptx, name), sm));
  for (const entry of perTarget[0].keys()) {
    const facts = perTarget.map((found) => found.get(entry));
    const cover = covered.get(entry);
    const [wavefronts, requests] = factors.get(entry) ?? [0, 0];
    console.log(
      `| ${entry} | ${module}.cu, ${lines} | ${facts.map((f) => f.registers).join(' / ')} | ${facts.reduce((sum, f) => sum + f.spills, 0)} | ` +
        `${facts[0].shared} | ${cover === undefined ? '' : `${cover[0]}/${cover[1]}`} | ${requests === 0 ? '' : (wavefronts / requests).toFixed(2)} |`,
    );
  }
}
