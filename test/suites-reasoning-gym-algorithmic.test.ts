/**
 * The verifiers of Reasoning-Gym's algorithmic tasks: gaming them fails, other ways to write a right answer do not, and they
 * agree with the Python package's own scores but for what is listed with a reason.
 */
import test from 'ava';
import {
  algorithmicDifferences,
  algorithmicUnsound,
} from '../lib/tasks/suites/reasoning-gym/algorithmic-differences.ts';
import { countPalindromePartitions } from '../lib/tasks/suites/reasoning-gym/algorithmic-json.ts';
import { algorithmicTasks } from '../lib/tasks/suites/reasoning-gym/algorithmic-tasks.ts';
import { parseStrictJson } from '../lib/tasks/suites/reasoning-gym/strict-json.ts';
import type { SuiteQuestion, SuiteTask } from '../lib/tasks/suites/suite.ts';
import { checkAgreement, fixtureQuestions, sharedQuestions } from './support/reasoning-gym.ts';
import { checkVerifier, sharedData } from './support/suites.ts';

/** What is tried on every question of a task, beside what is tried on all tasks. */
interface Trials {
  readonly accepted?: (question: SuiteQuestion) => readonly string[];
  readonly rejected: (question: SuiteQuestion) => readonly string[];
  readonly manyRightAnswers?: string;
}

const padded = ({ answer }: SuiteQuestion) => [`  ${answer}\n`, `\t${answer}\r\n`];

const integer: Trials = {
  rejected: ({ answer }) => [
    `${Number(answer) + 1}`,
    `${answer}.0`,
    `+${answer}`,
    `0${answer}`,
    `${answer} minutes`,
    `${Number(answer) - 1}, ${answer}`,
    `<<<${answer}>>>`,
  ],
};

const yesOrNo: Trials = {
  rejected: ({ answer }) => [
    answer === 'True' ? 'False' : 'True',
    'True or False',
    'True, False',
    `${answer}.`,
    answer === 'True' ? '1' : '0',
    answer.slice(0, 1),
  ],
};

/** Texts that a verifier of an exact text must not take for it. */
const text: Trials = {
  rejected: ({ answer }) => [
    answer.slice(0, -1),
    answer.slice(1),
    `${answer}.`,
    `"${answer}"`,
    `The answer is ${answer}`,
    answer.replace(' ', '\u00a0').concat('\u200b'),
  ],
};

const json: Trials = {
  accepted: ({ answer }) => [
    JSON.stringify(JSON.parse(answer), null, 2),
    answer.replaceAll(/,/g, ' ,\n'),
    `\n${answer}`,
  ],
  rejected: ({ answer }) => [
    `${answer},`,
    `[${answer}]`,
    answer.slice(0, -1),
    `\`\`\`json\n${answer}\n\`\`\``,
    '[[]]',
    '{"0": 1, "0": 1}',
  ],
};

const parsed = (question: SuiteQuestion) => JSON.parse(question.answer) as string[][];

