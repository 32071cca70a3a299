/**
 * Houses for `path_plan`: outer walls, up to two inner walls with a door each, coloured rooms (rectangles, free to enter) that
 * keep a lane between each other and the walls, and an instruction; and a planner that finds a path.
 *
 * Everything lies on a lattice of 1/20 unit. Rooms and walls are at least two steps apart, so a lattice line runs between
 * them, and a step between neighbouring lattice points outside a rectangle never touches it.
 */
import type { Random } from '../../random.ts';
import { type Point, type Rectangle, touches } from './path-geometry.ts';

/** A house and what to do in it; coordinates in units. */
export type PathPlanMeta = {
  readonly walls: readonly Rectangle[];
  readonly rooms: Readonly<Record<string, Rectangle>>;
  readonly start: Point;
  readonly end: Point;
  /** The rooms to visit, by colour. */
  readonly visit: readonly string[];
  /** Whether they must be visited in that order. */
  readonly ordered: boolean;
  /** The rooms never to touch. */
  readonly avoid: readonly string[];
};

/** Lattice steps to a unit. */
const kSteps = 20;
// In steps: the house reaches from -30 to 30, its outer walls are 2 thick, and -27 to 27 is free of them.
const kHouse = 30;
const kFree = 27;
const kColours = ['yellow', 'red', 'green', 'blue', 'pink', 'purple', 'orange'] as const;

const kOuterWalls: readonly Rectangle[] = [
  [-kHouse, 2 - kHouse, -kHouse, kHouse],
  [kHouse - 2, kHouse, -kHouse, kHouse],
  [-kHouse, kHouse, -kHouse, 2 - kHouse],
  [-kHouse, kHouse, kHouse - 2, kHouse],
];

function grown([xStart, xEnd, yStart, yEnd]: Rectangle, by: number): Rectangle {
  return [xStart - by, xEnd + by, yStart - by, yEnd + by];
}

function overlap(a: Rectangle, b: Rectangle): boolean {
  return a[0] <= b[1] && b[0] <= a[1] && a[2] <= b[3] && b[2] <= a[3];
}

/** A rectangle with x and y exchanged. */
function turned([xStart, xEnd, yStart, yEnd]: Rectangle): Rectangle {
  return [yStart, yEnd, xStart, xEnd];
}

/** A wall along y at x = `at`, from `low` to `high`, with a door; `door` is the room it needs. */
function wallWithDoor(
  random: Random,
  at: number,
  low: number,
  high: number,
): { walls: Rectangle[]; door: Rectangle } {
  const width = random.integer(8, 12);
  const start = random.integer(low + 3, high - 3 - width);
  return {
    walls: [
      [at - 1, at + 1, low, start],
      [at - 1, at + 1, start + width, high],
    ],
    door: [at - 5, at + 5, start, start + width],
  };
}

/** None, one, or two inner walls: the second runs from the first to an outer wall. */
function innerWalls(random: Random): { walls: Rectangle[]; doors: Rectangle[] } {
  const count = random.integer(0, 2);
  if (count === 0) return { walls: [], doors: [] };
  const at = random.integer(-8, 8);
  const first = wallWithDoor(random, at, 2 - kHouse, kHouse - 2);
  const walls = [...first.walls];
  const doors = [first.door];
  if (count === 2) {
    const across = random.integer(-12, 12);
    const [low, high] = random.choice([
      [2 - kHouse, at - 1],
      [at + 1, kHouse - 2],
    ] as const);
    const second = wallWithDoor(random, across, low, high);
    // Where it would close the first wall's door it is left out.
    if (!second.walls.some((wall) => overlap(grown(turned(wall), 2), first.door))) {
      walls.push(...second.walls.map(turned));
      doors.push(turned(second.door));
    }
  }
  const turn = random.integer(0, 1) === 1;
  return turn ? { walls: walls.map(turned), doors: doors.map(turned) } : { walls, doors };
}

/** Rooms of random sizes at random places that keep their distance; undefined when fewer than five find one. */
function placeRooms(
  random: Random,
  walls: readonly Rectangle[],
  doors: readonly Rectangle[],
): Map<string, Rectangle> | undefined {
  const rooms = new Map<string, Rectangle>();
  const wanted = random.sample(kColours, random.integer(5, kColours.length));
  for (const colour of wanted) {
    for (let attempt = 0; attempt < 40; attempt++) {
      const width = random.integer(5, 16);
      const height = random.integer(5, 16);
      const x = random.integer(-26, 26 - width);
      const y = random.integer(-26, 26 - height);
      const room: Rectangle = [x, x + width, y, y + height];
      const near = grown(room, 1);
      if ([...walls, ...doors, ...rooms.values()].some((other) => overlap(near, other))) continue;
      rooms.set(colour, room);
      break;
    }
  }
  return rooms.size < 5 ? undefined : rooms;
}

