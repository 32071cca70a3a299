/**
 * Runs every attack of test/sandbox/attacks at three levels, and before that with the layers off that stop it, where it must
 * succeed: an attack that cannot succeed proves nothing. Prints a line per attack and ends with 1 when one succeeds at the
 * default level, succeeds elsewhere without a documented exception, is excepted without need, or fails with its layers off.
 * Usage: npx tsx scripts/sandbox-attacks.ts [--only 30-45,52] [--level NAME|control] [--publish docs/sandbox-attacks.md]
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { machine, release } from 'node:os';
import { parseArgs } from 'node:util';
import type { Tool } from '../lib/tools/tool.ts';
import type { Attack, Outcome } from '../test/sandbox/attack.ts';
import { attacks, groups } from '../test/sandbox/attacks/index.ts';
import {
  type LayerName,
  type Level,
  type LevelName,
  levelNames,
  levelOf,
  openAt,
} from '../test/sandbox/levels.ts';
import { plantTrainerToken, runAttack, scratchDirectory } from '../test/sandbox/running.ts';

type Column = LevelName | 'control';
const columns: readonly Column[] = ['control', ...levelNames];
type Row = Partial<Record<Column, Outcome | string>>;

const { values } = parseArgs({
  options: { only: { type: 'string' }, level: { type: 'string' }, publish: { type: 'string' } },
});
if (values.level !== undefined && !columns.includes(values.level as Column)) {
  throw new Error(`--level: expected one of ${columns.join(', ')}, found ${values.level}`);
}
if (values.publish !== undefined && (values.only !== undefined || values.level !== undefined)) {
  throw new Error('--publish: expected no --only and no --level, for the table is of all');
}
const ranges = values.only?.split(',').map((part) => part.split('-').map(Number));
if (ranges?.some((range) => range.length > 2 || !range.every(Number.isInteger))) {
  throw new Error(`--only: expected numbers and ranges such as 3,30-45, found ${values.only}`);
}
const chosen = attacks.filter(
  ({ number }) =>
    ranges === undefined || ranges.some(([low, high]) => number >= low! && number <= (high ?? low!)),
);
const root = process.getuid?.() === 0;

/** Attacks that are fit for it one after another where they must be alone, else three at a time. */
async function each(list: readonly Attack[], work: (attack: Attack) => Promise<void>): Promise<void> {
  for (const attack of list.filter(({ alone }) => alone === true)) await work(attack);
  const rest = list.filter(({ alone }) => alone !== true);
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      for (let attack = rest.shift(); attack !== undefined; attack = rest.shift()) await work(attack);
    }),
  );
}

const rows = new Map<Attack, Row>(chosen.map((attack) => [attack, {}]));
const note = (attack: Attack, column: Column, outcome: Outcome | string): void => {
  rows.get(attack)![column] = outcome;
  const text =
    typeof outcome === 'string' ? outcome : `${outcome.succeeded ? 'SUCCEEDS' : 'stopped'}: ${outcome.what}`;
  console.log(
    `${`${attack.number}`.padStart(3)} ${column.padEnd(24)} ${text.replaceAll('\n', ' ').slice(0, 160)}`,
  );
};

const scratch = scratchDirectory();
const unfitFor = (attack: Attack): string | null => attack.unfit?.({ machine: machine() }) ?? null;

async function runAll(
  column: Column,
  level: Level,
  without: readonly LayerName[],
  list: readonly Attack[],
): Promise<void> {
  const temporary = scratch.temporary(level);
  const tool: Tool = await openAt(level, temporary, without);
  console.log(
    `--- ${column}${without.length > 0 ? `, without ${without.join(', ')}` : ''}: ${tool.describe}`,
  );
  try {
    await each(list, async (attack) => {
      const unfit = unfitFor(attack);
      if (unfit !== null) return note(attack, column, `not run: ${unfit}`);
      const where = { scratch: scratch.path, temporary, control: column === 'control' };
      note(attack, column, await runAttack(attack, level, tool, where));
    });
  } finally {
    await tool.close();
  }
}

/** Attacks by the layers that are switched off for them. */
async function runControls(): Promise<void> {
  const bySet = new Map<string, Attack[]>();
  for (const attack of chosen) {
    if (attack.control !== undefined) note(attack, 'control', attack.control);
    else if (attack.controlNeedsRoot === true && !root)
      note(attack, 'control', 'not run: needs the superuser');
    else {
      const key = [...attack.without].sort().join('+');
      bySet.set(key, [...(bySet.get(key) ?? []), attack]);
    }
  }
  for (const list of bySet.values()) await runAll('control', levelOf('namespaces'), list[0]!.without, list);
}

