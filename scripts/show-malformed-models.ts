/**
 * Prints what opening each malformed model of test/support/malformed-models.ts says:
 *
 *   node --import=tsx scripts/show-malformed-models.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { openModelFiles } from '../lib/model/files.ts';
import { malformedModels } from '../test/support/malformed-models.ts';

const root = mkdtempSync(join(tmpdir(), 'toolgrad-malformed-'));
let accepted = 0;
try {
  for (const [index, { name, make }] of malformedModels.entries()) {
    const path = make(join(root, `${index}`));
    try {
      openModelFiles(path);
      accepted++;
      console.log(`${name}\n  ACCEPTED`);
    } catch (error) {
      console.log(
        `${name}\n  ${errorCode(error)}  ${errorMessage(error).replaceAll(`${root}/${index}`, 'MODEL')}`,
      );
    }
  }
} finally {
  rmSync(root, { recursive: true });
}
process.exitCode = accepted === 0 ? 0 : 1;
