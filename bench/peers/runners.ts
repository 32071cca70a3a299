/** How the engines that run whole models are started: ours, PyTorch, llama.cpp. Nothing is installed; what is absent says so. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Recompute, WeightDtype } from '../../lib/model/engine.ts';
import { call, root } from '../cuda-static/tools.ts';
import { Absent } from './conversation.ts';
import { type WeightType, writeRandomGguf } from './gguf.ts';
import { modelShapes, type Runner, shortName } from './work.ts';

/** Ours; `recompute`: what training passes compute again instead of keeping it. */
export function ourRunner(
  size: string,
  dtype: WeightDtype,
  threads: number,
  recompute: Recompute = 'none',
): Runner {
  const script = join(root, 'bench', 'peers', 'ours.ts');
  const args = ['--import=tsx', script, size, dtype, String(threads), recompute];
  const kept = recompute === 'none' ? '' : `, recompute ${recompute}`;
  return {
    label: `ours ${shortName(dtype)}${kept}`,
    ours: true,
    program: { command: process.execPath, args },
  };
}

/** A script that takes shape, type and threads. */
function pythonRunner(
  script: string,
  python: string,
  size: string,
  dtype: WeightDtype,
  threads: number,
): Runner {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize, layers } = modelShapes[size]!;
  const { vocabSize, rmsNormEps, ropeTheta, qkvBias } = modelShapes[size]!;
  const shape = {
    ...{ hiddenSize, heads, kvHeads, headDim, intermediateSize, layers },
    ...{ vocabSize, rmsNormEps, ropeTheta, qkvBias },
  };
  const args = [join(root, 'bench', 'peers', script), JSON.stringify(shape), dtype, String(threads)];
  const environment = { OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) };
  return { label: shortName(dtype), ours: false, program: { command: python, args, environment } };
}

export const torchRunner = (python: string, size: string, dtype: WeightDtype, threads: number): Runner =>
  pythonRunner('torch_peer.py', python, size, dtype, threads);

export const trlRunner = (python: string, size: string, threads: number): Runner =>
  pythonRunner('trl_peer.py', python, size, 'float32', threads);

/** llama.cpp, compiled against the header it comes with; its models lie in a folder that dispose() removes. */
export interface Llama {
  runner(size: string, type: WeightType, threads: number): Runner;
  dispose(): void;
}

/** The library in `folder`, whether or not its version is part of its name. */
function libraryIn(folder: string, name: string): string {
  const pattern = new RegExp(`^lib${name}(\\.v[\\d.]+)?\\.(so|dylib)$`);
  const found = existsSync(folder) ? readdirSync(folder).find((file) => pattern.test(file)) : undefined;
  if (found === undefined) throw new Absent(`llama.cpp: not compared with, ${folder} has no lib${name}`);
  return join(folder, found);
}

/** `source` has include/llama.h and ggml/include, `libraries` what was built from it; throws Absent where they are not there. */
export function openLlama(source: string | undefined, libraries: string | undefined): Llama {
  if (source === undefined)
    throw new Absent('llama.cpp: not compared with, --llama PATH names the folder of its sources');
  const headers = [join(resolve(source), 'include'), join(resolve(source), 'ggml', 'include')];
  if (!existsSync(join(headers[0]!, 'llama.h')))
    throw new Absent(`llama.cpp: not compared with, ${headers[0]} has no llama.h`);
  const folder = resolve(libraries ?? join(source, 'build', 'bin'));
  const linked = ['llama', 'ggml', 'ggml-base'].map((name) => libraryIn(folder, name));
  const out = join(root, 'build-bench');
  mkdirSync(out, { recursive: true });
  const executable = join(out, 'llama_peer');
  call(process.env.CXX ?? 'c++', [
    ...['-O2', '-std=c++17', ...headers.map((path) => `-I${path}`), '-o', executable],
    ...[join(root, 'bench', 'native', 'llama', 'main.cc'), ...linked, `-Wl,-rpath,${folder}`],
  ]);
  const models = mkdtempSync(join(tmpdir(), 'toolgrad-peers-'));
  const dispose = () => rmSync(models, { recursive: true, force: true });
  process.once('exit', dispose); // gigabytes: also where the bench is interrupted
  return {
    runner(size, type, threads) {
      const file = join(models, `${size}-${type}.gguf`);
      if (!existsSync(file)) writeRandomGguf(file, modelShapes[size]!, type);
      const environment = { OMP_NUM_THREADS: String(threads) };
      const program = { command: executable, args: [file, String(threads), folder], environment };
      return { label: type, ours: false, program };
    },
    dispose() {
      process.off('exit', dispose);
      dispose();
    },
  };
}
