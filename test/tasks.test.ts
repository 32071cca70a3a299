/**
 * Procedural tasks: splits that never meet, questions that follow from the seed, options that are checked, and Python
 * solutions that print the answers (a real python3 runs them).
 */
import { readFile } from 'node:fs/promises';
import test from 'ava';
import { demoTask, demoTaskNames, demoTasks } from '../lib/tasks/demo.ts';
import { makeTask, tasks } from '../lib/tasks/index.ts';
import { createRandom, philox4x32 } from '../lib/tasks/random.ts';
import { type ProceduralTask, type Question, questions, type Split } from '../lib/tasks/task.ts';
import { runPython } from './support/python.ts';

const everyTask: ProceduralTask[] = [...Object.values(tasks), ...Object.values(demoTasks)];

test('Philox4x32-10 gives the published block and streams do not overlap', (t) => {
  const hex = (words: readonly number[]) => words.map((word) => word.toString(16)).join(' ');
  t.is(hex(philox4x32([0, 0, 0, 0], [0, 0])), '6627e8d5 e169c58d bc57ac4c 9b00dbd8');
  const ones = 0xffffffff;
  t.is(hex(philox4x32([ones, ones, ones, ones], [ones, ones])), '408f276d 41c83b0e a20bc7c6 6d5451fd');
  t.is(
    hex(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    'd16cfe09 94fdcceb 5001e420 24126ea1',
  );
  const first = createRandom(7, [1, 2, 3]);
  const again = createRandom(7, [1, 2, 3]);
  const other = createRandom(7, [1, 2, 4]);
  const draws = Array.from({ length: 9 }, () => first.uint32());
  t.deepEqual(
    draws,
    Array.from({ length: 9 }, () => again.uint32()),
  );
  t.notDeepEqual(
    draws,
    Array.from({ length: 9 }, () => other.uint32()),
  );
});

test('random integers stay in range, reach both ends and are evenly spread', (t) => {
  const random = createRandom(11);
  const counts = new Map<number, number>();
  for (let i = 0; i < 60_000; i++) {
    const value = random.integer(-2, 3);
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  t.deepEqual(
    [...counts.keys()].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  );
  const chiSquare = [...counts.values()].reduce((sum, n) => sum + (n - 10_000) ** 2 / 10_000, 0);
  t.log(`chi-square of 6 cells: ${chiSquare.toFixed(2)}`);
  t.true(chiSquare < 25);
  const wide = Array.from({ length: 100 }, () => random.integer(0, Number.MAX_SAFE_INTEGER - 1));
  t.true(wide.some((value) => value > 2 ** 52) && wide.every((value) => Number.isSafeInteger(value)));
  t.throws(() => random.integer(3, 2), { instanceOf: RangeError, message: /low <= high/ });
  t.throws(() => createRandom(-1), { instanceOf: RangeError });
  t.throws(() => random.choice([]), { instanceOf: RangeError });
});

test('training and held-out questions never meet, over more than 20,000 questions', (t) => {
  let total = 0;
  const place = new Map<string, Split>();
  const prompts = new Map<string, Split>();
  const tell = (question: Question, split: Split) => {
    total += 1;
    if ((place.get(question.id) ?? split) !== split) t.fail(`${question.id} is in both splits`);
    if ((prompts.get(question.prompt) ?? split) !== split) t.fail(`in both splits: ${question.prompt}`);
    place.set(question.id, split);
    prompts.set(question.prompt, split);
  };
  const small: Record<string, [number, number]> = {
    game24: [300, 80],
    roman: [1200, 300],
    primes: [600, 150],
  };
  for (const task of everyTask) {
    const [train, heldout] = small[task.name] ?? [950, 240];
    for (const [split, count] of [
      ['train', train],
      ['heldout', heldout],
    ] as const) {
      const batch = questions(task, split, count, 17);
      t.is(new Set(batch.map((question) => question.id)).size, count, `${task.name}: ids are unique`);
      for (const question of batch) tell(question, split);
    }
  }
  t.log(`${total} questions, ${place.size} different contents`);
  t.true(total > 20_000);
});

test('the split follows from the operands, not from wording, order, or the name of the task', (t) => {
  const order = (q: Question) => [...(q.meta as { numbers: number[] }).numbers].sort((a, b) => a - b).join();
  const narrow = { factor: [2, 4], cofactor: [2, 9], numbers: [2, 2], kinds: ['gcd'] } as const;
  const splits = new Map<string, { split: Split; prompts: Set<string>; ids: Set<string> }>();
  for (const split of ['train', 'heldout'] as const) {
    for (const name of ['gcd', 'another']) {
      for (let i = 0; i < 400; i++) {
        const question = makeTask('gcd', { ...narrow, name }).question(
          createRandom(i, [split === 'train' ? 0 : 1]),
          split,
        );
        const known = splits.get(order(question)) ?? { split, prompts: new Set(), ids: new Set() };
        t.is(known.split, split, question.prompt);
        known.prompts.add(question.prompt);
        known.ids.add(question.id);
        splits.set(order(question), known);
      }
    }
  }
  const groups = [...splits.values()];
  t.true(groups.every(({ ids }) => ids.size === 1));
  t.true(
    groups.some(({ prompts }) => prompts.size >= 5),
    'several wordings and both orders were drawn',
  );
  t.true(groups.some(({ split }) => split === 'heldout') && groups.some(({ split }) => split === 'train'));
});

test('commuted sums, products and lists are the same question', (t) => {
  const cases: [ProceduralTask, (meta: Record<string, unknown>) => string][] = [
    [
      makeTask('arithmetic', { digits: [1, 1], operands: [3, 3], kinds: ['product'] }),
      ({ operands }) => [...(operands as number[])].sort().join(),
    ],
    [
      makeTask('arithmetic', { digits: [1, 1], operands: [2, 2], kinds: ['sum'] }),
      ({ operands, operators }) =>
        (operators as string[])[0] === '+' ? [...(operands as number[])].sort().join() : String(operands),
    ],
    [
      makeTask('order', { value: [1, 6], length: [3, 3], kinds: ['ascending'] }),
      ({ numbers }) => [...(numbers as number[])].sort().join(),
    ],
    [makeTask('game24', { number: [1, 4] }), ({ numbers }) => [...(numbers as number[])].sort().join()],
  ];
  for (const [task, canonical] of cases) {
    const idOf = new Map<string, Set<string>>();
    const written = new Map<string, Set<string>>();
    for (let i = 0; i < 1200; i++) {
      const { id, meta } = task.question(createRandom(i), i % 2 === 0 ? 'train' : 'heldout');
      const operators = (meta?.operators as string[] | undefined)?.join('') ?? '';
      const key = `${operators} ${canonical(meta!)}`;
      idOf.set(key, (idOf.get(key) ?? new Set()).add(id));
      written.set(key, (written.get(key) ?? new Set()).add(JSON.stringify(meta)));
    }
    t.true(
      [...idOf.values()].every((ids) => ids.size === 1),
      task.name,
    );
    t.true(
      [...written.values()].some((forms) => forms.size > 1),
      `${task.name}: some were drawn in two orders`,
    );
  }
});

test('docs/tasks.md shows a true example of every task', async (t) => {
  const page = await readFile(new URL('../docs/tasks.md', import.meta.url), 'utf8');
  for (const task of everyTask) {
    const [question] = questions(task, 'train', 1, 0);
    const row = page.split('\n').find((line) => line.includes(question!.prompt)) ?? '';
    t.true(
      row.startsWith(`| \`${task.name}\` |`) && row.includes(`\`${question!.answer}\``),
      question!.prompt,
    );
  }
});

test('the same seed gives the same questions, another seed others', (t) => {
  for (const task of everyTask) {
    const first = questions(task, 'train', 12, 1);
    t.deepEqual(questions(task, 'train', 12, 1), first);
    t.deepEqual(questions(task, 'train', 5, 1), first.slice(0, 5), 'asking for fewer gives a prefix');
    t.notDeepEqual(questions(task, 'train', 12, 2), first);
    t.deepEqual(JSON.parse(JSON.stringify(first)), first, 'questions are plain JSON');
  }
  const [one] = questions(tasks.gcd, 'train', 1, 42);
  t.deepEqual(one, {
    id: 'gcd-ed4c2edc947c',
    task: 'gcd',
    prompt: 'What is the greatest common divisor of 583484, 751872 and 310343?',
    answer: '979',
    meta: { kind: 'gcd', numbers: [583484, 751872, 310343] },
  });
});

test('excluded questions are not drawn, and asking for too many is an error that says so', (t) => {
  const first = questions(tasks.letters, 'train', 50, 9);
  const exclude = new Set(first.map((question) => question.id));
  const second = questions(tasks.letters, 'train', 50, 9, { exclude });
  t.true(second.every((question) => !exclude.has(question.id)));
  const tiny = makeTask('roman', { value: [1, 30] });
  t.throws(() => questions(tiny, 'train', 100, 1), {
    instanceOf: RangeError,
    message: /only \d+ different train questions of task roman.*100 were asked/,
  });
  t.throws(() => questions(tiny, 'train', -1, 1), { instanceOf: RangeError });
});

test('options are checked: unknown keys, bad ranges and unknown kinds are named', (t) => {
  t.throws(() => makeTask('gcd', { factr: [1, 2] } as object), {
    instanceOf: TypeError,
    message: /unknown option "factr".*factor/,
  });
  t.throws(() => makeTask('gcd', { factor: [9, 2] }), {
    instanceOf: RangeError,
    message: /low <= high.*\[9, 2\]/,
  });
  t.throws(() => makeTask('arithmetic', { digits: [1, 16] }), {
    instanceOf: RangeError,
    message: /<= 15 for digits/,
  });
  t.throws(() => makeTask('arithmetic', { digits: [1.5, 2] }), { instanceOf: TypeError });
  t.throws(() => makeTask('dates', { kinds: ['month'] as never }), {
    instanceOf: TypeError,
    message: /between, weekday, add/,
  });
  t.throws(() => makeTask('chess' as never), {
    instanceOf: RangeError,
    message: /unknown task "chess".*arithmetic/,
  });
  t.throws(() => demoTask('chess' as never), { instanceOf: RangeError, message: /unknown task "chess"/ });
  t.throws(() => makeTask('order', { value: [1, 3], length: [5, 6] }), {
    instanceOf: RangeError,
    message: /widen value/,
  });
  const question = questions(tasks.gcd, 'train', 1, 1)[0]!;
  t.throws(() => tasks.power.verify(question, '1'), {
    instanceOf: TypeError,
    message: /belongs to task gcd/,
  });
});

test('every option reaches its limits without leaving exact arithmetic', (t) => {
  const wide = [
    makeTask('arithmetic', { digits: [15, 15], operands: [8, 8], kinds: ['product'] }),
    makeTask('power', {
      base: [999_999_990, 999_999_999],
      exponent: [999_999_990, 999_999_999],
      modulus: [999_999_990, 999_999_999],
    }),
    makeTask('gcd', {
      factor: [99_990, 99_999],
      cofactor: [99_990, 99_999],
      numbers: [4, 4],
      kinds: ['lcm'],
    }),
    makeTask('digits', { digits: [200, 200] }),
  ];
  for (const task of wide) {
    for (const question of questions(task, 'train', 3, 1)) {
      t.regex(question.answer, /^(?:0|-?[1-9][0-9]*)$/);
      t.true(task.verify(question, question.answer).correct);
    }
  }
  t.is(questions(wide[0]!, 'train', 1, 1)[0]!.answer.length >= 113, true);
});

test('the Python solutions print exactly the answer, in every variant', async (t) => {
  const cases: { task: ProceduralTask; question: Question; script: string }[] = [];
  const more = [
    makeTask('bases', { kinds: ['between', 'from-decimal'] }),
    makeTask('arithmetic', {
      digits: [15, 15],
      operands: [4, 4],
      kinds: ['mixed'],
      name: 'arithmetic of 15 digits',
    }),
    makeTask('letters', { kinds: ['different'] }),
    makeTask('primes', { value: [2, 60], rank: [1, 30], width: [1, 40] }),
    makeTask('game24', { number: [1, 20], target: [10, 100] }),
  ];
  for (const task of [...everyTask, ...more]) {
    for (const split of ['train', 'heldout'] as const) {
      const count = (task.name === 'roman' ? 24 : 12) * task.variants;
      for (const [i, question] of questions(task, split, count, 31).entries()) {
        cases.push({ task, question, script: task.solution(question, i) });
      }
    }
  }
  const started = performance.now();
  const outputs = await runPython(cases.map(({ script }) => script));
  t.log(`${cases.length} programs in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  for (const [i, { task, question, script }] of cases.entries()) {
    t.is(outputs[i], `${question.answer}\n`, `${task.name}: ${question.prompt}\n${script}`);
  }
});

test('demo questions are short, their programs copy the operands, and guessing does not help', (t) => {
  t.true(demoTaskNames.length >= 4 && demoTaskNames.length <= 6);
  for (const task of Object.values(demoTasks)) {
    const batch = questions(task, 'train', 2000, 3);
    const answers = new Map<string, number>();
    for (const question of batch) {
      const code = task.solution(question);
      t.true(question.prompt.length <= 60, question.prompt);
      t.true(code.length <= 50, code);
      const runs = (text: string) => text.match(/[0-9][0-9a-f]*/g) ?? [];
      t.deepEqual(
        [...runs(code)].sort(),
        [...runs(question.prompt.replaceAll(/base|decimal|and|Add/g, ''))].sort(),
        `${question.prompt} / ${code}`,
      );
      answers.set(question.answer, (answers.get(question.answer) ?? 0) + 1);
    }
    const share = Math.max(...answers.values()) / batch.length;
    t.log(
      `${task.name}: ${batch[0]!.prompt} -> ${JSON.stringify(task.solution(batch[0]!))}, best guess ${(100 * share).toFixed(1)} %`,
    );
    t.true(share < 0.1, task.name);
  }
});
