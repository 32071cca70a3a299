/**
 * Every attack at the default level, where none may succeed. scripts/sandbox-attacks.ts runs them at all levels, and first with
 * the layers off that stop them, which shows that they are attacks.
 */
import { machine } from 'node:os';
import test from 'ava';
import type { Tool } from '../../lib/tools/tool.ts';
import type { Attack } from './attack.ts';
import { attacks, groups } from './attacks/index.ts';
import { type Level, levelOf, openAt } from './levels.ts';
import { plantTrainerToken, runAttack, scratchDirectory } from './running.ts';

const scratch = scratchDirectory();
let tool: Tool;
let level: Level;
let temporary: string;

test.before(async (t) => {
  plantTrainerToken();
  level = levelOf('namespaces');
  temporary = scratch.temporary(level);
  tool = await openAt(level, temporary);
  t.log(tool.describe);
});

test.after.always(async () => {
  await tool?.close();
  scratch.remove();
});

/** Harmless attacks, so many at a time. */
const lanes = 3;
const waiting: (() => void)[] = [];
let running = 0;
async function inLane<T>(work: () => Promise<T>): Promise<T> {
  if (running >= lanes) await new Promise<void>((resolve) => waiting.push(resolve));
  else running++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

const title = ({ number, title }: Attack): string => `attack ${number} does not succeed: ${title}`;

for (const attack of attacks) {
  const unfit = attack.unfit?.({ machine: machine() }) ?? null;
  const declare = attack.alone === true ? test.serial : test;
  declare(title(attack), async (t) => {
    if (unfit !== null) return t.pass(`skipped: ${unfit}`);
    const run = (): Promise<{ succeeded: boolean; what: string }> =>
      runAttack(attack, level, tool, { scratch: scratch.path, temporary });
    const { succeeded, what } = await (attack.alone === true ? run() : inLane(run));
    t.log(what);
    t.false(succeeded, what);
  });
}

test('attacks are numbered from 1 without gaps, and say what stops them and why', (t) => {
  t.deepEqual(
    attacks.map(({ number }) => number),
    attacks.map((_, i) => i + 1),
  );
  for (const { number, layers, without, control } of attacks) {
    t.true(layers.length > 0, `${number}`);
    t.is(
      without.length === 0,
      control !== undefined,
      `${number}: layers to switch off, or why there are none`,
    );
  }
  t.is(Object.values(groups).flat().length, attacks.length);
});
