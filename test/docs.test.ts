/**
 * The documentation is true: its code is type-checked and runs, its links lead to what they name, its lists of keys, files and
 * fields are those of the program.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import ts from 'typescript';
import { packageRoot } from '../lib/package.ts';
import { rollout } from '../lib/rollout/rollout.ts';
import { readLines } from '../lib/run/directory.ts';
import { rolloutRecord } from '../lib/run/records.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import { configPage } from '../scripts/make-config-docs.ts';
import { letterTool, openTiny, promptsOf, rolloutOptions, tinyFolder } from './support/rollouts.ts';

const text = (file: string) => readFileSync(join(packageRoot, file), 'utf8');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(packageRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The fenced blocks of a page in one language, with the line they begin on. */
function blocks(page: string, language: string): { code: string; line: number }[] {
  const found: { code: string; line: number }[] = [];
  for (const match of text(page).matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (match[1] !== language) continue;
    found.push({ code: match[2]!, line: text(page).slice(0, match.index).split('\n').length + 1 });
  }
  return found;
}

/** The code words in the first column of every table below the heading that begins with `heading`, to the next one of its rank. */
function firstColumn(page: string, heading: string): string[] {
  const lines = text(page).split('\n');
  const start = lines.findIndex((line) => line.startsWith(heading));
  if (start < 0) throw new Error(`${page}: expected a heading ${heading}`);
  const rank = heading.indexOf(' ');
  const names: string[] = [];
  for (const line of lines.slice(start + 1)) {
    const next = /^#+ /.exec(line);
    if (next !== null && next[0].length - 1 <= rank) break;
    if (next !== null) return names; // a sub-section has tables of its own
    if (!line.startsWith('| `')) continue;
    names.push(...[...line.split('|')[1]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!));
  }
  return names;
}

const examples = [
  'README.md',
  'docs/embedding.md',
  'docs/kernels.md',
  'docs/lora.md',
  'docs/python-sandbox.md',
  'docs/sandbox-serve.md',
  'docs/serve.md',
  'docs/tasks.md',
].flatMap((page) =>
  blocks(page, 'ts')
    .filter(({ code }) => code.includes("from 'toolgrad'"))
    .map((block, i) => ({ ...block, page, name: `${basename(page, '.md').toLowerCase()}-${i + 1}` })),
);

test('the examples of the documentation are type-checked', (t) => {
  t.is(examples.length, 15);
  const sources = new Map(examples.map((example) => [join(packageRoot, `${example.name}.ts`), example]));
  const { config } = ts.readConfigFile(join(packageRoot, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, packageRoot);
  const settings: ts.CompilerOptions = {
    ...options,
    noEmit: true,
    rootDir: packageRoot,
    paths: { toolgrad: [join(packageRoot, 'lib', 'index.ts')] },
  };
  const host = ts.createCompilerHost(settings);
  const { readFile, fileExists } = host;
  host.readFile = (path) => sources.get(path)?.code ?? readFile(path);
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  const program = ts.createProgram([...sources.keys()], settings, host);
  for (const [path, { page, line }] of sources) {
    const file = program.getSourceFile(path)!;
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      (problem) => {
        const at = file.getLineAndCharacterOfPosition(problem.start ?? 0).line + line;
        return `${page}:${at}: ${ts.flattenDiagnosticMessageText(problem.messageText, '\n')}`;
      },
    );
    t.deepEqual(found, []);
  }
});

