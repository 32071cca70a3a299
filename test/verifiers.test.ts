/**
 * Verifiers: what counts as the right answer, and the ways of gaming one that do not work.
 */
import test from 'ava';
import { demoTasks } from '../lib/tasks/demo.ts';
import { evaluateExpression, game24, solveFourNumbers, verifyExpression } from '../lib/tasks/game24.ts';
import { makeTask, tasks } from '../lib/tasks/index.ts';
import { parseNumber, verifyNumber } from '../lib/tasks/number.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { type ProceduralTask, type Question, questions, type Split } from '../lib/tasks/task.ts';

const everyTask: ProceduralTask[] = [...Object.values(tasks), ...Object.values(demoTasks)];

/** A first question of the split that satisfies a condition. */
function findQuestion(
  task: ProceduralTask,
  wanted: (question: Question) => boolean,
  split: Split = 'train',
): Question {
  for (let attempt = 0; attempt < 2000; attempt++) {
    const question = task.question(createRandom(3, [attempt]), split);
    if (wanted(question)) return question;
  }
  throw new Error(`no such question of task ${task.name} in 2000 draws`);
}

test('every task accepts its own canonical answer and rejects none, empty, and another question’s', (t) => {
  for (const task of everyTask) {
    const batch = questions(task, 'train', 40, 5);
    for (const [i, question] of batch.entries()) {
      t.deepEqual(task.verify(question, question.answer).correct, true, `${task.name}: ${question.prompt}`);
      t.true(task.verify(question, `  ${question.answer}\r\n`).correct, 'blanks at the ends do not count');
      for (const nothing of [null, '', ' ', '\n', '\u200b', '0042', 'none', '[]', '()']) {
        t.false(task.verify(question, nothing).correct, `${task.name} accepts ${JSON.stringify(nothing)}`);
      }
      const other = batch[(i + 1) % batch.length]!;
      if (other.answer !== question.answer && !task.name.startsWith('game24')) {
        t.false(task.verify(question, other.answer).correct);
      }
    }
  }
});

test('integer answers cannot be gamed by rewriting, repeating, or hiding them', (t) => {
  const task = makeTask('arithmetic', { kinds: ['product'], digits: [4, 5], operands: [2, 2] });
  const question = findQuestion(task, ({ answer }) => answer.length === 8);
  const right = question.answer;
  const n = Number(right);
  const grouped = right.replace(/\B(?=(?:[0-9]{3})+$)/g, ',');
  t.true(task.verify(question, grouped).correct, grouped);
  const attacks = [
    `${right} ${n + 1}`,
    `${right} or ${n + 1}`,
    `${n - 1}, ${right}`,
    `${n - 1}\n${right}`,
    `the answer is ${right}`,
    `<<<${right}>>>`,
    `0${right}`,
    `+${right}`,
    `-${right}`,
    `--${right}`,
    `${right}.`,
    `${right}.0`,
    `${n + 0.4}`,
    `${right}e0`,
    n.toExponential(),
    `0x${n.toString(16)}`,
    `${right.slice(0, 2)}_${right.slice(2)}`,
    `${right.slice(0, 2)} ${right.slice(2)}`,
    `${right.slice(0, 3)},${right.slice(3)}`,
    `,${right}`,
    grouped.replace(',', ''),
    `${right}\u0000`,
    `${right}\u200b`,
    `\u00a0${right}`,
    [...right].map((d) => String.fromCodePoint(0xff10 + Number(d))).join(''),
    [...right].map((d) => String.fromCodePoint(0x0660 + Number(d))).join(''),
    (question.meta as { operands: number[] }).operands.join('*'),
    'NaN',
    'Infinity',
    '__proto__',
    'true',
    right.repeat(2),
    '9'.repeat(1_000_000),
    ' '.repeat(1_000_000) + right,
  ];
  for (const attack of attacks) {
    t.false(task.verify(question, attack).correct, JSON.stringify(attack.slice(0, 60)));
  }
  t.false(task.verify(question, undefined as unknown as null).correct);
  t.false(task.verify(question, n as unknown as string).correct);
});

test('answers of a million characters are rejected without reading them', (t) => {
  const texts = ['9'.repeat(1e6), '('.repeat(1e6), ' ,'.repeat(5e5), '1+'.repeat(5e5), '\\frac{'.repeat(2e5)];
  const started = performance.now();
  let verdicts = 0;
  for (const task of everyTask) {
    const question = questions(task, 'heldout', 1, 1)[0]!;
    for (const text of texts) {
      t.false(task.verify(question, text).correct);
      verdicts += 1;
    }
  }
  for (const text of texts) t.false(verifyNumber('42', text).correct);
  const milliseconds = performance.now() - started;
  t.log(`${verdicts} verdicts in ${milliseconds.toFixed(1)} ms`);
  t.true(milliseconds < 1000);
});

