/**
 * The error class of the package and the list of its codes.
 *
 * Misuse throws TypeError or RangeError synchronously; everything else is a ToolgradError. A code is stable and documented;
 * a message says what was expected, what was found and what to do next.
 */

/** A failure with a stable `code`; `cause` holds the error it was made from, when there is one. */
export class ToolgradError extends Error {
  override readonly name = 'ToolgradError';
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The `code` of anything thrown, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The message of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Names the operation in a failure that came from the engine thread, whose errors have no JavaScript stack: the result has
 * the caller's stack, the same code, and the original as `cause`. TypeError and RangeError pass unchanged.
 */
export function duringOperation(operation: string, error: unknown): Error {
  if (error instanceof TypeError || error instanceof RangeError || error instanceof ToolgradError)
    return error;
  const code = errorCode(error) ?? 'ERR_NATIVE';
  return new ToolgradError(code, `${operation}: ${errorMessage(error)}`, { cause: error });
}
