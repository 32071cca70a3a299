/** Questions of the SymBench tasks pattern_recognition and letters: see records.ts. */
import { largestSquares } from '../../../lib/tasks/suites/symbench/squares.ts';
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

const patternRecognition: SymbenchSource = {
  task: 'pattern_recognition',
  files: ['pattern_recognition'],
  // The first line of the file holds the whole set again, as one array, and has no question.txt.
  read(record) {
    const found = publishedIn<{ row: number; column: number }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [lines = ''] = groupsIn(text, /If the matrix is\n\n(.*?)\n\nPlease/s);
    const matrix = lines.split('\n').map((line) => line.trim().split(' '));
    const [corner, ...others] = largestSquares(matrix);
    if (corner === undefined || others.length > 0)
      throw new Error(`${record.id}: expected one largest square`);
    return {
      content: lines,
      prompt: text,
      published: `[${solution.row}, ${solution.column}]`,
      recomputed: `[${corner.join(', ')}]`,
      meta: {},
    };
  },
};

const letters: SymbenchSource = {
  task: 'letters',
  files: ['letters'],
  read({ id, files }) {
    const word = JSON.parse(files['test_words.json'] ?? 'null') as unknown;
    if (typeof word !== 'string') throw new Error(`${id}: expected a word in test_words.json`);
    // `.../c_2_0`: the letter, how often it stands in the word, and a running number.
    const [letter = '', count = ''] = groupsIn(id, /\/([a-z])_([0-9]+)_[0-9]+$/);
    const positions = [...word].flatMap((other, i) => (other === letter ? [i + 1] : []));
    const answer = (n: number | string) => `Count: ${n}, Positions: [${positions.join(', ')}]`;
    return {
      content: `${letter} ${word}`,
      prompt: [
        `How often does the letter '${letter}' occur in the word '${word}', and at which positions?`,
        'The first letter of the word has position 1.',
        'Give the final answer as <<<Count: X, Positions: [Y, Z, ...]>>>, for example <<<Count: 2, Positions: [1, 3]>>>.',
      ].join('\n'),
      published: answer(count),
      recomputed: answer(positions.length),
      meta: {},
    };
  },
};

export const positionSources: readonly SymbenchSource[] = [patternRecognition, letters];
