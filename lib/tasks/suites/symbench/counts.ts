/**
 * SymBench tasks whose answer is a list of counts: string_synthesis, string_splitting, synthesis_decomposition.
 *
 * The counts stand in the question's order. Where the question asks for "a string" they may also stand side by side, if
 * there are as many digits as counts: `102` is 1, 0, 2, and more digits than counts could be read in several ways.
 */
import { accepted, rejected, type Verdict } from '../../answer.ts';
import { listOf, readList } from '../lists.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';

const kCount = /^(?:0|[1-9][0-9]*)$/;
const kDigits = /^[0-9]+$/;

function countsTask(name: string, description: string, joined: boolean): SuiteTask {
  return {
    name,
    description,
    metaKeys: [],
    verify({ answer: expected }, answer): Verdict {
      const counts = readList(expected, kLongestAnswer)!.items;
      const found = listOf(answer, counts.length);
      if ('correct' in found) return found;
      if (found.rows !== undefined) return rejected('a table, not a list');
      const [first = ''] = found.items;
      const items =
        joined && found.items.length === 1 && first.length === counts.length && kDigits.test(first)
          ? [...first]
          : found.items;
      if (items.length !== counts.length) return rejected(`not ${counts.length} counts`);
      if (!items.every((item) => kCount.test(item))) return rejected('not counts throughout');
      const wrong = counts.findIndex((count, i) => count !== items[i]);
      return wrong < 0 ? accepted : rejected(`count ${wrong + 1} is wrong`);
    },
  };
}

export const countTasks: readonly SuiteTask[] = [
  countsTask('string_synthesis', 'nine kinds of blocks after six recipes were applied in turn', true),
  countsTask('string_splitting', 'machines and parts after five methods were applied in turn', true),
  countsTask('synthesis_decomposition', 'crops and products after exchanges in turn', false),
];
