/**
 * The SymBench tasks with one right answer: verifiers put through the trials of every suite, questions against the rules they
 * state, and the loose ends of the published checkers that are tied here.
 */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { createRandom } from '../lib/tasks/random.ts';
import { listOf, readList, type WrittenList } from '../lib/tasks/suites/lists.ts';
import type { SuiteQuestion } from '../lib/tasks/suites/suite.ts';
import { compareDecimal } from '../lib/tasks/suites/symbench/decimals.ts';
import { exactTasks } from '../lib/tasks/suites/symbench/exact-tasks.ts';
import { exactFixtures, type SuiteFixture, symbenchRecords } from '../scripts/questions/exact-fixtures.ts';
import { exactSources } from '../scripts/questions/symbench/exact-sources.ts';
import { symbenchQuestion, symbenchQuestions } from '../scripts/questions/symbench/records.ts';
import { checkVerifier, sharedData, type VerifierCase } from './support/suites.ts';

const fixture = JSON.parse(
  readFileSync(new URL('fixtures/suites/symbench-exact.json', import.meta.url), 'utf8'),
) as SuiteFixture;

const taskNamed = (name: string) => exactTasks.find((task) => task.name === name)!;
const sourceNamed = (name: string) => exactSources.find(({ task }) => task === name)!;

/** The first two questions of the fixture's task; enough to show a rule on. */
function sample(name: string): { right: (answer: string) => boolean; answers: string[] } {
  const [question] = fixture.questions[name]!;
  return {
    answers: fixture.questions[name]!.map(({ answer }) => answer),
    right: (answer) => taskNamed(name).verify({ meta: {}, ...question! }, answer).correct,
  };
}

/** Verdict on an answer to a made-up question. */
function verdict(
  name: string,
  expected: string,
  answer: string,
  meta: Record<string, unknown> = {},
): boolean {
  return taskNamed(name).verify({ id: name, prompt: '', answer: expected, meta }, answer).correct;
}

type Trial = Pick<VerifierCase, 'accepted' | 'rejected'>;

const itemsOf = ({ answer }: SuiteQuestion): readonly string[] => readList(answer, 10_000)!.items;

function rowsOf(question: SuiteQuestion): string[][] {
  const items = itemsOf(question);
  const columns = question.meta!.columns as number;
  return Array.from({ length: items.length / columns }, (_, row) =>
    items.slice(row * columns, (row + 1) * columns),
  );
}

/** Lists with two unequal items swapped, one item changed, one missing, one too many, and the list twice. */
function wrongLists(items: readonly string[]): string[] {
  const other = items.findIndex((item) => item !== items[0]);
  const swapped = [...items];
  if (other > 0) [swapped[0], swapped[other]] = [items[other]!, items[0]!];
  const changed = [...items.slice(0, -1), items.at(-1) === '7' ? '8' : '7'];
  return [
    ...(other > 0 ? [swapped.join(', ')] : []),
    changed.join(', '),
    `[${changed.join(' ')}]`,
    items.slice(1).join(', '),
    items.slice(0, -1).join(', '),
    [...items, '0'].join(', '),
    [...items, ...items].join(', '),
    `${items.join(', ')} or ${changed.join(', ')}`,
    `[${items.join(', ')}], [${changed.join(', ')}]`,
    `The answer is ${items.join(', ')}`,
    `${items.join(', ')},`,
    items.join(',,'),
    items.join(';'),
    `[${items.join(', ')}`,
    `[${items.join(', ')})`,
    `[[${items.join(', ')}]`,
    `x${items.join(', ')}`,
  ];
}

const listTrial: Trial = {
  accepted: (question) => {
    const items = itemsOf(question);
    return [
      items.join(','),
      items.join(' '),
      items.join('\n'),
      ` ( ${items.join(' , ')} )\n`,
      JSON.stringify(items),
      `[${items.map((item) => `'${item}'`).join(' ')}]`,
      `"${items.join(', ')}"`,
    ];
  },
  rejected: (question) => wrongLists(itemsOf(question)),
};

