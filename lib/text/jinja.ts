/**
 * Renders a model's Jinja chat template with bounds: the template comes from a file, so its size, its run time, its ranges and
 * its output are limited. It sees only the values it is given. Memory in between is not bounded (no sandbox).
 *
 * `strftime_now` answers with a fixed day unless one is given: a prompt must not depend on the day of the run.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { errorMessage, ToolgradError } from '../errors.ts';
import { withDeadline } from './deadline.ts';

const kMaxTemplate = 1 << 20;
const kMaxOutput = 1 << 26;
const kMaxRange = 100_000;
const kSeconds = 2;

/** The day that templates see when none is given (the one Llama 3 falls back to). */
export const defaultDay: Date = new Date(Date.UTC(2024, 6, 26));

type Program = ReturnType<typeof parse>;

const parsed = new Map<string, Program>();
const kParsedTemplates = 16;

function parseTemplate(template: string): Program {
  const known = parsed.get(template);
  if (known !== undefined) return known;
  if (template.length > kMaxTemplate) {
    throw new RangeError(`expected at most ${kMaxTemplate} characters but found ${template.length}`);
  }
  const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  if (parsed.size >= kParsedTemplates) parsed.clear();
  parsed.set(template, program);
  return program;
}

/**
 * The text that `template` makes of `variables` (plain JSON values). Whatever goes wrong, `raise_exception` included, is a
 * ToolgradError ERR_CHAT_TEMPLATE with the template's own message.
 */
export function renderTemplate(
  template: string,
  variables: Readonly<Record<string, unknown>>,
  day: Date = defaultDay,
): string {
  try {
    return withDeadline(kSeconds, 'the template', () => {
      const program = parseTemplate(template);
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...globals(day), ...variables })) {
        environment.set(name, value);
      }
      const { value } = new Interpreter(environment).run(program) as { value: unknown };
      if (typeof value !== 'string') throw new TypeError(`the result is no text but a ${typeof value}`);
      if (value.length > kMaxOutput) {
        throw new RangeError(`the result has ${value.length} characters, at most ${kMaxOutput} are allowed`);
      }
      return value;
    });
  } catch (error) {
    throw new ToolgradError('ERR_CHAT_TEMPLATE', `the chat template failed: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function globals(day: Date): Record<string, unknown> {
  return {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
    range: boundedRange,
    strftime_now: (format: unknown) => formatDay(String(format), day),
  };
}

function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined || second === null ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= kMaxRange))
    throw new RangeError(`range() of ${count} items; at most ${kMaxRange} are allowed`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

const kMonths = 'January February March April May June July August September October November December'.split(
  ' ',
);
const kWeekdays = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** The directives of strftime that chat templates use, in UTC. */
function formatDay(format: string, day: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const month = kMonths[day.getUTCMonth()]!;
  const weekday = kWeekdays[day.getUTCDay()]!;
  const parts: Record<string, string> = {
    d: two(day.getUTCDate()),
    m: two(day.getUTCMonth() + 1),
    y: two(day.getUTCFullYear() % 100),
    Y: String(day.getUTCFullYear()),
    b: month.slice(0, 3),
    B: month,
    a: weekday.slice(0, 3),
    A: weekday,
    H: two(day.getUTCHours()),
    M: two(day.getUTCMinutes()),
    S: two(day.getUTCSeconds()),
    '%': '%',
  };
  return format.replace(/%(.)/g, (whole, letter: string) => parts[letter] ?? whole);
}
