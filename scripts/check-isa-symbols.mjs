#!/usr/bin/env node
// Fails when an AVX2 or AVX-512 object file defines a symbol that the linker may prefer over the portable one.
//
// An inline function or template that was not inlined is emitted as a weak symbol in every object file that uses it, and the
// linker keeps one of them for all. If it keeps one compiled with -mavx512f, an older processor dies of SIGILL in code that has
// nothing to do with kernels. So whatever those object files export must lie in their own namespace (toolgrad::avx2, …).
// Usage: node scripts/check-isa-symbols.mjs [build folder]; default build. Needs nm (Debian: binutils).
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const build = resolve(root, process.argv[2] ?? 'build');
let objects = 0;
let symbols = 0;
const strays = [];

for (const isa of ['avx2', 'avx512', 'avx512bf16']) {
  const folder = join(build, 'CMakeFiles', `kernels_${isa}.dir`);
  if (!existsSync(folder)) continue;
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.o'),
  );
  for (const file of files.map((name) => join(folder, name))) {
    objects++;
    const listed = spawnSync('nm', ['-C', '--defined-only', '--extern-only', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (listed.status !== 0) {
      console.error(listed.error?.message ?? listed.stderr);
      process.exit(2);
    }
    for (const line of listed.stdout.split('\n').filter(Boolean)) {
      const name = line.replace(/^[0-9a-f]*\s+\S\s+/, '');
      symbols++;
      // Constants of the C++ runtime and of this processor-independent kind carry no code.
      if (name.includes(`toolgrad::${isa}::`) || /^(DW\.ref\.|typeinfo|vtable)/.test(name)) continue;
      strays.push(`${relative(root, file)}: ${name}`);
    }
  }
}

if (objects === 0 && process.arch === 'x64') {
  console.error(
    `Expected kernel object files in ${relative(root, build)}/CMakeFiles/kernels_avx2.dir but found none. Build first: npm run build:native`,
  );
  process.exit(2);
}
for (const stray of strays) console.error(`Expected a symbol of the ISA's own namespace but found ${stray}`);
console.log(`${objects} object files, ${symbols} exported symbols, ${strays.length} outside their namespace`);
process.exit(strays.length === 0 ? 0 : 1);
