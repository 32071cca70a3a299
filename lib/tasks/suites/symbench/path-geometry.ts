/**
 * Exact geometry of paths among axis-parallel rectangles. Coordinates are integers (a map's unit divided finely enough), and
 * where a segment enters a rectangle is a fraction of two of them, so nothing is rounded: coordinates up to 2^24 keep every
 * product below 2^53. Rectangles are closed: touching the border is touching the rectangle.
 */

/** x and y. */
export type Point = readonly [x: number, y: number];

/** The sides of a rectangle, each first below second. */
export type Rectangle = readonly [xStart: number, xEnd: number, yStart: number, yEnd: number];

/** A place on a path: the fraction `over / under` (under > 0) of the way from point `segment` to the next. */
export interface PathPlace {
  readonly segment: number;
  readonly over: number;
  readonly under: number;
}

/** Whether a place comes before another on the same path. */
export function isBefore(a: PathPlace, b: PathPlace): boolean {
  return a.segment !== b.segment ? a.segment < b.segment : a.over * b.under < b.over * a.under;
}

type Fraction = readonly [over: number, under: number];

/** The part of the segment from p to q that lies in a rectangle, as fractions of the way; undefined when it does not touch it. */
export function insidePart(
  p: Point,
  q: Point,
  rectangle: Rectangle,
): { from: Fraction; to: Fraction } | undefined {
  let from: Fraction = [0, 1];
  let to: Fraction = [1, 1];
  for (const axis of [0, 1] as const) {
    const start = rectangle[2 * axis]!;
    const end = rectangle[2 * axis + 1]!;
    const way = q[axis] - p[axis];
    if (way === 0) {
      if (p[axis] < start || p[axis] > end) return undefined;
      continue;
    }
    const under = Math.abs(way);
    const enter: Fraction = [way > 0 ? start - p[axis] : p[axis] - end, under];
    const leave: Fraction = [way > 0 ? end - p[axis] : p[axis] - start, under];
    if (enter[0] * from[1] > from[0] * enter[1]) from = enter;
    if (leave[0] * to[1] < to[0] * leave[1]) to = leave;
  }
  return from[0] * to[1] > to[0] * from[1] ? undefined : { from, to };
}

/** Whether a path touches a rectangle. */
export function touches(path: readonly Point[], rectangle: Rectangle): boolean {
  return path.some((p, i) => insidePart(p, path[i + 1] ?? p, rectangle) !== undefined);
}

/** The first place on a path, not before `since`, that is in a rectangle. */
export function firstVisit(
  path: readonly Point[],
  rectangle: Rectangle,
  since: PathPlace,
): PathPlace | undefined {
  for (let segment = since.segment; segment < path.length; segment++) {
    const part = insidePart(path[segment]!, path[segment + 1] ?? path[segment]!, rectangle);
    if (part === undefined) continue;
    const entry = { segment, over: part.from[0], under: part.from[1] };
    if (!isBefore(entry, since)) return entry;
    if (!isBefore({ segment, over: part.to[0], under: part.to[1] }, since)) return since;
  }
  return undefined;
}
