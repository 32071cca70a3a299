/**
 * For every SymBench task that is checked by rules: right answers written otherwise, and wrong ones of the task's own kind, made
 * from the canonical answer of a question without asking the verifier.
 */
import type { SuiteQuestion } from '../../lib/tasks/suites/suite.ts';
import type { BlocksworldMeta } from '../../lib/tasks/suites/symbench/Blocksworld.ts';
import type { BoxLiftMeta } from '../../lib/tasks/suites/symbench/BoxLift.ts';
import type { BoxNet1Meta } from '../../lib/tasks/suites/symbench/BoxNet1.ts';
import type { CombinatorialCalculationMeta } from '../../lib/tasks/suites/symbench/combinatorial_calculation.ts';
import type { EightQueensMeta } from '../../lib/tasks/suites/symbench/eight_queens.ts';
import type { Game24Meta } from '../../lib/tasks/suites/symbench/game24.ts';
import type { LogicPuzzleMeta } from '../../lib/tasks/suites/symbench/logic_puzzle.ts';
import type { PathPlanMeta } from '../../lib/tasks/suites/symbench/path_plan.ts';

export interface AnswerCases {
  accepted(question: SuiteQuestion): readonly string[];
  rejected(question: SuiteQuestion): readonly string[];
  /** Where any of several answers is right: the reason. */
  readonly manyRightAnswers?: string;
}

/** The words and numbers of an answer: brackets, quotes, commas and blanks dropped. */
function itemsOf(answer: string): string[] {
  return answer.split(/[^A-Za-z0-9*.-]+/).filter((item) => item !== '');
}

/** The list with one item replaced. */
function withItem<T>(list: readonly T[], index: number, item: T): T[] {
  return list.map((other, i) => (i === index ? item : other));
}

/** The list in which items i and j have changed places. */
function swapped<T>(list: readonly T[], i: number, j: number): T[] {
  return withItem(withItem(list, i, list[j]!), j, list[i]!);
}

/** Consecutive groups of `width` items. */
function rowsOf<T>(items: readonly T[], width: number): T[][] {
  return Array.from({ length: items.length / width }, (_, i) => items.slice(width * i, width * (i + 1)));
}

/** Ways to write a flat list. */
function listForms(items: readonly string[]): string[] {
  return [
    items.join(' '),
    items.join(','),
    ` [${items.join(', ')}]\n`,
    `(${items.join(', ')})`,
    items.join('\n'),
    `[${items.map((item) => `'${item}'`).join(', ')}]`,
  ];
}

/** Ways to write a list of pairs. */
function pairForms(items: readonly string[]): string[] {
  const pairs = rowsOf(items, 2);
  return [
    pairs.map((pair) => pair.join(' ')).join(', '),
    pairs.map((pair) => pair.join(' ')).join('\n'),
    pairs.map((pair) => `(${pair.join(', ')})`).join(', '),
    `[${pairs.map((pair) => `[${pair.join(', ')}]`).join(', ')}]`,
    `[${pairs.map((pair) => `(${pair.join(',')})`).join(', ')}]`,
  ];
}

/** Ways to write a square of one-character symbols. */
function gridForms(cells: readonly string[], width: number): string[] {
  const rows = rowsOf(cells, width);
  return [
    cells.join(','),
    cells.join(' '),
    rows.map((row) => row.join('')).join('\n'),
    rows.map((row) => row.join(',')).join('\n'),
    `[${rows.map((row) => `[${row.map((cell) => `"${cell}"`).join(', ')}]`).join(', ')}]`,
  ];
}

/** Wrong squares: cells missing, too many, empty, changed, rows of another length. */
function wrongGrids(cells: readonly string[], width: number, other: (cell: string) => string): string[] {
  const all = cells.join(',');
  return [
    cells.slice(1).join(','),
    `${all},${cells[0]}`,
    cells.slice(0, -width).join(','),
    all.replace(',', ',,'),
    withItem(cells, 0, ' ').join(','),
    withItem(cells, 0, other(cells[0]!)).join(','),
    withItem(cells, cells.length - 1, other(cells.at(-1)!)).join(','),
    cells.map(other).join(','),
    `[[${cells.slice(0, width + 1).join(',')}], [${cells.slice(width + 1).join(',')}]]`,
    `${all}\n\n${all}`,
    `${all}\nor\n${cells.map(other).join(',')}`,
    `the answer is ${all}`,
  ];
}

