/**
 * The SymBench verifiers that check rules: right answers in any form, wrong ones of every kind, and the ways of gaming the
 * published checkers that do not work here.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import type { SuiteQuestion } from '../lib/tasks/suites/suite.ts';
import { constraintTasks } from '../lib/tasks/suites/symbench/constraint-tasks.ts';
import type { ConstraintFixture } from '../scripts/questions/constraint-fixtures.ts';
import {
  constraintFixture,
  generatedQuestions,
  publishedQuestions,
} from '../scripts/questions/constraint-fixtures.ts';
import { checkVerifier, sharedData } from './support/suites.ts';
import { constraintCases } from './support/symbench-constraints.ts';

const fixture = JSON.parse(
  readFileSync(new URL('fixtures/suites/symbench-constraints.json', import.meta.url), 'utf8'),
) as ConstraintFixture;

/** How many questions are tried of each task where the published ones are at hand. */
const kTried = 30;

/** Questions spread evenly over a list. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

for (const task of constraintTasks) {
  const cases = constraintCases[task.name]!;

  test(`${task.name}: two stored questions accept what is right in any form and nothing else`, (t) => {
    checkVerifier(t, { task, questions: fixture.questions[task.name]!, ...cases });
  });

  if (task.name !== 'path_plan') {
    test(`${task.name}: every published question accepts its own answer, and a sample of them nothing wrong`, (t) => {
      if (sharedData === null) {
        t.log('skipped: ../shared/data, where the published questions are, is not there');
        t.pass();
        return;
      }
      const questions = publishedQuestions(task);
      for (const question of questions) {
        const { correct, reason } = task.verify({ meta: {}, ...question }, question.answer);
        t.true(correct, `${question.id}: ${question.answer} is ${reason}`);
      }
      t.log(`${task.name}: ${questions.length} questions, all with a right answer`);
      checkVerifier(t, { task, questions: spread(questions, kTried), ...cases });
    });
  }

  if (task.generate !== undefined) {
    test(`${task.name}: 300 generated questions differ and accept their own answers`, (t) => {
      const questions = generatedQuestions(task, 300, 11);
      t.is(new Set(questions.map(({ id }) => id)).size, 300);
      for (const question of questions) {
        t.true(question.prompt.includes('<<<'), 'the prompt asks for the answer in its markers');
        const { correct, reason } = task.verify({ meta: {}, ...question }, question.answer);
        t.true(correct, `${question.id}: ${question.answer} is ${reason}`);
      }
      checkVerifier(t, { task, questions: spread(questions, kTried), ...cases });
    });

    test(`${task.name}: the same seed gives the same questions, another seed others`, (t) => {
      const [first, again, other] = [5, 5, 6].map((seed) => generatedQuestions(task, 3, seed));
      t.deepEqual(first, again);
      t.notDeepEqual(first, other);
    });
  }
}

test('the stored questions are those that the script makes of the published ones', (t) => {
  if (sharedData === null) {
    t.log('skipped: ../shared/data, where the published questions are, is not there');
    t.pass();
    return;
  }
  t.deepEqual(JSON.parse(JSON.stringify(constraintFixture())), fixture);
});

/** What the verifier of a task says to answers of a question made up for the purpose. */
function verdicts(
  name: string,
  meta: SuiteQuestion['meta'],
  answers: readonly string[],
  answer = '',
): boolean[] {
  const task = constraintTasks.find((other) => other.name === name)!;
  return answers.map((text) => task.verify({ id: name, prompt: '', answer, meta: meta! }, text).correct);
}

