/**
 * Geometry of Reasoning-Gym: angles in degrees, points and radii of triangles with integer corners.
 *
 * The questions ask for three decimal places, while the package's own angles have two. An answer is right when it lies
 * within half a unit of the last place asked for (of the second place for angles) of the value in `meta`.
 */
import { accepted, rejected, screenAnswer, trimBlanks, type Verdict } from '../../answer.ts';
import { maxNumberLength } from '../../number.ts';
import type { SuiteQuestion, SuiteTask } from '../suite.ts';
import { type Guard, isListOf, isText, metaValue } from './meta.ts';
import { type Decimal, decimalTask, expectedDecimal, magnitude, readDecimal, within } from './numbers.ts';

export const simpleGeometry = decimalTask('simple_geometry', 'missing interior angle of a polygon');

const isNumber: Guard<number> = (value): value is number =>
  typeof value === 'number' && Number.isFinite(value);

/** A float of `meta` as the decimal that prints it. */
function metaDecimal(question: SuiteQuestion, key: string): Decimal {
  return expectedDecimal(String(metaValue(question, key, isNumber, 'a number')));
}

/** Whether a decimal lies within half a thousandth of a fraction `a/b` or integer `a`. */
function nearFraction(found: Decimal, fraction: string): boolean {
  const parts = /^(-?[0-9]+)(?:\/([1-9][0-9]*))?$/.exec(fraction);
  if (parts === null) throw new TypeError(`expected a coordinate like -26/7, found ${fraction}`);
  const denominator = BigInt(parts[2] ?? '1');
  // |units / 10^places - a / b| <= 1 / 2000, without fractions
  const scale = 10n ** BigInt(Math.max(found.places, 0));
  const units = found.units * 10n ** BigInt(Math.max(-found.places, 0));
  return 2000n * magnitude(units * denominator - BigInt(parts[1]!) * scale) <= scale * denominator;
}

function judgePoint(question: SuiteQuestion, answer: string): Verdict {
  const ortho = metaValue(question, 'ortho', isListOf(isText), 'two coordinates');
  const inside = answer.startsWith('(') && answer.endsWith(')') ? answer.slice(1, -1) : answer;
  const coordinates = inside.split(',').map((part) => readDecimal(trimBlanks(part)));
  if (coordinates.length !== 2) return rejected('not a point (x, y)');
  for (const [i, found] of coordinates.entries()) {
    if (found === undefined) return rejected('not a point (x, y)');
    if (!nearFraction(found, ortho[i] ?? '')) return rejected('a different point');
  }
  return accepted;
}

function judgeNumber(found: Decimal | undefined, expected: Decimal, places: number): Verdict {
  if (found === undefined) return rejected('not one number');
  return within(found, expected, 5n, places + 1) ? accepted : rejected('a different number');
}

/** An angle, with or without the degree sign; the orthocenter `(x, y)`; the radius of the incircle. */
export const advancedGeometry: SuiteTask = {
  name: 'advanced_geometry',
  description: 'angle, orthocenter or incircle radius of a triangle',
  metaKeys: ['task_type', 'angle_ABC_degrees', 'ortho', 'incircle_radius_approx'],
  verify(question, answer) {
    const kind = metaValue(question, 'task_type', isText, 'a kind of question');
    if (answer.length > maxNumberLength) return rejected('the answer is too long');
    const trimmed = trimBlanks(answer);
    const screened = screenAnswer(
      kind === 'angle_measure' && trimmed.endsWith('°') ? trimmed.slice(0, -1) : trimmed,
      maxNumberLength,
    );
    if (typeof screened !== 'string') return screened;
    if (kind === 'orthocenter') return judgePoint(question, screened);
    return kind === 'angle_measure'
      ? judgeNumber(readDecimal(screened), metaDecimal(question, 'angle_ABC_degrees'), 2)
      : judgeNumber(readDecimal(screened), metaDecimal(question, 'incircle_radius_approx'), 3);
  },
};
