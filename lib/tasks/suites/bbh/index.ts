/**
 * BIG-Bench Hard: 27 tasks, each with one right answer, in five forms. The whole answer must be that form; one pair of
 * quotes around it does not count.
 */
import {
  accepted,
  type Comparison,
  compareInteger,
  compareTextIgnoringCase,
  rejected,
  screenAnswer,
} from '../../answer.ts';
import { readList, withoutQuotes } from '../lists.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { verifyChoice } from './choices.ts';

/** What the answers of a task look like: a letter of the question's options, one of two words, ... */
export type BbhForm = 'option' | readonly [string, string] | 'integer' | 'brackets' | 'words';

/** A BBH task and the form of its answers. */
export interface BbhTask extends SuiteTask {
  readonly form: BbhForm;
}

/** One of two words, in any case; a hyphen before it (as in the list of options) or a full stop after it does not count. */
const compareWord: Comparison = (expected, answer) =>
  compareTextIgnoringCase(expected, answer.replace(/^- /, '').replace(/\.$/, ''));

/** Closing brackets in order, with any blanks between them. */
const compareBrackets: Comparison = (expected, answer) => {
  const squeeze = (text: string) => text.replace(/[ \t\r\n]+/g, '');
  return squeeze(answer) === squeeze(expected) ? accepted : rejected('different brackets');
};

/** Words in order, separated by blanks or commas, capitals or not. */
const compareWords: Comparison = (expected, answer) => {
  const wanted = expected.split(' ');
  const found = readList(answer.toLowerCase(), wanted.length);
  if (found === undefined || found.rows !== undefined) {
    return rejected(`not a list of at most ${wanted.length} words`);
  }
  if (found.items.length !== wanted.length) return rejected(`not ${wanted.length} words`);
  const wrong = wanted.findIndex((word, i) => word.toLowerCase() !== found.items[i]);
  return wrong < 0 ? accepted : rejected(`word ${wrong + 1} is wrong`);
};

function bbhTask(name: string, form: BbhForm, description: string): BbhTask {
  const shared = { name, description, metaKeys: [], form };
  if (form === 'option') {
    return {
      ...shared,
      verify: ({ prompt, answer: expected }, answer) => verifyChoice(prompt, expected, answer),
    };
  }
  const compare =
    form === 'integer'
      ? compareInteger
      : form === 'brackets'
        ? compareBrackets
        : form === 'words'
          ? compareWords
          : compareWord;
  return {
    ...shared,
    verify({ answer: expected }, answer) {
      const screened = screenAnswer(answer, kLongestAnswer);
      return typeof screened === 'string' ? compare(expected, withoutQuotes(screened)) : screened;
    },
  };
}

export const bbhTasks: readonly BbhTask[] = [
  bbhTask(
    'boolean_expressions',
    ['True', 'False'],
    'the value of an expression of True, False, and, or, not',
  ),
  bbhTask('causal_judgement', ['Yes', 'No'], 'whether most people would call something the cause'),
  bbhTask('date_understanding', 'option', 'a date worked out from a sentence'),
  bbhTask('disambiguation_qa', 'option', 'what a pronoun refers to, or that it is ambiguous'),
  bbhTask('dyck_languages', 'brackets', 'the brackets that close a sequence of four kinds'),
  bbhTask('formal_fallacies', ['valid', 'invalid'], 'whether an argument is deductively valid'),
  bbhTask('geometric_shapes', 'option', 'the shape that an SVG path draws'),
  bbhTask('hyperbaton', 'option', 'the sentence whose adjectives stand in the right order'),
  bbhTask('logical_deduction_three_objects', 'option', 'the order of three things from clues'),
  bbhTask('logical_deduction_five_objects', 'option', 'the order of five things from clues'),
  bbhTask('logical_deduction_seven_objects', 'option', 'the order of seven things from clues'),
  bbhTask('movie_recommendation', 'option', 'the film most like four others'),
  bbhTask('multistep_arithmetic_two', 'integer', 'an arithmetic expression of nested brackets'),
  bbhTask('navigate', ['Yes', 'No'], 'whether instructions lead back to the start'),
  bbhTask('object_counting', 'integer', 'how many things of a kind there are in a list'),
  bbhTask('penguins_in_a_table', 'option', 'a question about a table of penguins'),
  bbhTask('reasoning_about_colored_objects', 'option', 'a question about coloured things in a row'),
  bbhTask('ruin_names', 'option', 'the humorous change of one letter in a name'),
  bbhTask('salient_translation_error_detection', 'option', 'the kind of error in a translation'),
  bbhTask('snarks', 'option', 'the sarcastic one of two statements'),
  bbhTask('sports_understanding', ['yes', 'no'], 'whether a sentence about sports is plausible'),
  bbhTask('temporal_sequences', 'option', 'when someone could have gone somewhere'),
  bbhTask('tracking_shuffled_objects_three_objects', 'option', 'who has what after three people swapped'),
  bbhTask('tracking_shuffled_objects_five_objects', 'option', 'who has what after five people swapped'),
  bbhTask('tracking_shuffled_objects_seven_objects', 'option', 'who has what after seven people swapped'),
  bbhTask('web_of_lies', ['Yes', 'No'], 'whether the last in a chain of statements tells the truth'),
  bbhTask('word_sorting', 'words', 'words in alphabetical order'),
];