test('logical_equation: numbers from the list are not enough, each must be used once', (t) => {
  const meta = { numbers: [1, 2, 4], relations: [['greater', 'A', 'B', '']] };
  t.deepEqual(verdicts('logical_equation', meta, ['4, 2, 1', '2, 1, 4', '4, 2, 2', '4, 2, 4', '4, 1, 1']), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('logical_equation: every kind of relation is checked, decimals exactly', (t) => {
  const numbers = [5, 7, 12];
  const holds = (...relation: string[]) =>
    verdicts('logical_equation', { numbers, relations: [relation] }, ['7, 5, 12'])[0];
  t.true(holds('sum', 'A', 'B', '12'));
  t.false(holds('sum', 'A', 'C', '12'));
  t.true(holds('difference', 'B', 'C', '-7'));
  t.false(holds('difference', 'C', 'B', '-7'));
  t.true(holds('multiple', 'A', 'B', '1.4'));
  t.true(holds('multiple', 'A', 'B', '1.40'));
  t.false(holds('multiple', 'A', 'B', '1.41'));
  t.false(holds('multiple', 'B', 'A', '1.4'));
  t.true(holds('greater', 'A', 'B', ''));
  t.false(holds('greater', 'B', 'A', ''));
});

test('eight_queens: a right board without the queens that were already placed is wrong', (t) => {
  const free = '0 0, 1 4, 2 7, 3 5, 4 2, 5 6, 6 1, 7 3';
  const board = (first: string) => ({ board: [first, ...Array<string>(7).fill('00000000')] });
  t.deepEqual(verdicts('eight_queens', board('00000000'), [free]), [true]);
  t.deepEqual(verdicts('eight_queens', board('10000000'), [free]), [true]);
  t.deepEqual(verdicts('eight_queens', board('00010000'), [free]), [false]);
  t.deepEqual(verdicts('eight_queens', board('X0000000'), [free]), [false]);
});

test('eight_queens: boards of other sizes need as many queens as they have rows', (t) => {
  const board = Array<string>(10).fill('0000000000');
  const ten = '0 0, 1 2, 2 5, 3 7, 4 9, 5 4, 6 8, 7 1, 8 3, 9 6';
  t.deepEqual(verdicts('eight_queens', { board }, [ten, ten.split(', ').slice(0, 8).join(', ')]), [
    true,
    false,
  ]);
});

test('logic_puzzle: a number chosen twice, a cell named twice, and a missing first cell are wrong', (t) => {
  const meta = {
    grid: [
      [1, 2, 3],
      [2, 4, 1],
      [1, 1, 5],
    ],
    count: 2,
    first: [0, 2],
    rule: 'sum_le_4',
  };
  t.deepEqual(
    verdicts('logic_puzzle', meta, [
      '0 2, 0 0',
      '1 1, 0 2',
      '0 2, 1 2',
      '0 2, 0 1', // 5 in a row
      '0 2, 0 2',
      '1 1, 2 0', // without the first cell
      '0 2',
    ]),
    [true, true, true, false, false, false, false],
  );
  const twice = { ...meta, count: 3 };
  t.deepEqual(verdicts('logic_puzzle', twice, ['0 2, 2 0, 2 1', '0 2, 2 1, 1 0', '0 2, 2 1, 0 0']), [
    false, // 1 twice
    true,
    false, // 1 twice
  ]);
});

test('logic_puzzle: the product of a row with one negative number, or with a zero, is not positive', (t) => {
  const meta = {
    grid: [
      [-1, -2],
      [-3, 0],
    ],
    count: 2,
    first: [0, 0],
    rule: 'product_gt_0',
  };
  t.deepEqual(verdicts('logic_puzzle', meta, ['0 0, 0 1', '0 0, 1 0', '0 0, 1 1']), [false, false, false]);
  const withZero = {
    ...meta,
    grid: [
      [1, 2],
      [3, 0],
    ],
  };
  t.deepEqual(verdicts('logic_puzzle', withZero, ['0 0, 1 0', '0 0, 1 1']), [true, false]);
  const square = {
    ...meta,
    grid: [
      [-1, -2],
      [-3, -4],
    ],
    count: 4,
  };
  t.deepEqual(verdicts('logic_puzzle', square, ['0 0, 0 1, 1 0, 1 1']), [true]);
});

test('letter_logic_diagram: any right completion is accepted, not the stored one alone', (t) => {
  // Each row is the row above moved by one to the left, so the minor diagonal holds one letter.
  const square = (letters: string) =>
    Array.from(letters, (_, i) => letters.slice(i) + letters.slice(0, i)).join('\n');
  const meta = { grid: ['a......', ...Array<string>(6).fill('.......')] };
  t.deepEqual(
    verdicts('letter_logic_diagram', meta, [
      square('abcdefg'),
      square('agfedcb'),
      square('bcdefga'), // the given a is another letter
      square('abcdefg').split('\n').reverse().join('\n'), // the other diagonal
    ]),
    [true, true, false, false],
  );
});

test('constrained_linear_arrangement: a card is played once in every game, whatever the stored sequence', (t) => {
  const animals = { game: 'animal', moves: 'GDC', results: ['loss', 'loss', 'loss'] };
  t.deepEqual(
    verdicts('constrained_linear_arrangement', animals, ['F,C,B', 'A,B,A', 'B,B,A', 'A,C,B', 'H,C,B']),
    [true, false, false, true, false],
  );
  const sticks = { game: 'stick_game', moves: 'AC', results: ['draw', 'draw'] };
  t.deepEqual(verdicts('constrained_linear_arrangement', sticks, ['A,C', 'C,A', 'A,A', 'C,C', 'B,C']), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('constrained_linear_arrangement: a card that generates or overcomes the player’s decides the round', (t) => {
  // Wood A: generates fire B (loss), overcomes earth C (win), is overcome by metal D (loss), is generated by water E (win).
  const result = (card: string, wanted: string) =>
    verdicts('constrained_linear_arrangement', { game: 'elements', moves: 'A', results: [wanted] }, [
      card,
    ])[0];
  for (const [card, wanted] of [
    ['A', 'draw'],
    ['B', 'loss'],
    ['C', 'win'],
    ['D', 'loss'],
    ['E', 'win'],
  ] as const) {
    for (const other of ['win', 'loss', 'draw'])
      t.is(result(card, other), other === wanted, `A against ${card}`);
  }
  const mouse = { game: 'animal', moves: 'HA', results: ['win', 'loss'] };
  t.deepEqual(verdicts('constrained_linear_arrangement', mouse, ['A,H', 'A,B']), [true, false]);
});

test('permutations_and_combinations: every kind of constraint is checked', (t) => {
  const holds = (...constraint: (string | number)[]) =>
    verdicts('permutations_and_combinations', { books: 'ABC', constraints: [constraint] }, ['C, A, B'])[0];
  t.true(holds('adjacent', 'A', 'B'));
  t.false(holds('adjacent', 'C', 'B'));
  t.true(holds('left', 'C', 'B'));
  t.false(holds('left', 'B', 'C'));
  t.true(holds('right', 'B', 'C'));
  t.false(holds('right', 'C', 'B'));
  t.true(holds('at', 'A', 2));
  t.false(holds('at', 'A', 1));
  t.true(holds('not_at', 'A', 1));
  t.false(holds('not_at', 'A', 2));
});
