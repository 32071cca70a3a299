/** Runs side by side, and plots whose numbers can be read back. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../lib/package.ts';
import { groupRuns, readCompared } from '../lib/run/comparison.ts';
import { train } from '../lib/train/train.ts';
import { comparisonPage, comparisonPlots } from '../lib/view/comparison.ts';
import { linePlot, roundTicks } from '../lib/view/plot.ts';
import { folderWithBase, lengthReward, runConfig } from './support/runs.ts';

const { base, at } = await folderWithBase();

test('ticks are multiples of 1, 2 or 5 times a power of ten, cover the range, and are about as many as asked', (t) => {
  t.deepEqual(roundTicks(0, 1, 6), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  t.deepEqual(roundTicks(0.1, 0.3, 3), [0.1, 0.2, 0.3]);
  t.deepEqual(roundTicks(-0.42, 1.07, 6), [-0.5, 0, 0.5, 1, 1.5]);
  t.deepEqual(roundTicks(1, 40, 8), [0, 10, 20, 30, 40]);
  t.deepEqual(roundTicks(3, 3, 5), [3, 4]);
  t.deepEqual(roundTicks(0, 0, 5), [0, 0.5]);
  let cases = 0;
  for (const low of [-1234.5, -1, -0.003, 0, 0.7, 55, 1e6]) {
    for (const span of [1e-6, 0.02, 0.9, 1, 3, 17, 640, 1e7]) {
      const ticks = roundTicks(low, low + span, 6);
      t.true(ticks[0]! <= low + 1e-9 * Math.abs(low) && ticks.at(-1)! >= low + span * (1 - 1e-9));
      t.true(ticks.length >= 2 && ticks.length <= 8, `${low} ${span}: ${ticks.length}`);
      cases += 1;
    }
  }
  t.log(`${cases} ranges`);
  t.throws(() => roundTicks(0, Number.NaN, 5), { instanceOf: RangeError });
});

/** Points of the path of a series, in pixels. */
const pathOf = (svg: string, colour: string) =>
  new RegExp(`<path d="M([^"Z]*)" fill="none" stroke="${colour}"`)
    .exec(svg)![1]!
    .split('L')
    .map((pair) => pair.split(' ').map(Number));

test('a plot puts its points where the axes say, with bands, names escaped, and no NaN', (t) => {
  const svg = linePlot(
    [
      { name: 'a <b> & c', points: [0, 5, 10].map((x) => ({ x, y: x / 10, low: x / 20, high: x / 10 })) },
      {
        name: 'gap',
        points: [
          { x: 0, y: 1 },
          { x: 5, y: Number.NaN },
          { x: 10, y: 0 },
        ],
      },
    ],
    { title: 'T', xLabel: 'step', percent: true },
  );
  const [first, middle, last] = pathOf(svg, '#0072b2');
  t.is(middle![0], (first![0]! + last![0]!) / 2);
  t.is(middle![1], (first![1]! + last![1]!) / 2);
  t.true(first![1]! > last![1]!, 'up is more');
  t.is(pathOf(svg, '#d55e00').length, 2, 'a value that is no number is left out');
  t.true(svg.includes('a &lt;b&gt; &amp; c') && !svg.includes('NaN'));
  t.is(svg.match(/fill-opacity/g)?.length, 1);
  t.true(svg.includes('>0%<') && svg.includes('>100%<'));
  t.is(
    linePlot([{ name: 'one', points: [{ x: 1, y: 2 }] }], { title: 'T', xLabel: 'x' }).match(/<circle/g)
      ?.length,
    1,
  );
  t.throws(() => linePlot([{ name: 'x', points: [] }], { title: 'T', xLabel: 'x' }), {
    message: /found none/,
  });
  const opened = [...svg.matchAll(/<(\w+)[^>]*[^/]>/g)].map((m) => m[1]);
  const closed = [...svg.matchAll(/<\/(\w+)>/g)].map((m) => m[1]);
  t.deepEqual(opened.sort(), closed.sort(), 'well-formed');
});