const game24: AnswerCases = {
  manyRightAnswers: 'any expression that is 24 is right',
  accepted: ({ answer }) => [
    ` ${answer} `,
    `(${answer})`,
    `${answer} = 24`,
    `${answer}=24`,
    [...answer].join(' ').replace(/([0-9]) (?=[0-9])/g, '$1'),
    answer.replaceAll('*', '\u00d7').replaceAll('/', '\u00f7').replaceAll('-', '\u2212'),
  ],
  rejected: ({ answer, meta }) => {
    const { numbers } = meta as Game24Meta;
    return [
      '24',
      '24 = 24',
      `${answer} + 0`,
      `${answer} * 1`,
      `(${answer}) / (${answer}) * 24`,
      `${answer} = 25`,
      `${answer} = 24 = 24`,
      `24 = ${answer}`,
      numbers.join(' '),
      numbers.join(''),
      numbers.join('+'),
      `${numbers.join('+')}=24`,
      answer.replace(/[0-9]+/, '$&.0'),
      answer.replace(/[0-9]+/, '-$&'),
      `${answer}, ${answer}`,
      `${answer}; 1`,
      `eval("${answer}")`,
      `print(${answer})`,
      `[${numbers.join(', ')}]`,
    ].filter((text) => !(text === numbers.join('+') && numbers.reduce((a, b) => a + b) === 24));
  },
};

const combinatorialCalculation: AnswerCases = {
  manyRightAnswers: 'any expression with the same value is right',
  accepted: ({ answer, meta }) => {
    const { target } = meta as CombinatorialCalculationMeta;
    const tokens = answer.slice(1, -1).split(', ');
    return [
      tokens.join(''),
      tokens.join(' '),
      `[${tokens.map((token) => `"${token}"`).join(', ')}]`,
      `[${tokens.map((token) => `'${token}'`).join(',')}]`,
      `[(, ${tokens.join(', ')}, )]`,
      `${tokens.join('')} = ${target}`,
    ];
  },
  rejected: ({ answer, meta }) => {
    const { numbers, target } = meta as CombinatorialCalculationMeta;
    const tokens = answer.slice(1, -1).split(', ');
    return [
      String(target),
      `[${target}]`,
      `${target} = ${target}`,
      `[${numbers.join(', ')}]`,
      numbers.join(''),
      `[${tokens.join(', ')}, +, 0]`,
      `[${tokens.join(', ')}, *, 1]`,
      `[0, +, ${tokens.join(', ')}]`,
      `[${[...tokens].reverse().join(', ')}]`,
      `[${tokens.slice(0, -1).join(', ')}]`,
      `[${tokens.slice(0, -1).join(', ')}, 10]`,
      `[${tokens.join(', ')}] = ${target + 1}`,
      `[(, ${tokens.join(', ')}]`,
      `[${tokens.join(', ')}, )]`,
      `[${tokens.join(', ')}], [${tokens.join(', ')}]`,
      `[${target}, -, 0, *, (, ${tokens.join(', ')}, )]`,
      `[[${tokens.join(', ')}]]`,
    ];
  },
};

const logicalEquation: AnswerCases = {
  manyRightAnswers: 'any assignment that keeps the relations is right',
  accepted: ({ answer }) => listForms(itemsOf(answer)),
  rejected: ({ answer }) => {
    const values = itemsOf(answer);
    return [
      values.slice(1).join(', '),
      [...values, values[0]].join(', '),
      withItem(values, 0, values[1]!).join(', '),
      withItem(values, values.length - 1, values[0]!).join(', '),
      withItem(values, 0, `${values[0]}.0`).join(', '),
      withItem(values, 0, `0${values[0]}`).join(', '),
      withItem(values, 0, `-${values[0]}`).join(', '),
      [...values].sort((a, b) => Number(a) - Number(b)).join(', '),
      [...values].reverse().join(', '),
      [...values.slice(1), values[0]].join(', '),
      values.map((value, i) => `${'ABCDEFGHIJKLMNOP'[i]} = ${value}`).join(', '),
      `[${values.join(', ')}], [${[...values].reverse().join(', ')}]`,
      values.join(''),
    ];
  },
};

