/**
 * 29 tasks of Reasoning-Gym with arithmetic, algebra, geometry, programs and rules. Their verifiers agree with the Python
 * package's scorers at "score = 1" on every scored example, but for what numeric-differences.ts lists.
 */
import type { SuiteTask } from '../suite.ts';
import {
  complexArithmetic,
  intermediateIntegration,
  polynomialEquations,
  polynomialMultiplication,
  simpleEquations,
  simpleIntegration,
} from './algebra.ts';
import {
  basicArithmetic,
  bitwiseArithmetic,
  chainSum,
  countBits,
  decimalArithmetic,
  decimalChainSum,
  dice,
  fractionSimplification,
  gcd,
  lcm,
  legCounting,
  numberFormat,
  powerFunction,
  primeFactorization,
  products,
} from './arithmetic.ts';
import { calendarArithmetic, timeIntervals } from './calendar.ts';
import { advancedGeometry, simpleGeometry } from './geometry.ts';
import { acre, arc1d, bf, listFunctions } from './induction.ts';

export const numericTasks: readonly SuiteTask[] = [
  acre,
  advancedGeometry,
  arc1d,
  basicArithmetic,
  bf,
  bitwiseArithmetic,
  calendarArithmetic,
  chainSum,
  complexArithmetic,
  countBits,
  decimalArithmetic,
  decimalChainSum,
  dice,
  fractionSimplification,
  gcd,
  intermediateIntegration,
  lcm,
  legCounting,
  listFunctions,
  numberFormat,
  polynomialEquations,
  polynomialMultiplication,
  powerFunction,
  primeFactorization,
  products,
  simpleEquations,
  simpleGeometry,
  simpleIntegration,
  timeIntervals,
];
