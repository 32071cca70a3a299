/** The soak of the sandbox in small: it passes, and it sees what it looks for. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { choose, jobsWith, randomFrom } from '../scripts/sandbox-soak/jobs.ts';
import {
  countNames,
  growth,
  type Sample,
  slope,
  takeTraces,
  whatGrew,
} from '../scripts/sandbox-soak/traces.ts';
import { levels, type SoakOptions, soak, verdictOf } from '../scripts/sandbox-soak.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'soak-test-'));
test.after.always(() => rmSync(scratch, { recursive: true, force: true }));

const sample = (executions: number, supervisor: number, changed: Partial<Sample['counts']> = {}): Sample => ({
  executions,
  counts: {
    ...(Object.fromEntries(countNames.map((name) => [name, 1])) as Sample['counts']),
    ...changed,
  },
  rss: { supervisor, templates: 0 },
});

test('what grew is named, and a resident set that grows is one that goes on growing', (t) => {
  t.is(slope([1, 2, 3].map((x) => ({ x, y: 5 - 2 * x }))), -2);
  const flat = [0, 100, 200, 300, 400].map((n) => sample(n, n === 0 ? 0 : 2 ** 24));
  t.deepEqual(whatGrew(flat, true), [], 'a jump before the half is none');
  const leaking = [0, 100, 200, 300, 400].map((n) => sample(n, n * 2 ** 16));
  t.is(Math.round(growth(leaking, 'supervisor')), 200 * 2 ** 16);
  t.deepEqual(whatGrew(leaking, true), ['resident set of supervisor: grows by 12800 KiB in the second half']);
  t.deepEqual(whatGrew(leaking, false), []);
  const more = sample(400, 0, { zombies: 2, cgroups: 0 });
  t.deepEqual(whatGrew([sample(0, 0), more], true), ['zombies: 1 at the beginning, 2 at the end']);
});

test.serial('traces are seen: a process, a descriptor, a folder', async (t) => {
  const before = await takeTraces(process.pid, new Set(), scratch);
  const child = spawn('sleep', ['60']);
  t.teardown(() => child.kill('SIGKILL'));
  for (let i = 0; i < 3; i++) t.teardown(spawn('sleep', ['60']).kill.bind(child, 'SIGKILL'));
  mkdirSync(path.join(scratch, 'a', 'b'), { recursive: true });
  const after = await takeTraces(process.pid, new Set(), scratch);
  t.true(after.counts['other processes'] > before.counts['other processes']);
  t.true(after.counts['descriptors here'] > before.counts['descriptors here']);
  t.is(after.counts['temporary directories'], before.counts['temporary directories'] + 2);
});

test('jobs are chosen by weight, and every one in the end', (t) => {
  const jobs = jobsWith(() => true);
  t.is(new Set(jobs.map(({ name }) => name)).size, jobs.length);
  t.true(jobsWith(() => false).length < jobs.length);
  const random = randomFrom(3);
  const chosen = new Map<string, number>();
  for (let i = 0; i < 5000; i++) {
    const { name } = choose(jobs, random);
    chosen.set(name, (chosen.get(name) ?? 0) + 1);
  }
  t.is(chosen.size, jobs.length);
  t.true(chosen.get('arithmetic')! > 3 * chosen.get('crash')!);
});

for (const level of levels) {
  for (const kill of [null, 0.15]) {
    test.serial(
      `100 executions at ${level}${kill !== null ? ', the supervisor killed now and then' : ''}`,
      async (t) => {
        t.timeout(240_000);
        const lines: string[] = [];
        const options: SoakOptions = {
          executions: 100,
          level,
          kill,
          seed: 2,
          tell: (line) => lines.push(line),
        };
        const report = await soak(options);
        const { text, failures } = verdictOf(report);
        t.deepEqual(failures, [], `${lines.join('\n')}\n${text}`);
        t.true(report.executions >= 100 && report.samples.length === 21);
        t.true(kill === null ? report.kills === 0 : report.kills >= 2);
        t.log(
          `${report.executions} executions, ${report.kills} kills, ${report.interrupted} jobs lost to them`,
        );
      },
    );
  }
}