const eightQueens: AnswerCases = {
  manyRightAnswers: 'any board without attacks is right',
  accepted: ({ answer }) => [
    ...pairForms(itemsOf(answer)),
    ...pairForms(itemsOf(answer).reverse()).slice(0, 0),
  ],
  rejected: ({ answer, meta }) => {
    const { board } = meta as EightQueensMeta;
    const size = board.length;
    const queens = rowsOf(itemsOf(answer), 2);
    const shown = (cells: readonly (readonly (string | number)[])[]) =>
      cells.map((cell) => cell.join(' ')).join(', ');
    const blocked = board.flatMap((row, r) => [...row].flatMap((cell, c) => (cell === 'X' ? [[r, c]] : [])));
    return [
      shown(queens.slice(1)),
      shown([...queens, queens[0]!]),
      shown(withItem(queens, 0, queens[1]!)),
      shown(queens.map(([row]) => [row!, 0])),
      shown(queens.map((_, i) => [i, i])),
      shown(queens.map(([, column]) => [0, column!])),
      shown(withItem(queens, 0, [String(size), queens[0]![1]!])),
      shown(withItem(queens, 0, ['-1', queens[0]![1]!])),
      shown(queens.map(([row, column]) => [Number(row) + 1, Number(column) + 1])),
      ...blocked.map((cell) => shown(withItem(queens, cell[0]!, cell.map(String)))),
      queens.map((cell) => cell.join('')).join(', '),
      queens.map((cell) => cell[1]).join(', '),
      `${shown(queens)}, and none else`,
      'no valid solution found',
    ];
  },
};

const standardSudoku: AnswerCases = {
  accepted: ({ answer }) => [...gridForms(itemsOf(answer), 9), itemsOf(answer).join('')],
  rejected: ({ answer }) => {
    const cells = itemsOf(answer);
    const rows = rowsOf(cells, 9);
    return [
      ...wrongGrids(cells, 9, (cell) => String((Number(cell) % 9) + 1)),
      withItem(cells, 0, '0').join(','),
      swapped(rows, 0, 1).flat().join(','),
      swapped(rows, 0, 8).flat().join(','),
      rows[0]!.flatMap((_, i) => rows.map((row) => row[i]!)).join(','),
      rows.map(() => '123456789').join('\n'),
    ];
  },
};

const letterLogicDiagram: AnswerCases = {
  manyRightAnswers: 'any completion is right',
  accepted: ({ answer }) => gridForms(itemsOf(answer.replaceAll('\n', ',')), 7),
  rejected: ({ answer }) => {
    const cells = itemsOf(answer.replaceAll('\n', ','));
    const rows = rowsOf(cells, 7);
    return [
      ...wrongGrids(cells, 7, (cell) => 'bcdefga'['abcdefg'.indexOf(cell)]!),
      answer.toUpperCase(),
      swapped(rows, 0, 1).flat().join(','),
      swapped(rows, 2, 5).flat().join(','),
      rows.map((row) => swapped(row, 0, 3).join(',')).join('\n'),
      rows.map(() => 'a,b,c,d,e,f,g').join('\n'),
    ];
  },
};

const reversi: AnswerCases = {
  accepted: ({ answer }) => gridForms(answer.split(','), Math.sqrt(answer.split(',').length)),
  rejected: ({ answer, prompt }) => {
    const cells = answer.split(',');
    const width = Math.sqrt(cells.length);
    const before = prompt.split('\n').filter((line) => /^[01*]+$/.test(line));
    return [
      ...wrongGrids(cells, width, (cell) => (cell === '0' ? '1' : '0')),
      before.join('\n'),
      cells.map((cell) => (cell === '*' ? '*' : cell === '0' ? '1' : '0')).join(','),
      answer.replaceAll('*', '.'),
      cells.map(() => '*').join(','),
    ];
  },
};

const cryptanalysis: AnswerCases = {
  accepted: ({ answer }) => [...listForms(itemsOf(answer)), itemsOf(answer).join(''), ` ${answer} `],
  rejected: ({ answer }) => {
    const [a, b, c, d] = itemsOf(answer) as [string, string, string, string];
    return [
      `${b}${a}${c}${d}`,
      `${a}${b}${d}${c}`,
      `${c}${d}${a}${b}`,
      `${a}${b}${c}`,
      `${a}${b}${c}${d}${a}`,
      `${a}${b}${c}${d.toLowerCase()}`,
      `${a}${a}${c}${d}`,
      `${a}, ${b}`,
      `["${a}", "${b}", "${c}", "*"]`,
      `${a}${b}${c}${d} or ${b}${a}${c}${d}`,
      `password: ${a}${b}${c}${d}`,
    ];
  },
};

