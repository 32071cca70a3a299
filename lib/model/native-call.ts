/**
 * Calls into the engine: misuse is thrown at once, and a failure of the engine carries the operation's name and the caller's
 * stack (the engine thread has none of its own).
 */
import { duringOperation } from '../errors.ts';

/** A synchronous call. */
export function runs<T>(operation: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw duringOperation(operation, error);
  }
}

/** A call that gives a promise: throws misuse at once, names the operation in whatever fails later. */
export function job<T>(operation: string, call: () => Promise<T>): Promise<T> {
  return runs(operation, call).catch((error: unknown) => {
    throw duringOperation(operation, error);
  });
}
