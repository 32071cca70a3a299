/**
 * Dates and times of Reasoning-Gym: weekdays, counts of days, leap years, durations. A duration is right when it is the same
 * length of time, written in the asked form: `79 days`, `04:30`, `04:30:00`, `04:30:00.250`, `3 days, 04:30`.
 */
import {
  accepted,
  compareInteger,
  compareText,
  compareTextIgnoringCase,
  rejected,
  screenAnswer,
} from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { isText, metaValue } from './meta.ts';
import { comparedTask } from './numbers.ts';

const kLongest = 100;

/** Numbers as integers, Yes and No in either case, weekdays by their names with a capital. */
export const calendarArithmetic = comparedTask(
  'calendar_arithmetic',
  'weekdays, counts of days, leap years',
  (expected, answer) => {
    if (/^-?[0-9]+$/.test(expected)) return compareInteger(expected, answer);
    if (expected === 'Yes' || expected === 'No') return compareTextIgnoringCase(expected, answer);
    return compareText(expected, answer);
  },
  kLongest,
);

const kClock = /^([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{3}))?)?$/;

/** `HH:MM`, `HH:MM:SS` or `HH:MM:SS.mmm` in milliseconds, or undefined. */
function clockMilliseconds(text: string): number | undefined {
  const found = kClock.exec(text);
  if (found === null) return undefined;
  const [, hours, minutes, seconds = '0', milliseconds = '0'] = found;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + Number(milliseconds);
}

/** A duration of the form that a kind of question asks for, in milliseconds, or undefined. */
function durationMilliseconds(kind: string, text: string): number | undefined {
  if (kind.startsWith('time')) return clockMilliseconds(text);
  if (kind === 'date') {
    const found = /^(-?[0-9]{1,7})(?: days?)?$/i.exec(text);
    return found === null ? undefined : Number(found[1]) * 86_400_000;
  }
  const found = /^(-?[0-9]{1,7}) days?, ?([0-9:]{4,8})$/.exec(text);
  if (found === null) return undefined;
  const clock = clockMilliseconds(found[2]!);
  return clock === undefined || clock >= 86_400_000 ? undefined : Number(found[1]) * 86_400_000 + clock;
}

/** The time between the two clock times of a question with milliseconds, or undefined. */
function askedMilliseconds(prompt: string): number | undefined {
  const [start, end] = (prompt.match(/\b[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}\b/g) ?? []).map(
    clockMilliseconds,
  );
  return start === undefined || end === undefined ? undefined : end - start;
}

/**
 * The canonical duration. Where a question has milliseconds, the package lost one in about half of them (it truncates a
 * float), so the exact difference of the question's two times is right too.
 */
export const timeIntervals: SuiteTask = {
  name: 'time_intervals',
  description: 'duration between two times or dates',
  metaKeys: ['task_type'],
  verify(question, answer) {
    const kind = metaValue(question, 'task_type', isText, 'a kind of interval');
    const screened = screenAnswer(answer, kLongest);
    if (typeof screened !== 'string') return screened;
    const found = durationMilliseconds(kind, screened);
    if (found === undefined) return rejected('not a duration in the asked form');
    const exact = kind === 'time_ms' ? askedMilliseconds(question.prompt) : undefined;
    return found === durationMilliseconds(kind, question.answer) || found === exact
      ? accepted
      : rejected('a different duration');
  },
};
