/**
 * Puzzles with one right answer: an integer, a name, a colour, True or False, a filled grid.
 *
 * The package compares most of them with its answer character by character, after its own extraction has dropped blanks at
 * both ends; so here blanks at both ends do not count. What else does not count is what does not count there: upper and
 * lower case, or spaces between letters, or blanks at the ends of lines. `question.answer` is the right answer; nothing
 * is read from `meta`.
 */
import {
  accepted,
  type Comparison,
  compareText,
  compareTextIgnoringCase,
  rejected,
  screenAnswer,
  trimBlanks,
} from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';

/** A task whose canonical answers are printable ASCII. */
function asciiTask(name: string, description: string, compare: Comparison): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify({ answer: expected }, answer) {
      const screened = screenAnswer(answer, kLongestAnswer);
      return typeof screened === 'string' ? compare(expected, screened) : screened;
    },
  };
}

/** A task whose canonical answers hold emoji, signs or typographic quotes. */
function unicodeTask(name: string, description: string, compare: Comparison): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify({ answer: expected }, answer) {
      const trimmed = trimBlanks(answer);
      return trimmed === '' ? rejected('the answer is empty') : compare(expected, trimmed);
    },
  };
}

/** One word, perhaps spelt with spaces between its letters. */
const compareWord: Comparison = (expected, answer) =>
  compareTextIgnoringCase(expected, answer.replaceAll(' ', ''));

/** Lines whose blanks at the end do not count. */
const compareLines: Comparison = (expected, answer) => {
  const wanted = expected.split('\n');
  const lines = answer.split('\n', wanted.length + 1);
  const same =
    lines.length === wanted.length && wanted.every((line, i) => line.trimEnd() === lines[i]!.trimEnd());
  return same ? accepted : rejected('different lines');
};

export const aiw = asciiTask(
  'aiw',
  'how many sisters, friends or colleagues somebody has (Alice in Wonderland)',
  compareText,
);

export const circuitLogic = asciiTask(
  'circuit_logic',
  'the output, 0 or 1, of a logic circuit drawn in characters',
  compareText,
);

export const selfReference = asciiTask(
  'self_reference',
  'in how many ways statements about each other can be true or false',
  compareText,
);

export const syllogism = asciiTask(
  'syllogism',
  'whether a conclusion follows from two statements, Yes or No',
  compareText,
);

export const zebraPuzzles = asciiTask(
  'zebra_puzzles',
  'who lives in a house, from clues about four neighbours',
  compareTextIgnoringCase,
);

export const colorCubeRotation = asciiTask(
  'color_cube_rotation',
  'the colour of a side of a cube after rotations',
  compareTextIgnoringCase,
);

export const figletFont = asciiTask(
  'figlet_font',
  'read a word in large letters made of characters',
  compareWord,
);

export const moduloGrid = unicodeTask(
  'modulo_grid',
  'fill the holes of a grid of marks that follows a rule of remainders',
  compareText,
);

export const needleHaystack = asciiTask(
  'needle_haystack',
  'who of many people has a stated like or dislike',
  compareWord,
);

export const numberSequence = asciiTask('number_sequence', 'the next number of a sequence', compareText);

export const rectangleCount = asciiTask(
  'rectangle_count',
  'how many rectangles are drawn in a grid of characters',
  compareText,
);

export const courseSchedule = asciiTask(
  'course_schedule',
  'whether all courses can be taken, prerequisites first, True or False',
  compareText,
);

export const familyRelationships = asciiTask(
  'family_relationships',
  'how two members of a family are related, in one word',
  compareTextIgnoringCase,
);

export const largestIsland = asciiTask(
  'largest_island',
  'the area of the largest island in a grid',
  compareText,
);

export const maze = asciiTask('maze', 'the fewest steps through a maze of characters', compareText);

/** The sentences are from a book: dashes, quotes and accents outside ASCII are part of some of them. */
export const emojiMystery = unicodeTask(
  'emoji_mystery',
  'the sentence hidden in the variation selectors of an emoji',
  compareText,
);

/** Each board has one solution; the signs between its cells are part of the answer. */
export const futoshiki = unicodeTask(
  'futoshiki',
  'fill a Latin square that obeys signs of inequality, drawn like the puzzle',
  compareLines,
);

/** Each board has one solution. */
export const miniSudoku = asciiTask('mini_sudoku', 'fill a Sudoku of 4 x 4, one line a row', compareLines);

/** The package's key move; of several moves that capture stones it is the one that captures most. */
export const tsumego = asciiTask(
  'tsumego',
  "Black's move that captures white stones on a Go board, such as C4",
  compareTextIgnoringCase,
);
