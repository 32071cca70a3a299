/**
 * Strict box mode: the answer must stand in the last \boxed{...} of a text.
 *
 * What verl does (`math_dapo.compute_score` with `strict_box_verify`, which its ReTool recipe switches on): of the response it
 * keeps the last 300 characters and of these the last 100; takes the last `\boxed{` in them and the text up to the brace that
 * closes it, counting every `{` and `}`, escaped ones too; and compares that text with the ground truth as it stands, blanks
 * and all. No box, or one that is not closed, is wrong. Characters are Unicode code points, as in Python.
 */

const kMarker = '\\boxed{';
const kWindow = 100;

/** The content of the last `\boxed{`, braces counted as verl counts them; undefined when there is none or it is open. */
export function lastBox(text: string): string | undefined {
  const start = text.lastIndexOf(kMarker);
  if (start < 0) return undefined;
  let depth = 1;
  for (let at = start + kMarker.length; at < text.length; at++) {
    if (text[at] === '{') depth += 1;
    if (text[at] === '}') depth -= 1;
    if (depth === 0) return text.slice(start + kMarker.length, at);
  }
  return undefined;
}

/** Whether verl's strict box mode finds exactly `expected` in a response. */
export function equalsVerlBox(expected: string, response: string): boolean {
  const end = [...response.slice(-2 * kWindow)].slice(-kWindow).join('');
  return lastBox(end) === expected;
}