const trials: Readonly<Record<string, Trials>> = {
  ab: { rejected: (q) => [...text.rejected(q), q.answer.replaceAll('#', ''), `${q.answer} A# #A`] },
  base_conversion: {
    rejected: (q) => [
      ...text.rejected(q),
      `0${q.answer}`,
      `0x${q.answer}`,
      q.answer.replace(/[a-f]/, (c) => c.toUpperCase()).concat(/[a-f]/.test(q.answer) ? '' : 'h'),
    ],
  },
  binary_alternation: integer,
  binary_matrix: {
    rejected: (q) => [
      ...text.rejected(q),
      q.answer.replaceAll('\n', ' '),
      q.answer.split('\n').reverse().concat('0').join('\n'),
      JSON.stringify(q.answer.split('\n').map((row) => row.split(' ').map(Number))),
    ],
  },
  caesar_cipher: { rejected: (q) => [...text.rejected(q), q.answer.toLowerCase(), q.prompt.split(' ')[5]!] },
  count_primes: integer,
  cryptarithm: {
    accepted: ({ answer }) => [answer.replaceAll(',', ' , '), answer.split(',').reverse().join(', ')],
    rejected: ({ answer }) => {
      const first = answer.split(',')[0]!;
      return [
        answer.slice(0, answer.lastIndexOf(',')),
        `${answer},${first}`,
        answer.replace(first, `${first[0]}=10`),
        answer.replaceAll(/[0-9]/g, '0'),
        answer.replaceAll('=', ':'),
        answer.replace(first, `${first[0]}=-1`),
        answer.toLowerCase(),
        answer.replaceAll(/([A-Z])=([0-9])/g, (_, c: string, d: string) => `${c}=${9 - Number(d)}`),
      ];
    },
    manyRightAnswers: 'a puzzle may have several solutions',
  },
  game_of_life: {
    accepted: json.accepted!,
    rejected: (q) => {
      const board = JSON.parse(q.answer) as number[][];
      return [
        ...json.rejected(q),
        JSON.stringify([...board, board[0]]),
        JSON.stringify(board.map((row) => [...row, 0])),
        JSON.stringify(board.map((row) => row.map((cell) => cell === 1))),
        JSON.stringify(board.map((row) => row.map((cell) => 1 - cell))),
        JSON.stringify(board.map((row) => row.map(String))),
        JSON.stringify(board.flat()),
      ];
    },
  },
  game_of_life_halting: {
    ...yesOrNo,
    accepted: (q) => [q.answer.toUpperCase(), q.answer.toLowerCase(), ...padded(q)],
  },
  graph_color: {
    accepted: ({ answer }) => [
      JSON.stringify(JSON.parse(answer), null, 1),
      // The colours take turns: what was 1 is 2, what was 2 is 3, what was 3 is 1.
      answer.replaceAll(/:([123])/g, (_, color: string) => `:${(Number(color) % 3) + 1}`),
    ],
    rejected: ({ answer }) => [
      answer.replace('{', '{"0":1,'),
      answer.replace('{', '{"99":1,'),
      answer.replaceAll(/:[123]/g, ':1'),
      answer.replaceAll(/:[123]/g, ':4'),
      answer.replaceAll(/:1/g, ':true'),
      answer.replaceAll(/:([123])/g, ':"$1"'),
      answer.replace(/,[^,]*}/, '}'),
      '{"__proto__": 1}',
      '[1, 2, 3, 1, 2, 3, 1, 2, 3, 1]',
    ],
    manyRightAnswers: 'a graph may be coloured in many ways, and sparse graphs share colourings',
  },
  group_anagrams: {
    accepted: (q) => [
      ...json.accepted!(q),
      JSON.stringify(
        parsed(q)
          .map((words) => [...words].reverse())
          .reverse(),
      ),
    ],
    rejected: (q) => {
      const groups = parsed(q);
      return [
        ...json.rejected(q),
        JSON.stringify([groups.flat()]),
        JSON.stringify(groups.flat().map((word) => [word])),
        JSON.stringify(groups.slice(1)),
        JSON.stringify([...groups, groups[0]]),
        JSON.stringify([...groups, []]),
        q.answer.toUpperCase(),
      ];
    },
  },
  isomorphic_strings: yesOrNo,
  jugs: {
    accepted: (q) => {
      const moves = JSON.parse(q.answer) as string[];
      return [
        JSON.stringify(moves, null, 2),
        JSON.stringify(['fill A', 'empty A', ...moves]),
        JSON.stringify(moves.map((move) => ` ${move.replace(' ', '  ')}`)),
      ];
    },
    rejected: (q) => {
      const moves = JSON.parse(q.answer) as string[];
      return [
        ...json.rejected(q),
        JSON.stringify(moves.slice(0, -1)),
        JSON.stringify([...moves, 'empty A', 'empty B', 'empty C']),
        JSON.stringify([...moves, 'fill D', 'empty D']),
        JSON.stringify([...moves, 'pour A->A']),
        JSON.stringify([...moves, 'pour A B']),
        JSON.stringify([...moves, 'fill A please']),
        JSON.stringify([...moves, 'take what is missing']),
        JSON.stringify([...moves, 1]),
        JSON.stringify(moves.join(', ')),
      ];
    },
    manyRightAnswers: 'any list of moves that ends with the target is right',
  },
  letter_jumble: {
    accepted: (q) => [q.answer.toUpperCase(), q.answer.replaceAll(' ', '\n'), ...padded(q)],
    rejected: (q) => [...text.rejected(q), q.prompt.split(': ').at(-1)!, `${q.answer} more`],
  },
  manipulate_matrix: {
    accepted: (q) => [
      ...padded(q),
      q.answer.replaceAll('\n', ' \r\n'),
      q.answer.replaceAll(' ', '  ').concat('\n'),
    ],
    rejected: ({ answer }) => [
      `${answer}\n${answer.split('\n')[0]}`,
      `${answer} 0`,
      `[${answer}]`,
      JSON.stringify(answer.split('\n').map((row) => row.split(' ').map(Number))),
      answer.replaceAll(/[0-9]/g, (digit) => `${(Number(digit) + 1) % 10}`),
      `The answer is ${answer}`,
    ],
  },
  number_filtering: {
    rejected: (q) => [...text.rejected(q), q.answer.replaceAll("'", ''), q.answer.replace(']', ", '0']")],
  },
  number_sorting: {
    accepted: ({ answer }) => [
      answer.replaceAll("'", '"'),
      answer.replaceAll("'", ''),
      answer.replaceAll(', ', ',\n'),
      answer.replaceAll(".0'", "'"),
      answer.replaceAll(/(\.[0-9]+)/g, '$100'),
    ],
    rejected: ({ answer }) => {
      const numbers = answer.slice(1, -1).split(', ');
      const off = (by: number) => `['${(Number(numbers[0]!.slice(1, -1)) + by).toFixed(2)}'`;
      return [
        `[${[...numbers].reverse().join(', ')}]`,
        `[${[...numbers, numbers.at(-1)].join(', ')}]`,
        `[${numbers.slice(1).join(', ')}]`,
        [off(0.01), ...numbers.slice(1)].join(', ').concat(']'),
        [off(-1), ...numbers.slice(1)].join(', ').concat(']'),
        numbers.join(', '),
        `[${numbers.map(() => 'null').join(', ')}]`,
        `[${numbers.map(() => 'NaN').join(', ')}]`,
        `[${answer}]`,
        `{"0": ${answer.replaceAll("'", '"')}}`,
      ];
    },
  },
  palindrome_generation: {
    accepted: (q) => [q.answer.toUpperCase(), ...padded(q)],
    rejected: ({ answer }) => [
      `${answer}${answer}`,
      'a'.repeat(answer.length).replace(/^a/, 'b'),
      answer.slice(1, -1),
      [...answer].join(' '),
      `x${answer}x`,
      '#'.repeat(answer.length),
      [...answer].join(', '),
    ],
    manyRightAnswers: 'the same letters form several palindromes',
  },
  palindrome_partitioning: {
    accepted: (q) => [...json.accepted!(q), JSON.stringify(parsed(q).reverse())],
    rejected: (q) => {
      const all = parsed(q);
      return [
        ...json.rejected(q),
        JSON.stringify(all.slice(1)),
        JSON.stringify([...all, all[0]]),
        JSON.stringify([...all.slice(1), all[1] ?? []]),
        JSON.stringify([...all, [all[0]!.join('')]]),
        JSON.stringify(all.map((parts) => [...parts, ''])),
        JSON.stringify([...all.slice(1), ['', ...all[0]!]]),
        JSON.stringify(all.map((parts) => [...parts, 'a'])),
        q.answer.toUpperCase(),
      ];
    },
  },
  ransom_note: yesOrNo,
  rotten_oranges: integer,
  sentence_reordering: {
    accepted: (q) => [q.answer.toLowerCase(), q.answer.replaceAll(' ', '\n'), ...padded(q)],
    rejected: (q) => [
      ...text.rejected(q),
      q.answer.split(' ').reverse().join(' '),
      q.answer.slice(0, q.answer.lastIndexOf(' ')),
    ],
  },
  spell_backward: {
    accepted: (q) => [q.answer.toUpperCase(), ...padded(q)],
    rejected: (q) => [...text.rejected(q), [...q.answer].join(' '), `${q.answer}${q.answer}`],
  },
  spiral_matrix: {
    rejected: (q) => [
      ...text.rejected(q),
      `[${q.answer.replaceAll(' ', ', ')}]`,
      q.answer.replaceAll(' ', ''),
      q.answer.replaceAll(' ', ', '),
    ],
  },
  word_ladder: {
    accepted: (q) => [q.answer.toLowerCase(), q.answer.replaceAll(',', ', '), ...padded(q)],
    rejected: ({ answer }) => {
      const words = answer.split(',');
      const [start, end] = [words[0]!, words.at(-1)!];
      const bridge = [1, 2, 3].map((n) => end.slice(0, n) + start.slice(n));
      return [
        `${start},${end}`,
        words.slice(1).join(','),
        words.slice(0, -1).join(','),
        [...words].reverse().join(','),
        [start, ...words].join(','),
        [...words, end].join(','),
        [start, ...words.slice(2)].join(','),
        [start, `${start.slice(0, 3)}Q`, ...words].join(','),
        [start, 'XXXX', ...words.slice(2)].join(','),
        [...words.slice(0, -1), ...bridge, end].join(','),
        words.join(' -> '),
        `${answer},`,
      ];
    },
    manyRightAnswers: 'every chain of known words is right',
  },
  word_sequence_reversal: {
    rejected: (q) => [
      ...text.rejected(q),
      q.answer.split(', ').reverse().join(', '),
      q.answer.replaceAll(', ', ' '),
      q.answer.replaceAll(', ', ','),
      `[${q.answer}]`,
      q.answer.toUpperCase(),
    ],
  },
};

