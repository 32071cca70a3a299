/** All attacks, by number. */
import type { Attack } from '../attack.ts';
import { environment } from './environment.ts';
import { files } from './files.ts';
import { kernel } from './kernel.ts';
import { limits } from './limits.ts';
import { network } from './network.ts';
import { output } from './output.ts';
import { processes } from './processes.ts';
import { sessions } from './sessions.ts';

export const groups: Readonly<Record<string, readonly Attack[]>> = {
  files,
  'environment and /proc': environment,
  'signals and processes': processes,
  'network and interprocess communication': network,
  'surface of the kernel': kernel,
  'time and memory': limits,
  'output and protocol': output,
  sessions,
};

export const attacks: readonly Attack[] = Object.values(groups)
  .flat()
  .sort((a, b) => a.number - b.number);