/** A run directory with the metrics given, no training. */
function writeRun(
  name: string,
  overrides: readonly string[],
  rewards: readonly number[],
  rights: string,
): void {
  const config = runConfig(base, at(name), overrides);
  mkdirSync(join(at(name), 'eval'), { recursive: true });
  writeFileSync(join(at(name), 'config.yaml'), JSON.stringify(config));
  const lines: unknown[] = rewards.map((reward, i) => ({
    kind: 'rl',
    step: i + 1,
    phase_step: i + 1,
    reward,
    solved: reward / 2,
    calls_per_trajectory: 1,
    policy_tokens: 30 + i,
    entropy: 1 / (i + 1),
  }));
  const accuracy = [...rights].filter((mark) => mark === '+').length / rights.length;
  lines.push({ kind: 'evaluation', name: 'after RL', step: rewards.length, accuracy });
  lines.push({ kind: 'evaluation', name: 'after RL, no tool', step: rewards.length, accuracy: 0 });
  writeFileSync(join(at(name), 'metrics.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const records = [...rights].map((mark, i) => ({
    question: { id: `q${i}`, task: i % 2 === 0 ? 'bbh/navigate' : 'symbench/game24', prompt: '', answer: '' },
    end: 'answer',
    correct: mark === '+',
    turns: 2,
    seconds: 1,
    segments: [],
    calls: [{ code: 'print(1 + 1)', status: 'ok', output: '2', seconds: 0.1 }],
    ledger: { origin: [0, 5, 1, 10] },
  }));
  const name6 = `${String(rewards.length).padStart(6, '0')}.jsonl`;
  writeFileSync(join(at(name), 'eval', name6), records.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

test('runs that differ in seed alone are one column: mean and spread; others are columns of their own', (t) => {
  writeRun('masked-seed0', ['seed=0'], [0, 0.5, 1], '++++++--');
  writeRun('masked-seed1', ['seed=1'], [0.2, 0.7, 1], '++++----');
  writeRun('unmasked', ['seed=0', 'rl.unmask_tool=true'], [0, 0, 0], '+-------');
  const groups = groupRuns(
    ['masked-seed0', 'unmasked', 'masked-seed1'].flatMap((name) => readCompared(at(name))),
  );
  t.deepEqual(
    groups.map(({ name, runs }) => [name, runs.length]),
    [
      ['masked', 2],
      ['unmasked', 1],
    ],
  );
  const plots = comparisonPlots(groups);
  t.deepEqual(
    plots.map(({ name }) => name),
    ['reward', 'solved', 'calls', 'response-tokens', 'entropy', 'evaluation'],
  );
  const page = comparisonPage(groups, plots);
  t.log(page);
  // Of each task 3 of 4 right with seed 0, 2 of 4 with seed 1: 62.5 ± 17.7.
  t.true(page.includes('| bbh/navigate | 63% ± 17.7 | 25% [0, 75] |'), 'by hand');
  t.true(page.includes('| **mean over tasks** | 63% ± 17.7 | 13% [0, 38] |'));
  t.true(page.includes('| after RL | 63% ± 17.7 | 13% |\n| after RL, no tool | 0% ± 0.0 | 0% |'));
  t.true(page.includes('| `rl.unmask_tool` | `false` | `true` |'));
  t.false(page.includes('`seed`'));
  t.true(page.includes('![Reward](reward.svg)'));
  const reward = plots[0]!.svg;
  t.is(pathOf(reward, '#0072b2').length, 3);
  t.true(reward.includes('fill-opacity'), 'a band over seeds');
  t.throws(() => groupRuns([...readCompared(at('unmasked')), ...readCompared(at('unmasked'))]), {
    message: /the same run twice/,
  });
  t.throws(() => readCompared(at('nowhere')), { code: 'ERR_RUN_MISSING' });
});

test('the command compares trained runs and evaluations, and writes a page and its plots', async (t) => {
  t.timeout(600_000, 'four processes and two runs on a busy machine');
  const { FORCE_COLOR: _, NODE_OPTIONS: __, ...env } = process.env;
  const cli = (...args: string[]) =>
    spawnSync('node', ['--import=tsx', join('lib', 'cli', 'main.ts'), ...args], {
      cwd: packageRoot,
      env,
      encoding: 'utf8',
    });
  const small = ['sft.steps=0', 'rl.steps=2', 'eval.every=0'];
  for (const seed of [1, 2]) {
    await train(runConfig(base, at(`trained-${seed}`), [...small, `seed=${seed}`]), { reward: lengthReward });
  }
  const config = join(at('trained-1'), 'config.yaml');
  const evaluated = cli('eval', config, '--agent', 'text,agent', '--out', at('evaluated'), '--json');
  t.is(evaluated.status, 0, evaluated.stderr);
  t.is(evaluated.stdout, readFileSync(join(at('evaluated'), 'summary.json'), 'utf8'));
  const out = cli('compare', at('trained-1'), at('trained-2'), at('evaluated'), '--out', at('page'));
  t.is(out.status, 0, out.stderr);
  t.regex(out.stdout, /comparison.md: 3 columns, 6 plots\n$/);
  const page = readFileSync(join(at('page'), 'comparison.md'), 'utf8');
  t.true(
    page.includes('| last evaluation | trained (2 seeds) | evaluated, All Text | evaluated, Code Agent |'),
  );
  t.is(readdirSync(at('page')).filter((name) => name.endsWith('.svg')).length, 6);
  const printed = cli('compare', at('trained-1'));
  t.true(printed.stdout.startsWith('# Comparison\n') && !printed.stdout.includes('.svg'));
  t.is(cli('compare', at('none')).status, 2);
  t.false(existsSync(at('none')));
});
