/**
 * The SymBench planning tasks and expressions: illegal steps make an answer wrong instead of being passed over.
 */
import test from 'ava';
import { createRandom } from '../lib/tasks/random.ts';
import type { SuiteQuestion } from '../lib/tasks/suites/suite.ts';
import { planMoves } from '../lib/tasks/suites/symbench/Blocksworld.ts';
import { greedyLifts } from '../lib/tasks/suites/symbench/BoxLift.ts';
import { constraintTasks } from '../lib/tasks/suites/symbench/constraint-tasks.ts';
import {
  digitWording,
  judge,
  judgementText,
  letterWording,
} from '../lib/tasks/suites/symbench/cryptanalysis.ts';
import { firstVisit, insidePart, type Point, touches } from '../lib/tasks/suites/symbench/path-geometry.ts';
import { randomHouse } from '../lib/tasks/suites/symbench/path-house.ts';
import { afterMove, afterMoves, startingBoard } from '../lib/tasks/suites/symbench/reversi.ts';
import { publishedQuestions } from '../scripts/questions/constraint-fixtures.ts';
import { sharedData } from './support/suites.ts';

/** What the verifier of a task says to an answer of a question made up for the purpose. */
function accepts(name: string, meta: NonNullable<SuiteQuestion['meta']>, text: string, answer = ''): boolean {
  const task = constraintTasks.find((other) => other.name === name)!;
  return task.verify({ id: name, prompt: '', answer, meta }, text).correct;
}

test('Blocksworld: an illegal move makes the answer wrong even when the rest reaches the goal', (t) => {
  const meta = { initial: ['AB', '', ''], goal: ['', 'B', 'A'] };
  const right = 'Move B from stack1 to stack2\nMove A from stack1 to stack3';
  t.true(accepts('Blocksworld', meta, right));
  for (const illegal of [
    'Move A from stack1 to stack3', // below B
    'Move B from stack2 to stack1', // stack2 is empty
    'Move B from stack1 to stack1', // nowhere
    'Move B from stack1 to stack4', // no such stack
    'Move B from stack1 to table',
    'Move C from stack1 to stack2',
  ]) {
    t.false(accepts('Blocksworld', meta, `${illegal}\n${right}`), illegal);
  }
  t.false(accepts('Blocksworld', meta, `${right}\nMove A from stack3 to stack1`), 'beyond the goal');
  t.true(
    accepts('Blocksworld', meta, `${right}\nMove A from stack3 to stack1\nMove A from stack1 to stack3`),
  );
});

test('Blocksworld: the order within a stack and the number of the stack count', (t) => {
  const meta = { initial: ['AB', '', ''], goal: ['', 'BA', ''] };
  t.true(accepts('Blocksworld', meta, 'Move B from 1 to 2\nMove A from 1 to 2'));
  t.false(accepts('Blocksworld', meta, 'Move B from 1 to 3\nMove A from 1 to 3'));
  t.false(accepts('Blocksworld', meta, 'Move B from 1 to 3\nMove A from 1 to 2\nMove B from 3 to 1'));
  t.is(planMoves({ initial: ['AB', '', ''], goal: ['', 'AB', ''] })?.length, 3);
  t.is(planMoves({ initial: ['A'], goal: ['B'] }), undefined);
});

test('BoxLift: a lifter counted from the end, or twice, or in two lifts of a step, is wrong', (t) => {
  const meta = { boxes: [50, 30, 30], lifters: [30, 20, 40], steps: 2 };
  t.true(accepts('BoxLift', meta, 'Step 1: [(50, [0, 1]), (30, [2])]\nStep 2: [(30, [2])]'));
  for (const wrong of [
    'Step 1: [(50, [0, -2]), (30, [2])]\nStep 2: [(30, [2])]',
    'Step 1: [(50, [0, 0]), (30, [2])]\nStep 2: [(30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [0])]\nStep 2: [(30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [3])]\nStep 2: [(30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [2])]\nStep 2: [(30, [1])]',
  ]) {
    t.false(accepts('BoxLift', meta, wrong), wrong);
  }
});