/** What is wrong with the outcome of an attack in a column, or null. */
function faultOf(attack: Attack, column: Column, outcome: Outcome | string): string | null {
  if (typeof outcome === 'string') return null; // not run, for the reason that it says
  if (column === 'control')
    return outcome.succeeded ? null : `does not succeed without ${attack.without.join(', ')}`;
  const exception = attack.exceptions?.find(({ level }) => level === column);
  if (outcome.succeeded) return exception === undefined ? `succeeds at ${column}: ${outcome.what}` : null;
  return exception === undefined ? null : `is excepted at ${column}, and does not succeed there`;
}

const short = (text: string): string =>
  text
    .replaceAll(scratch.path, '…')
    .replaceAll(/SECRET-[0-9a-f]+|DONE-[0-9a-f]+|tg[0-9a-f]{12}/g, '…')
    .replaceAll('|', '\\|')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[<>]/g, (sign) => (sign === '<' ? '&lt;' : '&gt;'));

function cell(attack: Attack, column: Column, outcome: Outcome | string | undefined): string {
  if (outcome === undefined) return '';
  if (typeof outcome === 'string') return outcome.startsWith('none') ? '–' : outcome;
  if (column === 'control')
    return outcome.succeeded ? `succeeds (${attack.without.join(', ')} off)` : '**fails**';
  if (!outcome.succeeded) return 'stopped';
  return attack.exceptions?.some(({ level }) => level === column) === true
    ? 'succeeds, known'
    : '**succeeds**';
}

function markdown(faults: readonly string[], seconds: number): string {
  const count = (column: Column): string => {
    const outcomes = chosen.map((attack) => rows.get(attack)![column]);
    const ran = outcomes.filter((outcome) => typeof outcome === 'object');
    return `${ran.filter(({ succeeded }) => succeeded).length} of ${ran.length}`;
  };
  const python = spawnSync(levelOf('namespaces').python, ['--version'], { encoding: 'utf8' }).stdout.trim();
  const lines = [
    '# Attacks on the Python sandbox',
    '',
    'Made by `npx tsx scripts/sandbox-attacks.ts --publish docs/sandbox-attacks.md`; do not edit. Every attack is a program in',
    '`test/sandbox/attacks/`. *Layer off* shows that it succeeds when what stops it is switched off (a dash: there is no switch, and',
    'the outcome says why). The levels are described in [python-sandbox.md](python-sandbox.md), which also says what the sandbox does',
    'not protect from.',
    '',
    `Linux ${release()} on ${machine()}, ${python}, ${root ? 'run by the superuser; the two lower levels as an ordinary user' : 'run by an ordinary user'}, ${seconds.toFixed(0)} s.`,
    '',
    '| | layer off | namespaces | Landlock + seccomp + rlimits | the same in a container |',
    '|---|---|---|---|---|',
    `| attacks that succeed | ${columns.map(count).join(' | ')} |`,
    '',
    faults.length === 0 ? 'Nothing undocumented succeeds.' : `**Wrong:** ${faults.map(short).join('; ')}`,
  ];
  for (const [name, list] of Object.entries(groups)) {
    lines.push('', `## ${name[0]!.toUpperCase()}${name.slice(1)}`, '');
    lines.push(
      '| # | attack | layer off | namespaces | L+s+r | container | outcome |',
      '|---|---|---|---|---|---|---|',
    );
    for (const attack of [...list].sort((a, b) => a.number - b.number)) {
      const row = rows.get(attack) ?? {};
      const outcome = row.namespaces;
      const why = attack.exceptions?.[0]?.why ?? attack.control;
      const what = typeof outcome === 'object' ? outcome.what : (outcome ?? '');
      const told = [short(what).slice(0, 120), why]
        .filter((part) => part !== undefined && part !== '')
        .join(' · ');
      const cells = columns.map((column) => cell(attack, column, row[column]));
      lines.push(`| ${attack.number} | ${short(attack.title)} | ${cells.join(' | ')} | ${told} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

plantTrainerToken();
const begin = performance.now();
try {
  if (values.level === undefined || values.level === 'control') await runControls();
  for (const name of levelNames) {
    if (values.level === undefined || values.level === name) await runAll(name, levelOf(name), [], chosen);
  }
} finally {
  scratch.remove();
}
const seconds = (performance.now() - begin) / 1000;
const faults = [...rows].flatMap(([attack, row]) =>
  columns.flatMap((column) => {
    const outcome = row[column];
    const fault = outcome === undefined ? null : faultOf(attack, column, outcome);
    return fault === null ? [] : [`attack ${attack.number} (${attack.title}) ${fault}`];
  }),
);
if (values.publish !== undefined) writeFileSync(values.publish, markdown(faults, seconds));
for (const fault of faults) console.log(`WRONG ${fault}`);
console.log(`${chosen.length} attacks in ${seconds.toFixed(0)} s, ${faults.length} wrong`);
process.exitCode = faults.length === 0 ? 0 : 1;
