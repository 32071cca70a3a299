// Faults that change nothing that a kernel promises, with the reason: cuda-mutations.mjs counts them apart from those that a
// test should have caught. `text` is the whole line before the change, so that an entry dies with the code it speaks of.
export const equivalents = [];

/** Why a survivor is one of them, or undefined. */
export function whyEquivalent(site, line) {
  return equivalents.find(
    ({ operator, file, was, text }) =>
      operator === site.operator && file === site.file && was === site.was.trim() && text === line.trim(),
  )?.why;
}
