/**
 * SymBench `BoxLift`: lift every box within a number of steps. In a step each lifter takes part in at most one lift, and
 * the lifters of a lift can carry its box together. Any plan that keeps this is right; one lift that does not makes it wrong.
 *
 * The number of steps allowed is what the greedy plan takes (heaviest box first, lifters in their order); that plan is
 * the canonical answer.
 */
import { rejected, screenAnswer, type Verdict } from '../../answer.ts';
import type { Range } from '../../options.ts';
import type { Draw } from '../../task.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { satisfied } from './answer-items.ts';
import { type TokenCursor, tokenCursor } from './token-cursor.ts';

/** The weights of the boxes, the capacities of the lifters, and the number of steps allowed. */
export type BoxLiftMeta = {
  readonly boxes: readonly number[];
  readonly lifters: readonly number[];
  readonly steps: number;
};

/** A box, by weight, and who lifts it, by index from 0. */
interface Lift {
  box: number;
  lifters: number[];
}

/** The greedy plan, step by step; undefined when a box is too heavy for all lifters together. */
export function greedyLifts(boxes: readonly number[], lifters: readonly number[]): Lift[][] | undefined {
  if (Math.max(...boxes) > lifters.reduce((sum, capacity) => sum + capacity, 0)) return undefined;
  const steps: Lift[][] = [];
  let waiting = [...boxes].sort((a, b) => b - a);
  while (waiting.length > 0) {
    let free = lifters.map((_, i) => i);
    const step: Lift[] = [];
    waiting = waiting.filter((box) => {
      let carried = 0;
      const taken: number[] = [];
      for (const i of free) {
        if (carried >= box) break;
        carried += lifters[i]!;
        taken.push(i);
      }
      if (carried < box) return true;
      free = free.filter((i) => !taken.includes(i));
      step.push({ box, lifters: taken });
      return false;
    });
    steps.push(step);
  }
  return steps;
}

const kToken = /[A-Za-z]+|[0-9]+|\S/;

/** The items between an opening bracket, commas and its closing bracket; undefined when it is malformed or empty. */
function readBracketed<T>(cursor: TokenCursor, item: () => T | undefined): T[] | undefined {
  const close = cursor.take('[') ? ']' : cursor.take('(') ? ')' : undefined;
  if (close === undefined) return undefined;
  const items: T[] = [];
  do {
    const next = item();
    if (next === undefined) return undefined;
    items.push(next);
  } while (cursor.take(','));
  return cursor.take(close) ? items : undefined;
}

/**
 * The steps of an answer: `Step 1: [(50, [0, 2]), (30, [1])]` and so on, numbered from 1, or one list of such lists; a
 * sentence when malformed.
 */
function readSteps(text: string): Lift[][] | string {
  const cursor = tokenCursor(text, kToken);
  const integer = () => {
    const digits = cursor.match(/^(?:0|[1-9][0-9]{0,5})$/);
    return digits === undefined ? undefined : Number(digits[0]);
  };
  const lift = (): Lift | undefined => {
    const close = cursor.take('(') ? ')' : cursor.take('[') ? ']' : undefined;
    const box = close === undefined ? undefined : integer();
    if (close === undefined || box === undefined || !cursor.take(',')) return undefined;
    const lifters = readBracketed(cursor, integer);
    return lifters !== undefined && cursor.take(close) ? { box, lifters } : undefined;
  };
  const step = () => readBracketed(cursor, lift);
  if (!/^step/i.test(text)) {
    const steps = readBracketed(cursor, step);
    return steps !== undefined && cursor.done ? steps : 'not a list of steps';
  }
  const steps: Lift[][] = [];
  while (!cursor.done) {
    const number = steps.length + 1;
    if (!cursor.take('step') || integer() !== number || !cursor.take(':'))
      return `expected "Step ${number}:"`;
    const lifts = step();
    if (lifts === undefined) return `step ${number} is not a list of (box weight, [lifters])`;
    steps.push(lifts);
    if (!cursor.take(',')) cursor.take(';');
  }
  return steps;
}

/** A plan as an answer, a step a line. */
export function liftsAsAnswer(steps: readonly (readonly Lift[])[]): string {
  const shown = ({ box, lifters }: Lift) => `(${box}, [${lifters.join(', ')}])`;
  return steps.map((lifts, i) => `Step ${i + 1}: [${lifts.map(shown).join(', ')}]`).join('\n');
}

