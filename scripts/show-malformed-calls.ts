/**
 * Prints what the real parsers make of malformed, truncated and repeated tool calls.
 *   npx tsx scripts/show-malformed-calls.ts             one line each
 *   npx tsx scripts/show-malformed-calls.ts --markdown  the table of docs/formats.md
 */
import {
  malformedCalls,
  malformedCallsTable,
  outcomeText,
  parseTurn,
} from '../test/support/malformed-calls.ts';

if (process.argv.includes('--markdown')) {
  console.log(malformedCallsTable());
} else {
  for (const { format, what, turn, end } of malformedCalls) {
    console.log(`${format.padEnd(6)} ${what.padEnd(34)} ${JSON.stringify(turn)} (${end})`);
    console.log(`       -> ${outcomeText(parseTurn(format, [turn], end))}`);
  }
}
