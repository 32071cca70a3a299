/** `toolgrad merge <adapter> <folder>`: base and LoRA adapter as one Hugging Face folder. */
import { existsSync, readdirSync } from 'node:fs';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { openModel } from '../model/open.ts';
import { loraLine } from '../view/progress.ts';

interface MergeFlags {
  base?: string;
  dtype: string;
}

export function mergeCommand(program: Command): void {
  program
    .command('merge')
    .description('write base and LoRA adapter as one model')
    .argument('<adapter>', 'folder of the adapter, for example a checkpoint of a run with lora.rank')
    .argument('<folder>', 'where to write; new or empty')
    .option('--base <model>', 'model below the adapter, instead of the one its config names')
    .option('--dtype <dtype>', 'bfloat16 or float32', 'bfloat16')
    .addHelpText('after', '\nExample:\n  toolgrad merge runs/lora/checkpoints/000060 merged')
    .action((adapter: string, folder: string, flags: MergeFlags) => merge(adapter, folder, flags));
}

async function merge(adapter: string, folder: string, flags: MergeFlags): Promise<void> {
  if (flags.dtype !== 'bfloat16' && flags.dtype !== 'float32') {
    throw new ToolgradError('ERR_USAGE', `--dtype: expected bfloat16 or float32, found ${flags.dtype}`);
  }
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new ToolgradError('ERR_USAGE', `${folder}: expected a new or an empty folder, found files in it`);
  }
  const { model, tokenizer } = await openModel(adapter, { dtype: flags.dtype, base: flags.base ?? null });
  try {
    if (model.lora === null) {
      throw new ToolgradError('ERR_USAGE', `${adapter} is a whole model: there is nothing to merge`);
    }
    await model.saveMerged(folder, tokenizer.files);
    process.stdout.write(
      `${folder}: ${loraLine(model.lora, model.adapterParameterCount)}, merged in ${flags.dtype}\n`,
    );
  } finally {
    model.dispose();
  }
}
