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
  readonly segments: readonly { readonly origin: string; readonly text: string }[];
  readonly calls: readonly { readonly status: string; readonly seconds: number }[];
  readonly reward?: number;
  readonly advantage?: number;
}

/** Control characters other than newline and tab are shown, not sent to the terminal. */
function harmless(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

const kWriters: Readonly<Record<string, string>> = { policy: 'model', tool: 'tool', template: 'format' };

/** Lines with their writer in front; `+` where a line goes on in another hand. */
function marked(segments: TrajectoryRecord['segments']): string[] {
  const lines: string[] = [];
  let fresh = true;
  for (const { origin, text } of segments) {
    const writer = (kWriters[origin] ?? origin).padStart(8);
    for (const [index, line] of harmless(text).split('\n').entries()) {
      if (index > 0) fresh = true;
      // What follows a segment's last newline belongs to whoever writes next.
      if (line === '' && index > 0 && index === text.split('\n').length - 1) continue;
      if (line === '' && index === 0 && !fresh) continue;
      lines.push(paint(origin, `${writer} ${fresh ? '|' : '+'} ${line}`));
      fresh = false;
    }
  }
  return lines;
}

function paint(origin: string, line: string): string {
  if (origin === 'policy') return line;
  return origin === 'tool' ? styled('cyan', line) : styled('dim', line);
}

export function transcript(record: TrajectoryRecord): string {
  const verdict = record.correct ? styled('green', 'right') : styled('red', 'wrong');
  const calls = record.calls.map((call) => `${call.status} ${call.seconds.toFixed(2)}s`).join(', ');
  const scores = [
    ...(record.reward === undefined ? [] : [`reward ${record.reward}`]),
    ...(record.advantage === undefined ? [] : [`advantage ${record.advantage.toFixed(3)}`]),
  ];
  const body = marked(record.segments).join('\n');
  return [
    `${styled('bold', record.question.id)} sample ${record.sample}: ${verdict}, answer ${record.answer ?? 'none'}, expected ${record.question.answer}`,
    body,
    `  end: ${record.end}${record.reason === null ? '' : ` (${record.reason})`}; calls: ${calls === '' ? 'none' : calls}${scores.length > 0 ? `; ${scores.join(', ')}` : ''}`,
  ].join('\n');
}
