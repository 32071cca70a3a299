/**
 * The package of questions, `toolgrad-questions`: where it is, what its manifest says, and its files (JSON lines, brotli).
 *
 * In a checkout it is the folder questions/; elsewhere it is looked for beside toolgrad, then beside the program that runs.
 * A file is read whole, and its text must have the checksum that the manifest states.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { errorMessage, ToolgradError } from '../../errors.ts';
import { packageRoot } from '../../package.ts';
import type { SetName } from './sets.ts';

const kPackage = 'toolgrad-questions';
/** The layout of the package that this version reads. */
export const kQuestionsFormat = 1;

/** What the manifest says of a file. */
export interface QuestionFile {
  /** Lines of the file. */
  readonly questions: number;
  /** How many of them are in each set; absent for a file that holds no questions of a task. */
  readonly sets?: Readonly<Record<SetName, number>>;
  /** Bytes of the compressed file. */
  readonly bytes: number;
  /** SHA-256 of the text before compression, in hexadecimal digits. */
  readonly sha256: string;
}

/** manifest.json: files by path without `.jsonl.br`, e.g. `bbh/navigate`. */
export interface QuestionManifest {
  readonly format: number;
  readonly files: Readonly<Record<string, QuestionFile>>;
}

/** Where the package may be installed, first what is beside toolgrad itself. */
function findPackage(): string | undefined {
  const checkout = join(packageRoot, 'questions');
  if (existsSync(join(checkout, 'manifest.json'))) return checkout;
  for (const from of [import.meta.url, join(process.cwd(), 'program.js')]) {
    try {
      return dirname(createRequire(from).resolve(`${kPackage}/package.json`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return undefined;
}

let found: { readonly folder: string; readonly manifest: QuestionManifest } | undefined;

function openPackage(): { readonly folder: string; readonly manifest: QuestionManifest } {
  if (found !== undefined) return found;
  const folder = findPackage();
  if (folder === undefined) {
    throw new ToolgradError(
      'ERR_QUESTIONS_MISSING',
      `the questions of the published tasks are a package of their own, ${kPackage}, which is not installed; run\n  npm install ${kPackage}`,
    );
  }
  const path = join(folder, 'manifest.json');
  let manifest: QuestionManifest;
  try {
    manifest = JSON.parse(readFileSync(path, 'utf8')) as QuestionManifest;
  } catch (error) {
    throw broken(path, errorMessage(error), error);
  }
  if (manifest.format !== kQuestionsFormat || typeof manifest.files !== 'object') {
    throw broken(path, `expected format ${kQuestionsFormat}, found ${JSON.stringify(manifest.format)}`);
  }
  found = { folder, manifest };
  return found;
}

function broken(path: string, what: string, cause?: unknown): ToolgradError {
  return new ToolgradError(
    'ERR_QUESTIONS_BROKEN',
    `${path}: ${what}; install ${kPackage} again, in the version that this toolgrad names`,
    { cause },
  );
}

/** The manifest of the installed package. Throws ERR_QUESTIONS_MISSING where there is none. */
export function questionManifest(): QuestionManifest {
  return openPackage().manifest;
}

/** The lines of a file (`bbh/navigate`), parsed; none for a file that the manifest does not name. */
export function readQuestionFile(name: string): readonly Readonly<Record<string, unknown>>[] {
  const { folder, manifest } = openPackage();
  const entry = Object.hasOwn(manifest.files, name) ? manifest.files[name] : undefined;
  if (entry === undefined) return [];
  const path = join(folder, `${name}.jsonl.br`);
  let text: Buffer;
  try {
    text = brotliDecompressSync(readFileSync(path));
  } catch (error) {
    throw broken(path, errorMessage(error), error);
  }
  const sha256 = createHash('sha256').update(text).digest('hex');
  if (sha256 !== entry.sha256) throw broken(path, `expected SHA-256 ${entry.sha256}, found ${sha256}`);
  return text
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