const logicPuzzle: AnswerCases = {
  manyRightAnswers: 'any choice that keeps the rules is right',
  accepted: ({ answer }) => [
    ...pairForms(itemsOf(answer)),
    pairForms(rowsOf(itemsOf(answer), 2).reverse().flat())[0]!,
  ],
  rejected: ({ answer, meta }) => {
    const { grid } = meta as LogicPuzzleMeta;
    const cells = rowsOf(itemsOf(answer), 2);
    const shown = (list: readonly (readonly string[])[]) => list.map((cell) => cell.join(' ')).join(', ');
    const numberAt = ([row, column]: readonly string[]) => grid[Number(row)]![Number(column)]!;
    const free = grid.flatMap((line, r) => line.map((_, c) => [String(r), String(c)]));
    // Another cell with a number that is already chosen, if there is one.
    const again = free.find(
      (cell) =>
        !cells.some((other) => other.join() === cell.join()) &&
        cells.slice(0, -1).some((other) => numberAt(other) === numberAt(cell)),
    );
    return [
      shown(cells.slice(1)),
      shown(cells.slice(0, -1)),
      shown([...cells, cells[0]!]),
      shown(withItem(cells, 1, cells[0]!)),
      shown(withItem(cells, 0, cells[1]!)),
      shown(withItem(cells, 0, [String(grid.length), '0'])),
      shown(withItem(cells, 0, ['0', '-1'])),
      ...(again === undefined ? [] : [shown(withItem(cells, cells.length - 1, again))]),
      shown(cells.map(([row, column]) => [String(Number(row) + 1), String(Number(column) + 1)])),
      cells.map(numberAt).join(', '),
      shown(cells.map(() => cells[0]!)),
      `choose ${shown(cells)}`,
    ];
  },
};

const constrainedLinearArrangement: AnswerCases = {
  manyRightAnswers: 'any cards that give the results are right',
  accepted: ({ answer }) => [...listForms(itemsOf(answer)), answer.replaceAll(',', '')],
  rejected: ({ answer }) => {
    const cards = itemsOf(answer);
    return [
      cards.slice(1).join(','),
      cards.slice(0, -1).join(','),
      [...cards, cards[0]].join(','),
      cards.map(() => cards[0]).join(','),
      withItem(cards, 0, cards[1]!).join(','),
      withItem(cards, 0, 'Z').join(','),
      withItem(cards, 0, cards[0]!.toLowerCase()).join(','),
      withItem(cards, 0, '').join(','),
      cards.map((card, i) => `Round ${i + 1}: ${card}`).join('\n'),
      `${cards.join(',')} or ${[...cards].reverse().join(',')}`,
      `${cards.join(',')}, draw`,
    ];
  },
};

const permutationsAndCombinations: AnswerCases = {
  manyRightAnswers: 'any order that keeps the constraints is right',
  accepted: ({ answer }) => [...listForms(itemsOf(answer)), itemsOf(answer).join('')],
  rejected: ({ answer }) => {
    const books = itemsOf(answer);
    return [
      [...books].reverse().join(', '),
      books.slice(1).join(', '),
      [...books, books[0]].join(', '),
      withItem(books, 0, books[1]!).join(', '),
      withItem(books, 0, 'Z').join(', '),
      books.join(', ').toLowerCase(),
      books.map(() => books[0]).join(', '),
      books.map((book, i) => `${i + 1}: ${book}`).join(', '),
      `${books.join(', ')}; ${[...books].reverse().join(', ')}`,
      `Book ${books.join(', Book ')}`,
    ];
  },
};

