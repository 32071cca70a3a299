#!/usr/bin/env node
// The rules of docs/architecture.md and CONTRIBUTING.md that a text search can check. Prints one line per rule; exits with 1
// when one is broken, naming the file and the line.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folders = ['.ci', 'binding', 'bench', 'cuda', 'examples', 'lib', 'sandbox', 'scripts', 'sim', 'test'];
const files = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => entry.name);
for (const folder of folders.filter((name) => existsSync(join(root, name)))) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) files.push(relative(root, join(entry.parentPath ?? entry.path, entry.name)));
  }
}
const text = (file) => readFileSync(join(root, file), 'utf8');
const below = (pattern) => files.filter((file) => pattern.test(file));

const linesMatching = (paths, pattern) =>
  paths.flatMap((file) =>
    text(file)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
  );
const longerThan = (paths, cap) =>
  paths.flatMap((file) => {
    const lines = text(file).trimEnd().split('\n').length;
    return lines > cap ? [`${file}: ${lines} lines, at most ${cap}`] : [];
  });

const ts = below(/^(lib|bench|examples|test)\/.*\.ts$/);
const cpp = below(/^(binding|cuda)\/.*\.(cc|h|cu|cuh)$/);
const c = below(/^sandbox\/.*\.[ch]$/);
const manifest = JSON.parse(text('package.json'));

const rules = {
  'engine and CPU kernels do not know JavaScript': () =>
    linesMatching(
      below(/^binding\/(engine|cpu)\//),
      /#include\s*[<"](napi|node_api|js_native_api)\.h|#include "napi\//,
    ),
  'C++ never aborts, exits or prints': () =>
    linesMatching(
      cpp,
      /(^|[^\w.:>])(std::)?(abort|exit|_exit|quick_exit|printf|fprintf|puts)\s*\(|std::(cout|cerr)\b/,
    ),
  'a library prints nothing (only lib/cli and lib/view do)': () =>
    linesMatching(below(/^lib\/(?!cli\/|view\/).*\.ts$/), /\bconsole\.|process\.(stdout|stderr)\.write/),
  'TypeScript has no `any`': () =>
    linesMatching(ts, /(:\s*|\bas\s+|<)any(\[\])*\s*([;,)>=|{]|$)|biome-ignore.*noExplicitAny/),
  'imports of local files end in .ts': () => linesMatching(ts, /from '\.{1,2}\/[^']*(?<!\.ts|\.json)'/),
  'no catch-all names': () => below(/(^|\/)(utils?|helpers?|common|core|manager|handler)s?(\.[a-z]+|\/)/),
  'size of TypeScript files': () => longerThan(below(/^(lib|bench|examples|scripts)\/.*\.(ts|mjs)$/), 400),
  'size of C++ files': () => longerThan([...cpp, ...c], 500),
  'size of test files': () => longerThan(below(/^test\/.*\.(ts|cc)$/), 600),
  'the lock file names no download address': () =>
    linesMatching(['package-lock.json'], /"resolved":\s*"https?:/),
  'at most six runtime dependencies': () => Object.keys(manifest.dependencies).slice(6),
  'no install script, no `prebuild` script, no binding.gyp': () => [
    ...['preinstall', 'install', 'postinstall', 'prebuild'].filter((name) => name in manifest.scripts),
    ...below(/^binding\.gyp$/),
  ],
  'the README shows the commands that .ci/run runs': () =>
    files.includes('README.md')
      ? ['npm ci', 'npm run demo', 'npm test'].filter((command) => !text('README.md').includes(command))
      : ['README.md is absent'],
};

let broken = 0;
for (const [rule, check] of Object.entries(rules)) {
  const found = check();
  console.log(`${found.length === 0 ? 'ok    ' : 'BROKEN'} ${rule}`);
  for (const line of found) console.log(`         ${line}`);
  if (found.length > 0) broken++;
}
process.exit(broken === 0 ? 0 : 1);
