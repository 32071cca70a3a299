/**
 * Writes the package of questions, questions/, out of ../shared/data beside the checkout: a compressed file of JSON lines a
 * task and the manifest. The same data give the same bytes.
 *
 *   npx tsx scripts/questions/make.ts
 *
 * A task's questions stand in the order of their sets (cold start, training, evaluation), in each as they were published.
 * Every stored answer has been accepted by the task's own verifier; `meta` holds what the verifier reads and no more.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { type BbhTask, bbhTasks } from '../../lib/tasks/suites/bbh/index.ts';
import type { QuestionFile } from '../../lib/tasks/suites/question-files.ts';
import { kQuestionsFormat } from '../../lib/tasks/suites/question-files.ts';
import { assignSets, type SetName, setNames } from '../../lib/tasks/suites/sets.ts';
import { splitEntries } from '../../lib/tasks/suites/split.ts';
import type { SuiteQuestion, SuiteTask } from '../../lib/tasks/suites/suite.ts';
import { type GsmRecord, replaceableNumbers } from '../../lib/tasks/suites/symbench/gsm.ts';
import { suiteVerifiers } from '../../lib/tasks/suites/verifiers.ts';
import { sharedData, sharedLines } from '../../test/support/suites.ts';
import { bbhQuestions } from './bbh.ts';
import { bbhRecords, symbenchRecords } from './exact-fixtures.ts';
import { gsmQuestions } from './gsm.ts';
import { publishedMath } from './math-fixture.ts';
import { reasoningGymQuestions } from './reasoning-gym.ts';
import { constraintRecords, constraintSources } from './symbench/constraint-sources.ts';
import { exactSources } from './symbench/exact-sources.ts';
import { mathSources } from './symbench/math.ts';
import { symbenchQuestions } from './symbench/records.ts';

/** Questions of `gsm` to make; a seed that is part of the package. */
const kGsm = { count: 250, seed: 1 };

/** What is stored of a task, and how many published questions are not, by reason. */
interface Made {
  readonly questions: readonly SuiteQuestion[];
  readonly leftOut?: ReadonlyMap<string, number>;
}

const sharedText = (name: string) => readFileSync(new URL(name, sharedData!), 'utf8');
const gsm8k = (part: 'train' | 'test') => sharedLines(`gsm8k/${part}.jsonl`) as unknown as GsmRecord[];

function bbh(task: BbhTask): Made {
  const { questions, leftOut } = bbhQuestions(task, bbhRecords(task));
  const reasons = new Map<string, number>();
  for (const { reason } of leftOut) {
    // The numbers of the examples it repeats make every such reason different.
    const kind = reason.replace(/^example .* is the same/, 'the same example again');
    reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
  }
  return { questions, leftOut: reasons };
}

const symbench: Readonly<Record<string, () => readonly SuiteQuestion[]>> = {
  ...Object.fromEntries(
    exactSources.map((source) => [source.task, () => symbenchQuestions(source, symbenchRecords(source))]),
  ),
  ...Object.fromEntries(
    constraintSources.map((source) => [
      source.task,
      () =>
        symbenchQuestions(
          source,
          constraintRecords(source, (name) => sharedText(`symbench/${name}`)),
        ),
    ]),
  ),
  ...Object.fromEntries(mathSources.map(({ task }) => [task, () => publishedMath(task)])),
  // Made of GSM8K's test questions; those for training are generated from its training questions, so no story is in both.
  gsm: () => gsmQuestions(gsm8k('test'), kGsm.count, kGsm.seed),
  // No data were published; all of its questions are generated.
  path_plan: () => [],
};

function makeTask(name: string, task: SuiteTask): Made {
  const [suite] = name.split('/');
  if (suite === 'bbh') return bbh(bbhTasks.find((other) => other.name === task.name)!);
  if (suite === 'symbench') {
    const source = symbench[task.name];
    if (source === undefined) throw new Error(`${name}: expected a line in the table of make.ts`);
    return { questions: source() };
  }
  return reasoningGymQuestions(task, sharedLines(`reasoning-gym/${task.name}.jsonl`));
}

