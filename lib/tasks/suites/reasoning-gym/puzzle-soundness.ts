/**
 * Published puzzles to leave out of training: what the package takes for the answer is not the answer, so a right answer
 * would be punished. Found by reading the question as its text states it; the verifiers still accept the canonical answer.
 *
 * Two more have no answer at all and never become questions: propositional_logic where every premise is a tautology, and
 * rubiks_cube where the scramble undoes itself.
 */
import type { SuiteQuestion } from '../suite.ts';

/** `All A are B`, `No A are B`, `Some A are B` or `Some A are not B`. */
interface Statement {
  readonly quantifier: string;
  readonly negated: boolean;
  readonly subject: string;
  readonly predicate: string;
}

function readStatement(line: string): Statement {
  const match = /^(?:[12]\. )?(All|No|Some) (.+) are (not )?(.+?)\??$/.exec(line);
  if (match === null)
    throw new TypeError(`expected a statement of a syllogism, found ${JSON.stringify(line)}`);
  return { quantifier: match[1]!, subject: match[2]!, negated: match[3] !== undefined, predicate: match[4]! };
}

/**
 * Whether a conclusion follows from two statements about three terms: no world in which every term has members makes the
 * statements true and the conclusion false. A world is the set of the kinds of things in it, a kind the set of its terms.
 */
export function syllogismFollows(lines: readonly [string, string, string]): boolean {
  const [first, second, conclusion] = lines.map(readStatement) as [Statement, Statement, Statement];
  const terms = [...new Set([first, second].flatMap(({ subject, predicate }) => [subject, predicate]))];
  const kinds = Array.from({ length: 2 ** terms.length - 1 }, (_, i) => i + 1);
  const has = (kind: number, term: string) => ((kind >> terms.indexOf(term)) & 1) === 1;
  const holds = ({ quantifier, negated, subject, predicate }: Statement, world: readonly number[]) => {
    const members = world.filter((kind) => has(kind, subject));
    if (quantifier === 'All') return members.every((kind) => has(kind, predicate));
    if (quantifier === 'No') return members.every((kind) => !has(kind, predicate));
    return members.some((kind) => has(kind, predicate) !== negated);
  };
  for (let chosen = 0; chosen < 2 ** kinds.length; chosen++) {
    const world = kinds.filter((_, i) => ((chosen >> i) & 1) === 1);
    if (terms.some((term) => !world.some((kind) => has(kind, term)))) continue;
    if (holds(first, world) && holds(second, world) && !holds(conclusion, world)) return false;
  }
  return true;
}

/** How many white stones (O) a black stone at `move` (`C4`) captures; rows are from the top, row 1 is the last. */
export function stonesCaptured(board: readonly string[], move: string): number {
  const row = board.length - Number(move.slice(1));
  const column = move.charCodeAt(0) - 65;
  const at = (r: number, c: number) => (r === row && c === column ? 'X' : board[r]?.[c]);
  const around = (r: number, c: number) =>
    [
      [r - 1, c],
      [r + 1, c],
      [r, c - 1],
      [r, c + 1],
    ] as const;
  const captured = new Set<string>();
  for (const start of around(row, column)) {
    if (at(...start) !== 'O') continue;
    const group = new Map([[start.join(), start]]);
    let free = false;
    for (const stone of group.values()) {
      for (const next of around(...stone)) {
        if (at(...next) === '.') free = true;
        if (at(...next) === 'O') group.set(next.join(), next);
      }
    }
    if (!free) for (const key of group.keys()) captured.add(key);
  }
  return captured.size;
}

export const puzzleUnsound: readonly {
  readonly task: string;
  readonly reason: string;
  isUnsound(question: SuiteQuestion): boolean;
}[] = [
  {
    task: 'aiw',
    reason:
      'Matilda is among the female colleagues of two circles, and has those of both; the package counts one circle, and herself',
    isUnsound: ({ prompt, answer }) => {
      const circle = (pattern: RegExp) => Number(pattern.exec(prompt)?.[1] ?? Number.NaN);
      const first = circle(/she also has ([0-9]+) female colleagues/);
      const second = circle(/and ([0-9]+) female colleagues in total/);
      return prompt.includes('Matilda') && first + second - 1 !== Number(answer);
    },
  },
  {
    task: 'syllogism',
    reason:
      'the package takes conclusions for valid that do not follow: its rules do not ask for a distributed middle term',
    isUnsound: ({ prompt, answer }) => {
      const lines = prompt.split('\n').filter((line) => /^(?:[12]\. )?(?:All|No|Some) /.test(line));
      return syllogismFollows(lines as [string, string, string]) !== (answer === 'Yes');
    },
  },
  {
    task: 'tsumego',
    reason: 'the key move captures nothing: another white stone touches the group and gives it a liberty',
    isUnsound: ({ prompt, answer }) => {
      const board = prompt.split('\n').flatMap((line) => /^ ?[0-9]+ ([.XO ]+)$/.exec(line)?.[1] ?? []);
      return (
        stonesCaptured(
          board.map((line) => line.replaceAll(' ', '')),
          answer,
        ) === 0
      );
    },
  },
];
