/**
 * A cursor over the tokens of an answer, for the planning tasks' small grammars. It only moves forward and looks for a token
 * when it is asked for one, so reading ends at the first error and takes time linear in the length.
 */

/** Reads tokens one after the other. */
export interface TokenCursor {
  /** Whether every token has been read. */
  readonly done: boolean;
  /** Reads the next token if it is this word or mark; capitals do not differ from the word's small letters. */
  take(word: string): boolean;
  /** Reads the next token if it matches; the groups of the match. */
  match(pattern: RegExp): RegExpExecArray | undefined;
}

/** A cursor over `text` cut into the tokens that `pattern` describes; what lies between tokens is passed over. */
export function tokenCursor(text: string, pattern: RegExp): TokenCursor {
  const tokens = new RegExp(pattern.source, 'g');
  let token = tokens.exec(text)?.[0];
  const read = () => {
    token = tokens.exec(text)?.[0];
  };
  return {
    get done() {
      return token === undefined;
    },
    take(word) {
      if (token?.toLowerCase() !== word) return false;
      read();
      return true;
    },
    match(expected) {
      const found = token === undefined ? null : expected.exec(token);
      if (found === null) return undefined;
      read();
      return found;
    },
  };
}