const blocksworld: AnswerCases = {
  manyRightAnswers: 'any plan that reaches the goal is right',
  accepted: ({ answer }) => {
    const moves = answer.split('\n');
    return [
      answer.replaceAll('stack', ''),
      answer.replaceAll('stack', 'stack '),
      answer.toLowerCase().replace(/move ([a-e])/g, (_, block: string) => `move ${block.toUpperCase()}`),
      moves.join(', '),
      moves.join('; '),
      moves.map((move, i) => `${i + 1}. ${move}.`).join('\r\n'),
      moves.map((move, i) => `${i + 1}) ${move}`).join('\n\n'),
    ];
  },
  rejected: ({ answer, meta }) => {
    const { initial } = meta as BlocksworldMeta;
    const moves = answer.split('\n');
    const full = initial.findIndex((stack) => stack !== '');
    const empty = initial.indexOf('');
    const top = initial[full]!.at(-1)!;
    const covered = initial.flatMap((stack, i) =>
      [...stack.slice(0, -1)].map(
        (block) => `Move ${block} from stack${i + 1} to stack${((i + 1) % initial.length) + 1}`,
      ),
    );
    return [
      moves.slice(0, -1).join('\n'),
      moves.slice(1).join('\n'),
      `Move ${top} from stack${full + 1} to stack${full + 1}\n${answer}`,
      `Move ${top} from stack${full + 1} to stack${initial.length + 1}\n${answer}`,
      `Move ${top} from stack${full + 1} to table\n${answer}`,
      `Move Z from stack${full + 1} to stack${full === 0 ? 2 : 1}\n${answer}`,
      ...(empty < 0 ? [] : [`Move ${top} from stack${empty + 1} to stack${full + 1}\n${answer}`]),
      ...covered.map((move) => `${move}\n${answer}`),
      answer.replaceAll('Move', 'Put'),
      answer.replaceAll('from', 'off'),
      answer.replace('stack', 'stack0'),
      answer.replace(/stack[0-9]/, 'stack0'),
      `First, ${answer}`,
      `${answer}\nDone`,
      `${answer}\n7`,
    ];
  },
};

