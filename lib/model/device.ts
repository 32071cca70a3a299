/**
 * Where a model computes: the CPU, or one NVIDIA GPU through its driver. No CUDA toolkit is needed; the driver library is
 * looked for when a GPU is asked for, never before.
 */
import { ToolgradError } from '../errors.ts';
import { native } from '../native.ts';
import { job } from './native-call.ts';
import type { NativeCudaDevice } from './native-model.ts';

export interface Device {
  readonly kind: 'cpu' | 'cuda';
  /** Ordinal of the GPU; null for the CPU. */
  readonly ordinal: number | null;
  /** One line: what it is and why it was chosen. */
  readonly description: string;
}

/** A name that `Device.open` takes: `cpu`, `cuda` (the first GPU), `cuda:1`, or `auto` (a GPU where one can be used). */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

const pattern = /^(?:auto|cpu|cuda(?::\d{1,4})?)$/;

/** Whether `text` is a device's name. */
export function isDeviceName(text: string): text is DeviceName {
  return pattern.test(text);
}

/** The device when none is named: TOOLGRAD_DEVICE, else the CPU. */
export function defaultDevice(): DeviceName {
  return deviceName(process.env.TOOLGRAD_DEVICE || 'cpu', 'the variable TOOLGRAD_DEVICE');
}

function deviceName(value: unknown, what: string): DeviceName {
  if (typeof value !== 'string')
    throw new TypeError(`Expected string for ${what} but received ${typeof value}`);
  if (isDeviceName(value)) return value;
  throw new RangeError(
    `Expected "auto", "cpu", "cuda" or "cuda:<number>" for ${what} but received ${JSON.stringify(value)}`,
  );
}

/** The device that an option names or is; default: `defaultDevice()`. TypeError or RangeError for anything else. */
export async function resolveDevice(option: Device | DeviceName | undefined): Promise<Device> {
  if (option === undefined) return open(defaultDevice());
  if (typeof option === 'object' && option !== null && (option.kind === 'cpu' || option.kind === 'cuda'))
    return option;
  return open(deviceName(option, 'device'));
}

function unusable(gpu: NativeCudaDevice): string | null {
  const [major = 0] = gpu.computeCapability.split('.').map(Number);
  return major < 8 ? `${gpu.name} has compute capability ${gpu.computeCapability}, 8.0 is needed` : null;
}

function cudaDevice(gpu: NativeCudaDevice, why: string): Device {
  const gib = (gpu.memoryBytes / 2 ** 30).toFixed(1);
  const description = `cuda:${gpu.ordinal}, ${gpu.name}, compute capability ${gpu.computeCapability}, ${gib} GiB, driver for CUDA ${gpu.driver} (${gpu.library})`;
  return { kind: 'cuda', ordinal: gpu.ordinal, description: `${description}; ${why}` };
}

const cpu = (why: string): Device => ({ kind: 'cpu', ordinal: null, description: `cpu; ${why}` });

/** Every GPU that the driver shows. Rejects with ERR_NO_CUDA and the reason when there is no driver. */
async function list(): Promise<readonly NativeCudaDevice[]> {
  return job('Device.list', () => native().cudaDevices());
}

/**
 * The device of this name. `auto` prefers the first GPU that can be used and never rejects: without one it is the CPU, and the
 * description says why. A GPU that is named and cannot be used rejects with ERR_NO_CUDA.
 */
async function open(name: DeviceName = 'auto'): Promise<Device> {
  const wanted = deviceName(name, 'device');
  if (wanted === 'cpu') return cpu('asked for');
  const ordinal = wanted.startsWith('cuda:') ? Number(wanted.slice(5)) : 0;
  try {
    if (native().cudaModules() === 0)
      throw new ToolgradError(
        'ERR_NO_CUDA',
        'this build of toolgrad has no CUDA kernels: it was made without nvcc',
      );
    const gpus = await list();
    if (wanted === 'auto') {
      const usable = gpus.find((gpu) => unusable(gpu) === null);
      if (usable !== undefined) return cudaDevice(usable, 'chosen: the first GPU that can be used');
      throw new ToolgradError('ERR_NO_CUDA', gpus.map(unusable).join('; '));
    }
    const gpu = gpus[ordinal];
    if (gpu === undefined)
      throw new ToolgradError(
        'ERR_NO_CUDA',
        `Expected GPU ${ordinal} but the driver shows ${gpus.length} of them`,
      );
    const reason = unusable(gpu);
    if (reason !== null) throw new ToolgradError('ERR_NO_CUDA', `Expected a usable GPU but ${reason}`);
    return cudaDevice(gpu, 'asked for');
  } catch (error) {
    if (wanted !== 'auto' || !(error instanceof ToolgradError) || error.code !== 'ERR_NO_CUDA') throw error;
    return cpu(`no GPU can be used: ${error.message}`);
  }
}

export const Device = { open, list } as const;
