/**
 * CSV files and the loaders of published sets: layouts, repeated and contradictory rows, options, errors with file and line.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parseConfig } from '../lib/run/yaml.ts';
import { answerModes } from '../lib/tasks/answer.ts';
import { loadCsvTask, parseCsv, readCsv } from '../lib/tasks/csv.ts';
import { DataError, loadJsonlTask } from '../lib/tasks/jsonl.ts';
import { loadAime, loadDapoMath, loadGpqa, loadMath, verifyLetter } from '../lib/tasks/math/datasets.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { type FixedTask, questions } from '../lib/tasks/task.ts';
import { planQuestions } from '../lib/train/questions.ts';
import { sharedPath } from './support/shared.ts';

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/datasets/${name}`, import.meta.url));

async function withFile(name: string, content: string, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'toolgrad-datasets-'));
  try {
    const path = join(folder, name);
    await writeFile(path, content);
    await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const right = (task: FixedTask, split: 'train' | 'heldout', at: number, answer: string | null) =>
  task.verify(task.items(split)[at]!, answer).correct;

test('CSV is read by RFC 4180', (t) => {
  const fields = (text: string) => parseCsv(text, 'x.csv').map((record) => record.fields);
  t.deepEqual(fields('a,b\n1,2\n'), [
    ['a', 'b'],
    ['1', '2'],
  ]);
  t.deepEqual(fields('a,b\r\n1,2'), [
    ['a', 'b'],
    ['1', '2'],
  ]);
  t.deepEqual(fields('\ufeffa,b'), [['a', 'b']]);
  t.deepEqual(fields('"a ""quoted"" one", b '), [['a "quoted" one', ' b ']]);
  t.deepEqual(fields('"a,\nb\r\nc",2\n3,4'), [
    ['a,\nb\r\nc', '2'],
    ['3', '4'],
  ]);
  t.deepEqual(fields('"","",\n'), [['', '', '']]);
  t.deepEqual(fields(',\n,'), [
    ['', ''],
    ['', ''],
  ]);
  t.deepEqual(fields('a,b,'), [['a', 'b', '']]);
  t.deepEqual(fields('\n\na\n\n\nb\n\n'), [['a'], ['b']]);
  t.deepEqual(fields(''), []);
  t.deepEqual(
    parseCsv('a\n"x\ny"\n\nb\n', 'x.csv').map(({ line }) => line),
    [1, 2, 5],
  );
  const errors: [string, RegExp][] = [
    ['a,b\n1,"2', /^x\.csv:2: expected a closing quote/],
    ['a\n"x\ny"z\n', /^x\.csv:3: expected a comma or the end of the line behind a field, found "z\\n"/],
    ['a\nb"c\n', /^x\.csv:2: expected quotes around the whole field/],
    ['a\rb\n', /^x\.csv:1: expected a comma or the end of the line/],
  ];
  for (const [text, message] of errors)
    t.throws(() => fields(text), { instanceOf: DataError, message }, text);
});

test('random fields survive being written as CSV and read again', (t) => {
  const random = createRandom(31);
  for (let round = 0; round < 200; round++) {
    const width = random.integer(2, 5);
    const rows = Array.from({ length: random.integer(1, 6) }, () =>
      Array.from({ length: width }, () =>
        Array.from({ length: random.integer(0, 8) }, () =>
          random.choice(['a', ',', '"', '\n', '\r\n', ' ', 'é']),
        ).join(''),
      ),
    );
    const written = rows.map((row) =>
      row.map((field) =>
        /[",\r\n]/.test(field) || random.integer(0, 3) === 0 ? `"${field.replaceAll('"', '""')}"` : field,
      ),
    );
    const text = written.map((row) => row.join(',')).join(random.choice(['\n', '\r\n']));
    t.deepEqual(
      parseCsv(text, 'x.csv').map((record) => record.fields),
      rows,
    );
  }
});

test('own questions in a CSV file are a task like those in JSONL', async (t) => {
  const csv = 'id,question,answer,topic\nq1,"What is 2, plus 3?",5,sums\nq2,"Simplify\n2/4",1/2,fractions\n';
  await withFile('mine.csv', csv, async (path) => {
    const task = await loadCsvTask(path, { split: 'heldout', answers: 'math' });
    t.is(task.name, 'mine');
    t.deepEqual(
      task.items('heldout').map(({ id, prompt, answer, meta }) => ({ id, prompt, answer, meta })),
      [
        { id: 'mine-q1', prompt: 'What is 2, plus 3?', answer: '5', meta: { topic: 'sums' } },
        { id: 'mine-q2', prompt: 'Simplify\n2/4', answer: '1/2', meta: { topic: 'fractions' } },
      ],
    );
    t.true(right(task, 'heldout', 1, '\\frac12'));
    t.false(right(task, 'heldout', 0, '2+3'));
    await withFile(
      'mine.jsonl',
      '{"id": "q1", "question": "What is 2, plus 3?", "answer": "5", "topic": "sums"}\n',
      async (other) => {
        const jsonl = await loadJsonlTask(other, { split: 'heldout' });
        t.deepEqual(
          jsonl.items('heldout')[0],
          (await loadCsvTask(path, { split: 'heldout', limit: 1 })).items('heldout')[0],
        );
      },
    );
  });
  const table: [string, RegExp][] = [
    ['question,answer\nonly one\n', /x\.csv:2: expected 2 fields as in the header, found 1/],
    ['question,answer\n', /x\.csv: has no rows/],
    ['', /x\.csv: has no rows/],
    ['question,question\na,b\n', /x\.csv:1: two columns are called "question"/],
    ['question,\na,b\n', /x\.csv:1: expected a name for column 2/],
    ['text,answer\na,b\n', /x\.csv:2: expected exactly one of the fields question/],
    ['question,answer\n"a\nb",1\n,2\n', /x\.csv:4: expected question to be a non-empty text/],
  ];
  for (const [content, message] of table) {
    await withFile('x.csv', content, async (path) => {
      await t.throwsAsync(loadCsvTask(path), { instanceOf: DataError, message }, content);
    });
  }
  await withFile('x.csv', 'question,answer\na,1\n', async (path) => {
    await t.throwsAsync(loadCsvTask(path, { answers: 'maths' as 'math' }), {
      message: /^loadCsvTask: expected answers to be/,
    });
  });
  await t.throwsAsync(readCsv('/nowhere/x.csv'), { instanceOf: DataError, message: /cannot be read/ });
});

test("a run's files are compared as its config says", async (t) => {
  const verdicts: Record<string, readonly [answer: string, right: boolean][]> = {
    auto: [
      ['\\frac12', false],
      ['1/2', true],
      ['0.5', true],
    ],
    number: [
      ['1/2', true],
      ['0.5', true],
      ['one half', false],
    ],
    math: [
      ['\\frac{2}{4}', true],
      ['\\frac12', true],
      ['0.5', true],
    ],
    text: [
      ['1/2 ', true],
      ['0.5', false],
    ],
    strict_box: [
      ['1/2', true],
      ['1/2 ', false],
      ['0.5', false],
    ],
  };
  const csv = 'question,answer\nWhat is half of one?,1/2\n';
  await withFile('half.csv', csv, async (path) => {
    for (const mode of answerModes) {
      const config = parseConfig('run: never', 'test', [
        `tasks.heldout=${path}`,
        `tasks.answers=${mode}`,
        'eval.questions=1',
        'rl.steps=0',
        'model.path=nowhere',
      ]);
      const { tasks, heldout } = await planQuestions(config);
      for (const [answer, expected] of verdicts[mode]!) {
        t.is(tasks.get('heldout')!.verify(heldout[0]!, answer).correct, expected, `${mode}: ${answer}`);
      }
    }
  });
});

test('AIME is loaded by path, all of it held out', async (t) => {
  const folder = sharedPath(t, 'data/aime');
  if (folder !== undefined) {
    for (const year of ['24', '25']) {
      const task = await loadAime(join(folder, `aime${year}.jsonl`), { name: `aime${year}` });
      t.is(task.items('heldout').length, 30);
      t.is(task.items('train').length, 0);
      for (const question of task.items('heldout')) {
        const value = Number(question.answer);
        for (const answer of [
          String(value),
          String(value).padStart(3, '0'),
          `\\boxed{${value}}`,
          `${value}.0`,
        ]) {
          t.true(task.verify(question, answer).correct, answer);
        }
        for (const answer of [String(value + 1), `${value} or ${value + 1}`, `${value}+0`, '', null]) {
          t.false(task.verify(question, answer).correct, String(answer));
        }
      }
      t.is(questions(task, 'heldout', 30, 1).length, 30);
      t.log(task.description);
    }
  }
  await withFile('aime.jsonl', '{"problem": "p", "answer": "1000"}\n', async (path) => {
    await t.throwsAsync(loadAime(path), {
      message: /aime\.jsonl:1: expected an integer from 0 to 999, found "1000"/,
    });
  });
  await withFile('aime.jsonl', '{"problem": "p", "answer": 33}\n', async (path) => {
    const strict = await loadAime(path, { strictBox: true });
    t.true(right(strict, 'heldout', 0, 'so it is $\\boxed{033}$.'));
    t.false(right(strict, 'heldout', 0, '33'));
    const verl = await loadAime(path, { strictBox: 'verl' });
    t.true(right(verl, 'heldout', 0, 'so it is $\\boxed{33}$.'));
    t.false(right(verl, 'heldout', 0, '\\boxed{033}'));
    const content = await loadAime(path, { strictBox: 'verl-content' });
    t.true(right(content, 'heldout', 0, '33'));
    t.false(right(content, 'heldout', 0, ' 33'));
    await t.throwsAsync(loadAime(path, { limit: 0 }), { instanceOf: RangeError });
    await t.throwsAsync(loadAime(path, { split: 'test' as 'train' }), { instanceOf: TypeError });
  });
});

test('DAPO-Math-17k rows lose their frame; repeated ones are kept once, contradictory ones not at all', async (t) => {
  const task = await loadDapoMath(fixture('dapo-math.jsonl'));
  const items = task.items('train');
  t.is(task.name, 'dapo-math');
  t.deepEqual(
    items.map(({ answer }) => answer),
    ['39', '-4', '7', '14'],
  );
  t.is(items[1]!.prompt, 'The sum of three consecutive integers is $-9$. Compute the smallest one.');
  t.deepEqual(items[1]!.meta, { index: '1c21' });
  t.is(items[3]!.prompt, 'How many integers from 1 to 100 are divisible by 7?');
  t.is(
    task.description,
    '4 questions of dapo-math.jsonl, without 1 repeated rows and 1 questions with two answers',
  );
  t.true(right(task, 'train', 1, '$-4$'));
  t.false(right(task, 'train', 1, '4'));
  t.is((await loadDapoMath(fixture('dapo-math.jsonl'), { limit: 2 })).items('train').length, 2);
  t.is((await loadDapoMath(fixture('dapo-math.jsonl'), { split: 'heldout' })).items('heldout').length, 4);
  const message = (prompt: unknown, truth: unknown) =>
    `${JSON.stringify({ prompt, reward_model: { ground_truth: truth } })}\n`;
  const table: [string, RegExp][] = [
    [message('p', '1'), /x\.jsonl:1: expected prompt to be a list of one message, found "p"/],
    [message([], '1'), /x\.jsonl:1: expected prompt to be a list of one message/],
    [message([{ role: 'system', content: 'p' }], '1'), /x\.jsonl:1: expected a message of the user/],
    [message([null], '1'), /x\.jsonl:1: expected a message of the user/],
    [
      message([{ role: 'user', content: 'p' }], 1),
      /x\.jsonl:1: expected a text in reward_model\.ground_truth/,
    ],
    [
      '{"prompt": [{"role": "user", "content": "p"}]}\n',
      /x\.jsonl:1: expected a text in reward_model\.ground_truth/,
    ],
  ];
  for (const [content, expected] of table) {
    await withFile('x.jsonl', content, async (path) => {
      await t.throwsAsync(loadDapoMath(path), { instanceOf: DataError, message: expected });
    });
  }
});

test('MATH is read in both published layouts', async (t) => {
  const task = await loadMath(fixture('math.jsonl'), { split: 'train' });
  t.deepEqual(
    task.items('train').map(({ answer }) => answer),
    ['\\frac{5}{6}', '8\\sqrt{2}', '(-2,2)'],
  );
  t.deepEqual(task.items('train')[0]!.meta, { level: 'Level 1', type: 'Prealgebra' });
  t.true(right(task, 'train', 0, '10/12'));
  t.false(right(task, 'train', 0, '\\frac{1}{2}+\\frac{1}{3}'));
  t.true(right(task, 'train', 1, '8*sqrt(2)'));
  t.false(right(task, 'train', 1, '\\sqrt{50}+\\sqrt{18}'));
  t.true(right(task, 'train', 2, '-2 < x < 2'));
  t.false(right(task, 'train', 2, '[-2,2]'));
  const small = await loadMath(fixture('math-500.jsonl'), { split: 'heldout', name: 'math-500' });
  t.deepEqual(small.items('heldout')[1]!.meta, {
    subject: 'Prealgebra',
    level: 1,
    unique_id: 'test/prealgebra/2.json',
  });
  t.true(right(small, 'heldout', 0, '(2, pi/2)'));
  t.true(right(small, 'heldout', 1, 'Ben'));
  t.false(right(small, 'heldout', 1, 'Ann and Ben'));
  await withFile('x.jsonl', '{"problem": "p", "solution": "no box"}\n', async (path) => {
    await t.throwsAsync(loadMath(path), {
      message: /x\.jsonl:1: expected a \\boxed\{\.\.\.\} that is closed/,
    });
  });
});

test('GPQA options are shuffled by the seed and the question, and answered by a letter', async (t) => {
  const task = await loadGpqa(fixture('gpqa-diamond.csv'));
  const items = task.items('heldout');
  t.is(items.length, 3);
  t.is(items[0]!.id, 'gpqa-diamond-recA1');
  t.deepEqual(items[1]!.meta, { Subdomain: 'Inorganic Chemistry', 'High-level domain': 'Chemistry' });
  const correct = ['It increases.', 'HClO4', 'Helicase'];
  for (const [i, { prompt, answer }] of items.entries()) {
    t.true(prompt.includes(`(${answer}) ${correct[i]}\n`), prompt);
    t.is([...prompt.matchAll(/^\([ABCD]\) /gm)].length, 4);
  }
  t.true(
    items[0]!.prompt.startsWith('A gas expands freely into a vacuum, thermally isolated.\nWhat happens'),
  );
  t.deepEqual((await loadGpqa(fixture('gpqa-diamond.csv'))).items('heldout'), items);
  const orders = await Promise.all(
    Array.from({ length: 40 }, async (_, seed) =>
      (await loadGpqa(fixture('gpqa-diamond.csv'), { seed }))
        .items('heldout')
        .map(({ answer }) => answer)
        .join(''),
    ),
  );
  for (let i = 0; i < 3; i++) t.is(new Set(orders.map((order) => order[i])).size, 4, 'every letter occurs');
  for (const { answer } of items) {
    for (const form of [
      answer,
      answer.toLowerCase(),
      `(${answer})`,
      `${answer}.`,
      `${answer})`,
      `\\boxed{${answer}}`,
      `$\\text{${answer}}$`,
    ]) {
      t.true(verifyLetter(answer, form).correct, form);
    }
    const other = answer === 'A' ? 'B' : 'A';
    for (const form of [
      other,
      `${answer}${other}`,
      `${answer} or ${other}`,
      'A B C D',
      '(A)(B)(C)(D)',
      '',
      'E',
      `not ${answer}`,
      `${answer} ${answer}`,
      null,
    ]) {
      t.false(verifyLetter(answer, form).correct, String(form));
    }
  }
  const columns = 'Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3';
  const table: [string, RegExp][] = [
    [`${columns}\nq,a,b,c,\n`, /x\.csv:2: expected a text in Incorrect Answer 3/],
    [`${columns}\nq,a,b,c,a\n`, /x\.csv:2: expected four different options/],
    ['Question,Correct Answer\nq,a\n', /x\.csv:2: expected a text in Incorrect Answer 1, found undefined/],
    [
      `Record ID,${columns}\nr,q,a,b,c,d\nr,p,a,b,c,d\n`,
      /x\.csv:3: duplicate id "r", already used in line 2/,
    ],
  ];
  for (const [content, message] of table) {
    await withFile('x.csv', content, async (path) => {
      await t.throwsAsync(loadGpqa(path), { instanceOf: DataError, message });
    });
  }
});
