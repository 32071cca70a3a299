/** Questions of the SymBench task combinatorial_calculation: see records.ts. */
import { groupsIn, publishedIn, type SymbenchSource } from './records.ts';

export const combinatorialCalculationSource: SymbenchSource = {
  task: 'combinatorial_calculation',
  files: ['combinatorial_calculation', 'combinatorial_calculation_varied_complexity'],
  read(record) {
    const found = publishedIn<{ solution: string[] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const [list = '', target = ''] = groupsIn(
      text,
      /the input numbers are: ([0-9, ]+), the target values is: ([0-9]+)/,
    );
    const numbers = list.split(', ').map(Number);
    const answer = `[${solution.solution.join(', ')}]`;
    return {
      content: `${target} from ${numbers.join(' ')}`,
      prompt: text,
      published: answer,
      recomputed: answer,
      meta: { numbers, target: Number(target) },
    };
  },
};