const boxLift: AnswerCases = {
  manyRightAnswers: 'any plan within the steps is right',
  accepted: ({ answer }) => {
    const steps = answer.split('\n').map((line) => line.slice(line.indexOf('[')));
    return [
      answer.replaceAll(' ', ''),
      answer.toLowerCase(),
      answer.replaceAll('\n', ', '),
      answer.replaceAll('(', '[').replaceAll(')', ']'),
      `[${steps.join(', ')}]`,
      `[\n${steps.join(',\n')}\n]`,
    ];
  },
  rejected: ({ answer, meta }) => {
    const { boxes, lifters } = meta as BoxLiftMeta;
    const steps = answer.split('\n');
    const first = steps[0]!;
    const next = `Step ${steps.length + 1}:`;
    return [
      steps.slice(0, -1).join('\n'),
      steps.slice(1).join('\n'),
      `${answer}\n${first.replace('Step 1:', next)}`,
      `${answer}\n${next} [(${boxes[0]}, [0])]`,
      answer.replace(/\[([0-9]+)/, '[-1, $1'),
      answer.replace(/\[([0-9]+)/, '[$1, $1'),
      answer.replace(/\[([0-9]+)/, `[${lifters.length}, $1`),
      answer.replace(/\(([0-9]+), \[[0-9, ]+\]/, '($1, [])'),
      answer.replace(/\(([0-9]+), \[[0-9, ]+\]/, '($1, "all")'),
      answer.replace(/\(([0-9]+)/, '(1'),
      answer.replaceAll(/\[[0-9, ]+\]/g, '[0]'),
      answer.replaceAll('Step', 'Stage'),
      answer.replace('Step 1', 'Step 2'),
      `Step 1: [${boxes.map((box) => `(${box}, [${lifters.map((_, i) => i).join(', ')}])`).join(', ')}]`,
      boxes.map((box, i) => `Step ${i + 1}: [(${box}, [${lifters.map((_, j) => j).join(', ')}])]`).join('\n'),
      `${answer}\nAll boxes are lifted.`,
    ];
  },
};

const boxNet1: AnswerCases = {
  manyRightAnswers: 'any plan that leaves no box is right',
  accepted: ({ answer }) => [
    answer.replaceAll('\n', ' '),
    answer.replaceAll(', ', ','),
    answer.replaceAll('"', "'"),
    JSON.stringify(JSON.parse(answer), null, 2),
  ],
  rejected: ({ answer, meta }) => {
    const { columns, squares } = meta as BoxNet1Meta;
    const steps = answer.slice(1, -1).split(',\n');
    const last = `[${Math.floor((squares.length - 1) / columns)}.5, ${(squares.length - 1) % columns}.5]`;
    const extra = (agent: string, action: string) =>
      `[${[...steps, `{"Agent${agent}": "${action}"}`].join(', ')}]`;
    return [
      `[${steps.slice(0, -1).join(', ')}]`,
      `[${steps.slice(1).join(', ')}]`,
      `[${[...steps, steps[0]].join(', ')}]`,
      steps.join(', '),
      steps[0]!,
      answer.slice(0, -1),
      extra('[0.5, 0.5]', 'move(box_red, target_red)'),
      extra('[0.5, 0.5]', 'move(box_red, square[0.5, 1.5])'),
      extra('[0.5, 0.5]', 'move(box_red, target_blue)'),
      extra(last, 'move(target_red, square[0.5, 0.5])'),
      extra('[9.5, 9.5]', 'move(box_red, target_red)'),
      extra('[0.5, 0.5]', 'stay'),
      answer.replace('{', '{"Agent[0.5, 0.5]": "move(box_red, square[0.5, 0.5])", '),
      answer.replace(/box_[a-z]+/, 'box_white'),
      answer.replace('Agent', 'Robot'),
      `${answer} done`,
    ];
  },
};

const pathPlan: AnswerCases = {
  manyRightAnswers: 'any path that keeps the instruction is right',
  accepted: ({ answer }) => {
    const numbers = itemsOf(answer);
    const points = rowsOf(numbers, 2);
    return [
      ...pairForms(numbers),
      answer.replace(/\(([^,]+), ([^)]+)\)/, '($1, $2), ($1, $2)'),
      pairForms(numbers.map((number) => Number(number).toFixed(4)))[2]!,
      pairForms(numbers.map((number) => `${Number(number).toFixed(6)}0000000004`))[2]!,
      // A point between the first two lies on the way.
      [
        points[0]!,
        [0, 1].map((axis) => String((Number(points[0]![axis]) + Number(points[1]![axis])) / 2)),
        ...points.slice(1),
      ]
        .map((point) => `(${point.join(', ')})`)
        .join(' '),
    ];
  },
  rejected: ({ answer, meta }) => {
    const { start, end, rooms, avoid, walls } = meta as PathPlanMeta;
    const points = rowsOf(itemsOf(answer), 2);
    const shown = (path: readonly (readonly (string | number)[])[]) =>
      `[${path.map((p) => `(${p.join(', ')})`).join(', ')}]`;
    const via = (x: number, y: number) => shown([start, [x, y], ...points.slice(1)]);
    return [
      shown([start, end]),
      shown([start]),
      shown([end]),
      shown([...points].reverse()),
      shown(points.slice(1)),
      shown(points.slice(0, -1)),
      shown([[start[0] + 0.001, start[1]], ...points.slice(1)]),
      shown([...points.slice(0, -1), [end[0], end[1] - 0.001]]),
      via(2, 0),
      via(0, -99),
      via(1.4, 1.4),
      ...walls.slice(4).map((wall) => via((wall[0] + wall[1]) / 2, (wall[2] + wall[3]) / 2)),
      ...avoid.map((colour) => via(rooms[colour]![0], rooms[colour]![2])),
      ...avoid.map((colour) => via(rooms[colour]![1], rooms[colour]![3])),
      shown(Object.values(rooms).map((room) => [room[0], room[2]])),
      shown(points.map(([x]) => [x!])),
      shown(points.map(([x, y]) => [x!, y!, 0])),
      shown(points.map(([x, y]) => [`${x}e0`, y!])),
      `${answer}, ${answer}`,
      `waypoints = ${answer}`,
    ];
  },
};

/** The answers to try, by task. */
export const constraintCases: Readonly<Record<string, AnswerCases>> = {
  game24,
  path_plan: pathPlan,
  BoxLift: boxLift,
  BoxNet1: boxNet1,
  Blocksworld: blocksworld,
  logical_equation: logicalEquation,
  eight_queens: eightQueens,
  standard_sudoku: standardSudoku,
  reversi,
  cryptanalysis,
  logic_puzzle: logicPuzzle,
  constrained_linear_arrangement: constrainedLinearArrangement,
  permutations_and_combinations: permutationsAndCombinations,
  letter_logic_diagram: letterLogicDiagram,
  combinatorial_calculation: combinatorialCalculation,
};
