/**
 * BIG-Bench Hard: verifiers put through the trials of every suite, and what is odd in the published files.
 */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { optionsOf } from '../lib/tasks/suites/bbh/choices.ts';
import { type BbhTask, bbhTasks } from '../lib/tasks/suites/bbh/index.ts';
import type { SuiteQuestion } from '../lib/tasks/suites/suite.ts';
import { r1ci } from '../lib/text/formats/r1ci.ts';
import { type BbhRecord, bbhDefect, bbhQuestion, bbhQuestions } from '../scripts/questions/bbh.ts';
import { bbhRecords, exactFixtures, type SuiteFixture } from '../scripts/questions/exact-fixtures.ts';
import { checkVerifier, sharedData, type VerifierCase } from './support/suites.ts';

const fixture = JSON.parse(
  readFileSync(new URL('fixtures/suites/bbh.json', import.meta.url), 'utf8'),
) as SuiteFixture;

const taskNamed = (name: string) => bbhTasks.find((task) => task.name === name)!;

/** The verdict on an answer to a made-up question. */
function verdict(name: string, question: Pick<SuiteQuestion, 'prompt' | 'answer'>, answer: string): boolean {
  return taskNamed(name).verify({ id: name, meta: {}, ...question }, answer).correct;
}

type Trial = Pick<VerifierCase, 'accepted' | 'rejected'>;

const wordTrial = ([one, other]: readonly [string, string]): Trial => ({
  accepted: ({ answer }) => [
    answer.toUpperCase(),
    answer.toLowerCase(),
    `"${answer}"`,
    ` ${answer}\n`,
    `${answer}.`,
    `- ${answer}`,
  ],
  rejected: ({ answer }) => {
    const wrong = answer === one ? other : one;
    return [
      wrong,
      `${one} ${other}`,
      `${one}/${other}`,
      `${one}, ${other}`,
      `${answer}, not ${wrong}`,
      `The answer is ${answer}`,
      `${answer}..`,
      `(${answer})`,
      answer.slice(0, 1),
      `${answer}${answer}`,
      answer === 'valid' ? 'in valid' : `un${answer}`,
    ];
  },
});

const optionTrial: Trial = {
  accepted: ({ prompt, answer }) => {
    const options = [...optionsOf(prompt)];
    const letter = answer[1]!;
    const text = optionsOf(prompt).get(letter)!;
    const unique = options.filter(([, other]) => other === text).length === 1 && !optionsOf(prompt).has(text);
    return [
      letter,
      letter.toLowerCase(),
      `(${letter.toLowerCase()})`,
      `[${letter}]`,
      `${letter})`,
      `${letter}.`,
      ` "(${letter})"\n`,
      `(${letter}) ${text}`,
      `(${letter})\n${text}`,
      `${letter}: ${text}`,
      `${letter}. ${text.replaceAll(' ', '  ')}`,
      ...(unique ? [text, ` ${text}\n`] : []),
    ];
  },
  rejected: ({ prompt, answer }) => {
    const options = [...optionsOf(prompt)];
    const letter = answer[1]!;
    const text = optionsOf(prompt).get(letter)!;
    const others = options.filter(([other]) => other !== letter);
    return [
      ...others.flatMap(([other, otherText]) => [
        other,
        `(${other})`,
        otherText,
        `(${other}) ${otherText}`,
        `(${letter}) or (${other})`,
        `(${letter})(${other})`,
        `${letter}${other}`,
        ...(otherText === text ? [] : [`(${letter}) ${otherText}`, `(${other}) ${text}`]),
      ]),
      options.map(([other]) => `(${other})`).join(' '),
      options.map(([other, otherText]) => `(${other}) ${otherText}`).join('\n'),
      '(Z)',
      'Z',
      '(1)',
      `((${letter}))`,
      `(${letter}`,
      `${letter} ${letter}`,
      `(${letter}) ${text} is an option of another question`,
      `not (${letter})`,
      `${letter} ${text} ${letter}`,
      'An option of another question',
    ];
  },
};

const integerTrial: Trial = {
  accepted: ({ answer }) => [`"${answer}"`, `${answer}\n`, answer.replace(/\B(?=(?:[0-9]{3})+$)/g, ',')],
  rejected: ({ answer }) => [
    String(Number(answer) + 1),
    String(-Number(answer) - 1),
    `${answer}0`,
    `0${answer}`,
    `+${answer}`,
    `${answer}.0`,
    `${answer} ${Number(answer) + 1}`,
    `= ${answer}`,
    `${answer} things`,
    `(${answer})`,
  ],
};

