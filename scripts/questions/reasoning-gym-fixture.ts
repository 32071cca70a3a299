/**
 * Writes a fixture for the verifiers of Reasoning-Gym tasks: two questions a task with the answers that the Python package
 * scored, out of ../shared/data/reasoning-gym beside the checkout:
 *
 *   npx tsx scripts/questions/reasoning-gym-fixture.ts ab,jugs test/fixtures/suites/reasoning-gym-algorithmic.json
 *
 * The first of the two is the one with the most answers scored 1 (so that what is deliberately judged otherwise occurs),
 * then the shortest; the second differs from it in its answer. `meta` holds only the keys that the verifier names.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import type { SuiteTask } from '../../lib/tasks/suites/suite.ts';
import { type ScoredQuestion, sharedQuestions } from '../../test/support/reasoning-gym.ts';
import { sharedData } from '../../test/support/suites.ts';

const folder = new URL('../../lib/tasks/suites/reasoning-gym/', import.meta.url);

/** Every verifier exported in a list from a file *-tasks.ts, by name. */
async function verifiers(): Promise<Map<string, SuiteTask>> {
  const found = new Map<string, SuiteTask>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('-tasks.ts'))) {
    const module: Record<string, unknown> = await import(new URL(file, folder).href);
    for (const value of Object.values(module)) {
      if (!Array.isArray(value)) continue;
      for (const task of value as SuiteTask[]) found.set(task.name, task);
    }
  }
  return found;
}

function pick(all: readonly ScoredQuestion[]): ScoredQuestion[] {
  const right = ({ scored }: ScoredQuestion) => scored.filter(({ score }) => score === 1).length;
  const size = (item: ScoredQuestion) => JSON.stringify(item).length;
  const ranked = all
    .filter(({ scored }) => scored.length > 0)
    .sort((a, b) => right(b) - right(a) || size(a) - size(b));
  const first = ranked[0];
  const second = ranked.find(({ question }) => question.answer !== first?.question.answer);
  if (first === undefined || second === undefined) {
    throw new Error('expected at least two scored questions with different answers');
  }
  return [first, second];
}

const [names, path] = process.argv.slice(2);
if (names === undefined || path === undefined) {
  throw new Error('expected task names (separated by commas) and the path of the fixture to write');
}
if (sharedData === null)
  throw new Error('expected ../shared/data beside the checkout: it holds the questions');
const known = await verifiers();
const entries = names.split(',').map((name) => {
  const task = known.get(name);
  if (task === undefined) {
    throw new Error(`no verifier named ${name} is exported by lib/tasks/suites/reasoning-gym/*-tasks.ts`);
  }
  const items = pick(sharedQuestions(task)).map((item) => `    ${JSON.stringify(item)}`);
  return `  ${JSON.stringify(name)}: [\n${items.join(',\n')}\n  ]`;
});
writeFileSync(path, `{\n${entries.join(',\n')}\n}\n`);