const kTrialQuestions = 30;

function putToTrial(t: Parameters<typeof checkVerifier>[0], task: SuiteTask, questions: SuiteQuestion[]) {
  const { accepted = padded, rejected, manyRightAnswers } = trials[task.name]!;
  return checkVerifier(t, {
    task,
    questions,
    accepted,
    rejected,
    ...(manyRightAnswers === undefined ? {} : { manyRightAnswers }),
  });
}

const fixture = fixtureQuestions('reasoning-gym-algorithmic.json');

test('there are 26 algorithmic tasks, each with trials, fixture questions and a name of its own', (t) => {
  const names = algorithmicTasks.map(({ name }) => name);
  t.is(names.length, 26);
  t.deepEqual(names, [...new Set(names)].sort());
  t.deepEqual(Object.keys(trials).sort(), names);
  t.deepEqual(Object.keys(fixture).sort(), names);
  for (const { task, reason } of [...algorithmicDifferences, ...algorithmicUnsound]) {
    t.true(names.includes(task) && reason !== '', task);
  }
});

for (const task of algorithmicTasks) {
  test(`${task.name}: right answers are accepted, wrong and hostile ones rejected in time`, (t) => {
    putToTrial(
      t,
      task,
      fixture[task.name]!.map(({ question }) => question),
    );
    if (sharedData === null) return t.log('skipped: ../shared/data is absent');
    const all = sharedQuestions(task).map(({ question }) => question);
    putToTrial(t, task, all.slice(-kTrialQuestions));
  });

  test(`${task.name}: verdicts are those of the Python package, listed differences apart`, (t) => {
    checkAgreement(t, task, fixture[task.name]!, algorithmicDifferences);
    if (sharedData === null) return t.log('skipped: ../shared/data is absent');
    const all = sharedQuestions(task);
    t.is(all.length, 220);
    checkAgreement(t, task, all, algorithmicDifferences);
  });
}

