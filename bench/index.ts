/**
 * `npm run bench`: three benches under one name. Without one of the first two options it is the CPU's (cpu.ts).
 *
 *   --cuda-static   what is known of the GPU kernels without a GPU
 *   --cuda          the GPU at hand: conformance, correctness, and times beside the predicted ones
 */
import { errorMessage } from '../lib/errors.ts';

const args = process.argv.slice(2);
const gpu = args.includes('--cuda-static')
  ? import('./cuda-static/index.ts')
  : args.includes('--cuda')
    ? import('./cuda/index.ts')
    : null;

if (gpu === null) await import('./cpu.ts');
else {
  try {
    process.exitCode = await (await gpu).main(args);
  } catch (error) {
    process.stderr.write(`bench: ${errorMessage(error)}\n`);
    process.exitCode = 1;
  }
}
