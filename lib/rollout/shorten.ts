/** Tool output cut to a number of characters: head and tail kept, the middle replaced by a marker that says how much is gone. */
export function shorten(text: string, characters: number): string {
  if (text.length <= characters) return text;
  const marker = `\n... ${text.length - characters} characters cut ...\n`;
  const keep = Math.max(0, characters - marker.length);
  const head = Math.ceil(keep / 2);
  return `${wellFormed(text.slice(0, head))}${marker}${wellFormed(text.slice(text.length - (keep - head)))}`;
}

/** Half of a surrogate pair at a cut would not survive encoding. */
function wellFormed(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, '');
}