const bracketTrial: Trial = {
  accepted: ({ answer }) => [answer.replaceAll(' ', ''), answer.replaceAll(' ', '\n'), `" ${answer} "`],
  rejected: ({ prompt, answer }) => {
    const brackets = answer.split(' ');
    const changed = [...brackets.slice(0, -1), brackets.at(-1) === '>' ? ')' : '>'];
    const reversed = [...brackets].reverse();
    const whole = /Input: (.*)/.exec(prompt)![1]!;
    return [
      changed.join(' '),
      [...brackets, ')'].join(' '),
      ['(', ...brackets].join(' '),
      brackets.slice(1).join(' '),
      `${brackets.join(', ')},`,
      `${answer} or ${changed.join(' ')}`,
      `${whole} ${answer}`,
      ...(reversed.join(' ') === answer ? [] : [reversed.join(' ')]),
    ];
  },
};

const wordsTrial: Trial = {
  accepted: ({ answer }) => {
    const words = answer.split(' ');
    return [
      words.join(', '),
      words.join('\n'),
      JSON.stringify(words),
      `[${words.join(', ')}]`,
      answer.toUpperCase(),
      `"${answer}"`,
    ];
  },
  rejected: ({ answer }) => {
    const words = answer.split(' ');
    return [
      [...words].reverse().join(' '),
      [words[1]!, words[0]!, ...words.slice(2)].join(', '),
      words.slice(1).join(' '),
      words.slice(0, -1).join(' '),
      [...words, 'zzz'].join(' '),
      [...words.slice(0, -1), 'zzz'].join(' '),
      words.join(''),
      words.join(' < '),
      words.join('; '),
      `${words.join(', ')} and ${words.join(', ')}`,
      `[[${words.join(', ')}]]`,
      `The words are ${answer}`,
    ];
  },
};

function trialOf({ form }: BbhTask): Trial {
  if (typeof form !== 'string') return wordTrial(form);
  return { option: optionTrial, integer: integerTrial, brackets: bracketTrial, words: wordsTrial }[form];
}

function absent(t: ExecutionContext): boolean {
  if (sharedData !== null) return false;
  t.log('skipped: ../shared/data is absent');
  t.pass();
  return true;
}

test('there are the 27 tasks of BIG-Bench Hard, each with a fixture', (t) => {
  const names = bbhTasks.map(({ name }) => name);
  t.is(new Set(names).size, 27);
  t.deepEqual(Object.keys(fixture.questions).sort(), [...names].sort());
  t.true(bbhTasks.every(({ metaKeys }) => metaKeys.length === 0));
});

for (const task of bbhTasks) {
  test(`${task.name}: the verifier passes its trials on the questions of the fixture`, (t) => {
    checkVerifier(t, { task, questions: fixture.questions[task.name]!, ...trialOf(task) });
  });

  test(`${task.name}: the verifier passes its trials on published questions`, (t) => {
    if (absent(t)) return;
    const { questions } = bbhQuestions(task, bbhRecords(task));
    const step = Math.floor(questions.length / 30);
    const chosen = questions.filter((_, i) => i % step === 0).slice(0, 30);
    checkVerifier(t, { task, questions: chosen, ...trialOf(task) });
  });
}

test('the fixture is what its script makes of the published questions', (t) => {
  if (absent(t)) return;
  t.deepEqual(fixture, JSON.parse(JSON.stringify(exactFixtures()['bbh.json'])));
});

test('every published example with a right answer becomes a question that verifies its target', (t) => {
  if (absent(t)) return;
  let total = 0;
  for (const task of bbhTasks) {
    const records = bbhRecords(task);
    for (const record of records) {
      const question = bbhQuestion(task, record);
      if (question === null) continue;
      t.true(task.verify({ ...question, meta: {} }, record.target).correct, `${task.name}: ${record.input}`);
    }
    const { questions, leftOut } = bbhQuestions(task, records);
    total += questions.length;
    t.is(questions.length + leftOut.length, records.length);
    t.is(new Set(questions.map(({ id }) => id)).size, questions.length);
    t.log(`${task.name}: ${records.length} examples, ${questions.length} questions`);
  }
  t.is(total, 6501);
});

