/** Levels of the sandbox: what is verified, what is refused, and how what is accepted all the same is marked. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../lib/package.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import { levelOf } from '../lib/tools/sandbox/level.ts';
import { reachableByAll, request } from './support/tool.ts';

const isRoot = process.getuid?.() === 0;
const system = '/usr/bin/python3';

test('a level is named after what works, and holds with seccomp, rlimits and one of two for the files', (t) => {
  const level = (...works: string[]) =>
    levelOf(
      (['namespaces', 'landlock', 'seccomp', 'rlimits'] as const).map((layer) => ({
        ...{ layer, works: works.includes(layer), why: '' },
      })),
    );
  t.like(level('namespaces', 'landlock', 'seccomp', 'rlimits'), {
    name: 'namespaces+landlock+seccomp+rlimits',
    safe: true,
  });
  t.true(level('landlock', 'seccomp', 'rlimits').safe && level('namespaces', 'seccomp', 'rlimits').safe);
  for (const less of [
    ['seccomp', 'rlimits'],
    ['namespaces', 'landlock', 'rlimits'],
    ['namespaces', 'landlock', 'seccomp'],
    [],
  ]) {
    t.false(level(...less).safe, `${less}`);
    t.regex(level(...less).weaknesses.join(), /UNSAFE/);
  }
  t.is(level().name, 'none');
});

test('each layer that is left out is missed by the attacks at the start', async (t) => {
  for (const layer of ['namespaces', 'landlock', 'seccomp', 'rlimits'] as const) {
    await using tool = await openPythonTool({ workers: 1, unsafe: true, testing: { without: [layer] } });
    t.false(tool.level.layers.find((one) => one.layer === layer)!.works, layer);
    t.false(tool.level.name.includes(layer), tool.level.name);
    t.is(tool.level.safe, layer === 'namespaces' || layer === 'landlock');
    t.is((await tool.run(request('print(1)'))).output, '1\n');
    t.is(/UNSAFE/.test(tool.describe), !tool.level.safe);
  }
});

test('a sandbox that does not hold is refused, with each layer and its reason', async (t) => {
  for (const without of [['seccomp'], ['rlimits'], ['namespaces', 'landlock']] as const) {
    const error = await t.throwsAsync(openPythonTool({ testing: { without } }));
    t.regex(error.message, /expected a sandbox of seccomp, rlimits and Landlock or namespaces/);
    for (const layer of without) t.regex(error.message, new RegExp(`NO +${layer} +left out for a test`));
    t.regex(error.message, /--unsafe-sandbox/);
  }
});

test('in a container without namespaces it falls back to Landlock, seccomp and limits, and says why', async (t) => {
  await using tool = await openPythonTool({ workers: 1, testing: { container: true } });
  t.is(tool.level.name, 'landlock+seccomp+rlimits');
  t.true(tool.level.safe);
  const namespaces = tool.level.layers.find(({ layer }) => layer === 'namespaces')!;
  t.log(namespaces.why);
  t.regex(namespaces.why, /Operation not permitted/);
  t.is((await tool.run(request('import math\nprint(math.pi)'))).output, '3.141592653589793\n');
  t.regex((await tool.run(request('open("/etc/passwd")'))).output, /PermissionError/);
});

test('another user than root gets the same levels', async (t) => {
  if (!isRoot) return t.pass('skipped: needs root to become another user');
  if (!reachableByAll(join(packageRoot, 'sandbox')))
    return t.pass('skipped: this checkout is closed to other users');
  const python = await promisify(execFile)(system, ['-I', '-c', 'import ctypes']).then(
    () => system,
    () => null,
  );
  if (python === null) return t.pass(`skipped: needs an interpreter that every user can run (${system})`);
  for (const [testing, name] of [
    [{}, 'namespaces+landlock+seccomp+rlimits'],
    [{ without: ['namespaces'] }, 'landlock+seccomp+rlimits'],
    [{ container: true }, 'landlock+seccomp+rlimits'],
  ] as const) {
    await using tool = await openPythonTool({ python, workers: 1, testing: { ...testing, user: 61_234 } });
    t.is(tool.level.name, name);
    t.is((await tool.run(request('print(sum(range(10)))'))).output, '45\n');
    const fork = await tool.run(request('import os\nos.fork()'));
    t.regex(fork.output, /PermissionError/);
  }
});

test('where there is a control group, programs cannot use more memory together than they may', async (t) => {
  await using tool = await openPythonTool({ workers: 4, totalMemoryBytes: 150 * 2 ** 20, retries: 0 });
  const { works, why } = tool.level.cgroup;
  if (!works) return t.pass(`skipped: no control group can be made here: ${why}`);
  t.log(why);
  // Each keeps its own limit of 512 MiB; together they need four times what there is.
  const hungry =
    'x = bytearray(100 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nimport time\ntime.sleep(1)';
  const before = process.memoryUsage().rss;
  const results = await Promise.all(Array.from({ length: 4 }, () => tool.run(request(hungry))));
  const statuses = results.map(({ status }) => status);
  t.log(statuses.join(' '));
  t.true(statuses.includes('memory'));
  t.true(statuses.every((status) => ['ok', 'memory', 'infrastructure_error'].includes(status)));
  t.true(process.memoryUsage().rss - before < 100 * 2 ** 20);
  t.is((await tool.run(request('print(6 * 7)'))).output, '42\n');
});