/** A lattice point that touches none of the rectangles. */
function freePoint(random: Random, obstacles: readonly Rectangle[]): Point {
  for (;;) {
    const point: Point = [random.integer(-kFree, kFree), random.integer(-kFree, kFree)];
    if (!touches([point], [-kFree, kFree, -kFree, kFree])) continue;
    if (!obstacles.some((rectangle) => touches([point], rectangle))) return point;
  }
}

/** The shortest way along the lattice from a point to the nearest one that `arrived` accepts, touching no obstacle. */
function walk(
  from: Point,
  arrived: (point: Point) => boolean,
  obstacles: readonly Rectangle[],
): Point[] | undefined {
  const side = 2 * kFree + 1;
  const index = ([x, y]: Point) => (x + kFree) * side + y + kFree;
  const before = new Map<number, Point | undefined>([[index(from), undefined]]);
  let frontier: Point[] = [from];
  while (frontier.length > 0) {
    const next: Point[] = [];
    for (const point of frontier) {
      if (arrived(point)) {
        const path: Point[] = [];
        for (let at: Point | undefined = point; at !== undefined; at = before.get(index(at)))
          path.unshift(at);
        return path;
      }
      for (const [right, up] of [
        [1, 0],
        [0, 1],
        [-1, 0],
        [0, -1],
      ] as const) {
        const neighbour: Point = [point[0] + right, point[1] + up];
        if (Math.abs(neighbour[0]) > kFree || Math.abs(neighbour[1]) > kFree) continue;
        if (before.has(index(neighbour)) || obstacles.some((rectangle) => touches([neighbour], rectangle)))
          continue;
        before.set(index(neighbour), point);
        next.push(neighbour);
      }
    }
    frontier = next;
  }
  return undefined;
}

/** Leaves out waypoints that a straight line passes by: from each the farthest that can be reached without touching an obstacle. */
function straightened(path: readonly Point[], obstacles: readonly Rectangle[]): Point[] {
  const kept: Point[] = [path[0]!];
  for (let at = 0; at < path.length - 1; ) {
    let next = path.length - 1;
    while (next > at + 1 && obstacles.some((rectangle) => touches([path[at]!, path[next]!], rectangle)))
      next -= 1;
    kept.push(path[next]!);
    at = next;
  }
  return kept;
}

/** Waypoints that fulfil the instruction; undefined when a room or the end cannot be reached. Coordinates in steps, as the meta's. */
function findPath(steps: PathPlanMeta): Point[] | undefined {
  const obstacles = [...steps.walls, ...steps.avoid.map((colour) => steps.rooms[colour]!)];
  const goals = steps.visit.map((colour) => (point: Point) => touches([point], steps.rooms[colour]!));
  goals.push((point) => point[0] === steps.end[0] && point[1] === steps.end[1]);
  const path: Point[] = [steps.start];
  for (const arrived of goals) {
    const leg = walk(path.at(-1)!, arrived, obstacles);
    if (leg === undefined) return undefined;
    path.push(...straightened(leg, obstacles).slice(1));
  }
  return path;
}

/** What to do: visit one to four rooms, in order or not, and avoid some others, all others, or none. */
function instruction(
  random: Random,
  colours: readonly string[],
): Pick<PathPlanMeta, 'visit' | 'ordered' | 'avoid'> {
  const count = random.integer(1, 4);
  const order = random.shuffle(colours);
  const rest = order.slice(count);
  const avoided = random.choice([0, 1, 2, 3, rest.length]);
  return {
    visit: order.slice(0, count),
    ordered: count > 1 && random.integer(0, 2) > 0,
    avoid: rest.slice(0, avoided),
  };
}

/** A house with an instruction, and waypoints that fulfil it; undefined when there is no room for the rooms or no path. */
export function randomHouse(random: Random): { house: PathPlanMeta; path: Point[] } | undefined {
  const inner = innerWalls(random);
  const walls = [...kOuterWalls, ...inner.walls];
  const rooms = placeRooms(random, walls, inner.doors);
  if (rooms === undefined) return undefined;
  const taken = [...walls, ...rooms.values()];
  const start = freePoint(random, taken);
  const end = freePoint(random, taken);
  const steps: PathPlanMeta = {
    walls,
    rooms: Object.fromEntries(rooms),
    start,
    end,
    ...instruction(random, [...rooms.keys()]),
  };
  const path = findPath(steps);
  if (path === undefined) return undefined;
  const point = ([x, y]: Point): Point => [x / kSteps, y / kSteps];
  const rectangle = (sides: Rectangle) => sides.map((side) => side / kSteps) as unknown as Rectangle;
  const house = {
    ...steps,
    walls: walls.map(rectangle),
    rooms: Object.fromEntries([...rooms].map(([colour, sides]) => [colour, rectangle(sides)])),
    start: point(start),
    end: point(end),
  };
  return { house, path: path.map(point) };
}
