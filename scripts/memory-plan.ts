/**
 * The memory plan against what a run then takes: for each case a process of its own opens a run as `toolgrad train` does, notes
 * the plan that a dry run prints, trains, and compares the plan's peak with VmHWM, the largest resident set that Linux saw.
 * Usage: `npx tsx scripts/memory-plan.ts [quick|small|smollm2] [case ...]`; ends with 1 when a peak is more than 5 % off.
 *
 * JavaScript's young generation takes up to 48 MB when it likes, which would hide what is to be seen in a small model: it is held
 * to 3 MB here, unless TOOLGRAD_PLAN_NODE=default. TOOLGRAD_PLAN_LINES=1 prints the plans, and what is resident after each step.
 *
 * Caches of the small model are full, that of SmolLM2 is used in part. Weights are random, so trajectories run to their limits and every row has a reward of its own. `quick` and `small` have the
 * shapes of the demo's base; `smollm2` those of SmolLM2-135M with the tokenizer of the GGUF file that TOOLGRAD_SMOLLM2 names.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createModel } from '../lib/model/model.ts';
import { openModel } from '../lib/model/open.ts';
import { packageRoot } from '../lib/package.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import type { Reward } from '../lib/tasks/reward.ts';
import { residentBesides, setupPlan } from '../lib/train/memory.ts';
import { train } from '../lib/train/train.ts';
import { bytes, table } from '../lib/view/format.ts';

/** What one case found, in bytes. */
export interface PlannedAndUsed {
  /** What the plan counts, and what the process had besides when the plan was made. */
  readonly planned: number;
  readonly besides: number;
  /** VmHWM at the end. */
  readonly peak: number;
}

const cases: Readonly<Record<string, readonly string[]>> = {
  none: ['optim.recompute=none'],
  selective: ['optim.recompute=selective'],
  full: ['optim.recompute=full'],
  lora: ['optim.recompute=none', 'lora.rank=16', 'lora.alpha=32', 'rl.kl=k3', 'rl.kl_coef=0.01'],
  'lora full': ['optim.recompute=full', 'lora.rank=16', 'lora.alpha=32', 'rl.kl=k3', 'rl.kl_coef=0.01'],
  reference: ['optim.recompute=none', 'rl.kl=k3', 'rl.kl_coef=0.01'],
  critic: ['optim.recompute=none', 'rl.advantage=gae'],
  'critic selective': ['optim.recompute=selective', 'rl.advantage=gae'],
  'trunk critic': ['optim.recompute=none', 'rl.advantage=gae', 'critic.model=trunk'],
  ahead: ['optim.recompute=none', 'rollout.ahead=true', 'correction.form=decoupled'],
};
export const caseNames = Object.keys(cases);

const sizes = {
  quick: { steps: 1, prompts: 4, group: 8, first: 48, total: 96, micro: 2048, cache: 4 },
  small: { steps: 2, prompts: 8, group: 8, first: 112, total: 160, micro: 2048, cache: 16 },
  smollm2: { steps: 2, prompts: 2, group: 4, first: 160, total: 256, micro: 1024, cache: 128 },
} as const;
type Size = keyof typeof sizes;

const spread: Reward = ({ text }) => {
  const total = (text.length % 17) / 17;
  return { total, parts: { length: total } };
};

/** A folder with the tokenizer and the shapes of `from`, and random weights. */
async function makeModel(from: string, folder: string): Promise<void> {
  const { model, tokenizer } = await openModel(from);
  const { config } = model;
  model.dispose();
  using random = await createModel(config, { seed: 1n });
  await random.save(folder, tokenizer.files);
}

function configOf(size: Size, model: string, run: string, name: string) {
  const { steps, prompts, group, first, total, micro, cache } = sizes[size];
  const yaml = `
run: ${JSON.stringify(run)}
format: r1ci
instruction: ""
chat_template: chatml
model: { path: ${JSON.stringify(model)} }
tasks: { names: [demo/gcd] }
rl: { steps: ${steps}, prompts: ${prompts}, group: ${group}, lr: 1.0e-4 }
rollout: { max_calls: 1, max_turns: 2, first_turn_tokens: ${first}, turn_tokens: 16, total_tokens: ${total}, kv_memory_mb: ${cache} }
optim: { micro_batch_tokens: ${micro} }
eval: { questions: 0 }
checkpoint: { every: 0 }
`;
  return parseConfig(yaml, 'memory-plan.yaml', cases[name]!);
}

