/**
 * SymBench `Blocksworld`: move blocks one by one between numbered stacks until every stack is as wanted. A move takes the top
 * block of a stack and puts it on top of another; there are no other places. Any sequence of legal moves that ends in the goal is
 * right; one illegal move makes the answer wrong.
 */
import { rejected, screenAnswer, type Verdict } from '../../answer.ts';
import type { Random } from '../../random.ts';
import type { Draw } from '../../task.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { satisfied } from './answer-items.ts';
import { tokenCursor } from './token-cursor.ts';

/** The stacks at the start and at the end, as many of each; a stack is its blocks from bottom to top: `CAB`. */
export type BlocksworldMeta = { readonly initial: readonly string[]; readonly goal: readonly string[] };

/** A move, with stacks counted from 0. */
interface Move {
  block: string;
  from: number;
  to: number;
}

function moved(stacks: readonly string[], { block, from, to }: Move): string[] {
  const next = [...stacks];
  next[from] = next[from]!.slice(0, -1);
  next[to] += block;
  return next;
}

const kToken = /[A-Za-z]+|[0-9]+|\S/;

/** The moves of an answer: `Move B from stack1 to stack2`, one after the other, numbered or not; a sentence when malformed. */
function readMoves(text: string): Move[] | string {
  const cursor = tokenCursor(text, kToken);
  const moves: Move[] = [];
  const stack = (): number => {
    cursor.take('stack');
    return Number(cursor.match(/^[1-9][0-9]?$/)?.[0] ?? 0) - 1;
  };
  while (!cursor.done) {
    if (cursor.match(/^[0-9]{1,5}$/) !== undefined && !cursor.take('.') && !cursor.take(')')) {
      return 'a number that numbers no move';
    }
    if (!cursor.take('move')) return `expected "Move" as word ${6 * moves.length + 1}`;
    const block = cursor.match(/^[A-Z]$/)?.[0];
    const from = block !== undefined && cursor.take('from') ? stack() : -1;
    const to = from >= 0 && cursor.take('to') ? stack() : -1;
    if (block === undefined || to < 0)
      return `move ${moves.length + 1} is not "Move X from stackA to stackB"`;
    moves.push({ block, from, to });
    if (!cursor.take(',')) if (!cursor.take(';')) cursor.take('.');
  }
  return moves;
}

/** A shortest plan, found breadth first, or undefined if there is none. Of use for a few blocks: it visits every state. */
export function planMoves({ initial, goal }: BlocksworldMeta): Move[] | undefined {
  const wanted = goal.join(' ');
  const reached = new Map<string, { before: string; move: Move } | null>([[initial.join(' '), null]]);
  let frontier = [[...initial]];
  while (!reached.has(wanted) && frontier.length > 0) {
    const next: string[][] = [];
    for (const stacks of frontier) {
      for (let from = 0; from < stacks.length; from++) {
        const block = stacks[from]!.at(-1);
        if (block === undefined) continue;
        for (let to = 0; to < stacks.length; to++) {
          if (to === from) continue;
          const state = moved(stacks, { block, from, to });
          const key = state.join(' ');
          if (reached.has(key)) continue;
          reached.set(key, { before: stacks.join(' '), move: { block, from, to } });
          next.push(state);
        }
      }
    }
    frontier = next;
  }
  if (!reached.has(wanted)) return undefined;
  const moves: Move[] = [];
  for (let step = reached.get(wanted); step; step = reached.get(step.before)) moves.unshift(step.move);
  return moves;
}

/** A plan as an answer, a move a line. */
export function movesAsAnswer(moves: readonly Move[]): string {
  return moves
    .map(({ block, from, to }) => `Move ${block} from stack${from + 1} to stack${to + 1}`)
    .join('\n');
}

/** What makes two questions the same: both states. */
export function blocksworldContent({ initial, goal }: BlocksworldMeta): string {
  return `${initial.join('|')} -> ${goal.join('|')}`;
}

/** The question for two states. */
export function blocksworldPrompt({ initial, goal }: BlocksworldMeta): string {
  const shown = (stacks: readonly string[]) =>
    stacks.map((blocks, i) => `stack${i + 1}: ${blocks === '' ? '(empty)' : [...blocks].join(' ')}`);
  return [
    'Blocks are piled on numbered stacks. Each line lists the blocks of one stack from the bottom to the top.',
    '',
    'Initial state:',
    ...shown(initial),
    '',
    'Goal state:',
    ...shown(goal),
    '',
    'Find moves that lead from the initial state to the goal state. A move takes the top block of one stack and puts it on top of',
    'another stack, which may be empty. A block below another cannot be moved, and there are no places besides these stacks.',
    '',
    'Give the moves as your final answer between <<< and >>>, one a line, for example',
    '<<<Move B from stack1 to stack2',
    'Move A from stack3 to stack1>>>',
  ].join('\n');
}

/** Deals blocks in random order onto the first `used` of `count` stacks. */
function dealt(random: Random, blocks: readonly string[], used: number, count: number): string[] {
  const stacks = Array<string>(count).fill('');
  for (const block of random.shuffle(blocks)) stacks[random.integer(0, used - 1)] += block;
  return stacks;
}

// 2 to 4 blocks as published, in proportion to how many questions there are of each, and 5.
const kBlockCounts: readonly number[] = [
  2,
  ...Array<number>(6).fill(3),
  ...Array<number>(14).fill(4),
  5,
  5,
  5,
];

/** Blocksworld; 2 to 5 blocks on 3 to 5 stacks, a goal on the first 2 to 4 of them. */
export const blocksworld: SuiteTask<BlocksworldMeta> = {
  name: 'Blocksworld',
  description: 'moves of blocks between stacks that lead from one state to another',
  metaKeys: ['initial', 'goal'],
  verify({ meta: { initial, goal } }, answer): Verdict {
    const text = screenAnswer(answer, kLongestAnswer);
    if (typeof text !== 'string') return text;
    const moves = readMoves(text);
    if (typeof moves === 'string') return rejected(moves);
    let stacks = [...initial];
    for (const [i, move] of moves.entries()) {
      if (stacks[move.from] === undefined || stacks[move.to] === undefined) {
        return rejected(`move ${i + 1} names a stack that is not there`);
      }
      if (move.from === move.to) return rejected(`move ${i + 1} moves a block nowhere`);
      if (stacks[move.from]!.at(-1) !== move.block) {
        return rejected(`move ${i + 1}: ${move.block} is not on top of stack${move.from + 1}`);
      }
      stacks = moved(stacks, move);
    }
    return stacks.join(' ') === goal.join(' ') ? satisfied : rejected('the moves end in another state');
  },
  generate(random): Draw<BlocksworldMeta> | undefined {
    const count = random.choice([3, 4, 5]);
    const blocks = [...'ABCDE'.slice(0, random.choice(kBlockCounts))];
    const initial = dealt(random, blocks, count, count);
    const goal = dealt(random, blocks, random.integer(2, Math.min(count, 4)), count);
    const instance = { initial, goal };
    const moves = planMoves(instance);
    if (moves === undefined || moves.length === 0) return undefined;
    return {
      content: blocksworldContent(instance),
      instance,
      prompts: [blocksworldPrompt(instance)],
      answer: movesAsAnswer(moves),
    };
  },
};