test('BoxLift: an impossible lift beside a right plan, a box lifted twice, and too many steps are wrong', (t) => {
  const meta = { boxes: [50, 30, 30], lifters: [30, 20, 40], steps: 2 };
  for (const wrong of [
    'Step 1: [(50, [0, 1]), (30, [2]), (99, [2])]\nStep 2: [(30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [2])]\nStep 2: [(30, [2]), (30, [0])]',
    'Step 1: [(50, [0, 1]), (30, [2])]\nStep 2: [(50, [0, 1]), (30, [2])]',
    'Step 1: [(50, [0, 1])]\nStep 2: [(30, [2])]\nStep 3: [(30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [2])]\nStep 2: []\nStep 3: [(30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [2])]',
    'Step 1: [(50, [0, 1]), (30, [2])]\nStep 1: [(30, [2])]',
  ]) {
    t.false(accepts('BoxLift', meta, wrong), wrong);
  }
  t.is(greedyLifts([91], [30, 20, 40]), undefined, 'too heavy for all together');
});

test('BoxNet1: an illegal action is not passed over', (t) => {
  const meta = { columns: 2, squares: [['box_red'], ['target_red', 'box_blue', 'target_blue']] };
  const plan = (...steps: object[]) => JSON.stringify(steps);
  const blue = { 'Agent[0.5, 1.5]': 'move(box_blue, target_blue)' };
  const red = { 'Agent[0.5, 0.5]': 'move(box_red, square[0.5, 1.5])' };
  const done = { 'Agent[0.5, 1.5]': 'move(box_red, target_red)' };
  t.true(accepts('BoxNet1', meta, plan({ ...red, ...blue }, done)));
  t.true(accepts('BoxNet1', meta, plan(red, blue, done)));
  for (const illegal of [
    { 'Agent[0.5, 0.5]': 'move(box_green, target_green)' },
    { 'Agent[0.5, 0.5]': 'move(box_red, target_red)' },
    { 'Agent[0.5, 0.5]': 'move(box_red, square[0.5, 0.5])' },
    { 'Agent[0.5, 0.5]': 'move(box_red, square[1.5, 0.5])' },
    { 'Agent[0.5, 1.5]': 'move(target_red, square[0.5, 0.5])' },
    { 'Agent[0.5, 1.5]': 'move(box_blue, target_red)' },
    { 'Agent[0.5, 2.5]': 'move(box_blue, target_blue)' },
  ]) {
    t.false(accepts('BoxNet1', meta, plan(illegal, { ...red, ...blue }, done)), JSON.stringify(illegal));
  }
});

test('BoxNet1: squares two apart are not beside each other, nor are row ends', (t) => {
  const meta = { columns: 2, squares: [['box_red'], [], [], ['target_red']] };
  const via = (...squares: string[]) =>
    JSON.stringify(
      squares.map((square, i) => ({
        [`Agent${square}`]: `move(box_red, ${i + 1 < squares.length ? `square${squares[i + 1]}` : 'target_red'})`,
      })),
    );
  t.true(accepts('BoxNet1', meta, via('[0.5, 0.5]', '[0.5, 1.5]', '[1.5, 1.5]')));
  t.true(accepts('BoxNet1', meta, via('[0.5, 0.5]', '[1.5, 0.5]', '[1.5, 1.5]')));
  t.false(accepts('BoxNet1', meta, via('[0.5, 0.5]', '[1.5, 1.5]')));
  t.false(accepts('BoxNet1', meta, via('[0.5, 0.5]', '[0.5, 1.5]', '[1.5, 0.5]', '[1.5, 1.5]')));
});

test('BoxNet1: a box moves once in a step, and an agent acts once in a step', (t) => {
  const meta = { columns: 3, squares: [['box_red'], [], ['target_red']] };
  const there = '"Agent[0.5, 0.5]": "move(box_red, square[0.5, 1.5])"';
  const on = '"Agent[0.5, 1.5]": "move(box_red, square[0.5, 2.5])"';
  const done = '"Agent[0.5, 2.5]": "move(box_red, target_red)"';
  t.true(accepts('BoxNet1', meta, `[{${there}}, {${on}}, {${done}}]`));
  t.false(accepts('BoxNet1', meta, `[{${there}, ${on}, ${done}}]`));
  const two = { columns: 1, squares: [['box_red', 'box_red', 'target_red', 'target_red']] };
  const put = '"Agent[0.5, 0.5]": "move(box_red, target_red)"';
  t.true(accepts('BoxNet1', two, `[{${put}}, {${put}}]`));
  t.false(accepts('BoxNet1', two, `[{${put}, ${put}}]`));
});