const matrixTrial: Trial = {
  accepted: (question) => {
    const rows = rowsOf(question);
    return [
      ...listTrial.accepted(question),
      JSON.stringify(rows),
      rows.map((row) => row.join(' ')).join('\n'),
      `[${rows.map((row) => `[${row.join(' ')}]`).join('\n ')}]`,
      rows.map((row) => `(${row.join(', ')})`).join(', '),
    ];
  },
  rejected: (question) => {
    const rows = rowsOf(question);
    const items = itemsOf(question);
    return [
      ...listTrial.rejected(question),
      `[[${items.join(', ')}]]`,
      `[${items.map((item) => `[${item}]`).join(', ')}]`,
      `[${rows.map((row) => `[[${row.join(', ')}]]`).join(', ')}]`,
      JSON.stringify([items.slice(0, 1), items.slice(1)]),
    ];
  },
};

const numberTrial: Trial = {
  accepted: ({ answer }) => [
    `[${answer}]`,
    `"${answer}"`,
    `\n${answer} `,
    answer.includes('.') ? answer : answer.replace(/\B(?=(?:[0-9]{3})+$)/g, ','),
  ],
  rejected: ({ answer }) => [
    String(-Number(answer) - 1),
    `9${answer}`,
    `0${answer}`,
    `+${answer}`,
    `${answer}, ${Number(answer) + 1}`,
    `[${answer}, ${answer}]`,
    `x = ${answer}`,
    `${answer}%`,
    `$${answer}`,
    `${answer} units`,
    `1${answer}/1`,
  ],
};

const stringTrial: Trial = {
  accepted: ({ answer }) => [`"${answer}"`, `'${answer}'`, ` \n${answer}\t`],
  rejected: ({ answer }) => [
    [...answer].reverse().join('') === answer ? `${answer}a` : [...answer].reverse().join(''),
    answer.slice(1),
    `${answer}${answer.at(-1)}`,
    [...answer].join(' '),
    [...answer].join(','),
    answer === answer.toUpperCase() ? answer.toLowerCase() : answer.toUpperCase(),
    `"${answer}'`,
    `""${answer}""`,
    `["${answer}"]`,
  ],
};

const lettersTrial: Trial = {
  accepted: ({ answer }) => {
    const [, count = '', list = ''] = /^Count: ([0-9]+), Positions: \[(.*)\]$/.exec(answer)!;
    return [
      answer.toLowerCase(),
      `Count: ${count}\nPositions: [${list}]`,
      `count=${count}; positions=${list.replaceAll(', ', ' ')}`,
      `{"Count": ${count}, "Positions": [${list}]}`,
      `Count: ${count}, Positions: [${list.split(', ').reverse().join(', ')}]`,
    ];
  },
  rejected: ({ answer }) => {
    const [, count = '', list = ''] = /^Count: ([0-9]+), Positions: \[(.*)\]$/.exec(answer)!;
    const positions = list.split(', ');
    const repeated = [...positions.slice(1), positions.at(-1)!];
    const shifted = positions.map((position) => Number(position) - 1);
    return [
      count,
      `[${list}]`,
      `Count: ${count}`,
      `Count: ${Number(count) + 1}, Positions: [${list}]`,
      `Count: ${count}, Positions: [${shifted.join(', ')}]`,
      `Count: ${count}, Positions: [${positions.slice(1).join(', ')}]`,
      `Count: ${count}, Positions: [${list}, ${positions[0]}]`,
      ...(positions.length > 1 ? [`Count: ${count}, Positions: [${repeated.join(', ')}]`] : []),
      `Count: ${count}, Positions: [${list}, 1000]`,
      `Count: ${count}, Positions: [${list}] or [${shifted.join(', ')}]`,
      `{"Count": ${count}, "Positions": [${list}]`,
      `${count}, [${list}]`,
    ];
  },
};

