/**
 * The verifiers of Reasoning-Gym's numeric tasks: two published questions a task on every run, all of them where ../shared/data
 * lies beside the checkout.
 */
import test, { type ExecutionContext } from 'ava';
import { numericDifferences, numericUnsound } from '../lib/tasks/suites/reasoning-gym/numeric-differences.ts';
import { numericTasks } from '../lib/tasks/suites/reasoning-gym/numeric-tasks.ts';
import type { SuiteQuestion, SuiteTask } from '../lib/tasks/suites/suite.ts';
import { fixtureQuestions, type ScoredQuestion, sharedQuestions } from './support/reasoning-gym.ts';
import { checkVerifier, sharedData } from './support/suites.ts';

const fixture = fixtureQuestions('reasoning-gym-numeric.json');

const isUnsound = (task: SuiteTask, question: SuiteQuestion): boolean =>
  numericUnsound.some((entry) => entry.task === task.name && entry.isUnsound(question));

/** Right answers written otherwise, and wrong answers of the task's own kind. */
interface Variants {
  readonly accepted: (question: SuiteQuestion) => readonly string[];
  readonly rejected: (question: SuiteQuestion) => readonly string[];
}

const grouped = (digits: string) => digits.replace(/\B(?=(?:[0-9]{3})+$)/g, ',');
const opposite = (text: string) => (text.startsWith('-') ? text.slice(1) : `-${text}`);

/** Changes the last digit of a text. */
const misprint = (text: string) =>
  text.replace(/[0-9](?=[^0-9]*$)/, (digit) => String((Number(digit) + 1) % 10));

const integers: Variants = {
  accepted: ({ answer }) => [`  ${answer}\n`, grouped(answer)],
  rejected: ({ answer }) => [
    misprint(answer),
    `0${answer}`,
    `+${answer}`,
    `${answer}.0`,
    `${answer}/1`,
    `x = ${answer}`,
    `${answer}, ${answer}`,
    ...(answer === '0' ? [] : [opposite(answer), `${answer}0`]),
  ],
};

const decimals: Variants = {
  accepted: ({ answer }) => [
    ` ${answer}\n`,
    `${answer}${answer.includes('.') ? '' : '.'}00`,
    `${answer}e0`,
    ...(answer.startsWith('-') ? [] : [`+${answer}`]),
  ],
  rejected: ({ answer }) => [
    misprint(answer),
    `x = ${answer}`,
    `${answer}, ${answer}`,
    `${answer}e1000000`,
    ...(Number(answer) === 0 ? [] : [opposite(answer), `${answer}e1`]),
  ],
};

/** Texts: only blanks around them may differ. */
const texts: Variants = {
  accepted: ({ answer }) => [` ${answer}\n`, `${answer}\t`],
  rejected: ({ answer }) => [
    `"${answer}"`,
    `${answer}.`,
    answer.slice(1),
    `${answer}${answer}`,
    ...(answer.toUpperCase() === answer ? [] : [answer.toUpperCase()]),
  ],
};

const weekdays = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

