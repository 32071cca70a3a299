/**
 * Finding added tokens (`<|im_end|>`, `<tool_call>`) in a text: leftmost, longest first, as the `tokenizers` library does.
 * `lstrip`/`rstrip` tokens take the blanks beside them along; a `single_word` token must not touch a letter or digit.
 * All tokens are matched in the text as written, before normalisation.
 */

/** A token added to the vocabulary beside the merges. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Control tokens such as `<|im_end|>`; `<tool_call>` is added but not special. */
  readonly special: boolean;
  readonly singleWord: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** An added token found at text[start] to text[end]. */
export interface TokenMatch {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

const kBlank = /\s/u;
const kWordCharacter = /[\p{L}\p{N}_]/u;

/** A function that lists the occurrences of `tokens` in a text, in order, without overlap; linear in the text. */
export function addedTokenMatcher(tokens: readonly AddedToken[]): (text: string) => TokenMatch[] {
  if (tokens.length === 0) return () => [];
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const longestFirst = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escapeForRegExp).join('|'), 'g');
  return (text) => {
    const matches: TokenMatch[] = [];
    let last = 0;
    for (const found of text.matchAll(pattern)) {
      const token = byContent.get(found[0])!;
      let start = found.index;
      let end = start + token.content.length;
      if (token.singleWord && (isWord(text[start - 1]) || isWord(text[end]))) continue;
      if (token.lstrip) while (start > last && kBlank.test(text[start - 1]!)) start--;
      if (token.rstrip) while (end < text.length && kBlank.test(text[end]!)) end++;
      matches.push({ id: token.id, start: Math.max(start, last), end });
      last = end;
    }
    return matches;
  };
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && kWordCharacter.test(character);
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
