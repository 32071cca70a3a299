/** Errors of the chat completions API, in the shape that OpenAI's clients read: `{ error: { message, type, param, code } }`. */

/** What a request is answered with instead of a completion. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** The HTTP status. */
  readonly status: number;
  readonly type: string;
  /** The field of the request that is meant, or null. */
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, details: { param?: string; code?: string } = {}) {
    super(message);
    this.status = status;
    this.type =
      status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
    this.param = details.param ?? null;
    this.code = details.code ?? null;
  }
}

/** The body of an error answer. */
export function errorBody({ message, type, param, code }: ApiError): object {
  return { error: { message, type, param, code } };
}

/** Status 400 for a field of the request. */
export function badField(param: string, message: string, code?: string): ApiError {
  return new ApiError(400, `${param}: ${message}`, { param, ...(code === undefined ? {} : { code }) });
}