const variants: Readonly<Record<string, Variants>> = {
  acre: { ...texts, rejected: (q) => [...texts.rejected(q), 'on off', 'off on undetermined'] },
  advanced_geometry: {
    accepted: ({ answer, meta = {} }) => {
      if (meta.task_type === 'angle_measure') {
        return [answer.replace('°', ''), `${(meta.angle_ABC_degrees as number).toFixed(3)} °`];
      }
      return meta.task_type === 'orthocenter'
        ? [answer.slice(1, -1), answer.replace(', ', ' ,'), answer.replace(')', '0)')]
        : [` ${answer}0\n`, String(meta.incircle_radius_approx)];
    },
    rejected: ({ answer }) => [
      answer.replace(/[0-9]+/, (digits) => String(Number(digits) + 1)),
      answer.replace('.', ''),
      `${answer}°°`,
      `${answer}, ${answer}`,
      `(${answer}`,
      '(0, 0, 0)',
    ],
  },
  arc_1d: {
    accepted: ({ answer }) => [`\n${answer.replaceAll(' ', '  ')}\n`, answer.replaceAll(' ', '\n')],
    rejected: ({ answer }) => [misprint(answer), answer.replaceAll(' ', ''), `${answer} 0`, answer.slice(2)],
  },
  basic_arithmetic: integers,
  bf: texts,
  bitwise_arithmetic: {
    accepted: ({ answer }) => [
      answer.toUpperCase(),
      answer.replace('0x', '0x0'),
      (answer.startsWith('-') ? -BigInt(answer.slice(1)) : BigInt(answer)).toString(),
    ],
    rejected: ({ answer }) => [
      misprint(answer),
      opposite(answer),
      answer.replace('0x', ''),
      answer.replace('0x', '$'),
      `${answer}0`,
      `${answer} + 0x0`,
      '0x',
    ],
  },
  calendar_arithmetic: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      ...(/^(?:Yes|No)$/.test(answer) ? [answer.toLowerCase()] : []),
    ],
    rejected: ({ answer }) => [
      ...(weekdays.includes(answer)
        ? [weekdays[(weekdays.indexOf(answer) + 1) % 7]!, answer.slice(0, 3), answer.toUpperCase()]
        : []),
      ...(/^[0-9]+$/.test(answer) ? [String(Number(answer) + 1), `${answer} days`] : []),
      ...(/^(?:Yes|No)$/.test(answer) ? [answer === 'Yes' ? 'No' : 'Yes', 'Yes and No'] : []),
      weekdays.join(' '),
    ],
  },
  chain_sum: decimals,
  complex_arithmetic: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      `(${answer.replaceAll(' ', '')})`,
      answer.replace('i', 'j'),
      answer.replace(/\.0+/g, ''),
    ],
    rejected: ({ answer }) => [
      misprint(answer),
      opposite(answer),
      `${answer}i`,
      `${answer} + 1`,
      'nan',
      'nanj',
      'infinity',
      'i',
    ],
  },
  count_bits: integers,
  decimal_arithmetic: {
    accepted: ({ answer }) => [` ${answer}\n`, `${answer}0`, Number(answer).toExponential()],
    rejected: ({ answer }) => [
      answer.replace(/[0-9]/, (digit) => String((Number(digit) + 1) % 10)),
      answer.replace(/(?<=\.[0-9]{3})[0-9]*$/, '').replace(/[0-9]$/, (d) => String((Number(d) + 5) % 10)),
      opposite(answer),
      Number(answer).toFixed(0),
      `${Number(answer).toFixed(1)}1`,
    ],
  },
  decimal_chain_sum: decimals,
  dice: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      answer.replace('/', ' / '),
      `$\\frac{${answer.replace('/', '}{')}}$`,
    ],
    rejected: ({ answer }) => {
      const [a, b] = answer.split('/').map(Number) as [number, number];
      return [
        `${2 * a}/${2 * b}`,
        `${b}/${a}`,
        `${a + 1}/${b}`,
        `-${answer}`,
        String(a / b),
        `${answer}/1`,
        `${a}`,
      ];
    },
  },
  fraction_simplification: {
    accepted: ({ answer }) => {
      const [a, b] = answer.match(/[0-9]+/g) as unknown as [string, string];
      return [`${a}/${b}`, `${a} / ${b}`, `\\frac{${a}}{${b}}`, ` $\\dfrac{${a}}{${b}}$ `];
    },
    rejected: ({ answer }) => {
      const [a, b] = (answer.match(/[0-9]+/g) ?? []).map(Number) as [number, number];
      return [
        `${3 * a}/${3 * b}`,
        `${b}/${a}`,
        `$${a}/${b}`,
        `${a}/${b} apples`,
        `${a}/${b} = ${a}/${b}`,
        `\\frac{${a}}`,
      ];
    },
  },
  gcd: integers,
  intermediate_integration: integrals(),
  lcm: integers,
  leg_counting: integers,
  list_functions: {
    accepted: ({ answer }) => [` ${answer}\n`, answer.replaceAll(', ', ','), answer.replace('[', '[ ')],
    rejected: ({ answer }) => [
      answer.slice(1, -1),
      ...(answer.includes(', ') ? [answer.replaceAll(', ', ' ')] : []),
      `[${answer}]`,
      answer.replace(']', ', 0]'),
      misprint(answer),
    ],
  },
  number_format: {
    accepted: ({ answer }) => [` ${answer}\n`, Number(answer).toFixed(6), Number(answer).toExponential(15)],
    rejected: ({ answer }) => [
      (Number(answer) + 0.001).toFixed(3),
      (Number(answer) - 0.009).toFixed(3),
      opposite(answer),
      Number(answer).toExponential(4),
    ],
  },
  polynomial_equations: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      answer.split(', ').reverse().join(','),
      answer.replace(/\.0(?=,|$)/g, '.0000'),
    ],
    rejected: ({ answer }) => [
      misprint(answer),
      `${answer}, 17`,
      `${answer}, ${answer}`,
      answer.split(', ').slice(1).join(', '),
      `${answer}, x`,
      `x = ${answer}`,
      `[${answer}]`,
    ],
  },
  polynomial_multiplication: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      answer.replace(/\*\*([0-9]+)/g, ' ** ($1)'),
      answer.replace(/(\S+)(.*)/, '+($1)$2'),
    ],
    rejected: ({ answer, prompt }) => {
      const factors = /: (.*)/.exec(prompt)?.[1] ?? '';
      return [
        misprint(answer),
        answer.replaceAll('**', '^'),
        answer.replaceAll('*', ''),
        `1*(${answer})*1`,
        `${answer} + x - x`,
        `-(${answer})`,
        answer.toUpperCase(),
        `(${answer})**1`,
        ...(factors === answer ? [] : [factors]),
      ];
    },
  },
  power_function: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      Number(answer).toExponential(2),
      Number(answer).toExponential(5),
    ],
    rejected: ({ answer }) => [
      ...(Number(Number(answer).toExponential(0)) === Number(Number(answer).toExponential(2))
        ? []
        : [Number(answer).toExponential(0)]),
      (Number(answer) * 1.02).toExponential(2),
      (Number(answer) * 10).toExponential(2),
      opposite(answer),
      `${Number(answer).toExponential(2)}e1`,
    ],
  },
  prime_factorization: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      answer.replaceAll(' ', ''),
      answer.split(' × ').reverse().join(' × '),
    ],
    rejected: ({ answer }) => [
      `1 × ${answer}`,
      `${answer} ×`,
      `${answer} × 2`,
      misprint(answer),
      ...(answer.includes('×')
        ? [answer.replaceAll('×', ','), answer.replaceAll(' × ', ''), answer.replace(/ × .*/, '')]
        : []),
    ],
  },
  products: decimals,
  simple_equations: integers,
  simple_geometry: decimals,
  simple_integration: integrals(),
  time_intervals: {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      answer.replace(/^([0-9]+ days?), /, '$1,'),
      ...(/^[0-9]+ days$/.test(answer) ? [answer.replace(' days', '')] : []),
      ...(/(?:^|, )[0-9]{2}:[0-9]{2}$/.test(answer) ? [`${answer}:00`] : []),
    ],
    rejected: ({ answer }) => [
      misprint(answer),
      `-${answer}`,
      `${answer} or so`,
      answer.replace(/[0-9]+/, (digits) => String(Number(digits) + 1).padStart(2, '0')),
      '00:75',
      '3 days, 24:00',
      '99999999999999999999 days',
    ],
  },
};

