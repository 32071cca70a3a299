/**
 * SymBench tasks whose answer says where something is: pattern_recognition (row and column) and letters (how often and
 * where a letter stands in a word).
 */
import { accepted, rejected, screenAnswer, type Verdict } from '../../answer.ts';
import { listOf, readList } from '../lists.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { drawSquare } from './squares.ts';

/** `Count: 2, Positions: [1, 3]`, also as a JSON object; the list is read by `readList`. */
const kCountAndPositions =
  /^(\{?) ?["']?count["']? ?[:=] ?([0-9]+) ?[,;]? ?["']?positions?["']? ?[:=] ?([^{}]+)(\}?)$/i;

interface Occurrences {
  count: string;
  positions: readonly string[];
}

function readOccurrences(text: string, most: number): Occurrences | undefined {
  const found = kCountAndPositions.exec(text.replace(/[ \t\r\n]+/g, ' '));
  if (found === null) return undefined;
  const [, open = '', count = '', list = '', close = ''] = found;
  const positions = readList(list.trim(), most);
  if ((open === '') !== (close === '') || positions?.rows !== undefined) return undefined;
  return positions && { count, positions: positions.items };
}

const patternRecognition: SuiteTask = {
  name: 'pattern_recognition',
  description: 'the bottom right corner of the square of equal letters in a matrix',
  metaKeys: [],
  verify({ answer: expected }, answer): Verdict {
    const found = listOf(answer, 2);
    if ('correct' in found) return found;
    if (found.items.length !== 2 || found.rows !== undefined) return rejected('not one row and one column');
    const [row, column] = readList(expected, 2)!.items;
    return found.items[0] === row && found.items[1] === column ? accepted : rejected('another place');
  },
  generate: drawSquare,
};

const letters: SuiteTask = {
  name: 'letters',
  description: 'how often and at which positions a letter stands in a word',
  metaKeys: [],
  verify({ answer: expected }, answer): Verdict {
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const wanted = readOccurrences(expected, kLongestAnswer)!;
    const found = readOccurrences(screened, wanted.positions.length);
    if (found === undefined) return rejected('not "Count: X, Positions: [Y, Z, ...]" with so few positions');
    if (found.count !== wanted.count) return rejected('a different count');
    // As many different positions as asked for, each of them right: in any order, none twice.
    const places = new Set(found.positions);
    return places.size === wanted.positions.length &&
      found.positions.length === places.size &&
      wanted.positions.every((position) => places.has(position))
      ? accepted
      : rejected('different positions');
  },
};

export const positionTasks: readonly SuiteTask[] = [patternRecognition, letters];
