/**
 * SymBench `BoxNet1`: arms in the squares of a grid bring coloured boxes to targets of their colours. In a step each arm does at
 * most one thing with a box of its own square: hand it to a square beside it, or put it on a target of its colour in the same
 * square, and both are done. All actions of a step happen at once, on the state at its beginning.
 *
 * Any plan of legal actions after which no box is left is right; one illegal action makes it wrong.
 */
import { rejected, screenAnswer, type Verdict } from '../../answer.ts';
import type { Draw } from '../../task.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { satisfied } from './answer-items.ts';
import { tokenCursor } from './token-cursor.ts';

/** The squares row by row, each with its `box_blue` and `target_blue`; every colour has as many targets as boxes. */
export type BoxNet1Meta = { readonly columns: number; readonly squares: readonly (readonly string[])[] };

/** What an arm does: squares by index, row by row; no destination = onto the target. */
interface Action {
  square: number;
  colour: string;
  to: number | undefined;
}

/** A square by its centre, `[1.5, 0.5]`, or undefined when the grid has none there. */
function squareAt(row: string, column: string, { columns, squares }: BoxNet1Meta): number | undefined {
  const index = Number(row) * columns + Number(column);
  return Number(column) < columns && index < squares.length ? index : undefined;
}

function centre(square: number, columns: number): string {
  return `[${Math.floor(square / columns)}.5, ${square % columns}.5]`;
}

// A string in double or single quotes (a program prints either), or a mark.
const kToken = /"[^"\\]*"|'[^'\\]*'|\S/;
const kAgent = /^.Agent ?\[ ?([0-9]{1,2})\.5 ?, ?([0-9]{1,2})\.5 ?\].$/;
const kAction =
  /^.move ?\( ?box_([a-z]{1,10}) ?, ?(?:square ?\[ ?([0-9]{1,2})\.5 ?, ?([0-9]{1,2})\.5 ?\]|target_([a-z]{1,10})) ?\).$/;

/** The steps of an answer, a list of objects from agents to actions; a sentence when malformed. */
function readPlan(text: string, meta: BoxNet1Meta): Action[][] | string {
  const cursor = tokenCursor(text, kToken);
  const steps: Action[][] = [];
  if (!cursor.take('[')) return 'expected a list of steps';
  do {
    const step: Action[] = [];
    const number = steps.length + 1;
    if (!cursor.take('{')) return `step ${number} is not {"Agent[x, y]": "move(...)", ...}`;
    do {
      const agent = cursor.match(kAgent);
      const move = agent !== undefined && cursor.take(':') ? cursor.match(kAction) : undefined;
      if (agent === undefined || move === undefined) {
        return `step ${number}, action ${step.length + 1} is not "Agent[x, y]": "move(box, square[x, y] or target)"`;
      }
      const square = squareAt(agent[1]!, agent[2]!, meta);
      if (square === undefined) return `step ${number} names an agent that is not there`;
      if (step.some((action) => action.square === square)) return `step ${number} names an agent twice`;
      const colour = move[1]!;
      if (move[4] !== undefined) {
        if (move[4] !== colour) return `step ${number} puts a box on a target of another colour`;
        step.push({ square, colour, to: undefined });
      } else {
        const to = squareAt(move[2]!, move[3]!, meta);
        if (to === undefined) return `step ${number} names a square that is not there`;
        step.push({ square, colour, to });
      }
    } while (cursor.take(','));
    if (!cursor.take('}')) return `step ${number} is not closed`;
    steps.push(step);
  } while (cursor.take(','));
  return cursor.take(']') && cursor.done ? steps : 'expected the end of the list of steps';
}

/** Whether two squares share a side. */
function adjacent(a: number, b: number, columns: number): boolean {
  const rows = Math.abs(Math.floor(a / columns) - Math.floor(b / columns));
  return rows + Math.abs((a % columns) - (b % columns)) === 1;
}

/** What is wrong with a plan, or undefined. */
function brokenPlan(
  { columns, squares }: BoxNet1Meta,
  steps: readonly (readonly Action[])[],
): string | undefined {
  const left = squares.map((items) => [...items]);
  const take = (square: number, item: string): boolean => {
    const found = left[square]!.indexOf(item);
    if (found !== -1) left[square]!.splice(found, 1);
    return found !== -1;
  };
  for (const [i, step] of steps.entries()) {
    const arriving: [square: number, box: string][] = [];
    for (const { square, colour, to } of step) {
      const where = `step ${i + 1}, agent ${centre(square, columns)}`;
      if (!take(square, `box_${colour}`)) return `${where}: no box_${colour} is there`;
      if (to === undefined) {
        if (!take(square, `target_${colour}`)) return `${where}: no target_${colour} is there`;
      } else {
        if (!adjacent(square, to, columns)) return `${where}: ${centre(to, columns)} is not beside it`;
        arriving.push([to, `box_${colour}`]);
      }
    }
    for (const [square, box] of arriving) left[square]!.push(box);
  }
  const remaining = left.reduce((sum, items) => sum + items.length, 0);
  return remaining === 0 ? undefined : `${remaining} boxes and targets are left`;
}