test('several right answers to one puzzle are all right', (t) => {
  const verify = (name: string, meta: Record<string, unknown>, answer: string) => {
    const task = algorithmicTasks.find((one) => one.name === name)!;
    return task.verify({ id: `${name}-0`, prompt: '', answer: '', meta }, answer).correct;
  };
  const sum = { words_letters: ['AB', 'BA'], result_letters: 'CC', allow_leading_zero: false };
  t.true(verify('cryptarithm', sum, 'A=1,B=2,C=3'));
  t.true(verify('cryptarithm', sum, 'C=9, B=4, A=5'));
  t.false(verify('cryptarithm', sum, 'A=1,B=1,C=2'), 'two letters with the same digit');
  t.false(verify('cryptarithm', sum, 'A=0,B=3,C=3'));
  const zero = { words_letters: ['AB', 'A'], result_letters: 'AC', allow_leading_zero: false };
  t.false(verify('cryptarithm', zero, 'A=0,B=1,C=1'));
  t.false(verify('cryptarithm', { ...zero, words_letters: ['A', 'B'], result_letters: 'B' }, 'A=0,B=1'));
  t.true(
    verify(
      'cryptarithm',
      { words_letters: ['A', 'B'], result_letters: 'B', allow_leading_zero: true },
      'A=0,B=1',
    ),
  );
  const puzzle = { puzzle: { jug_capacities: [3, 5], target: 4 } };
  t.true(verify('jugs', puzzle, '["fill B","pour B->A","empty A","pour B->A","fill B","pour B->A"]'));
  t.true(
    verify(
      'jugs',
      puzzle,
      '["fill A","pour A->B","fill A","pour A->B","empty B","pour A->B","fill A","pour A->B"]',
    ),
  );
  t.false(verify('jugs', puzzle, '[]'));
  t.true(verify('palindrome_generation', { letters: ['a', 'b', 'a', 'b', 'c'] }, 'abcba'));
  t.true(verify('palindrome_generation', { letters: ['a', 'b', 'a', 'b', 'c'] }, 'bacab'));
  t.false(verify('palindrome_generation', { letters: ['a', 'b', 'a', 'b', 'c'] }, 'abbba'));
  t.true(verify('word_ladder', { start_word: 'COLD', end_word: 'WARM' }, 'COLD,CORD,CARD,WARD,WARM'));
  t.true(verify('word_ladder', { start_word: 'COLD', end_word: 'WARM' }, 'COLD,CORD,WORD,WORM,WARM'));
  t.false(verify('word_ladder', { start_word: 'COLD', end_word: 'WARM' }, 'COLD,WOLD,WALD,WARD,WARM'));
});

