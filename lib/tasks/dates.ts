/**
 * Calendar arithmetic in the Gregorian calendar: days between dates, weekdays, dates some days later.
 *
 * Dates are ISO `YYYY-MM-DD` everywhere; JavaScript's UTC day count is exact in the allowed years.
 */
import { compareInteger, compareText, compareTextIgnoringCase } from './answer.ts';
import { type Given, type OptionRule, resolveOptions } from './options.ts';
import type { Random } from './random.ts';
import { type ProceduralTask, proceduralTask } from './task.ts';

const kDay = 86_400_000;
const kWeekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;

interface Dates extends Record<string, unknown> {
  kind: 'between' | 'weekday' | 'add';
  start: string;
  /** The later date of 'between'; equal to `start` otherwise. */
  end: string;
  /** Days added in 'add'; 0 otherwise. */
  days: number;
}

/** Days since 1970-01-01 of a date; 0 is that day. */
function dayNumber(year: number, month: number, day: number): number {
  return Date.UTC(year, month - 1, day) / kDay;
}

/** The ISO date of a day number. */
function isoDate(day: number): string {
  return new Date(day * kDay).toISOString().slice(0, 10);
}

const kDatesRules = {
  year: { range: [1900, 2099], limits: [1600, 2999] },
  /** Days added in 'add'. */
  days: { range: [30, 20_000], limits: [1, 200_000] },
  kinds: { kinds: ['between', 'weekday', 'add'] },
} as const satisfies Record<string, OptionRule>;

/** Options of `dates`. */
export type DatesOptions = Given<typeof kDatesRules>;

function pythonDate(iso: string): string {
  return `date(${iso
    .split('-')
    .map((part) => Number(part))
    .join(', ')})`;
}

/** Days between two dates, the weekday of a date, the date n days later. */
export function dates(options: DatesOptions = {}): ProceduralTask {
  const { year, days, kinds } = resolveOptions('dates', kDatesRules, options);
  const first = dayNumber(year[0], 1, 1);
  const last = dayNumber(year[1], 12, 31);
  const randomDay = (random: Random) => random.integer(first, last);
  return proceduralTask<Dates>({
    generator: 'dates',
    name: options.name,
    description: 'days between dates, weekday of a date, date n days later',
    draw(random) {
      const kind = random.choice(kinds);
      const a = randomDay(random);
      const b = randomDay(random);
      const shift = random.integer(...days);
      if (a === b) return undefined;
      const start = isoDate(Math.min(a, b));
      const end = isoDate(Math.max(a, b));
      const drawn = {
        between: {
          content: `between ${start} ${end}`,
          instance: { kind, start, end, days: 0 },
          prompts: [
            `How many days is it from ${start} to ${end}?`,
            `How many days after ${start} is ${end}?`,
          ],
          answer: String(Math.abs(a - b)),
        },
        weekday: {
          content: `weekday ${start}`,
          instance: { kind, start, end: start, days: 0 },
          prompts: [
            `Which day of the week is ${start}? Answer with its English name.`,
            `On what weekday does ${start} fall? Answer with its English name.`,
          ],
          answer: kWeekdays[(((Math.min(a, b) + 4) % 7) + 7) % 7]!,
        },
        add: {
          content: `add ${start} ${shift}`,
          instance: { kind, start, end: start, days: shift },
          prompts: [
            `Which date is ${shift} days after ${start}? Answer as YYYY-MM-DD.`,
            `Add ${shift} days to ${start}. Give the date as YYYY-MM-DD.`,
          ],
          answer: isoDate(Math.min(a, b) + shift),
        },
      }[kind];
      return drawn;
    },
    compare: (expected, answer, { kind }) =>
      kind === 'between'
        ? compareInteger(expected, answer)
        : kind === 'weekday'
          ? compareTextIgnoringCase(expected, answer)
          : compareText(expected, answer),
    solutions: [
      ({ kind, start, end, days: shift }) =>
        ({
          between: `from datetime import date\nprint((${pythonDate(end)} - ${pythonDate(start)}).days)`,
          weekday: `from datetime import date\nprint(${pythonDate(start)}.strftime("%A"))`,
          add: `from datetime import date, timedelta\nprint(${pythonDate(start)} + timedelta(days=${shift}))`,
        })[kind],
      ({ kind, start, end, days: shift }) =>
        ({
          between: `from datetime import date\na = date.fromisoformat("${start}")\nb = date.fromisoformat("${end}")\nprint((b - a).days)`,
          weekday: `import calendar\nfrom datetime import date\nd = date.fromisoformat("${start}")\nprint(calendar.day_name[d.weekday()])`,
          add: `from datetime import date, timedelta\nd = date.fromisoformat("${start}") + timedelta(${shift})\nprint(d.isoformat())`,
        })[kind],
    ],
  });
}
