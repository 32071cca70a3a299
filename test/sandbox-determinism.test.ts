/** The same program with the same seed gives the same bytes: in any order, on both workers, beside others, after a restart. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { openPythonTool } from '../lib/tools/python.ts';
import { findInterpreter } from '../lib/tools/sandbox/interpreter.ts';
import { faultOf, type Repeated, repeat, repeatedPrograms } from '../scripts/sandbox-soak/determinism.ts';
import { randomFrom } from '../scripts/sandbox-soak/jobs.ts';
import { request, until } from './support/tool.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'determinism-'));
test.after.always(() => rmSync(scratch, { recursive: true, force: true }));

const TIMES = 20;

test('outputs that differ are a fault, and so are seeds that do not', (t) => {
  const [random, hashes] = ['random', 'hashes'].map((name) => repeatedPrograms.find((p) => p.name === name)!);
  const found = (program: typeof random, ...texts: string[][]): Repeated => ({
    program: program!,
    outputs: new Map(texts.map((list, i) => [BigInt(i), new Map(list.map((text) => [text, 1]))])),
  });
  t.is(faultOf(found(random, ['a'], ['b'])), null);
  t.regex(faultOf(found(random, ['a'], ['a']))!, /expected 2 outputs for 2 seeds, found 1/);
  t.regex(faultOf(found(random, ['a', 'c'], ['b']))!, /seed 0: 2 outputs/);
  t.is(faultOf(found(hashes, ['a'], ['a'])), null);
  t.regex(faultOf(found(hashes, ['a'], ['b']))!, /expected 1 outputs for 2 seeds, found 2/);
});

for (const without of [[], ['namespaces'] as const]) {
  const level = without.length === 0 ? 'with namespaces' : 'without namespaces';
  test.serial(`every program gives the same bytes ${TIMES} times, ${level}`, async (t) => {
    t.timeout(180_000);
    const { modules } = await findInterpreter('python3', 20);
    const testing = { without };
    await using tool = await openPythonTool({ workers: 2, temporaryDirectory: scratch, testing });
    const random = randomFrom(1);
    const results = await repeat(tool, modules, TIMES / 2, random);
    const first = tool.supervisorPid!;
    process.kill(first, 'SIGKILL');
    t.true(await until(() => tool.supervisorPid === null, 5000));
    await repeat(tool, modules, TIMES / 2, random, results);
    t.not(tool.supervisorPid, first);
    for (const one of results) {
      const times = [...one.outputs.values()].flatMap((found) => [...found.values()]);
      t.is(
        times.reduce((sum, n) => sum + n, 0),
        TIMES,
        one.program.name,
      );
      t.is(faultOf(one), null);
    }
    t.log(`${results.length} programs`);
  });
}

test.serial('a session is seeded anew for each cell, whichever cells came before', async (t) => {
  await using tool = await openPythonTool({ workers: 1 });
  const cell = 'import random\nprint(random.random())';
  const call = (session: string, seed: bigint) => tool.run(request(cell, { session, seed }));
  const [a, b, c] = [await call('a', 1n), await call('a', 2n), await call('b', 2n)];
  t.not(a.stdout, b.stdout);
  t.is(b.stdout, c.stdout);
});