/** A stored question, as a file of questions would hold it. */
function stored(task: ProceduralTask, meta: Record<string, unknown>, answer: string): Question {
  return { id: `${task.name}-stored`, task: task.name, prompt: '', answer, meta };
}

test('lists, matrices, texts, dates, numerals and bases are compared in full', (t) => {
  const { bases, dates, matrix, order, primes, roman, strings } = tasks;
  const weekday = { kind: 'weekday', start: '2024-02-29', end: '2024-02-29', days: 0 };
  const add = { kind: 'add', start: '2024-02-29', end: '2024-02-29', days: 1 };
  const cases: [ProceduralTask, Question, right: string, wrong: string][] = [
    [
      order,
      stored(order, { kind: 'ascending', numbers: [30, 12, 21], rank: 0 }, '12, 21, 30'),
      '12,21,30|[12, 21, 30]|12 ,21 ,30|12,\n21,\n30',
      '12 21 30|122130|30, 21, 12|12, 21|12, 21, 30, 30|12, 21, 30,|[[12, 21, 30]]|(12, 21, 30)|12, 21, 30]|12.0, 21.0, 30.0|' +
        '012, 021, 030|1 2, 2 1, 3 0|12,, 21, 30|12;21;30|12, 21, 30 or 30, 21, 12|12, 21, 3e1|sorted([30,12,21])',
    ],
    [
      matrix,
      stored(matrix, { kind: 'product', a: [], b: [] }, '[[12, -3], [4, 50]]'),
      '[[12,-3],[4,50]]|[ [12, -3],\n [4, 50] ]',
      '[[1 2, -3], [4, 50]]|[12, -3], [4, 50]|((12, -3), (4, 50))|[[12, -3], [4, 50]][[12, -3], [4, 50]]|[[[12, -3], [4, 50]]]|' +
        '[[12 -3] [4 50]]|[[12.0, -3], [4, 50]]|[[12, -3, 4, 50]]|[12, -3, 4, 50]|[[12, - 3], [4, 50]]|[[12, 3], [4, 50]]|[[12, 4], [-3, 50]]',
    ],
    [
      strings,
      stored(strings, { kind: 'reverse', text: 'eocab', shift: 0 }, 'bacoe'),
      'bacoe| bacoe\n',
      'Bacoe|"bacoe"|b a c o e|eocab|acoe|bacoeb|bacoe.|b\u0430coe|baco\u0435|bacoe\u200d|b\u00e1coe|bac\u043ee',
    ],
    [
      dates,
      stored(dates, add, '2024-03-01'),
      '2024-03-01',
      '2024/03/01|20240301|2024-3-1|2024-03-01T00:00:00|01-03-2024|2024-03-01 2024-03-02|2024-03|March 1, 2024|2024-02-30',
    ],
    [
      dates,
      stored(dates, weekday, 'Thursday'),
      'Thursday|thursday|THURSDAY',
      'Thu|Thursday or Friday|Monday Tuesday Wednesday Thursday Friday Saturday Sunday|day|4|Thursday.|not Thursday',
    ],
    [
      roman,
      stored(roman, { kind: 'to-roman', value: 444 }, 'CDXLIV'),
      'CDXLIV',
      'cdxliv|CCCCXXXXIIII|CDXLIVI|444|C D X L I V|\u216d\u216e\u2169\u216c\u2160\u2164|CDXLIIII',
    ],
    [
      bases,
      stored(bases, { from: 10, to: 16, digits: '43981' }, 'abcd'),
      'abcd|ABCD|aBcD',
      '0xabcd|0abcd|abcdh|43981|abcd.0|a b c d|abc',
    ],
    [
      primes,
      stored(primes, { kind: 'factors', low: 360, high: 360 }, '2, 2, 2, 3, 3, 5'),
      '2,2,2,3,3,5|[2, 2, 2, 3, 3, 5]',
      '360|2, 3, 5|5, 3, 3, 2, 2, 2|2^3, 3^2, 5|2*2*2*3*3*5|1, 2, 2, 2, 3, 3, 5|4, 2, 9, 5|-2, -2, 2, 3, 3, 5',
    ],
  ];
  for (const [task, question, right, wrong] of cases) {
    for (const text of right.split('|')) {
      t.true(task.verify(question, text).correct, `${task.name} rejects ${JSON.stringify(text)}`);
    }
    for (const text of wrong.split('|')) {
      t.false(task.verify(question, text).correct, `${task.name} accepts ${JSON.stringify(text)}`);
    }
  }
});