/** A plan: every box goes the straight way to a target of its colour, nearest pairs first; the farthest box of a square first. */
export function planBoxes({ columns, squares }: BoxNet1Meta): Action[][] {
  const distance = (a: number, b: number) =>
    Math.abs(Math.floor(a / columns) - Math.floor(b / columns)) + Math.abs((a % columns) - (b % columns));
  const list = (kind: string) =>
    squares.flatMap((items, square) =>
      items
        .filter((item) => item.startsWith(kind))
        .map((item) => ({ square, colour: item.slice(kind.length) })),
    );
  const boxes = list('box_').map((box) => ({ ...box, goal: -1, done: false }));
  const targets = list('target_').map((target) => ({ ...target, free: true }));
  const pairs = boxes
    .flatMap((box) =>
      targets.filter(({ colour }) => colour === box.colour).map((target) => ({ box, target })),
    )
    .sort((a, b) => distance(a.box.square, a.target.square) - distance(b.box.square, b.target.square));
  for (const { box, target } of pairs) {
    if (box.goal !== -1 || !target.free) continue;
    box.goal = target.square;
    target.free = false;
  }
  const steps: Action[][] = [];
  while (boxes.some(({ done }) => !done)) {
    const chosen = new Map<number, (typeof boxes)[number]>();
    for (const box of boxes.filter(({ done }) => !done)) {
      const rival = chosen.get(box.square);
      if (rival === undefined || distance(box.square, box.goal) > distance(rival.square, rival.goal)) {
        chosen.set(box.square, box);
      }
    }
    const step: Action[] = [];
    for (const [square, box] of [...chosen].sort(([a], [b]) => a - b)) {
      const rows = Math.floor(box.goal / columns) - Math.floor(square / columns);
      const across = Math.sign((box.goal % columns) - (square % columns));
      const to = square === box.goal ? undefined : square + (rows === 0 ? across : Math.sign(rows) * columns);
      step.push({ square, colour: box.colour, to });
      if (to === undefined) box.done = true;
      else box.square = to;
    }
    steps.push(step);
  }
  return steps;
}

/** A plan as an answer: JSON, a step a line. */
export function boxesAsAnswer(steps: readonly (readonly Action[])[], columns: number): string {
  const shown = ({ square, colour, to }: Action) =>
    `"Agent${centre(square, columns)}": "move(box_${colour}, ${to === undefined ? `target_${colour}` : `square${centre(to, columns)}`})"`;
  return `[${steps.map((step) => `{${step.map(shown).join(', ')}}`).join(',\n')}]`;
}

/** What makes two questions the same: the grid and what lies in each square, in any order. */
export function boxNet1Content({ columns, squares }: BoxNet1Meta): string {
  return `${columns} / ${squares.map((items) => [...items].sort().join(' ')).join(' / ')}`;
}

/** The question for a grid. */
export function boxNet1Prompt({ columns, squares }: BoxNet1Meta): string {
  const rows = squares.length / columns;
  return [
    `A floor is a grid of ${rows} x ${columns} squares (rows x columns), named by row and column of their centres: square[0.5, 0.5] is`,
    'in the first row and column, square[0.5, 1.5] beside it in the same row. In each square stands an agent with an arm. Coloured',
    'boxes must be brought to targets of their colours. In the beginning there lie',
    ...squares.map(
      (items, i) => `square${centre(i, columns)}: ${items.length === 0 ? 'nothing' : items.join(', ')}`,
    ),
    '',
    'The work is done in steps. In a step each agent can do one thing with one box in its own square, or nothing:',
    '- move(box_red, square[0.5, 1.5]) hands the box to a square that shares a side with its own;',
    '- move(box_red, target_red) puts the box on a target of its colour in its own square; box and target are then done.',
    'All actions of a step happen at the same time: an agent can only use a box that lay in its square when the step began.',
    'The plan is right when every action is possible and no box is left at the end.',
    '',
    'Give the plan as your final answer between <<< and >>>: a JSON list with an object for each step, for example',
    '<<<[{"Agent[0.5, 0.5]": "move(box_red, square[0.5, 1.5])", "Agent[0.5, 1.5]": "move(box_blue, target_blue)"},',
    '{"Agent[0.5, 1.5]": "move(box_red, target_red)"}]>>>',
  ].join('\n');
}

const kColours = ['blue', 'red', 'green', 'purple', 'orange'] as const;
/** Rows and columns, as published. */
const kGrids = [
  [1, 2],
  [2, 2],
  [2, 4],
  [4, 4],
  [4, 8],
] as const;

/** Arms that hand boxes on; one to three boxes of each of five colours. */
export const boxNet1: SuiteTask<BoxNet1Meta> = {
  name: 'BoxNet1',
  description: 'actions of arms in a grid that bring coloured boxes to their targets',
  metaKeys: ['columns', 'squares'],
  verify({ meta }, answer): Verdict {
    const text = screenAnswer(answer, kLongestAnswer);
    if (typeof text !== 'string') return text;
    const steps = readPlan(text, meta);
    if (typeof steps === 'string') return rejected(steps);
    const broken = brokenPlan(meta, steps);
    return broken === undefined ? satisfied : rejected(broken);
  },
  generate(random): Draw<BoxNet1Meta> {
    const [rows, columns] = random.choice(kGrids);
    const squares = Array.from({ length: rows * columns }, (): string[] => []);
    for (const colour of kColours) {
      for (let count = random.integer(1, 3); count > 0; count--) {
        random.choice(squares).push(`box_${colour}`);
        random.choice(squares).push(`target_${colour}`);
      }
    }
    const instance = { columns, squares };
    return {
      content: boxNet1Content(instance),
      instance,
      prompts: [boxNet1Prompt(instance)],
      answer: boxesAsAnswer(planBoxes(instance), columns),
    };
  },
};
