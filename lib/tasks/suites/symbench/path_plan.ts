/**
 * SymBench `path_plan`: waypoints through a house that visit some coloured rooms, in order or not, avoid others, and touch no wall.
 * Any such path is right.
 *
 * Coordinates of answers are decimals, rounded to 1/1,000,000 unit (a program prints 0.30000000000000004); from there on
 * everything is exact. Borders belong to walls and rooms.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { Draw } from '../../task.ts';
import { listOf } from '../lists.ts';
import type { SuiteTask } from '../suite.ts';
import { satisfied } from './answer-items.ts';
import { firstVisit, type PathPlace, type Point, type Rectangle, touches } from './path-geometry.ts';
import { type PathPlanMeta, randomHouse } from './path-house.ts';

export type { PathPlanMeta } from './path-house.ts';

const kFine = 1_000_000;
// A path through a house takes a few; more than these are not read.
const kMostWaypoints = 2000;
const kDecimal = /^-?[0-9]{1,2}(?:\.[0-9]{1,20})?$/;

function fine(units: number): number {
  return Math.round(units * kFine);
}

function finePoint([x, y]: Point): Point {
  return [fine(x), fine(y)];
}

function fineRectangle([xStart, xEnd, yStart, yEnd]: Rectangle): Rectangle {
  return [fine(xStart), fine(xEnd), fine(yStart), fine(yEnd)];
}

/** The waypoints of an answer, finely. */
function readWaypoints(answer: string): Point[] | Verdict {
  const list = listOf(answer, 2 * kMostWaypoints);
  if ('correct' in list) return list;
  const { items, rows } = list;
  if (items.length % 2 !== 0 || rows?.some((length) => length !== 2)) return rejected('not a list of (x, y)');
  if (!items.every((item) => kDecimal.test(item))) return rejected('not a list of decimal numbers');
  return Array.from({ length: items.length / 2 }, (_, i) =>
    finePoint([Number(items[2 * i]), Number(items[2 * i + 1])]),
  );
}

/** The smallest rectangle around some. */
function boundary(rectangles: readonly Rectangle[]): Rectangle {
  const least = (side: 0 | 2) => Math.min(...rectangles.map((sides) => sides[side]));
  const most = (side: 1 | 3) => Math.max(...rectangles.map((sides) => sides[side]));
  return [least(0), most(1), least(2), most(3)];
}

/** What is wrong with a path, or undefined. */
function brokenPath(meta: PathPlanMeta, path: readonly Point[]): string | undefined {
  const same = ([x, y]: Point, there: Point) => x === fine(there[0]) && y === fine(there[1]);
  if (!same(path[0]!, meta.start)) return 'the path does not begin at the start';
  if (!same(path.at(-1)!, meta.end)) return 'the path does not stop at the end';
  const walls = meta.walls.map(fineRectangle);
  const house = boundary(walls);
  if (path.some((point) => !touches([point], house))) return 'a waypoint is outside the house';
  if (walls.some((wall) => touches(path, wall))) return 'the path touches a wall';
  const room = (colour: string) => fineRectangle(meta.rooms[colour]!);
  const touched = meta.avoid.find((colour) => touches(path, room(colour)));
  if (touched !== undefined) return `the path touches the ${touched} room, which must be avoided`;
  let place: PathPlace = { segment: 0, over: 0, under: 1 };
  for (const colour of meta.visit) {
    const visit = firstVisit(path, room(colour), place);
    if (visit === undefined) return `the ${colour} room is not visited${meta.ordered ? ' in its turn' : ''}`;
    if (meta.ordered) place = visit;
  }
  return undefined;
}

/** `the red room`, `the red room and the blue room`, `the red room, the blue room and the green room`. */
function roomList(colours: readonly string[]): string {
  const rooms = colours.map((colour) => `the ${colour} room`);
  return rooms.length === 1 ? rooms[0]! : `${rooms.slice(0, -1).join(', ')} and ${rooms.at(-1)}`;
}

/** The instruction in words, in as many ways as there are. */
function instructions({ rooms, visit, ordered, avoid }: PathPlanMeta): string[] {
  const others = Object.keys(rooms).length - visit.length;
  const never =
    avoid.length === 0
      ? ['', '']
      : avoid.length === others
        ? [' Never enter any other room.', ' Keep out of all other coloured rooms.']
        : [` Never enter ${roomList(avoid)}.`, ` Keep out of ${roomList(avoid)} all the time.`];
  const turns = visit.map((colour) => `the ${colour} room`);
  const go = ordered
    ? [
        `Visit these rooms in this order: ${turns.join(', then ')}.`,
        `Go to ${turns.join(', and after that to ')}.`,
      ]
    : visit.length === 1
      ? [`Visit ${turns[0]}.`, `At some point enter ${turns[0]}.`]
      : [
          `Visit ${roomList(visit)} in any order.`,
          `At some point enter each of these: ${turns.join(', ')}; the order is yours.`,
        ];
  return go.map((text, i) => text + never[i]!);
}

/** The question, in as many wordings as there are. */
export function pathPlanPrompts(meta: PathPlanMeta): string[] {
  const shown = (numbers: readonly number[]) => `(${numbers.join(', ')})`;
  const rooms = Object.entries(meta.rooms).map(([colour, sides]) => `${colour} ${shown(sides)}`);
  return instructions(meta).map((text) =>
    [
      'A robot moves in a house. Rectangles on its map are given as (x_start, x_end, y_start, y_end).',
      `The walls are ${meta.walls.map(shown).join(', ')}. Gaps between them are doors.`,
      `The coloured rooms are ${rooms.join(', ')}. They have no walls of their own: the robot can enter and leave them anywhere.`,
      `The robot starts at ${shown(meta.start)} and must stop at ${shown(meta.end)}.`,
      '',
      `Instruction: ${text}`,
      '',
      'The path leads in straight lines from one waypoint to the next. It must never touch a wall. Touching the border of a room',
      'is entering it. Rooms of which the instruction says nothing may be entered or not. Where rooms are to be visited in an',
      'order, the path must enter each of them (again) after those before it; having been there earlier does no harm.',
      '',
      'Give the waypoints, from the start to the end, as your final answer between <<< and >>>, for example',
      '<<<[(-1.3, -1.3), (0.25, -0.4), (1.3, 1.3)]>>>',
    ].join('\n'),
  );
}

/** Paths through houses. */
export const pathPlan: SuiteTask<PathPlanMeta> = {
  name: 'path_plan',
  description: 'waypoints through a house that visit and avoid coloured rooms',
  metaKeys: ['walls', 'rooms', 'start', 'end', 'visit', 'ordered', 'avoid'],
  verify({ meta }, answer): Verdict {
    const path = readWaypoints(answer);
    if ('correct' in path) return path;
    const broken = brokenPath(meta, path);
    return broken === undefined ? satisfied : rejected(broken);
  },
  generate(random): Draw<PathPlanMeta> | undefined {
    const drawn = randomHouse(random);
    if (drawn === undefined) return undefined;
    const { house, path } = drawn;
    // An instruction that the straight line fulfils asks for nothing.
    if (brokenPath(house, [house.start, house.end].map(finePoint)) === undefined) return undefined;
    return {
      content: JSON.stringify(house),
      instance: house,
      prompts: pathPlanPrompts(house),
      answer: `[${path.map(([x, y]) => `(${x}, ${y})`).join(', ')}]`,
    };
  },
};
