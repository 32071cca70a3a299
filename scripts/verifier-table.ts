/**
 * Prints a Markdown table of all 144 verifiers: how many stored and generated questions there are and whether each canonical
 * answer is accepted, agreement with the Python package's scored examples at "score = 1" and the differences that are listed
 * with their reasons, degenerate answers rejected, and the time of a verdict (99th percentile).
 *
 *   npx tsx scripts/verifier-table.ts [suite or task]
 *
 * Ends with 1 where an answer is rejected that should not be, or a difference is not listed. Scored examples are in
 * ../shared/data beside the checkout; without it that column is `-`.
 */

import {
  openSuiteTask,
  type PublishedTask,
  setNames,
  splitEntries,
  suiteVerifier,
} from '../lib/tasks/suites/index.ts';
import { algorithmicDifferences } from '../lib/tasks/suites/reasoning-gym/algorithmic-differences.ts';
import { numericDifferences } from '../lib/tasks/suites/reasoning-gym/numeric-differences.ts';
import { puzzleDifferences } from '../lib/tasks/suites/reasoning-gym/puzzle-differences.ts';
import type { Question } from '../lib/tasks/task.ts';
import { sharedQuestions } from '../test/support/reasoning-gym.ts';
import { degenerateAnswers, kHostile, sharedData } from '../test/support/suites.ts';

const differences = [...algorithmicDifferences, ...numericDifferences, ...puzzleDifferences];
/** Questions on which degenerate answers are tried. */
const kTried = 12;
let faults = 0;

/** The verdict, and the milliseconds it took: the faster of two, because a busy machine may take the processor away. */
function timed(task: PublishedTask, question: Question, answer: string): { correct: boolean; time: number } {
  let time = Number.POSITIVE_INFINITY;
  let correct = false;
  for (let i = 0; i < 2; i++) {
    const started = performance.now();
    correct = task.verify(question, answer).correct;
    time = Math.min(time, performance.now() - started);
  }
  return { correct, time };
}

/** Agreement with the package's scores, as `n of n`, and the kinds of the listed differences. */
async function agreement(name: string): Promise<string> {
  if (!name.startsWith('reasoning-gym/')) return '';
  if (sharedData === null) return '-';
  const task = await suiteVerifier(name);
  const listed = new Set(differences.filter((d) => d.task === task.name).flatMap(({ kinds }) => kinds));
  let examples = 0;
  let agreeing = 0;
  const differing = new Map<string, number>();
  for (const { question, scored } of sharedQuestions(task)) {
    for (const { kind, answer, score } of scored) {
      examples += 1;
      const correct = answer !== null && task.verify({ meta: {}, ...question }, answer).correct;
      if (correct === (score === 1)) agreeing += 1;
      else differing.set(kind, (differing.get(kind) ?? 0) + 1);
    }
  }
  const kinds = [...differing].map(([kind, count]) => {
    if (listed.has(kind)) return `${kind} ${count}`;
    faults += 1;
    return `UNLISTED ${kind} ${count}`;
  });
  return `${agreeing} of ${examples}${kinds.length === 0 ? '' : ` (${kinds.join(', ')})`}`;
}

async function row(name: string, kind: string): Promise<string> {
  const task = await openSuiteTask(name);
  const sets = task.sets();
  const all = setNames.flatMap((set) => sets[set]);
  const times: number[] = [];
  const verify = (question: Question, answer: string): boolean => {
    const { correct, time } = timed(task, question, answer);
    times.push(time);
    return correct;
  };
  const accepted = all.filter((question) => verify(question, question.answer)).length;
  const tried = Array.from({ length: kTried }, (_, i) => all[Math.floor((i * all.length) / kTried)]!);
  let degenerate = 0;
  let refused = 0;
  const passed = new Set<string>();
  for (const question of tried) {
    for (const answer of degenerateAnswers(question)) {
      degenerate += 1;
      if (verify(question, answer)) passed.add(answer.length > 24 ? `${answer.slice(0, 24)}...` : answer);
      else refused += 1;
    }
  }
  for (const question of tried.slice(0, 2)) for (const answer of kHostile) verify(question, answer);
  if (accepted !== all.length) faults += 1;
  times.sort((a, b) => a - b);
  const p99 = times[Math.floor(0.99 * (times.length - 1))]!;
  const passing = [...passed]
    .map((answer) => `\`${JSON.stringify(answer).replaceAll('|', '\\|')}\``)
    .join(', ');
  const sizes = setNames.map((set) => sets[set].length).join(' / ');
  return (
    `| ${name} | ${sizes}${task.endless ? ' +' : ''} | ${kind} | ${accepted} of ${all.length} | ${await agreement(name)} | ` +
    `${refused} of ${degenerate}${passing === '' ? '' : ` (right: ${passing})`} | ${p99.toFixed(p99 < 0.1 ? 3 : 2)} |`
  );
}

const wanted = process.argv[2] ?? '';
const entries = splitEntries.filter(({ name }) => name.startsWith(wanted));
if (entries.length === 0) throw new RangeError(`expected a suite or a task, found ${wanted}`);
console.log(
  '| task | cold start / training / evaluation | answer | canonical answers accepted | agrees with the package | degenerate answers rejected | p99 ms |',
);
console.log('|---|---|---|---|---|---|---|');
for (const { name, answer } of entries) console.log(await row(name, answer));
process.exitCode = faults === 0 ? 0 : 1;
