/**
 * SymBench's tasks with a mathematical answer: the trials of every suite on the fixture and on all published questions, and
 * variations of GSM8K that can be computed again from their own worked solutions.
 */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../lib/tasks/random.ts';
import type { SuiteQuestion } from '../lib/tasks/suites/suite.ts';
import {
  answerWith,
  type GsmRecord,
  gsmVariations,
  questionWith,
  replaceableNumbers,
} from '../lib/tasks/suites/symbench/gsm.ts';
import { gsmTask, mathTasks } from '../lib/tasks/suites/symbench/math-tasks.ts';
import { gsmQuestions } from '../scripts/questions/gsm.ts';
import {
  gsmRecords,
  type MathFixture,
  mathFixture,
  publishedMath,
} from '../scripts/questions/math-fixture.ts';
import { mathQuestion } from '../scripts/questions/symbench/math.ts';
import { checkVerifier, sharedData, type VerifierCase } from './support/suites.ts';

const fixture = JSON.parse(
  readFileSync(new URL('fixtures/suites/math.json', import.meta.url), 'utf8'),
) as MathFixture;

const taskNamed = (name: string) => mathTasks.find((task) => task.name === name)!;
const isInteger = (answer: string) => /^-?[0-9]+$/.test(answer);

/** The answer in other notations. */
function accepted({ answer }: SuiteQuestion): string[] {
  const others = [
    ` ${answer} `,
    `$${answer}$`,
    `\\boxed{${answer}}`,
    answer.replaceAll('\\frac', '\\dfrac'),
    answer.replace(/\\d?frac\{([0-9]+)\}\{([0-9]+)\}/g, '($1/$2)'),
  ];
  if (isInteger(answer)) {
    others.push(`${answer}.0`, `${answer}.`, `x = ${answer}`, `${answer}/1`, `${answer} units`, `$${answer}`);
    others.push(answer.replace(/\B(?=(?:[0-9]{3})+$)/g, ','));
  }
  return others;
}

/** Near misses, several answers at once, and text around the answer. */
function rejected({ answer }: SuiteQuestion): string[] {
  const wrong = [
    `2(${answer})`,
    `${answer} + 1`,
    `The answer is ${answer}`,
    `${answer} or ${answer}`,
    `${answer}, 123457`,
    `\\{${answer}, 123457\\}`,
    `${answer} = 123457`,
    `\\boxed{${answer}} \\boxed{${answer}}`,
    `${answer} (A)`,
    `${answer}!!`,
    `\\text{${answer}`,
    `print(${answer})`,
  ];
  if (isInteger(answer) && answer !== '0') {
    wrong.push(
      `-${answer}`,
      `${BigInt(answer) + 1n}`,
      `${answer}0`,
      `${answer}.1`,
      `${answer} ${answer.at(-1)}`,
      `${answer} + 0`,
      `1*${answer}`,
      `${answer}!/${BigInt(answer) - 1n}!`,
      `\\sqrt{${BigInt(answer) ** 2n}}`,
    );
    wrong.push(`${answer}.0000000000000001`, `0x${BigInt(answer).toString(16)}x`, `${answer}\\%\\%`);
  }
  return wrong;
}

function trial(
  t: ExecutionContext,
  name: string,
  questions: readonly SuiteQuestion[],
  extra: Partial<VerifierCase> = {},
) {
  checkVerifier(t, { task: taskNamed(name), questions, accepted, rejected, ...extra });
}

for (const { name } of mathTasks) {
  test(`${name}: right answers are accepted in any notation, others rejected`, (t) => {
    trial(t, name, fixture.questions[name]!);
  });
}

test('every published MATH question passes the same trials', (t) => {
  if (sharedData === null) {
    t.log('skipped: ../shared/data is absent');
    t.pass();
    return;
  }
  for (const name of ['math_geometry', 'math_counting_and_probability']) {
    const questions = publishedMath(name);
    t.is(new Set(questions.map(({ id }) => id)).size, 150);
    trial(t, name, questions, {
      manyRightAnswers:
        'a unit or a degree sign may be left out, so 60 and 60^\\circ are right for the same questions',
    });
  }
  t.deepEqual(fixture, mathFixture(), 'the fixture is what its script writes');
});

test('a record without a problem, or whose solution boxes nothing, is an error that names it', (t) => {
  const record = (problem: object) => ({ id: 'MATH/1.json', files: { '1.json': JSON.stringify(problem) } });
  t.throws(() => mathQuestion('math_geometry', { id: 'MATH/1.json', files: {} }), {
    message: /MATH\/1\.json/,
  });
  t.throws(() => mathQuestion('math_geometry', record({ problem: 'p', solution: 'no box' })), {
    message: /MATH\/1\.json: expected a \\boxed/,
  });
});

const duckRecord: GsmRecord = {
  question:
    'A farm has 48 ducks. Each lays 3 eggs. Half of the eggs are sold in boxes of 6. How many boxes are sold?',
  answer:
    'There are 48*3=<<48*3=144>>144 eggs.\nHalf is 144/2=<<144/2=72>>72.\nThat is 72/6=<<72/6=12>>12 boxes.\n#### 12',
};

