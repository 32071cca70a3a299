/**
 * The SymBench tasks whose answers are checked by rules: puzzles, plans and arrangements.
 */
import type { SuiteTask } from '../suite.ts';
import { blocksworld } from './Blocksworld.ts';
import { boxLift } from './BoxLift.ts';
import { boxNet1 } from './BoxNet1.ts';
import { combinatorialCalculation } from './combinatorial_calculation.ts';
import { constrainedLinearArrangement } from './constrained_linear_arrangement.ts';
import { cryptanalysis } from './cryptanalysis.ts';
import { eightQueens } from './eight_queens.ts';
import { game24 } from './game24.ts';
import { letterLogicDiagram } from './letter_logic_diagram.ts';
import { logicPuzzle } from './logic_puzzle.ts';
import { logicalEquation } from './logical_equation.ts';
import { pathPlan } from './path_plan.ts';
import { permutationsAndCombinations } from './permutations_and_combinations.ts';
import { reversi } from './reversi.ts';
import { standardSudoku } from './standard_sudoku.ts';

/** Fifteen of SymBench's 33 tasks. */
export const constraintTasks: readonly SuiteTask[] = [
  game24,
  pathPlan,
  boxLift,
  boxNet1,
  blocksworld,
  logicalEquation,
  eightQueens,
  standardSudoku,
  reversi,
  cryptanalysis,
  logicPuzzle,
  constrainedLinearArrangement,
  permutationsAndCombinations,
  letterLogicDiagram,
  combinatorialCalculation,
];
