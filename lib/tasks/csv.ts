/**
 * Comma-separated values (RFC 4180) and tasks over them.
 *
 * Fields are separated by commas, records by LF or CRLF; a field in double quotes may hold commas, line ends and doubled quotes.
 * The first record names the columns. Every defect is an error with file and line; only empty lines are skipped. Blanks belong
 * to a field. A byte-order mark at the start does not count.
 */
import { DataError, excerpt, type JsonlOptions, type JsonlRow, loadRowsTask, readTextFile } from './jsonl.ts';
import type { FixedTask } from './task.ts';

/** A record: its fields and the line on which it starts, from 1. */
export interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

/** The records of a CSV text. Throws DataError that names `path` and the line for text that is not CSV. */
export function parseCsv(text: string, path: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  let fields: string[] = [];
  let at = text.startsWith('\ufeff') ? 1 : 0;
  let line = 1;
  let start = 1;

  const endRecord = (): void => {
    const empty = fields.length === 1 && fields[0] === '';
    if (!empty) records.push({ line: start, fields });
    fields = [];
    start = line;
  };

  /** A field in quotes, from behind its first quote to behind its last. */
  const quoted = (): string => {
    const opened = line;
    const parts: string[] = [];
    for (;;) {
      const close = text.indexOf('"', at);
      if (close < 0)
        throw new DataError(path, opened, 'expected a closing quote for the field that opens here');
      const part = text.slice(at, close);
      parts.push(part);
      for (let i = part.indexOf('\n'); i >= 0; i = part.indexOf('\n', i + 1)) line += 1;
      at = close + 1;
      if (text[at] !== '"') return parts.join('');
      parts.push('"');
      at += 1;
    }
  };

  const plain = (): string => {
    let end = at;
    while (end < text.length && !',\r\n'.includes(text[end]!)) end += 1;
    const field = text.slice(at, end);
    if (field.includes('"')) {
      throw new DataError(
        path,
        line,
        `expected quotes around the whole field and doubled inside it, found ${excerpt(field)}`,
      );
    }
    at = end;
    return field;
  };

  while (at < text.length || fields.length > 0) {
    if (text[at] === '"') {
      at += 1;
      fields.push(quoted());
    } else {
      fields.push(plain());
    }
    const next = text[at];
    if (next === ',') {
      at += 1;
      // A comma at the very end is followed by an empty field.
      if (at === text.length) fields.push('');
      else continue;
    }
    if (at < text.length) {
      const width = text.startsWith('\r\n', at) ? 2 : text[at] === '\n' ? 1 : 0;
      if (width === 0) {
        const found = excerpt(text.slice(at, at + 20));
        throw new DataError(
          path,
          line,
          `expected a comma or the end of the line behind a field, found ${found}`,
        );
      }
      at += width;
      line += 1;
    }
    endRecord();
  }
  return records;
}

/**
 * Reads a CSV file with a header into rows of named fields. Throws DataError for a file that cannot be read, has no rows, has a
 * row of another length than its header, or a header with an empty or repeated name.
 */
export async function readCsv(path: string): Promise<JsonlRow[]> {
  const [header, ...records] = parseCsv(await readTextFile(path), path);
  if (header === undefined || records.length === 0) {
    throw new DataError(
      path,
      0,
      'has no rows; expected a line of column names and one row for each question',
    );
  }
  const names = header.fields.map((name) => name.trim());
  for (const [i, name] of names.entries()) {
    if (name === '')
      throw new DataError(path, header.line, `expected a name for column ${i + 1}, found none`);
    if (names.indexOf(name) !== i) {
      throw new DataError(path, header.line, `two columns are called ${excerpt(name)}; rename one`);
    }
  }
  return records.map(({ line, fields }) => {
    if (fields.length !== names.length) {
      throw new DataError(
        path,
        line,
        `expected ${names.length} fields as in the header, found ${fields.length}; quote fields that hold commas`,
      );
    }
    return { line, fields: Object.fromEntries(names.map((name, i) => [name, fields[i]])) };
  });
}

/**
 * A task over the questions of a CSV file, by the rules of `loadJsonlTask`: the column names are its field names (`question`,
 * `answer`, `id`, ...), other columns go to `meta`.
 */
export function loadCsvTask(path: string, options: JsonlOptions = {}): Promise<FixedTask> {
  return loadRowsTask('loadCsvTask', readCsv, path, options);
}