const kHouse = {
  walls: [
    [-1.5, -1.4, -1.5, 1.5],
    [1.4, 1.5, -1.5, 1.5],
    [-1.5, 1.5, -1.5, -1.4],
    [-1.5, 1.5, 1.4, 1.5],
    // An inner wall with a door from y = -0.2 to y = 0.2.
    [-0.05, 0.05, -1.4, -0.2],
    [-0.05, 0.05, 0.2, 1.4],
  ],
  rooms: { red: [-1, -0.5, 0.5, 1], blue: [-1, -0.5, -1, -0.5], green: [0.5, 1, 0.5, 1] },
  start: [-1.2, 0],
  end: [1.2, 0],
  visit: ['red', 'green'],
  ordered: true,
  avoid: ['blue'],
};

test('path_plan: walls, doors, order and rooms to avoid are checked along the lines, not at the waypoints', (t) => {
  const path = (text: string, change: object = {}) =>
    accepts('path_plan', { ...kHouse, ...change }, `[${text}]`);
  t.true(path('(-1.2, 0), (-0.7, 0.6), (-0.3, 0), (0.3, 0), (0.7, 0.6), (1.2, 0)'));
  t.true(path('-1.2 0, -0.7 0.6, -0.3 0, 0.3 0, 0.7 0.6, 1.2 0'));
  t.false(path('(-1.2, 0), (1.2, 0)'), 'no room visited');
  t.false(path('(-1.2, 0), (-0.7, 0.6), (0.7, 0.6), (1.2, 0)'), 'through the wall');
  t.false(
    path('(-1.2, 0), (-0.7, 0.6), (-0.3, 0), (0.3, 0.5), (0.7, 0.6), (1.2, 0)'),
    'past the edge of the door',
  );
  t.false(
    path('(-1.2, 0), (-0.7, 0.6), (-0.7, -1.2), (-0.3, 0), (0.3, 0), (0.7, 0.6), (1.2, 0)'),
    'through blue',
  );
  t.true(
    path('(-1.2, 0), (-0.7, 0.6), (-0.7, -1.2), (-0.3, 0), (0.3, 0), (0.7, 0.6), (1.2, 0)', { avoid: [] }),
  );
  t.false(path('(-1.2, 0), (-0.7, 0.6), (-0.3, 0), (0.3, 0), (0.7, 0.6)'), 'not at the end');
  t.false(
    path('(-1.2, 0), (-0.7, 0.6), (-0.3, 0), (-0.3, 9), (9, 9), (0.7, 0.6), (1.2, 0)'),
    'outside the house',
  );
  t.false(path('(-1.2, 0), (-0.7, 0.6), (-0.3, 0), (0.05, 0.2), (0.7, 0.6), (1.2, 0)'), 'touches the wall');
  const turned = { visit: ['green', 'red'] };
  const there = '(-1.2, 0), (-0.7, 0.6), (-0.3, 0), (0.3, 0), (0.7, 0.6)';
  t.false(path(`${there}, (1.2, 0)`, turned), 'red before green');
  t.true(path(`${there}, (0.3, 0), (-0.3, 0), (-0.7, 0.6), (-0.3, 0), (0.3, 0), (1.2, 0)`, turned));
  t.true(path(`${there}, (1.2, 0)`, { ...turned, ordered: false }));
  t.true(path('(-1.2, 0), (-0.5, 0.5), (-0.3, 0), (0.3, 0), (0.5, 0.5), (1.2, 0)'), 'a corner is entered');
  t.false(
    path('(-1.2, 0), (-0.499999, 0.5), (-0.3, 0), (0.3, 0), (0.7, 0.6), (1.2, 0)'),
    'beside the corner',
  );
});

test('path_plan: what a segment shares with a rectangle agrees with sampling it densely', (t) => {
  const random = createRandom(3);
  let inside = 0;
  for (let i = 0; i < 3000; i++) {
    const at = () => random.integer(-12, 12);
    const [p, q]: Point[] = [
      [at(), at()],
      [at(), at()],
    ];
    const [x, y] = [random.integer(-8, 6), random.integer(-8, 6)];
    const rectangle = [x, x + random.integer(1, 5), y, y + random.integer(1, 5)] as const;
    const part = insidePart(p!, q!, rectangle);
    if (part === undefined) {
      for (let k = 0; k <= 64; k++) {
        const [px, py] = [p![0] + ((q![0] - p![0]) * k) / 64, p![1] + ((q![1] - p![1]) * k) / 64];
        const within = px >= rectangle[0] && px <= rectangle[1] && py >= rectangle[2] && py <= rectangle[3];
        if (within) return t.fail(`${p} to ${q} reaches ${rectangle}`);
      }
    } else {
      inside += 1;
      for (const [over, under] of [part.from, part.to]) {
        const at = (axis: 0 | 1) => p![axis] + ((q![axis] - p![axis]) * over) / under;
        const outside = Math.max(
          rectangle[0] - at(0),
          at(0) - rectangle[1],
          rectangle[2] - at(1),
          at(1) - rectangle[3],
        );
        t.true(outside < 1e-9 && over >= 0 && over <= under, `${p} to ${q} in ${rectangle}: ${outside}`);
      }
    }
    t.is(touches([p!, q!], rectangle), part !== undefined);
    t.is(
      firstVisit([p!, q!], rectangle, { segment: 0, over: 0, under: 1 }) !== undefined,
      part !== undefined,
    );
  }
  t.log(`${inside} of 3000 segments touch their rectangle`);
  t.true(inside > 300 && inside < 2700);
});

