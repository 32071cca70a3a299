/**
 * The demo's control: would more SFT have done what RL did? Continues SFT from the run's own end of the cold start, on the same
 * traces, for as long as the run's RL took on this machine, with the cold start's learning-rate schedule anew.
 *
 *   npx tsx scripts/demo-control.ts runs/demo
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkpointName } from '../lib/run/checkpoint.ts';
import { readLines } from '../lib/run/directory.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { train } from '../lib/train/train.ts';
import { evaluationTable, runView } from '../lib/view/progress.ts';

const run = process.argv[2];
if (run === undefined) throw new Error('expected the directory of a finished demo run');
const text = readFileSync(join(run, 'config.yaml'), 'utf8');
const config = parseConfig(text, 'config.yaml');
const metrics = readLines(join(run, 'metrics.jsonl'));
const seconds = (kind: string) =>
  metrics.filter((record) => record.kind === kind).map((record) => Number(record.seconds));
const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
const sft = seconds('sft');
const rl = total(seconds('rl'));
const steps = Math.round(rl / (total(sft) / sft.length));
process.stdout.write(`RL took ${rl.toFixed(0)} s: ${steps} more SFT steps\n`);
const control = parseConfig(text, 'config.yaml', [
  `run=${config.run}-control`,
  `model.path=${JSON.stringify(join(run, 'checkpoints', checkpointName(config.sft.steps)))}`,
  `sft.steps=${steps}`,
  'rl.steps=0',
]);
const view = runView();
const result = await train(control, { mode: 'clean', onEvent: (event) => view.event(event) });
process.stdout.write(`\n${evaluationTable(result.evaluations)}\n`);
