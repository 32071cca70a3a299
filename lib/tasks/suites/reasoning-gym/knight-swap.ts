/**
 * Knight swap: white and black knights on an irregular board exchange their places in alternating moves, or cannot.
 *
 * A right answer is a JSON list of legal moves ["w,A1,B3", ...] no longer than the canonical answer, which is a shortest
 * one, or No where there is none. The board says which squares a knight's move connects.
 */
import { accepted, rejected, screenAnswer } from '../../answer.ts';
import { kLongestAnswer, type SuiteTask } from '../suite.ts';
import { type Guard, isListOf, isText, metaValue } from './meta.ts';
import { parseStrictJson } from './strict-json.ts';

type Piece = 'w' | 'B' | null;

const isPiece: Guard<Piece> = (value): value is Piece => value === 'w' || value === 'B' || value === null;

/** A guard for objects whose values another guard accepts. */
function isMapOf<T>(item: Guard<T>): Guard<Readonly<Record<string, T>>> {
  return (value): value is Readonly<Record<string, T>> =>
    typeof value === 'object' && value !== null && Object.values(value).every((member) => item(member));
}

const kImpossible = 'No';

export const knightSwap: SuiteTask = {
  name: 'knight_swap',
  description: 'swap white and black knights, as ["w,A1,B3", ...], or No where that is impossible',
  metaKeys: ['board', 'pieces', 'start_turn'],
  verify(question, answer) {
    const board = new Map(
      Object.entries(
        metaValue(question, 'board', isMapOf(isListOf(isText)), 'squares with the squares a move leads to'),
      ),
    );
    const pieces = new Map(
      Object.entries(metaValue(question, 'pieces', isMapOf(isPiece), 'squares with their pieces')),
    );
    const screened = screenAnswer(answer, kLongestAnswer);
    if (typeof screened !== 'string') return screened;
    const saysNo = screened.toLowerCase() === kImpossible.toLowerCase();
    if (question.answer === kImpossible) return saysNo ? accepted : rejected('it is impossible');
    if (saysNo) return rejected('it is possible');
    const shortest = (JSON.parse(question.answer) as readonly string[]).length;
    const moves = parseStrictJson(screened);
    if (!isListOf(isText)(moves)) return rejected('neither No nor a JSON list like ["w,A1,B3"]');
    if (moves.length > shortest) return rejected(`${moves.length} moves, ${shortest} are enough`);

    const placesOf = (color: Piece) =>
      [...pieces].flatMap(([square, piece]) => (piece === color ? [square] : [])).sort();
    const [white, black] = [placesOf('w').join(), placesOf('B').join()];
    let turn = metaValue(question, 'start_turn', isText, 'w or B');
    for (const [i, move] of moves.entries()) {
      const [color, from, to, ...rest] = move.split(',', 4) as [string, string?, string?, string?];
      const legal =
        rest.length === 0 &&
        from !== undefined &&
        to !== undefined &&
        color === turn &&
        pieces.get(from) === color &&
        board.get(from)?.includes(to) === true &&
        (pieces.get(to) ?? null) === null;
      if (!legal) return rejected(`move ${i + 1} is not legal`);
      pieces.set(to, pieces.get(from) ?? null);
      pieces.set(from, null);
      turn = turn === 'w' ? 'B' : 'w';
    }
    const swapped = placesOf('w').join() === black && placesOf('B').join() === white;
    return swapped ? accepted : rejected('the knights have not swapped their places');
  },
};
