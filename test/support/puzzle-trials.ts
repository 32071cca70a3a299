/**
 * What is tried on every question of a Reasoning-Gym puzzle, beside what is tried on the questions of all tasks: other ways
 * to write the right answer, and wrong answers of the puzzle's own kind.
 */
import type { SuiteQuestion } from '../../lib/tasks/suites/suite.ts';

export interface Trials {
  readonly accepted?: (question: SuiteQuestion) => readonly string[];
  readonly rejected: (question: SuiteQuestion) => readonly string[];
  readonly manyRightAnswers?: string;
}

/** An answer with blanks at both ends. */
export const padded = ({ answer }: SuiteQuestion) => [`  ${answer}\n`, `\t${answer}\r\n`];

const integer: Trials = {
  rejected: ({ answer }) => [
    `${Number(answer) + 1}`,
    `${Number(answer) - 1}`,
    `${answer}.0`,
    `+${answer}`,
    `0${answer}`,
    `${answer} of them`,
    `${Number(answer) - 1}, ${answer}`,
    `<<<${answer}>>>`,
    `${answer}\u0661`,
  ],
};

/** One of two words. */
const either = (yes: string, no: string): Trials => ({
  rejected: ({ answer }) => [
    answer === yes ? no : yes,
    `${yes} or ${no}`,
    `${yes}, ${no}`,
    `${answer}.`,
    answer.toUpperCase(),
    answer.slice(0, 1),
    `${answer}\u200b`,
  ],
});

/** A word of which the case does not count. */
const word: Trials = {
  accepted: (q) => [q.answer.toUpperCase(), q.answer.toLowerCase(), ...padded(q)],
  rejected: ({ answer }) => [
    answer.slice(0, -1),
    answer.slice(1),
    `${answer}.`,
    `"${answer}"`,
    `The answer is ${answer}`,
    `${answer}, ${answer}`,
    `${answer}\u200b`,
  ],
};

/** A word whose letters may stand apart. */
const spelt: Trials = { ...word, accepted: (q) => [...word.accepted!(q), [...q.answer].join(' ')] };

const firstLine = (text: string) => text.split('\n')[0]!;
const swapped = (text: string, a: string, b: string) =>
  text.replaceAll(a, '\u0000').replaceAll(b, a).replaceAll('\u0000', b);

/** A board of several lines. */
const board: Trials = {
  rejected: ({ answer }) => [
    firstLine(answer),
    answer.slice(0, answer.lastIndexOf('\n')),
    `${answer}\n${firstLine(answer)}`,
    answer.replaceAll('\n', ' '),
    `\`\`\`\n${answer}\n\`\`\``,
    `Solution:\n${answer}`,
    swapped(answer, '1', '2') === answer ? swapped(answer, '✅', '❌') : swapped(answer, '1', '2'),
    answer.slice(0, -1),
  ],
};

/** Rush hour moves, each split into moves by one cell. */
const slowly = (moves: string) =>
  moves
    .split(' ')
    .flatMap((move) => Array.from({ length: Number(move[2]) }, () => `${move.slice(0, 2)}1`))
    .join(' ');

