/** The recipes: every config is sound, and what its comment says of memory is what the plan says. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import test from 'ava';
import { parameterCount } from '../lib/model/config.ts';
import { configWithoutWeights } from '../lib/model/shape.ts';
import { packageRoot } from '../lib/package.ts';
import { readSweep } from '../lib/run/sweep.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { planFromShape } from '../lib/train/memory.ts';
import { bytes, parameters } from '../lib/view/format.ts';

const folder = join(packageRoot, 'recipes');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => join(folder, name));
const isSweep = (text: string) => /^configs:/m.test(text);

test('every recipe is a config, and every sweep of recipes has sound runs', (t) => {
  let [configs, runs] = [0, 0];
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    if (isSweep(text)) runs += readSweep(file).length;
    else {
      parseConfig(text, file);
      configs += 1;
    }
  }
  t.log(`${configs} configs, ${runs} runs of sweeps`);
  t.true(configs >= 12 && runs >= 20);
});

test("the papers' sizes do not fit on one device, and each recipe says what its plan needs", (t) => {
  let planned = 0;
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    if (isSweep(text)) continue;
    const config = parseConfig(text, file);
    const shape = configWithoutWeights(join(packageRoot, config.model.path));
    if (shape === null) continue;
    // Without scratch of the CPU's kernels, which depends on this machine's threads.
    const plan = planFromShape(config, shape, null);
    const total = plan.totalBytes;
    const size = `${parameters(parameterCount(shape))} parameters, ${bytes(total)}`;
    t.log(`${relative(folder, file)}: ${size}`);
    t.true(
      text.includes(`# Memory plan: ${size}`),
      `${relative(folder, file)}: expected "# Memory plan: ${size}"`,
    );
    t.true(total > 80 * 2 ** 30);
    const ppo = config.rl.advantage === 'gae';
    t.is(
      plan.lines.some(([name]) => name.startsWith('critic:')),
      ppo,
    );
    planned += 1;
  }
  t.is(planned, 9);
});

test("the models' sizes are those of their names", (t) => {
  for (const [name, billions] of [
    ['Qwen2.5-3B-Instruct', 3.09],
    ['Qwen2.5-7B-Instruct', 7.61],
    ['Qwen2.5-7B-Instruct-1M', 7.61],
    ['Qwen2.5-14B-Instruct-1M', 14.7],
    ['Qwen2.5-32B-Instruct', 32.5],
    ['DeepSeek-R1-Distill-Qwen-32B', 32.5],
  ] as const) {
    const count = parameterCount(configWithoutWeights(join(folder, 'models', name))!) / 1e9;
    t.log(`${name}: ${count.toFixed(2)} B, published ${billions} B`);
    t.true(Math.abs(count / billions - 1) < 0.02, name);
  }
});

test('a model whose weights are there is no plan alone', (t) => {
  t.is(configWithoutWeights(join(packageRoot, 'assets', 'demo-base')), null);
  t.is(configWithoutWeights(join(packageRoot, 'assets', 'nowhere')), null);
  t.is(configWithoutWeights(join(packageRoot, 'assets', 'demo.yaml')), null);
});

test('a dry run of a model without weights prints config, plan and verdict, and needs no data', (t) => {
  const args = ['--import=tsx', 'lib/cli/main.ts', 'train', 'recipes/verl-retool/ppo-32b.yaml', '--dry-run'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: packageRoot,
    encoding: 'utf8',
  });
  t.is(status, 0, stderr);
  t.regex(stdout, /^# resolved config\nrun: runs\/recipes\/verl-retool-ppo-32b\n/);
  t.notRegex(stdout, /extends/);
  t.regex(stdout, /\ncritic: a model of its own, trained +549.3 GB\n/);
  t.regex(
    stdout,
    /holds config.json and no weights \(32.8 B parameters\): this is the plan alone.\nIt does not fit into/,
  );
});
