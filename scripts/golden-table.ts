/**
 * Prints how far the engine is from the reference models, per model and tensor: the worst relative error of each kind, or with
 * --all every tensor. Usage: node --import=tsx scripts/golden-table.ts [--all] [folder of golden models]
 */
import { join, resolve } from 'node:path';
import { loadModel } from '../lib/model/model.ts';
import { packageRoot } from '../lib/package.ts';
import {
  type Comparison,
  compareForward,
  compareRlObjective,
  compareTraining,
  GoldenModel,
  goldenModels,
  tableLine,
  worstPerTensor,
} from '../test/support/golden-models.ts';

const args = process.argv.slice(2);
const all = args.includes('--all');
const root = resolve(
  args.find((arg) => !arg.startsWith('--')) ?? join(packageRoot, '..', 'shared', 'golden', 'models'),
);

let failed = 0;
for (const dtype of ['float32', 'bfloat16'] as const) {
  console.log(`${dtype}: norm-wise relative error per tensor`);
  for (const name of goldenModels) {
    const golden = new GoldenModel(root, name);
    using model = await loadModel(golden.folder, { dtype, trainable: true });
    const forward = await compareForward(model, golden);
    const rows: Comparison[] =
      dtype === 'float32' ? forward : forward.filter((row) => row.tensor === 'logits');
    rows.push(...(await compareTraining(model, golden)));
    if (dtype === 'float32' && golden.expected.rl_objective !== undefined)
      rows.push(...(await compareRlObjective(model, golden)));
    for (const row of all ? rows : worstPerTensor(rows)) console.log(tableLine(row));
    failed += rows.filter((row) => !(row.error <= row.bound)).length;
  }
}
if (failed > 0) {
  console.error(`${failed} tensors are beyond their bound`);
  process.exitCode = 1;
}