/** Where the examples run: `./model` is the tiny model. */
const folder = mkdtempSync(join(tmpdir(), 'toolgrad-docs-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test.serial('the examples of the documentation run', async (t) => {
  symlinkSync(tinyFolder, join(folder, 'model'));
  mkdirSync(join(folder, 'code'));
  writeFileSync(
    join(folder, 'mine.yaml'),
    `{ run: runs/mine, model: { path: ./model }, instruction: "", rl: { steps: 2, prompts: 2, group: 4 }, eval: { questions: 2 },
       rollout: { max_calls: 1, max_turns: 2, first_turn_tokens: 32, turn_tokens: 16, total_tokens: 320, kv_memory_mb: 64 } }`,
  );
  const api = JSON.stringify(pathToFileURL(join(packageRoot, 'lib', 'index.ts')).href);
  const [before, print] = [process.cwd(), console.log];
  const printed: string[] = [];
  process.chdir(folder);
  console.log = (...values: unknown[]) => printed.push(values.join(' '));
  try {
    for (const { name, code } of examples) {
      const file = join(folder, 'code', `${name}.mts`);
      writeFileSync(file, code.replaceAll("'toolgrad'", api));
      printed.push(`${name}:`);
      await import(pathToFileURL(file).href);
    }
  } finally {
    console.log = print;
    process.chdir(before);
  }
  t.log(printed.join('\n'));
  const output = printed.join('\n');
  t.regex(output, /readme-1:\n1 0\n2 0\n.*checkpoints\/000002/);
  t.regex(output, /step 3, gap 0\nstep 4, gap 0\nbefore: /);
  t.regex(output, /What is 1 \+ 2 \+ \.\.\. \+ \d+\? equal to the expected answer/);
  t.is(output.match(/gap 0, dead groups \d/g)?.length, 2);
  const entropies = [...output.matchAll(/cross entropy ([\d.]+)/g)].map((match) => Number(match[1]));
  t.true(entropies.length === 4 && entropies[3]! < entropies[0]!, 'SFT lowers the loss');
  const losses = [...output.matchAll(/log-prob of the first token (-[\d.]+)/g)].map((match) =>
    Number(match[1]),
  );
  t.true(
    losses.length === 3 && losses[2]! > losses[0]!,
    'a token with a positive advantage becomes likelier',
  );
  t.true(existsSync(join(folder, 'trained', 'model.safetensors')));
  t.regex(output, /(?:stop|length) after \d+ tokens/);
  t.regex(output, /true true\ntrue false\ntrue/);
  t.regex(output, /the adapter moved a log-prob by -?\d/);
  t.true(existsSync(join(folder, 'merged', 'model.safetensors')));
});

test.serial('every field that a run writes is in docs/metrics.md, and no other', async (t) => {
  const page = 'docs/metrics.md';
  const run = join(folder, 'runs', 'embedded');
  const metrics = readLines(join(run, 'metrics.jsonl'));
  for (const kind of ['sft', 'rl', 'evaluation']) {
    const record = metrics.find((candidate) => candidate.kind === kind);
    t.deepEqual(firstColumn(page, `### kind \`${kind}\``).sort(), Object.keys(record!).sort(), kind);
  }
  const records = (name: string) => readLines(join(run, name));
  const [trajectory] = records('rollouts/000003.jsonl');
  const fields = firstColumn(page, '## rollouts/*.jsonl');
  t.deepEqual([...fields].sort(), Object.keys(trajectory!).sort());
  const [attempt] = records('eval/000004.jsonl');
  const onlyTraining = ['started', 'reward', 'reward_parts', 'advantage', 'token_advantages'];
  t.deepEqual(Object.keys(attempt!).sort(), fields.filter((name) => !onlyTraining.includes(name)).sort());
  t.deepEqual(firstColumn(page, '### `ledger`').sort(), Object.keys(trajectory!.ledger as object).sort());
  for (const name of Object.keys(trajectory!.question as object))
    t.true(text(page).includes(`\`${name}\``), name);

  // Calls: the letter format makes a random model call.
  const tiny = await openTiny();
  const options = rolloutOptions(tiny, { tool: letterTool() });
  const { trajectories } = await rollout(promptsOf(tiny.tokenizer, 1, 4), options);
  const caller = trajectories.find(({ calls }) => calls.length > 0)!;
  const record = rolloutRecord(
    { trajectory: caller, correct: false, reward: 0, parts: {} },
    { advantages: Float32Array.of(0), tokenAdvantages: [new Float32Array(caller.ledger.length)] },
    0,
    tiny.tokenizer,
  );
  const [call] = record.calls as object[];
  t.deepEqual(firstColumn(page, '### `calls`').sort(), Object.keys(call!).sort());
  tiny.model.dispose();

  const ends = /export type TrajectoryEnd =\n([\s\S]*?);/.exec(text('lib/rollout/trajectory.ts'))![1]!;
  const names = [...ends.matchAll(/'(\w+)'/g)].map((match) => match[1]!);
  t.deepEqual(firstColumn(page, '### How a trajectory ends').sort(), names.sort());
});

