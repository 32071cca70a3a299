/**
 * Ordinary programs: what stops attacks must not stop them. Each of programs/*.py must print what a plain interpreter printed
 * (programs/*.out, made by make-expected.py), at every level. Programs that need what the interpreter lacks are skipped
 * with the reason.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import type { ToolResult } from '../../lib/tools/tool.ts';
import { request } from '../support/tool.ts';
import { levelNames, levelOf, openAt } from './levels.ts';
import { scratchDirectory } from './running.ts';

const folder = new URL('./programs/', import.meta.url);
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.out'))
  .map((name) => name.slice(0, -'.out'.length));
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

/** What each program needs and the interpreter lacks, by its name. */
function lacking(python: string): Map<string, string> {
  const needs = names.flatMap((name) => {
    const need = /^# needs: (.*)$/m.exec(read(`${name}.py`))?.[1];
    return need === undefined ? [] : [[name, need] as const];
  });
  const checks = `
import json, sys
missing = {}
for name, need in json.loads(sys.argv[1]):
    try:
        if not eval(need): missing[name] = need
    except Exception as error: missing[name] = '%s: %s' % (need, error)
print(json.dumps(missing))`;
  const { stdout, stderr } = spawnSync(python, ['-I', '-c', checks, JSON.stringify(needs)], {
    encoding: 'utf8',
  });
  if (stdout === '') throw new Error(`${python} could not tell what it has: ${stderr}`);
  return new Map(Object.entries(JSON.parse(stdout) as Record<string, string>));
}

/** What the program printed, in the form of the expected files. */
function printed({ stdout, stderr, exitCode, signal, status }: ToolResult): string {
  if (status === 'ok') return stdout;
  if (status !== 'exception' || signal !== null)
    return `${stdout}[${status} ${signal ?? ''}] ${stderr.slice(-300)}`;
  return `${stdout}${`exit ${exitCode}: ${stderr.trim().split('\n').at(-1)}`.trim()}\n`;
}

test('every ordinary program has its expected output beside it, and there are many', (t) => {
  t.true(names.length >= 60, `${names.length} programs`);
  t.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.py') && !names.includes(name.slice(0, -3))),
    [],
    'every program has its expected output',
  );
});

for (const name of levelNames) {
  test.serial(`ordinary programs print the same at level ${name} as without a sandbox`, async (t) => {
    const scratch = scratchDirectory();
    t.teardown(() => scratch.remove());
    const level = levelOf(name);
    const missing = lacking(level.python);
    await using tool = await openAt(level, scratch.temporary(level), [], 2);
    t.log(tool.describe);
    const limits = {
      seconds: 20,
      wallSeconds: 60,
      memoryBytes: 2 ** 30,
      outputBytes: 2 ** 20,
      fileBytes: 2 ** 26,
    };
    const wrong: string[] = [];
    await Promise.all(
      names.map(async (program) => {
        const reason = missing.get(program);
        if (reason !== undefined) return t.log(`skipped ${program}: ${reason}`);
        const result = await tool.run(request(read(`${program}.py`), limits));
        const text = printed(result);
        const expected = read(`${program}.out`);
        if (text !== expected) {
          wrong.push(
            `${program}: expected ${JSON.stringify(expected.slice(0, 600))}, found ${JSON.stringify(text.slice(0, 600))}`,
          );
        }
      }),
    );
    t.deepEqual(wrong, []);
    t.log(`${names.length - missing.size} programs`);
  });
}
