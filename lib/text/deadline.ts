/**
 * A wall-clock limit on synchronous JavaScript that comes from a file: chat templates and regular expressions.
 * It bounds time, not memory, and it is no sandbox: the work has whatever its caller hands it.
 */
import { createContext, Script } from 'node:vm';
import { errorCode, ToolgradError } from '../errors.ts';

const script = new Script('work()', { filename: 'deadline' });
let context: { work: () => unknown } | null = null;

/** Runs `work` and returns its result; after `seconds` it is stopped with a ToolgradError ERR_DEADLINE naming `what`. */
export function withDeadline<T>(seconds: number, what: string, work: () => T): T {
  context ??= createContext({ work: () => undefined }) as { work: () => unknown };
  const outer = context.work;
  context.work = work;
  try {
    return script.runInContext(context, { timeout: Math.max(1, Math.round(seconds * 1000)) }) as T;
  } catch (error) {
    if (errorCode(error) !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new ToolgradError('ERR_DEADLINE', `${what} did not finish within ${seconds} s and was stopped`, {
      cause: error,
    });
  } finally {
    context.work = outer;
  }
}