const trials: Readonly<Record<string, Trial>> = {
  pooling: matrixTrial,
  light_puzzles: {
    accepted: (question) => {
      const rows = rowsOf(question).map((row) => row.join(''));
      return [...matrixTrial.accepted(question), rows.join('\n'), JSON.stringify(rows), rows.join('')];
    },
    rejected: (question) => {
      const rows = rowsOf(question).map((row) => row.join(''));
      const flipped = [rows[0]!.replace(/^./, (cell) => String(1 - Number(cell))), ...rows.slice(1)];
      return [
        ...matrixTrial.rejected(question),
        flipped.join('\n'),
        rows.slice(1).join('\n'),
        rows.map((row) => `[${row}]`).join(', '),
        `${rows.join('')}0`,
        `${rows.join('').slice(0, 3)} ${rows.join('').slice(3)}`,
      ];
    },
  },
  matrix_transformation: matrixTrial,
  '2048': matrixTrial,
  string_synthesis: listTrial,
  string_splitting: listTrial,
  synthesis_decomposition: listTrial,
  mahjong_pattern: numberTrial,
  statistical_counting: numberTrial,
  number_multiply: numberTrial,
  new_operator: numberTrial,
  string_insertion: stringTrial,
  string_deletion_and_modification: stringTrial,
  pattern_recognition: listTrial,
  letters: lettersTrial,
};

/** Puts the verifier of a source's task through its trials. */
function tryTask(t: ExecutionContext, name: string, questions: readonly SuiteQuestion[]): void {
  checkVerifier(t, { task: taskNamed(name), questions, ...trials[name]! });
}

/** About `count` questions, evenly spread. */
function spread(questions: readonly SuiteQuestion[], count: number): SuiteQuestion[] {
  const step = Math.max(1, Math.floor(questions.length / count));
  return questions.filter((_, i) => i % step === 0).slice(0, count);
}

function absent(t: ExecutionContext): boolean {
  if (sharedData !== null) return false;
  t.log('skipped: ../shared/data is absent');
  t.pass();
  return true;
}

test('there are fifteen tasks with one right answer, each with a source of questions and a fixture', (t) => {
  const names = exactTasks.map(({ name }) => name).sort();
  t.is(new Set(names).size, 15);
  t.deepEqual(exactSources.map(({ task }) => task).sort(), names);
  t.deepEqual(Object.keys(fixture.questions).sort(), names);
  t.deepEqual(Object.keys(trials).sort(), names);
});

for (const { name } of exactTasks) {
  test(`${name}: the verifier passes its trials on the questions of the fixture`, (t) => {
    tryTask(t, name, fixture.questions[name]!);
  });

  test(`${name}: the verifier passes its trials on published questions`, (t) => {
    if (absent(t)) return;
    const source = sourceNamed(name);
    tryTask(t, name, spread(symbenchQuestions(source, symbenchRecords(source)), 30));
  });
}

test('the fixture is what its script makes of the published questions', (t) => {
  if (absent(t)) return;
  t.deepEqual(fixture, JSON.parse(JSON.stringify(exactFixtures()['symbench-exact.json'])));
});

test('every published question verifies its own answer, which follows from the rules it states', (t) => {
  if (absent(t)) return;
  const contradicted: Record<string, string[]> = {};
  for (const source of exactSources) {
    const task = taskNamed(source.task);
    const records = symbenchRecords(source);
    let questions = 0;
    for (const record of records) {
      const reading = source.read(record);
      const made = symbenchQuestion(source, record);
      if (reading === null || made === null) continue;
      const question = { ...made, meta: made.meta! };
      questions += 1;
      t.deepEqual(Object.keys(question.meta).sort(), [...task.metaKeys].sort(), record.id);
      t.true(task.verify(question, question.answer).correct, `${record.id}: ${question.answer}`);
      if (task.verify(question, reading.published).correct) continue;
      contradicted[source.task] = [...(contradicted[source.task] ?? []), record.id];
    }
    const different = symbenchQuestions(source, records).length;
    t.log(`${source.task}: ${records.length} records, ${questions} questions, ${different} different`);
  }
  // Stored answers that the rules of the question contradict: the rules hold.
  t.deepEqual(
    contradicted.mahjong_pattern?.map((id) => id.replace(/^.*_/, '')).sort(),
    ['125', '156', '2', '23', '38', '6', '70'],
    'a chi is overlooked where the hand has two of a card in it, and found where the question knows none',
  );
  t.is(contradicted.new_operator?.length, 55, 'of (3~4)&5@6 only one operation was evaluated');
  t.deepEqual(Object.keys(contradicted).sort(), ['mahjong_pattern', 'new_operator']);
});

