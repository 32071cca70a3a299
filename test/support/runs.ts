/**
 * What the tests of whole runs share: a base model that calls Python now and then, a small config, and a look at a run's
 * files without what depends on the clock.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../lib/run/config.ts';
import { readLines } from '../../lib/run/directory.ts';
import { parseConfig } from '../../lib/run/yaml.ts';
import { demoTasks } from '../../lib/tasks/demo.ts';
import type { Reward } from '../../lib/tasks/reward.ts';
import { formats } from '../../lib/text/formats/index.ts';
import { sftStep, traceLedger } from '../../lib/train/sft.ts';
import { makeTraces } from '../../lib/train/traces.ts';
import { openTiny } from './rollouts.ts';

/** A folder of its own for a test file; `remove` deletes it. */
export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'toolgrad-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A folder of its own for a test file with a base model in it, deleted when its process ends; `at` names what lies there. */
export async function folderWithBase(): Promise<{ base: string; at(name: string): string }> {
  const temporary = temporaryFolder();
  // No hook: ava takes none before a file's last top-level await. Each test file is a process of its own.
  process.once('exit', () => temporary.remove());
  const at = (name: string) => join(temporary.path, name);
  await writeBase(at('base'));
  return { base: at('base'), at };
}

/** Writes a tiny model that has seen some traces, so that it makes calls (right answers are beyond it). */
export async function writeBase(folder: string): Promise<void> {
  const { model, tokenizer } = await openTiny({ trainable: true });
  const ledgers = makeTraces([demoTasks.sum, demoTasks.gcd], { count: 24, seed: 99, codeShare: 0.7 }).map(
    (trace) => {
      const prompt = `<|im_start|>user\n${trace.question.prompt}<|im_end|>\n<|im_start|>assistant\n`;
      return traceLedger(tokenizer.encodeTemplate(prompt), trace, tokenizer, formats.r1ci);
    },
  );
  const adamw = { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  for (let step = 0; step < 100; step++) {
    const start = (8 * step) % ledgers.length;
    const options = { adamw, reduction: 'token_mean', microBatchTokens: 4096 } as const;
    await sftStep(model, ledgers.slice(start, start + 8), options);
  }
  await model.save(folder, tokenizer.files);
  model.dispose();
}

/** YAML of a run of 6 SFT and 4 RL steps on the base in `base`. */
export function runYaml(base: string): string {
  return `
run: run
seed: 3
instruction: ""
model: { path: ${JSON.stringify(base)}, threads: 2 }
tasks: { names: [demo/sum, demo/gcd] }
sft: { steps: 6, batch: 3, traces: 8, lr: 1.0e-3, warmup: 2, decay: linear }
rl: { steps: 4, prompts: 3, group: 4, lr: 1.0e-3, kl: k3, kl_coef: 0.01, mini_batches: 2, decay: cosine }
rollout:
  { max_calls: 2, max_turns: 3, first_turn_tokens: 60, turn_tokens: 30, total_tokens: 256, kv_memory_mb: 4 }
tool: { seconds: 20, memory_mb: 256, output_characters: 60, workers: 2 }
eval: { questions: 4, every: 2, without_tool: true }
`;
}

/** The config of `runYaml` in run directory `path`. */
export function runConfig(base: string, path: string, overrides: readonly string[] = []): Config {
  return parseConfig(runYaml(base), 'test.yaml', [`run=${JSON.stringify(path)}`, ...overrides]);
}

/** A reward that differs between samples, so that groups are alive before anything is learned. */
export const lengthReward: Reward = ({ text }) => {
  const total = (text.length % 17) / 17;
  return { total, parts: { length: total } };
};

/** A JSON value without times, and without the number of decode steps, which depends on how long the tool took. */
export function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !/(^|_)seconds$|per_second$|^decode_steps$/.test(key))
      .map(([key, inner]) => [key, withoutTimes(inner)]),
  );
}

/** Every record of a run but its times, by file. */
export function recordsOf(run: string): Record<string, unknown> {
  const files = ['metrics.jsonl'];
  for (const folder of ['rollouts', 'eval']) {
    files.push(...readdirSync(join(run, folder)).map((name) => join(folder, name)));
  }
  return Object.fromEntries(files.sort().map((file) => [file, readLines(join(run, file)).map(withoutTimes)]));
}

/** Weights and optimizer of the checkpoint of `step`. */
export function checkpointBytes(run: string, step: string): Buffer[] {
  const folder = join(run, 'checkpoints', step);
  return ['model.safetensors', 'optimizer/optimizer.safetensors'].map((name) =>
    readFileSync(join(folder, name)),
  );
}
