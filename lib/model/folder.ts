/** Writing the small files of a model folder. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errorMessage, ToolgradError } from '../errors.ts';

/** Name to contents. */
export type FolderFiles = Readonly<Record<string, string | Uint8Array>>;

/** Writes each file whole or not at all, in order, making the folder. ERR_FILE_IO; RangeError for a name that is no plain one. */
export function writeFiles(operation: string, folder: string, files: FolderFiles): void {
  for (const name of Object.keys(files)) {
    if (name !== basename(name) || name === '.' || name === '..' || name === '')
      throw new RangeError(`Expected a plain file name for files but received "${name}" of type string`);
  }
  try {
    mkdirSync(folder, { recursive: true });
    for (const [name, contents] of Object.entries(files)) writeWhole(join(folder, name), contents);
  } catch (cause) {
    throw new ToolgradError(
      'ERR_FILE_IO',
      `${operation}: cannot write to ${folder}: ${errorMessage(cause)}`,
      { cause },
    );
  }
}

function writeWhole(path: string, contents: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, contents, { flush: true });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