test('the game of 24 accepts any exact expression with each number once, and nothing else', (t) => {
  const hand = [3, 3, 8, 8];
  for (const right of ['8/(3-8/3)', ' 8 / ( 3 - 8 / 3 ) ', '(8/(3-(8/3)))', '((8))/(3-8/3)']) {
    t.true(verifyExpression(hand, 24, right).correct, right);
  }
  const attacks = [
    '24',
    '8*3',
    '3*8+3-3+8-8',
    '3*8*(8/8)',
    '8/(3-8/3) = 24',
    '24+3+3+8+8-22',
    '8/(3-8/3)+0',
    '3+8+8+3+2',
    '88/3-3-8',
    '38-8-3-3',
    '8 8/3-3',
    '3**3-8/8',
    '8//(3-8//3)',
    '8/(3-3)*8*3',
    '8/(3-8/3',
    '8/(3-8/3))',
    '-8/(8/3-3)',
    '8/(3.0-8/3)',
    '08/(3-8/3)',
    '8/(3-8/3)#',
    '8/(3-8/3);1',
    '__import__("os").system("true")',
    'process.exit(1)',
    '8÷(3−8÷3)',
    '８/(3-8/3)',
    `${'('.repeat(50)}8/(3-8/3)${')'.repeat(50)}`,
    '(8/(3-8/3)',
    '()',
    '3,3,8,8',
  ];
  for (const attack of attacks) t.false(verifyExpression(hand, 24, attack).correct, attack);

  const near = evaluateExpression('1/3+1/3+1/3');
  t.false('error' in near);
  if (!('error' in near)) t.is(near.numerator, near.denominator);
  t.is(solveFourNumbers([1, 1, 1, 1], 24), undefined);
  for (const question of questions(game24(), 'heldout', 60, 2)) {
    t.true(game24().verify(question, question.answer).correct, question.answer);
    t.false(game24().verify(question, question.answer.replace(/[0-9]+/, '$&+0')).correct);
  }
});

test('numeric answers are equal exactly when they denote the same rational number', (t) => {
  const equal: [expected: string, answers: string][] = [
    [
      '1234',
      '1234|1,234|$1,234.00|\\$1,234|1234.| 1234 |01234|\\boxed{1234}|$\\boxed{1{,}234}$|\\(1234\\)|2468/2|\\frac{2468}{2}|$$1234$$',
    ],
    ['-5', '-5|-$5|-5.0|-10/2|\\frac{-10}{2}|-\\dfrac{10}{2}|\\boxed{-5}.'],
    ['0.75', '3/4|.75|0.750|\\tfrac{3}{4}|\\boxed{\\frac{3}{4}}|75/100'],
    ['33', '033|33|$33$|33%|33\\%'],
    ['70,000', '70000|70,000.000'],
    ['0', '0|-0|0.0|0/7'],
  ];
  for (const [expected, answers] of equal) {
    for (const answer of answers.split('|'))
      t.true(verifyNumber(expected, answer).correct, `${answer} is ${expected}`);
  }
  const different: [expected: string, answers: string][] = [
    [
      '1234',
      '|1235|-1234|1.234|12,34|1234,|,1234|1,2345|1234 dollars|x = 1234|1234 1235|1234, 1235|1234 or 5|1233+1|1.234e3|+1234|1_234|' +
        '\uff11\uff12\uff13\uff14|0x4d2|boxed{1234}|\\boxed{1234|\\boxed{1234}\\boxed{1235}|\\boxed{1}\\boxed{234}|1234/0|1234/1/1|' +
        '$$|$|1234$|--1234|1234e0|1234..|\\boxed{1234.}.|the answer is 1234|\u20ac1234|1 234|123400%|12.34%|1234%%',
    ],
    [
      '0.75',
      '0.7500001|0.74|.7|75|3 / 4 / 1|1 3/4|\\frac34|0.75...|-\\frac{-3}{4}|-\\frac{-3}{-4}|\\frac{3}{4}x',
    ],
    ['0.3333', '1/3|0.333|0.33333'],
    ['0', '0/0|-|.|()|\\frac{}{}'],
  ];
  for (const [expected, answers] of different) {
    t.false(verifyNumber(expected, null).correct);
    for (const answer of answers.split('|')) {
      t.false(verifyNumber(expected, answer).correct, `${answer} is not ${expected}`);
    }
  }
  t.deepEqual(parseNumber('-12.50'), { numerator: -1250n, denominator: 100n });
  t.throws(() => verifyNumber('many', '3'), { instanceOf: TypeError, message: /"many" is not a number/ });
});
