/**
 * All procedural tasks with their default ranges, and the way to make one with other ranges.
 */
import { arithmetic, digits, gcd, power } from './arithmetic.ts';
import { dates } from './dates.ts';
import { game24 } from './game24.ts';
import { matrix } from './matrix.ts';
import { bases, primes, roman } from './numerals.ts';
import { letters, order, strings } from './strings.ts';
import type { ProceduralTask } from './task.ts';

const factories = {
  arithmetic,
  bases,
  dates,
  digits,
  game24,
  gcd,
  letters,
  matrix,
  order,
  power,
  primes,
  roman,
  strings,
} as const;

/** The name of a procedural task. */
export type TaskName = keyof typeof factories;

/** The names of all procedural tasks. */
export const taskNames = Object.keys(factories) as TaskName[];

/**
 * Makes a task by name, e.g. `makeTask('gcd', { factor: [2, 50] })`. Options are ranges and kinds (see docs/tasks.md).
 *
 * Throws RangeError for an unknown name or a range outside its limits, TypeError for an unknown option.
 */
export function makeTask<N extends TaskName>(
  name: N,
  options?: Parameters<(typeof factories)[N]>[0],
): ProceduralTask {
  if (!Object.hasOwn(factories, name)) {
    throw new RangeError(`makeTask: unknown task ${JSON.stringify(name)}; there are ${taskNames.join(', ')}`);
  }
  const factory = factories[name] as (given?: Parameters<(typeof factories)[N]>[0]) => ProceduralTask;
  return factory(options);
}

/** Every procedural task with its default ranges, by name. */
export const tasks: Readonly<Record<TaskName, ProceduralTask>> = {
  arithmetic: arithmetic(),
  bases: bases(),
  dates: dates(),
  digits: digits(),
  game24: game24(),
  gcd: gcd(),
  letters: letters(),
  matrix: matrix(),
  order: order(),
  power: power(),
  primes: primes(),
  roman: roman(),
  strings: strings(),
};