test.serial('docs/run-directory.md lists the files of a run, and no other', (t) => {
  const page = 'docs/run-directory.md';
  const general = (path: string) => path.replace(/\d{6,}/g, 'N').replace(/attempt-\d+/, 'attempt-N');
  const filesBelow = (root: string) =>
    readdirSync(root, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => general(relative(root, join(entry.parentPath ?? entry.path, entry.name))));
  const files = [...new Set(filesBelow(join(folder, 'runs', 'embedded')))];
  const inCheckpoints = (path: string) => path.startsWith('checkpoints/N/');
  const listed = firstColumn(page, '# Run directory').map(general);
  // There only while a run is going on, where the checkout has uncommitted changes, and with online regrouping.
  const passing = ['lock', 'code.diff', 'curriculum/N.jsonl'];
  for (const name of passing) t.true(listed.includes(name), name);
  t.deepEqual(
    listed.filter((path) => !path.endsWith('/') && !passing.includes(path)).sort(),
    files.filter((path) => !inCheckpoints(path) && !passing.includes(path)).sort(),
  );
  t.true(listed.includes('checkpoints/N/'));
  const parts = files.filter(inCheckpoints).map((path) => path.slice('checkpoints/N/'.length));
  // Written with partial rollouts, and with batches sampled ahead.
  const others = ['parked.jsonl', 'ahead.jsonl'];
  t.deepEqual(firstColumn(page, '## Checkpoints').sort(), [...parts, ...others].sort());
});

test('docs/config.md is what scripts/make-config-docs.ts makes', (t) => {
  t.is(text('docs/config.md'), configPage(), 'run: npx tsx scripts/make-config-docs.ts');
});

test('links lead to files, and a linked name occurs in the file', (t) => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
  let links = 0;
  for (const page of pages) {
    for (const [, label, target] of text(page).matchAll(/\[([^\]]+)\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      links += 1;
      const [path, anchor] = target!.split('#');
      const file = path === '' ? page : join(dirname(page), path!);
      const where = `${page}: [${label}](${target})`;
      if (!existsSync(join(packageRoot, file))) {
        t.fail(`${where}: no such file`);
        continue;
      }
      if (anchor !== undefined) {
        const headings = [...text(file).matchAll(/^#+ (.*)$/gm)].map((match) => slug(match[1]!));
        t.true(headings.includes(anchor), `${where}: no such heading`);
      }
      const name = /^`(.*)`$/.exec(label!)?.[1];
      const isSource = /\.(ts|cc|h)$/.test(file) && statSync(join(packageRoot, file)).isFile();
      if (name === undefined || !isSource || file.endsWith(name)) continue;
      t.true(text(file).includes(name), `${where}: ${file} does not hold that name`);
    }
  }
  t.true(links > 80, `found ${links} links`);
});

test('the README is short, its config is sound, its commands and paths exist', (t) => {
  const readme = text('README.md');
  t.true(readme.trimEnd().split('\n').length <= 200);
  const [yaml] = blocks('README.md', 'yaml');
  const config = parseConfig(yaml!.code, 'README.md');
  t.true(config.sft.steps > 0 && config.rl.steps > 0);
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
  for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g))
    t.true(script! in scripts, `npm run ${script}`);
  for (const [, command] of readme.matchAll(/npx toolgrad (\w+)/g)) {
    t.true(existsSync(join(packageRoot, 'lib', 'cli', `${command}.ts`)), `toolgrad ${command}`);
  }
  // The tree: a name after two blanks is below the last one without.
  const tree = blocks('README.md', 'text').at(-1)!.code;
  let above = '';
  for (const [, indent, name] of tree.matchAll(/^( *)(\S+)/gm)) {
    if (indent === '') above = name!;
    const path = indent === '' ? name! : join(above, name!);
    t.true(existsSync(join(packageRoot, path)), `the tree names ${path}`);
  }
});

test('a program that brings no tasks where the config leaves them to it is told so', async (t) => {
  const yaml = 'model: { path: m }\nrl: { steps: 1 }\n';
  t.throws(() => parseConfig(yaml, 'x'), { code: 'ERR_CONFIG', message: /rl\.steps: RL needs questions/ });
  const config = parseConfig(yaml, 'x', [], { ownTasks: true });
  const { planQuestions } = await import('../lib/train/questions.ts');
  await t.throwsAsync(planQuestions(config), { instanceOf: RangeError, message: /pass tasks to train\(\)/ });
});