export const puzzleTrials: Readonly<Record<string, Trials>> = {
  aiw: integer,
  circuit_logic: { rejected: (q) => [...integer.rejected(q), q.answer === '0' ? '1' : '0', 'False'] },
  knights_knaves: {
    accepted: (q) => {
      const [one, two] = q.answer.slice(0, -1).split(', and ') as [string, string];
      return [
        ...padded(q),
        q.answer.slice(0, -1),
        q.answer.toUpperCase(),
        `${two} and ${one}`,
        `${one}, ${two}.`,
        `${one},\nand ${two}`,
        `${two}.\n${one}.`,
      ];
    },
    rejected: (q) => {
      const [one, two] = q.answer.slice(0, -1).split(', and ') as [string, string];
      const [first, second] = [one.split(' '), two.split(' ')];
      const says = (i: string[], role: string[]) => `${i[0]} is ${role.slice(2).join(' ')}`;
      return [
        one,
        `${one}, and ${one}`,
        ...(first[3] === second[3]
          ? []
          : [`${one}, and ${says(second, first)}`, `${says(first, second)}, and ${says(second, first)}`]),
        `${one}, and ${two}, and ${says(second, first)}`,
        `${one}, and ${two}, and ${one}`,
        `${one}, and ${second[0]} is not ${second.slice(2).join(' ')}`,
        `${first[0]} ${first[3]} ${second[0]} ${second[3]}`,
        `${one} or ${two}`,
        `${one}, and ${two}, and Nobody is a knight`,
        `The answer is ${q.answer}`,
        `${q.answer}${'.'.repeat(200)} ${one}`,
      ];
    },
  },
  propositional_logic: {
    accepted: (q) => {
      const premises = q.meta!.premises as string[];
      return [
        ...padded(q),
        `(${q.answer})`,
        `¬¬(${q.answer})`,
        `((${q.answer})) ∧ (${q.answer})`,
        q.answer.replaceAll(' ', ''),
        premises.map((premise) => `(${premise})`).join(' ∧ '),
      ];
    },
    rejected: (q) => {
      const [p] = q.meta!.variables as [string];
      return [
        p,
        `(${p})`,
        `${p} ∨ ¬${p}`,
        `${p} → ${p}`,
        `(${q.answer}) ∨ ${p} ∨ ¬${p}`,
        `(${q.answer}) ∨ Z`,
        `${q.answer} ∨`,
        `(${q.answer}`,
        `${q.answer})`,
        `${q.answer}, ${q.answer}`,
        `∴ ${q.answer}`,
        q.answer.toLowerCase(),
        `${'¬'.repeat(100)}(${q.answer})`,
        '⊥',
      ];
    },
    manyRightAnswers: 'whatever follows is right, so short conclusions are right for several questions',
  },
  self_reference: integer,
  syllogism: either('Yes', 'No'),
  zebra_puzzles: { ...word, rejected: (q) => [...word.rejected(q), 'alice, bob, carol, arnold', 'zoe'] },
  color_cube_rotation: { ...word, rejected: (q) => [...word.rejected(q), 'red blue', 'colour'] },
  figlet_font: spelt,
  modulo_grid: board,
  needle_haystack: spelt,
  number_sequence: integer,
  rectangle_count: integer,
  rubiks_cube: {
    accepted: ({ answer }) => [
      answer.replaceAll(' ', '  \n'),
      `${answer} X Y' Z`,
      `R R' ${answer}`,
      `Uw Uw' ${answer} L2 L L`,
      answer
        .split(' ')
        .map((move) => (move.endsWith("'") ? `${move[0]} ${move[0]} ${move[0]}` : move))
        .join(' '),
    ],
    rejected: ({ answer }) => [
      'R U',
      "U U'",
      answer.toLowerCase(),
      answer.split(' ').slice(0, -1).concat('').join(' '),
      `${answer} F`,
      `${answer}, done`,
      `1. ${answer}`,
      answer.replaceAll("'", '\u2019').concat(' \u2019'),
      `${answer} U9999999999`,
      `${answer} Q`,
      answer.split(' ').join(',').concat(','),
    ],
    manyRightAnswers: 'two scrambles may leave cubes that the same moves solve',
  },
  course_schedule: either('True', 'False'),
  family_relationships: { ...word, rejected: (q) => [...word.rejected(q), 'cousin', 'mother or father'] },
  largest_island: integer,
  quantum_lock: {
    accepted: ({ answer }) => [
      answer.replaceAll(' ', ''),
      answer.replaceAll(' → ', ''),
      answer.replaceAll('→', '->'),
      answer.replaceAll(' → ', ', '),
      answer.toLowerCase(),
    ],
    rejected: ({ answer }) =>
      [
        `${answer} → A`,
        answer.slice(0, -4).concat('D'),
        answer.slice(4).concat(' → D'),
        `${answer} →`,
        `→ ${answer}`,
        answer.replaceAll('→', '→ →'),
        answer.replaceAll('→', 'then'),
        `Press ${answer}`,
        `${answer}.`,
      ].filter((text) => text !== answer),
    manyRightAnswers: 'every sequence of the shortest length that arrives is right',
  },
  shortest_path: {
    accepted: (q) => [...padded(q), q.answer.replaceAll(' ', '\n'), q.answer.replaceAll(' ', '   ')],
    rejected: ({ answer }) => [
      answer === 'infeasible' ? 'up' : 'infeasible',
      answer === 'infeasible' ? 'down left' : `${answer} infeasible`,
      `${answer} up down`,
      `left right ${answer}`,
      answer.toUpperCase(),
      `${answer}.`,
      `"${answer}"`,
      `${answer} north`,
      answer.replaceAll(' ', ', ').concat(','),
      'up '.repeat(100),
    ],
    manyRightAnswers: 'a shortest path of one grid may fit another grid',
  },
  countdown: {
    accepted: ({ answer }) => [answer.replaceAll(' ', ''), `(${answer})`, `-(-(${answer}))`],
    rejected: (q) => {
      const { numbers, target } = q.meta as unknown as { numbers: number[]; target: number };
      const sum = numbers.reduce((a, b) => a + b);
      return [
        ...(sum === target ? [] : [numbers.join(' + ')]),
        `${target}`,
        `${q.answer} + 0`,
        `(${q.answer}) * 1`,
        `${q.answer} = ${target}`,
        `${q.answer} + ${numbers[0]} - ${numbers[0]}`,
        `${target} + 0 * (${numbers.join(' + ')})`,
        `${q.answer}!`,
        `(${q.answer}) ** 1`,
        `${q.answer} // 1`,
        `${q.answer} - 0.0001`,
        q.answer.replace(String(numbers[0]), `0${numbers[0]}`),
        q.answer.replace(String(numbers[0]), `(${numbers[0]}`),
        `${q.answer} /* */`,
        `${q.answer}/(${numbers[0]}-${numbers[0]})`,
      ];
    },
  },
  emoji_mystery: {
    rejected: ({ answer, prompt }) => [
      answer.slice(0, -1),
      answer.slice(1),
      answer.toUpperCase(),
      answer.replace(' ', '  '),
      `"${answer}"`,
      `The sentence is: ${answer}`,
      [...answer].reverse().join(''),
      prompt.split('\n')[2]!,
    ],
  },
  futoshiki: {
    accepted: (q) => [
      ...padded(q),
      q.answer
        .split('\n')
        .map((line) => line.trimEnd())
        .join('\n'),
    ],
    rejected: (q) => [
      ...board.rejected(q),
      q.answer
        .split('\n')
        .filter((line) => /[0-9]/.test(line))
        .join('\n'),
      q.answer.replaceAll(' ', ''),
    ],
  },
  knight_swap: {
    accepted: (q) =>
      q.answer === 'No'
        ? ['no', ' NO\n']
        : [JSON.stringify(JSON.parse(q.answer), null, 2), q.answer.replaceAll(', ', ',')],
    rejected: (q) => {
      const possible = q.answer !== 'No';
      const moves = possible ? (JSON.parse(q.answer) as string[]) : ['w,A1,B3'];
      const [color, from, to] = moves[0]!.split(',') as [string, string, string];
      return [
        possible ? 'No' : 'Yes',
        'No.',
        'impossible',
        JSON.stringify(moves.slice(0, -1)),
        JSON.stringify(moves.slice(1)),
        JSON.stringify([...moves, `${color},${from},${to}`]),
        JSON.stringify([`${color},${from},${from}`]),
        JSON.stringify([`${color},${to},${from}`, ...moves.slice(1)]),
        JSON.stringify([`${color},${from},Z9`, ...moves.slice(1)]),
        JSON.stringify([`${color},${from},${to},x`, ...moves.slice(1)]),
        JSON.stringify([[color, from, to], ...moves.slice(1)]),
        JSON.stringify(moves.join(' ')),
        JSON.stringify(['w,__proto__,constructor']),
        moves.join('\n'),
      ];
    },
  },
  maze: integer,
  mini_sudoku: {
    accepted: (q) => [...padded(q), q.answer.replaceAll('\n', '  \n')],
    rejected: (q) => [
      ...board.rejected(q),
      q.answer.replaceAll(' ', ''),
      q.answer.replaceAll(' ', ', '),
      q.answer.split('\n').reverse().join('\n'),
    ],
  },
  rush_hour: {
    accepted: (q) => [
      ...padded(q),
      q.answer.replaceAll(' ', '\n'),
      q.answer.replaceAll(' ', ', '),
      slowly(q.answer),
    ],
    rejected: ({ answer }) => [
      answer.slice(0, answer.lastIndexOf('A')).concat('A+5'),
      answer.split(' ').slice(0, -1).concat('A-5').join(' '),
      `A+5 ${answer}`,
      `Z+1 ${answer}`,
      `${answer} A+1`,
      `x+1 ${answer}`,
      answer.replaceAll('+', '+0'),
      answer.replaceAll(/[+-]/g, ''),
      answer.toLowerCase(),
      `Moves: ${answer}`,
      `${answer}.`,
      'A+1 '.repeat(5000),
      [...'ABCDEFGHIJKLM'].flatMap((c) => [`${c}+1`, `${c}-1`]).join(' '),
    ],
    manyRightAnswers: 'easy boards share solutions',
  },
  sokoban: {
    accepted: (q) => padded(q),
    rejected: ({ answer }) =>
      [
        answer.slice(0, -1),
        answer.toLowerCase(),
        answer.split('').join(' '),
        `${'U'.repeat(30)}${answer}`,
        `${answer}X`,
        `The answer is ${answer}`,
        `${'LURD'.repeat(1000)}`,
        swapped(swapped(answer, 'L', 'R'), 'U', 'D'),
        `"${answer}"`,
      ].filter((text) => text !== answer),
    manyRightAnswers: 'short solutions may fit several boards',
  },
  tower_of_hanoi: {
    accepted: (q) => [...padded(q), q.answer.replaceAll('\n', '\n\n'), q.answer.replaceAll('\n', '  \r\n ')],
    rejected: ({ answer }) => {
      const moves = answer.split('\n');
      const [peg, other] = [/from (Peg [0-9])/.exec(answer)![1]!, /to (Peg [0-9])/.exec(answer)![1]!];
      return [
        moves.slice(0, -1).join('\n'),
        moves.slice(1).join('\n'),
        [...moves].reverse().join('\n'),
        `Move disk 1 from ${peg} to ${peg}\n${answer}`,
        `Move disk 1 from ${peg} to ${other}\nMove disk 1 from ${other} to ${peg}\n${answer}`,
        answer.replaceAll('disk', 'disc'),
        answer.toLowerCase(),
        moves.join('. '),
        moves.map((move, i) => `${i + 1}. ${move}`).join('\n'),
        `Move disk 99 from ${peg} to ${other}`,
        `Move disk 2 from ${peg} to Peg 9\n${answer}`,
      ];
    },
  },
  tsumego: {
    accepted: (q) => [...padded(q), q.answer.toLowerCase()],
    rejected: ({ answer }) => [
      `${answer}0`,
      `Z${answer.slice(1)}`,
      `${answer[0]}0`,
      answer.slice(1),
      [...answer].reverse().join(''),
      `${answer[0]} ${answer.slice(1)}`,
      `Black ${answer}`,
      'A1 B1 C1 D1 E1 F1 G1 H1 I1 J1',
    ],
  },
};
