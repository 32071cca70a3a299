/** `toolgrad doctor`: what was found on this machine and what follows from it. The first thing to attach to a bug report. */
import type { Command } from 'commander';
import { errorMessage } from '../errors.ts';
import { Device } from '../model/device.ts';
import { job } from '../model/native-call.ts';
import { native } from '../native.ts';
import { libraryFloor } from '../package.ts';
import { describeEnvironment } from '../run/environment.ts';
import { openPythonTool } from '../tools/python.ts';
import { describeLayers } from '../tools/sandbox/level.ts';
import { bytes } from '../view/format.ts';

export function doctorCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('doctor')
    .description('show what was found on this machine: processor, addon, Python')
    .option('--python <path>', 'interpreter to check instead of python3')
    .action(async (flags: { python?: string }) => {
      exit((await doctor(flags.python)) ? 0 : 1);
    });
}

/** What opening the GPU found: the images of its kernels, and how decoding steps reach it. */
async function gpuFacts(ordinal: number): Promise<string> {
  const { images, pooled, graphs } = await job('doctor', () => native().cudaOpen(ordinal));
  const modules = new Map<string, string[]>();
  for (const { module, image } of images) modules.set(image, [...(modules.get(image) ?? []), module]);
  const kernels = [...modules].map(([image, names]) =>
    modules.size === 1 ? `all ${names.length} modules as ${image}` : `${names.join(', ')} as ${image}`,
  );
  return `kernels: ${kernels.join('; ')}. Memory: ${pooled ? "from the driver's pool" : 'block by block'}. Decoding steps: ${graphs ? 'replayed as graphs' : 'launch by launch'}`;
}

/** Prints the findings; true when a run can work here. */
async function doctor(python: string | undefined): Promise<boolean> {
  const row = (name: string, text: string) => process.stdout.write(`${name.padEnd(9)} ${text}\n`);
  const environment = describeEnvironment();
  row(
    'toolgrad',
    `${environment.toolgrad}${environment.commit === null ? '' : `, commit ${environment.commit.slice(0, 12)}${environment.dirty === true ? ' with local changes' : ''}`}`,
  );
  row('node', environment.node);
  row('system', `${environment.system}; needs glibc ${libraryFloor.glibc} or newer`);
  row(
    'cpu',
    `${environment.cpu}, ${environment.cores} cores, ${bytes(environment.memoryBytes)} memory (${bytes(environment.freeBytes)} free)`,
  );
  let works = true;
  try {
    const addon = native();
    const build = addon.buildInfo();
    const { chosen, supported } = addon.isaInfo();
    row('addon', `${addon.version()}, ${build.compiler}, Node-API ${build.napi}`);
    row('kernels', `${chosen} (this processor runs ${supported.join(', ')}; TOOLGRAD_ISA chooses)`);
    const device = await Device.open('auto');
    row('device', device.description);
    if (device.ordinal !== null) row('gpu', await gpuFacts(device.ordinal));
  } catch (error) {
    works = false;
    row('addon', `cannot be loaded\n${errorMessage(error)}`);
  }
  try {
    const tool = await openPythonTool({ ...(python === undefined ? {} : { python }), unsafe: true });
    try {
      const result = await tool.run({
        callId: 'doctor',
        code: 'import importlib.util as u\nprint([n for n in ("numpy", "sympy") if u.find_spec(n)])',
        seconds: 10,
        memoryBytes: 512 * 1024 * 1024,
        outputBytes: 65536,
        fileBytes: 1024 * 1024,
      });
      works &&= result.status === 'ok' && tool.level.safe;
      row(
        'python',
        `${tool.describe}; one call: ${result.status} in ${(1000 * result.seconds).toFixed(0)} ms; extra packages: ${result.output.trim()}`,
      );
      row(
        'sandbox',
        `${tool.level.name}${tool.level.safe ? '' : ' (UNSAFE)'}, found by attacking it just now`,
      );
      for (const line of describeLayers(tool.level)) row('', line);
      for (const weakness of tool.level.weaknesses) row('', `but  ${weakness}`);
    } finally {
      await tool.close();
    }
  } catch (error) {
    works = false;
    row('python', errorMessage(error));
  }
  return works;
}