function integrals(): Variants {
  return {
    accepted: ({ answer }) => [
      ` ${answer}\n`,
      answer.replace(' + C', ''),
      `7 + (${answer})/2 + (${answer.replace(' + C', '')})/2`,
      answer.replace(' + C', ' - c/2'),
    ],
    rejected: ({ answer, meta = {} }) => {
      const { integrand, variable: x } = meta as { integrand: string; variable: string };
      return [
        integrand,
        `Integral(${integrand}, ${x})`,
        `integrate(${integrand})`,
        `${answer} + ${x}/10**9`,
        `${answer} + ${x}*10**-60`,
        `${answer} + ${x}*exp(-100)`,
        `${answer} + C*${x}`,
        `-(${answer})`,
        answer.replaceAll('**', '^').replace(/^/, 'F = '),
        `${answer}; import os`,
        'C',
      ];
    },
  };
}

/** Compares verdicts with the package's at "score = 1"; a question without scored answers counts by its canonical one. */
function checkAgreement(
  t: ExecutionContext,
  task: SuiteTask,
  questions: readonly ScoredQuestion[],
  all: boolean,
): void {
  const listed = new Set(numericDifferences.filter((d) => d.task === task.name).flatMap((d) => d.kinds));
  const occurring = new Set<string>();
  let examples = 0;
  let different = 0;
  for (const { question, scored } of questions) {
    const canonical = [{ kind: 'oracle', answer: question.answer, score: 1 }];
    for (const { kind, answer, score } of scored.length > 0 ? scored : canonical) {
      examples += 1;
      const correct = answer !== null && task.verify({ meta: {}, ...question }, answer).correct;
      if (correct === (score === 1)) continue;
      different += 1;
      occurring.add(kind);
      t.true(
        listed.has(kind) && (kind !== 'oracle' || isUnsound(task, question)),
        `${question.id}: ${kind} ${JSON.stringify(answer)} has score ${score} in the package, here it is ${correct}`,
      );
    }
  }
  for (const kind of all ? listed : []) {
    t.true(occurring.has(kind), `${task.name}: the listed difference ${kind} does not occur`);
  }
  const kinds = different > 0 ? ` (${[...occurring].join(', ')})` : '';
  t.log(
    `${task.name}: agreement ${examples - different} of ${examples}, differences listed ${different}${kinds}`,
  );
}