test('a question without the metadata that its task names is an error that says what is missing', (t) => {
  for (const task of algorithmicTasks.filter(({ metaKeys }) => metaKeys.length > 0)) {
    const question = { ...fixture[task.name]![0]!.question, meta: {} };
    t.throws(() => task.verify(question, question.answer), {
      instanceOf: TypeError,
      message: /expected meta\.\S+ to be .*, found nothing/,
    });
  }
});

test('palindrome partitions are counted as they can be listed', (t) => {
  const list = (text: string): string[][] =>
    text === ''
      ? [[]]
      : Array.from({ length: text.length }, (_, i) => text.slice(0, i + 1))
          .filter((head) => head === [...head].reverse().join(''))
          .flatMap((head) => list(text.slice(head.length)).map((rest) => [head, ...rest]));
  for (const text of ['', 'a', 'ab', 'aab', 'aaaaaaaaaa', 'abacabadabacaba', 'gktkgbueeusffs']) {
    t.is(countPalindromePartitions(text), list(text).length, text);
  }
});

test('JSON in answers is read strictly: bounded depth, no repeated keys, keys are own properties', (t) => {
  t.deepEqual(parseStrictJson(' {"a": [1, {"b": ":{\\":"}], "c": null} '), {
    a: [1, { b: ':{":' }],
    c: null,
  });
  t.is(parseStrictJson('null'), null);
  for (const text of [
    '{"a": 1, "a": 1}',
    '[{"b": {"a": 1, "\\u0061": 2}}]',
    '{"__proto__": 1, "__proto__": 2}',
    '[[[[[[[[[1]]]]]]]]]',
    '[1,]',
    "['a']",
    'NaN',
    '',
    '1 2',
    '"\\',
    '}{',
  ]) {
    t.is(parseStrictJson(text), undefined, text);
  }
  t.deepEqual(Object.keys(parseStrictJson('{"__proto__": {"x": 1}}') as object), ['__proto__']);
});

test('published questions whose canonical answer is wrong are known', (t) => {
  const example = { id: 'x', prompt: '', meta: {} };
  const unsound = (task: string, answer: string) =>
    algorithmicUnsound.find((one) => one.task === task)!.isUnsound({ ...example, answer });
  t.true(unsound('sentence_reordering', 'the the day of famous Dr.'));
  t.false(unsound('sentence_reordering', 'The day of the famous Dr.'));
  t.true(unsound('caesar_cipher', 'POWER FOR A\u00cbRIAL'));
  t.false(unsound('caesar_cipher', 'POWER FOR ALL'));
  if (sharedData === null) return t.log('skipped: ../shared/data is absent');
  for (const { task, isUnsound } of algorithmicUnsound) {
    const all = sharedQuestions(algorithmicTasks.find(({ name }) => name === task)!);
    const found = all.filter(({ question }) => isUnsound(question)).length;
    t.log(`${task}: ${found} of ${all.length} questions have a canonical answer that is not the answer`);
    t.true(found > 0);
  }
});