test('published examples without a right answer are left out, with the reason', (t) => {
  if (absent(t)) return;
  const found = bbhTasks.flatMap((task) =>
    bbhQuestions(task, bbhRecords(task)).leftOut.map(
      ({ index, reason }) => `${task.name} ${index}: ${reason}`,
    ),
  );
  for (const line of found) t.log(line);
  t.deepEqual(found, [
    'causal_judgement 32: example 119 is the same with another answer',
    'causal_judgement 36: example 104 is the same with another answer',
    'causal_judgement 104: example 36 is the same with another answer',
    'causal_judgement 119: example 32 is the same with another answer',
    // The film's title was taken apart at its comma: (A) Monsters, (B) Inc.
    'movie_recommendation 163: the target "Monsters, Inc" is not one of the options',
    'ruin_names 99: the target "dearth, wind, & fire" is not one of the options',
    'ruin_names 144: the target "rita, sue and bob poo" is not one of the options',
    'snarks 86: two options are the same as the right one, "It\'s easy to get into politics, all you have to do to is be outrageous"',
    'sports_understanding 155: example 27 is the same',
    'sports_understanding 227: example 80 is the same',
  ]);
});

test('repeated examples become one question, and none where their answers differ', (t) => {
  const record = (input: string, target: string): BbhRecord => ({ input, target });
  const task = taskNamed('navigate');
  const { questions, leftOut } = bbhQuestions(task, [
    record('a', 'Yes'),
    record('b', 'Yes'),
    record('a', 'Yes'),
    record('b', 'Yes'),
    record('b ', 'No'),
  ]);
  t.deepEqual(
    questions.map(({ prompt }) => prompt),
    ['a\nGive the final answer as <<<Yes>>> or <<<No>>>.'],
  );
  t.deepEqual(
    leftOut.map(({ index }) => index),
    [1, 2, 3, 4],
  );
});

test('an option is named by its letter or by its own text, and by nothing else', (t) => {
  const prompt = [
    'Which?',
    'Options:',
    '(A) I',
    '(B) Robot',
    '(C) C. elegans',
    '(D) Robot',
    '(E) A',
    '(F) Léon,\u00a0the Professional',
    'Give the final answer as <<<(X)>>>.',
  ].join('\n');
  t.is(optionsOf(prompt).size, 6);
  t.is(optionsOf('Which?\n(A) I').size, 0);
  const named = (answer: string) =>
    'ABCDEF'.split('').filter((letter) => verdict('snarks', { prompt, answer: `(${letter})` }, answer));
  const cases: [string, string][] = [
    ['I', 'A'],
    ['i', ''],
    ['A', 'A'],
    ['e', 'E'],
    ['Robot', ''],
    ['(D) Robot', 'D'],
    ['(B) Robot', 'B'],
    ['C. elegans', 'C'],
    ['(C) C. elegans', 'C'],
    ['c: C. elegans', 'C'],
    ['E) A', 'E'],
    ['A Robot', ''],
    ['A. Robot', ''],
    ['Léon, the Professional', 'F'],
    ['Leon, the Professional', ''],
    ['F Léon, the Professional', ''],
    ['(G)', ''],
    ['', ''],
    ['(A) (B)', ''],
    ['A, B', ''],
    ['AB', ''],
  ];
  for (const [answer, letters] of cases) t.deepEqual(named(answer).join(''), letters, answer);
  const defect = (target: string) => bbhDefect(taskNamed('snarks'), { input: prompt, target });
  t.is(defect('(A)'), undefined);
  t.regex(defect('(B)')!, /two options are the same/);
  t.regex(defect('(G)')!, /not one of the options/);
});

test('closing brackets survive the extraction of answers where the prompt’s blanks are kept', (t) => {
  const question = fixture.questions.dyck_languages!.find(({ answer }) => answer.endsWith('>'))!;
  t.regex(question.prompt, /<<< brackets >>>.*with a blank after <<< and before >>>/);
  for (const answer of [question.answer, '> > >', ') > >', '> ]']) {
    const extracted = r1ci.answer(`The missing brackets are <<< ${answer} >>>`);
    t.true(verdict('dyck_languages', { ...question, answer }, extracted!), answer);
  }
});
