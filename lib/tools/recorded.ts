/**
 * A tool that runs nothing: it answers calls from a record, by call id. What the clock or the machine decided when the record was
 * made is answered as it was: a timeout, a call cut by its trajectory's time, an output that did not fit, a failure of the tool.
 */
import type { Tool, ToolRequest, ToolResult, ToolStatus } from './tool.ts';

export interface RecordedAnswer {
  readonly code: string;
  readonly status: ToolStatus;
  /** What the model was shown; null when nothing was. */
  readonly output: string | null;
  readonly seconds: number;
  readonly error: string | null;
  /** Attempts that the tool itself failed before. */
  readonly failures: number;
  /** The trajectory's time ran out while the program ran: the call is rejected, as it was then. */
  readonly cut: boolean;
  /** The output was longer than the room that was left, and is not in the record. */
  readonly tooLong: boolean;
}

export interface RecordedTool extends Tool {
  /** Answer call `callId` so. */
  add(callId: string, answer: RecordedAnswer): void;
  /** Calls that were answered. */
  readonly answered: number;
}

/** `room`: tokens of the longest trajectory; an output that did not fit is replaced by a text of more tokens than that. */
export function recordedTool(room: number): RecordedTool {
  const answers = new Map<string, RecordedAnswer>();
  const attempts = new Map<string, number>();
  let answered = 0;
  const resultOf = (
    request: ToolRequest,
    answer: Partial<ToolResult> & { status: ToolStatus },
  ): ToolResult => ({
    callId: request.callId,
    stdout: '',
    stderr: '',
    output: '',
    exitCode: null,
    signal: null,
    seconds: 0,
    cpuSeconds: 0,
    truncatedBytes: 0,
    ...answer,
  });
  const failed = (request: ToolRequest, error: string) =>
    resultOf(request, { status: 'infrastructure_error', error });
  return {
    describe: 'answers from a record; no program runs',
    get answered() {
      return answered;
    },
    add: (callId, answer) => {
      answers.set(callId, answer);
    },
    async run(request) {
      const { callId, code } = request;
      const answer = answers.get(callId);
      if (answer === undefined) return failed(request, `the record has no call ${callId}`);
      if (answer.code !== code) return failed(request, `call ${callId} is recorded with another program`);
      const attempt = attempts.get(callId) ?? 0;
      attempts.set(callId, attempt + 1);
      if (attempt < answer.failures)
        return failed(request, 'the tool failed, as it did when this was recorded');
      answered += 1;
      const { status, seconds, error } = answer;
      if (answer.cut) throw new Error(error ?? 'the call was cut');
      // Every word is a token of its own at least.
      const output = answer.tooLong ? ' word'.repeat(room + 1) : (answer.output ?? '');
      return resultOf(request, { status, output, seconds, ...(error === null ? {} : { error }) });
    },
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}
