/**
 * SymBench `letter_logic_diagram`: complete a 7 x 7 Latin square of the letters a to g whose minor diagonal (top right to bottom
 * left) holds one letter. Any completion that keeps the rules and the given cells is right.
 */
import { rejected, type Verdict } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { readSymbols, satisfied } from './answer-items.ts';

/** The rows of the grid: letters, `.` for an empty cell. */
export type LetterLogicDiagramMeta = { readonly grid: readonly string[] };

const kSize = 7;

/** A Latin square with a uniform minor diagonal. */
export const letterLogicDiagram: SuiteTask<LetterLogicDiagramMeta> = {
  name: 'letter_logic_diagram',
  description: 'a 7 x 7 Latin square of letters with one letter on the minor diagonal',
  metaKeys: ['grid'],
  verify({ meta: { grid } }, answer): Verdict {
    const cells = readSymbols(answer, 'abcdefg', kSize * kSize, kSize);
    if (typeof cells !== 'string') return cells;
    for (let line = 0; line < kSize; line++) {
      const row = new Set<string>();
      const column = new Set<string>();
      for (let i = 0; i < kSize; i++) {
        const letter = cells[kSize * line + i]!;
        const given = grid[line]![i];
        if (given !== '.' && given !== letter) return rejected('a given cell was changed');
        row.add(letter);
        column.add(cells[kSize * i + line]!);
      }
      if (row.size < kSize || column.size < kSize)
        return rejected('a letter stands twice in a row or column');
      if (cells[kSize * line + kSize - 1 - line] !== cells[kSize - 1]) {
        return rejected('the minor diagonal holds more than one letter');
      }
    }
    return satisfied;
  },
};
