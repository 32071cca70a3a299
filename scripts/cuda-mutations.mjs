#!/usr/bin/env node
// Mutation test of the CUDA kernels: plants faults that authors of kernels make, one at a time, and says which check catches
// each. Not part of .ci/run (120 faults took 13 minutes on two busy cores). Needs cmake, ninja and nvcc; the kernels run on the
// simulated GPU. Run it after a change of kernels or of their tests: a fault that survives wants a test, or a line in
// cuda-mutations/explained.mjs. One run at a time in a checkout.
//
//   node scripts/cuda-mutations.mjs                       48 faults of seed 1
//   node scripts/cuda-mutations.mjs --seed 2 --count 60   others
//   node scripts/cuda-mutations.mjs --list                the operators, with how often each fits
//   node scripts/cuda-mutations.mjs --only ID             one fault (ids are in the results), whatever is drawn
//   node scripts/cuda-mutations.mjs --from FILE           goes on with an interrupted run; --again: repeats what survived
//                                                         without an explanation
//   node scripts/cuda-mutations.mjs --publish docs/cuda-mutations.md   puts the table into the page
//
// Results: build-cuda/mutations/results.json, after every fault, and results.md at the end; --out BASE names others. Exit status
// 1: a fault survived that cuda-mutations/explained.mjs does not explain. The sources of the checkout are never changed.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { whyNotCaught } from './cuda-mutations/explained.mjs';
import { operators } from './cuda-mutations/operators.mjs';
import { draw, findSites, modulesOf } from './cuda-mutations/sites.mjs';
import { Suite } from './cuda-mutations/suite.mjs';
import { markdown } from './cuda-mutations/table.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const started = Date.now();
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    count: { type: 'string' },
    list: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    from: { type: 'string' },
    again: { type: 'boolean' },
    publish: { type: 'string' },
    out: { type: 'string', default: join(root, 'build-cuda', 'mutations', 'results') },
  },
});

const heading = '## Results\n';
const log = (text) => console.log(`[${((Date.now() - started) / 1000).toFixed(0).padStart(5)} s] ${text}`);

function positive(name, text, otherwise) {
  if (text === undefined) return otherwise;
  if (!/^\d+$/.test(text) || Number(text) < 1)
    throw new Error(`Expected a positive integer for --${name} but received ${text}`);
  return Number(text);
}

function list(sites) {
  for (const { id, what } of operators) {
    const own = sites.filter(({ operator }) => operator === id);
    console.log(`${id.padEnd(20)} ${String(own.length).padStart(4)}  ${what}`);
  }
  console.log(
    `${operators.length} operators, ${sites.length} sites in ${new Set(sites.map(({ file }) => file)).size} files`,
  );
}

function slotsOf(sites, modules, seed, count) {
  if (values.only === undefined) return draw(sites, modules, seed, count);
  return values.only.map((id, i) => {
    const site = sites.find((candidate) => candidate.id === id);
    if (site === undefined)
      throw new Error(`Expected the id of a site for --only but received ${id}; see --list`);
    return { slot: i + 1, why: 'asked for', sites: [site] };
  });
}

async function main() {
  const modules = modulesOf(root);
  const sites = findSites(root);
  if (values.list) return list(sites);
  const before = values.from === undefined ? undefined : JSON.parse(readFileSync(values.from, 'utf8'));
  const seed = positive('seed', values.seed, before?.seed ?? 1);
  const count = positive('count', values.count, before?.count ?? 48);
  const slots = slotsOf(sites, modules, seed, count);

  const tests = readdirSync(join(root, 'test', 'native')).flatMap(
    (name) => /^(cuda_\w+)_test\.cc$/.exec(name)?.[1] ?? [],
  );
  const suite = new Suite(root, log);
  log('building');
  await suite.build(tests);
  await suite.baseline(tests, modules);

  const results = { seed, count, sources: suite.sourcesHash(modules), faults: [] };
  if (before !== undefined) {
    if (before.sources !== results.sources)
      log('the kernels are not those of the earlier run: its results may not hold');
    // What was found for a site holds while its line is what it was.
    const drawn = new Map(
      slots.flatMap(({ slot, sites: own }) =>
        own.map((site, attempt) => [site.id, { slot, attempt, ...site }]),
      ),
    );
    for (const fault of before.faults) {
      const site = drawn.get(fault.id);
      if (site === undefined || site.text !== fault.text) continue;
      if (values.again && fault.outcome === 'survived' && whyNotCaught(fault) === undefined) continue;
      results.faults.push({ ...fault, slot: site.slot, attempt: site.attempt });
    }
  }
  const save = () => {
    results.faults.sort((a, b) => a.slot - b.slot || a.attempt - b.attempt);
    for (const fault of results.faults) if (fault.outcome === 'survived') fault.why = whyNotCaught(fault);
    writeFileSync(`${values.out}.json`, `${JSON.stringify(results, null, 1)}\n`);
  };

  const waiting = [...slots];
  const work = async (number) => {
    const at = suite.workplace(`worker-${number}`);
    for (let slot = waiting.shift(); slot !== undefined; slot = waiting.shift()) {
      for (const [attempt, site] of slot.sites.entries()) {
        let fault = results.faults.find(({ id }) => id === site.id);
        if (fault === undefined) {
          const begin = Date.now();
          const found = await suite.judge(at, site, modules);
          const { lines, ...place } = site;
          const seconds = (Date.now() - begin) / 1000;
          fault = { slot: slot.slot, attempt, ...place, ...found, seconds };
          results.faults.push(fault);
          save();
          const by =
            fault.outcome === 'caught'
              ? ` by ${fault.check}, ${fault.kind}: ${fault.detail.slice(0, 150)}`
              : '';
          const why = fault.why === undefined ? '' : ` (${fault.why})`;
          log(
            `${slot.slot}/${slots.length} ${fault.outcome}${by}${why}: ${site.id}, ${fault.seconds.toFixed(1)} s`,
          );
        }
        if (fault.outcome !== 'discarded') break;
      }
    }
  };
  const workers = Math.min(waiting.length, Math.max(1, Math.min(availableParallelism(), 4)));
  await Promise.all(Array.from({ length: workers }, (_, i) => work(i)));
  save();
  const table = markdown(results, operators);
  writeFileSync(`${values.out}.md`, table);
  console.log(`\n${table}`);
  if (values.publish !== undefined) {
    const page = readFileSync(values.publish, 'utf8');
    const cut = page.indexOf(heading);
    if (cut < 0) throw new Error(`Expected the line ${heading.trim()} in ${values.publish} but found none`);
    writeFileSync(values.publish, `${page.slice(0, cut)}${heading}\n${table}`);
  }
  const open = results.faults.filter(({ outcome, why }) => outcome === 'survived' && why === undefined);
  log(`${open.length} faults survived without an explanation`);
  if (open.length > 0) process.exitCode = 1;
}

try {
  if (values.from !== undefined && !existsSync(values.from))
    throw new Error(`Expected a file for --from but found none at ${values.from}`);
  await main();
} catch (error) {
  console.error(`cuda-mutations: ${error.message}`);
  process.exitCode = 2;
}
