/** One recorded trajectory as a person reads it: who wrote what, call by call, and how it ended. */
import { styled } from './format.ts';

/** The parts of a record of rollouts/ or eval/ that a transcript shows. */
export interface TrajectoryRecord {
  readonly question: { readonly id: string; readonly prompt: string; readonly answer: string };
  readonly sample: number;
  readonly end: string;
  readonly reason: string | null;
  readonly answer: string | null;
  readonly correct: boolean;
  readonly text: string;
  readonly calls: readonly { readonly status: string; readonly seconds: number }[];
  readonly reward?: number;
  readonly advantage?: number;
}

/** Control characters other than newline and tab are shown, not sent to the terminal. */
function harmless(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export function transcript(record: TrajectoryRecord): string {
  const verdict = record.correct ? styled('green', 'right') : styled('red', 'wrong');
  const calls = record.calls.map((call) => `${call.status} ${call.seconds.toFixed(2)}s`).join(', ');
  const scores = [
    ...(record.reward === undefined ? [] : [`reward ${record.reward}`]),
    ...(record.advantage === undefined ? [] : [`advantage ${record.advantage.toFixed(3)}`]),
  ];
  const body = harmless(record.text)
    .split('\n')
    .map((line) => `  | ${line}`)
    .join('\n');
  return [
    `${styled('bold', record.question.id)} sample ${record.sample}: ${verdict}, answer ${record.answer ?? 'none'}, expected ${record.question.answer}`,
    body,
    `  end: ${record.end}${record.reason === null ? '' : ` (${record.reason})`}; calls: ${calls === '' ? 'none' : calls}${scores.length > 0 ? `; ${scores.join(', ')}` : ''}`,
  ].join('\n');
}