test('questions with the same operands have the same id, whatever their wording', (t) => {
  const source = sourceNamed('string_splitting');
  const text = fixture.questions.string_splitting![0]!.prompt;
  const record = (question: string) => ({
    id: 'made up',
    files: {
      'question.txt': question,
      'solution.json': '{"expected_answer": ["0", "0", "1", "2", "0", "3"]}',
    },
  });
  const reworded = text.replace(
    /^Method 1: .*$/m,
    'Method 1: Each round, one machine A breaks down into two part X and one part Y.',
  );
  const fewer = text.replace(/there are [0-9]+ units of Machine A/, 'there are 9 units of Machine A');
  const id = (question: string) => symbenchQuestion(source, record(question))!.id;
  t.not(reworded, text);
  t.is(id(reworded), id(text));
  t.not(id(fewer), id(text));
});

test('records that are no questions are left out, and malformed ones are errors', (t) => {
  const whole = { id: 'pattern_recognition', files: { 'pattern_recognition_dataset.json': '[]' } };
  t.is(symbenchQuestion(sourceNamed('pattern_recognition'), whole), null);
  const malformed = { id: 'x', files: { 'question.txt': 'What?', 'solution.json': '{}' } };
  t.throws(() => symbenchQuestion(sourceNamed('pooling'), malformed), {
    message: /in the question, found "What\?"/,
  });
  t.throws(() => symbenchQuestion(sourceNamed('letters'), { id: '/a_1_0', files: {} }), {
    message: /a word/,
  });
});

test('counts of several digits are read as a list, not as a row of digits', (t) => {
  // The published checkers compare concatenated digits: 1, 0, 12 and 10, 1, 2 are both 1012 there.
  const twelve = '[0, 1, 0, 12, 0, 6]';
  t.true(verdict('string_splitting', twelve, '0 1 0 12 0 6'));
  for (const shifted of ['0101206', '0, 1, 0, 1, 20, 6', '0, 10, 1, 2, 0, 6', '0 1 0 1 2 0 6', '010 12 06']) {
    t.false(verdict('string_splitting', twelve, shifted), shifted);
  }
  // As many digits as counts can only be one digit each.
  t.true(verdict('string_splitting', '[0, 0, 1, 2, 0, 3]', '001203'));
  t.true(verdict('string_synthesis', '2 0 1 1 0 0 0 0 0', '"201100000"'));
  t.false(verdict('string_synthesis', '2 0 1 1 0 0 0 0 10', '2011000010'));
  t.false(verdict('string_synthesis', '2 0 1 1 0 0 0 0 0', '20110000'));
  t.false(verdict('string_synthesis', '2 0 1 1 0 0 0 0 0', '2 0 1 1 00000'));
  t.false(verdict('synthesis_decomposition', '[1, 0, 2]', '102'), 'this question asks for a list');
  t.false(
    verdict('synthesis_decomposition', '[1, 0, 2]', '1, 0, 0, 2, 0'),
    'all five goods, where three are asked for',
  );
});

test('a product must be the whole answer, not merely occur in it', (t) => {
  // The published checker looks for the target anywhere in the text.
  const { right, answers } = sample('number_multiply');
  const [product = ''] = answers;
  t.true(right(product));
  t.true(right('-171,229,311'));
  const around = [
    `1${product}`,
    `${product}0`,
    `${product.slice(1)}`,
    `5 ${product} 7`,
    `-9*43*-73*-6061=${product}`,
    `${product}.0`,
    '-171,229,31',
    '-171229,311',
  ];
  for (const answer of around) t.false(right(answer), answer);
});

