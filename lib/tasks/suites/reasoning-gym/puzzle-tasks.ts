/**
 * The 29 tasks of Reasoning-Gym about logic, cognition, graphs and games. Their verifiers agree with the Python package's
 * scorers at "score = 1" on every scored example, but for what puzzle-differences.ts lists.
 */
import type { SuiteTask } from '../suite.ts';
import { countdown } from './countdown.ts';
import { knightSwap } from './knight-swap.ts';
import { knightsKnaves } from './knights-knaves.ts';
import { propositionalLogic } from './propositional-logic.ts';
import {
  aiw,
  circuitLogic,
  colorCubeRotation,
  courseSchedule,
  emojiMystery,
  familyRelationships,
  figletFont,
  futoshiki,
  largestIsland,
  maze,
  miniSudoku,
  moduloGrid,
  needleHaystack,
  numberSequence,
  rectangleCount,
  selfReference,
  syllogism,
  tsumego,
  zebraPuzzles,
} from './puzzle-text.ts';
import { quantumLock } from './quantum-lock.ts';
import { rubiksCube } from './rubiks-cube.ts';
import { rushHour } from './rush-hour.ts';
import { shortestPath } from './shortest-path.ts';
import { sokoban } from './sokoban.ts';
import { towerOfHanoi } from './tower-of-hanoi.ts';

/** Logic, cognition, graphs, games, each in the order of their names. */
export const puzzleTasks: readonly SuiteTask[] = [
  aiw,
  circuitLogic,
  knightsKnaves,
  propositionalLogic,
  selfReference,
  syllogism,
  zebraPuzzles,
  colorCubeRotation,
  figletFont,
  moduloGrid,
  needleHaystack,
  numberSequence,
  rectangleCount,
  rubiksCube,
  courseSchedule,
  familyRelationships,
  largestIsland,
  quantumLock,
  shortestPath,
  countdown,
  emojiMystery,
  futoshiki,
  knightSwap,
  maze,
  miniSudoku,
  rushHour,
  sokoban,
  towerOfHanoi,
  tsumego,
];
