/**
 * Answers that are a list of numbers or of one-character symbols, of a known length, written in any of the ways that
 * `lists.ts` reads. Items may stand in rows of the asked length (`[[1, 2], [3, 4]]`) or without rows.
 */
import { rejected, type Verdict } from '../../answer.ts';
import { listOf, type WrittenList } from '../lists.ts';

/** The verdict for an answer that is checked by rules, not compared with the canonical one. */
export const satisfied: Verdict = Object.freeze({ correct: true, reason: 'the answer keeps every rule' });

/** The items of each row; one row where the list is flat. */
function rowsOf({ items, rows }: WrittenList): (readonly string[])[] {
  if (rows === undefined) return [items];
  let start = 0;
  return rows.map((length) => {
    const row = items.slice(start, start + length);
    start += length;
    return row;
  });
}

const kInteger = /^(?:0|-?[1-9][0-9]{0,8})$/;

/** `count` integers, in rows of `width` or in none. */
export function readIntegers(answer: string, count: number, width?: number): readonly number[] | Verdict {
  const list = listOf(answer, count);
  if ('correct' in list) return list;
  const { items, rows } = list;
  if (items.length !== count) return rejected(`${items.length} numbers, expected ${count}`);
  if (rows?.some((length) => length !== width)) return rejected('the numbers stand in other rows than asked');
  if (!items.every((item) => kInteger.test(item))) return rejected('not a list of integers');
  return items.map(Number);
}

/**
 * `count` one-character symbols of an alphabet as one text, in rows of `width` or in none. Symbols may stand together (`ABC`
 * for `A, B, C`): as each is one character, that hides nothing.
 */
export function readSymbols(
  answer: string,
  alphabet: string,
  count: number,
  width?: number,
): string | Verdict {
  const list = listOf(answer, count);
  if ('correct' in list) return list;
  const rows = rowsOf(list).map((items) => items.join(''));
  if (list.rows !== undefined && rows.some((row) => row.length !== width)) {
    return rejected('the symbols stand in other rows than asked');
  }
  const text = rows.join('');
  if (text.length !== count) return rejected(`${text.length} symbols, expected ${count}`);
  for (const c of text)
    if (!alphabet.includes(c)) return rejected(`${JSON.stringify(c)} is not a symbol here`);
  return text;
}