test('averages are exact, or rounded to two decimals or more where they have no decimal form', (t) => {
  // The published checker reads integers only, so that no average with a fraction can be right.
  const thirds: [string, boolean][] = [
    ['3.3333333333333335', true],
    ['3.33', true],
    ['3.33333', true],
    ['10/3', true],
    ['3.3', false],
    ['3', false],
    ['3.34', false],
    ['3.32', false],
    ['3.3334', false],
    ['1/3', false],
    ['10/0', false],
  ];
  for (const [answer, correct] of thirds) {
    t.is(compareDecimal('3.3333333333333335', answer).correct, correct, answer);
  }
  t.true(compareDecimal('3.6666666666666665', '3.67').correct);
  t.false(compareDecimal('3.6666666666666665', '3.66').correct, 'cut off, not rounded');
  const quarters: [string, boolean][] = [
    ['-4.25', true],
    ['-4.2500', true],
    ['-17/4', true],
    ['-4.2500000000000001', true],
    ['-4.3', false],
    ['-4.2', false],
    ['4.25', false],
    ['-4.251', false],
    ['--4.25', false],
    ['-4.25e0', false],
    ['-04.25', false],
    ['-4,25', false],
    ['-4.', false],
    ['', false],
    ['-', false],
    ['.', false],
  ];
  for (const [answer, correct] of quarters) t.is(compareDecimal('-4.25', answer).correct, correct, answer);
  t.true(compareDecimal('0.5', '.5').correct);
  t.true(compareDecimal('1530', '1,530.0').correct);
  t.throws(() => compareDecimal('many', '1'), { instanceOf: TypeError });
  t.true(verdict('pooling', '4,1.8888888888888888,-0.5,2', '[[4.0, 1.89], [-1/2, 2]]', { columns: 2 }));
  t.false(verdict('pooling', '4,1.8888888888888888,-0.5,2', '[[4.0, 1.88], [-1/2, 2]]', { columns: 2 }));
});

test('a value among others, or in the wrong place, is no answer of new_operator or pattern_recognition', (t) => {
  // The published generator's own check takes the first number that fits; its checker of places ignores what follows two numbers.
  for (const answer of ['1 2 3 90', '90, 91', '3&4=90', '90 91'])
    t.false(verdict('new_operator', '90', answer), answer);
  for (const answer of ['[90]', '90.0', '"90"', '180/2'])
    t.true(verdict('new_operator', '90', answer), answer);
  for (const answer of ['5, 6, 7', '[5, 6], [7, 8]', '6, 5', '56', '5.0, 6', 'row 5 column 6', '[[5, 6]]']) {
    t.false(verdict('pattern_recognition', '[5, 6]', answer), answer);
  }
  for (const answer of ['5,6', '(5, 6)', '5 6', '["5", "6"]'])
    t.true(verdict('pattern_recognition', '[5, 6]', answer), answer);
});

test('lists are read as a whole or not at all', (t) => {
  const flat = (...items: string[]): WrittenList => ({ items, rows: undefined });
  const lists: [string, WrittenList | undefined][] = [
    ['1', flat('1')],
    ['1,2', flat('1', '2')],
    ['[1 ,2\n3]', flat('1', '2', '3')],
    ['"1 2"', flat('1', '2')],
    [`['a b', "c,d"]`, flat('a b', 'c,d')],
    ["you've been", flat("you've", 'been')],
    ['[[1, 2], [3]]', { items: ['1', '2', '3'], rows: [2, 1] }],
    ['[1 2]\n(3)', { items: ['1', '2', '3'], rows: [2, 1] }],
    ['[[1]]', { items: ['1'], rows: [1] }],
    ['1 2 3 4 5', undefined],
    ['', undefined],
    ['[]', undefined],
    ['[[], [1]]', undefined],
    ['1,', undefined],
    [',1', undefined],
    ['1,,2', undefined],
    ['[1', undefined],
    ['1]', undefined],
    ['[1)', undefined],
    ['[1][2]', undefined],
    ['1[2]', undefined],
    ['[1, [2]]', undefined],
    ['[1], 2', undefined],
    ['[[1]], [[2]]', undefined],
    ['[[[1]]]', undefined],
    ['"1" "2', undefined],
    ['"1"2', undefined],
    ['"", 1', undefined],
  ];
  for (const [text, expected] of lists) t.deepEqual(readList(text, 4), expected, text);
  t.true('correct' in listOf('\u0661, 2', 2), 'digits outside ASCII');
  t.true('correct' in listOf(' ', 2));
  t.true('items' in listOf('1, 2', 2));
});

