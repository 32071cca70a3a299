/** Where the models of a run lie and what serves them: the options of loadModel that config.model names. */
import type { DeviceName } from '../model/device.ts';
import type { CublasLtProducts } from '../model/model.ts';
import type { Config } from './config.ts';

interface Placement {
  readonly threads?: number;
  readonly device?: DeviceName;
  readonly cublaslt?: CublasLtProducts;
  readonly cublasltRows?: number;
}

export function placement({ threads, device, cublaslt, cublaslt_rows }: Config['model']): Placement {
  return {
    ...(threads === 0 ? {} : { threads }),
    ...(device === null ? {} : { device: device as DeviceName }),
    ...(cublaslt === 'none' ? {} : { cublaslt, cublasltRows: cublaslt_rows }),
  };
}