function statusBytes(field: string): number {
  const line = readFileSync('/proc/self/status', 'utf8').match(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm'));
  if (line === null) throw new Error(`/proc/self/status has no line ${field}`);
  return Number(line[1]) * 1024;
}

/** Trains as the case says, in this process; prints PlannedAndUsed as JSON. */
async function runCase(size: Size, model: string, name: string): Promise<void> {
  const run = mkdtempSync(join(tmpdir(), 'toolgrad-plan-'));
  try {
    let planned = 0;
    let besides = 0;
    await train(configOf(size, model, join(run, 'run'), name), {
      reward: spread,
      onStart(setup) {
        const plan = setupPlan(setup);
        planned = plan.totalBytes;
        besides = residentBesides(setup)!;
        if (process.env.TOOLGRAD_PLAN_LINES === '1')
          for (const [line, size] of plan.lines) console.error(`${line.padEnd(72)} ${bytes(size)}`);
      },
      onEvent(event) {
        if (process.env.TOOLGRAD_PLAN_LINES === '1' && event.kind === 'rl')
          console.error(
            `longest trajectory ${Math.max(...event.report.scored.map(({ trajectory }) => trajectory.ledger.length))}, anonymous ${bytes(statusBytes('RssAnon'))}, files ${bytes(statusBytes('RssFile'))}, JavaScript heap ${bytes(process.memoryUsage().heapTotal)}`,
          );
      },
    });
    console.log(JSON.stringify({ planned, besides, peak: statusBytes('VmHWM') } satisfies PlannedAndUsed));
  } finally {
    rmSync(run, { recursive: true, force: true });
  }
}

const nodeFlags = process.env.TOOLGRAD_PLAN_NODE === 'default' ? [] : ['--max-semi-space-size=1'];

/** Each case in a process of its own. */
export async function compareCases(
  size: Size,
  from: string,
  names: readonly string[],
): Promise<Map<string, PlannedAndUsed>> {
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-plan-model-'));
  try {
    await makeModel(from, folder);
    const found = new Map<string, PlannedAndUsed>();
    for (const name of names) {
      const child = spawnSync(
        process.execPath,
        [
          ...nodeFlags,
          '--import=tsx',
          fileURLToPath(import.meta.url),
          '--in-this-process',
          size,
          folder,
          name,
        ],
        { cwd: packageRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
      );
      if (child.status !== 0) throw new Error(`${size}, ${name}: the process ended with ${child.status}`);
      found.set(name, JSON.parse(child.stdout) as PlannedAndUsed);
    }
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** By how much the plan differs from what the process took besides what it had: positive when it says too much. */
export const growthError = ({ planned, besides, peak }: PlannedAndUsed) => planned / (peak - besides) - 1;
/** The same of the whole process. */
export const peakError = ({ planned, besides, peak }: PlannedAndUsed) => (planned + besides) / peak - 1;

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === '--in-this-process') return runCase(args[1] as Size, args[2]!, args[3]!);
  const [size = 'small', ...names] = args;
  if (!(size in sizes)) throw new Error(`expected quick, small or smollm2 but received ${size}`);
  const from =
    size === 'smollm2' ? (process.env.TOOLGRAD_SMOLLM2 ?? '') : join(packageRoot, 'assets', 'demo-base');
  if (from === '') throw new Error('smollm2: expected the path of a GGUF file in TOOLGRAD_SMOLLM2');
  const found = await compareCases(size as Size, from, names.length === 0 ? caseNames : names);
  const signed = (error: number) => `${error < 0 ? '-' : '+'}${(100 * Math.abs(error)).toFixed(1)} %`;
  console.log(
    table(
      ['case', 'plan', 'process besides', 'VmHWM', 'error of the plan', 'error of the peak'],
      [...found].map(([name, one]) => [
        name,
        bytes(one.planned),
        bytes(one.besides),
        bytes(one.peak),
        signed(growthError(one)),
        signed(peakError(one)),
      ]),
    ),
  );
  if ([...found.values()].some((one) => Math.abs(peakError(one)) > 0.05)) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
