/** Where the models of a run lie and how many threads serve them: the options of loadModel that config.model names. */
import type { DeviceName } from '../model/device.ts';
import type { Config } from './config.ts';

export function placement({ threads, device }: Config['model']): { threads?: number; device?: DeviceName } {
  return {
    ...(threads === 0 ? {} : { threads }),
    ...(device === null ? {} : { device: device as DeviceName }),
  };
}