test('path_plan: houses have five to seven rooms, with none, one and two inner walls, and all kinds of instructions', (t) => {
  const seen = {
    walls: new Set<number>(),
    rooms: new Set<number>(),
    visit: new Set<number>(),
    avoid: new Set<number>(),
  };
  const ordered = new Set<boolean>();
  for (let i = 0; i < 200; i++) {
    const house = randomHouse(createRandom(2, [i]))?.house;
    if (house === undefined) continue;
    seen.walls.add(house.walls.length);
    seen.rooms.add(Object.keys(house.rooms).length);
    seen.visit.add(house.visit.length);
    seen.avoid.add(house.avoid.length);
    ordered.add(house.ordered);
  }
  t.deepEqual([...seen.walls].sort(), [4, 6, 8]);
  t.deepEqual([...seen.rooms].sort(), [5, 6, 7]);
  t.deepEqual([...seen.visit].sort(), [1, 2, 3, 4]);
  t.true(seen.avoid.size >= 5);
  t.is(ordered.size, 2);
});

test('reversi: only a move that flips something on an empty cell is legal', (t) => {
  const board = startingBoard(4);
  t.deepEqual(board, ['****', '*10*', '*01*', '****']);
  t.deepEqual(afterMove(board, [4, 3], '0'), ['****', '*10*', '*00*', '**0*']);
  t.is(afterMove(board, [2, 2], '0'), undefined, 'taken');
  t.is(afterMove(board, [1, 1], '0'), undefined, 'flips nothing');
  t.is(afterMove(board, [5, 3], '0'), undefined, 'not on the board');
  t.is(
    afterMoves({
      board,
      moves: [
        [4, 3],
        [1, 1],
      ],
    }),
    undefined,
  );
  t.deepEqual(
    afterMove(['01110*', '******', '******', '******', '******', '******'], [1, 6], '0'),
    undefined,
  );
  t.deepEqual(
    afterMove(['0111**', '******', '******', '******', '******', '******'], [1, 5], '0')?.[0],
    '00000*',
  );
  t.deepEqual(
    afterMove(['0*11**', '******', '******', '******', '******', '******'], [1, 5], '0'),
    undefined,
    'a gap',
  );
});

test('reversi: no question shows the board that it asks for', (t) => {
  if (sharedData === null) {
    t.log('skipped: ../shared/data, where the published questions are, is not there');
    t.pass();
    return;
  }
  const task = constraintTasks.find(({ name }) => name === 'reversi')!;
  for (const { prompt, answer } of publishedQuestions(task)) {
    const shown = prompt.split('\n').filter((line) => /^[01*]+$/.test(line));
    t.not([...shown.join('')].join(','), answer);
  }
});

test('cryptanalysis: judgements are worded as published', (t) => {
  const numbers = (lock: string, guess: string) => judgementText(judge(lock, guess), digitWording);
  const letters = (lock: string, guess: string) => judgementText(judge(lock, guess), letterWording);
  t.is(
    numbers('53', '38'),
    'one number is correct but in the wrong position; one number is incorrect and too large',
  );
  t.is(numbers('53', '10'), 'both numbers are incorrect and too small');
  t.is(numbers('53', '19'), 'both numbers are incorrect');
  t.is(numbers('53', '35'), 'both numbers are correct but in the wrong positions');
  t.is(numbers('53', '54'), 'one number is correct and in the correct position; one number is incorrect');
  t.is(
    letters('FA', 'TA'),
    'one letter is correct and in the correct position; one letter is incorrect and too late in the alphabet',
  );
  t.is(letters('FA', 'FA'), 'both letters are correct and in the correct positions');
  t.is(letters('TW', 'MF'), 'both letters are incorrect and too early in the alphabet');
});

