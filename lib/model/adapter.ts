/** A model's adapter from and to PEFT folders; Model.loadAdapter and Model.saveAdapter are these. */
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { native } from '../native.ts';
import {
  adapterConfigName,
  adapterConfigText,
  adapterWeightName,
  checkAdapterTensors,
  openAdapter,
} from './adapter-files.ts';
import type { ModelConfig } from './config.ts';
import { type FolderFiles, writeFiles } from './folder.ts';
import { type Lora, loraDifference } from './lora.ts';
import { job } from './native-call.ts';
import type { ModelHandle } from './native-model.ts';

interface AdaptedModel {
  readonly config: ModelConfig;
  readonly trainable: boolean;
  readonly lora: Lora | null;
}

/** The model's adapter options; ERR_NO_ADAPTER when it has none. */
export function loraOf(operation: string, { lora }: AdaptedModel): Lora {
  if (lora !== null) return lora;
  throw new ToolgradError(
    'ERR_NO_ADAPTER',
    `${operation}: expected a model loaded with lora but this one has only its own weights`,
  );
}

export async function loadAdapter(
  handle: ModelHandle,
  model: AdaptedModel,
  folder: string,
  as: 'on' | 'reference',
): Promise<void> {
  const lora = loraOf('loadAdapter', model);
  const source = openAdapter(folder);
  const fail = (message: string) =>
    new ToolgradError('ERR_MODEL_CONFIG', `${join(folder, adapterConfigName)}: ${message}`);
  const difference = loraDifference(lora, source.lora);
  if (difference !== null) throw fail(`${difference}, and the model was loaded for the former`);
  if (model.trainable && as === 'on' && source.dropout > 0)
    throw fail(
      `expected "lora_dropout" 0 but found ${source.dropout}: training has no dropout; write 0 to train this adapter on`,
    );
  checkAdapterTensors(source, model.config);
  await job('loadAdapter', () => native().modelLoadAdapter(handle, source.weightFile, as));
}

export async function saveAdapter(
  handle: ModelHandle,
  model: AdaptedModel,
  folder: string,
  base: string | null,
  files: FolderFiles,
): Promise<void> {
  const text = adapterConfigText(loraOf('saveAdapter', model), base);
  writeFiles('saveAdapter', folder, { ...files, [adapterConfigName]: text });
  await job('saveAdapter', () => native().modelSaveAdapter(handle, join(folder, adapterWeightName)));
}
