/**
 * Where the questions of the SymBench tasks that are checked by rules come from; `path_plan` has no published ones. Only game24
 * is a table, `game24.csv`; the others are files of records.
 */
import { blocksworldSource } from './Blocksworld.ts';
import { boxLiftSource } from './BoxLift.ts';
import { boxNet1Source } from './BoxNet1.ts';
import { combinatorialCalculationSource } from './combinatorial_calculation.ts';
import { constrainedLinearArrangementSource } from './constrained_linear_arrangement.ts';
import { cryptanalysisSource } from './cryptanalysis.ts';
import { eightQueensSource } from './eight_queens.ts';
import { game24Records, game24Source } from './game24.ts';
import { letterLogicDiagramSource } from './letter_logic_diagram.ts';
import { logicPuzzleSource } from './logic_puzzle.ts';
import { logicalEquationSource } from './logical_equation.ts';
import { permutationsAndCombinationsSource } from './permutations_and_combinations.ts';
import type { SymbenchRecord, SymbenchSource } from './records.ts';
import { reversiSource } from './reversi.ts';
import { standardSudokuSource } from './standard_sudoku.ts';

export const constraintSources: readonly SymbenchSource[] = [
  game24Source,
  boxLiftSource,
  boxNet1Source,
  blocksworldSource,
  logicalEquationSource,
  eightQueensSource,
  standardSudokuSource,
  reversiSource,
  cryptanalysisSource,
  logicPuzzleSource,
  constrainedLinearArrangementSource,
  permutationsAndCombinationsSource,
  letterLogicDiagramSource,
  combinatorialCalculationSource,
];

/** The records of a source; `text` gives the text of a published file by name. */
export function constraintRecords(
  { task, files }: SymbenchSource,
  text: (name: string) => string,
): readonly SymbenchRecord[] {
  if (task === 'game24') return game24Records(text('game24.csv'));
  return files.flatMap((file) =>
    text(`${file}.jsonl`)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as SymbenchRecord),
  );
}
