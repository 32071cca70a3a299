/** Texts cut to a size: a marker says how much is gone. */
import type { Tokenizer } from '../text/tokenizer.ts';
import type { ToolLimits } from './trajectory.ts';

/**
 * The text in at most `characters`, marker included (a marker longer than that is left alone); `side` is what is kept: both
 * ends with the middle cut, or one of them.
 */
export function shorten(
  text: string,
  characters: number,
  side: NonNullable<ToolLimits['outputSide']> = 'both',
): string {
  if (text.length <= characters) return text;
  const marker = `\n... ${text.length - characters} characters cut ...\n`;
  const keep = Math.max(0, characters - marker.length);
  const head = side === 'both' ? Math.ceil(keep / 2) : side === 'head' ? keep : 0;
  return `${wellFormed(text.slice(0, head))}${marker}${wellFormed(text.slice(text.length - (keep - head)))}`;
}

/** A program's output as the model sees it: within the limits on characters and, where there is one, on tokens. */
export function shownOutput(
  text: string,
  { outputCharacters, outputTokens = 0, outputSide = 'both' }: ToolLimits,
  { encode }: Pick<Tokenizer, 'encode'>,
): string {
  const cut = (characters: number) => shorten(text, characters, outputSide);
  const fits = (shown: string) => outputTokens === 0 || encode(shown).length <= outputTokens;
  const whole = cut(outputCharacters);
  if (fits(whole)) return whole;
  // The most characters that fit. What merges at a cut may make a longer text one token shorter: each candidate is counted.
  let [fitting, beyond] = [0, Math.min(text.length, outputCharacters)];
  while (beyond - fitting > 1) {
    const middle = (fitting + beyond) >> 1;
    if (fits(cut(middle))) fitting = middle;
    else beyond = middle;
  }
  return cut(fitting);
}

/** Half of a surrogate pair at a cut would not survive encoding. */
function wellFormed(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, '');
}