/** The lines of a task's file; throws for a question that its own verifier does not accept, or that occurs twice. */
function linesOf(name: string, task: SuiteTask, questions: readonly SuiteQuestion[]): string[] {
  const seen = new Set<string>();
  return questions.map(({ id, prompt, answer, meta = {} }) => {
    if (seen.has(id)) throw new Error(`${name}: ${id} occurs twice`);
    seen.add(id);
    const kept = Object.fromEntries(
      task.metaKeys.filter((key) => key in meta).map((key) => [key, meta[key]]),
    );
    const { correct, reason } = task.verify({ id, prompt, answer, meta: kept }, answer);
    if (!correct) throw new Error(`${name}: ${id}: the stored answer is rejected: ${reason}`);
    return JSON.stringify({
      id,
      prompt,
      answer,
      ...(Object.keys(kept).length === 0 ? {} : { meta: kept }),
    });
  });
}

const compress = (text: string) =>
  brotliCompressSync(text, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: Buffer.byteLength(text),
    },
  });

/** A file before compression; `sets` for the questions of a task. */
export interface PackageText {
  readonly lines: readonly string[];
  readonly sets?: Readonly<Record<SetName, number>>;
}

/** The texts of the package by path without `.jsonl.br`. */
export async function packageTexts(log: (line: string) => void): Promise<ReadonlyMap<string, PackageText>> {
  const texts = new Map<string, PackageText>();
  for (const { name, suite } of splitEntries) {
    const task = (await suiteVerifiers(suite)).get(name.slice(suite.length + 1));
    if (task === undefined) throw new Error(`${name}: expected a verifier`);
    const { questions, leftOut = new Map<string, number>() } = makeTask(name, task);
    log(`${name}: ${questions.length} questions`);
    for (const [reason, count] of leftOut) log(`  left out ${count}: ${reason}`);
    if (questions.length === 0) continue;
    const places = assignSets(
      name,
      questions.map(({ id }) => id),
    );
    const bySet = setNames.map((set) => questions.filter(({ id }) => places.get(id) === set));
    const sets = Object.fromEntries(setNames.map((set, i) => [set, bySet[i]!.length]));
    texts.set(name, { lines: linesOf(name, task, bySet.flat()), sets: sets as Record<SetName, number> });
  }
  const records = gsm8k('train').filter((record) => replaceableNumbers(record).length > 0);
  texts.set('gsm8k/train', {
    lines: records.map(({ question, answer }) => JSON.stringify({ question, answer })),
  });
  return texts;
}

/** The text of a file, and its checksum as the manifest states it. */
export function textOf({ lines }: PackageText): { text: string; sha256: string } {
  const text = `${lines.join('\n')}\n`;
  return { text, sha256: createHash('sha256').update(text).digest('hex') };
}

async function writePackage(folder: URL): Promise<void> {
  const texts = await packageTexts((line) => console.log(line));
  for (const part of ['bbh', 'symbench', 'reasoning-gym', 'gsm8k']) {
    rmSync(new URL(part, folder), { recursive: true, force: true });
  }
  const files: Record<string, QuestionFile> = {};
  for (const [name, made] of texts) {
    const { text, sha256 } = textOf(made);
    const compressed = compress(text);
    const path = fileURLToPath(new URL(`${name}.jsonl.br`, folder));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, compressed);
    const { lines, sets } = made;
    files[name] = {
      questions: lines.length,
      ...(sets === undefined ? {} : { sets }),
      bytes: compressed.length,
      sha256,
    };
  }
  const manifest = `${JSON.stringify({ format: kQuestionsFormat, files }, null, 1)}\n`;
  writeFileSync(new URL('manifest.json', folder), manifest);
  const sum = (key: 'questions' | 'bytes') =>
    Object.values(files).reduce((total, file) => total + file[key], 0);
  console.log(`${texts.size} files, ${sum('questions')} lines, ${(sum('bytes') / 1e6).toFixed(2)} MB`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (sharedData === null)
    throw new Error('expected ../shared/data beside the checkout: it holds the questions');
  await writePackage(new URL('../../questions/', import.meta.url));
}