test('cryptanalysis: a generated question leaves one password, also when a missing remark means nothing', (t) => {
  const task = constraintTasks.find(({ name }) => name === 'cryptanalysis')!;
  const digits = '0123456789';
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  // Every part of what was said, read by itself and as weakly as it can be.
  const agrees = (lock: string, guess: string, parts: readonly string[]) => {
    const absent = [...guess].filter((symbol) => !lock.includes(symbol));
    const inPlace = [...guess].filter((symbol, i) => symbol === lock[i]).length;
    const said = (pattern: RegExp) =>
      parts
        .filter((part) => pattern.test(part))
        .reduce((sum, part) => sum + (part.startsWith('both') ? 2 : 1), 0);
    const [low, high] = [...lock].sort() as [string, string];
    return (
      said(/correct position/) === inPlace &&
      said(/wrong position/) === 2 - inPlace - absent.length &&
      said(/incorrect/) === absent.length &&
      (said(/too (small|early)/) === 0 || absent.every((symbol) => symbol < low)) &&
      (said(/too (large|late)/) === 0 || absent.every((symbol) => symbol > high))
    );
  };
  const pairs = (alphabet: string) =>
    [...alphabet].flatMap((a) => [...alphabet].filter((b) => b !== a).map((b) => a + b));
  let checked = 0;
  for (let i = 0; checked < 25; i++) {
    const draw = task.generate!(createRandom(4, [i]));
    if (draw === undefined) continue;
    const { guesses } = draw.instance as { guesses: [string, string][] };
    const left = (alphabet: string, noun: string, cut: (guess: string) => string) =>
      pairs(alphabet).filter((lock) =>
        guesses.every(([guess, said]) =>
          agrees(
            lock,
            cut(guess),
            said.split('; ').filter((part) => part.includes(noun)),
          ),
        ),
      );
    const numbers = left(digits, 'number', (guess) => guess.slice(0, 2));
    const words = left(letters, 'letter', (guess) => guess.slice(2));
    t.deepEqual([numbers.length, words.length], [1, 1]);
    t.true(accepts('cryptanalysis', {}, numbers[0]! + words[0]!, draw.answer));
    checked += 1;
  }
});

test('game24: a number used twice, left out, negated or joined to another is wrong, and so is any value but 24', (t) => {
  const hand = { numbers: [3, 3, 8, 8] };
  const right = '8 / (3 - 8 / 3)';
  t.true(accepts('game24', hand, right));
  t.true(accepts('game24', hand, `${right} = 24`));
  for (const wrong of [
    '3 * 8',
    '8 * 3 * 8 / 8',
    '33 - 8 - 8 + 7',
    '8 * 3 + 8 - 8 + 0 * 3',
    '(8 + 8) * 3 / 3',
    '24',
    '8/3',
    '-8 / (8 / 3 - 3)',
  ])
    t.false(accepts('game24', hand, wrong), wrong);
  t.false(accepts('game24', { numbers: [1, 2, 3, 5] }, '12 + 3 * 5'), 'joined');
});

test('combinatorial_calculation: only operators and parentheses come between the numbers, in their order', (t) => {
  const meta = { numbers: [6, 2, 7], target: 10 };
  for (const right of [
    '[6, /, 2, +, 7]',
    '6/2+7',
    '[(, 6, /, 2, ), +, 7]',
    '(((6/2)))+7',
    '["6", "/", "2", "+", "7"]',
  ])
    t.true(accepts('combinatorial_calculation', meta, right), right);
  for (const wrong of [
    '[7, +, 6, /, 2]',
    '[6, /, 2, +, 7, +, 0]',
    '[62, /, 7]',
    '[6, 2, 7]',
    '[6, -, 2, +, 7]',
    '6//2+7',
    '6**2-7',
    '10',
  ])
    t.false(accepts('combinatorial_calculation', meta, wrong), wrong);
  t.true(
    accepts(
      'combinatorial_calculation',
      { numbers: Array<number>(20).fill(1), target: 20 },
      `${'('.repeat(19)}1${' + 1)'.repeat(19)}`,
    ),
    'as deep as twenty numbers go',
  );
  t.true(
    accepts('combinatorial_calculation', { numbers: [1, 3, 3], target: 1 }, '1 / 3 * 3'),
    'exact fractions',
  );
});
