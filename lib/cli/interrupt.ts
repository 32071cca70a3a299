/** Ctrl-C: the first one asks for a clean stop, the second one ends the process at once. */

/** Thrown where a stop was asked for and there is nothing more to say: exit code 130. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
  }
}

/**
 * Runs `work` with a signal that SIGINT or SIGTERM aborts (reason: an Interrupted). `saying` is what is printed then: what
 * happens before the program ends.
 */
export async function interruptible<T>(
  saying: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write(`\ntoolgrad: stopping; ${saying} (again to stop at once)\n`);
    controller.abort(new Interrupted());
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}
