/**
 * `npm run bench`: six benches under one name. Without one of these options it is the CPU's (cpu.ts).
 *
 *   --cuda-static   what is known of the GPU kernels without a GPU
 *   --cuda          the GPU at hand: conformance, correctness, and times beside the predicted ones
 *   --peers         other engines beside ours on the CPU, in turns
 *   --loop          the engine's threads, the event loop and programs beside each other
 *   --sandbox       the sandbox beside other ways to run programs
 */
import { errorMessage } from '../lib/errors.ts';

const args = process.argv.slice(2);

function chosen() {
  if (args.includes('--cuda-static')) return import('./cuda-static/index.ts');
  if (args.includes('--cuda')) return import('./cuda/index.ts');
  if (args.includes('--peers')) return import('./peers/index.ts');
  if (args.includes('--loop')) return import('./loop/index.ts');
  if (args.includes('--sandbox')) return import('./sandbox/index.ts');
  return null;
}

const other = chosen();
if (other === null) await import('./cpu.ts');
else {
  try {
    process.exitCode = await (await other).main(args);
  } catch (error) {
    process.stderr.write(`bench: ${errorMessage(error)}\n`);
    process.exitCode = 1;
  }
}