for (const task of numericTasks) {
  const variant = variants[task.name]!;

  test(`${task.name}: two published questions are judged as listed, hostile text included`, (t) => {
    const items = fixture[task.name] ?? [];
    t.is(items.length, 2);
    checkAgreement(t, task, items, false);
    checkVerifier(t, { task, questions: items.map(({ question }) => question), ...variant });
  });

  test(`${task.name}: the verifier agrees with the package on every scored answer and canonical answer`, (t) => {
    if (sharedData === null) {
      t.log('skipped: ../shared/data is absent');
      t.pass();
      return;
    }
    const items = sharedQuestions(task);
    checkAgreement(t, task, items, true);
    const sound = items.map(({ question }) => question).filter((question) => !isUnsound(task, question));
    checkVerifier(t, { task, questions: sound.slice(0, 30), ...variant });
  });
}

test('the 29 tasks have different names, and every listed difference belongs to one of them', (t) => {
  const names = new Set(numericTasks.map(({ name }) => name));
  t.is(names.size, 29);
  for (const { task } of [...numericDifferences, ...numericUnsound]) t.true(names.has(task), task);
});

test('questions whose canonical answer is not their answer are found, and no others', (t) => {
  if (sharedData === null) {
    t.log('skipped: ../shared/data is absent');
    t.pass();
    return;
  }
  const expected = new Map([
    ['basic_arithmetic', 2],
    ['calendar_arithmetic', 10],
    ['intermediate_integration', 21],
    ['time_intervals', 12],
  ]);
  for (const task of numericTasks) {
    const items = sharedQuestions(task);
    const unsound = items.filter(({ question }) => isUnsound(task, question)).length;
    t.is(unsound, expected.get(task.name) ?? 0, task.name);
    if (unsound > 0) t.log(`${task.name}: ${unsound} of ${items.length} questions are unsound`);
  }
});

test('a duration with milliseconds may be exact where the package lost one, and no further off', (t) => {
  const task = numericTasks.find(({ name }) => name === 'time_intervals')!;
  const question = {
    id: 'lost-millisecond',
    prompt: 'A backup started at 23:23:42.911 and completed at 23:36:00.171. Answer in HH:MM:SS.mmm.',
    answer: '00:12:17.259',
    meta: { task_type: 'time_ms' },
  };
  const verdicts = ['00:12:17.258', '00:12:17.259', '00:12:17.260', '00:12:17.261', '00:12:17.26'].map(
    (answer) => task.verify(question, answer).correct,
  );
  t.deepEqual(verdicts, [false, true, true, false, false]);
});

test('a question without the metadata that its verifier needs is an error that names the key', (t) => {
  for (const task of numericTasks.filter(({ metaKeys }) => metaKeys.length > 0)) {
    const error = t.throws(() => task.verify({ id: 'q', prompt: '', answer: '1', meta: {} }, '1'), {
      instanceOf: TypeError,
    });
    t.regex(error.message, /expected meta\.[a-zA-Z_]+ to be/);
  }
});
