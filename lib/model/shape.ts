/** A model of which only config.json is here: enough to say what it would take, not to run it. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ModelConfig, parseHfConfig } from './config.ts';
import { readJsonObject } from './fields.ts';

const kMaxConfigBytes = 2 ** 20;

/** The config of a folder with config.json and no weights; null for anything else. Throws ERR_MODEL_CONFIG. */
export function configWithoutWeights(path: string): ModelConfig | null {
  const file = join(path, 'config.json');
  if (!existsSync(path) || !statSync(path).isDirectory() || !existsSync(file)) return null;
  if (readdirSync(path).some((name) => /\.(safetensors|gguf|bin)$|\.index\.json$/.test(name))) return null;
  return parseHfConfig(readJsonObject(file, kMaxConfigBytes), null, file);
}
