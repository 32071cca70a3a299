/**
 * The native addon: found, loaded once on first use, and, when that fails, explained.
 *
 * Nothing else in lib/ loads native code. Importing this file loads nothing, so that `--help` and config checks work without
 * a build. The order in which builds are looked for is node-gyp-build's: build/Release, then prebuilds/.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { errorMessage, ToolgradError } from './errors.ts';
import type { NativeAdvantageFunctions } from './model/native-advantages.ts';
import type { NativeKernels } from './model/native-kernels.ts';
import type { NativeModelFunctions } from './model/native-model.ts';
import { libraryFloor, packageRoot, packageVersion } from './package.ts';

/** How the binary was made. */
export interface BuildInfo {
  compiler: string;
  cxx: number;
  napi: number;
  x86: boolean;
}

/** A tensor in a weight file: `dtype` is the file's name of the type ("BF16", "Q4_0"), `shape` is row-major. */
export interface TensorInfo {
  name: string;
  dtype: string;
  shape: number[];
  bytes: number;
  /** The parameter's Hugging Face name; null for a GGUF tensor that has none. */
  hfName: string | null;
  /** Whether toolgrad can read this type as a weight. */
  readable: boolean;
}

/** The header of a weight file. Metadata: GGUF key-value pairs (arrays included) or safetensors' `__metadata__`; bigint beyond 2^53. */
export interface WeightFileInfo {
  format: 'safetensors' | 'gguf';
  tensors: TensorInfo[];
  metadata: Record<string, unknown>;
}

/** The exports of the addon, one to one. */
export interface NativeAddon extends NativeModelFunctions, NativeAdvantageFunctions {
  /** Version of the package the binary was built from. */
  version(): string;
  buildInfo(): BuildInfo;
  /**
   * Sum of 1 … rounds (at most 2e9), added up on the engine thread; with `failure`, then rejects with that code. Shows that
   * queue, promise, errors and event loop work together.
   */
  selfCheck(rounds: number, failure?: string): Promise<number>;
  /** Header of a safetensors or GGUF file. Throws with code ERR_WEIGHT_FILE, ERR_FILE_NOT_FOUND or ERR_FILE_IO. */
  inspectWeights(path: string): WeightFileInfo;
  /** One tensor widened to fp32, row-major, under the file's own name and row order (for small tensors and checks). */
  readTensor(path: string, name: string): Float32Array;
  /** The instruction set of the kernels (TOOLGRAD_ISA chooses) and all that this processor runs. Throws ERR_ISA. */
  isaInfo(): { chosen: string; supported: string[] };
  /**
   * Starts a program without arguments and environment, in a session of its own, without a fork of this process. `control` is
   * its descriptors 0 and 1, `errors` its 2; the caller owns both. Throws ERR_SPAWN.
   */
  spawnProcess(path: string): { pid: number; control: number; errors: number };
  /** The wait status of a process of spawnProcess that has ended, null while it has not. Ask no more after a number. */
  reapProcess(pid: number): number | null;
  /** The ops of lib/model/kernels. */
  kernels: NativeKernels;
}

let addon: NativeAddon | undefined;

/** The addon. Throws ToolgradError ERR_ADDON_LOAD, with what was found and the command that builds it. */
export function native(): NativeAddon {
  addon ??= loadNative(packageRoot);
  return addon;
}

/** Loads the addon of the package in `root`; `native()` does so once for this package. */
export function loadNative(root: string): NativeAddon {
  const load = createRequire(import.meta.url)('node-gyp-build') as (root: string) => unknown;
  let loaded: NativeAddon;
  try {
    loaded = load(root) as NativeAddon;
  } catch (cause) {
    throw new ToolgradError('ERR_ADDON_LOAD', explainLoadFailure(root, cause), { cause });
  }
  const built = loaded.version();
  if (built === packageVersion) return loaded;
  throw new ToolgradError(
    'ERR_ADDON_LOAD',
    `Expected a native addon of version ${packageVersion} but the one found is of version ${built}. Build it again:\n` +
      `  ${buildCommand(root)}`,
  );
}

/** The command that builds the addon of the package in `root`. */
export function buildCommand(root: string): string {
  if (existsSync(join(root, 'scripts', 'ensure-built.mjs'))) return 'npm run build:native';
  return 'npm i -D cmake-js node-addon-api && npx cmake-js compile -d node_modules/toolgrad';
}

/** The C library of this process: `glibc 2.36`, `not glibc` (musl and others), or the platform's name elsewhere. */
export function libcName(): string {
  if (process.platform !== 'linux') return process.platform;
  // Without this a report looks up the names of all network peers. @types/node 20 lacks the property.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? 'not glibc' : `glibc ${version}`;
}

function listBelow(folder: string): string {
  if (!existsSync(folder)) return 'no such folder';
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.node'),
  );
  return names.length === 0 ? 'no .node file' : names.sort().join(', ');
}

/** What a user needs to know when the addon does not load. `libc` is `libcName()`'s answer. */
export function explainLoadFailure(root: string, cause: unknown, libc: string = libcName()): string {
  const reason = errorMessage(cause).split('\n')[0] ?? '';
  const lines = [
    `The native addon of toolgrad ${packageVersion} could not be loaded: ${reason}`,
    `  this machine   ${process.platform}-${process.arch}, ${libc}, Node ${process.versions.node}`,
    `  build/Release  ${listBelow(join(root, 'build', 'Release'))}`,
    `  prebuilds      ${listBelow(join(root, 'prebuilds'))} (needed: ${process.platform}-${process.arch})`,
  ];
  const found = /^glibc (\d+)\.(\d+)/.exec(libc);
  const [major = 0, minor = 0] = libraryFloor.glibc.split('.').map(Number);
  if (found && (Number(found[1]) < major || (Number(found[1]) === major && Number(found[2]) < minor))) {
    lines.push(
      `  The prebuilt binary needs glibc ${libraryFloor.glibc} or newer; this machine has ${libc.slice(6)}.`,
    );
  } else if (libc === 'not glibc') {
    lines.push(
      `  The prebuilt binary needs glibc ${libraryFloor.glibc} or newer; this machine has another C library.`,
    );
  }
  lines.push(`Build it on this machine (needs g++, cmake, make and python3):`, `  ${buildCommand(root)}`);
  return lines.join('\n');
}