test('a number is replaced only where the flow of the solution is known', (t) => {
  const places = replaceableNumbers(duckRecord);
  t.deepEqual(
    places.map(({ value }) => value),
    [48, 3, 6],
  );
  const [ducks] = places;
  t.is(answerWith(ducks!, 48), undefined, 'the same answer is no variation');
  t.is(answerWith(ducks!, 96), 24n);
  t.is(answerWith(ducks!, 4_000), 1_000n);
  t.is(answerWith(ducks!, 4_001), undefined, 'a whole quotient must stay whole');
  t.true(questionWith(ducks!, 4_000).startsWith('A farm has 4000 ducks.'));

  const changed = (question: string, answer: string) =>
    replaceableNumbers({ question, answer }).map(({ value }) => value);
  const { question, answer } = duckRecord;
  t.deepEqual(
    changed(question.replace('Each', 'All 48 are well. Each'), answer),
    [3, 6],
    'twice in the question',
  );
  t.deepEqual(
    changed(question, answer.replace('72/6=<<', '48 is not 49; 72/6=<<')),
    [3, 6],
    'twice in the prose',
  );
  t.deepEqual(changed(question.replace('48', 'forty-eight (48)'), answer), [3, 6], 'also in words');
  t.deepEqual(changed(question.replace('48 ducks', '48% ducks'), answer), [3, 6], 'a percentage');
  t.deepEqual(
    changed(question.replace('Each lays 3 eggs', 'It has 144 stalls, each duck lays 3 eggs'), answer),
    [6],
    'an operand that could be two things',
  );
  t.deepEqual(changed(question.replace('Half', 'Some'), answer), [], 'an operand that nothing names');
  t.deepEqual(changed(question, answer.replace('144/2=72', '144/2=71')), [], 'an annotation that is wrong');
  t.deepEqual(changed(question, answer.replace('#### 12', '#### 13')), [], 'another final answer');
  t.deepEqual(changed(question, answer.replace('72/6=12', '72/6=')), [], 'an annotation without result');
  t.deepEqual(changed(question, '#### 12'), []);
});

test('variations keep shares below one, signs and whole numbers', (t) => {
  const record: GsmRecord = {
    question: 'Ann has 20 pens and 35 books. She gives away 5 pens. How many more books than pens has she?',
    answer: 'She keeps 20-5=<<20-5=15>>15 pens.\nShe has 35-15=<<35-15=20>>20 more books.\n#### 20',
  };
  const places = new Map(replaceableNumbers(record).map((place) => [place.value, place]));
  t.deepEqual([...places.keys()], [35, 5]); // 20 is a result, too
  t.is(answerWith(places.get(35)!, 5_000), 4_985n);
  t.is(answerWith(places.get(35)!, 15), undefined, 'more must stay more');
  t.is(answerWith(places.get(35)!, 14), undefined);
  t.is(answerWith(places.get(5)!, 21), undefined, 'not more than there are');
  t.is(answerWith(places.get(5)!, 19), 34n);
  const share: GsmRecord = {
    question: 'Of 80 pupils 20 swim. What percentage swims?',
    answer: 'It is 20/80*100=<<20/80*100=25>>25%.\n#### 25',
  };
  const [, swimmers] = replaceableNumbers(share);
  t.is(answerWith(swimmers!, 40), 50n);
  t.is(answerWith(swimmers!, 160), undefined, 'a part must stay a part');
});

test('generated gsm questions are reproducible, different, and right by their own solution', (t) => {
  const records = sharedData === null ? fixture.records : gsmRecords().slice(0, 400);
  if (sharedData === null) t.log('skipped: all but the fixture, ../shared/data is absent');
  t.is(gsmTask().generate, undefined);
  const task = gsmTask(records);
  const drawn = new Map<string, string>();
  let unsuitable = 0;
  for (let i = 0; i < 600; i++) {
    const draw = task.generate!(createRandom(9, [i]));
    t.deepEqual(draw, task.generate!(createRandom(9, [i])));
    if (draw === undefined) unsuitable += 1;
    else drawn.set(draw.content, draw.answer);
  }
  for (const [content, answer] of drawn) {
    // The original with its number put back gives the published answer: found by the text around the number.
    const record = records.find(({ question }) => sameBut(question.trim(), content));
    t.truthy(record, content);
    t.not(answer, record!.answer.split('####')[1]!.trim());
    t.regex(content, /[0-9]{4}|[0-9],[0-9]{3}/);
    t.true(task.verify({ id: '', prompt: '', answer, meta: {} }, `${answer}.00`).correct);
  }
  t.log(
    `${drawn.size} different questions of ${records.length} records in 600 draws, ${unsuitable} draws unsuitable`,
  );
  t.true(drawn.size > 300);
  const questions = gsmQuestions(records, 50, 4);
  t.deepEqual(questions, gsmQuestions(records, 50, 4));
  t.is(new Set(questions.map(({ id }) => id)).size, questions.length);
  checkVerifier(t, { task, questions, accepted, rejected });
  t.is(gsmVariations([])(createRandom(1)), undefined);
});

/** Whether two texts differ in one number only. */
function sameBut(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => text.split(/([0-9][0-9,]*(?:\.[0-9]+)?)/));
  return left!.length === right!.length && left!.filter((part, i) => part !== right![i]).length === 1;
}
