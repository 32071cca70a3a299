/**
 * Questions of the SymBench task constrained_linear_arrangement: see records.ts.
 *
 * In the game of elements the stored results call a round a draw when the opponent's card generates or overcomes the player's;
 * the rules in the question say that this decides the round. The rules hold: where they allow another sequence of cards,
 * the first such is the answer; where they allow none, the record is no question.
 */
import {
  type CardGame,
  cardsOf,
  type RoundResult,
  roundResult,
} from '../../../lib/tasks/suites/symbench/constrained_linear_arrangement.ts';
import { publishedIn, type SymbenchSource } from './records.ts';

/** The first sequence of different cards that gives the results, in alphabetical order. */
function deduce(
  game: CardGame,
  moves: string,
  results: readonly RoundResult[],
  played = '',
): string | undefined {
  if (played.length === results.length) return played;
  for (const card of cardsOf[game]) {
    const round = played.length;
    if (played.includes(card) || roundResult(game, moves[round]!, card) !== results[round]) continue;
    const found = deduce(game, moves, results, played + card);
    if (found !== undefined) return found;
  }
  return undefined;
}

const kGames: readonly [words: string, game: CardGame][] = [
  ['five-element flags', 'elements'],
  ['"Stick, Tiger, Chicken."', 'stick_game'],
  ['similar to Jungle Chess', 'animal'],
];

export const constrainedLinearArrangementSource: SymbenchSource = {
  task: 'constrained_linear_arrangement',
  files: ['constrained_linear_arrangement'],
  read(record) {
    const found = publishedIn<{ solution: string[] }>(record);
    if (found === null) return null;
    const {
      text,
      solution: { solution },
    } = found;
    const game = kGames.find(([words]) => text.includes(words))?.[1];
    const rounds = [...text.matchAll(/^Round [0-9]+: ([A-H]), (win|loss|draw)\.$/gm)];
    if (game === undefined || rounds.length === 0)
      throw new Error(`${record.id}: expected a game and its rounds`);
    const moves = rounds.map(([, card]) => card).join('');
    const results = rounds.map(([, , result]) => result as RoundResult);
    const stored = solution.join('');
    const right = results.every((result, i) => roundResult(game, moves[i]!, stored[i]!) === result);
    const cards = right ? stored : deduce(game, moves, results);
    if (cards === undefined) return null;
    return {
      content: `${game} ${rounds.map(([, card, result]) => `${card} ${result}`).join(', ')}`,
      prompt: text,
      published: solution.join(','),
      recomputed: [...cards].join(','),
      meta: { game, moves, results },
    };
  },
};