/** What makes two questions the same: the weights in any order, and the capacities in theirs. */
export function boxLiftContent({ boxes, lifters }: BoxLiftMeta): string {
  return `${[...boxes].sort((a, b) => a - b).join(' ')} / ${lifters.join(' ')}`;
}

/** The question for an instance. */
export function boxLiftPrompt({ boxes, lifters, steps }: BoxLiftMeta): string {
  return [
    `Boxes with the weights [${boxes.join(', ')}] are to be lifted by lifters with the capacities [${lifters.join(', ')}].`,
    `Lifters are numbered from 0 to ${lifters.length - 1} in this order.`,
    '',
    'The work is done in steps:',
    '1. In a step several boxes can be lifted, each by one lifter or by several together.',
    '2. The capacities of the lifters of a box must add up to at least its weight.',
    '3. In a step each lifter can help with one box only.',
    '4. Each box is lifted once. A box is named by its weight; boxes of the same weight are lifted one by one.',
    `5. All boxes must be lifted within ${steps} steps.`,
    '',
    'Give the plan as your final answer between <<< and >>>, one step a line, each a list of (box weight, [lifters]), for example',
    '<<<Step 1: [(50, [0, 2]), (30, [1])]',
    'Step 2: [(40, [0, 1]), (20, [2])]>>>',
  ].join('\n');
}

/** Boxes, lifters, and the ranges of weights and capacities, as published. */
const kSizes: readonly { boxes: number; lifters: number; weight: Range; capacity: Range }[] = [
  { boxes: 10, lifters: 3, weight: [10, 100], capacity: [40, 80] },
  { boxes: 15, lifters: 4, weight: [20, 200], capacity: [30, 120] },
  { boxes: 20, lifters: 5, weight: [30, 300], capacity: [40, 160] },
  { boxes: 25, lifters: 6, weight: [40, 400], capacity: [50, 200] },
];

/** Lifting boxes together. */
export const boxLift: SuiteTask<BoxLiftMeta> = {
  name: 'BoxLift',
  description: 'which lifters lift which boxes in which step, within a number of steps',
  metaKeys: ['boxes', 'lifters', 'steps'],
  verify({ meta: { boxes, lifters, steps: allowed } }, answer): Verdict {
    const text = screenAnswer(answer, kLongestAnswer);
    if (typeof text !== 'string') return text;
    const steps = readSteps(text);
    if (typeof steps === 'string') return rejected(steps);
    if (steps.length > allowed) return rejected(`${steps.length} steps, at most ${allowed} are allowed`);
    const waiting = new Map<number, number>();
    for (const box of boxes) waiting.set(box, (waiting.get(box) ?? 0) + 1);
    let lifted = 0;
    for (const [i, lifts] of steps.entries()) {
      const busy = new Set<number>();
      for (const { box, lifters: taken } of lifts) {
        const left = waiting.get(box) ?? 0;
        if (left === 0) return rejected(`step ${i + 1}: no box of weight ${box} is left`);
        let carried = 0;
        for (const lifter of taken) {
          if (lifter >= lifters.length) return rejected(`step ${i + 1}: there is no lifter ${lifter}`);
          if (busy.has(lifter)) return rejected(`step ${i + 1}: lifter ${lifter} is used twice`);
          busy.add(lifter);
          carried += lifters[lifter]!;
        }
        if (carried < box) return rejected(`step ${i + 1}: ${carried} is not enough for the box of ${box}`);
        waiting.set(box, left - 1);
        lifted += 1;
      }
    }
    return lifted === boxes.length ? satisfied : rejected(`${boxes.length - lifted} boxes are not lifted`);
  },
  generate(random): Draw<BoxLiftMeta> | undefined {
    const size = random.choice(kSizes);
    const boxes = Array.from({ length: size.boxes }, () => random.integer(...size.weight));
    const lifters = Array.from({ length: size.lifters }, () => random.integer(...size.capacity));
    const plan = greedyLifts(boxes, lifters);
    if (plan === undefined) return undefined;
    const instance = { boxes, lifters, steps: plan.length };
    return {
      content: boxLiftContent(instance),
      instance,
      prompts: [boxLiftPrompt(instance)],
      answer: liftsAsAnswer(plan),
    };
  },
};