test('pattern_recognition: a generated matrix has one square of three or more, found by trying all', (t) => {
  const draw = taskNamed('pattern_recognition').generate!;
  let drawn = 0;
  for (let seed = 0; seed < 300; seed++) {
    const made = draw(createRandom(seed));
    if (made === undefined) continue;
    drawn += 1;
    const matrix = made.content.split('\n').map((line) => line.split(' '));
    const found: [side: number, corner: string][] = [];
    for (let side = 3; side <= 15; side++) {
      for (let row = side - 1; row < matrix.length; row++) {
        for (let column = side - 1; column < matrix[0]!.length; column++) {
          const cells = matrix
            .slice(row - side + 1, row + 1)
            .flatMap((r) => r.slice(column - side + 1, column + 1));
          if (new Set(cells).size === 1) found.push([side, `[${row}, ${column}]`]);
        }
      }
    }
    const largest = Math.max(...found.map(([side]) => side));
    t.deepEqual(
      found.filter(([side]) => side === largest).map(([, corner]) => corner),
      [made.answer],
    );
    // All others lie within it.
    t.is(
      found.length,
      [...Array(largest - 2).keys()].reduce((sum, i) => sum + (i + 1) ** 2, 0),
    );
    t.true(made.prompts[0]!.includes(made.content));
  }
  t.log(`${drawn} matrices`);
  t.true(drawn > 250);
});

test('string_deletion_and_modification: generated answers are those of rules written a second time', (t) => {
  const first = (text: string, part: string, by: string) =>
    text.includes(part) ? text.replace(part, by) : null;
  const head = (text: string, part: string, by: string, n = part.length) =>
    text.startsWith(part) ? by + text.slice(n) : null;
  const tail = (text: string, part: string, by: string, n = part.length) =>
    text.endsWith(part) ? text.slice(0, text.length - n) + by : null;
  const rules: [start: string, (text: string) => string | null][] = [
    ["contains 'abc'", (s) => first(s, 'abc', 'cab')],
    ["contains 'acb'", (s) => first(s, 'acb', 'bca')],
    ["contains 'bca'", (s) => first(s, 'bca', '')],
    ["contains 'ca' (", (s) => (s.slice(1).includes('ca') ? s[0] + s.slice(1).replace('ca', '') : null)],
    ['contains an even', (s) => (/^[^b]*(?:b[^b]*b[^b]*)+$/.test(s) ? `${s}ab` : null)],
    ["ends with 'aa'", (s) => tail(s, 'aa', 'cc')],
    ["ends with 'ba'", (s) => tail(s, 'ba', 'ab')],
    ["ends with 'ca'", (s) => tail(s, 'ca', '', 1)],
    [
      'length is',
      (s) => (s.length > 15 ? [...s].filter((_, i) => i !== Math.floor(s.length / 2)).join('') : null),
    ],
    ["prefix is 'aa'", (s) => head(s, 'aa', '', 1)],
    ["prefix is 'ab'", (s) => head(s, 'ab', 'ca')],
    ["prefix is 'bc'", (s) => (s.startsWith('bc') ? `${s.slice(2)}aa` : null)],
    ["prefix is 'ca'", (s) => (s.startsWith('ca') ? `bb${s.slice(2)}c` : null)],
    ["prefix is 'cb'", (s) => (s.startsWith('cb') ? `aa${s.slice(2)}`.slice(0, -1) : null)],
    ["starts with 'ac'", (s) => head(s, 'ac', 'zz')],
    ["starts with 'bb'", (s) => head(s, 'bb', 'b')],
    ["starts with 'cc'", (s) => head(s, 'cc', '')],
    ["suffix is 'ac'", (s) => tail(s, 'ac', 'cb')],
    ["suffix is 'bb'", (s) => tail(s, 'bb', '')],
    ["suffix is 'cc'", (s) => (s.endsWith('cc') ? `a${s.slice(0, -2)}b` : null)],
  ];
  const draw = taskNamed('string_deletion_and_modification').generate!;
  const used = new Set<string>();
  let drawn = 0;
  for (let seed = 0; seed < 1500; seed++) {
    const made = draw(createRandom(seed));
    if (made === undefined) continue;
    drawn += 1;
    const [original, ...operations] = made.content.split('\n');
    const chosen = operations.map((operation) => {
      const rule = rules.find(([start]) => operation.startsWith(`If the string ${start}`))!;
      used.add(rule[0]);
      return rule[1];
    });
    let text = original!;
    for (let next: string | null | undefined = text; typeof next === 'string'; ) {
      text = next;
      next = chosen.map((rule) => rule(text)).find((done) => done !== null);
    }
    t.is(text, made.answer, made.content);
  }
  t.log(`${drawn} questions`);
  t.true(drawn > 150);
  t.is(used.size, rules.length);
});
